"""The connection on a socket made of queues: what it does with frames, commands and what cannot be sent."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from openlive.core.events import ConnectionOpened, Event
from openlive.core.session import Session
from openlive.engines.runtime.speculation import Hold, current_hold
from openlive.server import connection
from openlive.server.admission import Admission, Places, Visit
from openlive.server.app import profiles
from openlive.server.auth import Keyring
from openlive.server.buffer import Audio
from openlive.server.connection import Connection
from openlive.server.inbound import LARGE
from openlive.server.load_shedding import Waits
from openlive.server.mailbox import Mailbox
from openlive.server.metrics import Metrics
from openlive.server.paths import Door
from openlive.server.session_registry import Live
from openlive.server.store.memory import MemoryStore
from openlive.server.tokens import Tokens
from openlive.server.waterfall import Turns
from openlive.server.work import BOUNDS, Bounds
from openlive.testing.scripted import ScriptedLLM, ScriptedTTS
from openlive.types import OUTPUT_RATE, Request, Speech, Text, Thought, Voice, Written
from tests.core.world import PROFILES
from tests.raw import TALK, TEXT, kind
from tests.serving import SECONDS, Scripted, silence, tone


class Socket:
    """What Starlette's WebSocket is to a connection. `stuck` until `go` is set, a sender waits."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.news = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.waiting = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        return await self.incoming.get()

    async def send_bytes(self, data: bytes) -> None:
        self.waiting.set()
        await self.go.wait()
        self.sent.append(json.loads(data))
        self.news.set()

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.news.set()

    # What the client does.

    def say(self, message: object) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def ask(self, text: str) -> None:
        self.say({"clientContent": {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}})

    def speak(self, pcm: bytes) -> None:
        audio = {"data": base64.b64encode(pcm).decode(), "mimeType": "audio/pcm"}
        self.say({"realtimeInput": {"audio": audio}})

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                self.news.clear()
                await self.news.wait()

    @property
    def kinds(self) -> list[str]:
        return [kind(m["serverContent"]) for m in self.sent if "serverContent" in m]


@asynccontextmanager
async def connected(
    setup: dict[str, Any],
    scripted: Scripted | None = None,
    session: Session | None = None,
    *,
    bounds: Bounds = BOUNDS,
    store: MemoryStore | None = None,
    admits: bool = True,
) -> AsyncIterator[tuple[Socket, Connection]]:
    """Serves until the block is left, where the client leaves too."""
    socket, admitted = Socket(), []
    engines = (scripted or Scripted()).engines
    store = MemoryStore() if store is None else store
    admission = Admission(Keyring(), Tokens(store), PROFILES, Places(0))
    visit = Visit(admission, Door("v1beta"), ())
    visit.opened = ConnectionOpened("me")
    served = Connection(
        socket,  # type: ignore[arg-type]
        session or Session(PROFILES),
        engines,
        Turns(),
        Metrics(),
        waits=Waits(),
        recognitions=Waits(),
        visit=visit,
        live=Live(store, engines.responder.forget),
        admitted=lambda: admitted.append(True),
        bounds=bounds,
    )
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
        group.create_task(served.serve())
        socket.say({"setup": setup})
        if admits:
            await socket.until(lambda: bool(socket.sent) or socket.closed is not None)
        yield socket, served
        socket.leave()
    assert admitted == [True] * admits


def through(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_an_interruption_overtakes_what_waits_to_be_sent() -> None:
    """A client on a slow line: of the answer only what was under way still comes."""

    async def test() -> None:
        async with connected(TALK) as (socket, served):
            socket.go.clear()
            socket.waiting.clear()
            socket.ask("x" * 400)  # 4 s of speech in 200 ms pieces
            await socket.waiting.wait()
            outbox = served._outbox
            while len(outbox) < 20:  # noqa: ASYNC110 - the outbox has no event
                await anyio.sleep(0.001)
            socket.ask("stop")
            while len(outbox) > 15:  # noqa: ASYNC110
                await anyio.sleep(0.001)
            socket.go.set()
            await socket.until(lambda: socket.kinds.count("turnComplete") == 1)
            assert socket.kinds[1:4] == ["saidFinished", "interrupted", "turnComplete"]
            await socket.until(lambda: socket.kinds.count("turnComplete") == 2)

    through(test)


def test_large_frames_keep_their_order() -> None:
    """They are read in a thread, while small ones come after them."""

    async def test() -> None:
        async with connected(TEXT | {"inputAudioTranscription": {}}) as (socket, served):
            pcm = tone(10) + silence(3)
            assert len(pcm) > LARGE
            socket.speak(pcm)
            socket.say({"realtimeInput": {"audioStreamEnd": True}})
            await socket.until(lambda: "turnComplete" in socket.kinds)
            assert socket.kinds[:2] == ["heard", "heardFinished"]
            assert served._audio._start > 0  # and what is over is forgotten

    through(test)


def test_a_core_that_fails_ends_the_session_with_its_number() -> None:
    class Broken(Session):
        def handle(self, event: Event | None, now: float) -> list[Any]:
            if event is not None and "turns" in str(event):
                raise ZeroDivisionError
            return super().handle(event, now)

    async def test() -> None:
        async with connected(TEXT, session=Broken(PROFILES)) as (socket, _):
            socket.ask("hello")
            await socket.until(lambda: socket.closed is not None)
            assert socket.closed == (1011, "Internal error encountered. (session me)")

    through(test)


def test_nothing_piles_up_after_the_close() -> None:
    async def test() -> None:
        async with connected(TALK) as (socket, served):
            socket.go.clear()  # the client takes nothing, so the close frame waits
            socket.waiting.clear()
            socket.ask("hello")
            await socket.waiting.wait()
            socket.say({"nonsense": 1})
            while not served._closing:  # noqa: ASYNC110
                await anyio.sleep(0.001)
            for _ in range(100):
                socket.speak(silence(1))
            while not socket.incoming.empty():  # noqa: ASYNC110
                await anyio.sleep(0.001)
            assert len(served._inbox) < 10
            assert len(served._audio._pcm) == 0
            socket.go.set()
            await socket.until(lambda: socket.closed is not None)
            assert socket.closed is not None
            assert socket.closed[0] == 1007

    through(test)


def test_a_client_that_takes_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_TIMEOUT", 0.05)

    async def test() -> None:
        async with connected(TALK) as (socket, _):
            socket.go.clear()
            socket.ask("hello")

    through(test)  # it ends although the client neither reads nor leaves


def test_an_interruption_does_not_wait_for_what_it_interrupts() -> None:
    """A model that writes without end is asked for no more than the client takes, and is stopped by the next words."""
    written = 0

    class Endless(ScriptedLLM):
        async def generate(self, request: Request) -> AsyncIterator[Written]:
            nonlocal written
            if self.begin_use() or self.uses > 1:
                yield Text("Well.")
                return
            while True:
                written += 1
                yield Thought("x")

    async def test() -> None:
        async with connected(TEXT, Scripted(llm=Endless())) as (socket, served):
            socket.ask("hello")
            while not written:  # noqa: ASYNC110
                await asyncio.sleep(0)
            for _ in range(50):  # turns of the loop
                await asyncio.sleep(0)
            socket.ask("stop")
            before = written
            await socket.until(lambda: "interrupted" in socket.kinds)
            assert written - before < 10 * connection.BATCH
            assert len(served._inbox) < 2 * connection.BATCH
            await socket.until(lambda: socket.kinds.count("turnComplete") == 2)

    through(test)


def test_of_a_voice_no_more_is_made_than_may_be_ahead_and_than_the_client_takes() -> None:
    spoken = 0

    class Endless(ScriptedTTS):
        async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
            nonlocal spoken
            async for clause in text:
                yield Speech(b"", clause)
            while True:
                spoken += 1
                yield Speech(bytes(OUTPUT_RATE))  # half a second

    async def test(bounds: Bounds, most: int, *, reads: bool) -> None:
        nonlocal spoken
        spoken = 0
        async with connected(TALK, Scripted(tts=Endless()), bounds=bounds) as (socket, _):
            if not reads:
                socket.go.clear()
            socket.ask("hello")
            while spoken < most:  # noqa: ASYNC110
                await anyio.sleep(0.001)
            await anyio.sleep(0.1)
            assert spoken == most
            socket.go.set()

    through(lambda: test(Bounds(ahead=20.0), 41, reads=True))
    through(lambda: test(Bounds(unsent=240_000), 9, reads=False))


def test_a_client_that_asks_and_never_reads_is_cut() -> None:
    async def test() -> None:
        async with connected(TEXT, bounds=Bounds(unsent=100_000)) as (socket, served):
            socket.go.clear()
            for number in range(300):
                socket.ask(f"question {number}")
            while not served._closing:  # noqa: ASYNC110
                await anyio.sleep(0.001)
            assert served._outbox.bytes < 2 * 100_000

    through(test)


def test_who_resumes_is_not_read_from_before_the_session_is_there() -> None:
    """What it says meanwhile waits where it is bounded."""

    class Slow(MemoryStore):
        async def change(self, *arguments: Any) -> Any:
            await going.wait()
            return await super().change(*arguments)

    going = asyncio.Event()

    async def test() -> None:
        setup = {**TEXT, "sessionResumption": {"handle": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}}
        async with connected(setup, store=Slow(), admits=False) as (socket, served):
            for _ in range(100):
                socket.ask("hello")
            for _ in range(300):
                await asyncio.sleep(0)
            assert socket.incoming.qsize() > 90
            assert len(served._session._early_events) < 10
            going.set()
            await socket.until(lambda: socket.closed is not None)
            assert socket.closed == (1008, "Requested entity was not found.")

    through(test)


def test_engines_are_told_that_nobody_waits_for_a_reply_until_the_turn_is_decided() -> None:
    holds: list[Hold | None] = []

    class Waiting(ScriptedLLM):
        async def generate(self, request: Request) -> AsyncIterator[Written]:
            holds.append(current_hold())
            while current_hold() is not None:  # noqa: ASYNC110
                await anyio.sleep(0.001)
            yield Text("Well.")

    async def test() -> None:
        async with connected(TALK, Scripted(llm=Waiting())) as (socket, _):
            socket.speak(tone(0.6) + silence(0.3))
            while not holds:  # noqa: ASYNC110 - the engine has no event for it
                await anyio.sleep(0.001)
            assert isinstance(holds[0], Hold)
            socket.speak(silence(1))
            await socket.until(lambda: "turnComplete" in socket.kinds)
            assert len(holds) == 1, "it was released, and not made anew"
            socket.ask("hello")
            await socket.until(lambda: socket.kinds.count("turnComplete") == 2)
            assert holds[1:] == [None]

    through(test)


def test_the_engines_forget_the_session() -> None:
    scripted = Scripted()

    async def test() -> None:
        async with connected(TALK, scripted):
            pass

    through(test)
    assert scripted.llm.forgotten == ["me"]


def test_both_fields_of_a_message_are_taken() -> None:
    """JavaScript may send several at once (docs/protocol.md#frames-of-javascript). The order of streams is not
    guaranteed."""
    scripted = Scripted()

    async def test() -> None:
        async with connected(TEXT, scripted) as (socket, _):
            audio = {"data": base64.b64encode(tone(0.5) + silence(1)).decode(), "mimeType": "audio/pcm"}
            socket.say({"realtimeInput": {"audio": audio, "text": "by the way"}})
            await socket.until(lambda: {"by the way", "hello"} <= answered(scripted))

    def answered(scripted: Scripted) -> set[str]:
        return {part for request in scripted.llm.requests for message in request.messages for part in [message.text]}

    through(test)


# --- its parts --------------------------------------------------------------------------------------------------------


class TestMailbox:
    def test_gives_in_order_and_ends(self) -> None:
        async def test() -> None:
            box: Mailbox[int] = Mailbox()
            for number in range(3):
                box.put(number)
            box.close()
            box.put(3)  # nobody will come for it
            assert [number async for number in box] == [0, 1, 2]

        through(test)

    def test_wakes_who_waits(self) -> None:
        async def test() -> None:
            box: Mailbox[str] = Mailbox()
            waiting = asyncio.ensure_future(box.wait())
            await asyncio.sleep(0)
            box.put("news")
            assert await waiting
            assert box.take() == "news"

        through(test)

    def test_waits_no_longer_than_it_may(self) -> None:
        async def test() -> None:
            box: Mailbox[str] = Mailbox()
            assert not await box.wait(anyio.current_time() + 0.01)
            assert not await box.wait(anyio.current_time() - 1)
            box.close()
            assert not await box.wait()

        through(test)


class TestAudio:
    def test_is_addressed_from_the_beginning_of_the_session(self) -> None:
        audio = Audio()
        assert audio.append(bytes(range(20))) == 10
        assert audio.append(bytes(range(20, 40))) == 10
        assert audio.slice(9, 11) == bytes(range(18, 22))
        audio.forget(9)
        assert audio.slice(9, 11) == bytes(range(18, 22))
        assert audio.slice(0, 10) == bytes(range(18, 20))
        assert audio.slice(0, 5) == b""
        audio.forget(3)
        audio.forget(1000)
        assert audio.slice(0, 1000) == b""
        assert audio.append(b"ab") == 1
        assert audio.slice(20, 21) == b"ab"


class TestTurns:
    def test_keeps_the_latest(self) -> None:
        turns = Turns(keep=3)
        for turn in range(5):
            turns.mark("me", "s", turn, "first_token", 10.0 + turn)
        assert [row["turn"] for row in turns.table()] == [2, 3, 4]

    def test_counts_from_the_end_of_the_speech(self) -> None:
        turns = Turns()
        turns.mark("me", "s", 1, "first_token", 10.5)
        turns.mark("me", "s", 1, "first_token", 99.0)  # the first time counts
        turns.mark("me", "s", 1, "speech_end", 10.0)
        turns.mark("me", "s", 2, "first_audio", 7.0)
        turns.mark("me", "t", 1, "first_byte", 1.0)
        assert turns.table(session="s") == [
            {"key": "me", "session": "s", "turn": 1, "ms": {"speech_end": 0.0, "first_token": 500.0}},
            {"key": "me", "session": "s", "turn": 2, "ms": {"first_audio": 0.0}},
        ]

    def test_nobody_sees_or_pushes_out_those_of_another(self) -> None:
        turns = Turns(keep=4)
        turns.mark("me", "s", 1, "first_token", 1.0)
        for turn in range(9):
            turns.mark("you", "t", turn, "first_token", 1.0)
        assert [(row["session"], row["turn"]) for row in turns.table()] == [("s", 1), ("t", 6), ("t", 7), ("t", 8)]
        assert [row["session"] for row in turns.table("me")] == ["s"]
        assert turns.table("me", "t") == []
        turns.mark("you", "t", 0, "first_token", 1.0)  # one that went comes as a new one
        assert [row["turn"] for row in turns.table("you")] == [7, 8, 0]


def test_the_profiles_of_these_tests_are_those_of_the_default() -> None:
    from openlive.config.model import Config

    assert set(PROFILES) <= set(profiles(Config(), Scripted().engines))
