"""Speaks with espeak-ng itself: a formant synthesiser, plain to hear as a machine, that knows more than a hundred
languages and takes a few milliseconds for a clause. It runs in the child process of `phonemes.EspeakPhonemizer`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import soxr
from msgspec.structs import replace

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.engines.text.languages import bare_language
from openlive.engines.text.scripts import language_of, map_runs
from openlive.engines.tts.g2p.phonemes import EspeakPhonemizer, find_dialect
from openlive.engines.tts.kokoro.voices import VOICES, canonical_name
from openlive.engines.tts.text.normalise import estimate_word_times, normalise_text
from openlive.types import OUTPUT_RATE, Speech, Voice

VARIANTS = {"f": ("f1", "f2", "f3", "f4", "f5"), "m": ("m1", "m2", "m3", "m4", "m5", "m6", "m7")}
"""espeak-ng's variants of a voice, by gender."""
PITCHES = (50, 35, 65)
PER_SEMITONE = 6.0
"""Steps of espeak-ng's pitch, as measured around its middle."""


class EspeakTTS:
    """A `TTS`."""

    def __init__(self, espeak: EspeakPhonemizer) -> None:
        self._espeak = espeak
        self._workers = WorkerPool(1, "espeak")

    @property
    def voices(self) -> Sequence[str]:
        return tuple(VOICES)

    async def close(self) -> None:
        """Ends its thread and the process of espeak-ng."""
        self._workers.close()
        await asyncio.to_thread(self._espeak.close)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        if (name := canonical_name(voice.name)) not in VOICES:
            raise ValueError(f"espeak-ng has no voice named {voice.name!r}")
        speaker = replace(voice, name=name)
        language = voice.expected or "en"
        before = ""
        async for clause in text:
            language = language_of(clause, voice.language, language)
            yield await self._workers.run(self._render_job(clause, speaker, language, before), 0)
            before = clause

    def _render_job(self, clause: str, voice: Voice, language: str, before: str) -> Callable[[Abort], Speech]:
        return lambda _: self.render_clause(clause, voice, language, before)

    def render_clause(self, clause: str, voice: Voice, language: str, before: str = "") -> Speech:
        """One clause in one language, a bare code, after the clause `before` (blocking, for a few milliseconds)."""
        if not (spoken := normalise_text(clause, language, voice.language, before)):
            return Speech(b"", clause)
        variant, pitch = find_variant_and_pitch(voice.name)
        height = min(max(pitch + PER_SEMITONE * voice.pitch, 0), 100)
        volume = min(100 * 10 ** (voice.gain / 20), 200)

        def speak_run(code: str, words: str) -> tuple[int, bytes]:
            return self._espeak.synthesise_speech(
                f"{find_dialect(code).espeak}+{variant}", words, voice.speed, height, volume
            )

        pieces = map_runs(speak_run, spoken, language, (bare_language(voice.language), voice.expected))
        if not (pcm := b"".join(piece for _, piece in pieces)):
            return Speech(b"", clause)
        rate = pieces[0][0]
        audio = soxr.resample(np.frombuffer(pcm, "<i2"), rate, OUTPUT_RATE)
        return Speech(audio.astype("<i2").tobytes(), clause, tuple(estimate_word_times(clause, 0, len(audio))))


def create(argument: str, _: Resources) -> EspeakTTS:
    """The factory. It takes no argument and needs no weights."""
    if argument:
        raise EngineError(f"The tts engine 'espeak' takes no argument; it was given {argument!r}.")
    engine = EspeakTTS(EspeakPhonemizer())
    engine.render_clause("Hello.", Voice("Puck"), "en-us")
    return engine


def find_variant_and_pitch(name: str) -> tuple[str, int]:
    """espeak-ng's variant and pitch (0 to 100) for a name of the API's, no two alike; any other name counts as Puck."""
    gender = VOICES.get(name, VOICES["Puck"])[1]
    alike = [known for known, kokoro in VOICES.items() if kokoro[1] == gender]
    place = alike.index(name) if name in alike else 0
    variants = VARIANTS[gender]
    return variants[place % len(variants)], PITCHES[place // len(variants)]
