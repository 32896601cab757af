"""Pictures as phones and programs make them: `python -m tests.bench.pictures [--group aside]`.

Draws the texts of `pictures.json` in the kinds that are named there, lets the eyes of the default configuration look at
each, and compares what they told with what was written: right is what has every line, in its order, but for the spaces.
Prints the wrong ones, the shares that were right, and what the slowest picture of each kind took. The rules of
`engines/images.py` and `engines/vision/rapidocr.py` were made on the group `seen`; `aside` was drawn before, and looked
at after.
"""

from __future__ import annotations

import io
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import click
import msgspec
import numpy as np
import PIL.Image
from msgspec import Struct
from PIL import ImageDraw, ImageFont

from openlive.engines.api import Resources
from openlive.engines.registry import load_engine
from openlive.engines.vision.rapidocr import RapidOCREyes, describe_lines
from openlive.types import Image
from tests.engines.vision.signs import encoded, picture

SET = Path(__file__).parent / "sets" / "pictures.json"
ORIENTATION = 0x0112
UNDONE = {
    2: (True, 0),
    3: (False, 180),
    4: (True, 180),
    5: (True, 90),
    6: (False, 90),
    7: (True, -90),
    8: (False, -90),
}
"""How a picture has to lie for its EXIF orientation to set it right: mirrored, and turned by these degrees."""


class Picture(Struct, frozen=True, forbid_unknown_fields=True):
    """`kind`: what it is drawn as, with its argument (`turned 90`)."""

    kind: str
    text: str
    seed: int
    group: str

    def drawn(self) -> bytes:
        kind, _, argument = self.kind.partition(" ")
        draw: Any = globals()[f"_{kind}"]
        made: bytes = draw(self, argument)
        return made

    def photograph(self, scale: float = 1.0) -> PIL.Image.Image:
        """The text on a sign, in uneven light and with the grain of a camera."""
        rng = np.random.default_rng(self.seed)
        width, height = int(1280 * scale), int(960 * scale)
        letters = int(rng.integers(44, 72) * scale)
        where = int(rng.integers(110, 240) * scale), int(rng.integers(210, 330) * scale)
        sign = np.asarray(picture(self.text, size=(width, height), height=letters, at=where)).astype(np.float32)
        left, right = rng.uniform(0.6, 1.05, 2)
        sign *= np.linspace(float(left), float(right), width, dtype=np.float32)[None, :, None]
        if scale == 1.0:
            sign += rng.normal(0, 5, sign.shape).astype(np.float32)
        return PIL.Image.fromarray(sign.clip(0, 255).astype(np.uint8))

    def letters(self, ink: Any, mode: str = "RGBA", ground: Any = (0, 0, 0, 0), size: int = 60) -> PIL.Image.Image:
        """The text on a ground, which is nothing unless it is told."""
        rng = np.random.default_rng(self.seed)
        drawn = PIL.Image.new(mode, (16 * size, 9 * size), ground)
        at = int(rng.integers(size // 2, 2 * size)), int(rng.integers(size, 3 * size))
        ImageDraw.Draw(drawn).text(at, self.text, fill=ink, font=ImageFont.load_default(size), spacing=size // 2)
        return drawn


def _upright(case: Picture, _: str) -> bytes:
    return encoded(case.photograph())


def _turned(case: Picture, degrees: str) -> bytes:
    return encoded(case.photograph().rotate(int(degrees), expand=True))


def _exif(case: Picture, orientation: str) -> bytes:
    return encoded(_laid(case.photograph(), int(orientation)), exif=_says(int(orientation)))


def _laid(shown: PIL.Image.Image, orientation: int) -> PIL.Image.Image:
    mirrored, degrees = UNDONE[orientation]
    if mirrored:
        shown = shown.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    return shown.rotate(degrees, expand=True)


def _says(orientation: int) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def _phone(case: Picture, orientation: str) -> bytes:
    """48.8 million pixels, 8064 x 6048."""
    return encoded(_laid(case.photograph(6.3), int(orientation)), exif=_says(int(orientation)), quality=85)


def _panorama(case: Picture, _: str) -> bytes:
    wide = PIL.Image.new("RGB", (9000, 2000), (200, 200, 190))
    wide.paste(case.photograph(2.0), (3000, 40))
    return encoded(wide)


def _mpo(case: Picture, _: str) -> bytes:
    """What cameras make of a photograph and its map of depth."""
    shown = case.photograph()
    return encoded(shown, "MPO", save_all=True, append_images=[shown.resize((320, 240))])


def _clear(case: Picture, argument: str) -> bytes:
    """Letters on nothing: `clear PNG light`."""
    kind, ink = argument.split()
    inks = {"dark": (20, 20, 30, 255), "light": (250, 250, 245, 255), "blue": (20, 60, 160, 255)}
    return encoded(case.letters(inks[ink]), kind)


def _grey(case: Picture, ink: str) -> bytes:
    """Grey letters on nothing, in two channels."""
    return encoded(case.letters((240 if ink == "light" else 10, 255), "LA", (0, 0)), "PNG")


def _palette(case: Picture, argument: str) -> bytes:
    """Letters on a colour that the palette says is transparent: `palette light 60`."""
    ink, size = argument.split()
    flat = case.letters(1, "P", 0, int(size))
    flat.putpalette([0, 0, 0, *((250,) * 3 if ink == "light" else (10,) * 3)])
    return encoded(flat, "PNG", transparency=0)


def _cmyk(case: Picture, _: str) -> bytes:
    return encoded(case.photograph().convert("CMYK"))


def _deep(case: Picture, ground: str) -> bytes:
    """Grey in 16 bits, as scanners make them."""
    dark, light = 9_000, 60_000
    below, ink = (light, dark) if ground == "light" else (dark, light)
    grey = np.asarray(case.letters(255, "L", 0)).astype(np.float32) / 255
    values = (below + (ink - below) * grey).astype(np.uint16)
    return encoded(PIL.Image.fromarray(values), "PNG")


def _moving(case: Picture, _: str) -> bytes:
    first = case.photograph()
    return encoded(first, "WEBP", save_all=True, append_images=[PIL.Image.new("RGB", first.size, "grey")], duration=200)


def _heic(case: Picture, orientation: str) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    turned = int(orientation)
    shown = _laid(case.photograph(), turned) if turned > 1 else case.photograph()
    options = {"exif": _says(turned).tobytes()} if turned > 1 else {}
    pillow_heif.from_pillow(shown).save(file, quality=80, **options)
    return file.getvalue()


@click.command()
@click.option("--group", "groups", multiple=True, help="Of the set: seen, aside.")
def main(groups: tuple[str, ...]) -> None:
    """Score what is read in pictures of many kinds."""
    cases = msgspec.json.decode(SET.read_bytes(), type=list[Picture])
    cases = [case for case in cases if not groups or case.group in groups]
    if find_spec("pillow_heif") is None:
        click.echo("pillow-heif is not installed: HEIC is left out.")
        cases = [case for case in cases if not case.kind.startswith("heic")]
    anyio.run(score, cases)


async def score(cases: list[Picture]) -> None:
    eyes = load_engine("eyes", "rapidocr", Resources(Path, 1, 1 << 33))
    assert isinstance(eyes, RapidOCREyes)
    await eyes.describe(Image("image/jpeg", encoded(picture("first"))))
    right: dict[str, list[bool]] = {}
    slowest: dict[str, float] = {}
    for case in cases:
        data = case.drawn()
        begun = time.process_time()
        try:
            words = await eyes.describe(Image("", data))
        except ValueError as error:
            words = str(error)
        took = time.process_time() - begun
        correct = "".join(words.split()) == "".join(describe_lines(case.text.split("\n")).split())
        name = case.kind.split()[0]
        slowest[name] = max(slowest.get(name, 0.0), took)
        for key in (name, case.group):
            right.setdefault(key, []).append(correct)
        if not correct:
            click.echo(f"wrong {case.group}, {case.kind}: {case.text!r} -> {words!r}")
    for key, each in right.items():
        cost = f", at most {slowest[key]:.2f} s of a core" if key in slowest else ""
        click.echo(f"{key:<10} {sum(each)} of {len(each)}{cost}")


if __name__ == "__main__":
    main()
