"""A reply of the cascade comes to its end, whatever its model and its voice do, and in the time that they take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openlive.engines.api import Emit
from openlive.engines.responder.cascade import Cascade, ClauseReceiver, _ClauseStream
from openlive.types import (
    FunctionCall,
    Message,
    Output,
    Progress,
    Request,
    Speech,
    Text,
    Thought,
    Usage,
    Voice,
    Written,
)
from tests.server.virtual import timeless

Way = Literal[
    "clause by clause", "reads ahead", "reads all first", "stops early", "ends at once", "breaks", "without a sound"
]
WAYS: list[Way] = [
    "clause by clause",
    "reads ahead",
    "reads all first",
    "stops early",
    "ends at once",
    "breaks",
    "without a sound",
]
PIECES: list[Written] = [
    *map(
        Text,
        ["Yes.", " It is so, I think.", " And", " then\n\n", "👍", "```py\nprint(1)", "<|endoftext|>", "<|im_", ""],
    ),
    Thought("Hm."),
    FunctionCall("", "weather", {}),
    Progress(),
    Usage(3, 2),
]
pauses = st.sampled_from([0.0, 0.1, 3.0])
written = st.lists(st.tuples(pauses, st.sampled_from(PIECES)), max_size=20)


class Model:
    def __init__(self, script: list[tuple[float, Written]], *, breaks: bool) -> None:
        self.script, self.breaks = script, breaks

    async def generate(self, request: Request) -> AsyncIterator[Written]:
        for pause, piece in self.script:
            await asyncio.sleep(pause)
            yield piece
        if self.breaks:
            raise OSError("the model broke")

    async def prefill(self, request: Request) -> None: ...

    def forget(self, conversation: str) -> None: ...


class Singer:
    voices = ("Puck",)

    def __init__(self, way: Way, pause: float) -> None:
        self.way, self.pause = way, pause

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        if self.way == "ends at once":
            return
        sound = b"" if self.way == "without a sound" else bytes(4800)
        kept = [clause async for clause in text] if self.way == "reads all first" else []
        for clause in kept:
            yield Speech(sound, clause)
        before = ""
        async for clause in text:
            await asyncio.sleep(self.pause)
            if self.way == "breaks":
                raise OSError("the voice broke")
            if self.way != "reads ahead":
                yield Speech(sound, clause)
            elif before:
                yield Speech(sound, before)
            before = clause
            if self.way == "stops early":
                return
        if self.way == "reads ahead" and before:
            yield Speech(sound, before)


@settings(deadline=None, max_examples=400)
@given(written, st.booleans(), st.sampled_from(WAYS), pauses, pauses, st.booleans())
def test_a_reply_ends(
    script: list[tuple[float, Written]], breaks: bool, way: Way, pause: float, wait: float, speaks: bool
) -> None:
    request = Request("c", (Message("user", (Text("Hi"),)),), voice=Voice("Puck") if speaks else None)
    taken: list[Output] = []

    async def emit(output: Output) -> None:
        await asyncio.sleep(wait)
        taken.append(output)

    async def reply() -> None:
        cascade = Cascade(Model(script, breaks=breaks), Singer(way, pause))
        most = sum(pause for pause, _ in script) + (pause + 3 * wait) * (20 * len(script) + 20) + 1
        async with asyncio.timeout(most):
            try:
                await cascade.reply(request, emit)
            except (OSError, ExceptionGroup, anyio.BrokenResourceError):
                assert breaks or way in ("breaks", "stops early", "ends at once")  # it may raise, not stall

    timeless(reply)


async def say_without_an_end(
    self: Cascade, waiting: ClauseReceiver, voice: Voice, emit: Emit, begun: anyio.Event
) -> None:
    async for piece in self._tts.speak(_ClauseStream(waiting, begun), voice):
        await emit(piece)
        if piece.pcm:
            begun.set()


async def receive_without_a_word(self: _ClauseStream) -> str:
    try:
        return await self._waiting.receive()
    except anyio.EndOfStream:
        raise StopAsyncIteration from None


@pytest.mark.parametrize(
    ("where", "name", "mutant"),
    [(Cascade, "_speak_clauses", say_without_an_end), (_ClauseStream, "__anext__", receive_without_a_word)],
)
def test_a_stall_is_noticed(where: type, name: str, mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, name, mutant)
    with pytest.raises(TimeoutError):
        test_a_reply_ends()
