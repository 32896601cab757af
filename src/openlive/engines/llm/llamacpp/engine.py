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
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, nullcontext, suppress
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from threading import Condition
from typing import Any, TypeVar
from weakref import WeakSet

from msgspec.structs import replace

from openlive.engines.api import EngineError, Resources
from openlive.engines.llm.functions import routing
from openlive.engines.llm.llamacpp import scene_prompt
from openlive.engines.llm.llamacpp.generation import DEFAULTS, Rank, Reply, Run, Signal, sampling_of
from openlive.engines.llm.llamacpp.kv_slots import Lease, Slots
from openlive.engines.llm.llamacpp.prefix_cache import Beginning
from openlive.engines.llm.llamacpp.prefix_warmup import KEY, Ahead, Told
from openlive.engines.llm.llamacpp.server import LlamaServer
from openlive.engines.llm.llamacpp.tasks import THINKING, THOUGHTS, Noticing, Routing, Thinking
from openlive.engines.llm.llamacpp.token_cache import Memory
from openlive.engines.llm.prompt import chatml, template
from openlive.engines.llm.prompt.conversation import LLMError, Piece, PromptTooLongError
from openlive.engines.runtime import speculation
from openlive.engines.runtime.thread_pool import Threads
from openlive.types import FunctionCall, Message, Progress, Request, Text, Thought, Usage, Written

CONTEXT = 8192
"""Tokens of one conversation. All share a pool of twice that: two long ones, or many short ones."""
SLOTS = 12
"""Conversations whose caches are kept at once; further ones take turns, and compute their prompts again. One with
functions takes two: which of them are called is told apart from the talk. One that watches takes another."""
SHIFTED = 16
"""Tokens in a row from which what was computed of a conversation is used again further ahead, where its oldest turns
have been dropped: without it the whole rest of the window is computed anew (500 tokens of the tiny model: 2.8 s instead
of 42 s on a busy core). The rest still knows what was dropped, so this holds within one conversation only, and not
where its instructions or functions have changed."""
ABOUT = (
    "You are openlive, an assistant that runs on this machine. Your language model is {}; nobody else made you."
    " Talk like a friendly person on the telephone: you are fine, you are here, and you hear what is said."
    " Answer just what is asked, and briefly."
    " Where you are told below to be somebody else, you are only that."
)
"""What the model is told of itself, whoever else it may have to be. First, and constant: what is computed of it holds
for all conversations. Chosen by `tests.bench.openings` and `tests.bench.requests`."""
ROUTES, SCENES = "#calls", "#scenes"
"""Added to the key of a conversation for that: what its functions and what its frames come to is told apart."""

T = TypeVar("T")
Build = Callable[[Request, bool], list[Piece]]
"""(request, whether its last message is unfinished) -> the prompt. Blocks."""


class Llama:
    """One model for all sessions of an event loop. `context` is what one conversation may fill, in tokens; `defaults`
    are those of its sampling."""

    defaults = DEFAULTS

    def __init__(self, server: LlamaServer, build: Build, name: str = "", *, about: str = "") -> None:
        """`name` tells the weights from others; `about` is what the model is to know of itself (`Request.about`)."""
        self.about = about
        self.context = min(CONTEXT, server.context)
        self._server = server
        self._build = build
        self._slots = Slots(SLOTS, 2 * CONTEXT)
        self._mark_up = lru_cache(256)(partial(server.tokenize, special=True))
        self._encoders = ThreadPoolExecutor(1, "openlive-llm-tokens")
        self._threads = Threads("openlive-llm")
        self._opening = self._tokenize(THINKING, False)
        """Tokenised once: to ask llama.cpp for it blocks."""
        examples = [self._tokenize(text, False) for text in (routing.EXAMPLES, scene_prompt.EXAMPLES)]
        self._beginnings = [Beginning(server, [*server.beginning, *tokens], name) for tokens in examples]
        self._ahead = Ahead(self._complete, self._let_others_try)
        self._memories: dict[str, Memory] = {}
        self._prefills: dict[str, Run] = {}
        self._generating: Counter[str] = Counter()
        self._runs: set[Run] = set()
        self._silent: set[Reply] = set()
        """Those that could not begin yet."""
        self._ending = Condition()
        self._releases = 0
        self._waiting: dict[Signal, None] = {}
        """In the order in which they came, so that nobody is overtaken for ever."""
        self._closed = False
        _engines.add(self)

    async def prepare(self, told: Told) -> None:
        """Computes what all calls and scenes begin with, where it is not kept from earlier, while nobody else needs the
        model. `told` hears how far that is."""
        room = [beginning for beginning in self._beginnings if len(beginning.tokens) < self.context]
        try:
            await self._ahead.run(room, told)
        finally:
            self._slots.forget(KEY)

    async def generate(self, request: Request) -> AsyncIterator[Written]:
        """Where the user has spoken it is decided first which functions are called; these are the whole reply then."""
        conversation = request.conversation
        self._stop_prefill(conversation)
        self._generating[conversation] += 1
        try:
            if request.functions and routing.asks(request.messages):
                async with aclosing(self._calls(request)) as calls:
                    called = False
                    async for piece in calls:
                        yield piece
                        called = called or not isinstance(piece, Progress)
                if called:
                    return
            if request.thinking:
                thought = ""
                async with aclosing(self._thoughts(request)) as thoughts:
                    async for one in thoughts:
                        thought += one.text if isinstance(one, Thought) else ""
                        yield one
                said = Message("model", (Text(f"{THINKING}{thought}"),))
                request = replace(request, messages=(*request.messages, said))
            prompt = await self._encode(conversation, request, self._build)
            reply = Reply(prompt, sampling_of(request), self.context)
            async with aclosing(self._run(conversation, reply)) as pieces:
                async for piece in pieces:
                    yield piece
            yield Usage(len(reply.prompt), reply.generated, reply.cached)
        finally:
            self._generating -= Counter((conversation,))

    async def _calls(self, request: Request) -> AsyncGenerator[FunctionCall | Usage | Progress, None]:
        key = request.conversation + ROUTES
        prompt = await self._encode(key, request, _route)
        grammar, said = await self._elsewhere(partial(_bounds, request))
        async with aclosing(self._ahead.waited()) as progress:
            async for one in progress:
                yield one
        router = Routing(prompt, request.functions, grammar, said, self.context)
        async with aclosing(self._run(key, router)) as calls:
            async for call in calls:
                yield call
        if router.called:
            yield Usage(len(router.prompt), router.generated, router.cached)

    async def notices(self, request: Request) -> float:
        """By the words of the image. It goes by what the model can tell apart from the talk, as calls do."""
        key = request.conversation + SCENES
        judgement = Noticing(await self._encode(key, request, _scene), self.context)
        async with aclosing(self._run(key, judgement)) as progress:
            async for _ in progress:
                pass
        return judgement.likely

    async def _thoughts(self, request: Request) -> AsyncGenerator[Thought | Progress, None]:
        prompt = await self._encode(request.conversation, request, self._build)
        opening = self._opening
        sampling = replace(request.sampling, max_tokens=min(request.thinking, THOUGHTS))
        thinking = Thinking([*prompt, *opening], sampling, self.context)
        thinking.spoken.append((THINKING, opening))
        async with aclosing(self._run(request.conversation, thinking)) as thoughts:
            async for thought in thoughts:
                yield thought

    async def _run(self, key: str, reply: Reply) -> AsyncGenerator[Any, None]:
        """Its pieces. What was generated is remembered for the next prompts."""
        held = speculation.current()
        reply.held = held is not None
        try:
            with held.watched(partial(self._wanted, reply)) if held else nullcontext():
                async with aclosing(self._pull(key, reply)) as pieces:
                    async for piece in pieces:
                        yield piece
        finally:
            reply.stop()
            if reply in self._silent:
                self._silent.discard(reply)
                self._let_others_try()
            if memory := self._memories.get(key):
                memory.keep(reply.spoken)

    async def _pull(self, key: str, reply: Reply) -> AsyncGenerator[Text | Thought | FunctionCall | Progress, None]:
        """What the reply gives; runs the model as long as somebody takes it."""
        while True:
            releases, finished, patience = self._releases, reply.finished, None
            if reply.is_hungry():
                if reply.rank is Rank.FIRST:
                    self._silent.add(reply)
                run = reply.next_run()
                if self._start(key, run, len(reply.prompt) + reply.limit):
                    reply.begun(run)
                    self._silent.discard(reply)
                else:
                    patience = reply.refused(run)
            if piece := reply.take():
                yield piece
            elif finished:
                return
            elif reply.run and not reply.is_hungry():
                await reply.run.wait()
            else:
                await self._released(releases, patience)

    async def prefill(self, request: Request) -> None:
        """Returns when it is done, or overtaken by another call for the conversation. Does nothing while a reply is
        being generated in it, or where another conversation that is going on would lose its cache. Makes way for the
        first words of anybody's answer; where the user is not speaking, for everything."""
        conversation = request.conversation
        self._stop_prefill(conversation)
        if self._generating[conversation]:
            return
        talking = bool(request.messages) and request.messages[-1].role == "user"
        rank = Rank.TALKING if talking else Rank.IDLE
        routes = [(conversation + ROUTES, _route)] if request.functions and not self._ahead.under_way else []
        for key, build in (*routes, (conversation, self._build)):
            run = self._prefills[conversation] = Run((), {"n_predict": 0}, Signal(), rank=rank)
            try:
                await self._compute(key, run, request, build)
            finally:
                run.stop()
            if self._prefills.get(conversation) is not run:
                return  # overtaken
            del self._prefills[conversation]

    async def _compute(self, key: str, run: Run, request: Request, build: Build) -> None:
        run.prompt = await self._encode(key, request, build, unfinished=True)
        if not run.prompt:
            return  # without instructions and before the first message
        if len(run.prompt) >= self.context:
            raise PromptTooLongError(len(run.prompt), self.context)
        await self._complete(key, run)

    async def _complete(self, key: str, run: Run) -> None:
        """A prefill: makes way, and goes on."""
        while not run.stopped:
            releases = self._releases
            if self._start(key, run, len(run.prompt) + 1):
                while not run.ended:
                    await run.wait()
                if not run.made_way:
                    break
                run.again()
            elif self._may_start(run.rank) and not self._slots.busy(key):
                break
            else:
                await self._released(releases)

    def forget(self, conversation: str) -> None:
        """The caller has stopped the conversation's replies."""
        self._stop_prefill(conversation)
        for key in (conversation, conversation + ROUTES, conversation + SCENES):
            self._memories.pop(key, None)
            self._slots.forget(key)

    async def close(self) -> None:
        """Stops what is going on and unloads the model."""
        await asyncio.to_thread(self.unload)

    def unload(self) -> None:
        """The same; blocks, below a second."""
        if self._closed:
            return
        self._closed = True
        with self._ending:
            for run in self._runs:
                run.stop()
            ended = self._ending.wait_for(lambda: not self._runs, timeout=10)
        self._encoders.shutdown()
        self._threads.close()
        if ended:
            self._server.close()

    async def _encode(self, key: str, request: Request, build: Build, *, unfinished: bool = False) -> list[int]:
        memory = self._memories.setdefault(key, Memory())
        memory.follow((request.instructions, request.functions))

        def work() -> list[int]:
            return [*self._server.beginning, *memory.encode(build(request, unfinished), self._tokenize)]

        return await self._elsewhere(work)

    async def _elsewhere(self, work: Callable[[], T]) -> T:
        """What blocks or takes long: prompts, tokens, grammars."""
        return await asyncio.get_running_loop().run_in_executor(self._encoders, work)

    def _tokenize(self, text: str, special: bool) -> tuple[int, ...]:
        return self._mark_up(text) if special else self._server.tokenize(text, special=False)

    def _stop_prefill(self, conversation: str) -> None:
        if run := self._prefills.pop(conversation, None):
            run.stop()

    def _start(self, conversation: str, run: Run, cells: int) -> bool:
        """Starts the run if it is its turn and there is a slot for it now. Raises `RuntimeError` where there can be no
        thread for it: before the slot is taken, since nobody would give that back."""
        if self._closed:
            raise LLMError("The language model has been shut down.")
        if not self._may_start(run.rank):
            return False
        self._threads.ready()
        self._make_way(run.rank)
        speculative = run.rank >= Rank.HELD
        lease = self._slots.claim(conversation, cells, time.monotonic(), prompt=run.prompt, speculative=speculative)
        if lease is None:
            return False
        memory = self._memories.get(conversation)
        again = {"n_cache_reuse": SHIFTED} if lease.own and memory and memory.steady else {}
        with self._ending:
            self._runs.add(run)
        self._threads.run(partial(self._work, run, lease, again))
        return True

    def _make_way(self, rank: Rank) -> None:
        """For a run of that rank."""
        last = Rank.NEXT if rank is Rank.FIRST else Rank.TALKING
        for run in tuple(self._runs):
            if run.rank > last:
                run.make_way()

    def _wanted(self, reply: Reply) -> None:
        """It was held, and is waited for from now on."""
        reply.held = False
        if reply.run and not reply.run.ended:
            reply.run.rank = reply.rank
            self._make_way(reply.rank)
        self._let_others_try()

    def _may_start(self, rank: Rank) -> bool:
        if rank is Rank.FIRST:
            return True
        under_way = {run.rank for run in tuple(self._runs)}
        return not (self._silent or Rank.FIRST in under_way or (rank is Rank.IDLE and under_way))

    def _work(self, run: Run, lease: Lease, again: dict[str, int]) -> None:
        """In a thread."""
        error: Exception | None = None
        try:
            for slot in lease.clear:
                self._server.clear(slot)
                for beginning in self._beginnings:
                    beginning.lost(slot)
            if all(beginning.prepare(lease.slot, run.prompt, run.receive) for beginning in self._beginnings):
                self._server.complete(run.prompt, lease.slot, {**run.options, **again}, run.receive)
        except Exception as e:
            error = e
        self._slots.release(lease, len(run.prompt) + run.generated, time.monotonic())
        with self._ending:
            self._runs.discard(run)
            self._ending.notify_all()
        run.end(error)
        self._let_others_try()

    def _let_others_try(self) -> None:
        self._releases += 1
        for signal in tuple(self._waiting):
            signal.set()

    async def _released(self, before: int, within: float | None = None) -> None:
        """Until some run ends, or `within` seconds; at once if one has ended since `before` (`_releases` then)."""
        signal = Signal()
        self._waiting[signal] = None
        try:
            if self._releases == before:
                with suppress(TimeoutError):
                    async with asyncio.timeout(within):
                        await signal.wait()
        finally:
            self._waiting.pop(signal, None)


def _route(request: Request, unfinished: bool) -> list[Piece]:
    build = routing.settled if unfinished else routing.prompt
    return build(request.functions, request.instructions, request.messages)


def _bounds(request: Request) -> tuple[str, str]:
    """The grammar of the calls, and what their arguments may come from."""
    return routing.grammar(request.functions), routing.said(request.functions, request.messages)


def _scene(request: Request, _: bool) -> list[Piece]:
    return scene_prompt.prompt(request)


_engines: WeakSet[Llama] = WeakSet()


@atexit.register
def _close_all() -> None:
    """A thread inside llama.cpp when the interpreter goes away would abort the process."""
    for engine in tuple(_engines):
        engine.unload()


def load(path: Path, resources: Resources, build: Build | None = None, called: str = "") -> Llama:
    """`build` None: the prompts are made by the template inside the file. `called`: what the model is called, if not
    like its file. `threads` in the engine's table is taken as it is."""
    threads = int(resources.settings.get("threads", resources.threads))
    server = LlamaServer(path, threads=threads, slots=SLOTS, pool=2 * CONTEXT, folder=resources.computed)
    about = path.stat()
    name = f"{path.absolute()} {about.st_size} {about.st_mtime_ns} {version('xllamacpp')}"

    def by_template(request: Request, unfinished: bool) -> list[Piece]:
        return template.build(request, server.render, unfinished=unfinished)

    return Llama(server, build or by_template, name, about=ABOUT.format(called or path.stem))


def _catalogue(name: str, argument: str, resources: Resources, called: str) -> Llama:
    if argument:
        raise EngineError(f"{name} takes no argument, but got {argument!r}. Is it gguf:{argument} that you mean?")
    folder = resources.weights(name)
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise EngineError(f"The folder of {name}, {folder}, holds no GGUF file.")
    return load(files[0], resources, lambda request, unfinished: chatml.build(request, unfinished=unfinished), called)


def create_qwen_1_5b(argument: str, resources: Resources) -> Llama:
    return _catalogue("qwen2.5-1.5b", argument, resources, "Qwen2.5 1.5B by Alibaba Cloud")


def create_qwen_0_5b(argument: str, resources: Resources) -> Llama:
    return _catalogue("qwen2.5-0.5b", argument, resources, "Qwen2.5 0.5B by Alibaba Cloud")


def create_gguf(argument: str, resources: Resources) -> Llama:
    """`argument` is the path of the file."""
    if not argument:
        raise EngineError("Which GGUF file? Write its path after the colon: gguf:/models/my.gguf.")
    return load(Path(argument).expanduser(), resources)
