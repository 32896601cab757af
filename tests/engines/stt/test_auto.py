from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import jiwer
import numpy as np
import pytest

from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.engines.stt import auto as auto_stt
from openlive.engines.stt.auto import AutoSTT, LanguageRoute, is_worth_detecting
from openlive.engines.stt.incremental import Hints, PassResult
from openlive.engines.stt.moonshine import MoonshineReading
from openlive.engines.stt.whisper import Hypothesis
from openlive.types import Transcript, Word
from tests.engines.speech import CHUNK, TRANSCRIPTS, all_of, chunks, hear, pcm, resources, words


class English:
    def __init__(self, confidence: float, text: str = "It sounds like this.") -> None:
        self.reading = MoonshineReading(text, (5, 6), confidence)
        self.calls = 0

    def decode_samples(self, samples: Any, draft: Any, abort: Abort) -> MoonshineReading:
        self.calls += 1
        return self.reading


TOO = Hypothesis("It sounds like this, too.", -0.4, 0.01)


class Others:
    """`english`: what it reads in English; `words`: what single words it may have heard, by language."""

    def __init__(
        self,
        english: Hypothesis = TOO,
        words: dict[str, tuple[Hypothesis, ...]] | None = None,
        **probabilities: float,
    ) -> None:
        self.probabilities = probabilities
        self.english = english
        self.words = words or {}
        self.calls: list[str] = []

    def load_weights(self) -> None:
        self.calls.append("load")

    def encode(self, samples: Any, *, final: bool) -> str:
        self.calls.append("encode")
        return "encoded"

    def detect_language(self, encoded: Any) -> dict[str, float]:
        self.calls.append("detect")
        return self.probabilities

    def decode_text(self, encoded: Any, language: str, seconds: float, phrases: Any = ()) -> str:
        self.calls.append(f"read {language}")
        return f"in {language}"

    def find_hypotheses(
        self, encoded: Any, language: str, seconds: float, before: str = "", count: int = 1
    ) -> tuple[Hypothesis, ...]:
        self.calls.append(f"read {language}")
        return self.words.get(language, (self.english,))

    def align_words(self, encoded: Any, language: str, text: str, samples: Any) -> tuple[Word, ...]:
        self.calls.append(f"align {language}: {text}")
        return (Word(text, 0, len(samples)),)


def route(
    english: English,
    others: Others,
    *languages: str,
    seconds: float = 2,
    memo: LanguageRoute | None = None,
    final: bool = True,
    timed: bool = False,
) -> PassResult:
    ears = AutoSTT(english, others, WorkerPool(1, "test"))  # type: ignore[arg-type]
    samples = np.full(int(seconds * 16000), 0.1, np.float32)
    return ears.recognise_segment(samples, Hints(languages, words=timed), memo, Abort(), final=final)


def test_english_alone_is_moonshines() -> None:
    others = Others(de=1)
    heard = route(English(-0.9, "A doubtful but long enough sentence."), others, "en-GB")
    assert heard.language == "en"
    assert others.calls == ["encode", "read en"], "a second opinion, and no detection"


def test_another_language_alone_is_whispers() -> None:
    english, others = English(-0.01), Others(en=1)
    assert route(english, others, "de-DE").text == "in de"
    assert not english.calls
    assert "detect" not in others.calls


@pytest.mark.parametrize("languages", [(), ("en", ""), ("en", "de")])
def test_confident_english_asks_nobody_else(languages: tuple[str, ...]) -> None:
    others = Others()
    heard = route(English(-0.1), others, *languages)
    assert (heard.text, heard.language) == ("It sounds like this.", "en")
    assert not others.calls
    assert heard.memo.language == ""  # the next pass may doubt it
    assert heard.next_segment_memo.language == "en"


def test_doubtful_english_is_judged_by_whisper() -> None:
    assert route(English(-0.5), Others(en=0.6, es=0.4)).text == "It sounds like this."
    others = Others(en=0.4, es=0.6)
    heard = route(English(-0.5), others)
    assert (heard.text, heard.language, heard.memo.language) == ("in es", "es", "es")
    assert others.calls == ["encode", "detect", "read es"]


def test_english_that_was_spoken_last_is_believed_sooner() -> None:
    assert route(English(-0.4), Others(es=1), "en", "").language == "en"
    assert route(English(-0.4), Others(es=1)).language == "es"


def test_another_expected_language_goes_to_whisper_first() -> None:
    english, others = English(-0.01), Others(de=0.3, en=0.6)
    assert route(english, others, "de", "").text == "in de"
    assert not english.calls
    assert route(english, Others(de=0.1, en=0.9), "de", "").text == "It sounds like this."
    assert route(english, Others(de=0.1, en=0.9), "de", "fr").text == "in de"


def test_only_allowed_languages_are_detected() -> None:
    assert route(English(-0.9), Others(it=0.9, fr=0.06, en=0.04), "en", "fr").language == "en"
    assert route(English(-0.9), Others(it=0.9, fr=0.09, en=0.01), "en", "fr").language == "fr"


def test_what_is_settled_stays_for_the_utterance() -> None:
    english, others = English(-0.01), Others(en=1)
    assert route(english, others, memo=LanguageRoute("fr")).text == "in fr"
    assert (
        route(English(-0.9, "Some long and rather doubtful words."), others, memo=LanguageRoute("en")).language == "en"
    )
    assert "detect" not in others.calls


def test_little_speech_settles_nothing() -> None:
    heard = route(English(-0.5), Others(es=1), seconds=1.2)
    assert (heard.language, heard.memo.language) == ("es", "")


@pytest.mark.parametrize(
    ("english", "text"),
    [
        (Hypothesis("It sounded like this.", -1.2, 0.1), "It sounds like this."),  # most words bear it out
        (Hypothesis("Oh", -4.8, 0.54), ""),  # nothing was said
        (Hypothesis("The world is a world.", -1.67, 0.28), ""),  # something was, but what?
        (Hypothesis("Its hounds lie there.", -0.3, 0.05), "Its hounds lie there."),  # surer of it
    ],
)
def test_what_one_doubts_the_other_is_asked_about(english: Hypothesis, text: str) -> None:
    heard = route(English(-0.5), Others(english, en=1))
    assert heard.text == text
    assert heard.memo.language == ("en" if text else ""), "noise settles no language"


SI = (Hypothesis("Sigue", -0.8, 0.0), Hypothesis("Sí.", -1.2, 0.0))
YES, SEE = Hypothesis("Yes.", -0.05, 0.05), Hypothesis("See.", -0.4, 0.05)


@pytest.mark.parametrize(
    ("english", "others", "languages", "text"),
    [
        (English(-0.3, "Yes,"), Others(), (), "Yes,"),  # plain
        (English(-0.18, "Ten of clubs."), Others(Hypothesis("", -9, 0.9)), (), "Ten of clubs."),  # so is that
        (English(-0.3, "Ten of clubs."), Others(Hypothesis("", -9, 0.9)), ("en",), "Ten of clubs."),
        (English(-0.5, "Yes,"), Others(words={"en": (YES,)}), ("en", ""), "Yes,"),
        (English(-0.5, "Yesterday."), Others(words={"en": (YES,)}), ("en",), "Yes."),
        (
            English(-0.2, "Yesterday."),
            Others(words={"en": (Hypothesis("Yesterday.", -0.2, 0.0),)}),
            ("en",),
            "Yesterday.",
        ),
        (English(-0.4, "See."), Others(words={"es": SI, "en": (SEE,)}, es=0.3, en=0.6), (), "Sigue"),
        (English(-0.4, "See."), Others(words={"es": (SI[1],), "en": (SEE,)}, es=0.1, en=0.6), (), "Sí."),
        (English(-0.1, "Yes."), Others(words={"es": SI}, en=0.9), ("es", ""), "Sigue"),
        (English(-0.4, "See."), Others(Hypothesis("I'm not sure.", -2.1, 0.66), es=0.9), (), ""),
        (English(-0.1, "You"), Others(), (), ""),
    ],
)
def test_a_single_word(english: English, others: Others, languages: tuple[str, ...], text: str) -> None:
    heard = route(english, others, *languages, seconds=0.6)
    assert heard.text == text
    assert heard.memo is None or heard.memo.language in {"", *languages[:1]}


def test_a_single_word_is_not_told_before_all_of_it_was_heard() -> None:
    heard = route(English(-0.1, "Helping."), Others(), seconds=0.6, final=False)
    assert heard.needs_final_pass, "the flush has to ask both"


def test_an_expected_language_is_the_language_of_a_single_word() -> None:
    heard = route(
        English(-0.1, "Yes."), Others(words={"de": (Hypothesis("Ja.", -0.5, 0.0),)}, en=1), "de", "", seconds=0.6
    )
    assert (heard.text, heard.language) == ("Ja.", "de")


@pytest.mark.parametrize(("score", "text"), [(-0.3, "Claro."), (-1.2, "")])
def test_a_word_that_is_well_read_is_no_silence(score: float, text: str) -> None:
    others = Others(words={"es": (Hypothesis("Claro.", score, 0.6),)}, es=1)
    assert route(English(-0.5), others, "es", "", seconds=0.6).text == text


@pytest.mark.parametrize(("languages", "text"), [(("en", ""), "No."), ((), "Now,")])
def test_that_moonshine_disagrees_speaks_against_english_where_none_is_expected(
    languages: tuple[str, ...], text: str
) -> None:
    others = Others(words={"en": (Hypothesis("No.", -1.15, 0.0),)}, en=1)
    assert route(English(-0.3, "Now,"), others, *languages, seconds=0.6).text == text


def test_doubts_wait_while_the_user_speaks() -> None:
    others = Others(es=1)
    heard = route(English(-0.5), others, final=False)
    assert (heard.text, others.calls) == ("", [])
    assert heard.memo.draft == (5, 6)
    assert heard.needs_final_pass
    assert route(English(-0.5), others, final=False, seconds=3).language == "es"
    assert route(English(-0.7), others, final=False).language == "es"
    assert not is_worth_detecting(-2, 1)


def test_noise_does_not_wake_whisper() -> None:
    others = Others(ko=1)
    assert route(English(-0.5, "You"), others).text == ""
    assert not others.calls


def test_words_are_whispers_to_find_whoever_read_them() -> None:
    others = Others()
    heard = route(English(-0.1), others, timed=True)
    assert heard.words == (Word("It sounds like this.", 0, 32000),)
    assert others.calls == ["load", "encode", "align en: It sounds like this."]
    others = Others()
    assert route(English(-0.01), others, "de", timed=True).words == (Word("in de", 0, 32000),)
    assert others.calls == ["load", "encode", "read de", "align de: in de"]


def test_words_are_not_looked_for_while_the_user_speaks_nor_in_nothing() -> None:
    for heard in (
        route(English(-0.1), others := Others(), timed=True, final=False),
        route(English(-0.01), others, "de", timed=True, final=False),
        route(English(-0.1, "You"), others, timed=True),
    ):
        assert heard.words == ()
    assert not [call for call in others.calls if call.startswith("align")]


HUMAN = TRANSCRIPTS["human"]
LANGUAGES = {clip["lang"][:2]: clip for clip in TRANSCRIPTS["synthetic"] if clip["lang"][:2] != "en"}


@pytest.fixture(scope="module")
def ears() -> AutoSTT:
    return auto_stt.create("", resources())


@pytest.mark.weights
@pytest.mark.parametrize("hints", [(), ("en-US",), ("en", "")])
def test_ten_human_recordings(ears: AutoSTT, hints: tuple[str, ...]) -> None:
    heard = [hear(ears, pcm(clip["file"]), hints) for clip in HUMAN]
    wer = jiwer.wer([words(clip["text"]) for clip in HUMAN], [words(t.text) for t in heard])
    print(f"hints {hints}: WER {wer:.3f}")
    assert wer <= 0.04
    assert {t.language for t in heard} == {"en"}


@pytest.mark.weights
@pytest.mark.parametrize("code", ["es", "fr", "it", "pt"])
def test_other_languages_are_detected_and_heard(ears: AutoSTT, code: str) -> None:
    clip = LANGUAGES[code]
    for hints in ((), (code, ""), ("en", "")):
        heard = hear(ears, pcm(clip["file"]), hints)
        assert heard.language == code
        # A letter more or less: with several threads its sums, and so its near-ties, are not always the same.
        assert jiwer.cer(words(clip["text"]), words(heard.text)) <= 0.06


@pytest.mark.weights
def test_hindi_does_no_harm(ears: AutoSTT) -> None:
    assert hear(ears, pcm(LANGUAGES["hi"]["file"])).text
    assert hear(ears, pcm(LANGUAGES["hi"]["file"]), ("hi",)).language == "hi"


async def live(audio: bytes, stamps: list[float]) -> AsyncIterator[bytes]:
    """Chunks of 100 ms as somebody speaks them who gives a slow core twice the time, and a flush behind the last; notes
    when that was."""
    begun = time.perf_counter()
    for at in range(0, len(audio), CHUNK):
        await asyncio.sleep(max(0.0, begun + 2 * (at + CHUNK) / 32000 - time.perf_counter()))
        yield audio[at : at + CHUNK]
    stamps.append(time.perf_counter())
    yield b""


@pytest.mark.weights
def test_partial_transcripts_come_while_the_user_speaks(ears: AutoSTT) -> None:
    async def main() -> tuple[list[Transcript], list[float], float]:
        stamps: list[float] = []
        heard, times = [], []
        async for transcript in ears.transcribe(live(pcm("synthetic/q_story.wav"), stamps)):
            heard.append(transcript)
            times.append(time.perf_counter())
        return heard, times, stamps[0]

    heard, times, flushed = asyncio.run(main())
    partials = [t for t, at in zip(heard, times, strict=True) if not t.final and at < flushed]
    print(f"{len(partials)} partials, final {(times[-1] - flushed) * 1000:.0f} ms after the flush")
    assert partials
    assert partials[0].text
    assert [t.end for t in heard] == sorted(t.end for t in heard)
    story = words("Please tell me a short story about a lighthouse keeper and his dog.")
    assert jiwer.cer(story, words(heard[-1].text)) <= 0.06


@pytest.mark.weights
def test_eight_people_at_once_are_not_mixed_up(ears: AutoSTT) -> None:
    clips = [*HUMAN[:5], LANGUAGES["es"], LANGUAGES["it"], *HUMAN[8:9]]

    async def main() -> list[list[Transcript]]:
        return await asyncio.gather(*(all_of(ears, chunks(pcm(clip["file"]))) for clip in clips))

    for clip, heard in zip(clips, asyncio.run(main()), strict=True):
        assert jiwer.wer(words(clip["text"]), words(heard[-1].text)) < 0.3
        assert heard[-1].language == clip["lang"][:2]


@pytest.mark.weights
def test_speech_may_go_on_after_a_flush_and_a_flush_may_come_twice(ears: AutoSTT) -> None:
    async def audio() -> AsyncIterator[bytes]:
        for name in ("q_pause_a", "q_pause_b"):
            async for chunk in chunks(pcm(f"synthetic/{name}.wav")):
                yield chunk
        yield b""

    finals = [t for t in asyncio.run(all_of(ears, audio())) if t.final]
    assert words(finals[0].text) == "i would like to book a table"
    assert "tomorrow evening" in words(finals[1].text).replace("to morrow", "tomorrow")
    assert words(finals[1].text).startswith("i would like to book a table")
    assert finals[2] == finals[1]


@pytest.mark.weights
@pytest.mark.parametrize("samples", [0, 1, 1600])
def test_next_to_nothing_is_no_error(ears: AutoSTT, samples: int) -> None:
    assert hear(ears, bytes(2 * samples)) == Transcript("", samples, final=True)
    hear(ears, pcm("human/card_001.wav")[: 2 * samples])


@pytest.mark.weights
def test_an_english_speaker_never_loads_whisper() -> None:
    ears = auto_stt.create("", resources())
    for clip in HUMAN:
        hear(ears, pcm(clip["file"]))
    assert not ears._others.is_loaded
    hear(ears, pcm(LANGUAGES["es"]["file"]))
    assert ears._others.is_loaded
