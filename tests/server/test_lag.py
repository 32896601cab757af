"""How late the loop is, and what holds it up, without a look at the clock of the machine that runs the test."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import threading
import time
from types import FrameType

from openlive.server import lag
from openlive.server.lag import LoopWatch, places
from tests.callbacks import measured_callbacks

PATIENCE = 15.0


def hold_up(until: threading.Event) -> None:
    assert until.wait(PATIENCE)


def test_what_holds_up_the_loop_is_told_while_it_does() -> None:
    lines: list[str] = []
    lags: list[float] = []
    told = threading.Event()

    def tell(line: str) -> None:
        lines.append(line)
        told.set()

    async def main() -> None:
        with LoopWatch(lags.append, tell, late=0.05):
            hold_up(told)
            while not lags:  # noqa: ASYNC110 - the heartbeat that was late
                await asyncio.sleep(0.01)
            told.clear()

    asyncio.run(main())
    assert len(lines) == 1, lines  # the end of the same is no other line
    assert lines[0].startswith("The event loop is held up: ")
    assert "threading.py" in lines[0]  # the innermost frame; this file is none of openlive's
    assert max(lags) > 0.05
    assert "loop-watch" not in {thread.name for thread in threading.enumerate()}


def test_an_idle_loop_is_not_late() -> None:
    lines: list[str] = []
    lags: list[float] = []

    async def main() -> None:
        with LoopWatch(lags.append, lines.append, late=PATIENCE):
            while len(lags) < 3:  # noqa: ASYNC110 - it beats by itself
                await asyncio.sleep(0.01)

    asyncio.run(main())
    assert not lines


def test_frames_of_ours_are_named_the_innermost_first() -> None:
    found: list[str] = []

    async def main() -> None:
        with LoopWatch(lambda _: found.append(places(here()))):
            while not found:  # noqa: ASYNC110 - the first heartbeat
                await asyncio.sleep(0.01)

    asyncio.run(main())
    inner, ours = found[0].split(" < ")
    assert inner.startswith("server/test_lag.py:")
    assert inner.endswith(" here")
    assert ours.startswith("server/lag.py:")
    assert ours.endswith(" _beat")


def here() -> FrameType:
    return sys._getframe()


def test_lines_are_few() -> None:
    lines: list[str] = []
    watch = LoopWatch(lambda _: None, lines.append)
    for _ in range(5):
        watch._say(2.0, 1.9)
    assert lines == [
        "The event loop is held up: 2.0 s, of which it computed 1.9 s, at unknown, the machine had no time to look"
    ]
    watch._told -= lag.AGAIN
    watch._say(3.0, 0.0)
    assert len(lines) == 2


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        hashlib.sha256(b"x" * 1000).digest()


def test_the_longest_callback_is_found_by_its_cpu_time() -> None:
    with measured_callbacks() as callbacks:

        async def main() -> None:
            await asyncio.sleep(0)
            while not callbacks._places:  # until it was looked at
                compute(0.05)
            await asyncio.sleep(0)

        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        thread.join()
        held = callbacks.longest()
        assert held.seconds >= 0.05
        assert "test_lag.py" in held.place
        callbacks.clear()
        asyncio.run(asyncio.sleep(0))
        assert callbacks.longest().seconds < 0.05
        assert callbacks.count() > 0
