"""How late the event loop is, and what holds it up.

A heartbeat in the loop measures; a thread beside it looks where the loop is when a heartbeat does not come, since the
loop itself cannot tell while it is held. What is told are places in programs (file, line, function), never values.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType

EVERY = 0.1
"""Seconds between two heartbeats."""
LATE = 1.0
"""Seconds without one from which on it is told."""
AGAIN = 10.0
"""Seconds between two lines in the log at least."""
PLACES = 4
"""Frames of ours that are named, the innermost first."""
OURS = str(Path(__file__).parent.parent) + "/"
_LOG = logging.getLogger(__name__)


def places(frame: FrameType | None, most: int = PLACES) -> str:
    """Where a thread is: the innermost frames of openlive's, after the innermost of all where that is another's.
    `core/memory/history.py:120 request < core/memory/context.py:40 request`."""
    found: list[str] = []
    inner = frame
    while frame is not None and len(found) < most:
        if frame.f_code.co_filename.startswith(OURS) or frame is inner:
            file = frame.f_code.co_filename.removeprefix(OURS)
            short = "/".join(Path(file).parts[-2:])
            found.append(f"{short}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(found)


class LoopWatch:
    """Of the running loop, for as long as the block lasts. `observe` is told the lag of every heartbeat in seconds,
    `tell` a line for the log, from whichever thread finds out."""

    def __init__(
        self, observe: Callable[[float], None], tell: Callable[[str], None] = _LOG.warning, late: float = LATE
    ) -> None:
        self._observe = observe
        self._tell = tell
        self._late = late
        self._told = -AGAIN
        self._place = ""
        """Where the loop was when its present heartbeat became late."""
        self._ended = threading.Event()
        self._timer: asyncio.TimerHandle
        self._due = 0.0
        self._cpu = 0.0
        """Of the loop's thread, in seconds, at its latest heartbeat."""

    def __enter__(self) -> LoopWatch:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._next()
        self._watcher = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._timer.cancel()
        self._ended.set()
        self._watcher.join()

    def _next(self) -> None:
        self._cpu = time.thread_time()
        self._due = self._loop.time() + EVERY
        self._timer = self._loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        lag = max(0.0, self._loop.time() - self._due)
        self._observe(lag)
        if lag > self._late:
            self._say(lag, time.thread_time() - self._cpu)
        self._place = ""
        self._next()

    def _watch(self) -> None:
        while not self._ended.wait(self._late / 4):
            lag = self._loop.time() - self._due
            if lag > self._late and not self._place:
                self._place = places(sys._current_frames().get(self._thread))  # noqa: SLF001 - there is no other way
                self._say(lag, _cpu_seconds(self._thread) - self._cpu)

    def _say(self, lag: float, cpu: float) -> None:
        """What holds up the loop, or has held it up; what computes little is waiting, for the machine or for a call."""
        now = time.monotonic()
        if now < self._told + AGAIN:
            return
        self._told = now
        where = self._place or "unknown, the machine had no time to look"
        self._tell(f"The event loop is held up: {lag:.1f} s, of which it computed {cpu:.1f} s, at {where}")


def _cpu_seconds(thread: int) -> float:
    """Seconds that a thread of this process has computed."""
    return time.clock_gettime(time.pthread_getcpuclockid(thread))
