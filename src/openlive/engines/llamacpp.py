"""The embedded language model: llama.cpp in this process.

What makes it fast is the KV cache. Every conversation has a slot (`slots`), its prompts continue one another token for
token (`chatml`, `tokens`), and `prefill` computes what is already known of the next one while the user speaks.

Replies are pulled: when nobody takes the text, generation stops a few tokens ahead and goes on from the cache at the
next pull, so that a voice that speaks the first clause has the machine to itself.
"""

from __future__ import annotations

import asyncio
import atexit
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import lru_cache, partial
from pathlib import Path
from threading import Condition, Thread
from weakref import WeakSet

from openlive.engines import chatml, template
from openlive.engines.calling import Caller, made
from openlive.engines.llamacalls import CallingReply
from openlive.engines.llamarun import DEFAULTS, Reply, Run, Signal
from openlive.engines.llamaserver import LlamaServer
from openlive.engines.prompt import LLMError, Piece, PromptTooLongError
from openlive.engines.registry import EngineError, Resources
from openlive.engines.slots import Lease, Slots
from openlive.engines.tokens import Memory
from openlive.types import FunctionCall, Request, Text, Usage

CONTEXT = 8192
"""Tokens of one conversation. All share a pool of twice that: two long ones, or many short ones."""
SLOTS = 8
"""Conversations whose caches are kept at once; further ones take turns, and compute their prompts again."""

SPARE = 1
"""Cores left to the ears, the voice and whatever else runs. llama.cpp's threads wait for each other in a busy loop,
dozens of times per token; where one of them has to share its core, all crawl. On two cores beside one busy process, 8
tokens of the 1.5B took 0.5 s with one thread and 1 to 27 s with two; alone, two are 1.4 times as fast as one."""

Build = Callable[[Request, bool], list[Piece]]
"""(request, whether its last message is unfinished) -> the prompt. Blocks."""


class Llama:
    """One model for all sessions of an event loop. `context` is what one conversation may fill, in tokens; `defaults`
    are those of its sampling."""

    defaults = DEFAULTS

    def __init__(self, server: LlamaServer, build: Build) -> None:
        self.context = min(CONTEXT, server.context)
        self._server = server
        self._build = build
        self._slots = Slots(SLOTS, 2 * CONTEXT)
        self._mark_up = lru_cache(256)(partial(server.tokenize, special=True))
        self._encoders = ThreadPoolExecutor(1, "openlive-llm-tokens")
        self._memories: dict[str, Memory] = {}
        self._prefills: dict[str, Run] = {}
        self._generating: Counter[str] = Counter()
        self._runs: set[Run] = set()
        self._ending = Condition()
        self._releases = 0
        self._waiting: set[Signal] = set()
        self._closed = False
        _engines.add(self)

    async def generate(self, request: Request) -> AsyncIterator[Text | FunctionCall | Usage]:
        conversation = request.conversation
        self._stop_prefill(conversation)
        self._generating[conversation] += 1
        reply: Reply | None = None
        try:
            reply = self._reply(await self._encode(request), request)
            async with aclosing(self._pull(conversation, reply)) as pieces:
                async for piece in pieces:
                    yield Text(piece) if isinstance(piece, str) else piece
            yield Usage(len(reply.prompt), reply.generated, reply.cached)
        finally:
            self._generating -= Counter((conversation,))
            if reply:
                reply.stop()
                if memory := self._memories.get(conversation):
                    for stretch in filter(None, reply.spoken):
                        memory.keep(stretch)

    def _reply(self, prompt: Sequence[int], request: Request) -> Reply:
        if not request.functions:
            return Reply(prompt, request.sampling, self.context)
        caller = Caller(request.functions, self._tokenize, made(request.messages, request.functions))
        return CallingReply(prompt, request.sampling, self.context, caller)

    async def _pull(self, conversation: str, reply: Reply) -> AsyncGenerator[str | FunctionCall, None]:
        """The reply's text and calls; runs the model as long as somebody takes them."""
        while True:
            releases, finished = self._releases, reply.finished
            if reply.is_hungry():
                self._start(conversation, reply.next_run, reply.prompt, len(reply.prompt) + reply.limit)
            if piece := reply.take():
                yield piece
            elif finished:
                return
            elif reply.run and not reply.is_hungry():
                await reply.run.wait()
            else:
                await self._released(releases)

    async def prefill(self, request: Request) -> None:
        """Returns when it is done, or overtaken by another call for the conversation. Does nothing while a reply is
        being generated in it, or where another conversation that is going on would lose its cache."""
        conversation = request.conversation
        self._stop_prefill(conversation)
        if self._generating[conversation]:
            return
        run = self._prefills[conversation] = Run((), {"n_predict": 0}, Signal())
        try:
            run.prompt = await self._encode(request, unfinished=True)
            if not run.prompt:
                return  # without instructions and before the first message
            if len(run.prompt) >= self.context:
                raise PromptTooLongError(len(run.prompt), self.context)
            while not run.stopped:
                releases = self._releases
                if self._start(conversation, lambda: run, run.prompt, len(run.prompt) + 1, speculative=True):
                    await run.wait()
                    break
                if not self._slots.busy(conversation):
                    break
                await self._released(releases)
        finally:
            run.stop()
            if self._prefills.get(conversation) is run:
                del self._prefills[conversation]

    def forget(self, conversation: str) -> None:
        """The caller has stopped the conversation's replies."""
        self._stop_prefill(conversation)
        self._memories.pop(conversation, None)
        self._slots.forget(conversation)

    def close(self) -> None:
        """Stops what is going on and unloads the model (blocking, below a second)."""
        if self._closed:
            return
        self._closed = True
        with self._ending:
            for run in self._runs:
                run.stop()
            ended = self._ending.wait_for(lambda: not self._runs, timeout=10)
        self._encoders.shutdown()
        if ended:
            self._server.close()

    async def _encode(self, request: Request, *, unfinished: bool = False) -> list[int]:
        memory = self._memories.setdefault(request.conversation, Memory())

        def work() -> list[int]:
            return [*self._server.beginning, *memory.encode(self._build(request, unfinished), self._tokenize)]

        return await asyncio.get_running_loop().run_in_executor(self._encoders, work)

    def _tokenize(self, text: str, special: bool) -> tuple[int, ...]:
        return self._mark_up(text) if special else self._server.tokenize(text, special=False)

    def _stop_prefill(self, conversation: str) -> None:
        if run := self._prefills.pop(conversation, None):
            run.stop()

    def _start(
        self,
        conversation: str,
        make: Callable[[], Run],
        prompt: Sequence[int],
        cells: int,
        *,
        speculative: bool = False,
    ) -> bool:
        """Starts the run if there is a slot for it now."""
        if self._closed:
            raise LLMError("The language model has been shut down.")
        lease = self._slots.claim(conversation, cells, time.monotonic(), prompt=prompt, speculative=speculative)
        if lease is None:
            return False
        run = make()
        with self._ending:
            self._runs.add(run)
        Thread(target=self._work, args=(run, lease), name="openlive-llm", daemon=True).start()
        return True

    def _work(self, run: Run, lease: Lease) -> None:
        """In a thread of its own."""
        error: Exception | None = None
        try:
            for slot in lease.clear:
                self._server.clear(slot)
            self._server.complete(run.prompt, lease.slot, run.options, run.receive)
        except Exception as e:
            error = e
        self._slots.release(lease, len(run.prompt) + run.generated, time.monotonic())
        run.end(error)
        self._releases += 1
        for signal in tuple(self._waiting):
            signal.set()
        with self._ending:
            self._runs.discard(run)
            self._ending.notify_all()

    async def _released(self, before: int) -> None:
        """Until some run ends; at once if one has ended since `before` (`_releases` then)."""
        signal = Signal()
        self._waiting.add(signal)
        try:
            if self._releases == before:
                await signal.wait()
        finally:
            self._waiting.discard(signal)


_engines: WeakSet[Llama] = WeakSet()


@atexit.register
def _close_all() -> None:
    """A thread inside llama.cpp when the interpreter goes away would abort the process."""
    for engine in tuple(_engines):
        engine.close()


def load(path: Path, resources: Resources, build: Build | None = None) -> Llama:
    """`build` None: the prompts are made by the template inside the file. `threads` in the engine's table is taken as
    it is."""
    threads = int(resources.settings.get("threads", max(1, resources.threads - SPARE)))
    server = LlamaServer(path, threads=threads, slots=SLOTS, pool=2 * CONTEXT)
    if build is None:
        return Llama(server, lambda request, unfinished: template.build(request, server.render, unfinished=unfinished))
    return Llama(server, build)


def _catalogue(name: str, argument: str, resources: Resources) -> Llama:
    if argument:
        raise EngineError(f"{name} takes no argument, but got {argument!r}. Is it gguf:{argument} that you mean?")
    folder = resources.weights(name)
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise EngineError(f"The folder of {name}, {folder}, holds no GGUF file.")
    return load(files[0], resources, lambda request, unfinished: chatml.build(request, unfinished=unfinished))


def create_qwen_1_5b(argument: str, resources: Resources) -> Llama:
    return _catalogue("qwen2.5-1.5b", argument, resources)


def create_qwen_0_5b(argument: str, resources: Resources) -> Llama:
    return _catalogue("qwen2.5-0.5b", argument, resources)


def create_gguf(argument: str, resources: Resources) -> Llama:
    """`argument` is the path of the file."""
    if not argument:
        raise EngineError("Which GGUF file? Write its path after the colon: gguf:/models/my.gguf.")
    return load(Path(argument).expanduser(), resources)
