"""Signs for eyes: drawn when they are needed, in the font that OpenCV brings along, whatever the machine has."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import PIL.Image

FRAME = (1280, 720)
WALL, PAPER = (90, 120, 140), (240, 240, 240)


def picture(
    text: str, *, size: tuple[int, int] = FRAME, height: int = 70, ink: int = 20, at: tuple[int, int] = (120, 200)
) -> PIL.Image.Image:
    """A sign on a wall: `text` in letters of `height` pixels, its first line at `at`."""
    pixels = np.full((size[1], size[0], 3), WALL, np.uint8)
    edge, top = size[0] // 16, size[1] // 7
    pixels[top:-top, edge:-edge] = PAPER
    font = cv2.FontFace("sans")
    for i, line in enumerate(text.split("\n")):
        cv2.putText(pixels, line, (at[0], at[1] + 2 * height * i), (ink, ink, ink), font, height, 500)
    return PIL.Image.fromarray(pixels)


def encoded(image: PIL.Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
