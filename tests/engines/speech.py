"""Recordings and helpers for the tests of the hearing engines."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import wave
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from openlive.engines.api import STT, VAD, Judged, Resources
from openlive.engines.runtime.workers import Abort, AbortedError
from openlive.types import Transcript

SPEECH = Path(__file__).parent.parent / "speech"
TRANSCRIPTS = json.loads((SPEECH / "transcripts.json").read_text())
CHUNK = 3200
"""Bytes of 100 ms."""
FRAME = 512
"""Samples that a detector judges at once."""
NUMERALS = {"4": "four", "7": "seven", "8": "eight", "10": "ten", "mr": "mister"}


def pcm(name: str) -> bytes:
    """The samples of a recording, s16le mono 16 kHz."""
    with wave.open(str(SPEECH / name)) as file:
        return bytes(file.readframes(file.getnframes()))


def resources(threads: int = 2) -> Resources:
    from openlive.models import ensure

    return Resources(weights=ensure, threads=threads, memory=4 << 30)


def ends_when_aborted(work: Callable[[Abort], object]) -> None:
    """Aborted after a quarter of its time, it is over before half of it."""
    begun = time.perf_counter()
    work(Abort())
    whole = time.perf_counter() - begun
    abort, begun = Abort(), time.perf_counter()
    threading.Timer(whole / 4, abort.set).start()
    with pytest.raises(AbortedError):
        work(abort)
    assert time.perf_counter() - begun < whole / 2


def words(text: str) -> str:
    """The text without case and punctuation, numbers as words."""
    plain = re.sub(r"[^\w\s]", " ", text.lower()).split()
    return " ".join(NUMERALS.get(word, word) for word in plain)


class Detector:
    """A detector's stream whose frames are waited for."""

    def __init__(self, vad: VAD) -> None:
        self._told: asyncio.Queue[Judged] = asyncio.Queue()
        self._stream = vad.stream(self._told.put_nowait)
        self._open = 0
        self.close = self._stream.close

    async def push(self, audio: bytes) -> list[tuple[float, int]]:
        """Those that have become whole."""
        self._open += len(audio) // 2
        self._stream.push(audio)
        frames: list[tuple[float, int]] = []
        while self._open >= FRAME:
            if isinstance(found := await self._told.get(), Exception):
                raise found
            frames += found
            self._open -= FRAME * len(found)
        return frames


async def chunks(audio: bytes, size: int = CHUNK) -> AsyncIterator[bytes]:
    """The audio, then a flush."""
    for at in range(0, len(audio), size):
        yield audio[at : at + size]
    yield b""


async def all_of(stt: STT, audio: AsyncIterator[bytes], languages: Sequence[str] = ()) -> list[Transcript]:
    return [transcript async for transcript in stt.transcribe(audio, languages=languages)]


def hear(stt: STT, audio: bytes, languages: Sequence[str] = ()) -> Transcript:
    """The final transcript of the audio."""
    heard = asyncio.run(all_of(stt, chunks(audio), languages))
    finals = [transcript for transcript in heard if transcript.final]
    assert len(finals) == 1
    assert heard[-1] is finals[0]
    return finals[0]
