"""How long answers wait until the client gets something of them, and how long the next one would; how long what was
said waits for its transcript.

What is measured is how many answers the engines begin in a second while several want one: one after another, or many at
once, makes no difference to it. A single answer tells no more than that it can be no slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct

ASSUMED = 2.0
"""Seconds of the engines per answer until one was measured: what the embedded ones take on two cores. Where the server
can, it measures one of its own before anybody asks (`App.warm_up`)."""
ELSEWHERE = 0.25
"""The same for engines that compute nothing ahead: an endpoint, which answers many at once, and is not to turn away the
seventeenth who comes back after a restart. Should it be slow, the first answers show it."""
PATIENCE = 60.0
"""Seconds, where nothing else is said: `limits.reply_seconds` as it comes."""
MEMORY = 32
"""Answers that the measure goes by, about: the latest."""
FRESH = 30.0
"""Seconds for which who came in is expected to ask its first question: programs ask at once, people in a while."""


class Wait(Struct, eq=False):
    """One answer that is being made. `moved` is called when one that was before it in the queue got its turn; `sign` is
    when that, or anything of its own, last showed that the engines are at work."""

    moved: Callable[[], None]
    since: float
    before: set[Wait]
    sign: float = 0.0


class Waits:
    """Of the answers of all sessions; seconds. One without a sign for `patience` is given up by its session."""

    def __init__(
        self,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        assumed: float = ASSUMED,
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._waiting: dict[Wait, None] = {}
        """For their beginning; the oldest first."""
        self._under_way: set[Wait] = set()
        self._fresh: dict[str, float] = {}
        """Sessions that have not asked anything yet, and when they came."""
        self._seconds, self._answers = assumed, 1.0
        self._since = 0.0
        """When the latest answer began, or the first of those that wait came."""
        self._contended = False

    # Sessions.

    def came(self, session: str) -> None:
        self._fresh[session] = self._clock()

    def left(self, session: str) -> None:
        self._fresh.pop(session, None)

    # Answers.

    def begin(self, session: str, moved: Callable[[], None] = lambda: None) -> Wait:
        """The engines are asked for an answer."""
        self.left(session)
        now = self._clock()
        if not self._waiting:
            self._since, self._contended = now, False
        wait = Wait(moved, now, set(self._waiting), now)
        self._waiting[wait] = None
        self._under_way.add(wait)
        self._contended = self._contended or len(self._waiting) > 1
        return wait

    def progressed(self, wait: Wait) -> None:
        """The engines are at work on it."""
        wait.sign = self._clock()

    def produced(self, wait: Wait) -> None:
        """The client gets something of it. From here on it waits behind those that wait now, whose first words go
        before what follows."""
        self.progressed(wait)
        if wait in self._waiting:
            del self._waiting[wait]
            self._measure()
            self._pass(wait)
        wait.before = set(self._waiting)

    def end(self, wait: Wait) -> None:
        """It is complete, or not wanted any more. Where it was given up, that is no sign to who waits behind it: behind
        a dead engine one after the other would wait as long again."""
        self._under_way.discard(wait)
        given_up = self._clock() - wait.sign >= self._patience
        if wait in self._waiting:
            del self._waiting[wait]
            self._pass(wait, told=not given_up)

    def _measure(self) -> None:
        now = self._clock()
        took, self._since = now - self._since, now
        if self._contended:
            kept = 1 - 1 / MEMORY
            self._seconds, self._answers = kept * self._seconds + took, kept * self._answers + 1
        else:
            self.note_single(took)

    def note_single(self, took: float) -> None:
        """An answer that nobody else waited beside took so many seconds: they can be no slower."""
        if took < self.pace:
            self._seconds, self._answers = took, 1.0

    def _pass(self, wait: Wait, *, told: bool = True) -> None:
        for other in tuple(self._under_way):
            if wait in other.before:
                other.before.discard(wait)
                if told:
                    self.progressed(other)
                    other.moved()

    # What that comes to.

    @property
    def pace(self) -> float:
        """Seconds of the engines per answer."""
        return self._seconds / self._answers

    @property
    def longest(self) -> float:
        """Of those that wait now; 0 where none does."""
        return self._clock() - next(iter(self._waiting)).since if self._waiting else 0.0

    @property
    def expected(self) -> float:
        """Before the first answer of a session that came now is begun: all that wait, and all that came before it and
        have not asked yet, go first. 0 where nobody does, however slow the engines are."""
        now = self._clock()
        while self._fresh and now - next(iter(self._fresh.values())) > FRESH:
            del self._fresh[next(iter(self._fresh))]
        return (len(self._waiting) + len(self._fresh)) * self.pace
