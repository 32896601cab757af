from __future__ import annotations

import asyncio
import threading
import time

import jiwer
import numpy as np
import pytest

from openlive.engines.runtime.workers import Abort, AbortedError
from openlive.engines.stt import moonshine
from openlive.engines.stt.moonshine import (
    MoonshineReading,
    MoonshineSTT,
    count_agreeing_tokens,
    is_credible,
    is_looping,
    likeliest_tokens,
    parse_vocabulary,
)
from openlive.engines.stt.segment import AudioSegment
from tests.engines.speech import TRANSCRIPTS, all_of, chunks, hear, pcm, resources, words


def test_the_vocabulary_is_read_from_its_lengths() -> None:
    long = b"x" * 300  # 300 = 44 + 128 * 2
    assert parse_vocabulary(b"\x02ab\x00\x01c" + bytes([128 + 44, 2]) + long) == [b"ab", b"", b"c", long]


def test_the_likeliest_token_of_each_row() -> None:
    tokens, log_probabilities = likeliest_tokens(np.log(np.array([[0.25, 0.75], [0.9, 0.1]], np.float32)))
    assert tokens == [1, 0]
    assert np.exp(log_probabilities) == pytest.approx([0.75, 0.9])


def test_a_draft_is_kept_as_far_as_the_model_agrees() -> None:
    assert count_agreeing_tokens((), (5,)) == 0
    assert count_agreeing_tokens((5, 6, 7), (5, 6, 8, 9)) == 2
    assert count_agreeing_tokens((5, 6), (5, 6, 2)) == 2


def test_loops_are_noticed() -> None:
    assert is_looping([9, 1, 2, 1, 2, 1, 2, 1, 2])
    assert is_looping([5, 5, 5, 5])
    assert not is_looping([1, 2, 1, 2, 1, 2])
    assert not is_looping([])


@pytest.mark.parametrize(
    ("text", "confidence", "speech"),
    [
        ("What is the capital of France?", -0.01, True),
        ("No.", -0.27, True),
        ("Hello.", -0.45, True),
        ("A long sentence that was hardly understood.", -0.8, True),
        ("You", -0.1, False),
        ("Thank you for watching.", -0.2, False),
        ("So", -1.3, False),
        ("I don't know.", -0.75, False),
        ("♪♪♪", -0.1, False),
        ("", 0.0, False),
    ],
)
def test_what_the_model_makes_of_noise_is_not_taken_for_speech(text: str, confidence: float, speech: bool) -> None:
    assert is_credible(MoonshineReading(text, (3, 4, 5), confidence)) is speech


def test_a_loop_is_not_speech() -> None:
    assert not is_credible(MoonshineReading("the first is the first is the first is the first is", (7, 8, 9) * 4, -0.4))


@pytest.fixture(scope="module")
def english() -> MoonshineSTT:
    return moonshine.create("", resources())


@pytest.mark.weights
def test_it_hears_english(english: MoonshineSTT) -> None:
    assert hear(english, pcm("synthetic/q_capital.wav")).text == "What is the capital of France?"
    heard = hear(english, pcm("human/goforward.wav"))
    assert words(heard.text) == "go forward ten meters"
    assert heard.language == "en"
    assert heard.end == len(pcm("human/goforward.wav")) // 2


@pytest.mark.weights
def test_a_draft_changes_the_price_and_not_the_text(english: MoonshineSTT) -> None:
    segment = AudioSegment()
    segment.add_audio(pcm("synthetic/q_story.wav"))
    samples = segment.copy_samples()
    alone = english.model.decode_samples(samples, (), Abort())
    good = english.model.decode_samples(samples, alone.tokens, Abort())
    wrong = english.model.decode_samples(samples, (*alone.tokens[:4], 100, 200), Abort())
    assert alone.text == good.text == wrong.text
    assert good.confidence == pytest.approx(alone.confidence, abs=0.05)


@pytest.mark.weights
@pytest.mark.parametrize("samples", [0, 1, 100, 1600, 8000])
def test_next_to_nothing_is_no_error(english: MoonshineSTT, samples: int) -> None:
    assert hear(english, bytes(2 * samples)).text == ""
    noise = np.random.default_rng(0).integers(-3000, 3000, samples).astype("<i2").tobytes()
    assert hear(english, noise).end == samples


@pytest.mark.weights
def test_noise_is_no_speech(english: MoonshineSTT) -> None:
    for loudness in (0.001, 0.01, 0.1):
        noise = np.random.default_rng(1).normal(0, loudness * 32768, 48000).clip(-32768, 32767).astype("<i2")
        assert hear(english, noise.tobytes()).text == ""


@pytest.mark.weights
def test_a_reading_can_be_aborted(english: MoonshineSTT) -> None:
    segment = AudioSegment()
    segment.add_audio(pcm("human/sense_and_sensibility_01_austen_64kb-0870.wav"))
    abort = Abort()
    ended: list[type[BaseException]] = []

    def read() -> None:
        try:
            english.model.decode_samples(segment.copy_samples(), (), abort)
        except AbortedError as error:
            ended.append(type(error))

    thread = threading.Thread(target=read)
    thread.start()
    abort.set()
    begun = time.perf_counter()
    thread.join(10)
    print(f"aborted within {(time.perf_counter() - begun) * 1000:.0f} ms")
    assert ended == [AbortedError]


@pytest.mark.weights
def test_two_minutes_in_one_blob_leave_the_loop_alone_and_lose_nothing(english: MoonshineSTT) -> None:
    clips = [clip for clip in TRANSCRIPTS["human"] if "sense" in clip["file"]]
    blob = b"".join(pcm(clip["file"]) + bytes(9600) for clip in clips) * 5

    async def main() -> tuple[str, float]:
        hearing = asyncio.create_task(all_of(english, chunks(blob, len(blob))))
        late = 0.0
        while not hearing.done():
            begun = time.perf_counter()
            await asyncio.sleep(0.01)
            late = max(late, time.perf_counter() - begun - 0.01)
        return (await hearing)[-1].text, late

    text, late = asyncio.run(main())
    reference = " ".join(words(clip["text"]) for clip in clips * 5)
    wer = jiwer.wer(reference, words(text))
    print(f"{len(blob) / 32000:.0f} s in one blob: WER {wer:.3f}, event loop late by {late * 1000:.1f} ms at most")
    assert wer < 0.1
    assert late < 0.5
