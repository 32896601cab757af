"""How long work tells its caller how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Step = Literal["waiting", "checking", "downloading", "ready"]

INTERVAL = 0.1
"""Seconds between two updates of one step: ten a second look smooth and cost nothing."""


@dataclass(frozen=True, slots=True)
class Update:
    """`done` of `total` bytes of the entry are there; `done` never goes back within one call of `ensure`.

    waiting: another process is fetching the same entry. checking: files found on disk are hashed. downloading: `source`
    is being asked for `file`. ready: the last update.
    """

    name: str
    step: Step
    file: str
    source: str
    done: int
    total: int


Progress = Callable[[Update], None]
"""Called on the thread that called `ensure`, at most some ten times a second; an exception in it ends the fetch."""


def by_quarters(tell: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """(done, total) is told where work begins, and once in each further quarter of it."""
    step = 0

    def show(done: int, total: int) -> None:
        nonlocal step
        if (reached := 1 + 4 * done // max(1, total)) > step:
            step = reached
            tell(done, total)

    return show


class Meter:
    """Counts the bytes of one entry and reports them, not too often."""

    def __init__(self, name: str, total: int, progress: Progress | None) -> None:
        self._name, self._total, self._progress = name, total, progress
        self._step: Step = "checking"
        self._file = self._source = ""
        self._base = self._shown = 0
        self._due = 0.0

    def begin(self, step: Step, file: str = "", source: str = "", base: int | None = None, done: int = 0) -> None:
        """A new step; `base` is what all files before this one hold, `done` what of this one is there."""
        if (step, file, source) != (self._step, self._file, self._source):
            self._due = 0.0
        self._step, self._file, self._source = step, file, source
        if base is not None:
            self._base = base
        self.at(done)

    def at(self, done: int) -> None:
        """`done` bytes of the current file, or on their way to it."""
        now = time.monotonic()
        self._shown = max(self._shown, min(self._base + done, self._total))
        if self._progress is not None and now >= self._due:
            self._due = now + INTERVAL
            self._progress(Update(self._name, self._step, self._file, self._source, self._shown, self._total))
