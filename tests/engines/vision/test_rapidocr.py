from __future__ import annotations

import asyncio
import struct
import threading
import zlib
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
from PIL import ImageDraw, ImageFont

from openlive.engines import images
from openlive.engines.api import EngineError, Resources
from openlive.engines.images import PIXELS_OF_JPEG, SIDE, are_alike, decode_image, to_grey_thumbnail, to_jpeg
from openlive.engines.registry import load_engine
from openlive.engines.runtime.workers import Abort
from openlive.engines.vision import rapidocr
from openlive.engines.vision.rapidocr import PictureText, RapidOCREyes, TextLine
from openlive.types import Image
from tests.bench.pictures import Picture
from tests.engines.vision.signs import FRAME, encoded, picture

pytestmark = pytest.mark.anyio


def noisy(image: PIL.Image.Image, seed: int) -> PIL.Image.Image:
    """As a camera sees it."""
    grain = np.random.default_rng(seed).normal(0, 6, (image.height, image.width, 3))
    return PIL.Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


class Counted(RapidOCREyes):
    """Counts how often it reads, and tells in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    def _read_lines(self, pixels: Any) -> PictureText:
        self.reads.append(threading.current_thread().name)
        return super()._read_lines(pixels)


@pytest.fixture(scope="module")
def eyes() -> Counted:
    return Counted()


async def look(eyes: RapidOCREyes, data: bytes) -> str:
    return await eyes.describe(Image("image/jpeg", data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_sign_is_read(eyes: Counted, kind: str) -> None:
    assert await look(eyes, encoded(picture("EXIT 24B"), kind)) == 'Its text reads: "EXIT 24B"'


@pytest.mark.parametrize(
    "text",
    ["Straße gesperrt\nUmleitung über München", "Prohibido el paso\nPeligro: niños jugando", "Sortie fermée à 18 h"],
    ids=["de", "es", "fr"],
)
async def test_in_other_languages_line_by_line(eyes: Counted, text: str) -> None:
    assert await look(eyes, encoded(picture(text))) == f'Its text reads: "{text}"'


async def test_at_low_contrast(eyes: Counted) -> None:
    assert await look(eyes, encoded(picture("Gate 7", ink=210))) == 'Its text reads: "Gate 7"'


async def test_in_the_noise_of_a_camera(eyes: Counted) -> None:
    assert await look(eyes, encoded(noisy(picture("Platform 9", size=(640, 480), height=40), 1))) == (
        'Its text reads: "Platform 9"'
    )


@pytest.mark.parametrize(("orientation", "turn"), [(3, 180), (6, 90), (8, -90)])
async def test_the_right_way_up_by_exif(eyes: Counted, orientation: int, turn: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(f"Room {orientation}").rotate(turn, expand=True), exif=exif)
    assert await look(eyes, data) == f'Its text reads: "Room {orientation}"'


async def test_a_photograph_is_made_smaller_first(eyes: Counted) -> None:
    data = encoded(picture("Pier 39", size=(4000, 3000), height=300, at=(400, 700)))
    assert max(decode_image(data).size) == SIDE
    assert await look(eyes, data) == 'Its text reads: "Pier 39"'


async def test_letters_on_nothing_are_read_as_on_paper(eyes: Counted) -> None:
    empty = PIL.Image.new("RGBA", (640, 200), (0, 0, 0, 0))
    ImageDraw.Draw(empty).text((40, 40), "On paper", font=ImageFont.load_default(80), fill="black")
    assert await look(eyes, encoded(empty, "PNG")) == 'Its text reads: "On paper"'


@pytest.mark.parametrize("what", ["wall", "noise", "dot"])
async def test_nothing_is_found_where_nothing_is_written(eyes: Counted, what: str) -> None:
    grain = np.random.default_rng(0).integers(0, 255, (*reversed(FRAME), 3), dtype=np.uint8)
    shown = {
        "wall": PIL.Image.new("RGB", FRAME, (90, 120, 140)),
        "noise": PIL.Image.fromarray(grain),
        "dot": PIL.Image.new("L", (1, 1)),
    }
    assert await look(eyes, encoded(shown[what], "PNG")) == ""


async def test_long_texts_are_cut() -> None:
    words = rapidocr.describe_lines(["word " * 50] * 10)
    assert len(words) < rapidocr.LENGTH + 30
    assert words.endswith('word …"')


# --- what is no image -------------------------------------------------------------------------------------------------


def png_of(width: int, height: int) -> bytes:
    """The header of a PNG image that promises this much, and next to nothing after it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def webp_of(width: int, height: int) -> bytes:
    """An animation of one small frame on a canvas that is this large."""
    dot = encoded(PIL.Image.new("RGB", (8, 8)), "WEBP", lossless=True)[12:]
    frame = bytes(6) + 2 * (7).to_bytes(3, "little") + bytes(4) + dot
    canvas = bytes([2, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = ((b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", frame))
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(each)) + each for name, each in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_of(width: int, height: int, start: int, scans: int) -> bytes:
    """The header of a JPEG in three colours, all of them or one in its first scan."""
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    colours = 3 if scans == 1 else 1
    scan = bytes([colours]) + b"".join(bytes([1 + i, 0]) for i in range(colours)) + b"\x00\x3f\x00"
    segments = ((start, frame), (0xDA, scan))
    return b"\xff\xd8" + b"".join(struct.pack(">BBH", 0xFF, mark, 2 + len(each)) + each for mark, each in segments)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\x89PNG",
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        b"\xff\xd8" + bytes(5000),
        encoded(picture("EXIT"))[:4000],
        encoded(picture("EXIT"), "BMP"),
        png_of(5000, 4001),
        png_of(10_000, 10_000),
        png_of(60_000, 60_000),
        png_of(0, 0),
        png_of(30_000, 30_000),
        webp_of(16_000, 1_100),
        jpeg_of(8064, 6048, 0xC2, scans=1),
        jpeg_of(8064, 6048, 0xC0, scans=3),
        jpeg_of(9000, 8000, 0xC0, scans=1),
        b"\x00\x00\x00\x18ftypheic" + bytes(100),
    ],
    ids=[
        *("none", "jpeg", "png", "webp", "zeros", "cut", "bmp", "21MP", "100MP", "3600MP", "empty"),
        *("900MP", "webp17MP", "progressive", "scans", "72MP", "heic"),
    ],
)
async def test_what_cannot_be_read_is_refused(eyes: Counted, data: bytes) -> None:
    before = len(eyes.reads)
    with pytest.raises(ValueError, match=r"The image cannot be read: ."):
        await look(eyes, data)
    assert len(eyes.reads) == before


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (png_of(30_000, 700), 20),
        (jpeg_of(8064, 6048, 0xC2, scans=1), 20),
        (jpeg_of(8064, 6048, 0xC0, scans=3), 20),
        (jpeg_of(9000, 8000, 0xC0, scans=1), 64),
        (webp_of(16_000, 1_100), 16),
    ],
    ids=["png", "progressive", "scans", "jpeg", "webp"],
)
def test_what_promises_too_much_is_refused_by_its_header(
    data: bytes, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda _: pytest.fail("it is decoded"))
    with pytest.raises(ValueError, match=rf"\d+ x \d+ pixels; {limit} million are the limit"):
        decode_image(data)


def test_heic_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "can_read_heic", lambda: False)
    with pytest.raises(ValueError, match=r"pip install 'openlive\[heic\]'"):
        decode_image(b"\x00\x00\x00\x18ftypheic" + bytes(100))


# --- as phones and programs make them ---------------------------------------------------------------------------------

KINDS = [
    *("turned 90", "turned 180", "turned 270", "exif 5", "exif 6", "phone 6", "panorama", "mpo", "moving", "cmyk"),
    *("clear PNG light", "clear PNG dark", "clear WEBP light", "grey light", "palette light 60", "palette dark 180"),
    *("deep light", "deep dark"),
]


@pytest.mark.parametrize("kind", KINDS)
async def test_pictures_as_they_come(eyes: Counted, kind: str) -> None:
    case = Picture(kind, f"Gate B27\nOpen {KINDS.index(kind) + 10}", 7, "")
    assert await look(eyes, case.drawn()) == f'Its text reads: "{case.text}"'


@pytest.mark.parametrize("orientation", [1, 6])
async def test_heic(eyes: Counted, orientation: int) -> None:
    pytest.importorskip("pillow_heif")
    case = Picture(f"heic {orientation}", f"Pier {40 + orientation}", 7, "")
    assert await look(eyes, case.drawn()) == f'Its text reads: "{case.text}"'
    assert await look(eyes, to_jpeg(case.drawn())) == f'Its text reads: "{case.text}"'


def test_a_phone_s_photograph_is_decoded_at_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a quarter of its pixels at once."""
    sizes: list[tuple[int, int]] = []
    plain = images._to_8_bit_rgb

    def counted(file: PIL.Image.Image) -> PIL.Image.Image:
        sizes.append(file.size)
        return plain(file)

    monkeypatch.setattr(images, "_to_8_bit_rgb", counted)
    data = encoded(PIL.Image.new("RGB", (8064, 6048), "grey"))
    assert PIXELS_OF_JPEG > 8064 * 6048
    assert decode_image(data).size == (1280, 960)
    assert decode_image(encoded(PIL.Image.new("RGB", (16_000, 2000), "grey"))).size == (1280, 160)
    assert sizes == [(2016, 1512), (2000, 250)]


@pytest.mark.parametrize(
    ("inks", "ground"),
    [
        ([(0, 0, 0)], 255),
        ([(250, 250, 250)], 0),
        ([(255, 230, 0)], 0),
        ([(0, 40, 160)], 255),
        ([(0, 0, 0), (250, 250, 250)], 128),
        ([], 255),
    ],
    ids=["black", "white", "yellow", "blue", "both", "nothing"],
)
def test_the_ground_contrasts(inks: list[tuple[int, int, int]], ground: int) -> None:
    clear = PIL.Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    for i, ink in enumerate(inks):
        ImageDraw.Draw(clear).rectangle((20, 20 + 60 * i, 200, 50 + 60 * i), fill=(*ink, 255))
    assert decode_image(encoded(clear, "PNG")).getpixel((290, 290)) == (ground,) * 3


# --- which way up -----------------------------------------------------------------------------------------------------


def reading(confidence: float, sides: float, text: str = "some words") -> PictureText:
    return PictureText((TextLine(text, confidence, sides),))


class Told(RapidOCREyes):
    """Reads what it is told, by the degrees to which a picture is turned."""

    def __init__(self, **readings: PictureText) -> None:
        super().__init__()
        self.readings = readings
        self.tried: list[int] = []

    def _read_turned(self, picture: PIL.Image.Image, degrees: int) -> PictureText:
        self.tried.append(degrees)
        return self.readings.get(f"at{degrees}", reading(0.6, 4.0, "mumble"))


@pytest.mark.parametrize(
    ("readings", "tried", "best"),
    [
        ({"at0": PictureText()}, [0], 0),
        ({"at0": reading(0.95, 5)}, [0], 0),
        ({"at0": reading(0.75, 5), "at180": reading(0.99, 5)}, [0, 180], 180),
        ({"at0": reading(0.75, 5), "at180": reading(0.77, 5)}, [0, 180], 0),
        ({"at0": reading(0.99, 0.2), "at90": reading(0.97, 5)}, [0, 90], 90),
        ({"at0": reading(0.75, 0.2), "at270": reading(0.97, 5)}, [0, 270], 270),
        ({"at0": reading(0.75, 0.2)}, [0, 270, 90], 0),
        ({"at0": reading(0.5, 1.1), "at90": reading(0.97, 1.1)}, [0, 180, 90], 90),
        ({"at0": reading(0.7, 1.1)}, [0, 180, 90, 270], 0),
    ],
    ids=["nothing", "upright", "head", "blurred", "left", "right", "column", "short", "neither"],
)
def test_no_way_up_is_tried_in_vain(readings: dict[str, PictureText], tried: list[int], best: int) -> None:
    eyes = Told(**readings)
    found = eyes._read_best_way_up(PIL.Image.new("RGB", (8, 8)), Abort())
    assert eyes.tried == tried
    assert found == readings[f"at{best}"]


# --- what costs nothing -----------------------------------------------------------------------------------------------


async def test_a_still_camera_costs_one_reading() -> None:
    eyes = Counted()
    for seed in range(5):
        frame = encoded(noisy(picture("EXIT 24B", height=40), seed))
        assert await look(eyes, frame) == 'Its text reads: "EXIT 24B"'
    assert len(eyes.reads) == 1
    assert await look(eyes, encoded(noisy(picture("EXIT 24C", height=40), 9))) == 'Its text reads: "EXIT 24C"'
    assert len(eyes.reads) == 2
    assert set(eyes.reads) == {"openlive-eyes_0"}, "never in the loop"


@pytest.mark.parametrize("height", [12, 16, 24, 60])
def test_a_letter_is_a_change_and_noise_is_none(height: int) -> None:
    sign, other = picture("Gate 3 opens at 8", height=height), picture("Gate 5 opens at 8", height=height)
    frames = [
        to_grey_thumbnail(decode_image(encoded(noisy(image, seed), quality=75)))
        for seed, image in enumerate((sign, sign, other))
    ]
    assert are_alike(frames[0], frames[1])
    assert not are_alike(frames[0], frames[2])
    assert not are_alike(frames[0], frames[0][:-1])


async def test_what_nobody_waits_for_is_not_read() -> None:
    eyes = Counted()
    begun, go = threading.Event(), threading.Event()

    def hold(_: Abort) -> None:
        begun.set()
        go.wait(10)

    first = asyncio.create_task(eyes._workers.run(hold))
    assert await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(look(eyes, encoded(picture("EXIT"))))
    await asyncio.sleep(0.01)
    second.cancel()
    await asyncio.wait([second])  # or the thread that is let go takes it before it hears of that
    go.set()
    await first
    assert await look(eyes, encoded(PIL.Image.new("RGB", FRAME))) == ""
    assert len(eyes.reads) == 1


async def test_it_is_found_by_its_name_and_loads_nothing_before_an_image_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    resources = Resources(lambda name: pytest.fail(f"{name} is asked for"), 2, 0)
    loaded = load_engine("eyes", "rapidocr", resources)
    assert loaded._reader is None
    monkeypatch.setattr(rapidocr, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match="pip install rapidocr"):
        load_engine("eyes", "rapidocr", resources)
