"""How soon the embedded language model stops when its caller does, and what replies cost that are written at once.

python -m tests.bench.llama
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

from openlive import models
from openlive.engines.api import Resources
from openlive.engines.llm.llamacpp.engine import LlamaCppLLM, create_qwen_1_5b
from openlive.types import Message, Progress, Request, Sampling, Text

TIMES = 6
TOKENS = 24
LONG = "The quick brown fox jumps over the lazy dog. " * 100
Work = Callable[[LlamaCppLLM, int, asyncio.Event], Coroutine[Any, Any, None]]


def asks(name: str, text: str, tokens: int) -> Request:
    return Request(name, (Message("user", (Text(text),)),), sampling=Sampling(temperature=0, max_tokens=tokens))


async def write(llm: LlamaCppLLM, number: int, begun: asyncio.Event, tokens: int = 200) -> None:
    request = asks(f"{number}", f"{number}. Write the numbers from one to fifty in words.", tokens)
    async for piece in llm.generate(request):
        if not isinstance(piece, Progress):
            begun.set()


async def compute(llm: LlamaCppLLM, number: int, begun: asyncio.Event) -> None:
    asyncio.get_running_loop().call_later(0.5 + 0.3 * number, begun.set)  # in the middle of a step, or anywhere
    await llm.prefill(asks(f"long {number}", f"{number} {LONG}", 1))


async def idle(llm: LlamaCppLLM) -> None:
    while llm._runs:  # noqa: ASYNC110 - the runs end in threads
        await asyncio.sleep(0.0005)


async def stopped(llm: LlamaCppLLM, work: Work) -> list[int]:
    """Milliseconds from the cancellation to the end of the work."""
    took = []
    for number in range(TIMES):
        begun = asyncio.Event()
        task = asyncio.create_task(work(llm, number, begun))
        await begun.wait()
        at = time.perf_counter()
        task.cancel()
        await idle(llm)
        took.append(round(1000 * (time.perf_counter() - at)))
    return sorted(took)


async def measure(llm: LlamaCppLLM) -> None:
    print(f"stopped while decoding, ms: {await stopped(llm, write)}", flush=True)
    print(f"stopped in a prefill, ms: {await stopped(llm, compute)}", flush=True)
    for count in (1, 2, 4):
        for number in range(count):
            await write(llm, number, asyncio.Event(), 1)  # their prompts are computed
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(write(llm, number, asyncio.Event(), TOKENS) for number in range(count)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{count} replies of {TOKENS} tokens: {wall:.2f} s, {cpu:.2f} s of CPU", flush=True)


def main() -> None:
    llm = create_qwen_1_5b("", Resources(models.ensure, threads=os.cpu_count() or 1, memory=8 << 30))
    try:
        asyncio.run(measure(llm))
    finally:
        asyncio.run(llm.close())


if __name__ == "__main__":
    main()
