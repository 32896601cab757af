"""Threads that are kept: as many as there was ever work at once, and none per session or per piece of work."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread


class ThreadPool:
    """For one caller, who asks `ensure_thread` first. The threads are daemons: what has to end before the process does
    is the caller's to end."""

    def __init__(self, name: str) -> None:
        self.started = 0
        self._name = name
        self._idle = 0
        self._lock = Lock()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def ensure_thread(self) -> None:
        """Sees that a thread is there for a `run`. Raises `RuntimeError` where none can be started."""
        with self._lock:
            if not self._idle:
                Thread(target=self._serve_work, name=self._name, daemon=True).start()
                self.started += 1
                self._idle = 1

    def run(self, work: Callable[[], None]) -> None:
        """Cannot fail: whoever has taken something for the work need not give it back."""
        with self._lock:
            self._idle -= 1
        self._work.put(work)

    def close(self) -> None:
        """They end with what they are at."""
        for _ in range(self.started):
            self._work.put(None)

    def _serve_work(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work
            with self._lock:
                self._idle += 1
