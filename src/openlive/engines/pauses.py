"""The silence around a clause: networks make too much of it, and what stays is what the clause's last mark deserves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from openlive.types import OUTPUT_RATE

Audio = npt.NDArray[np.float32]
"""float32[n], mono 24 kHz, -1 to 1."""

FRAME = OUTPUT_RATE // 200
LEVEL = 0.01
"""Where a 5 ms frame's RMS counts as voice. Kokoro's own silence is below 1e-5, Piper's below 3e-3; a soft fricative is
about 0.005."""
LEAD = 30 * OUTPUT_RATE // 1000
"""Samples of silence that stay before the voice; Kokoro makes 215 to 390 ms, by voice."""
TAIL = {"": 60, ",": 160, ";": 220, ":": 220, "—": 220, "…": 300, ".": 320, "!": 320, "?": 320}
"""Milliseconds that stay after the voice, by the mark that ends the clause; Kokoro makes 340 to 600."""


def trimmed(audio: Audio, mark: str) -> tuple[Audio, int]:
    """The audio with the silence that `mark` deserves, and where its voice ends (samples)."""
    frames = len(audio) // FRAME
    loud = np.flatnonzero(np.square(audio[: frames * FRAME]).reshape(frames, FRAME).mean(axis=1) > LEVEL**2)
    if not len(loud):
        return audio[:0], 0
    start = max(0, int(loud[0]) * FRAME - LEAD)
    end = (int(loud[-1]) + 1) * FRAME
    tail = TAIL.get(mark, TAIL[""]) * OUTPUT_RATE // 1000
    return np.pad(audio[start : end + tail], (0, max(0, end + tail - len(audio)))), end - start


def pcm(audio: Audio) -> bytes:
    """As s16le."""
    return (np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes()
