"""A few threads for inference, with priorities.

Priorities are small numbers, the smallest first; equals keep their order. Nobody is overtaken for ever: what has waited
for `PATIENCE` is as urgent as the most urgent. Work on a reply that is held (`hold`) comes
after all other, whatever its priority. Work that nobody awaits any more is dropped while it waits, and told through its
`Abort` while it runs.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from openlive.engines.runtime import speculation

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
PATIENCE = 5.0
"""Seconds for which what follows the first words of an answer lets the first words of others go before: about as long
as a client has something to play meanwhile. Where one answer after another begins, it would never be its turn."""


class AbortedError(Exception):
    """The work ended early because nobody awaits it."""


class Abort:
    """Tells running work to end. Work asks `raise_if_aborted` now and then, or has a function called by
    `calling_on_abort`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._on_abort: Callable[[], None] | None = None

    def set(self) -> None:
        with self._lock:
            self._is_set = True
            if self._on_abort:
                self._on_abort()

    def raise_if_aborted(self) -> None:
        if self._is_set:
            raise AbortedError

    @contextmanager
    def calling_on_abort(self, call: Callable[[], None]) -> Iterator[None]:
        """Calls `call` (short, from another thread) if the abort comes inside the block, whose error is then this."""
        with self._lock:  # so that no abort comes between the look and the function
            self.raise_if_aborted()
            self._on_abort = call
        try:
            yield
        except Exception:
            self.raise_if_aborted()
            raise
        finally:
            with self._lock:
                self._on_abort = None


class _Job(Struct, eq=False):
    priority: int
    number: int
    work: Callable[[Abort], Any]
    abort: Abort
    result: Future[Any]
    hold: speculation.Hold | None
    since: float

    @property
    def queue_order(self) -> tuple[bool, int, int]:
        """Smaller ones go first."""
        priority = self.priority if time.monotonic() - self.since < PATIENCE else 0
        return self.hold is not None and not self.hold.released, priority, self.number


class WorkerPool:
    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix=name)
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._queue: list[_Job] = []

    async def run(self, work: Callable[[Abort], T], priority: int = 0) -> T:
        """Runs `work` in a thread once it is its turn. Cancelling the caller drops it, or aborts it if it runs."""
        abort, result = Abort(), Future[T]()
        job = _Job(priority, next(self._order), work, abort, result, speculation.current_hold(), time.monotonic())
        with self._lock:
            self._queue.append(job)
        self._pool.submit(self._run_next)
        try:
            return await asyncio.wrap_future(result)
        except asyncio.CancelledError:
            abort.set()
            raise

    def close(self) -> None:
        """The threads end with what they are at; what waits is dropped."""
        with self._lock:
            for job in self._queue:
                job.result.cancel()
        self._pool.shutdown(wait=False)

    def _run_next(self) -> None:
        with self._lock:
            job = min(self._queue, key=lambda waiting: waiting.queue_order)
            self._queue.remove(job)
        result = job.result
        if not result.set_running_or_notify_cancel():
            return
        try:
            value = job.work(job.abort)
        except BaseException as error:
            result.set_exception(error)
        else:
            result.set_result(value)
