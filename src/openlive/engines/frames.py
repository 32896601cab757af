"""Frames of a camera: decoded, and compared with each other."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageOps

PIXELS = 20_000_000
"""An image that has more is refused before it is decoded: a few bytes can promise gigabytes."""
SIDE = 1280
"""Pixels of the longer side that images are looked at; what is larger is made smaller."""
OUTLINE = 640
"""Pixels of the longer side at which frames are compared."""
BLOCK = 6
CHANGED = 8
"""Grey levels by which one block of pixels differs on the average where something has changed. Noise (sigma 12, JPEG at
quality 50) stays below 7.2, a light that goes up by 6 as well; of letters 12 px high in a frame of 1280, one that is
another is 24 and more."""

Pixels = npt.NDArray[np.uint8]


def decode(data: bytes) -> PIL.Image.Image:
    """The image in RGB, the right way up, its longer side no more than `SIDE`. Raises `ValueError`."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as file:
            width, height = file.size
            if width * height > PIXELS:
                raise ValueError(f"{width} x {height} pixels; {PIXELS // 1_000_000} million are the limit")
            file.draft("RGB", (SIDE, SIDE))  # a large JPEG is decoded at half or a quarter of its size
            file.thumbnail((SIDE, SIDE))
            picture = ImageOps.exif_transpose(file)
    except Exception as error:  # Pillow raises many kinds
        raise ValueError(f"The image cannot be read: {error}") from error
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = PIL.Image.new("RGBA", picture.size, "white")
        picture = PIL.Image.alpha_composite(paper, picture)
    return picture.convert("RGB")


def outline(picture: PIL.Image.Image) -> Pixels:
    """A small grey copy."""
    grey = picture.convert("L")
    grey.thumbnail((OUTLINE, OUTLINE), PIL.Image.Resampling.BOX)
    return np.asarray(grey)


def alike(one: Pixels, other: Pixels) -> bool:
    """Whether nothing has changed between two frames but noise."""
    if one.shape != other.shape:
        return False
    change = np.abs(one.astype(np.int16) - other)
    height, width = (-side % BLOCK for side in change.shape)
    change = np.pad(change, ((0, height), (0, width)))
    blocks = change.reshape(change.shape[0] // BLOCK, BLOCK, -1, BLOCK).mean(axis=(1, 3))
    return bool(blocks.max() < CHANGED)
