"""What all calls and all scenes begin with, computed in the background before anybody asks for it.

On a slow core it takes more than a minute, which nobody is to wait for in a turn. Who needs it meanwhile waits for what
is under way instead of computing it a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from openlive.engines.llm.llamacpp.generation import Rank, Run, Signal
from openlive.engines.llm.llamacpp.prefix_cache import Beginning
from openlive.engines.llm.llamacpp.server import Chunk
from openlive.types import Progress

KEY = "#ahead"
"""Of the conversation whose slot it is computed in."""
LOOK = 1.0
"""Seconds between two looks at whether it has got on."""

Told = Callable[[int, int], None]
"""(tokens that are computed, of how many); in any thread."""


class Ahead:
    """`compute` brings a run to its end: it makes way for others and goes on (`Llama._complete`)."""

    def __init__(self, compute: Callable[[str, Run], Awaitable[None]], wake: Callable[[], None]) -> None:
        """`wake`: a run has got another rank."""
        self._compute = compute
        self._wake = wake
        self._run: Run | None = None
        """Of the first one while it is under way."""
        self._there = asyncio.Event()
        self._waiting = 0
        self._done = 0

    @property
    def under_way(self) -> bool:
        return self._run is not None

    async def run(self, beginnings: Sequence[Beginning], told: Told) -> None:
        """Those that are not kept from earlier, one after the other. What the first one is needed for may be waited
        for (`waited`). Raises what went wrong."""
        kept = await asyncio.to_thread(lambda: [beginning.is_kept() for beginning in beginnings])
        missing = [beginning for beginning, there in zip(beginnings, kept, strict=True) if not there]
        total = sum(len(beginning.tokens) for beginning in missing)
        before = 0
        for beginning in missing:
            first, on = beginning is beginnings[0], partial(_told, told, before, total)
            await self._compute_one(beginning, first=first, told=on)
            before += len(beginning.tokens)
            told(before, total)

    async def _compute_one(self, beginning: Beginning, *, first: bool, told: Callable[[int], None]) -> None:
        def step(chunk: Chunk) -> bool:
            self._done += 1
            if chunk.computed:
                told(chunk.computed)
            return False

        run = Run(beginning.tokens, {"n_predict": 0}, Signal(), step, rank=Rank.IDLE)
        if first:
            self._run, self._there = run, asyncio.Event()
        try:
            await self._compute(KEY, run)
        finally:
            self._run = None
            self._there.set()
            run.stop()

    async def waited(self) -> AsyncGenerator[Progress, None]:
        """Until the first one is there. It is hurried: beside what others say, not before their first words."""
        self._waiting += 1
        try:
            done = self._done
            while (run := self._run) is not None:
                if run.rank is not Rank.NEXT:
                    run.rank = Rank.NEXT
                    self._wake()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._there.wait()
                if self._done != done:
                    done = self._done
                    yield Progress()
        finally:
            self._waiting -= 1
            if self._run is not None and not self._waiting:
                self._run.rank = Rank.IDLE


def _told(told: Told, before: int, total: int, done: int) -> None:
    told(before + done, total)
