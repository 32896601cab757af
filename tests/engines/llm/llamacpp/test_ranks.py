"""Who goes first in the embedded language model: a runtime that takes its time stands in for llama.cpp."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

import pytest
from msgspec.structs import replace

from openlive.engines.llm.functions.grammar import build_grammar
from openlive.engines.llm.llamacpp import engine, generation, tasks
from openlive.engines.llm.llamacpp.engine import SLOTS, LlamaCppLLM
from openlive.engines.llm.llamacpp.generation import CompletionRun, LoopSignal
from openlive.engines.llm.llamacpp.server import CompletionChunk
from openlive.engines.llm.prompt import chatml
from openlive.engines.llm.prompt.conversation import MalformedCallError
from openlive.engines.runtime.speculation import Hold, enter_hold
from openlive.types import FunctionDeclaration, Image, Message, Progress, Request, Sampling, Text

STEP = 0.002
LONG = "word " * 2000


class Runtime:
    """A step per 32 tokens of a prompt that its slot does not hold, and one per token that it writes."""

    beginning = ()
    context = 8192
    folder = None

    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []
        """Begun (`+`) and ended (`-`) runs with their slots; `!` where the prompt was computed to its end."""
        self.askers: set[int] = set()
        """The threads that asked for tokens, which the runtime is a while about."""
        self._held: dict[int, int] = {}

    def tokenize(self, text: str, special: bool) -> tuple[int, ...]:
        del special
        self.askers.add(threading.get_ident())
        return tuple(len(word) for word in text.split())

    def clear_slot(self, slot: int) -> None:
        self._held[slot] = 0

    def close(self) -> None:
        pass

    def run_completion(
        self, prompt: Sequence[int], slot: int, options: dict[str, Any], on: Callable[[CompletionChunk], bool]
    ) -> None:
        self.log.append(("+", slot))
        try:
            held = self._held.get(slot, 0)
            while held < len(prompt):
                time.sleep(STEP)
                held = self._held[slot] = min(held + 32, len(prompt))
                if on(CompletionChunk(cached=0)):
                    return
            self.log.append(("!", slot))
            for _ in range(options["n_predict"]):
                time.sleep(STEP)
                if on(CompletionChunk(" word", (4,))):
                    return
            on(CompletionChunk(finished=True))
        finally:
            self.log.append(("-", slot))

    def most_at_once(self) -> int:
        now = most = 0
        for what, _ in self.log:
            now += {"+": 1, "-": -1, "!": 0}[what]
            most = max(most, now)
        return most


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def llm(runtime: Runtime) -> LlamaCppLLM:
    return LlamaCppLLM(runtime, lambda request, unfinished: chatml.build_prompt(request, unfinished=unfinished))  # type: ignore[arg-type]


def asks(name: str, text: str = "Hi", tokens: int = 3) -> Request:
    return Request(name, (Message("user", (Text(text),)),), sampling=Sampling(max_tokens=tokens))


def waits(name: str) -> Request:
    """A session that has only connected."""
    return Request(name, (), instructions=LONG)


async def first(llm: LlamaCppLLM, request: Request) -> float:
    begun = time.perf_counter()
    async with aclosing(llm.generate(request)) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            if not isinstance(piece, Progress):
                return time.perf_counter() - begun
    raise AssertionError("nothing was said")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the runtime has no event for it
            await asyncio.sleep(0.001)


def test_the_event_loop_never_waits_for_tokens_or_grammars(
    llm: LlamaCppLLM, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grammar(functions: Sequence[FunctionDeclaration]) -> str:
        runtime.askers.add(threading.get_ident())
        return build_grammar(functions)

    monkeypatch.setattr(engine, "build_grammar", grammar)
    monkeypatch.setattr(tasks, "CALLS", 3)
    runtime.askers.clear()  # by now the model is loaded, which happens in a thread

    async def run() -> None:
        await first(llm, replace(asks("thinking"), thinking=100))
        with suppress(MalformedCallError):  # " word word word" is no call
            await first(llm, replace(asks("calling"), functions=(FunctionDeclaration("call", "", {}),)))
        await llm.prefill(waits("waiting"))

    asyncio.run(run())
    assert runtime.askers
    assert threading.get_ident() not in runtime.askers


def test_a_prefill_that_made_way_is_not_taken_for_done_by_the_signal_of_its_first_part(
    llm: LlamaCppLLM, runtime: Runtime
) -> None:
    async def run() -> None:
        late = CompletionRun((), {"n_predict": 0}, LoopSignal())
        late.mark_ended(None)
        await late.wait_for_signal()  # it had ended: the signal has not been taken
        late.reset_for_restart()
        await asyncio.sleep(0)
        computing = asyncio.create_task(
            llm._prefill_prompt("late", late, waits("late"), lambda r, _: chatml.build_prompt(r))
        )
        async with asyncio.timeout(10):
            await computing
        assert late.ended
        assert [what for what, _ in runtime.log] == ["+", "!", "-"]

    asyncio.run(run())


def test_the_prefills_of_those_who_only_wait_come_one_after_the_other(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        async with asyncio.timeout(10):
            await asyncio.gather(*(llm.prefill(waits(f"idle {i}")) for i in range(8)))

    asyncio.run(run())
    assert runtime.most_at_once() == 1
    assert len([what for what, _ in runtime.log if what == "!"]) == 8


def test_they_make_way_for_who_speaks_and_go_on_afterwards(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        idle = [asyncio.create_task(llm.prefill(waits(f"idle {i}"))) for i in range(8)]
        await until(lambda: ("+", 0) in runtime.log)
        before = len(runtime.log)
        await llm.prefill(asks("speaker", "Hello there"))
        await first(llm, asks("speaker", "Hello there, how are you?"))
        there = runtime.log[before:]
        assert [slot for what, slot in there if what == "!"] == [1, 1], "the speaker's runs, and no idle one before"
        async with asyncio.timeout(10):
            await asyncio.gather(*idle)

    asyncio.run(run())
    done = {slot for what, slot in runtime.log if what == "!"}
    assert len(done) == 9, "all were computed in the end"


def test_a_prefill_makes_way_for_the_first_words_of_another(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        talking = asyncio.create_task(llm.prefill(asks("talking", LONG)))
        await until(lambda: ("+", 0) in runtime.log)
        await first(llm, asks("waiting"))
        assert ("!", 0) not in runtime.log, "the prefill was not waited for"
        async with asyncio.timeout(10):
            await talking
        assert runtime.log[-2:] == [("!", 0), ("-", 0)]
        begun_anew = [i for i, entry in enumerate(runtime.log) if entry == ("+", 0)]
        assert begun_anew[-1] > runtime.log.index(("!", 1)), "not beside the first words"

    asyncio.run(run())


def test_what_follows_the_first_words_waits_for_those_of_others(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        async with aclosing(llm.generate(asks("early", tokens=40))) as early:  # type: ignore[type-var]
            assert [isinstance(await anext(early), kind) for kind in (Progress, Text)] == [True, True]
            await until(lambda: not llm._runs)  # it has written ahead, and pauses
            late = asyncio.create_task(first(llm, asks("late", LONG)))
            await until(lambda: ("+", 1) in runtime.log)
            async with asyncio.timeout(10):
                async for _ in early:
                    pass
                await late

    asyncio.run(run())
    second = [i for i, entry in enumerate(runtime.log) if entry == ("+", 0)][1]
    assert second > runtime.log.index(("!", 1))


def test_what_follows_the_first_words_has_its_turn_where_one_answer_after_another_begins(
    llm: LlamaCppLLM, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end would never be told otherwise, while all that it said has been heard."""
    monkeypatch.setattr(generation, "PATIENCE", 0.05)

    async def run() -> None:
        others = 0

        async def beginning(name: str) -> None:
            nonlocal others
            while True:
                await first(llm, asks(f"{name}-{others}", LONG))
                others += 1

        async with asyncio.TaskGroup() as group, aclosing(llm.generate(asks("early", tokens=40))) as early:  # type: ignore[type-var]
            assert [isinstance(await anext(early), kind) for kind in (Progress, Text)] == [True, True]
            crowd = [group.create_task(beginning(name)) for name in ("one", "two", "three")]
            await until(lambda: others > 3)
            async with asyncio.timeout(30):
                written = [piece async for piece in early if isinstance(piece, Text)]
            assert len(written) == 39
            for task in crowd:
                task.cancel()

    asyncio.run(run())


def test_a_reply_that_is_cancelled_while_it_waits_holds_nobody_up(llm: LlamaCppLLM) -> None:
    async def run() -> None:
        holding = asyncio.create_task(first(llm, asks("one", LONG)))
        await until(lambda: bool(llm._runs))
        waiting = asyncio.create_task(first(llm, asks("one", "Once more")))  # its slot is taken
        await until(lambda: bool(llm._unstarted))
        waiting.cancel()
        async with asyncio.timeout(10):
            await holding
            await llm.prefill(waits("idle"))
        assert not llm._unstarted

    asyncio.run(run())


async def prepare(llm: LlamaCppLLM, request: Request, hold: Hold) -> None:
    """All of an answer that nobody waits for before it is released."""
    enter_hold(hold)
    async with aclosing(llm.generate(request)) as pieces:  # type: ignore[type-var]
        async for _ in pieces:
            pass


def test_an_answer_that_is_held_comes_at_once_where_nobody_waits(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        idle = asyncio.create_task(llm.prefill(waits("idle")))
        await until(lambda: ("+", 0) in runtime.log)
        async with asyncio.timeout(10):
            await prepare(llm, asks("held"), Hold())
            assert ("!", 0) not in runtime.log, "not even a prefill was waited for"
            await idle

    asyncio.run(run())


def test_an_answer_that_is_held_makes_way_for_one_that_is_waited_for(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        held = asyncio.create_task(prepare(llm, asks("held", LONG), Hold()))
        await until(lambda: ("+", 0) in runtime.log)
        await first(llm, asks("waiting", LONG))
        assert ("!", 0) not in runtime.log, "it was not waited for"
        async with asyncio.timeout(10):
            await held
        begun_anew = [i for i, entry in enumerate(runtime.log) if entry == ("+", 0)]
        assert begun_anew[1] > runtime.log.index(("!", 1)), "not beside the first words"

    asyncio.run(run())


def test_an_answer_that_is_held_keeps_nobody_from_going_on(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        async with aclosing(llm.generate(asks("early", tokens=20))) as early:  # type: ignore[type-var]
            await anext(early)
            await anext(early)
            await until(lambda: not llm._runs)  # it has written ahead, and pauses
            held = asyncio.create_task(prepare(llm, asks("held", 3 * LONG), Hold()))
            await until(lambda: ("+", 1) in runtime.log)
            async with asyncio.timeout(10):
                async for _ in early:
                    pass
            assert ("!", 1) not in runtime.log, "it has not waited for the other's prompt"
            await held

    asyncio.run(run())


def test_an_answer_that_is_held_costs_no_other_conversation_its_cache(llm: LlamaCppLLM) -> None:
    async def run() -> None:
        for i in range(SLOTS):
            await first(llm, asks(f"going on {i}"))
        owners = {slot.owner for slot in llm._slots._slots}
        hold = Hold()
        held = asyncio.create_task(prepare(llm, asks("hesitant"), hold))
        await asyncio.sleep(10 * STEP)
        assert {slot.owner for slot in llm._slots._slots} == owners
        assert not held.done()
        hold.release()
        async with asyncio.timeout(10):
            await held
        assert "hesitant" in {slot.owner for slot in llm._slots._slots}

    asyncio.run(run())


def test_an_answer_that_is_released_goes_before_prefills_at_once(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        hold = Hold()
        held = asyncio.create_task(prepare(llm, asks("held", LONG), hold))
        await until(lambda: ("+", 0) in runtime.log)
        talking = asyncio.create_task(llm.prefill(asks("talking", LONG)))
        await until(lambda: ("+", 1) in runtime.log)  # beside it, as neither is waited for
        hold.release()
        async with asyncio.timeout(10):
            await held
            assert ("!", 1) not in runtime.log
            await talking
        assert runtime.log.index(("-", 1)) < runtime.log.index(("!", 0)), "it has made way"

    asyncio.run(run())


def test_a_thread_that_cannot_start_costs_one_answer(llm: LlamaCppLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await first(llm, asks("unlucky"))
        async with asyncio.timeout(10):
            await prepare(llm, asks("another", tokens=30), Hold())
            await first(llm, asks("unlucky"))

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "openlive-llm":
            raise RuntimeError("can't start new thread")
        start(thread)

    start = threading.Thread.start
    asyncio.run(run())


def test_threads_are_as_many_as_there_was_work_at_once(llm: LlamaCppLLM) -> None:
    async def run() -> None:
        for _ in range(3):
            async with asyncio.timeout(10):
                await asyncio.gather(*(prepare(llm, asks(f"{i}", tokens=20), Hold()) for i in range(3)))
            await until(lambda: not llm._runs)
            await asyncio.sleep(10 * STEP)  # the threads wait for more

    asyncio.run(run())
    assert llm._threads.started <= 6, "and not one for each of the nine answers and of their pauses"


def looks(name: str) -> Request:
    return Request(name, (Message("user", (Image("image/jpeg", b"", words=LONG),)),))


def test_a_judgement_of_a_frame_makes_way_for_everything_and_goes_on_afterwards(
    llm: LlamaCppLLM, runtime: Runtime
) -> None:
    async def run() -> None:
        judgement = asyncio.create_task(llm.notices(looks("watching")))
        await until(lambda: ("+", 0) in runtime.log)
        before = len(runtime.log)
        await first(llm, asks("speaker"))
        assert ("!", 0) not in runtime.log[before:], "it was not waited for"
        assert not judgement.done()
        async with asyncio.timeout(10):
            assert await judgement == 0.0

    asyncio.run(run())


def test_a_judgement_waits_for_an_answer_and_keeps_nobody_waiting(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        answer = asyncio.create_task(first(llm, asks("talking", LONG)))
        await until(lambda: ("+", 0) in runtime.log)
        judgement = asyncio.create_task(llm.notices(looks("watching")))
        await asyncio.sleep(10 * STEP)
        assert ("+", 1) not in runtime.log, "it has not begun"
        async with asyncio.timeout(10):
            await llm.prefill(asks("next"))
            await answer
            await judgement

    asyncio.run(run())


def test_a_judgement_that_nobody_wants_any_more_stops(llm: LlamaCppLLM, runtime: Runtime) -> None:
    async def run() -> None:
        judgement = asyncio.create_task(llm.notices(looks("watching")))
        await until(lambda: ("+", 0) in runtime.log)
        judgement.cancel()
        await until(lambda: not llm._runs)
        assert ("!", 0) not in runtime.log

    asyncio.run(run())
