"""The longest callback of an event loop, in CPU time: what a busy machine does to clocks does not count.

with measured_callbacks() as callbacks:
    ...                                   # loops of any thread
assert callbacks.longest().seconds < 0.05, callbacks.longest()
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from openlive.server.lag import places

LONG = 0.03
"""Seconds of CPU from which on it is noted where a callback is."""


class Held(NamedTuple):
    seconds: float
    """Of CPU."""
    callback: str
    place: str
    """Where it was, if it was long and somebody could look."""


NOTHING = Held(0.0, "", "")


class Callbacks:
    """What was measured, by thread."""

    def __init__(self) -> None:
        self._longest: dict[int, Held] = {}
        self._running: dict[int, float] = {}
        """Since what CPU time of its thread a callback runs."""
        self._places: dict[int, str] = {}
        self._counts: dict[int, int] = {}

    def longest(self, thread: int | None = None) -> Held:
        """Of one thread, else of all."""
        found = self._longest.values() if thread is None else [self._longest.get(thread, NOTHING)]
        return max(found, default=NOTHING)

    def count(self) -> int:
        """Callbacks that have run."""
        return sum(self._counts.values())

    def clear(self) -> None:
        self._longest.clear()
        self._counts.clear()

    def run(self, handle: Any, original: Any) -> None:
        thread, before = threading.get_ident(), time.thread_time()
        self._running[thread] = before
        try:
            original(handle)
        finally:
            seconds = time.thread_time() - before
            self._running.pop(thread, None)
            place = self._places.pop(thread, "")
            self._counts[thread] = self._counts.get(thread, 0) + 1
            if seconds > self._longest.get(thread, NOTHING).seconds:
                self._longest[thread] = Held(seconds, repr(handle)[:300], place)

    def look(self, ended: threading.Event) -> None:
        while not ended.wait(0.01):
            frames = sys._current_frames()
            for thread, since in list(self._running.items()):
                try:
                    taken = time.clock_gettime(time.pthread_getcpuclockid(thread)) - since
                except OSError:  # it has ended
                    continue
                if taken > LONG and thread not in self._places:
                    self._places[thread] = places(frames.get(thread))


@contextmanager
def measured_callbacks() -> Iterator[Callbacks]:
    """Measures every callback of every loop of this process while the block lasts."""
    callbacks, ended = Callbacks(), threading.Event()
    original = asyncio.events.Handle._run
    looking = threading.Thread(target=callbacks.look, args=(ended,), daemon=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.events.Handle, "_run", lambda handle: callbacks.run(handle, original))
        looking.start()
        try:
            yield callbacks
        finally:
            ended.set()
            looking.join()
