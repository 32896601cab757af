"""A long time of everything at once: `python -m tests.hostile.soak --seconds 600 --plot docs/soak.svg`.

Forty speakers, two hundred who only wait, some who read slowly, and others who come and end with a reset or in the
middle of a turn. Before and after them the server is looked at while nobody is there: memory, tasks, descriptors and
threads have to be back. `--virtual` does the same to the core alone, in virtual time: two hours of 240 sessions.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from openlive.cli.bench.plot import Curve, plot
from tests.hostile.kinds import ATTACKER
from tests.hostile.neighbours import Neighbours
from tests.hostile.server import Figures, Host, hosted
from tests.hostile.sockets import TALK, TEXT, Socket, message, spoken, turns, websocket
from tests.serving import tone

SLOW, LEAVING = 6, 12
"""Who reads slowly, and who comes and goes all the time."""
EVERY = 5.0
"""Seconds between two looks at the server."""
WARM = 40.0
"""Seconds of the same before it is looked at for the first time: what is loaded once is there then."""
QUIET = 12.0
"""Seconds in which nobody is there, before each of the two looks that are compared."""
MEMORY, MORE = 12e6, 0
"""Bytes, and tasks, descriptors or threads, that there may be more at the end."""


class Look(Struct, frozen=True):
    """`at`: seconds since the beginning."""

    at: float
    figures: Figures


async def soaked(seconds: float, talking: int, idle: int, core: int | None) -> tuple[list[Look], Neighbours]:
    with hosted(core=core) as host:
        watch = Watch(host)
        looking = asyncio.create_task(watch.run())
        await crowd(host.port, min(WARM, seconds), talking, idle)
        await asyncio.sleep(QUIET)
        await watch.look()
        watch.marks.append(len(watch.looks) - 1)
        neighbours = await crowd(host.port, seconds, talking, idle)
        await asyncio.sleep(QUIET)
        await watch.look()
        watch.marks.append(len(watch.looks) - 1)
        looking.cancel()
        return [watch.looks[mark] for mark in watch.marks] + watch.looks, neighbours


class Watch:
    """Looks at a server again and again. `marks` are the looks that are compared."""

    def __init__(self, host: Host) -> None:
        self.looks: list[Look] = []
        self.marks: list[int] = []
        self._host = host
        self._begin = asyncio.get_running_loop().time()
        self._lock = asyncio.Lock()

    async def look(self) -> None:
        async with self._lock:
            figures = await asyncio.to_thread(self._host.figures)
            self.looks.append(Look(round(asyncio.get_running_loop().time() - self._begin, 1), figures))

    async def run(self) -> None:
        while True:
            await self.look()
            last = self.looks[-1]
            f = last.figures
            print(
                f"{last.at:6.0f} s {f.resident / 1e6:5.0f} MB, {f.tasks} tasks, {f.files} descriptors, "
                f"{f.threads} threads",
                flush=True,
            )
            await asyncio.sleep(EVERY)


async def crowd(port: int, seconds: float, talking: int, idle: int) -> Neighbours:
    """Everybody for that long; all of them are gone when it returns."""
    neighbours = Neighbours(port, talking)
    others: list[tuple[Callable[[int, random.Random], Awaitable[None]], int]] = [
        (lambda _n, _c: waits(port, seconds), idle),
        (lambda _n, _c: reads_slowly(port), SLOW),
        (lambda number, chance: comes_and_goes(port, number, chance), LEAVING),
    ]
    tasks = [
        asyncio.create_task(_again(one, number)) for one, count in others for number in range(count)
    ]  # a session of those who wait lasts as long as all of it
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await neighbours.stop()
    return neighbours


async def _again(one: Callable[[int, random.Random], Awaitable[None]], number: int) -> None:
    chance = random.Random(number)
    while True:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            await one(number, chance)
        await asyncio.sleep(0.2 + chance.random())


async def waits(port: int, seconds: float) -> None:
    await asyncio.sleep(random.random() * 5)
    async with websocket(port, ATTACKER, TEXT):
        await asyncio.sleep(seconds)


async def reads_slowly(port: int) -> None:
    """Takes some kilobytes a second of a long answer, and leaves after half a minute."""
    async with websocket(port, ATTACKER, TALK, small=True) as socket:
        await socket.say(turns("model: code"))
        transport = socket.writer.transport
        assert isinstance(transport, asyncio.Transport)
        for _ in range(60):
            transport.pause_reading()
            await asyncio.sleep(0.48)
            transport.resume_reading()
            await asyncio.sleep(0.02)


async def comes_and_goes(port: int, number: int, chance: random.Random) -> None:
    """One of the many ways to leave in the middle of something."""
    async with websocket(port, ATTACKER, TALK if number % 2 else TEXT) as socket:
        await (_types, _speaks, _listens)[number % 3](socket)
        await asyncio.sleep(chance.random())
        if chance.random() < 0.6:
            socket.reset()
        elif chance.random() < 0.5:
            await socket.write(message("rubbish"))
            await socket.ended(3)


async def _types(socket: Socket) -> None:
    await socket.say(turns("hello", complete=False))


async def _speaks(socket: Socket) -> None:
    await socket.say(spoken(tone(0.4)))


async def _listens(socket: Socket) -> None:
    await socket.say(turns("Tell me something."))
    await socket.until("modelTurn")


def compared(before: Figures, after: Figures) -> list[str]:
    """What is not back."""
    found = []
    if after.resident - before.resident > MEMORY:
        found.append(f"{(after.resident - before.resident) / 1e6:.1f} MB more")
    for name in ("tasks", "files", "threads"):
        was, is_ = getattr(before, name), getattr(after, name)
        if is_ is None or is_ > was + MORE:
            found.append(f"{name}: {was} before, {is_} after")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.soak")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--talking", type=int, default=40)
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument("--plot", type=Path, help="write a chart of memory there (SVG)")
    parser.add_argument("--virtual", type=float, metavar="HOURS", help="the core alone, in virtual time")
    options = parser.parse_args()
    if options.virtual:
        from tests.hostile.virtual import told

        sys.exit(told(options.virtual, options.talking, options.idle))
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[:-1]))
    core = cores[-1] if len(cores) > 1 else None
    (before, after, *looks), neighbours = asyncio.run(soaked(options.seconds, options.talking, options.idle, core))
    if options.plot:
        options.plot.write_text(drawn(looks))
    turns_heard = [delay for _, delay in neighbours.delays]
    print(f"{len(turns_heard)} spoken turns, {sum(delay >= 5 for delay in turns_heard)} without an answer.")
    for name in ("resident", "tasks", "files", "threads"):
        print(f"{name}: {getattr(before.figures, name):,} before, {getattr(after.figures, name):,} after")
    wrong = compared(before.figures, after.figures)
    print("Everything is back." if not wrong else "Not back: " + "; ".join(wrong))
    sys.exit(bool(wrong))


def drawn(looks: list[Look]) -> str:
    """Memory over time. Tasks and descriptors are told in words: they go up and down with those who come and go."""
    memory = tuple((look.at, look.figures.resident / 1e6, "") for look in looks)
    return plot((Curve("the server's memory", memory),), "seconds", "MB")


if __name__ == "__main__":
    main()
