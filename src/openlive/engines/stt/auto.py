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
from openlive.engines.runtime.workers import Abort, Workers
from openlive.engines.stt import moonshine, single_words, whisper
from openlive.engines.stt.common_words import plain
from openlive.engines.stt.incremental import Hints, Pass, Threads, transcribe
from openlive.engines.stt.language_hints import ENOUGH, Wanted, likeliest, wanted
from openlive.engines.stt.segment import Samples, sounding
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


class Route(Struct, frozen=True):
    """What is known about an utterance: its language once that is settled, Moonshine's tokens so far."""

    language: str = ""
    draft: tuple[int, ...] = ()


class Listener:
    def __init__(self, english: moonshine.Model, others: whisper.Model, workers: Workers) -> None:
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
        return transcribe(Threads(self, self._workers), audio, Hints(tuple(languages), tuple(phrases), words))

    async def close(self) -> None:
        """Ends its threads."""
        self._workers.close()

    def hear(self, samples: Samples, hints: Hints, memo: Route | None, abort: Abort, *, final: bool) -> Pass:
        if hints.words:
            self._others.load()  # while the user speaks, not when the answer is waited for
        heard = self._read(samples, hints, memo, abort, final=final)
        if heard.language == ENGLISH and heard.text and hints.phrases:
            text = moonshine.expecting(self._english, samples, heard.text, hints.phrases, abort)
            heard = replace(heard, text=text)
        if not (final and hints.words and heard.text) or heard.words:
            return heard
        abort.check()
        encoded = self._others.encode(samples, final=False)
        return replace(heard, words=self._others.align(encoded, heard.language, heard.text, samples))

    def _read(self, samples: Samples, hints: Hints, memo: Route | None, abort: Abort, *, final: bool) -> Pass:
        wish = wanted(hints.languages, whisper.LANGUAGES)
        route = memo or Route(wish.only)
        short = sounding(samples) < SHORT
        if short and final:
            return self._single_word(samples, hints, wish, route, abort)
        heard = self._at_length(samples, hints, wish, route, abort, final=final)
        return replace(heard, tentative=True) if short else heard

    def _at_length(
        self, samples: Samples, hints: Hints, wish: Wanted, route: Route, abort: Abort, *, final: bool
    ) -> Pass:
        if not route.language and (wish.first not in {"", ENGLISH} or not wish.allows(ENGLISH)):
            return self._with_whisper(samples, hints, route, abort, final=final)
        if route.language not in {"", ENGLISH}:
            return self._with_whisper(samples, hints, route, abort, final=final)
        reading = self._english.read(samples, route.draft, abort)
        if moonshine.noise(reading.text):
            return Pass("", memo=replace(route, draft=reading.tokens))
        if reading.confidence >= (SURE_IF_EXPECTED if route.language or wish.first else SURE):
            return self._in_english(reading, settled=bool(route.language))
        if not final and not worth_asking(reading.confidence, len(samples) / INPUT_RATE):
            return Pass("", tentative=True, memo=replace(route, draft=reading.tokens))
        return self._with_whisper(samples, hints, route, abort, final=final, reading=reading)

    def _in_english(self, reading: moonshine.Reading, *, settled: bool) -> Pass:
        text = reading.text if moonshine.credible(reading) else ""
        memo = Route(ENGLISH if settled else "", reading.tokens)
        return Pass(text, ENGLISH, memo=memo, carry=Route(ENGLISH))

    def _with_whisper(
        self,
        samples: Samples,
        hints: Hints,
        route: Route,
        abort: Abort,
        *,
        final: bool,
        reading: moonshine.Reading | None = None,
    ) -> Pass:
        """Encodes, detects unless the language is settled, lets whoever knows it read (`reading`: Moonshine has, and
        doubts it)."""
        wish = wanted(hints.languages, whisper.LANGUAGES)
        seconds = len(samples) / INPUT_RATE
        encoded = self._others.encode(samples, final=final)
        abort.check()
        language = route.language or likeliest(self._others.detect(encoded), wish, seconds)
        settled = bool(route.language) or seconds >= ENOUGH
        if language == ENGLISH:
            reading = reading or self._english.read(samples, route.draft, abort)
            abort.check()
            best = self._others.hypotheses(encoded, language, seconds)[0]
            return self._weighed(reading, best, settled=settled)
        abort.check()
        text = self._others.read(encoded, language, seconds, hints.phrases)
        timed = self._others.align(encoded, language, text, samples) if final and hints.words and text else ()
        memo = Route(language) if settled else Route(draft=reading.tokens if reading else ())
        return Pass(text, language, timed, memo=memo, carry=Route(language))

    def _weighed(self, reading: moonshine.Reading, best: whisper.Hypothesis, *, settled: bool) -> Pass:
        """English that Moonshine doubts: what Whisper reads in the same bears it out, or is better, or nothing was
        said."""
        if best.credible and agreement(reading.text, best.text) >= AGREEMENT:
            return self._in_english(reading, settled=settled)
        if best.credible and best.score >= whisper.POOR:
            return Pass(
                best.text, ENGLISH, memo=Route(ENGLISH if settled else "", reading.tokens), carry=Route(ENGLISH)
            )
        return Pass("", ENGLISH, memo=Route(draft=reading.tokens))

    def _single_word(self, samples: Samples, hints: Hints, wish: Wanted, route: Route, abort: Abort) -> Pass:
        """One pass of each recogniser that may know the word, weighed. No language is settled by it."""
        expected = route.language or wish.first
        reading = None
        if expected in {"", ENGLISH} and wish.allows(ENGLISH):
            reading = self._english.read(samples, route.draft, abort)
            if moonshine.noise(reading.text):
                return Pass("", memo=replace(route, draft=reading.tokens))
            if single_words.is_plain(reading, expected):
                return self._in_english(reading, settled=False)
        draft = reading.tokens if reading else ()
        found = single_words.hear(
            self._others, samples, wish, abort, phrases=hints.phrases, expected=expected, reading=reading
        )
        memo = Route(route.language or wish.only, draft)
        return Pass(found.text, found.language, memo=memo, carry=memo)


def agreement(text: str, other: str) -> float:
    """The share of the words of `text` that are in `other`, too."""
    words, others = plain(text).split(), set(plain(other).split())
    return sum(word in others for word in words) / len(words) if words else 0.0


def worth_asking(confidence: float, seconds: float) -> bool:
    """Whether Whisper should detect the language now, though the user is still speaking."""
    return seconds >= PATIENCE or (seconds >= ENOUGH and confidence < HOPELESS)


def create(argument: str, resources: Resources) -> Listener:  # noqa: ARG001
    """Loads Moonshine; Whisper's weights are made sure of, and loaded when they are needed first."""
    others: Path = resources.weights("whisper-base")
    english = moonshine.Model(resources.weights("moonshine-tiny-en"))
    return Listener(english, whisper.Model(others, resources.threads), Workers(resources.threads, "listener"))
