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
from openlive.engines.llm.functions.grammar import build_grammar
from openlive.engines.llm.llamacpp import scene_prompt
from openlive.engines.llm.llamacpp.generation import (
    DEFAULTS,
    CompletionRun,
    Generation,
    LoopSignal,
    Priority,
    choose_sampling,
)
from openlive.engines.llm.llamacpp.kv_slots import KVSlots, SlotLease
from openlive.engines.llm.llamacpp.prefix_cache import PromptPrefix
from openlive.engines.llm.llamacpp.prefix_warmup import KEY, PrefixWarmup, ReportProgress
from openlive.engines.llm.llamacpp.server import LlamaServer
from openlive.engines.llm.llamacpp.tasks import THINKING, THOUGHTS, CallGeneration, SceneJudgement, ThoughtGeneration
from openlive.engines.llm.llamacpp.token_cache import TokenCache
from openlive.engines.llm.prompt import chatml, template
from openlive.engines.llm.prompt.conversation import LLMError, PromptPiece, PromptTooLongError
from openlive.engines.runtime import speculation
from openlive.engines.runtime.thread_pool import ThreadPool
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
BuildPrompt = Callable[[Request, bool], list[PromptPiece]]
"""(request, whether its last message is unfinished) -> the prompt. Blocks."""


class LlamaCppLLM:
    """One model for all sessions of an event loop. `context` is what one conversation may fill, in tokens; `defaults`
    are those of its sampling."""

    defaults = DEFAULTS

    def __init__(self, server: LlamaServer, build: BuildPrompt, name: str = "", *, about: str = "") -> None:
        """`name` tells the weights from others; `about` is what the model is to know of itself (`Request.about`)."""
        self.about = about
        self.context = min(CONTEXT, server.context)
        self._server = server
        self._build = build
        self._slots = KVSlots(SLOTS, 2 * CONTEXT)
        self._tokenize_markup = lru_cache(256)(partial(server.tokenize, special=True))
        self._encoders = ThreadPoolExecutor(1, "openlive-llm-tokens")
        self._threads = ThreadPool("openlive-llm")
        self._thought_opening = self._tokenize_text(THINKING, False)
        """Tokenised once: to ask llama.cpp for it blocks."""
        examples = [self._tokenize_text(text, False) for text in (routing.EXAMPLES, scene_prompt.EXAMPLES)]
        self._prefixes = [PromptPrefix(server, [*server.beginning, *tokens], name) for tokens in examples]
        self._warmup = PrefixWarmup(self._run_prefill, self._wake_waiting)
        self._token_caches: dict[str, TokenCache] = {}
        self._prefills: dict[str, CompletionRun] = {}
        self._generating: Counter[str] = Counter()
        self._runs: set[CompletionRun] = set()
        self._unstarted: set[Generation] = set()
        """Those that could not begin yet."""
        self._run_ended = Condition()
        self._release_count = 0
        self._waiting_signals: dict[LoopSignal, None] = {}
        """In the order in which they came, so that nobody is overtaken for ever."""
        self._closed = False
        _engines.add(self)

    async def prepare(self, told: ReportProgress) -> None:
        """Computes what all calls and scenes begin with, where it is not kept from earlier, while nobody else needs the
        model. `told` hears how far that is."""
        room = [beginning for beginning in self._prefixes if len(beginning.tokens) < self.context]
        try:
            await self._warmup.compute_prefixes(room, told)
        finally:
            self._slots.forget_conversation(KEY)

    async def generate(self, request: Request) -> AsyncIterator[Written]:
        """Where the user has spoken it is decided first which functions are called; these are the whole reply then."""
        conversation = request.conversation
        self._stop_prefill(conversation)
        self._generating[conversation] += 1
        try:
            if request.functions and routing.has_user_request(request.messages):
                async with aclosing(self._generate_calls(request)) as calls:
                    called = False
                    async for piece in calls:
                        yield piece
                        called = called or not isinstance(piece, Progress)
                if called:
                    return
            if request.thinking:
                thought = ""
                async with aclosing(self._generate_thoughts(request)) as thoughts:
                    async for one in thoughts:
                        thought += one.text if isinstance(one, Thought) else ""
                        yield one
                said = Message("model", (Text(f"{THINKING}{thought}"),))
                request = replace(request, messages=(*request.messages, said))
            prompt = await self._encode_prompt(conversation, request, self._build)
            reply = Generation(prompt, choose_sampling(request), self.context)
            async with aclosing(self._run_generation(conversation, reply)) as pieces:
                async for piece in pieces:
                    yield piece
            yield Usage(len(reply.prompt), reply.tokens_generated, reply.cached)
        finally:
            self._generating -= Counter((conversation,))

    async def _generate_calls(self, request: Request) -> AsyncGenerator[FunctionCall | Usage | Progress, None]:
        key = request.conversation + ROUTES
        prompt = await self._encode_prompt(key, request, _build_function_prompt)
        grammar, said = await self._run_in_encoder(partial(_build_call_constraints, request))
        async with aclosing(self._warmup.wait_for_first()) as progress:
            async for one in progress:
                yield one
        router = CallGeneration(prompt, request.functions, grammar, said, self.context)
        async with aclosing(self._run_generation(key, router)) as calls:
            async for call in calls:
                yield call
        if router.has_calls:
            yield Usage(len(router.prompt), router.tokens_generated, router.cached)

    async def notices(self, request: Request) -> float:
        """By the words of the image. It goes by what the model can tell apart from the talk, as calls do."""
        key = request.conversation + SCENES
        judgement = SceneJudgement(await self._encode_prompt(key, request, _build_scene_prompt), self.context)
        async with aclosing(self._run_generation(key, judgement)) as progress:
            async for _ in progress:
                pass
        return judgement.probability

    async def _generate_thoughts(self, request: Request) -> AsyncGenerator[Thought | Progress, None]:
        prompt = await self._encode_prompt(request.conversation, request, self._build)
        opening = self._thought_opening
        sampling = replace(request.sampling, max_tokens=min(request.thinking, THOUGHTS))
        thinking = ThoughtGeneration([*prompt, *opening], sampling, self.context)
        thinking.generated_pieces.append((THINKING, opening))
        async with aclosing(self._run_generation(request.conversation, thinking)) as thoughts:
            async for thought in thoughts:
                yield thought

    async def _run_generation(self, key: str, reply: Generation) -> AsyncGenerator[Any, None]:
        """Its pieces. What was generated is remembered for the next prompts."""
        held = speculation.current_hold()
        reply.is_speculative = held is not None
        try:
            with held.calling_on_release(partial(self._on_release, reply)) if held else nullcontext():
                async with aclosing(self._pull_pieces(key, reply)) as pieces:
                    async for piece in pieces:
                        yield piece
        finally:
            reply.stop()
            if reply in self._unstarted:
                self._unstarted.discard(reply)
                self._wake_waiting()
            if memory := self._token_caches.get(key):
                memory.keep_reply(reply.generated_pieces)

    async def _pull_pieces(
        self, key: str, reply: Generation
    ) -> AsyncGenerator[Text | Thought | FunctionCall | Progress, None]:
        """What the reply gives; runs the model as long as somebody takes it."""
        while True:
            releases, finished, patience = self._release_count, reply.finished, None
            if reply.needs_next_run():
                if reply.next_priority is Priority.FIRST:
                    self._unstarted.add(reply)
                run = reply.build_next_run()
                if self._try_start(key, run, len(reply.prompt) + reply.limit):
                    reply.mark_begun(run)
                    self._unstarted.discard(reply)
                else:
                    patience = reply.note_refusal(run)
            if piece := reply.take_piece():
                yield piece
            elif finished:
                return
            elif reply.run and not reply.needs_next_run():
                await reply.run.wait_for_signal()
            else:
                await self._wait_for_release(releases, patience)

    async def prefill(self, request: Request) -> None:
        """Returns when it is done, or overtaken by another call for the conversation. Does nothing while a reply is
        being generated in it, or where another conversation that is going on would lose its cache. Makes way for the
        first words of anybody's answer; where the user is not speaking, for everything."""
        conversation = request.conversation
        self._stop_prefill(conversation)
        if self._generating[conversation]:
            return
        talking = bool(request.messages) and request.messages[-1].role == "user"
        rank = Priority.TALKING if talking else Priority.IDLE
        routes = (
            [(conversation + ROUTES, _build_function_prompt)]
            if request.functions and not self._warmup.is_under_way
            else []
        )
        for key, build in (*routes, (conversation, self._build)):
            run = self._prefills[conversation] = CompletionRun((), {"n_predict": 0}, LoopSignal(), rank=rank)
            try:
                await self._prefill_prompt(key, run, request, build)
            finally:
                run.stop()
            if self._prefills.get(conversation) is not run:
                return  # overtaken
            del self._prefills[conversation]

    async def _prefill_prompt(self, key: str, run: CompletionRun, request: Request, build: BuildPrompt) -> None:
        run.prompt = await self._encode_prompt(key, request, build, unfinished=True)
        if not run.prompt:
            return  # without instructions and before the first message
        if len(run.prompt) >= self.context:
            raise PromptTooLongError(len(run.prompt), self.context)
        await self._run_prefill(key, run)

    async def _run_prefill(self, key: str, run: CompletionRun) -> None:
        """A prefill: makes way, and goes on."""
        while not run.stopped:
            releases = self._release_count
            if self._try_start(key, run, len(run.prompt) + 1):
                while not run.ended:
                    await run.wait_for_signal()
                if not run.was_preempted:
                    break
                run.reset_for_restart()
            elif self._may_start(run.priority) and not self._slots.is_busy(key):
                break
            else:
                await self._wait_for_release(releases)

    def forget(self, conversation: str) -> None:
        """The caller has stopped the conversation's replies."""
        self._stop_prefill(conversation)
        for key in (conversation, conversation + ROUTES, conversation + SCENES):
            self._token_caches.pop(key, None)
            self._slots.forget_conversation(key)

    async def close(self) -> None:
        """Stops what is going on and unloads the model."""
        await asyncio.to_thread(self.unload_model)

    def unload_model(self) -> None:
        """The same; blocks, below a second."""
        if self._closed:
            return
        self._closed = True
        with self._run_ended:
            for run in self._runs:
                run.stop()
            ended = self._run_ended.wait_for(lambda: not self._runs, timeout=10)
        self._encoders.shutdown()
        self._threads.close()
        if ended:
            self._server.close()

    async def _encode_prompt(
        self, key: str, request: Request, build: BuildPrompt, *, unfinished: bool = False
    ) -> list[int]:
        memory = self._token_caches.setdefault(key, TokenCache())
        memory.set_beginning((request.instructions, request.functions))

        def encode_pieces() -> list[int]:
            return [*self._server.beginning, *memory.encode(build(request, unfinished), self._tokenize_text)]

        return await self._run_in_encoder(encode_pieces)

    async def _run_in_encoder(self, work: Callable[[], T]) -> T:
        """What blocks or takes long: prompts, tokens, grammars."""
        return await asyncio.get_running_loop().run_in_executor(self._encoders, work)

    def _tokenize_text(self, text: str, special: bool) -> tuple[int, ...]:
        return self._tokenize_markup(text) if special else self._server.tokenize(text, special=False)

    def _stop_prefill(self, conversation: str) -> None:
        if run := self._prefills.pop(conversation, None):
            run.stop()

    def _try_start(self, conversation: str, run: CompletionRun, cells: int) -> bool:
        """Starts the run if it is its turn and there is a slot for it now. Raises `RuntimeError` where there can be no
        thread for it: before the slot is taken, since nobody would give that back."""
        if self._closed:
            raise LLMError("The language model has been shut down.")
        if not self._may_start(run.priority):
            return False
        self._threads.ensure_thread()
        self._preempt_lower(run.priority)
        speculative = run.priority >= Priority.HELD
        lease = self._slots.claim_slot(
            conversation, cells, time.monotonic(), prompt=run.prompt, speculative=speculative
        )
        if lease is None:
            return False
        memory = self._token_caches.get(conversation)
        again = {"n_cache_reuse": SHIFTED} if lease.own and memory and memory.is_prefix_stable else {}
        with self._run_ended:
            self._runs.add(run)
        self._threads.run(partial(self._run_in_thread, run, lease, again))
        return True

    def _preempt_lower(self, rank: Priority) -> None:
        """For a run of that rank."""
        last = Priority.NEXT if rank is Priority.FIRST else Priority.TALKING
        for run in tuple(self._runs):
            if run.priority > last:
                run.preempt()

    def _on_release(self, reply: Generation) -> None:
        """It was held, and is waited for from now on."""
        reply.is_speculative = False
        if reply.run and not reply.run.ended:
            reply.run.priority = reply.next_priority
            self._preempt_lower(reply.next_priority)
        self._wake_waiting()

    def _may_start(self, rank: Priority) -> bool:
        if rank is Priority.FIRST:
            return True
        under_way = {run.priority for run in tuple(self._runs)}
        return not (self._unstarted or Priority.FIRST in under_way or (rank is Priority.IDLE and under_way))

    def _run_in_thread(self, run: CompletionRun, lease: SlotLease, again: dict[str, int]) -> None:
        """In a thread."""
        error: Exception | None = None
        try:
            for slot in lease.clear:
                self._server.clear_slot(slot)
                for beginning in self._prefixes:
                    beginning.forget_slot(slot)
            if all(beginning.ensure_in_slot(lease.slot, run.prompt, run.receive_chunk) for beginning in self._prefixes):
                self._server.run_completion(run.prompt, lease.slot, {**run.options, **again}, run.receive_chunk)
        except Exception as e:
            error = e
        self._slots.release_slot(lease, len(run.prompt) + run.tokens_generated, time.monotonic())
        with self._run_ended:
            self._runs.discard(run)
            self._run_ended.notify_all()
        run.mark_ended(error)
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        self._release_count += 1
        for signal in tuple(self._waiting_signals):
            signal.set()

    async def _wait_for_release(self, before: int, within: float | None = None) -> None:
        """Until some run ends, or `within` seconds; at once if one has ended since `before` (`_release_count` then)."""
        signal = LoopSignal()
        self._waiting_signals[signal] = None
        try:
            if self._release_count == before:
                with suppress(TimeoutError):
                    async with asyncio.timeout(within):
                        await signal.wait()
        finally:
            self._waiting_signals.pop(signal, None)


def _build_function_prompt(request: Request, unfinished: bool) -> list[PromptPiece]:
    build = routing.build_settled_prompt if unfinished else routing.build_prompt
    return build(request.functions, request.instructions, request.messages)


def _build_call_constraints(request: Request) -> tuple[str, str]:
    """The grammar of the calls, and what their arguments may come from."""
    return build_grammar(request.functions), routing.argument_sources(request.functions, request.messages)


def _build_scene_prompt(request: Request, _: bool) -> list[PromptPiece]:
    return scene_prompt.build_prompt(request)


_engines: WeakSet[LlamaCppLLM] = WeakSet()


@atexit.register
def _close_all() -> None:
    """A thread inside llama.cpp when the interpreter goes away would abort the process."""
    for engine in tuple(_engines):
        engine.unload_model()


def load_model(path: Path, resources: Resources, build: BuildPrompt | None = None, called: str = "") -> LlamaCppLLM:
    """`build` None: the prompts are made by the template inside the file. `called`: what the model is called, if not
    like its file. `threads` in the engine's table is taken as it is."""
    threads = int(resources.settings.get("threads", resources.threads))
    server = LlamaServer(path, threads=threads, slots=SLOTS, pool=2 * CONTEXT, folder=resources.computed)
    about = path.stat()
    name = f"{path.absolute()} {about.st_size} {about.st_mtime_ns} {version('xllamacpp')}"

    def build_by_template(request: Request, unfinished: bool) -> list[PromptPiece]:
        return template.build_prompt(request, server.render_template, unfinished=unfinished)

    return LlamaCppLLM(server, build or build_by_template, name, about=ABOUT.format(called or path.stem))


def _load_catalogued(name: str, argument: str, resources: Resources, called: str) -> LlamaCppLLM:
    if argument:
        raise EngineError(f"{name} takes no argument, but got {argument!r}. Is it gguf:{argument} that you mean?")
    folder = resources.weights(name)
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise EngineError(f"The folder of {name}, {folder}, holds no GGUF file.")
    return load_model(
        files[0], resources, lambda request, unfinished: chatml.build_prompt(request, unfinished=unfinished), called
    )


def create_qwen_1_5b(argument: str, resources: Resources) -> LlamaCppLLM:
    return _load_catalogued("qwen2.5-1.5b", argument, resources, "Qwen2.5 1.5B by Alibaba Cloud")


def create_qwen_0_5b(argument: str, resources: Resources) -> LlamaCppLLM:
    return _load_catalogued("qwen2.5-0.5b", argument, resources, "Qwen2.5 0.5B by Alibaba Cloud")


def create_gguf(argument: str, resources: Resources) -> LlamaCppLLM:
    """`argument` is the path of the file."""
    if not argument:
        raise EngineError("Which GGUF file? Write its path after the colon: gguf:/models/my.gguf.")
    return load_model(Path(argument).expanduser(), resources)
