"""The Piper voice: its symbols on a network of one's own, and its speech read back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import numpy.typing as npt
import pytest
import soxr

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.workers import Abort
from openlive.engines.tts.g2p.phonemes import EspeakPhonemizer
from openlive.engines.tts.piper import PiperTTS, create
from openlive.types import OUTPUT_RATE, Speech, Voice
from tests.engines.speech import ends_when_aborted, hear, resources, words

RATE = 22_050
SYMBOLS = {"_": [0], "^": [1], "$": [2], " ": [3], ".": [10], ",": [8], "h": [20], "ə": [59], "l": [24], "o": [27]}
SYMBOLS |= {"ʊ": [100], "ˈ": [120]}
CONFIG: dict[str, Any] = {
    "audio": {"sample_rate": RATE},
    "espeak": {"voice": "en-us"},
    "phoneme_id_map": SYMBOLS,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Hum:
    """A network: a tenth of a second of sound per symbol between half seconds of silence."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, symbols: npt.NDArray[np.int64], pace: float, abort: Abort) -> npt.NDArray[np.float32]:
        abort.raise_if_aborted()
        self.asked.append(symbols[0].tolist())
        silence = np.zeros(RATE // 2, np.float32)
        sound = np.sin(np.arange(int(RATE / 10 * symbols.shape[1] / pace)) / 20).astype(np.float32) / 2
        return np.concatenate([silence, sound, silence])


@pytest.fixture
def espeak() -> Iterator[EspeakPhonemizer]:
    espeak = EspeakPhonemizer()
    yield espeak
    espeak.close()


async def spoken(engine: PiperTTS, *clauses: str, name: str = "Puck") -> list[Speech]:
    async def items() -> AsyncIterator[str]:
        for clause in clauses:
            yield clause

    return [speech async for speech in engine.speak(items(), Voice(name))]


@pytest.mark.anyio
async def test_symbols_stand_between_pads_and_diphthongs_are_not_tied(espeak: EspeakPhonemizer) -> None:
    hum = Hum()
    await spoken(PiperTTS(hum, CONFIG, espeak), "Hello.")
    symbols = [20, 59, 24, 120, 27, 100, 10]  # həlˈoʊ.
    assert hum.asked == [[1, 0, *(number for symbol in symbols for number in (symbol, 0)), 2]]


@pytest.mark.anyio
async def test_texts_are_kept_and_the_silence_is_cut(espeak: EspeakPhonemizer) -> None:
    speech = await spoken(PiperTTS(Hum(), CONFIG, espeak), "Hello,", " hello. ", " 😀")
    assert [piece.text for piece in speech] == ["Hello,", " hello. ", " 😀"]
    assert not speech[2].pcm
    for piece, tail in zip(speech, (160, 320), strict=False):
        samples = len(piece.pcm) // 2
        assert piece.words[-1].end == pytest.approx(samples - tail * OUTPUT_RATE // 1000, abs=OUTPUT_RATE // 100)
        assert samples < 2.4 * OUTPUT_RATE


def test_words_in_another_script_are_part_of_the_clause(espeak: EspeakPhonemizer) -> None:
    hum = Hum()
    PiperTTS(hum, CONFIG, espeak).render_clause("Hello שלום, hello.", Voice("Puck"))
    assert [line.count(20) for line in hum.asked] == [1, 1], "one up to the comma, one after it"
    assert hum.asked[0].count(24) == 2, "the l of both hello and שלום"


@pytest.mark.anyio
async def test_a_pace_is_kept_and_an_unknown_voice_refused(espeak: EspeakPhonemizer) -> None:
    engine = PiperTTS(Hum(), CONFIG, espeak)
    slow, quick = (engine.render_clause("Hello hello.", Voice("Puck", speed=speed)).pcm for speed in (0.5, 2.0))
    assert len(slow) > 2 * len(quick)
    with pytest.raises(ValueError, match="'Nobody'"):
        await spoken(engine, "Hello.", name="Nobody")


def test_a_voice_without_its_configuration_is_refused_by_its_path(tmp_path: Path) -> None:
    voice = tmp_path / "mine.onnx"
    with pytest.raises(EngineError, match=r"no .*mine\.onnx\. A Piper voice is two files"):
        create(str(voice), resources())
    voice.write_bytes(b"")
    voice.with_name("mine.onnx.json").write_text(json.dumps({"audio": {}}))
    with pytest.raises(EngineError, match="no configuration of a Piper voice"):
        create(str(voice), resources())
    voice.with_name("mine.onnx.json").write_text(json.dumps(CONFIG))
    with pytest.raises(EngineError, match="cannot load"):
        create(str(voice), resources())


@pytest.mark.weights
@pytest.mark.anyio
async def test_what_joe_says_is_understood() -> None:
    from openlive.engines.stt.moonshine import create as moonshine

    engine = create("", Resources(resources().weights, threads=1, memory=0))
    try:
        speech = await spoken(engine, "The quick brown fox", " jumps over the lazy dog.")
    finally:
        await engine.close()
    audio = np.frombuffer(b"".join(piece.pcm for piece in speech), "<i2")
    heard = soxr.resample(audio, OUTPUT_RATE, 16_000).astype("<i2").tobytes()
    said, understood = "the quick brown fox jumps over the lazy dog", await _heard(moonshine("", resources(1)), heard)
    assert jiwer.wer(said, words(understood)) < 0.2, f"{understood}: the voice draws noise, so one word may be misheard"


@pytest.mark.weights
def test_a_clause_that_nobody_waits_for_ends() -> None:
    engine = create("", Resources(resources().weights, threads=1, memory=0))
    try:
        ends_when_aborted(lambda abort: engine.render_clause("The quick brown fox jumps. " * 12, Voice("Puck"), abort))
    finally:
        asyncio.run(engine.close())


async def _heard(stt: Any, audio: bytes) -> str:
    import anyio.to_thread

    return (await anyio.to_thread.run_sync(lambda: hear(stt, audio))).text
