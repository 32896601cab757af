"""What speakers say: clips cut into the frames that carry them, with the places where their sound begins and ends."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from msgspec import Struct
from websockets.frames import Frame, Opcode

from openlive.audio import AudioError, read_wav, to_wav
from openlive.types import INPUT_RATE, OUTPUT_RATE, Voice

CHUNK_MS = 20
CHUNK = INPUT_RATE * CHUNK_MS // 1000
"""Samples of one message."""
FRAME_MS = 10
BELOW_PEAK, ABOVE_FLOOR, AT_LEAST = 30.0, 10.0, 20.0
"""dB. Sound is what is less than the first below the loudest frame and more than the second above the quietest tenth,
and at least what is less than the third below the loudest: so that final fricatives are sound, breath and the noise of
a room are not."""
RUN = 3
"""Frames in a row that make it sound: a click is none."""

QUESTIONS = (
    "What is the capital of Italy?",
    "How are you today?",
    "What is two plus three?",
    "Which planet is the largest one?",
    "Can you tell me a short joke?",
    "What color is the sky?",
    "Who wrote Romeo and Juliet?",
    "How many days does a week have?",
    "What do bees make?",
    "Could you recommend a good book?",
)
"""Asked by `latency`; spoken by the voices in turn."""
VOICES = ("Kore", "Puck", "Aoede", "Fenrir")


class Clip(Struct, frozen=True):
    """`messages`: one per chunk. The sound is from sample `onset` to `end`, which is excluded. `frames`: those that
    carry the messages, ready to be written."""

    name: str
    messages: tuple[bytes, ...]
    onset: int
    end: int
    frames: tuple[bytes, ...] = ()

    @property
    def seconds(self) -> float:
        return len(self.messages) * CHUNK_MS / 1000


def clip(name: str, pcm: bytes) -> Clip:
    """Of s16le mono at 16 kHz, padded to whole chunks. Raises `AudioError` where it is silent."""
    found = sound(pcm, INPUT_RATE)
    if found is None:
        raise AudioError(f"{name}: there is no sound in it.")
    size = 2 * CHUNK
    chunks = [pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size)]
    messages = tuple(message(chunk) for chunk in chunks)
    return Clip(name, messages, *found, tuple(map(framed, messages)))


def message(pcm: bytes) -> bytes:
    """The realtimeInput that carries s16le mono at 16 kHz."""
    data = base64.b64encode(pcm)
    return b'{"realtimeInput":{"audio":{"data":"%b","mimeType":"audio/pcm;rate=%d"}}}' % (data, INPUT_RATE)


def framed(text: bytes) -> bytes:
    """The WebSocket frame of a client's text message, made once for as many times as it is sent."""
    return Frame(Opcode.TEXT, text).serialize(mask=True)


def sound(pcm: bytes, rate: int) -> tuple[int, int] | None:
    """Where the sound begins and ends in s16le mono, in samples to the frame of 10 ms; None where there is none."""
    size = rate * FRAME_MS // 1000
    samples = np.frombuffer(pcm[: len(pcm) // (2 * size) * 2 * size], "<i2").astype(np.float64).reshape(-1, size)
    if not samples.size or not samples.any():
        return None
    levels = np.sqrt((samples**2).mean(axis=1))
    floor = max(levels.max() / _times(BELOW_PEAK), np.percentile(levels, 10) * _times(ABOVE_FLOOR))
    loud = levels > min(floor, levels.max() / _times(AT_LEAST))
    runs = np.convolve(loud, np.ones(RUN), "valid") == RUN if len(loud) >= RUN else np.zeros(0)
    starts = np.flatnonzero(runs)
    return (int(starts[0]) * size, int(starts[-1] + RUN) * size) if len(starts) else None


def _times(decibels: float) -> float:
    return float(10 ** (decibels / 20))


def read_clips(files: Sequence[Path]) -> list[Clip]:
    """Of WAV files. Raises `AudioError`."""
    return [clip(file.name, read_wav(file)) for file in files]


@cache
def shipped() -> Clip:
    """The question that comes with openlive: "What is the capital of France?"."""
    from openlive.cli.demo import shipped_question

    return clip("question.wav", shipped_question())


def synthesised(texts: Sequence[str], weights: Callable[[str], Path]) -> list[Clip]:
    """The texts as Kokoro says them. `weights` gives the folder of a catalogue entry."""
    return [clip(name, pcm) for name, pcm in spoken(texts, weights)]


def spoken(texts: Sequence[str], weights: Callable[[str], Path]) -> list[tuple[str, bytes]]:
    """The same as s16le mono at 16 kHz."""
    from openlive.engines.api import Resources
    from openlive.engines.tts.kokoro import engine as kokoro

    engine = kokoro.create("", Resources(weights, os.cpu_count() or 1, 0))
    try:
        speeches = [engine.render_clause(text, Voice(VOICES[i % len(VOICES)]), "en") for i, text in enumerate(texts)]
    finally:
        asyncio.run(engine.close())
    return [(t, read_wav(to_wav(s.pcm, OUTPUT_RATE))) for t, s in zip(texts, speeches, strict=True)]
