from __future__ import annotations

import asyncio
import struct
import threading
import zlib
from typing import Any

import numpy as np
import PIL.Image
import pytest
from PIL import ImageDraw, ImageFont

from openlive.engines import rapidocr
from openlive.engines.frames import SIDE, alike, decode, outline
from openlive.engines.rapidocr import RapidOCREyes
from openlive.engines.registry import EngineError, Resources, load
from openlive.engines.workers import Abort
from openlive.types import Image
from tests.engines.signs import FRAME, encoded, picture

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

    def _read(self, pixels: Any) -> list[str]:
        self.reads.append(threading.current_thread().name)
        return super()._read(pixels)


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
    assert max(decode(data).size) == SIDE
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
    words = rapidocr.told(["word " * 50] * 10)
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
    ],
    ids=["none", "jpeg", "png", "webp", "zeros", "cut", "bmp", "21MP", "100MP", "3600MP", "empty"],
)
async def test_what_cannot_be_read_is_refused(eyes: Counted, data: bytes) -> None:
    before = len(eyes.reads)
    with pytest.raises(ValueError, match=r"The image cannot be read: ."):
        await look(eyes, data)
    assert len(eyes.reads) == before


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
        outline(decode(encoded(noisy(image, seed), quality=75))) for seed, image in enumerate((sign, sign, other))
    ]
    assert alike(frames[0], frames[1])
    assert not alike(frames[0], frames[2])
    assert not alike(frames[0], frames[0][:-1])


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
    go.set()
    await first
    assert await look(eyes, encoded(PIL.Image.new("RGB", FRAME))) == ""
    assert len(eyes.reads) == 1


async def test_it_is_found_by_its_name_and_loads_nothing_before_an_image_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    resources = Resources(lambda name: pytest.fail(f"{name} is asked for"), 2, 0)
    loaded = load("eyes", "rapidocr", resources)
    assert loaded._reader is None
    monkeypatch.setattr(rapidocr, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match="pip install rapidocr"):
        load("eyes", "rapidocr", resources)
