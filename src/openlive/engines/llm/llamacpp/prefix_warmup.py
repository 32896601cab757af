"""What all calls and all scenes begin with, computed in the background before anybody asks for it.

On a slow core it takes more than a minute, which nobody is to wait for in a turn. Who needs it meanwhile waits for what
is under way instead of computing it a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from openlive.engines.llm.llamacpp.generation import CompletionRun, LoopSignal, Priority
from openlive.engines.llm.llamacpp.prefix_cache import PromptPrefix
from openlive.engines.llm.llamacpp.server import CompletionChunk
from openlive.types import Progress

KEY = "#ahead"
"""Of the conversation whose slot it is computed in."""
LOOK = 1.0
"""Seconds between two looks at whether it has got on."""

ReportProgress = Callable[[int, int], None]
"""(tokens that are computed, of how many); in any thread."""


class PrefixWarmup:
    """`compute` brings a run to its end: it makes way for others and goes on (`LlamaCppLLM._run_prefill`)."""

    def __init__(self, compute: Callable[[str, CompletionRun], Awaitable[None]], wake: Callable[[], None]) -> None:
        """`wake`: a run has got another rank."""
        self._compute = compute
        self._wake = wake
        self._first_run: CompletionRun | None = None
        """Of the first one while it is under way."""
        self._first_ready = asyncio.Event()
        self._waiter_count = 0
        self._step_count = 0

    @property
    def is_under_way(self) -> bool:
        return self._first_run is not None

    async def compute_prefixes(self, beginnings: Sequence[PromptPrefix], told: ReportProgress) -> None:
        """Those that are not kept from earlier, one after the other. What the first one is needed for may be waited
        for (`wait_for_first`). Raises what went wrong."""
        kept = await asyncio.to_thread(lambda: [beginning.is_saved() for beginning in beginnings])
        missing = [beginning for beginning, there in zip(beginnings, kept, strict=True) if not there]
        total = sum(len(beginning.tokens) for beginning in missing)
        before = 0
        for beginning in missing:
            first, on = beginning is beginnings[0], partial(_report_progress, told, before, total)
            await self._compute_prefix(beginning, first=first, told=on)
            before += len(beginning.tokens)
            told(before, total)

    async def _compute_prefix(self, beginning: PromptPrefix, *, first: bool, told: Callable[[int], None]) -> None:
        def on_chunk(chunk: CompletionChunk) -> bool:
            self._step_count += 1
            if chunk.computed:
                told(chunk.computed)
            return False

        run = CompletionRun(beginning.tokens, {"n_predict": 0}, LoopSignal(), on_chunk, rank=Priority.IDLE)
        if first:
            self._first_run, self._first_ready = run, asyncio.Event()
        try:
            await self._compute(KEY, run)
        finally:
            self._first_run = None
            self._first_ready.set()
            run.stop()

    async def wait_for_first(self) -> AsyncGenerator[Progress, None]:
        """Until the first one is there. It is hurried: beside what others say, not before their first words."""
        self._waiter_count += 1
        try:
            done = self._step_count
            while (run := self._first_run) is not None:
                if run.priority is not Priority.NEXT:
                    run.priority = Priority.NEXT
                    self._wake()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._first_ready.wait()
                if self._step_count != done:
                    done = self._step_count
                    yield Progress()
        finally:
            self._waiter_count -= 1
            if self._first_run is not None and not self._waiter_count:
                self._first_run.priority = Priority.IDLE


def _report_progress(told: ReportProgress, before: int, total: int, done: int) -> None:
    told(before + done, total)
