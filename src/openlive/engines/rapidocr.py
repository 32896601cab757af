"""The text in images: PP-OCRv6 by rapidocr, whose package holds the models, on onnxruntime.

One frame of a camera (1280 x 720 with a sign in it) takes 0.25 s of one core, a page of twelve lines 1.1 s, and one
that looks like a frame before it 6 ms. Two threads for one image take longer than one. Until the first image comes
nothing is loaded; then it takes another 0.7 s, and 220 to 270 MB.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from openlive.engines.frames import Pixels, alike, decode, outline
from openlive.engines.registry import EngineError, Resources
from openlive.engines.workers import Abort, Workers
from openlive.types import Image

DETECT = 960
"""Pixels of the longer side at which text is looked for: half the time of rapidocr's own measure, and 12 px letters are
found."""
SURE = 0.7
"""From which confidence on a line is taken. Lines that were read rightly have 0.94 and more, also at low contrast; what
stands on its head has less than this."""
LENGTH = 800
"""Characters of the text that are told."""
REMEMBERED = 32
"""Frames that a new one is compared with, those of all sessions together."""


class RapidOCREyes:
    def __init__(self) -> None:
        self._workers = Workers(1, "openlive-eyes")
        self._reader: Any = None
        self._remembered: deque[tuple[Pixels, str]] = deque(maxlen=REMEMBERED)

    async def describe(self, image: Image) -> str:
        return await self._workers.run(partial(self._describe, image.data))

    async def close(self) -> None:
        """Ends its threads."""
        self._workers.close()

    def _describe(self, data: bytes, abort: Abort) -> str:
        """What was read is remembered even if nobody waits for it any more: the next request asks for it again."""
        abort.check()
        picture = decode(data)
        seen = outline(picture)
        for before, words in reversed(self._remembered):
            if alike(seen, before):
                return words
        abort.check()
        words = told(self._read(np.asarray(picture)[:, :, ::-1]))
        self._remembered.append((seen, words))
        return words

    def _read(self, pixels: Pixels) -> list[str]:
        """The lines of text in BGR pixels, from top to bottom."""
        if self._reader is None:
            self._reader = _load()
        return list(self._reader(np.ascontiguousarray(pixels)).txts or ())


def _load() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": SURE,
            "Global.use_cls": False,  # it turns lines upside down that are not
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECT,
            "Rec.rec_batch_num": 1,  # lines of one length are rare: a batch of six takes longer, and 60 MB more
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def told(lines: list[str]) -> str:
    text = "\n".join(lines)
    if len(text) > LENGTH:
        text = text[:LENGTH].rsplit(maxsplit=1)[0] + " …"
    return f'Its text reads: "{text}"' if text else ""


def create(argument: str, resources: Resources) -> RapidOCREyes:
    del argument, resources
    if find_spec("rapidocr") is None:
        raise EngineError("The package rapidocr is not installed: pip install rapidocr")
    return RapidOCREyes()
