"""The default ears: Moonshine for English, Whisper for every other language, decided for each utterance.

Which of them hears is settled by the hints (languages.py) where they allow one language only. Otherwise:

- English or nothing is expected: Moonshine reads first. It is confident of English and of nothing else: the mean
  log-probability of its tokens was above -0.35 in 43 of 44 English samples, below it in all other languages' sentences
  of three words and more. So an English speaker pays for one pass, and Whisper isn't even loaded. Where Moonshine has
  doubts, Whisper detects the language, and reads the same encoding; where that is English after all, what it reads is a
  second opinion: of noise it says that nothing was said, where Moonshine finds a sentence.
- Another language is expected: Whisper encodes and detects, and reads unless it is English.

Nothing is decided for good before `ENOUGH` speech was heard; while the user speaks, a doubtful text is held back. What
is shorter than `SHORT` is heard as a single word (single_words.py).

Where words are to be told with their offsets, Whisper finds them, whoever has read the text: Moonshine's graph gives
nothing that tells when it heard a token. So the transcript is the same with offsets and without.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from openlive.engines.api import Resources
from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.engines.stt import moonshine, single_words, whisper
from openlive.engines.stt.common_words import normalise_words
from openlive.engines.stt.incremental import Hints, PassResult, ThreadedPassRunner, transcribe_incrementally
from openlive.engines.stt.language_hints import ENOUGH, LanguageConstraint, choose_language, parse_language_hints
from openlive.engines.stt.segment import Samples, sounding_seconds
from openlive.types import INPUT_RATE, Transcript

ENGLISH = "en"
SURE, SURE_IF_EXPECTED = -0.35, -0.45
"""Moonshine's confidence from which it is English: with nothing known, and where English was spoken last."""
HOPELESS = -0.6
"""Confidence below which it isn't worth waiting for more before Whisper is asked."""
PATIENCE = 3.0
"""Seconds of doubt after which Whisper is asked in any case, though the user is still speaking."""
SHORT = 1.0
"""Seconds of sound below which it is a word or two: too little to know a language by."""


AGREEMENT = 1 / 3
"""The share of Moonshine's words that Whisper has to read, too, where Moonshine has doubts: of speech that one of them
mishears most words agree, of noise none (`tests/bench/hears`)."""


class LanguageRoute(Struct, frozen=True):
    """What is known about an utterance: its language once that is settled, Moonshine's tokens so far."""

    language: str = ""
    draft: tuple[int, ...] = ()


class AutoSTT:
    def __init__(self, english: moonshine.MoonshineModel, others: whisper.WhisperModel, workers: WorkerPool) -> None:
        self._english = english
        self._others = others
        self._workers = workers

    def transcribe(
        self,
        audio: AsyncIterator[bytes],
        *,
        languages: Sequence[str] = (),
        phrases: Sequence[str] = (),
        words: bool = False,
    ) -> AsyncIterator[Transcript]:
        return transcribe_incrementally(
            ThreadedPassRunner(self, self._workers), audio, Hints(tuple(languages), tuple(phrases), words)
        )

    async def close(self) -> None:
        """Ends its threads."""
        self._workers.close()

    def recognise_segment(
        self, samples: Samples, hints: Hints, memo: LanguageRoute | None, abort: Abort, *, final: bool
    ) -> PassResult:
        if hints.words:
            self._others.load_weights()  # while the user speaks, not when the answer is waited for
        heard = self._recognise_routed(samples, hints, memo, abort, final=final)
        if heard.language == ENGLISH and heard.text and hints.phrases:
            text = moonshine.prefer_expected_words(self._english, samples, heard.text, hints.phrases, abort)
            heard = replace(heard, text=text)
        if not (final and hints.words and heard.text) or heard.words:
            return heard
        abort.raise_if_aborted()
        encoded = self._others.encode(samples, final=False)
        return replace(heard, words=self._others.align_words(encoded, heard.language, heard.text, samples))

    def _recognise_routed(
        self, samples: Samples, hints: Hints, memo: LanguageRoute | None, abort: Abort, *, final: bool
    ) -> PassResult:
        wish = parse_language_hints(hints.languages, whisper.LANGUAGES)
        route = memo or LanguageRoute(wish.only_language)
        short = sounding_seconds(samples) < SHORT
        if short and final:
            return self._recognise_single_word(samples, hints, wish, route, abort)
        heard = self._recognise_long(samples, hints, wish, route, abort, final=final)
        return replace(heard, needs_final_pass=True) if short else heard

    def _recognise_long(
        self,
        samples: Samples,
        hints: Hints,
        wish: LanguageConstraint,
        route: LanguageRoute,
        abort: Abort,
        *,
        final: bool,
    ) -> PassResult:
        if not route.language and (wish.first not in {"", ENGLISH} or not wish.allows_language(ENGLISH)):
            return self._recognise_with_whisper(samples, hints, route, abort, final=final)
        if route.language not in {"", ENGLISH}:
            return self._recognise_with_whisper(samples, hints, route, abort, final=final)
        reading = self._english.decode_samples(samples, route.draft, abort)
        if moonshine.is_noise(reading.text):
            return PassResult("", memo=replace(route, draft=reading.tokens))
        if reading.confidence >= (SURE_IF_EXPECTED if route.language or wish.first else SURE):
            return self._english_result(reading, settled=bool(route.language))
        if not final and not is_worth_detecting(reading.confidence, len(samples) / INPUT_RATE):
            return PassResult("", needs_final_pass=True, memo=replace(route, draft=reading.tokens))
        return self._recognise_with_whisper(samples, hints, route, abort, final=final, reading=reading)

    def _english_result(self, reading: moonshine.MoonshineReading, *, settled: bool) -> PassResult:
        text = reading.text if moonshine.is_credible(reading) else ""
        memo = LanguageRoute(ENGLISH if settled else "", reading.tokens)
        return PassResult(text, ENGLISH, memo=memo, next_segment_memo=LanguageRoute(ENGLISH))

    def _recognise_with_whisper(
        self,
        samples: Samples,
        hints: Hints,
        route: LanguageRoute,
        abort: Abort,
        *,
        final: bool,
        reading: moonshine.MoonshineReading | None = None,
    ) -> PassResult:
        """Encodes, detects unless the language is settled, lets whoever knows it read (`reading`: Moonshine has, and
        doubts it)."""
        wish = parse_language_hints(hints.languages, whisper.LANGUAGES)
        seconds = len(samples) / INPUT_RATE
        encoded = self._others.encode(samples, final=final)
        abort.raise_if_aborted()
        language = route.language or choose_language(self._others.detect_language(encoded), wish, seconds)
        settled = bool(route.language) or seconds >= ENOUGH
        if language == ENGLISH:
            reading = reading or self._english.decode_samples(samples, route.draft, abort)
            abort.raise_if_aborted()
            best = self._others.find_hypotheses(encoded, language, seconds)[0]
            return self._weigh_english(reading, best, settled=settled)
        abort.raise_if_aborted()
        text = self._others.decode_text(encoded, language, seconds, hints.phrases)
        timed = self._others.align_words(encoded, language, text, samples) if final and hints.words and text else ()
        memo = LanguageRoute(language) if settled else LanguageRoute(draft=reading.tokens if reading else ())
        return PassResult(text, language, timed, memo=memo, next_segment_memo=LanguageRoute(language))

    def _weigh_english(
        self, reading: moonshine.MoonshineReading, best: whisper.Hypothesis, *, settled: bool
    ) -> PassResult:
        """English that Moonshine doubts: what Whisper reads in the same bears it out, or is better, or nothing was
        said."""
        if best.is_credible and word_agreement(reading.text, best.text) >= AGREEMENT:
            return self._english_result(reading, settled=settled)
        if best.is_credible and best.score >= whisper.POOR:
            return PassResult(
                best.text,
                ENGLISH,
                memo=LanguageRoute(ENGLISH if settled else "", reading.tokens),
                next_segment_memo=LanguageRoute(ENGLISH),
            )
        return PassResult("", ENGLISH, memo=LanguageRoute(draft=reading.tokens))

    def _recognise_single_word(
        self, samples: Samples, hints: Hints, wish: LanguageConstraint, route: LanguageRoute, abort: Abort
    ) -> PassResult:
        """One pass of each recogniser that may know the word, weighed. No language is settled by it."""
        expected = route.language or wish.first
        reading = None
        if expected in {"", ENGLISH} and wish.allows_language(ENGLISH):
            reading = self._english.decode_samples(samples, route.draft, abort)
            if moonshine.is_noise(reading.text):
                return PassResult("", memo=replace(route, draft=reading.tokens))
            if single_words.is_certain_english(reading, expected):
                return self._english_result(reading, settled=False)
        draft = reading.tokens if reading else ()
        found = single_words.recognise_short_utterance(
            self._others, samples, wish, abort, phrases=hints.phrases, expected=expected, reading=reading
        )
        memo = LanguageRoute(route.language or wish.only_language, draft)
        return PassResult(found.text, found.language, memo=memo, next_segment_memo=memo)


def word_agreement(text: str, other: str) -> float:
    """The share of the words of `text` that are in `other`, too."""
    words, others = normalise_words(text).split(), set(normalise_words(other).split())
    return sum(word in others for word in words) / len(words) if words else 0.0


def is_worth_detecting(confidence: float, seconds: float) -> bool:
    """Whether Whisper should detect the language now, though the user is still speaking."""
    return seconds >= PATIENCE or (seconds >= ENOUGH and confidence < HOPELESS)


def create(argument: str, resources: Resources) -> AutoSTT:  # noqa: ARG001
    """Loads Moonshine; Whisper's weights are made sure of, and loaded when they are needed first."""
    others: Path = resources.weights("whisper-base")
    english = moonshine.MoonshineModel(resources.weights("moonshine-tiny-en"))
    return AutoSTT(english, whisper.WhisperModel(others, resources.threads), WorkerPool(resources.threads, "listener"))
