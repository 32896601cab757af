from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from openlive.engines.stt import auto as auto_stt
from openlive.engines.stt import whisper
from openlive.engines.stt.auto import AutoSTT
from openlive.engines.stt.segment import Samples
from openlive.engines.stt.word_timing import FRAME, LATE, AlignedToken, align_words
from openlive.engines.vad.silero import engine as silero
from openlive.types import INPUT_RATE, Transcript, Word
from tests.engines.speech import TRANSCRIPTS, Detector, chunks, pcm, resources, words

SYNTHETIC = {clip["file"]: clip for clip in TRANSCRIPTS["synthetic"]}
HUMAN = {clip["file"]: clip for clip in TRANSCRIPTS["human"]}


def sound(*parts: tuple[str, float]) -> Samples:
    """Seconds of `loud` and `quiet` in turn."""
    rng = np.random.default_rng(1)
    levels = np.concatenate([np.full(int(s * INPUT_RATE), 0.3 if what == "loud" else 1e-4) for what, s in parts])
    return np.asarray(levels * rng.choice([-1, 1], len(levels)), np.float32)


def tokens(*pieces: tuple[str, int]) -> tuple[str, list[AlignedToken]]:
    """The text that the pieces make up, and its tokens, which the attention turned to in these frames."""
    text, made = "", []
    for piece, frame in pieces:
        made.append(AlignedToken(len(text), len(text) + len(piece), frame))
        text += piece
    return text, made


def found(samples: Samples, *pieces: tuple[str, int]) -> list[tuple[str, int, int]]:
    """The words and their frames; the last piece is '', where the tokens end."""
    text, made = tokens(*pieces)
    return [(w.text, w.start // FRAME, w.end // FRAME) for w in align_words(text, made, samples)]


LOUD = sound(("loud", 2))


def test_a_word_lasts_from_its_first_token_to_the_next_words() -> None:
    assert found(LOUD, (" light", 0), ("house", 20), (" keeper", 40), ("", 60)) == [
        ("lighthouse", LATE, 40 + LATE),
        ("keeper", 40 + LATE, 60 + LATE),
    ]


def test_punctuation_is_on_a_word_and_not_in_its_time() -> None:
    assert found(
        LOUD, (' "', 0), ("No", 10), (",", 20), (" never", 30), ('!"', 40), (" -", 50), (" so", 60), ("", 80)
    ) == [
        ('"No,', 10 + LATE, 20 + LATE),
        ('never!"', 30 + LATE, 40 + LATE),
        ("so", 60 + LATE, 80 + LATE),
    ]


def test_words_next_to_a_pause_end_and_begin_with_it() -> None:
    pause = sound(("quiet", 0.4), ("loud", 0.6), ("quiet", 0.5), ("loud", 0.5), ("quiet", 0.6))
    heard = found(pause, (" one", 0), (" two", 32), (".", 40), (" three", 80), (".", 95), ("", 110))
    assert heard == [("one", 20, 32 + LATE), ("two.", 32 + LATE, 50), ("three.", 75, 100)]


def test_a_pause_inside_a_word_stays_there_and_a_short_one_is_none() -> None:
    stop = sound(("loud", 0.5), ("quiet", 0.1), ("loud", 0.5), ("quiet", 0.3), ("loud", 0.6))
    assert found(stop, (" at", 0), (" it", 25), ("", 97)) == [("at", LATE, 25 + LATE), ("it", 25 + LATE, 100)]


def test_a_click_is_no_word() -> None:
    click = sound(("quiet", 0.3), ("loud", 0.04), ("quiet", 0.3), ("loud", 0.6), ("quiet", 0.3))
    assert found(click, (" one", 0), ("", 60)) == [("one", 32, 62)]


def test_noise_is_no_speech() -> None:
    rng = np.random.default_rng(2)
    noisy = sound(("quiet", 0.4), ("loud", 0.6), ("quiet", 0.4))
    noisy += rng.normal(0, 0.01, len(noisy)).astype(np.float32)
    assert found(noisy, (" one", 0), ("", 45)) == [("one", 20, 50)]


def test_words_never_overlap_or_leave_the_audio() -> None:
    squeezed = sound(("loud", 0.2), ("quiet", 0.5), ("loud", 0.1))
    heard = found(squeezed, (" a", 0), (" b", 20), (" c", 21), (" d", 38), ("", 60))
    edges = [edge for _, start, end in heard for edge in (start, end)]
    assert [word for word, _, _ in heard] == ["a", "b", "c", "d"]
    assert edges == sorted(edges)
    assert edges[-1] <= len(squeezed) // FRAME


def test_scripts_without_spaces_are_parted_at_tokens() -> None:
    chinese = found(
        LOUD, ("今天", 0), ("天", 10), ("气", 20), ("「", 30), ("很好", 31), ("」", 40), ("。", 41), ("", 50)
    )
    assert [word for word, _, _ in chinese] == ["今天", "天", "气", "「很好」。"]
    mixed = found(LOUD, ("i", 0), ("Phone", 5), ("ケ", 20), ("ース", 30), ("", 50))
    assert [word for word, _, _ in mixed] == ["iPhone", "ケ", "ース"]
    hindi = found(LOUD, (" न", 0), ("म", 5), ("स", 7), ("्", 8), ("ते", 9), (" आ", 20), ("प", 25), ("", 50))
    assert [word for word, _, _ in hindi] == ["नमस्ते", "आप"]


def test_no_words_lie_nowhere() -> None:
    assert align_words(" ", [AlignedToken(0, 1, 0), AlignedToken(1, 1, 0)], LOUD) == ()


# --- on recordings ----------------------------------------------------------------------------------------------------

RIGHT = 0.2
"""Seconds that an edge of a word may be wrong by next to silence."""


@pytest.fixture(scope="module")
def ears() -> AutoSTT:
    return auto_stt.create("", resources())


@pytest.fixture(scope="module")
def vad() -> silero.SileroVAD:
    return silero.create("", resources())


def hear(ears: AutoSTT | whisper.WhisperSTT, audio: bytes, *languages: str, words: bool = True) -> Transcript:
    async def run() -> list[Transcript]:
        return [t async for t in ears.transcribe(chunks(audio), languages=languages, words=words)]

    *partials, final = asyncio.run(run())
    assert final.final
    assert not any(partial.words for partial in partials)
    return final


def spoken(vad: silero.SileroVAD, audio: bytes) -> tuple[float, float]:
    """When the first speech begins and the last one ends, in seconds, as the detector sees it."""

    async def run() -> Sequence[tuple[float, int]]:
        return await Detector(vad).push(audio)

    frames = asyncio.run(run())
    ends = np.cumsum([samples for _, samples in frames]) / INPUT_RATE
    loud = [i for i, (probability, _) in enumerate(frames) if probability > 0.5]
    return float(ends[loud[0]]) - 0.032, float(ends[loud[-1]])


def seconds(word: Word) -> tuple[float, float]:
    return word.start / INPUT_RATE, word.end / INPUT_RATE


def check(transcript: Transcript) -> None:
    """Its words are those of the text, one behind the other, inside the utterance."""
    assert [word.text for word in transcript.words] == [w for w in transcript.text.split() if any(map(str.isalnum, w))]
    edges = [edge for word in transcript.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= transcript.end
    if transcript.language != "hi":  # which is read badly: there are words in it that nobody says
        assert all(word.end > word.start for word in transcript.words)


CLIPS = [*(f for f in SYNTHETIC if "stop" not in f), *(f for f in HUMAN if "sense" in f), "human/card_005.wav"]


@pytest.mark.weights
@pytest.mark.parametrize("name", CLIPS)
def test_the_first_word_begins_and_the_last_one_ends_with_the_speech(
    ears: AutoSTT, vad: silero.SileroVAD, name: str
) -> None:
    audio = bytes(16000) + pcm(name) + bytes(16000)
    heard = hear(ears, audio)
    check(heard)
    begin, end = spoken(vad, audio)
    start, stop = seconds(heard.words[0])[0], seconds(heard.words[-1])[1]
    print(f"{name}: first word {start - begin:+.2f} s, last word {stop - end:+.2f} s; {heard.text}")
    assert start == pytest.approx(begin, abs=RIGHT)
    assert stop == pytest.approx(end, abs=RIGHT)


@pytest.mark.weights
@pytest.mark.parametrize("gap", [0.4, 1.2])
def test_the_gap_between_two_sentences_is_between_the_right_words(
    ears: AutoSTT, vad: silero.SileroVAD, gap: float
) -> None:
    names = ("synthetic/q_pause_a.wav", "synthetic/q_capital.wav")
    first, second = (pcm(name) for name in names)
    ended, begun = spoken(vad, first)[1], spoken(vad, second)[0]
    cut = int(ended * INPUT_RATE) * 2
    audio = first[:cut] + bytes(int(gap * INPUT_RATE) * 2) + second[int(begun * INPUT_RATE) * 2 :]
    heard = hear(ears, audio)
    check(heard)
    [table] = [word for word in heard.words if word.text.startswith("table")]
    what = heard.words[heard.words.index(table) + 1]
    assert words(what.text).strip() == "what", "in quotation marks or not"
    assert seconds(table)[1] == pytest.approx(ended, abs=RIGHT)
    assert seconds(what)[0] == pytest.approx(ended + gap, abs=RIGHT)


@pytest.mark.weights
def test_a_long_utterance_is_counted_from_its_beginning(ears: AutoSTT) -> None:
    """It is heard in several pieces: no word lies in the silences between the sentences."""
    names = [name for name in HUMAN if "sense" in name]
    audio, silences = b"", []
    for name in names:
        audio += pcm(name)
        silences.append((len(audio) / 2 / INPUT_RATE, len(audio) / 2 / INPUT_RATE + 1))
        audio += bytes(2 * INPUT_RATE)
    heard = hear(ears, audio)
    check(heard)
    assert len(audio) > 24 * 2 * INPUT_RATE
    for word in heard.words:
        start, end = seconds(word)
        shared = [min(end, till) - max(start, since) for since, till in silences]
        assert max(shared) < RIGHT, (word, silences)
    for (_, till), (since, _) in pairwise(silences):
        assert any(till <= seconds(word)[0] < since for word in heard.words)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["synthetic/es_capital.wav", "synthetic/hi_weather.wav"])
def test_whisper_alone_tells_them_too(vad: silero.SileroVAD, name: str) -> None:
    engine = whisper.create("", resources())
    audio = pcm(name)
    heard = hear(engine, audio, SYNTHETIC[name]["lang"])
    check(heard)
    begin, end = spoken(vad, audio)
    assert seconds(heard.words[0])[0] == pytest.approx(begin, abs=RIGHT)
    assert seconds(heard.words[-1])[1] == pytest.approx(end, abs=RIGHT)


@pytest.mark.weights
def test_the_text_is_the_same_without_them(ears: AutoSTT) -> None:
    for name in ("human/card_005.wav", "synthetic/fr_capital.wav"):
        timed, plain = hear(ears, pcm(name)), hear(ears, pcm(name), words=False)
        assert timed.words
        assert not plain.words
        assert timed.text == plain.text
