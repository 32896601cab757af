"""Pitch, spread, level and pace, on tones whose own are known, and beside a transcription."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openlive.engines.stt.prosody import LONGEST, measure_prosody, transcribe_with_prosody
from openlive.types import INPUT_RATE, Prosody, Transcript


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def voice(
    pitch: float = 150.0, *, swing: float = 0.0, syllables: float = 4.0, level: float = 0.3, seconds: float = 3.0
) -> bytes:
    """A buzz of `pitch` Hz that moves `swing` semitones up and down, loud and soft `syllables` times a second."""
    at = np.arange(int(seconds * INPUT_RATE)) / INPUT_RATE
    phase = np.cumsum(pitch * 2 ** (swing * np.sin(2 * np.pi * 0.7 * at) / 12)) / INPUT_RATE
    wave = sum(np.sin(2 * np.pi * phase * k) / k for k in range(1, 9))
    wave = wave * (0.5 - 0.5 * np.cos(2 * np.pi * syllables * at)) / np.abs(wave).max()
    return bytes((wave * level * 32767).astype("<i2").tobytes())


def of(pcm: bytes) -> Prosody:
    found = measure_prosody(pcm)
    assert found is not None
    return found


@pytest.mark.parametrize("pitch", [85.0, 110.0, 150.0, 220.0, 330.0, 440.0])
def test_pitch(pitch: float) -> None:
    assert of(voice(pitch)).pitch == pytest.approx(12 * np.log2(pitch), abs=0.1)


@pytest.mark.parametrize("swing", [1.0, 3.0, 5.0])
def test_spread(swing: float) -> None:
    """A sine is between its 10th and 90th percentile within 95 % of its swing."""
    assert of(voice(swing=swing)).spread == pytest.approx(2 * 0.95 * swing, rel=0.1)


def test_level() -> None:
    assert of(voice(level=0.3)).level - of(voice(level=0.15)).level == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("rate", [2.0, 3.0, 4.0, 6.0])
def test_pace_does_not_count_pauses(rate: float) -> None:
    pause = bytes(2 * INPUT_RATE)
    assert of(voice(syllables=rate)).pace == pytest.approx(rate, rel=0.1)
    assert of(voice(syllables=rate) + pause + voice(syllables=rate)).pace == pytest.approx(rate, rel=0.1)


def test_noise_and_silence_have_no_prosody() -> None:
    noise = np.random.default_rng(1).normal(0, 3000, 2 * INPUT_RATE).astype("<i2").tobytes()
    assert measure_prosody(noise) is None
    assert measure_prosody(bytes(2 * INPUT_RATE)) is None
    assert measure_prosody(b"") is None
    assert measure_prosody(voice(seconds=0.1)) is None


def test_noise_beside_the_voice_changes_little() -> None:
    clean = np.frombuffer(voice(swing=2.0), "<i2")
    noise = np.random.default_rng(2).normal(0, 150, len(clean))
    heard = of((clean + noise).clip(-32768, 32767).astype("<i2").tobytes())
    assert heard.pitch == pytest.approx(of(clean.tobytes()).pitch, abs=0.3)
    assert heard.spread == pytest.approx(of(clean.tobytes()).spread, abs=0.5)


def test_of_a_long_speech_the_end_counts() -> None:
    assert of(voice(100.0, seconds=20) + voice(200.0, seconds=13)).pitch == pytest.approx(
        of(voice(200.0)).pitch, abs=0.1
    )


@given(st.binary(min_size=2, max_size=4000), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_anything_is_measured(sample: bytes, repeated: int) -> None:
    pcm = sample[: len(sample) // 2 * 2] * repeated
    found = measure_prosody(pcm)
    assert found is None or all(np.isfinite([found.pitch, found.spread, found.level, found.pace]))


# --- beside a transcription -------------------------------------------------------------------------------------------


async def parrot(audio: AsyncIterator[bytes]) -> AsyncIterator[Transcript]:
    """A recogniser that counts."""
    heard = 0
    async for chunk in audio:
        heard += len(chunk) // 2
        yield Transcript(f"{heard}", heard, final=not chunk)


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.anyio
async def test_final_transcripts_tell_how_it_was_said_up_to_there() -> None:
    low, high = voice(100.0, seconds=1), voice(200.0, seconds=3)
    told = [t async for t in transcribe_with_prosody(parrot, chunks(low, b"", high, b"", b""))]
    assert [t.final for t in told] == [False, True, False, True, True]
    assert [t.end for t in told] == [16000, 16000, 64000, 64000, 64000]
    assert [t.prosody for t in told] == [
        None,
        measure_prosody(low),
        None,
        measure_prosody(low + high),
        measure_prosody(low + high),
    ]


@pytest.mark.anyio
async def test_what_it_keeps_is_bounded() -> None:
    hour = [voice(seconds=1)] * 30
    [final] = [t async for t in transcribe_with_prosody(parrot, chunks(*hour, b"")) if t.final]
    assert final.prosody == measure_prosody(b"".join(hour)[-2 * LONGEST :])


@pytest.mark.anyio
async def test_it_ends_with_its_listener() -> None:
    listening = transcribe_with_prosody(parrot, chunks(voice(), b"", b"", b""))
    await anext(listening)
    await listening.aclose()  # type: ignore[attr-defined]
    assert len(asyncio.all_tasks()) <= 2
