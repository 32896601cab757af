"""Measures a server under attack."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import msgspec
from msgspec import Struct

from tests.hostile.attack import GRACE
from tests.hostile.kinds import Kind
from tests.hostile.neighbours import LOST, Neighbours
from tests.hostile.server import Figures, Host, hosted

CALLBACK_MS = 50.0
MEMORY = 32_000_000
"""Bytes that a server may keep of an attack: what the allocator does not give back, and what neighbours took
meanwhile."""
SLOWER = 1.5
IDLE = 9.0
"""Seconds that a server is looked at before the first attack."""
QUIET = 0.7
"""Seconds after an attack before it is looked at what is left of it."""
LEAST = 1.5
"""Seconds that neighbours are listened to, however short the attack is."""
ANSWERED = 3.0
"""Seconds for the answers of turns that ended during the attack."""
ALIVE = 1.5e9
"""Bytes in memory from which on another server is taken for the next kind."""


class Result(Struct):
    """Milliseconds, megabytes. `p95` is that of the neighbours during the attack, `idle` that of the idle server."""

    name: str
    section: int
    callback_ms: float
    callback: str
    before: float
    peak: float
    after: float
    p95: float
    idle: float
    turns: int
    turned_away: int
    newcomers: int
    told: dict[str, int]
    faults: list[str]
    keeps: int = 0
    hung: bool = False

    @property
    def slower(self) -> float:
        return self.p95 / self.idle if self.idle else 0.0

    @property
    def noisy(self) -> bool:
        """Only the clock speaks against it, and the machine may have been at something else."""
        return len(self.failures) == 1 and self.slower > SLOWER

    @property
    def failures(self) -> list[str]:
        found = list(self.faults)
        if self.hung:
            found.append("the server does not answer any more")
        if self.callback_ms > CALLBACK_MS:
            found.append(f"a callback of {self.callback_ms:.0f} ms: {self.callback}")
        if self.after - self.before > (MEMORY + self.keeps) / 1e6:
            found.append(f"{self.after - self.before:.0f} MB stay")
        if self.slower > SLOWER:
            found.append(f"neighbours wait {self.slower:.1f} times as long")
        if self.turned_away > max(1, 0.05 * self.newcomers):
            found.append(f"{self.turned_away} of {self.newcomers} newcomers did not come in")
        return found

    def told_all(self) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(self)
        return {**built, "failures": self.failures}

    @staticmethod
    def read(found: dict[str, Any]) -> Result:
        return msgspec.convert(found, Result)


def p95(delays: list[float]) -> float:
    """Milliseconds: the smallest that at least 95 % do not exceed."""
    ordered = sorted(delays)
    return 1000 * ordered[max(0, -(-95 * len(ordered) // 100) - 1)] if ordered else 0.0


class Bench:
    """One server after another: the next one comes where the last one hung or kept too much. `core` is the server's."""

    def __init__(self, neighbours: int, scale: float, core: int | None) -> None:
        self._count = neighbours
        self._scale = scale
        self._core = core
        self._outer = ExitStack()
        self._stack = ExitStack()
        self._host: Host | None = None
        self._store = ""
        self._neighbours: Neighbours
        self._idle: list[float] = []
        self._endpoints = ""
        self._attacker: asyncio.subprocess.Process | None = None

    async def close(self) -> None:
        await self._end()
        await self._end_attacker()
        self._outer.close()

    async def measure(self, kind: Kind) -> Result:
        host, before = await self._looked(kind.store)
        loop = asyncio.get_running_loop()
        log = len(host.log().encode())
        begin, came = loop.time(), len(self._neighbours.newcomers)
        told = await self._attacked(kind, host.port)
        await asyncio.sleep(max(0.0, begin + LEAST - loop.time()))
        end = loop.time()
        await asyncio.sleep(QUIET)
        await self._answers(begin, end)
        delays, newcomers = self._neighbours.between(begin, end), self._neighbours.newcomers[came:]
        faults = list(told["faults"])
        faults += [f"the log has {word!r}" for word in kind.log_lacks if word in host.log(log)]
        result = Result(
            name=kind.name,
            section=kind.section,
            callback_ms=0.0,
            callback="",
            before=before.resident / 1e6,
            peak=0.0,
            after=before.resident / 1e6,
            p95=p95(delays or [LOST]),
            idle=p95(self._idle),
            turns=len(delays),
            turned_away=newcomers.count(False),
            newcomers=len(newcomers),
            told=told["told"],
            faults=faults,
            keeps=kind.keeps,
        )
        await self._left(host, result)
        return result

    async def _looked(self, store: str) -> tuple[Host, Figures]:
        """The server that is there, and how it is; another one where that does not say."""
        host = await self._ready(store)
        try:
            return host, await asyncio.to_thread(_looked, host)
        except OSError:
            await self._end()
            host = await self._ready(store)
            return host, await asyncio.to_thread(_looked, host)

    async def _left(self, host: Host, result: Result) -> None:
        """What is left of it. A server that does not say is given up."""
        try:
            after = await asyncio.to_thread(host.figures)
        except (OSError, ValueError):
            result.hung = True
        else:
            result.callback_ms, result.callback = after.callback_ms, after.callback
            result.peak, result.after = after.peak / 1e6, after.resident / 1e6
            result.hung = after.tasks is None
        if result.hung or result.after - result.before > (MEMORY + result.keeps) / 1e6 or result.after * 1e6 > ALIVE:
            await self._end()

    async def _answers(self, begin: float, end: float) -> None:
        """Waits until those who asked before `end` have their answers, or have waited in vain."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + LOST + ANSWERED
        while loop.time() < latest:
            ended = [at for at, _ in self._neighbours.delays]
            if sum(at >= end for at in ended) >= self._count // 2 and len(self._neighbours.between(begin, end)):
                return
            await asyncio.sleep(0.05)

    async def _attacked(self, kind: Kind, port: int) -> dict[str, Any]:
        if self._attacker is None:
            self._attacker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.hostile.attack"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                preexec_fn=lambda: os.nice(10),
            )
        pipes = self._attacker.stdin, self._attacker.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        pipes[0].write(f"{port} {self._scale} {kind.name}\n".encode())
        try:
            async with asyncio.timeout(kind.seconds + 3 * GRACE):
                found: dict[str, Any] = json.loads(await pipes[1].readline())
        except (TimeoutError, ValueError):
            await self._end_attacker()
            return {"told": {"not done in time": 1}, "faults": []}
        return found

    async def _end_attacker(self) -> None:
        attacker, self._attacker = self._attacker, None
        if attacker is not None:
            attacker.kill()
            await attacker.wait()

    async def _ready(self, store: str) -> Host:
        if self._host is not None and store == self._store:
            return self._host
        await self._end()
        if not self._endpoints:
            self._endpoints = serving_endpoints(self._outer)
        self._store = store
        self._host = self._stack.enter_context(hosted(store=store, core=self._core, endpoints=self._endpoints))
        self._neighbours = Neighbours(self._host.port, self._count)
        await asyncio.sleep(3.0)
        begin = asyncio.get_running_loop().time()
        await asyncio.sleep(IDLE if not self._idle else 2.0)
        self._idle += self._neighbours.between(begin, asyncio.get_running_loop().time() - 1.0)
        return self._host

    async def _end(self) -> None:
        if self._host is not None:
            self._host = None
            await self._neighbours.stop()
            await asyncio.to_thread(self._stack.close)


def _looked(host: Host) -> Figures:
    host.clear()
    return host.figures()


def serving_endpoints(stack: ExitStack) -> str:
    """A process with `endpoints.py`; where it listens."""
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.endpoints"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    )
    assert process.stdout is not None
    return f"http://127.0.0.1:{int(process.stdout.readline())}"
