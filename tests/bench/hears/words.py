"""Single words (`words.json`), each by two voices, with pauses of 0 to 1 s before and after it.

`first` and `second` are those that the rules were made with, `aside` those that were set aside for them, `rare` a
control: words that nobody expects, and in no list.

English is spoken by Kokoro, Piper's Joe and espeak-ng, the other languages by Kokoro: espeak-ng is not understood
there.
What was rendered is kept in the user's cache folder.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import msgspec
import numpy as np
from msgspec import Struct

from openlive.audio import read_wav, to_wav
from openlive.engines.api import Resources
from openlive.engines.tts import espeak, piper
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.models import ensure
from openlive.models.cache import root
from openlive.types import INPUT_RATE, OUTPUT_RATE, Voice
from tests.bench.hears.sounds import noise, pcm

LONGEST_PAUSE = 1.0
NOISE = -66, -50
"""Loudness of the room in dBFS, for half of the clips; the others have none."""
EVERY = {
    "en": ("Kore", "Puck", "piper Puck", "Charon", "Zephyr", "Fenrir", "espeak Puck", "Leda", "Erinome", "Orus"),
    "de": ("if_sara", "em_alex"),
    "es": ("ef_dora", "em_alex", "em_santa"),
    "fr": ("ff_siwis", "ff_siwis+em_alex"),
    "it": ("if_sara", "im_nicola"),
    "pt": ("pf_dora", "pm_alex", "pm_santa"),
}
"""Those that grew up with the language, and the two that the product speaks German with."""
ROUNDS = 2
RENDERED = "2: without a hiss behind a vowel"
"""Changes whenever the voices do, so that nothing is kept of how they were."""


class Clip(Struct, frozen=True):
    """`spellings`: any of them is right. `audio` is s16le mono 16 kHz with its pauses."""

    name: str
    language: str
    spellings: tuple[str, ...]
    part: str
    audio: bytes


class Speaker:
    """Speaks with any of the built-in voices, each loaded when it is first needed."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or root().parent / "bench" / "spoken"
        self._engines: dict[str, Any] = {}

    def say(self, text: str, voice: str, language: str) -> bytes:
        """s16le mono 16 kHz. `voice`: a name of Kokoro's, or an engine and a name."""
        key = hashlib.sha256(f"{RENDERED}\n{voice}\n{language}\n{text}".encode()).hexdigest()[:16]
        kept = self._folder / f"{key}.wav"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            made = kept.with_suffix(".new")
            made.write_bytes(to_wav(self._render(text, voice, language), OUTPUT_RATE))
            made.replace(kept)
        return read_wav(kept)

    def close(self) -> None:
        for engine in self._engines.values():
            asyncio.run(engine.close())

    def _render(self, text: str, voice: str, language: str) -> bytes:
        kind, _, name = voice.rpartition(" ")
        engine = self._engine(kind or "kokoro")
        if kind == "piper":
            return anyio.run(_joined, engine, text, Voice(name, "en-US"))
        speech = engine.render_clause(text, Voice(name, language), language)
        return bytes(speech.pcm[: 2 * speech.words[-1].end])  # what Kokoro adds behind a word is none

    def _engine(self, kind: str) -> Any:
        factories: Mapping[str, Callable[..., Any]] = {
            "kokoro": kokoro.create,
            "piper": piper.create,
            "espeak": espeak.create,
        }
        if kind not in self._engines:
            self._engines[kind] = factories[kind]("", Resources(ensure, 1, 0))
        return self._engines[kind]


async def _joined(engine: Any, text: str, voice: Voice) -> bytes:
    async def clauses() -> Any:
        yield text

    return b"".join([speech.pcm async for speech in engine.speak(clauses(), voice)])


def clips(speaker: Speaker, parts: Collection[str]) -> Iterator[Clip]:
    chosen = msgspec.json.decode(
        Path(__file__).with_name("words.json").read_bytes(), type=dict[str, dict[str, tuple[str, ...]]]
    )
    for part, languages in chosen.items():
        if part not in parts:
            continue
        for language, texts in languages.items():
            random = np.random.default_rng((17, list(chosen).index(part), list(languages).index(language)))
            for number, text in enumerate(ROUNDS * texts):
                voices = EVERY[language]
                voice = voices[(number + number // len(texts)) % len(voices)]
                spellings = tuple(text.split("|"))
                word = speaker.say(f"{spellings[0]}.", voice, language)
                before, after = random.uniform(0, LONGEST_PAUSE, 2)
                audio = _in_a_room(random, before, _cut(word), after, noisy=bool(number % 2))
                name = f"{spellings[0]} ({voice}, {before:.2f} s before, {after:.2f} s after)"
                yield Clip(name, language, spellings, part, audio)


def _cut(word: bytes) -> bytes:
    """Without what is silent before and after it."""
    loud = np.flatnonzero(np.abs(np.frombuffer(word, "<i2").astype(np.int32)) > 160)
    return word[2 * loud[0] : 2 * loud[-1] + 2] if len(loud) else word


def _in_a_room(random: np.random.Generator, before: float, word: bytes, after: float, *, noisy: bool) -> bytes:
    silent = bytes(2 * round(before * INPUT_RATE)) + word + bytes(2 * round(after * INPUT_RATE))
    if not noisy:
        return silent
    samples = np.frombuffer(silent, "<i2").astype(np.float64) / 32767
    level = 10 ** (random.uniform(*NOISE) / 20)
    return pcm(samples + level * noise(random, len(samples) / INPUT_RATE + 1)[: len(samples)])
