"""What is made for a client waits for it: the queue that lets it go first, the outbox, the flow, states to store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from openlive.core.commands import CloseConnection, SaveState, Send
from openlive.core.events import Event, ReplyFinished, StateSaved
from openlive.engines.runtime.speculation import Hold
from openlive.server.flow import PIECES, Flow
from openlive.server.mailbox import Mailbox
from openlive.server.outbox import OVERHEAD, Outbox, weight
from openlive.server.session_registry import Live
from openlive.server.store.memory import MemoryStore
from openlive.types import OUTPUT_RATE, Output, Progress, Speech, Text
from openlive.wire.content import Blob, Content, FunctionCall, Part
from openlive.wire.server import ServerContent, ServerMessage, ToolCall, Transcription
from tests.core.world import TALK, World

PLENTY = 10**9


def through(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def audio(size: int, turn: int = 1) -> Send:
    part = Part(inline_data=Blob(mime_type="audio/pcm", data=bytes(size)))
    return Send(ServerMessage(server_content=ServerContent(model_turn=Content(parts=(part,)))), turn)


def said(text: str, turn: int = 0) -> Send:
    return Send(ServerMessage(server_content=ServerContent(input_transcription=Transcription(text=text))), turn)


class TestMailbox:
    def test_what_is_behind_waits_for_everything_else(self) -> None:
        box: Mailbox[int] = Mailbox()
        for number in (1, 2, 3):
            box.put_behind(10 * number)
            box.put(number)
        assert len(box) == 6
        assert list(box.batch(32)) == [1, 2, 3, 10, 20, 30]
        assert not len(box)

    def test_a_flood_leaves_room_for_one_of_those_behind(self) -> None:
        box: Mailbox[int] = Mailbox()
        for number in range(8):
            box.put(number)
            box.put_behind(10 + number)
        assert list(box.batch(4)) == [0, 1, 2, 3, 10]
        assert list(box.batch(6)) == [4, 5, 6, 7, 11, 12]
        assert [box.take(), box.take()] == [13, 14]

    def test_what_is_behind_wakes_who_waits(self) -> None:
        async def test() -> None:
            box: Mailbox[int] = Mailbox()
            waiting = asyncio.ensure_future(box.wait())
            await asyncio.sleep(0)
            box.put_behind(1)
            assert await waiting
            assert await anext(box) == 1

        through(test)


class TestOutbox:
    def test_counts_what_waits(self) -> None:
        async def test() -> None:
            box = Outbox(PLENTY)
            box.put(audio(9600))
            box.put(said("hello"))
            assert box.bytes == 2 * OVERHEAD + 9605
            await anext(box)
            await anext(box)
            box.put(CloseConnection(1000, ""))
            assert box.bytes == 0
            assert await anext(box) == CloseConnection(1000, "")

        through(test)

    def test_drops_a_turn(self) -> None:
        async def test() -> None:
            box = Outbox(PLENTY)
            for item in (audio(10), said("a"), audio(20, 2), audio(30)):
                box.put(item)
            box.drop(1)
            assert box.bytes == 2 * OVERHEAD + 21
            assert [await anext(box), await anext(box)] == [said("a"), audio(20, 2)]

        through(test)

    def test_is_full_of_content_and_overflows_with_anything_else(self) -> None:
        async def test() -> None:
            box = Outbox(50_000)
            for _ in range(20):
                box.put(audio(9600))
            assert box.full
            assert not box.overflows
            waiting = asyncio.ensure_future(box.room())
            await asyncio.sleep(0)
            assert not waiting.done()
            box.drop(1)
            await waiting
            for _ in range(50):
                box.put(said("word"))
            assert box.overflows

        through(test)

    @pytest.mark.parametrize(
        "message",
        [
            ServerMessage(tool_call=ToolCall(function_calls=(FunctionCall(id="1", name="f", args={"a": "x" * 5000}),))),
            ServerMessage(server_content=ServerContent(model_turn=Content(parts=(Part(text="x" * 5000),)))),
            ServerMessage(server_content=ServerContent(output_transcription=Transcription(text="x" * 5000))),
        ],
    )
    def test_weighs_what_is_said(self, message: ServerMessage) -> None:
        assert 5000 <= weight(message) < 5000 + 3 * OVERHEAD


class TestFlow:
    """The loop that takes the pieces is at work in each of these."""

    @staticmethod
    async def passes(flow: Flow, output: Output, seconds: float = 0.02) -> bool:
        """Whether the engine may go on at once."""
        passing = asyncio.ensure_future(flow.passed(output))
        done, _ = await asyncio.wait([passing], timeout=seconds)
        passing.cancel()
        return bool(done)

    def test_waits_for_the_core(self) -> None:
        async def test() -> None:
            inbox: Mailbox[Event] = Mailbox()
            flow = Flow(inbox, Outbox(PLENTY), None, ahead=60, held=PLENTY)
            for _ in range(PIECES - 1):
                inbox.put_behind(ReplyFinished(1))
                assert await self.passes(flow, Text("a"))
            inbox.put_behind(ReplyFinished(1))
            assert not await self.passes(flow, Progress())
            inbox.take()
            assert await self.passes(flow, Text("a"))

        through(test)

    def test_waits_for_the_client(self) -> None:
        async def test() -> None:
            outbox = Outbox(20_000)
            flow = Flow(Mailbox(), outbox, None, ahead=60, held=PLENTY)
            outbox.put(audio(9600))
            assert await self.passes(flow, Text("a"))
            outbox.put(audio(9600))
            assert not await self.passes(flow, Text("a"))
            outbox.take()
            assert await self.passes(flow, Text("a"))

        through(test)

    def test_waits_for_the_playback(self) -> None:
        async def test() -> None:
            flow = Flow(Mailbox(), Outbox(PLENTY), None, ahead=1.0, held=PLENTY)
            second = Speech(bytes(2 * OUTPUT_RATE))
            assert await self.passes(flow, Speech(bytes(2 * OUTPUT_RATE - 4800)))
            assert not await self.passes(flow, second)
            assert not await self.passes(flow, Text("a")), "and so does everything else"

        through(test)

    def test_goes_on_once_the_playback_has(self) -> None:
        async def test() -> None:
            flow = Flow(Mailbox(), Outbox(PLENTY), None, ahead=0.5, held=PLENTY)
            begun = asyncio.get_running_loop().time()
            await flow.passed(Speech(bytes(2 * OUTPUT_RATE * 6 // 10)))
            assert asyncio.get_running_loop().time() - begun >= 0.09

        through(test)

    def test_what_nobody_waits_for_is_bounded_until_somebody_does(self) -> None:
        async def test() -> None:
            hold = Hold()
            flow = Flow(Mailbox(), Outbox(PLENTY), hold, ahead=60, held=10 * OVERHEAD)
            for _ in range(9):
                assert await self.passes(flow, Speech(b""))
            waiting = asyncio.ensure_future(flow.passed(Speech(b"")))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            hold.release()
            await waiting
            assert await self.passes(flow, Text("x" * 20 * OVERHEAD))

        through(test)


def test_of_the_states_that_wait_for_a_slow_store_the_newest_is_kept() -> None:
    class Slow(MemoryStore):
        async def change(self, *arguments: Any, **more: Any) -> Any:
            await going.wait()
            return await super().change(*arguments, **more)

    going = asyncio.Event()
    told: list[Event] = []

    async def test() -> None:
        world = World({**TALK, "sessionResumption": {}})
        save = world.of(SaveState)[0]
        live = Live(Slow(), lambda _: None)
        seat = live.enter("s", told.append)
        running = asyncio.ensure_future(seat.run())
        for number in range(100):
            seat.save(replace(save, wants_handle=number == 50, consumed=number))
            await asyncio.sleep(0)
            assert len(seat._saves) <= 1
        going.set()
        seat.close()
        await running
        saved = [event for event in told if isinstance(event, StateSaved)]
        assert [event.consumed for event in saved] == [99], "and the handle that was asked for is told"

    through(test)
