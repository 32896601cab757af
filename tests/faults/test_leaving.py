"""Who leaves, leaves nothing behind: no work of engines, no tasks, no sockets, no memory."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
import psutil
import pytest

from openlive.engines.api import Judged
from openlive.server.connection import Connection
from openlive.server.engines import Engines
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD, ScriptedVADStream
from openlive.types import Request, Speech, Transcript, Voice, Written
from tests.faults.neighbour import Talkative, undisturbed
from tests.raw import TALK, TEXT, Raw, client
from tests.serving import SECONDS, Scripted, Server, serving, silence, tone

pytestmark = pytest.mark.anyio


class Busy:
    """How many calls each engine is at work on, and how many it has begun."""

    def __init__(self) -> None:
        self.now = {"vad": 0, "stt": 0, "llm": 0, "tts": 0}
        self.ever = dict(self.now)

    def begin(self, kind: str) -> None:
        self.now[kind] += 1
        self.ever[kind] += 1

    def end(self, kind: str) -> None:
        self.now[kind] -= 1


class BusyVAD(ScriptedVAD, kw_only=True):
    busy: Any

    def stream(self, tell: Callable[[Judged], None]) -> ScriptedVADStream:
        self.busy.begin("vad")
        return BusyVADStream(self, self.begin_use(), tell)


class BusyVADStream(ScriptedVADStream):
    def close(self) -> None:
        script: Any = self._script
        script.busy.end("vad")
        super().close()


class BusySTT(ScriptedSTT, kw_only=True):
    busy: Any

    async def transcribe(
        self,
        audio: AsyncIterator[bytes],
        *,
        languages: Sequence[str] = (),
        phrases: Sequence[str] = (),
        words: bool = False,
    ) -> AsyncIterator[Transcript]:
        self.busy.begin("stt")
        try:
            async for transcript in super().transcribe(audio):
                yield transcript
        finally:
            self.busy.end("stt")


class BusyLLM(ScriptedLLM, kw_only=True):
    busy: Any

    async def generate(self, request: Request) -> AsyncIterator[Written]:
        self.busy.begin("llm")
        try:
            async for piece in super().generate(request):
                yield piece
        finally:
            self.busy.end("llm")


class BusyTTS(ScriptedTTS, kw_only=True):
    busy: Any

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        self.busy.begin("tts")
        try:
            async for piece in super().speak(text, voice):
                yield piece
        finally:
            self.busy.end("tts")


def busy_engines(busy: Busy, **slow: Any) -> Scripted:
    """`slow` names the engine that never comes to an end: `llm={1: "hang"}`."""
    return Scripted(
        vad=BusyVAD(busy=busy, faults=slow.get("vad", {})),
        stt=BusySTT(busy=busy, faults=slow.get("stt", {})),
        llm=BusyLLM(busy=busy, faults=slow.get("llm", {}), token=0.01, replies=("word " * 500,)),
        tts=BusyTTS(busy=busy, faults=slow.get("tts", {}), character=0.01),
    )


@pytest.mark.parametrize("way", ["abort", "close"])
@pytest.mark.parametrize("slow", ["vad", "stt", "llm", "tts"])
async def test_in_the_middle_of_an_answer(slow: str, way: str) -> None:
    busy = Busy()
    scripted = busy_engines(busy, **{slow: {1: "hang"}})
    with serving(scripted.engines) as server:
        idle = server.tasks()
        async with client(server, TALK) as raw:
            await raw.speak(tone(0.5) + silence(1))
            assert await server.comes_to(lambda: busy.now[slow] > 0)
            if way == "abort":
                raw.ws.transport.abort()
        assert await server.comes_to(lambda: not any(busy.now.values()), 5), busy.now
        assert await server.comes_to(lambda: len(scripted.llm.forgotten) == 1, 5)
        assert await server.comes_to(lambda: server.tasks_now() <= idle, 5)
        assert await server.comes_to(lambda: server.connections() == 0, 5)


async def leave(server: Server, way: int) -> None:
    """One of the many ways to come and go."""
    async with client(server, TALK if way % 2 else TEXT, secure=way % 3 > 0) as raw:
        if way % 5 == 1:
            await raw.ask("hello")
        elif way % 5 == 2:
            await raw.speak(tone(0.3))
        elif way % 5 == 3:
            await raw.ask("talk" if way % 2 else "hello")
            await raw.hear()
        elif way % 5 == 4:
            await raw.ws.send("rubbish")
            await raw.closed()
        if way % 7 < 3:
            raw.ws.transport.abort()


async def leave_before_the_setup(server: Server, way: int) -> None:
    async with client(server, secure=way % 3 > 0) as raw:
        raw.ws.transport.abort()


def living() -> int:
    gc.collect()
    return len(alive())


def alive() -> list[Connection]:
    return [thing for thing in gc.get_objects() if isinstance(thing, Connection)]


def held(levels: int = 6) -> str:
    """What holds the connections that are alive, level by level, and what the server's tasks are at."""
    lines = [f"task: {task.get_coro()}, at {task.get_stack(limit=1)}" for task in asyncio.all_tasks()]
    for connection in alive():
        lines.append(f"{connection!r}: {[key for key, value in vars(connection).items() if value is None]} are None")
        level: list[Any] = [connection]
        seen = {id(level), id(lines)}
        for depth in range(1, levels + 1):
            seen |= {id(thing) for thing in level}
            skip = {id(level), id(sys._getframe())}
            found = [thing for thing in gc.get_referrers(*level) if id(thing) not in seen | skip]
            lines += [f"{'  ' * depth}{type(thing).__name__}: {told(thing)}" for thing in found[:8]]
            level = found[:8]
            if not level:
                break
    return "\n".join(lines)


def told(thing: Any) -> str:
    if isinstance(thing, dict):
        return f"{len(thing)} of {list(thing)[:12]}"
    if isinstance(thing, list | tuple | set):
        return f"{len(thing)} of {[type(one).__name__ for one in list(thing)[:8]]}"
    return repr(thing)[:200]


async def test_two_hundred_comings_and_goings() -> None:
    busy = Busy()
    scripted = busy_engines(busy)
    talkative = Talkative(scripted)
    with serving(Engines(vad=scripted.vad, stt=scripted.stt, responder=talkative)) as server:
        process = psutil.Process()

        async def come_and_go(rounds: range) -> None:
            slots = anyio.Semaphore(8)

            async def one(way: int) -> None:
                async with slots:
                    await (leave_before_the_setup if way % 11 == 10 else leave)(server, way)

            async with undisturbed(server, talkative), anyio.create_task_group() as group:
                for way in rounds:
                    group.start_soon(one, way)

        async def rest() -> tuple[int, int]:
            assert await server.comes_to(lambda: server.connections() == 0, SECONDS)
            assert await server.comes_to(lambda: not any(busy.now.values()), SECONDS)
            assert await server.comes_to(lambda: talkative.talking == 0, SECONDS)
            assert await server.comes_to(lambda: server.tasks_now() <= idle, SECONDS)
            server.sessions.clear()
            assert await server.comes_to(lambda: living() == 0, SECONDS), server.call(held)
            return process.num_fds(), process.memory_info().rss

        idle = server.tasks()
        await come_and_go(range(100))
        files, memory = await rest()
        await come_and_go(range(100, 300))
        more_files, more_memory = await rest()
        print(f"\n200 sessions: {(more_memory - memory) / 1e6:.1f} MB more, {more_files - files} files more")
        assert more_files <= files
        assert more_memory - memory < 8e6


async def test_the_server_stops_with_clients_in_the_middle_of_things() -> None:
    """Whoever is there is told why."""
    busy = Busy()
    scripted = busy_engines(busy, llm={2: "hang"})
    clients: list[Raw] = []
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            ends: list[tuple[int, str]] = []
            ready = anyio.Event()

            async def stay(server: Server, question: str | None) -> None:
                async with client(server, TALK) as raw:
                    clients.append(raw)
                    if question:
                        await raw.ask(question)
                    if len(clients) == 3:
                        ready.set()
                    ends.append(await raw.closed())

            with serving(scripted.engines) as server:
                for question in ("one", "two", None):
                    group.start_soon(stay, server, question)
                await ready.wait()
                await anyio.to_thread.run_sync(server.stop)
    assert ends == [(1011, "The service is currently unavailable.")] * 3
    assert not any(busy.now.values())
