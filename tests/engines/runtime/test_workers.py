from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from openlive.engines.runtime import workers as engine_workers
from openlive.engines.runtime.speculation import Hold, enter_hold
from openlive.engines.runtime.workers import Abort, AbortedError, WorkerPool


class Gate:
    """Work that says when it has begun and ends when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, abort: Abort) -> None:
        self.begun.set()
        assert self.go.wait(10)


async def begun(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.begun.wait, 10)


def test_the_urgent_goes_first_and_equals_keep_their_order() -> None:
    order: list[str] = []

    async def main() -> None:
        workers, gate = WorkerPool(1, "test"), Gate()
        first = asyncio.create_task(workers.run(gate))
        await begun(gate)
        jobs = [
            asyncio.create_task(workers.run(lambda _, name=name: order.append(name), priority))  # type: ignore[misc]
            for name, priority in (("c", 2), ("a", 0), ("d", 2), ("b", 1))
        ]
        await asyncio.sleep(0)  # they have queued up
        gate.go.set()
        await asyncio.gather(first, *jobs)

    asyncio.run(main())
    assert order == ["a", "b", "c", "d"]


def test_nobody_is_overtaken_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    async def main() -> None:
        workers, gate = WorkerPool(1, "test"), Gate()
        first = asyncio.create_task(workers.run(gate))
        await begun(gate)
        jobs = [
            asyncio.create_task(workers.run(lambda _, name=name: order.append(name), priority))  # type: ignore[misc]
            for name, priority in (("patient", 1), ("a", 0), ("b", 0))
        ]
        await asyncio.sleep(0)  # they have queued up
        monkeypatch.setattr(engine_workers, "PATIENCE", 0.0)
        gate.go.set()
        await asyncio.gather(first, *jobs)

    asyncio.run(main())
    assert order == ["patient", "a", "b"]


def test_what_nobody_waits_for_yet_goes_last_until_it_is_released() -> None:
    order: list[str] = []

    async def main() -> None:
        workers, gate = WorkerPool(1, "test"), Gate()

        async def work(name: str, priority: int, held: Hold | None) -> None:
            enter_hold(held)
            await workers.run(lambda _: order.append(name), priority)

        first = asyncio.create_task(workers.run(gate))
        await begun(gate)
        released, kept = Hold(), Hold()
        jobs = [
            asyncio.create_task(work(*job))
            for job in (("kept", 0, kept), ("released", 0, released), ("later", 1, None), ("first", 0, None))
        ]
        await asyncio.sleep(0)  # they have queued up
        released.release()
        gate.go.set()
        await asyncio.gather(first, *jobs)

    asyncio.run(main())
    assert order == ["released", "first", "later", "kept"]


def test_cancelled_work_is_dropped_while_it_waits() -> None:
    ran: list[int] = []

    async def main() -> None:
        workers, gate = WorkerPool(1, "test"), Gate()
        first = asyncio.create_task(workers.run(gate))
        await begun(gate)
        waiting = asyncio.create_task(workers.run(lambda _: ran.append(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.go.set()
        await first
        await workers.run(lambda _: ran.append(2))

    asyncio.run(main())
    assert ran == [2]


def end_in_error(begun: threading.Event, stop: threading.Event) -> None:
    begun.set()
    assert stop.wait(10)
    raise RuntimeError("terminated")


def test_cancelled_work_is_told_while_it_runs() -> None:
    async def main() -> None:
        workers, begun_, told = WorkerPool(1, "test"), threading.Event(), threading.Event()

        def work(abort: Abort) -> None:
            stop = threading.Event()
            with pytest.raises(AbortedError), abort.calling_on_abort(stop.set):
                end_in_error(begun_, stop)
            with pytest.raises(AbortedError):
                abort.raise_if_aborted()
            told.set()

        task = asyncio.create_task(workers.run(work))
        await asyncio.to_thread(begun_.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(told.wait, 10)

    asyncio.run(main())


def test_errors_reach_the_caller() -> None:
    def fail(_: Abort) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await WorkerPool(1, "test").run(fail)

    asyncio.run(main())


class Between:
    """A lock before which, the first time that it is taken, something else happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._happens: list[Callable[[], None]] = [happens]

    def __enter__(self) -> None:
        while self._happens:
            self._happens.pop()()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_an_abort_that_comes_while_a_block_is_entered_is_not_lost() -> None:
    abort, told = Abort(), []
    abort._lock = Between(abort.set)  # type: ignore[assignment]
    with pytest.raises(AbortedError), abort.calling_on_abort(lambda: told.append("told")):
        told.append("worked")
    assert told == []
