"""How long a connection and a session last, and when their end is announced."""

from __future__ import annotations

from openlive.core.setup.limits import SessionLimits
from openlive.wire import errors
from openlive.wire.errors import Refusal

GO_AWAY = 60.0
"""Seconds before the end of a connection at which it is announced (docs/protocol.md#limits-and-compression)."""


def earliest_time(*times: float | None) -> float | None:
    """None where there is none. Asked at every event, so written out."""
    first = None
    for at in times:
        if at is not None and (first is None or at < first):
            first = at
    return first


class SessionLifetime:
    """A connection ends at its own limit, at its session's, or when the server ends."""

    def __init__(self, limits: SessionLimits) -> None:
        self.announced = False
        self._limits = limits
        self._began = 0.0
        self._ends: dict[Refusal, float] = {}
        self.end: tuple[float, Refusal] | None = None
        """When, and what is said then."""
        self._age = 0.0
        self._bounded = False
        self._video_since: float | None = None

    def begin_connection(self, now: float, age: float, video_since: float | None, *, bounded: bool) -> None:
        """A session of `age` goes on. `bounded`: its own limits hold. Raises `ProtocolError` where it is over."""
        self._began, self._age, self._video_since, self._bounded = now, age, video_since, bounded
        if self._session_left(now) <= 0:
            raise errors.SESSION_EXPIRED.to_error()
        if self._limits.connection:
            self._set_end(errors.DEADLINE_EXPIRED, now + self._limits.connection)
        self._set_end(errors.DEADLINE_EXPIRED, now + self._session_left(now))

    def note_image(self, now: float) -> None:
        """An image came."""
        if self._video_since is None:
            self._video_since = self.session_age(now)
            self._set_end(errors.DEADLINE_EXPIRED, now + self._session_left(now))

    def start_draining(self, now: float, seconds: float) -> None:
        self._set_end(errors.UNAVAILABLE, now + seconds)

    def session_age(self, now: float) -> float:
        return self._age + now - self._began

    @property
    def is_draining(self) -> bool:
        """The server ends."""
        return errors.UNAVAILABLE in self._ends

    @property
    def video_since(self) -> float | None:
        return self._video_since

    @property
    def goodbye_at(self) -> float | None:
        return None if self.end is None or self.announced else self.end[0] - GO_AWAY

    def _session_left(self, now: float) -> float:
        left, limits = [float("inf")], self._limits
        if self._bounded and limits.session:
            left.append(limits.session - self.session_age(now))
        if self._bounded and limits.video and self._video_since is not None:
            left.append(self._video_since + limits.video - self.session_age(now))
        return min(left)

    def _set_end(self, why: Refusal, at: float) -> None:
        if at < self._ends.get(why, float("inf")):
            self.announced = self.announced and self.end is not None and at >= self.end[0]
            self._ends[why] = at
            self.end = min((at, why) for why, at in self._ends.items())
