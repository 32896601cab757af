"""A voice that is higher, lower, louder or softer: as long as it was, and never clipped."""

from __future__ import annotations

import numpy as np
import pytest

from openlive.engines.stt.prosody import measure_prosody
from openlive.engines.tts.voice_style import apply_pitch_and_gain, network_pace
from openlive.types import OUTPUT_RATE, Prosody, Voice
from tests.engines.stt.test_prosody import voice as buzz

RATE = 16_000
"""Of the network in this test."""


def spoken(voice: Voice, level: float = 0.2) -> tuple[np.ndarray, Prosody]:
    """What a network says that keeps to its pace, with its prosody."""
    said = np.frombuffer(
        buzz(syllables=3.0 * network_pace(voice), level=level, seconds=3.0 / network_pace(voice)), "<i2"
    )
    audio = apply_pitch_and_gain((said / 32768).astype(np.float32), RATE, voice)
    at16 = np.interp(np.arange(0, len(audio), OUTPUT_RATE / RATE), np.arange(len(audio)), audio)
    heard = measure_prosody((at16 * 32767).astype("<i2").tobytes())
    assert heard is not None
    return audio, heard


@pytest.mark.parametrize("pitch", [-2.0, -0.5, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("speed", [0.85, 1.0, 1.2])
def test_pitch_and_pace_are_independent(pitch: float, speed: float) -> None:
    audio, heard = spoken(Voice("Puck", speed=speed, pitch=pitch))
    assert len(audio) == pytest.approx(3 * OUTPUT_RATE / speed, rel=0.01)
    assert heard.pitch - spoken(Voice("Puck"))[1].pitch == pytest.approx(pitch, abs=0.1)
    assert heard.pace == pytest.approx(3.0 * speed, rel=0.1)


def test_gain() -> None:
    plain = spoken(Voice("Puck"))[1].level
    assert spoken(Voice("Puck", gain=-4.0))[1].level == pytest.approx(plain - 4, abs=0.1)
    assert spoken(Voice("Puck", gain=3.0))[1].level == pytest.approx(plain + 3, abs=0.1)


def test_louder_goes_no_further_than_full_scale() -> None:
    audio, _ = spoken(Voice("Puck", gain=12.0), level=0.6)
    assert 0.95 < np.abs(audio).max() <= 1.0


def test_an_ordinary_voice_is_left_alone() -> None:
    audio = np.linspace(-1.5, 1.5, 2400, dtype=np.float32)
    assert apply_pitch_and_gain(audio, OUTPUT_RATE, Voice("Puck", speed=1.2)) is audio
    assert network_pace(Voice("Puck", speed=1.2)) == 1.2
