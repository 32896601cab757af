"""The text in images: PP-OCRv6 by rapidocr, whose package holds the models, on onnxruntime.

One frame of a camera (1280 x 720 with a sign in it) takes 0.25 s of one core, a page of twelve lines 1.1 s, and one
that looks like a frame before it 6 ms. What is on its side or its head is read two or three times, four at most. Two
threads for one image take longer than one. Until the first image comes nothing is loaded; then it takes another 0.7 s,
and 220 to 270 MB.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import PIL.Image
from msgspec import Struct

from openlive.engines.api import EngineError, Resources
from openlive.engines.images import Pixels, are_alike, decode_image, to_grey_thumbnail
from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.types import Image

DETECT = 960
"""Pixels of the longer side at which text is looked for: half the time of rapidocr's own measure, and 12 px letters are
found."""
SURE = 0.7
"""From which confidence on a line is taken. Lines that were read rightly have 0.94 and more, also at low contrast; what
stands on its head has less than this."""
CLEAR = 0.9
"""From which confidence on, by letters, a picture is read the right way up. Upright it is 0.93 and more; on its head or
its side 0.6 to 0.85, and words that are near the right ones ("Bell 95" is read as "BeB15")."""
MARGIN = 0.05
"""What another way up has to be better by, where neither is clear."""
LONG = 1.5
"""Sides of a line of text: one that is taller than it is wide by this is read from its side."""
LENGTH = 800
"""Characters of the text that are told."""
REMEMBERED = 32
"""Frames that a new one is compared with, those of all sessions together."""


class RapidOCREyes:
    def __init__(self) -> None:
        self._workers = WorkerPool(1, "openlive-eyes")
        self._reader: Any = None
        self._remembered: deque[tuple[Pixels, str]] = deque(maxlen=REMEMBERED)

    async def describe(self, image: Image) -> str:
        return await self._workers.run(partial(self._describe_image, image.data))

    async def close(self) -> None:
        """Ends its threads."""
        self._workers.close()

    def _describe_image(self, data: bytes, abort: Abort) -> str:
        """What was read is remembered even if nobody waits for it any more: the next request asks for it again."""
        abort.raise_if_aborted()
        picture = decode_image(data)
        seen = to_grey_thumbnail(picture)
        for before, words in reversed(self._remembered):
            if are_alike(seen, before):
                return words
        abort.raise_if_aborted()
        words = describe_lines(self._read_best_way_up(picture, abort).sure_lines)
        self._remembered.append((seen, words))
        return words

    def _read_best_way_up(self, picture: PIL.Image.Image, abort: Abort) -> PictureText:
        """What is read the way up that has the clearest text: as the picture is, where that is clear, else at most
        three others."""
        best = upright = self._read_turned(picture, 0)
        for degrees in upright.other_turns():
            abort.raise_if_aborted()
            reading = self._read_turned(picture, degrees)
            if reading.clarity > best.clarity + MARGIN or (
                best is upright and upright.is_sideways and reading.is_clear
            ):
                best = reading
            if best.is_clear and not best.is_sideways:
                break
        return best

    def _read_turned(self, picture: PIL.Image.Image, degrees: int) -> PictureText:
        turned = picture.rotate(degrees, expand=True) if degrees else picture
        return self._read_lines(np.asarray(turned)[:, :, ::-1])

    def _read_lines(self, pixels: Pixels) -> PictureText:
        """The lines of text in BGR pixels, from top to bottom."""
        if self._reader is None:
            self._reader = _load_reader()
        found = self._reader(np.ascontiguousarray(pixels))
        if found.txts is None or found.boxes is None:
            return PictureText()
        each = zip(found.txts, found.scores, found.boxes, strict=True)
        return PictureText(tuple(TextLine(text, float(score), _side_ratio(box)) for text, score, box in each))


class TextLine(Struct, frozen=True):
    text: str
    confidence: float
    sides: float
    """Width by height."""


class PictureText(Struct, frozen=True):
    """A picture's lines, from top to bottom, those that are doubtful too."""

    lines: tuple[TextLine, ...] = ()

    @property
    def sure_lines(self) -> list[str]:
        return [line.text for line in self.lines if line.confidence >= SURE]

    @property
    def clarity(self) -> float:
        """The confidence of a letter."""
        letters = sum(len(line.text) for line in self.lines)
        return sum(len(line.text) * line.confidence for line in self.lines) / max(1, letters)

    @property
    def is_clear(self) -> bool:
        return self.clarity >= CLEAR

    @property
    def is_sideways(self) -> bool:
        """Most of it stands on its side. Its lines are turned to the left when they are read."""
        return self._letter_share(lambda line: line.sides <= 1 / LONG) > 0.5

    def other_turns(self) -> tuple[int, ...]:
        """Degrees to the left that may set it right, the likeliest first."""
        if not self.lines or (self.is_clear and not self.is_sideways):
            return ()
        if self.is_sideways:
            return (90, 270) if self.is_clear else (270, 90)
        return (180,) if self._letter_share(lambda line: line.sides >= LONG) > 0.5 else (180, 90, 270)

    def _letter_share(self, of: Callable[[TextLine], bool]) -> float:
        """Of the letters, 0 to 1."""
        letters = sum(len(line.text) for line in self.lines)
        return sum(len(line.text) for line in self.lines if of(line)) / max(1, letters)


def _side_ratio(box: Any) -> float:
    width, height = (float(np.linalg.norm(box[i] - box[0])) for i in (1, 3))
    return width / max(height, 1.0)


def _load_reader() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": 0.0,  # what is doubtful tells which way up the picture is
            "Global.use_cls": False,  # it turns lines upside down that are not
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECT,
            "Rec.rec_batch_num": 1,  # lines of one length are rare: a batch of six takes longer, and 60 MB more
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def describe_lines(lines: list[str]) -> str:
    text = "\n".join(lines)
    if len(text) > LENGTH:
        text = text[:LENGTH].rsplit(maxsplit=1)[0] + " …"
    return f'Its text reads: "{text}"' if text else ""


def create(argument: str, resources: Resources) -> RapidOCREyes:
    del argument, resources
    if find_spec("rapidocr") is None:
        raise EngineError("The package rapidocr is not installed: pip install rapidocr")
    return RapidOCREyes()
