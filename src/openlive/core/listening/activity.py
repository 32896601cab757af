"""Speech probabilities -> where activity starts, pauses, goes on and ends. Counts samples, knows no clock."""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct

from openlive.types import INPUT_RATE

MS = INPUT_RATE // 1000
PAUSE = 96 * MS
"""The first silence, in samples, in which a reply is prepared: no pause within a phrase is as long for the detector,
which sees speech end 60 to 110 ms late. In 37 s of recorded people there is none; in 41 s of Kokoro's speech two are,
and one of those would be with 128 ms."""
JUDGED_PAUSE = 160 * MS
"""The same where it is judged whether the user has finished: the judgement needs to hear the silence (of a finished
question of 1.3 s it is sure with 160 ms, and not with 96), and its thresholds were measured with it."""


class ActivityChange(Enum):
    STARTED = auto()
    """Speech has lasted for the required padding; `ActivityTracker.onset` tells where it began."""
    PAUSED = auto()
    """The first silence after speech."""
    RESUMED = auto()
    """Speech after `PAUSED`, before the end."""
    ENDED = auto()
    """The required silence has been reached."""


class ActivityPolicy(Struct, frozen=True):
    """When speech counts. `start` and `stop` are probabilities, the rest samples (16 kHz).

    A frame is speech from `start` on, and while it lasts from `stop` on: two thresholds, because a detector hovers
    around one.
    """

    automatic: bool = True
    start: float = 0.5
    stop: float = 0.35
    padding: int = 96 * MS
    silence: int = 700 * MS
    judged: bool = False
    """A judgement on whether the user has finished moves the silence (`core/listening/endpointing.py`)."""
    addressed: bool = False
    """Whether an utterance was meant for the model is judged before it is told (`core/turn_taking.py`)."""
    all_audio: bool = False
    """The silence before speech belongs to its turn, too."""


class ActivityTracker:
    """The state of one audio stream."""

    def __init__(self, policy: ActivityPolicy) -> None:
        self._policy = policy
        self.position = 0
        """Samples judged so far."""
        self.onset = 0
        """Where the present (or last) speech began."""
        self.voiced_until = 0
        """End of the last frame that was speech."""
        self.active = False
        self.paused = False
        self._voiced_run = 0
        self._required_silence = policy.silence

    @property
    def is_rising(self) -> bool:
        """There is speech, too short to count yet."""
        return self._voiced_run > 0

    def push_frame(self, probability: float, samples: int) -> ActivityChange | None:
        """The next frame of the stream. At most one thing changes with a frame."""
        begin, self.position = self.position, self.position + samples
        ongoing = self._voiced_run > 0 if not self.active else not self.paused
        if probability >= (self._policy.stop if ongoing else self._policy.start):
            return self._take_voiced_frame(begin, samples)
        return self._check_silence()

    def _take_voiced_frame(self, begin: int, samples: int) -> ActivityChange | None:
        self.voiced_until = self.position
        if self.active:
            resumed, self.paused = self.paused, False
            self._required_silence = self._policy.silence
            return ActivityChange.RESUMED if resumed else None
        if self._voiced_run == 0:
            self.onset = begin
        self._voiced_run += samples
        if (
            self._voiced_run + samples // 2 < self._policy.padding
        ):  # to the nearest frame: 100 ms are three of 32, not four
            return None
        self.active, self.paused, self._voiced_run = True, False, 0
        return ActivityChange.STARTED

    def _check_silence(self) -> ActivityChange | None:
        self._voiced_run = 0
        if not self.active:
            return None
        silence = self.position - self.voiced_until
        if silence >= self._required_silence:
            self.reset(self.position)
            return ActivityChange.ENDED
        if not self.paused and silence >= (JUDGED_PAUSE if self._policy.judged else PAUSE):
            self.paused = True
            return ActivityChange.PAUSED
        return None

    def end_after_silence(self, silence: int) -> ActivityChange | None:
        """The present silence ends the activity once it has lasted so many samples."""
        if not self.paused:
            return None
        self._required_silence = silence
        return self._check_silence()

    def mark_paused(self) -> None:
        """The speech has stopped for a reason that no frame shows, such as audio that ceased to arrive."""
        self.paused = self.active

    def reset(self, position: int) -> None:
        """Goes on at `position` as if nothing had been said before it."""
        self.position = position
        self.active = self.paused = False
        self._voiced_run = 0
        self._required_silence = self._policy.silence
