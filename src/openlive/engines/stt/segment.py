"""The part of an utterance whose text isn't settled yet: its samples, how loud they are, and where to cut them.

A recogniser hears the open segment again and again while it grows. What keeps each pass short: beyond `LIMIT` the
segment is cut at its quietest place, and the text up to there is settled. What keeps passes rare: silence needs none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from openlive.types import INPUT_RATE

Samples = npt.NDArray[np.float32]

STEP = INPUT_RATE // 50
"""Samples of one loudness value: 20 ms."""
LIMIT = 12 * INPUT_RATE
"""The longest segment that is heard in one pass."""
EARLIEST_CUT, LATEST_CUT = 5 * INPUT_RATE, LIMIT - INPUT_RATE // 2
PAUSE = INPUT_RATE * 8 // 100
"""Silence after which what was said is worth a pass at once: the flush will come soon, and finds it done."""
SILENT = 0.0008
"""Loudness (root mean square, full scale 1) below which there is no speech at all: -62 dBFS."""
QUIET = 0.03, 0.01
"""Quiet is what is below this part of the segment's loudest 20 ms (-30 dB), and below this loudness (-40 dBFS)."""


def sounding_seconds(samples: Samples) -> float:
    """Seconds from the first to the last 20 ms that are not quiet: how long somebody spoke, pauses inside included."""
    steps = samples[: len(samples) // STEP * STEP].reshape(-1, STEP)
    if not len(steps):
        return 0.0
    levels = np.sqrt(np.mean(np.square(steps), axis=1))
    loud = np.flatnonzero(levels >= min(QUIET[0] * float(levels.max()), QUIET[1]))
    return float(loud[-1] + 1 - loud[0]) * STEP / INPUT_RATE if levels.max() > 0 else 0.0


class AudioSegment:
    def __init__(self) -> None:
        self.start = 0
        """Samples of the utterance before this segment."""
        self._audio = bytearray()
        self._levels: list[float] = []
        self._loudest = 0.0

    def __len__(self) -> int:
        return len(self._audio) // 2

    @property
    def end(self) -> int:
        """Samples of the utterance so far."""
        return self.start + len(self)

    @property
    def is_speechless(self) -> bool:
        """Nothing in it is as loud as a whisper into a microphone."""
        return self._loudest < SILENT

    def add_audio(self, audio: bytes) -> None:
        """Takes s16le samples of any even length."""
        if len(audio) % 2:
            raise ValueError(f"s16le audio has an even number of bytes, not {len(audio)}.")
        self._audio += audio
        known = len(self._levels) * STEP
        whole = (len(self) - known) // STEP
        if whole:
            steps = np.frombuffer(bytes(self._audio[known * 2 : (known + whole * STEP) * 2]), "<i2").reshape(
                whole, STEP
            )
            levels = np.sqrt(np.mean(np.square(steps, dtype=np.float32), axis=1)) / 32768
            self._levels += levels.tolist()
            self._loudest = max(self._loudest, float(levels.max()))

    def copy_samples(self, end: int | None = None) -> Samples:
        """A copy of the segment, or of it up to `end` (counted in the utterance), as float32 in -1 … 1."""
        stop = len(self._audio) if end is None else 2 * (end - self.start)
        return np.frombuffer(bytes(self._audio[:stop]), "<i2").astype(np.float32) / np.float32(32768)

    def quiet_since(self) -> int:
        """Where in the utterance the silence begins that lasts to its end; `end` if it doesn't end in silence."""
        threshold = min(QUIET[0] * self._loudest, QUIET[1])
        levels = self._levels
        i = len(levels)
        while i and levels[i - 1] < threshold:
            i -= 1
        return self.end if i == len(levels) else self.start + i * STEP

    def find_cut(self) -> int | None:
        """Where to cut the segment (counted in the utterance) if it is longer than `LIMIT`: at its quietest 200 ms."""
        if len(self) <= LIMIT:
            return None
        levels = np.asarray(self._levels[EARLIEST_CUT // STEP : LATEST_CUT // STEP])
        smooth = np.convolve(levels, np.ones(10), "valid")
        quietest = len(smooth) - 1 - int(np.argmin(smooth[::-1]))  # of equals the last one
        return self.start + EARLIEST_CUT + (quietest + 5) * STEP

    def drop_before(self, end: int) -> None:
        """Forgets everything before `end` (as `find_cut` gave it): it is settled."""
        steps = (end - self.start) // STEP
        del self._audio[: steps * STEP * 2]
        del self._levels[:steps]
        self.start += steps * STEP
        self._loudest = max(self._levels, default=0.0)
