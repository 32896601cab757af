"""What `turns.py` listens to: recordings, and sentences (`turns.json`) that Kokoro speaks.

Not finished is a recording up to a pause inside it, and the first part of a sentence that is written with a `|`: once
with a comma after it, once as if it were all. Finished are whole recordings and whole sentences. The silence that ends
a turn (core/listening/endpointing.py) was first chosen on `tuned`; `fresh` was written afterwards.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from openlive.audio import read_wav, to_wav
from openlive.engines.api import Resources
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.models import ensure
from openlive.types import INPUT_RATE, OUTPUT_RATE, Voice

SPEECH = Path(__file__).parent.parent / "speech"
VOICES = ("Puck", "Kore", "Charon", "Aoede", "Zephyr", "Leda", "Orus", "Fenrir")
STEP = INPUT_RATE // 100
PAUSE, QUIET = 6, 0.04
"""A pause inside a recording: so many steps of 10 ms at less than this part of its loudest one."""
EDGE = INPUT_RATE // 2
"""No pause is looked for so close to either end."""

ByLanguage = dict[str, tuple[str, ...]]


class Sentences(Struct, frozen=True, forbid_unknown_fields=True):
    hesitant: ByLanguage
    complete: ByLanguage


class BargeIn(Struct, frozen=True, forbid_unknown_fields=True):
    back_channels: ByLanguage
    interruptions: ByLanguage


class TurnSet(Struct, frozen=True, forbid_unknown_fields=True):
    tuned: Sentences
    fresh: Sentences
    barge_in: BargeIn


class Clip(Struct, frozen=True):
    """`audio` is s16le mono 16 kHz; `group` human, synthetic, tuned, fresh, or of what a barge-in is made."""

    name: str
    group: str
    finished: bool
    audio: bytes


def turn_set() -> TurnSet:
    return msgspec.json.decode((Path(__file__).parent / "sets" / "turns.json").read_bytes(), type=TurnSet)


def recordings() -> Iterator[Clip]:
    """Those in tests/speech, whole and up to each pause."""
    for group, clips in json.loads((SPEECH / "transcripts.json").read_bytes()).items():
        for clip in clips:
            audio, name = read_wav(SPEECH / clip["file"]), Path(clip["file"]).stem
            yield Clip(name, group, not name.endswith("pause_a"), audio)
            for at in pauses(audio):
                yield Clip(f"{name} up to {at / INPUT_RATE:.2f} s", group, False, audio[: 2 * at])


def pauses(audio: bytes) -> list[int]:
    """Where each begins, in samples."""
    samples = np.frombuffer(audio, "<i2").astype(np.float64)
    steps = len(samples) // STEP
    level = np.sqrt((samples[: steps * STEP].reshape(steps, STEP) ** 2).mean(axis=1))
    quiet = [*(level < QUIET * level.max()), False]
    found, begin = [], None
    for i, silent in enumerate(quiet):
        if silent and begin is None:
            begin = i
        elif not silent and begin is not None:
            if i - begin >= PAUSE and begin * STEP > EDGE and i * STEP < len(samples) - EDGE:
                found.append(begin * STEP)
            begin = None
    return found


class Speaker:
    """Speaks with one voice after the other; keeps what it has spoken in `folder`, where there is one."""

    def __init__(self, folder: Path | None) -> None:
        self._engine = kokoro.create("", Resources(ensure, os.cpu_count() or 1, 0))
        self._voices = cycle(VOICES)
        self._folder = folder

    def close(self) -> None:
        asyncio.run(self._engine.close())

    def say(self, text: str, language: str) -> bytes:
        """s16le mono 16 kHz, up to the last sound."""
        voice = next(self._voices)
        kept = self._folder / f"{voice} {language} {text}.wav".replace("/", "_") if self._folder else None
        if kept is not None and kept.exists():
            return read_wav(kept)
        speech = self._engine.render_clause(text, Voice(voice, language), language)
        spoken = to_wav(speech.pcm[: 2 * speech.words[-1].end], OUTPUT_RATE)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(spoken)
        return read_wav(spoken)


def spoken(speaker: Speaker, group: str, sentences: Sentences) -> Iterator[Clip]:
    for language, texts in sentences.hesitant.items():
        for text in texts:
            first, _, _ = text.partition("|")
            whole = text.replace("|", " ")
            for said, finished in ((first, False), (first + ",", False), (whole, True)):
                yield Clip(said, group, finished, speaker.say(said, language))
    for language, texts in sentences.complete.items():
        for text in texts:
            yield Clip(text, group, True, speaker.say(text, language))
