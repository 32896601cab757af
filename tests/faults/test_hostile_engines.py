"""An engine that hands over what no engine may, or raises what no program should, costs one turn: never the session,
never the server, never the neighbour."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
import pytest

from openlive.config.model import LimitSettings
from openlive.engines.api import Judged
from openlive.server.engines import Engines
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD, ScriptedVADStream
from openlive.types import (
    FunctionCall,
    FunctionDeclaration,
    Request,
    Speech,
    Text,
    Thought,
    ToolResult,
    Transcript,
    Usage,
    Voice,
    Word,
    Written,
)
from tests.faults.neighbour import Talkative, undisturbed
from tests.faults.test_engines import SENTENCE, works
from tests.raw import TALK, TEXT, Raw, client, kinds, reason, text
from tests.serving import Scripted, serving

pytestmark = pytest.mark.anyio

LIMITS = LimitSettings(detector_seconds=1.0, recogniser_seconds=1.0, reply_seconds=1.0)
FAILED = ("failed", "nothing came from the model")


class OwnExit(BaseException):
    """Nothing that `except Exception` sees."""


RAISED: list[Any] = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration, OwnExit]
WRITTEN: list[Any] = [
    None,
    "text",
    Text(None),  # type: ignore[arg-type]
    Text("\ud83d"),
    Text("😀" * 300_000),
    Thought(b"hm"),  # type: ignore[arg-type]
    Usage(math.nan, 1),  # type: ignore[arg-type]
    Usage("many", 1),  # type: ignore[arg-type]
    Usage(-1, 1),
    Usage(2**70, 1),
    FunctionCall("", "f", {"a": object()}),
    FunctionCall("", "f", None),  # type: ignore[arg-type]
]
SPOKEN: list[Any] = [
    None,
    b"\0\0",
    Speech(b"\0\0\0"),
    Speech("pcm"),  # type: ignore[arg-type]
    Speech([0.5, 0.5]),  # type: ignore[arg-type]
    Speech(b"\0\0", None),  # type: ignore[arg-type]
    Speech(b"\0\0", "a", (Word("a", -9, 3),)),
    Speech(b"\0\0", "a", (3,)),  # type: ignore[arg-type]
]


class Writer(ScriptedLLM):
    """Its first reply has `bad` in it, an exception or a value."""

    bad: Any = None
    late: bool = True
    """After a good piece."""

    async def generate(self, request: Request) -> AsyncIterator[Written]:
        if self.uses:
            async for piece in super().generate(request):
                yield piece
            return
        self.begin_use()
        if self.late:
            yield Text("Well. ")
        if isinstance(self.bad, type):
            raise self.bad
        yield self.bad
        yield Text("And on.")


class Voiced(ScriptedTTS):
    bad: Any = None

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        if self.uses:
            async for piece in super().speak(text, voice):
                yield piece
            return
        self.begin_use()
        async for clause in text:
            yield self.render_clause(clause)
            if isinstance(self.bad, type):
                raise self.bad
            yield self.bad


class Ear(ScriptedSTT):
    bad: Any = None

    async def transcribe(
        self,
        audio: AsyncIterator[bytes],
        *,
        languages: Sequence[str] = (),
        phrases: Sequence[str] = (),
        words: bool = False,
    ) -> AsyncIterator[Transcript]:
        if self.uses:
            async for heard in super().transcribe(audio):
                yield heard
            return
        self.begin_use()
        async for _ in audio:
            if isinstance(self.bad, type):
                raise self.bad
            yield self.bad


class Watchman(ScriptedVAD):
    """Its first stream says `bad`, or raises it."""

    bad: Any = None

    def stream(self, tell: Callable[[Judged], None]) -> Any:
        if self.begin_use() == "late":
            return Blind(self.bad, tell)
        return ScriptedVADStream(self, None, tell)


class Blind:
    def __init__(self, bad: Any, tell: Callable[[Judged], None]) -> None:
        self._bad = bad
        self._tell = tell

    def push(self, audio: bytes) -> None:
        if isinstance(self._bad, type):
            raise self._bad
        asyncio.get_running_loop().call_soon(self._tell, self._bad)

    def close(self) -> None:
        raise SystemExit


async def one_turn(engines: Scripted, setup: dict[str, Any], provoke: Callable[[Raw], Any]) -> list[dict[str, Any]]:
    """The turn that it costs; the next one is as it should be, and a neighbour notices nothing."""
    talkative = Talkative(engines)
    both = Engines(vad=engines.vad, stt=engines.stt, responder=talkative)
    with serving(both, limits=LIMITS, fails=FAILED) as server:
        async with undisturbed(server, talkative), client(server, setup) as raw:
            await provoke(raw)
            turn = await raw.turn()
            if setup is TEXT:
                await raw.ask("again")
                assert text(await raw.turn()) == "You said: again"
            else:
                await works(raw)
            return turn


@pytest.mark.parametrize("bad", [*WRITTEN, *RAISED])
@pytest.mark.parametrize("setup", [TEXT, TALK], ids=["text", "speech"])
async def test_a_language_model(bad: Any, setup: dict[str, Any]) -> None:
    turn = await one_turn(Scripted(llm=Writer(bad=bad)), setup, lambda raw: raw.ask("hello"))
    assert reason(turn) == "RESPONSE_REJECTED"


@pytest.mark.parametrize("bad", [*SPOKEN, *RAISED])
async def test_a_voice(bad: Any) -> None:
    turn = await one_turn(Scripted(tts=Voiced(bad=bad, character=0.01)), TALK, lambda raw: raw.ask("hello"))
    assert reason(turn) == "RESPONSE_REJECTED"


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "hello",
        Transcript(None, 5, True),  # type: ignore[arg-type]
        Transcript("\ud83d", 5, True),
        Transcript("hello", -1, True),
        Transcript("hello", math.nan, True),  # type: ignore[arg-type]
        Transcript("hello " * 100_000, 5, True),
        Transcript("hello", 5, True, language=None),  # type: ignore[arg-type]
        Transcript("hello", 5, True, words=(None,)),  # type: ignore[arg-type]
        *RAISED,
    ],
)
async def test_a_recogniser(bad: Any) -> None:
    turn = await one_turn(Scripted(stt=Ear(bad=bad)), TALK, lambda raw: raw.speak(SENTENCE))
    assert reason(turn) == "INPUT_OTHER"
    assert kinds(turn)[-1] == "turnComplete"


@pytest.mark.parametrize(
    "bad", [None, 3, [None], [(math.nan, 512)], [(0.5, -512)], [(0.5, 10**9)], [(2.0, 512)], [("x", 512)], *RAISED]
)
async def test_a_detector(bad: Any) -> None:
    vad = Watchman(bad=bad, faults={1: "late"})
    turn = await one_turn(Scripted(vad=vad), TALK, lambda raw: raw.speak(SENTENCE))
    assert reason(turn) == "INPUT_OTHER"


class Judge:
    """A detector of ends of turns, and whom an utterance is meant for."""

    def __init__(self, bad: Any) -> None:
        self.bad = bad

    async def finished(self, audio: bytes) -> float:
        del audio
        if isinstance(self.bad, type):
            raise self.bad
        return self.bad  # type: ignore[no-any-return]

    async def meant(self, request: Request) -> float:
        return await self.finished(b"")


@pytest.mark.parametrize("bad", [None, "yes", math.nan, math.inf, 7.0, *RAISED])
async def test_judgements_cost_nothing_but_themselves(bad: Any) -> None:
    """The silence alone tells, and what is said is meant for the model."""
    scripted = Scripted()
    engines = Engines(
        vad=scripted.vad,
        stt=scripted.stt,
        responder=scripted.engines.responder,
        turn=Judge(bad),
        addressee=Judge(bad),
    )
    setup = {**TALK, "proactivity": {"proactiveAudio": True}}
    path = "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContent"
    with serving(engines, limits=LIMITS, fails=FAILED) as server:
        async with client(server, setup, path=path) as raw:
            for _ in range(2):
                await works(raw)


class Gadget:
    declaration = FunctionDeclaration("run_python", "Runs.", {"type": "object"})

    def __init__(self, bad: Any) -> None:
        self.bad = bad

    async def run(self, args: dict[str, Any]) -> ToolResult:
        del args
        if isinstance(self.bad, type):
            raise self.bad
        return self.bad  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Nothing is kept."""


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {"output": 42},
        ToolResult({"a": object()}),
        ToolResult({"a": "\ud83d"}),
        ToolResult({}, output=42),  # type: ignore[arg-type]
        ToolResult({}, output="😀" * 200_000),
        ToolResult({}, outcome="fine"),  # type: ignore[arg-type]
        *RAISED,
    ],
)
async def test_a_tool_is_told_to_have_failed(bad: Any) -> None:
    llm = ScriptedLLM(replies=('call:run_python {"code": "6*7"}', "Sorry. {}"))
    scripted = Scripted(llm=llm)
    engines = Engines(
        vad=scripted.vad,
        stt=scripted.stt,
        responder=scripted.engines.responder,
        tools={"code_execution": Gadget(bad)},
    )
    with serving(engines, limits=LIMITS, fails=("the tool code_execution failed",)) as server:
        async with client(server, {**TEXT, "tools": [{"codeExecution": {}}]}) as raw:
            await raw.ask("run it")
            turn = await raw.turn()
            assert reason(turn) is None
            assert "code_execution failed" in text(turn)


async def test_who_goes_on_after_the_end_is_not_heard() -> None:
    """A model that does not stop when it is closed, and one that raises then."""

    class Stubborn(ScriptedLLM):
        async def generate(self, request: Request) -> AsyncIterator[Written]:
            self.begin_use()
            try:
                yield Text("One. ")
                await anyio.sleep_forever()
            finally:
                yield Text("Two. ")

    with serving(Scripted(llm=Stubborn()).engines, limits=LIMITS, fails=FAILED) as server:
        async with client(server, TEXT) as raw:
            await raw.ask("hello")
            assert (await raw.hear())["serverContent"]["modelTurn"]["parts"] == [{"text": "One. "}]
            await raw.ask("stop")
            assert kinds(await raw.turn())[:2] == ["interrupted", "turnComplete"]
            assert (await raw.hear())["serverContent"]["modelTurn"]["parts"] == [{"text": "One. "}]
