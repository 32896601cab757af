"""Pictures and frames of a camera: decoded, and compared with each other."""

from __future__ import annotations

import io
from functools import cache
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
import PIL.Image

PIXELS = 20_000_000
"""An image that has more is refused before it is decoded: a few bytes can promise gigabytes. A PNG of this size takes
80 MB, and as much again while it is made smaller where it is transparent."""
PIXELS_OF_JPEG = 64_000_000
"""The same for JPEGs that can be decoded at a fraction of their size, as cameras make them (not progressive): the 48.8
million of a phone take 0.2 s of a core, and 40 MB."""
PIXELS_OF_HEIC = 25_000_000
"""The same for HEIC: phones make 24 million by default."""
PIXELS_OF_WEBP = 16_000_000
"""The same for WebP, whose decoder holds it four times: 270 MB."""
SIDE = 1280
"""Pixels of the longer side that images are looked at; what is larger is made smaller."""
GROUNDS = (255, 0, 128)
"""Grey levels of what transparent pictures are laid on, the first one that is good enough."""
CONTRAST = 64
"""Grey levels between ink and ground; more is no better."""
OUTLINE = 640
"""Pixels of the longer side at which frames are compared."""
BLOCK = 6
CHANGED = 8
"""Grey levels by which one block of pixels differs on the average where something has changed. Noise (sigma 12, JPEG at
quality 50) stays below 7.2, a light that goes up by 6 as well; of letters 12 px high in a frame of 1280, one that is
another is 24 and more."""
_ORIENTATION = 0x0112
_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""What sets a picture right, by its orientation in EXIF."""

Pixels = npt.NDArray[np.uint8]


def can_read_heic() -> bool:
    """Whether pictures in HEIC can be decoded: the package pillow-heif is there (`openlive[heic]`)."""
    return find_spec("pillow_heif") is not None


def decode_image(data: bytes) -> PIL.Image.Image:
    """The image in RGB, the right way up by its EXIF data, its longer side no more than `SIDE`; of one that moves, the
    first frame. What is transparent is laid on a ground from which it stands out. Raises `ValueError`."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=_allowed_formats(data)) as file:
            width, height = file.size
            if width * height > (most := _pixel_limit(file, data)):
                raise ValueError(f"{width} x {height} pixels; {most // 1_000_000} million are the limit")
            scale = min(1.0, SIDE / max(width, height))
            size = max(1, round(width * scale)), max(1, round(height * scale))
            file.draft("RGB", size)  # a large JPEG is decoded at a half, a quarter or an eighth of its size
            picture = _to_8_bit_rgb(file)
            turn = _TURNS.get(file.getexif().get(_ORIENTATION, 1))
            if picture.size != size:
                picture = picture.resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=2.0)
    except Exception as error:  # Pillow raises many kinds
        raise ValueError(f"The image cannot be read: {error}") from error
    picture = _flatten_alpha(picture)
    return picture if turn is None else picture.transpose(turn)


def to_jpeg(data: bytes) -> bytes:
    """The image as `decode_image` gives it, for what reads no HEIC. Raises `ValueError`."""
    file = io.BytesIO()
    decode_image(data).save(file, "JPEG", quality=90)
    return file.getvalue()


def _allowed_formats(data: bytes) -> tuple[str, ...]:
    if data[4:8] != b"ftyp":
        return "JPEG", "PNG", "WEBP"
    if not can_read_heic():
        raise ValueError("HEIC needs the package pillow-heif: pip install 'openlive[heic]'")
    _register_heic()
    return ("HEIF",)


@cache
def _register_heic() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False)


def _pixel_limit(file: PIL.Image.Image, data: bytes) -> int:
    match file.format:
        case "JPEG" | "MPO":
            return PIXELS_OF_JPEG if _is_decoded_in_lines(data) else PIXELS
        case "HEIF":
            return PIXELS_OF_HEIC
        case "WEBP":
            return PIXELS_OF_WEBP
    return PIXELS


def _is_decoded_in_lines(data: bytes) -> bool:
    """Whether a JPEG has one scan with all its colours, so that its decoder need not hold the whole picture."""
    at, colours = 2, -1
    while data[at : at + 1] == b"\xff" and at + 9 < len(data):
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in (0xC0, 0xC1):  # baseline and extended; the others are progressive, or unknown to us
            colours = data[at + 9]
        if marker == 0xDA:
            return data[at + 4] == colours
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _to_8_bit_rgb(file: PIL.Image.Image) -> PIL.Image.Image:
    """In RGB or RGBA, with 8 bits a channel: palettes and 16 bits cannot be made smaller."""
    if file.mode.startswith("I"):  # Pillow would cut 16 bits off at 255
        levels = np.asarray(file)
        return PIL.Image.fromarray((levels >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    mode = "RGBA" if file.has_transparency_data else "RGB"
    file.load()
    return file if file.mode == mode else file.convert(mode)


def _flatten_alpha(picture: PIL.Image.Image) -> PIL.Image.Image:
    """In RGB: a transparent picture on the ground in `GROUNDS` from which what can be seen of it stands out most."""
    if picture.mode != "RGBA":
        return picture
    grey, alpha = np.asarray(picture.convert("RGB").convert("L")), np.asarray(picture.getchannel("A"))
    if alpha.min() == 255:
        return picture.convert("RGB")
    inks = np.bincount(grey.ravel(), weights=alpha.ravel(), minlength=256)
    contrasts = [float(inks @ np.minimum(np.abs(np.arange(256) - ground), CONTRAST)) for ground in GROUNDS]
    ground = GROUNDS[next(i for i, contrast in enumerate(contrasts) if contrast >= 0.98 * max(contrasts))]
    paper = PIL.Image.new("RGBA", picture.size, (ground, ground, ground, 255))
    return PIL.Image.alpha_composite(paper, picture).convert("RGB")


def to_grey_thumbnail(picture: PIL.Image.Image) -> Pixels:
    """A small grey copy."""
    grey = picture.convert("L")
    grey.thumbnail((OUTLINE, OUTLINE), PIL.Image.Resampling.BOX)
    return np.asarray(grey)


def are_alike(one: Pixels, other: Pixels) -> bool:
    """Whether nothing has changed between two frames but noise."""
    if one.shape != other.shape:
        return False
    change = np.abs(one.astype(np.int16) - other)
    height, width = (-side % BLOCK for side in change.shape)
    change = np.pad(change, ((0, height), (0, width)))
    blocks = change.reshape(change.shape[0] // BLOCK, BLOCK, -1, BLOCK).mean(axis=(1, 3))
    return bool(blocks.max() < CHANGED)
