"""Speaks with Kokoro-82M on onnxruntime, clause by clause.

One inference at a time, in a thread of the engine's own: two at once on the same cores are slower than one after the
other. Clauses of several speakers take turns, and a reply's first clause goes before everybody's later ones. One that
nobody waits for any more ends at once, so that the next has the cores.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from openlive.engines.api import EngineError, Resources, parse_voices
from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.engines.text.languages import bare_language
from openlive.engines.text.scripts import language_of, map_runs
from openlive.engines.tts.chunking import ClauseChunker
from openlive.engines.tts.g2p.phonemes import (
    VOCABULARY,
    Dialect,
    EspeakPhonemizer,
    Phonemizer,
    ends_in_vowel,
    find_dialect,
)
from openlive.engines.tts.kokoro.network import Infer, load_network
from openlive.engines.tts.kokoro.voices import (
    VOICES,
    Style,
    StyleTables,
    apply_manner,
    canonical_name,
    find_kokoro_voice,
)
from openlive.engines.tts.silence import LEAD, Audio, to_pcm, trim_silence
from openlive.engines.tts.text.normalise import estimate_word_times, normalise_text
from openlive.engines.tts.voice_style import apply_pitch_and_gain, network_pace
from openlive.types import OUTPUT_RATE, Speech, Voice

MOST = 510
"""Phonemes that one inference takes (docs/models.md#text-to-speech)."""
LONG = (24,)
"""Words from which a clause is cut again: Kokoro's own quality falls off in long ones, and others are waiting."""
FIRST, LATER = 0, 1
"""Priorities: a first clause is somebody waiting in silence, a later one is played when the one before it ends."""


class KokoroTTS:
    """A `TTS`. `infer` is the network (called in one thread), `voices` a folder of style tables. `chosen` are voices
    that names have in the place of ours."""

    def __init__(
        self,
        infer: Infer,
        voices: Path,
        phonemizer: Phonemizer,
        chosen: Mapping[str, str] | None = None,
    ) -> None:
        self._infer = infer
        self._styles = StyleTables(voices)
        self._phonemizer = phonemizer
        self._chosen = dict(chosen or {})
        for name, voice in self._chosen.items():
            if name not in VOICES:
                raise EngineError(f"There is no voice named {name!r}; the names are {', '.join(VOICES)}.")
            if voice not in self._styles:
                raise EngineError(f"{name} cannot be {voice!r}: Kokoro has no voice of this name.")
        self._workers = WorkerPool(1, "kokoro")

    @property
    def voices(self) -> Sequence[str]:
        return tuple(VOICES)

    def warm_up(self) -> None:
        """One short inference (blocking): the first one is slow, and what is missing or broken shows now."""
        self.render_clause("Hello.", Voice("Puck"), "en")

    async def close(self) -> None:
        """Ends its thread and the process of espeak-ng."""
        self._workers.close()
        await asyncio.to_thread(self._phonemizer.close)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        if not (name := canonical_name(voice.name)) or find_kokoro_voice(name, "en") not in self._styles:
            raise ValueError(f"Kokoro has no voice named {voice.name!r}")
        speaker = replace(voice, name=name)
        language = voice.expected or "en"
        priority, before = FIRST, ""
        async for clause in text:
            for part in _split_clause(clause):
                language = language_of(part, voice.language, language)
                speech = await self._workers.run(self._render_job(part, speaker, language, before), priority)
                priority, before = LATER if speech.pcm else priority, part
                yield speech

    def _render_job(self, clause: str, voice: Voice, language: str, before: str) -> Callable[[Abort], Speech]:
        return lambda abort: self.render_clause(clause, voice, language, abort, before)

    def render_clause(
        self, clause: str, voice: Voice, language: str, abort: Abort | None = None, before: str = ""
    ) -> Speech:
        """One clause in one language, after the clause `before` (blocking); `AbortedError` where the abort comes first.
        Only the engine's own thread may call it once others are speaking."""
        spoken = normalise_text(clause, language, voice.language, before)
        name = find_kokoro_voice(voice.name, language, self._chosen)
        phonemes = self._to_phonemes(spoken, language, voice)
        if not phonemes:
            return Speech(b"", clause)
        style, voice = self._styles[name], apply_manner(voice, language, self._chosen)
        pieces = [self._piece(run, style, voice, abort or Abort()) for run in _split_phonemes(phonemes)]
        audio = np.concatenate([piece for piece, _ in pieces])
        end = len(audio) - len(pieces[-1][0]) + pieces[-1][1]
        return Speech(to_pcm(audio), clause, tuple(estimate_word_times(clause, min(LEAD, end), end)))

    def _to_phonemes(self, spoken: str, language: str, voice: Voice) -> str:
        """Words in another script have those of a language that is written in it; the voice says them all."""
        name = find_kokoro_voice(voice.name, language, self._chosen)

        def convert_run(code: str, words: str) -> str:
            return self._phonemizer.to_phonemes(words, _choose_dialect(code, voice.language, name))

        return " ".join(
            filter(None, map_runs(convert_run, spoken, language, (bare_language(voice.language), voice.expected)))
        )

    def _piece(self, phonemes: str, style: Style, voice: Voice, abort: Abort) -> tuple[Audio, int]:
        """One inference, without what the network adds before and after the voice, and where that ends (samples)."""
        return trim_silence(
            self._run_network(phonemes, style, voice, abort), phonemes[-1], voiced=ends_in_vowel(phonemes)
        )

    def _run_network(self, phonemes: str, style: Style, voice: Voice, abort: Abort) -> Audio:
        tokens = [VOCABULARY[p] for p in phonemes]
        row = style[min(len(tokens), len(style) - 1)]
        audio = self._infer(np.array([[0, *tokens, 0]], np.int64), row, network_pace(voice), abort)
        return apply_pitch_and_gain(audio, OUTPUT_RATE, voice)


def create(argument: str, resources: Resources) -> KokoroTTS:
    """The factory. It takes no argument. In the engine's table, `threads` overrides the machine's share, and `voices`
    gives names other voices: `{ Puck = "am_liam" }`."""
    if argument:
        raise EngineError(f"The tts engine 'kokoro' takes no argument; it was given {argument!r}.")
    model = resources.weights("kokoro") / "kokoro-v1.0.int8.onnx"
    threads = int(resources.settings.get("threads", resources.threads))
    chosen = parse_voices(resources.settings, "kokoro", "am_liam")
    engine = KokoroTTS(load_network(model, threads), resources.weights("kokoro-voices"), EspeakPhonemizer(), chosen)
    engine.warm_up()
    return engine


def _choose_dialect(language: str, hint: str, name: str) -> Dialect:
    """English as the voice was taught it (`bm_george` is British) unless the hint says which; else the language's."""
    if language != "en":
        return find_dialect(language)
    region = hint.lower().removeprefix("en-") if hint.lower().startswith("en-") else ""
    british = region in {"gb", "au", "in", "ie", "nz", "za"} if region else name.startswith("b")
    return find_dialect("en-gb" if british else "en-us")


def _split_clause(clause: str) -> Iterator[str]:
    """The clause, or several where it is too long to be rendered at once; joined they are the clause."""
    cutter = ClauseChunker(LONG) if len(clause) > 240 else None
    if cutter is None:
        yield clause
        return
    yield from cutter.feed(clause)
    if rest := cutter.flush():
        yield rest


def _split_phonemes(phonemes: str) -> Iterator[str]:
    """Runs that fit one inference, parted at spaces where there are any."""
    while len(phonemes) > MOST:
        at = phonemes.rfind(" ", MOST // 2, MOST)
        at = at if at > 0 else MOST
        yield phonemes[:at]
        phonemes = phonemes[at:].strip()
    yield phonemes
