from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jiwer
import numpy as np
import pytest

from openlive.engines.api import EngineError
from openlive.engines.stt import whisper
from openlive.engines.stt.whisper import DENSE, LANGUAGES, SCRIPT, Hypothesis, WhisperModel, WhisperSTT
from tests.engines.speech import TRANSCRIPTS, chunks, hear, pcm, resources, words


def test_the_language_tables_agree() -> None:
    assert len(LANGUAGES) == 99
    assert not DENSE - LANGUAGES
    assert not SCRIPT.keys() - LANGUAGES


def test_a_missing_model_says_where_it_was_looked_for(tmp_path: object) -> None:
    with pytest.raises(EngineError, match=str(tmp_path)):
        whisper.create(str(tmp_path), resources())


@pytest.mark.parametrize(
    ("plain", "asked", "text"),
    [
        (Hypothesis("Nuh, nuh.", -1.2, 0.65), 1, ""),
        (Hypothesis("Jamie und ich.", -0.3, 0.01), 2, "Gemini und ich."),
        (Hypothesis("Wie spät ist es?", -0.3, 0.01), 1, "Wie spät ist es?"),
        (Hypothesis("Paris", -2.7, 0.2), 1, "Paris"),
        (Hypothesis("...", -0.1, 0.0), 1, ""),
    ],
)
def test_expected_words_are_not_found_where_nothing_was_said(plain: Hypothesis, asked: int, text: str) -> None:
    class Told(WhisperModel):
        def find_hypotheses(
            self, encoded: object, language: str, seconds: float, before: str = "", count: int = 1
        ) -> tuple[Hypothesis, ...]:
            prompts.append(before)
            return (Hypothesis("Gemini und ich.", -0.1, 0.0),) if before else (plain,)

    prompts: list[str] = []
    assert Told(Path(), 1).decode_text(None, "de", 1.0, ("Gemini",)) == text
    assert prompts == ["", "Gemini"][:asked]


@pytest.fixture(scope="module")
def engine() -> WhisperSTT:
    return whisper.create("", resources())


OTHERS = [clip for clip in TRANSCRIPTS["synthetic"] if clip["lang"][:2] not in {"en", "hi"}]


@pytest.mark.weights
@pytest.mark.parametrize("clip", OTHERS, ids=lambda clip: clip["lang"])
def test_it_hears_the_language_it_is_told_or_finds_it_out(engine: WhisperSTT, clip: dict[str, str]) -> None:
    code = clip["lang"][:2]
    for hints in ((), (code,), ("en", code)):
        heard = hear(engine, pcm(clip["file"]), hints)
        assert heard.language == code
        # A letter more or less: with several threads its sums, and so its near-ties, are not always the same.
        assert jiwer.cer(words(clip["text"]), words(heard.text)) <= 0.06


@pytest.mark.weights
def test_hindi_comes_in_its_own_script(engine: WhisperSTT) -> None:
    text = hear(engine, pcm("synthetic/hi_weather.wav"), ("hi",)).text
    assert sum("\u0900" <= c <= "\u097f" for c in text) > len(text) / 2


@pytest.mark.weights
def test_it_does_not_loop_on_a_word_or_on_noise(engine: WhisperSTT) -> None:
    assert words(hear(engine, pcm("human/card_001.wav"), ("en",)).text) == "ten of clubs"
    assert hear(engine, bytes(96000)).text == ""
    noise = np.random.default_rng(1).normal(0, 600, 48000).astype("<i2").tobytes()
    assert len(hear(engine, noise, ("en",)).text.split()) <= 4


@pytest.mark.weights
def test_expected_phrases_are_no_speech(engine: WhisperSTT) -> None:
    async def run() -> str:
        audio = chunks(pcm("synthetic/it_table.wav"))
        heard = [t async for t in engine.transcribe(audio, languages=("it",), phrases=("Trattoria", "Lisbona"))]
        return heard[-1].text

    text = asyncio.run(run())
    assert "tavolo" in text
    assert "Trattoria" not in text


@pytest.mark.weights
def test_it_is_loaded_once_and_by_its_first_use() -> None:
    model = WhisperModel(resources().weights("whisper-base"), 1)
    assert not model.is_loaded
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: model.load_weights(), range(4)))
    first = model._loaded
    assert first
    model.load_weights()
    assert model._loaded is first
