"""Pitch and loudness for a voice whose network knows only a pace: it speaks slower and is played faster, or the other
way round, so that the length stays what the pace makes it."""

from __future__ import annotations

import numpy as np
import soxr

from openlive.engines.tts.silence import Audio
from openlive.types import OUTPUT_RATE, Voice


def network_pace(voice: Voice) -> float:
    """What the network is asked for."""
    return voice.speed / _pitch_factor(voice)


def apply_pitch_and_gain(audio: Audio, rate: int, voice: Voice) -> Audio:
    """What it has spoken at `rate`, at 24 kHz and as `voice` has it. Louder only as far as there is room for the
    peaks. Formants move with the pitch, which within two semitones sounds like the same person."""
    source = rate * _pitch_factor(voice)
    if source != OUTPUT_RATE:
        audio = soxr.resample(audio, source, OUTPUT_RATE)
    if voice.gain and len(audio):
        room = max(1.0, 0.99 / max(float(np.abs(audio).max()), 1e-6))
        audio = audio * np.float32(min(10 ** (voice.gain / 20), room))
    return audio


def _pitch_factor(voice: Voice) -> float:
    return float(2 ** (voice.pitch / 12))
