"""How long answers wait for their first word: what tells that a machine has more to do than it can."""

from __future__ import annotations

import time
from collections.abc import Callable


class Waits:
    """Of the answers of all sessions; seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[str, int], float] = {}

    def begin(self, session: str, turn: int) -> None:
        """The engines are asked for an answer."""
        self._since[session, turn] = self._clock()

    def end(self, session: str, turn: int) -> None:
        """There is something of it, or it is not wanted any more."""
        self._since.pop((session, turn), None)

    @property
    def longest(self) -> float:
        """Of those that wait now; 0 where none does."""
        return self._clock() - next(iter(self._since.values())) if self._since else 0.0
