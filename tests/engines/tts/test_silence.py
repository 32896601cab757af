"""What stays around a clause's voice."""

import numpy as np
import numpy.typing as npt
import pytest

from openlive.engines.tts.silence import LEAD, trim_silence
from openlive.types import OUTPUT_RATE

Audio = npt.NDArray[np.float32]


def tone(seconds: float, pitch: float = 200.0, level: float = 0.2) -> Audio:
    at = np.arange(round(seconds * OUTPUT_RATE)) / OUTPUT_RATE
    return (level * np.sin(2 * np.pi * pitch * at)).astype(np.float32)


def hiss(seconds: float) -> Audio:
    return tone(seconds, 6500, 0.04)


def silence(seconds: float) -> Audio:
    return np.zeros(round(seconds * OUTPUT_RATE), np.float32)


WITH_HISS = np.concatenate([silence(0.3), tone(0.4), hiss(0.1), silence(0.5)])
"""As Kokoro ends a Portuguese "Olá"."""


def test_a_hiss_behind_a_vowel_is_no_part_of_the_word() -> None:
    audio, end = trim_silence(WITH_HISS, ".", voiced=True)

    assert end == pytest.approx(LEAD + 0.4 * OUTPUT_RATE, abs=0.01 * OUTPUT_RATE)
    assert len(audio) == end + 0.32 * OUTPUT_RATE
    assert not audio[end:].any()
    assert abs(audio[end - 1]) < 1e-3  # it dies away: no click


def test_a_sibilant_that_is_a_sound_of_the_word_stays() -> None:
    audio, end = trim_silence(WITH_HISS, ".")

    assert end == pytest.approx(LEAD + 0.5 * OUTPUT_RATE, abs=0.01 * OUTPUT_RATE)
    assert audio[end - 480 : end].any()


def test_a_hiss_before_the_last_vowel_stays() -> None:
    word = np.concatenate([silence(0.3), hiss(0.1), tone(0.15), silence(0.5)])

    for voiced in (False, True):
        _, end = trim_silence(word, ".", voiced=voiced)
        assert end == pytest.approx(LEAD + 0.25 * OUTPUT_RATE, abs=0.01 * OUTPUT_RATE)


def test_a_hiss_too_long_for_a_breath_stays() -> None:
    word = np.concatenate([silence(0.3), tone(0.4), hiss(0.5), silence(0.5)])

    _, end = trim_silence(word, ".", voiced=True)

    assert end == pytest.approx(LEAD + 0.9 * OUTPUT_RATE, abs=0.01 * OUTPUT_RATE)
