"""What of a clause Kokoro's network is run for, and that it is heard as if it had been run for all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from openlive.engines.runtime.workers import Abort
from openlive.engines.tts.g2p.phonemes import VOCABULARY as SYMBOLS
from openlive.engines.tts.g2p.phonemes import EspeakPhonemizer, find_dialect
from openlive.engines.tts.kokoro import network as kokoro_network
from openlive.engines.tts.kokoro.network import AFTER, BEFORE, SAMPLES, Infer, find_voiced_frames, load_network
from openlive.engines.tts.kokoro.voices import StyleTables
from openlive.engines.tts.silence import trim_silence
from tests.engines.speech import ends_when_aborted

SILENCE, VOICE = -9.5, 6.0


def energy(*runs: tuple[int, float]) -> npt.NDArray[np.float32]:
    """(frames, energy) …"""
    return np.concatenate([np.full(2 * frames, level, np.float32) for frames, level in runs])


@pytest.mark.parametrize(
    ("runs", "frames"),
    [
        (((10, SILENCE), (40, VOICE), (25, SILENCE)), (10 - BEFORE, 50 + AFTER)),
        (((10, SILENCE), (5, VOICE), (20, SILENCE), (5, VOICE), (30, SILENCE)), (10 - BEFORE, 40 + AFTER)),
        (((2, SILENCE), (40, VOICE), (1, SILENCE)), (0, 43)),
        (((30, SILENCE),), (0, 30)),
    ],
)
def test_the_frames_of_the_voice(runs: tuple[tuple[int, float], ...], frames: tuple[int, int]) -> None:
    found = energy(*runs)
    assert find_voiced_frames(found, len(found) // 2) == frames


def test_what_is_inside_and_outside_makes_up_the_whole() -> None:
    weights = kokoro_network._mean_weights(6, 54, 75)
    assert sum(float(weights[name][0]) for name in ("inside", "before", "after")) == pytest.approx(1)
    for place, frame in (("before_at", 3), ("after_at", 45)):
        assert float(weights[place][0]) * 48 == pytest.approx(frame)


@pytest.fixture(scope="module")
def infer() -> Infer:
    from openlive.models import ensure

    return load_network(ensure("kokoro") / "kokoro-v1.0.int8.onnx", 2)


@pytest.fixture(scope="module")
def espeak() -> Iterator[EspeakPhonemizer]:
    espeak = EspeakPhonemizer()
    yield espeak
    espeak.close()


@pytest.fixture(scope="module")
def voices() -> Path:
    from openlive.models import ensure

    return ensure("kokoro-voices")


@pytest.mark.weights
@pytest.mark.parametrize(
    ("voice", "text"), [("af_kore", "The capital of France is Paris."), ("am_puck", "Hello there,")]
)
def test_it_sounds_as_if_the_silence_had_been_spoken(
    infer: Infer, espeak: EspeakPhonemizer, voices: Path, voice: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phonemes = espeak.to_phonemes(text, find_dialect("en-us"))
    tokens = np.array([[0, *(SYMBOLS[p] for p in phonemes), 0]], np.int64)
    style = StyleTables(voices)[voice][len(phonemes)]
    cut = infer(tokens, style, 1.0, Abort())
    with monkeypatch.context() as patch:
        patch.setattr(kokoro_network, "VOICED", -np.inf)
        whole = infer(tokens, style, 1.0, Abort())
    assert len(cut) < len(whole) - 8 * SAMPLES, "a fifth of a second of silence at least"
    (heard, end), (expected, right) = trim_silence(cut, ""), trim_silence(whole, "")
    assert end == pytest.approx(right, rel=0.03, abs=2 * SAMPLES)
    loudness = [20 * np.log10(np.sqrt(np.square(audio).mean())) for audio in (heard, expected)]
    assert loudness[0] == pytest.approx(loudness[1], abs=0.75)


@pytest.mark.weights
def test_a_clause_that_nobody_waits_for_ends(infer: Infer, voices: Path) -> None:
    style = StyleTables(voices)["af_kore"][40]
    tokens = np.array([[0, *([SYMBOLS["a"], SYMBOLS["t"]] * 20), 0]], np.int64)
    ends_when_aborted(lambda abort: infer(tokens, style, 1.0, abort))
