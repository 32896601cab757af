"""What is computed before anybody asks for it, by a runtime that counts what it computes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from openlive.engines.llm.llamacpp import prefix_warmup as ahead_module
from openlive.engines.llm.llamacpp import tasks
from openlive.engines.llm.llamacpp.engine import LlamaCppLLM
from openlive.engines.llm.llamacpp.server import CompletionChunk
from openlive.engines.llm.prompt import chatml
from openlive.engines.llm.prompt.conversation import MalformedCallError
from openlive.types import FunctionDeclaration, Message, Progress, Request, Text
from tests.engines.llm.llamacpp.test_ranks import Runtime, until

WEATHER = FunctionDeclaration("weather", "Tells the weather.", {"type": "object", "properties": {}})
TOLD = list[tuple[int, int]]


class Kept(Runtime):
    """One that keeps caches in files, and tells of every step how far it is."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder  # type: ignore[assignment]
        self.prompts: list[Sequence[int]] = []
        self.restored = 0

    def run_completion(
        self, prompt: Sequence[int], slot: int, options: dict[str, Any], on: Callable[[CompletionChunk], bool]
    ) -> None:
        self.prompts.append(prompt)

        def step(chunk: CompletionChunk) -> bool:
            return on(replace(chunk, computed=self._held.get(slot, 0)))

        super().run_completion(prompt, slot, options, step)

    def save_slot(self, slot: int, name: str) -> None:
        (self.folder / name).write_bytes(b"kept")  # type: ignore[operator]

    def restore_slot(self, slot: int, name: str) -> None:
        self.restored += 1
        self._held[slot] = 10_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def kept(folder: Path) -> list[Path]:
    return list(folder.glob("*.kv"))


def model(runtime: Runtime) -> LlamaCppLLM:
    return LlamaCppLLM(runtime, lambda request, unfinished: chatml.build_prompt(request, unfinished=unfinished), "w")  # type: ignore[arg-type]


def asked(*functions: FunctionDeclaration) -> Request:
    return Request("c", (Message("user", (Text("What is the weather like?"),)),), functions=functions)


@pytest.mark.anyio
async def test_it_is_computed_once_for_all_starts(tmp_path: Path) -> None:
    told: TOLD = []
    runtime = Kept(tmp_path)
    llm = model(runtime)
    await llm.prepare(lambda done, total: told.append((done, total)))
    await llm.close()
    assert len(kept(tmp_path)) == 2
    assert told[-1][0] == told[-1][1]
    again = Kept(tmp_path)
    llm = model(again)
    await llm.prepare(lambda done, total: told.append((done, total)))
    await llm.close()
    assert not again.prompts


@pytest.mark.anyio
async def test_a_session_with_functions_waits_for_what_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead_module, "LOOK", 0.01)
    monkeypatch.setattr(tasks, "CALLS", 3)
    runtime = Kept(tmp_path)
    llm = model(runtime)
    ahead = asyncio.create_task(llm.prepare(lambda done, total: None))
    await until(lambda: llm._warmup.is_under_way)
    await llm.prefill(asked(WEATHER))  # does not begin it either
    goes_on = False
    with suppress(MalformedCallError):  # " word word word" is no call
        async for piece in llm.generate(asked(WEATHER)):
            goes_on = goes_on or isinstance(piece, Progress)
    assert goes_on
    await ahead
    await llm.close()
    assert runtime.restored, "the session reads it"


@pytest.mark.anyio
async def test_others_are_answered_meanwhile(tmp_path: Path) -> None:
    runtime = Kept(tmp_path)
    llm = model(runtime)
    ahead = asyncio.create_task(llm.prepare(lambda done, total: None))
    await until(lambda: llm._warmup.is_under_way)
    assert [piece async for piece in llm.generate(asked()) if isinstance(piece, Text)]
    assert not ahead.done(), "it goes on behind them"
    await ahead
    await llm.close()
    assert len(kept(tmp_path)) == 2


@pytest.mark.anyio
async def test_what_is_stopped_is_no_longer_waited_for(tmp_path: Path) -> None:
    runtime = Kept(tmp_path)
    llm = model(runtime)
    ahead = asyncio.create_task(llm.prepare(lambda done, total: None))
    await until(lambda: llm._warmup.is_under_way)
    ahead.cancel()
    with suppress(asyncio.CancelledError):
        await ahead
    assert not llm._warmup.is_under_way
    assert [piece async for piece in llm.generate(asked()) if isinstance(piece, Text)]
    await llm.close()
