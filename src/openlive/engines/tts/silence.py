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
HISS = 0.6
"""How much of a frame's power its differences have where it hisses: 0.6 is a tone of 3 kHz; vowels have below 0.3, what
Kokoro puts behind them 2 and more (6 to 8 kHz)."""
LONGEST_HISS = 200 * OUTPUT_RATE // 1000 // FRAME
"""Frames; Kokoro makes up to 150 ms. What is longer is left as it is."""
FADE = 10 * OUTPUT_RATE // 1000


def trim_silence(audio: Audio, mark: str, *, voiced: bool = False) -> tuple[Audio, int]:
    """The audio with the silence that `mark` deserves, and where its voice ends (samples). `voiced`: it ends with a
    vowel, so a hiss behind that is no part of it."""
    cells = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.square(cells).mean(axis=1)
    loud = np.flatnonzero(power > LEVEL**2)
    if not len(loud):
        return audio[:0], 0
    start = max(0, int(loud[0]) * FRAME - LEAD)
    end = (int(loud[-1]) + 1) * FRAME
    tail = TAIL.get(mark, TAIL[""]) * OUTPUT_RATE // 1000
    if voiced:
        hissing = np.square(np.diff(cells, axis=1)).mean(axis=1) > HISS * power
        voice = loud[~hissing[loud]]
        if len(voice) and 0 < loud[-1] - voice[-1] <= LONGEST_HISS:
            end = (int(voice[-1]) + 1) * FRAME
            audio = _faded(audio[:end])
    return np.pad(audio[start : end + tail], (0, max(0, end + tail - len(audio)))), end - start


def _faded(audio: Audio) -> Audio:
    """Its last samples die away, so that a cut is no click."""
    count = min(FADE, len(audio))
    ends: Audio = audio.copy()
    ends[len(ends) - count :] *= np.linspace(1, 0, count, dtype=np.float32)
    return ends


def to_pcm(audio: Audio) -> bytes:
    """As s16le."""
    return (np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes()
