from __future__ import annotations

import numpy as np
import pytest

from openlive.engines.stt.segment import LIMIT, STEP, AudioSegment

RATE = 16_000


def noise(seconds: float, loudness: float) -> bytes:
    samples = np.random.default_rng(0).normal(0, loudness * 32768, int(seconds * RATE))
    return samples.clip(-32768, 32767).astype("<i2").tobytes()


def segment(*parts: bytes) -> AudioSegment:
    made = AudioSegment()
    for part in parts:
        made.add_audio(part)
    return made


def test_an_odd_number_of_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="not 5"):
        AudioSegment().add_audio(b"12345")


def test_loudness_does_not_depend_on_how_the_audio_was_chunked() -> None:
    audio = noise(1, 0.1) + noise(1, 0.0001)
    whole, pieces = segment(audio), segment(*(audio[at : at + 222] for at in range(0, len(audio), 222)))
    assert whole.quiet_since() == pieces.quiet_since() == RATE
    assert (whole.copy_samples() == pieces.copy_samples()).all()


def test_what_is_silent_throughout_has_no_speech() -> None:
    assert segment().is_speechless
    assert segment(bytes(64000), noise(1, 0.0005)).is_speechless
    assert not segment(bytes(64000), noise(0.1, 0.01)).is_speechless


def test_silence_at_the_end_is_told_from_speech() -> None:
    assert segment(noise(1, 0.1)).quiet_since() == RATE
    assert segment(noise(1, 0.1), noise(0.5, 0.001)).quiet_since() == RATE
    assert segment(noise(1, 0.1), noise(0.5, 0.02)).quiet_since() == RATE * 3 // 2
    assert segment(bytes(3200)).quiet_since() == 1600


def test_only_a_long_segment_is_cut_and_at_its_quietest_place() -> None:
    assert segment(noise(LIMIT / RATE, 0.1)).find_cut() is None
    long = segment(noise(7, 0.1), noise(0.4, 0.01), noise(6, 0.1))
    cut = long.find_cut()
    assert cut is not None
    assert abs(cut - 7.2 * RATE) <= 0.1 * RATE
    long.drop_before(cut)
    assert long.start == cut
    assert cut + len(long) == long.end == int(13.4 * RATE)
    assert long.find_cut() is None


def test_offsets_go_on_after_a_cut() -> None:
    long = segment(bytes(2 * LIMIT), noise(1, 0.1))
    cut = long.find_cut()
    assert cut is not None
    assert cut % STEP == 0
    long.drop_before(cut)
    assert (long.copy_samples(cut + RATE // 2) == 0).all()
    assert len(long.copy_samples(cut + RATE // 2)) == RATE // 2
    long.add_audio(bytes(3200))
    assert long.quiet_since() == LIMIT + RATE
