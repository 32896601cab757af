"""How something was said: pitch, its spread, loudness and pace, measured in the audio itself.

Autocorrelation and peaks of intensity, as Praat's users have them: Praat's own library (parselmouth) is GPL-3, librosa
weighs more than all the rest here, and WORLD tells pitch alone. What a figure means for the mood is the core's to say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from openlive.engines.runtime.workers import WorkerPool
from openlive.types import INPUT_RATE, Prosody, Transcript

Array = npt.NDArray[np.float32]

LONGEST = 12 * INPUT_RATE
"""Samples that are looked at, the latest ones: a mood is that of what was said last, and the cost stays bounded."""
HOP = INPUT_RATE // 100
WINDOW = 3 * INPUT_RATE // 75
"""Samples of a frame: three periods of the lowest pitch (Boersma 1993)."""
LOWEST, HIGHEST = 75, 500
"""Hz between which a pitch is looked for: Praat's defaults, the upper one lower for speech."""
VOICED = 0.45
"""Autocorrelation from which a frame has a pitch, and..."""
AUDIBLE = 0.03  # ... the part of the loudest sample that it has to reach (both are Praat's defaults).
OCTAVE_COST = 0.01
STRAY = 10.0
"""Semitones from the median beyond which a pitch is a mistake by an octave."""
SMOOTHING = 64 * INPUT_RATE // 1000
"""Samples over which intensity is taken: Praat's for a pitch of 50 Hz, which de Jong & Wempe (2009) ask for."""
DIP, SILENT = 2.0, 25.0
"""dB: how deep it falls between two syllables, and how far below the loudest one there are none (the same paper)."""
PAUSE = 30
"""Frames of silence that are no speaking time (0.3 s, the same paper)."""
LEAST = 20
"""Voiced frames (0.2 s) below which nothing is told."""


_WORKERS = WorkerPool(1, "prosody")


async def transcribe_with_prosody(
    transcribe: Callable[[AsyncIterator[bytes]], AsyncIterator[Transcript]], audio: AsyncIterator[bytes]
) -> AsyncIterator[Transcript]:
    """What `transcribe` (of an `STT`) makes of one utterance, its final transcripts with the prosody up to their flush.
    That is measured in a thread while the transcript is made, so the answer does not wait for it."""
    asked: deque[asyncio.Task[Prosody | None]] = deque()

    async def tap_audio() -> AsyncIterator[bytes]:
        kept = bytearray()
        async for chunk in audio:
            kept += chunk
            del kept[: -2 * LONGEST]
            if not chunk:
                asked.append(asyncio.create_task(_measure_in_thread(bytes(kept))))
            yield chunk

    try:
        async for transcript in transcribe(tap_audio()):
            yield replace(transcript, prosody=await asked.popleft()) if transcript.final else transcript
    finally:
        for task in asked:
            task.cancel()


async def _measure_in_thread(pcm: bytes) -> Prosody | None:
    return await _WORKERS.run(lambda _: measure_prosody(pcm))


def measure_prosody(pcm: bytes) -> Prosody | None:
    """Of s16le mono 16 kHz; None where too little of it is voiced. Takes about 25 ms of one core for 4 s (blocking).

    Pitch by the autocorrelation of a windowed frame over that of the window (Boersma 1993, "Accurate short-term
    analysis of the fundamental frequency"), the best candidate of each frame alone; mistakes by an octave are dropped
    by their distance from the median. Pace in syllable nuclei, voiced peaks of intensity with a dip before them, per
    second of speaking time (de Jong & Wempe 2009, "Praat script to detect syllable nuclei").
    """
    samples = np.frombuffer(pcm, "<i2")[-LONGEST:].astype(np.float32) / np.float32(32768)
    if len(samples) < 2 * WINDOW:
        return None
    pitch = track_pitch(samples)
    voiced = ~np.isnan(pitch)
    if voiced.sum() < LEAST:
        return None
    intensity = measure_loudness(samples)[: len(pitch)]
    low, middle, high = np.percentile(pitch[voiced], (10, 50, 90))
    floor = float(np.percentile(intensity, 99)) - SILENT
    return Prosody(
        pitch=float(middle),
        spread=float(high - low),
        level=float(10 * np.log10(np.mean(10 ** (intensity[voiced] / 10)))),
        pace=float(count_syllables(intensity, voiced, floor) / speaking_seconds(intensity > floor)),
        voiced=float(voiced.sum()) * HOP / INPUT_RATE,
    )


def track_pitch(samples: Array) -> Array:
    """float32[frames], one per 10 ms: the pitch in semitones above 1 Hz, NaN where there is none."""
    window = np.hanning(WINDOW).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    peaks = np.abs(frames).max(axis=1)
    frames = (frames - frames.mean(axis=1, keepdims=True)) * window
    lags = np.arange(INPUT_RATE // HIGHEST - 1, INPUT_RATE // LOWEST + 2)
    size = 1 << (WINDOW + int(lags[-1])).bit_length()
    likeness = _autocorrelation(frames, size, lags) / _autocorrelation(window[None], size, lags)
    inner = likeness[:, 1:-1]
    peak = (inner > likeness[:, :-2]) & (inner >= likeness[:, 2:])
    cost = OCTAVE_COST * np.log2(LOWEST * lags[1:-1] / INPUT_RATE).astype(np.float32)
    best = np.argmax(np.where(peak, inner - cost, -1), axis=1)
    row = np.arange(len(best))
    before, at, after = (likeness[row, best + i] for i in range(3))
    bend = before - 2 * at + after
    shift = np.where(bend < 0, (before - after) / (2 * np.where(bend < 0, bend, -1)), 0)
    pitch = 12 * np.log2(INPUT_RATE / (lags[best + 1] + np.clip(shift, -1, 1)))
    voiced = peak[row, best] & (at > VOICED) & (peaks > AUDIBLE * peaks.max())
    if not voiced.any():
        return np.full(len(pitch), np.nan, np.float32)
    voiced &= np.abs(pitch - np.median(pitch[voiced])) < STRAY
    return np.where(voiced, pitch, np.nan).astype(np.float32)


def _autocorrelation(frames: Array, size: int, lags: npt.NDArray[np.int64]) -> Array:
    """Of each row, at `lags`, over that at no lag; by the FFT of `size`."""
    spectrum = np.fft.rfft(frames, size)
    found = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)
    relative: Array = (found[:, lags] / np.maximum(found[:, :1], 1e-9)).astype(np.float32)
    return relative


def measure_loudness(samples: Array) -> Array:
    """float32[frames], one per 10 ms: dB of full scale, smoothed."""
    weights = np.hanning(SMOOTHING + 2)[1:-1]
    blocks = np.lib.stride_tricks.sliding_window_view(np.pad(samples, SMOOTHING // 2) ** 2, SMOOTHING)[::HOP]
    power: Array = blocks @ (weights / weights.sum()).astype(np.float32)
    decibels: Array = 10 * np.log10(power + np.float32(1e-10))
    return decibels


def count_syllables(intensity: Array, voiced: npt.NDArray[np.bool_], floor: float) -> int:
    """Peaks that are voiced, above `floor`, and `DIP` above what lies between them and the one before."""
    count, valley, top, at = 0, float(intensity[0]), -np.inf, 0
    for i, level in enumerate(intensity.tolist()):
        if level > top:
            top, at = level, i
        if level < top - DIP:  # it has fallen: was that a peak?
            count += bool(top > floor and top - valley > DIP and voiced[at])
            valley, top = level, -np.inf
        valley = min(valley, level)
        if top == -np.inf:
            top = level
    return count + bool(top > floor and top - valley > DIP and voiced[at])


def speaking_seconds(sounding: npt.NDArray[np.bool_]) -> float:
    """Seconds of speech, pauses left out."""
    at = np.flatnonzero(sounding)
    gaps = np.diff(at) - 1
    return float((at[-1] - at[0] + 1 - gaps[gaps >= PAUSE].sum()) * HOP / INPUT_RATE)
