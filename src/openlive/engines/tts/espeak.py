"""Speaks with espeak-ng itself: a formant synthesiser, plain to hear as a machine, that knows more than a hundred
languages and takes a few milliseconds for a clause. It runs in the child process of `phonemes.Espeak`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import soxr
from msgspec.structs import replace

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.workers import Abort, Workers
from openlive.engines.text.languages import bare
from openlive.engines.text.scripts import each_run, language_of
from openlive.engines.tts.g2p.phonemes import Espeak, dialect
from openlive.engines.tts.kokoro.voices import VOICES, canonical
from openlive.engines.tts.text.normalise import speakable, timed
from openlive.types import OUTPUT_RATE, Speech, Voice

VARIANTS = {"f": ("f1", "f2", "f3", "f4", "f5"), "m": ("m1", "m2", "m3", "m4", "m5", "m6", "m7")}
"""espeak-ng's variants of a voice, by gender."""
PITCHES = (50, 35, 65)
PER_SEMITONE = 6.0
"""Steps of espeak-ng's pitch, as measured around its middle."""


class EspeakVoice:
    """A `TTS`."""

    def __init__(self, espeak: Espeak) -> None:
        self._espeak = espeak
        self._workers = Workers(1, "espeak")

    @property
    def voices(self) -> Sequence[str]:
        return tuple(VOICES)

    async def close(self) -> None:
        """Ends its thread and the process of espeak-ng."""
        self._workers.close()
        await asyncio.to_thread(self._espeak.close)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        if (name := canonical(voice.name)) not in VOICES:
            raise ValueError(f"espeak-ng has no voice named {voice.name!r}")
        speaker = replace(voice, name=name)
        language = voice.expected or "en"
        before = ""
        async for clause in text:
            language = language_of(clause, voice.language, language)
            yield await self._workers.run(self._job(clause, speaker, language, before), 0)
            before = clause

    def _job(self, clause: str, voice: Voice, language: str, before: str) -> Callable[[Abort], Speech]:
        return lambda _: self.render(clause, voice, language, before)

    def render(self, clause: str, voice: Voice, language: str, before: str = "") -> Speech:
        """One clause in one language, a bare code, after the clause `before` (blocking, for a few milliseconds)."""
        if not (spoken := speakable(clause, language, voice.language, before)):
            return Speech(b"", clause)
        variant, pitch = timbre(voice.name)
        height = min(max(pitch + PER_SEMITONE * voice.pitch, 0), 100)
        volume = min(100 * 10 ** (voice.gain / 20), 200)

        def speech(code: str, words: str) -> tuple[int, bytes]:
            return self._espeak.speech(f"{dialect(code).espeak}+{variant}", words, voice.speed, height, volume)

        pieces = each_run(speech, spoken, language, (bare(voice.language), voice.expected))
        if not (pcm := b"".join(piece for _, piece in pieces)):
            return Speech(b"", clause)
        rate = pieces[0][0]
        audio = soxr.resample(np.frombuffer(pcm, "<i2"), rate, OUTPUT_RATE)
        return Speech(audio.astype("<i2").tobytes(), clause, tuple(timed(clause, 0, len(audio))))


def create(argument: str, _: Resources) -> EspeakVoice:
    """The factory. It takes no argument and needs no weights."""
    if argument:
        raise EngineError(f"The tts engine 'espeak' takes no argument; it was given {argument!r}.")
    engine = EspeakVoice(Espeak())
    engine.render("Hello.", Voice("Puck"), "en-us")
    return engine


def timbre(name: str) -> tuple[str, int]:
    """espeak-ng's variant and pitch (0 to 100) for a name of the API's, no two alike; any other name counts as Puck."""
    gender = VOICES.get(name, VOICES["Puck"])[1]
    alike = [known for known, kokoro in VOICES.items() if kokoro[1] == gender]
    place = alike.index(name) if name in alike else 0
    variants = VARIANTS[gender]
    return variants[place % len(variants)], PITCHES[place // len(variants)]
