"""What one client's frames may cost: on a transport that is none, so that turns of the loop can be counted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.datastructures import Headers
from websockets.http11 import Request

from openlive.server.net.framing import BINARY, CLOSE, CONT, PING, PONG, TEXT
from openlive.server.net.listener import listening
from openlive.server.net.pending import Limits, Pending, PendingSockets
from openlive.server.net.websocket import CLOSE_TIMEOUT, FRAMES, LINGER, QUIET, UNANSWERED, WebSocketProtocol
from tests.server.apps import through
from tests.server.echo import echo
from tests.server.net.test_framing import sent
from tests.server.virtual import timeless

HANDSHAKE = Request(
    "/?key=1",
    Headers(
        {
            "Host": "x",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
    ),
)
WIDE = Limits(control_frames=10**9, setup_frames=10**9, message_fragments=10**9, ping=0)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.reading = True
        self.closed = self.aborted = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def frames(self, opcode: int) -> list[bytes]:
        """The payloads of the short frames of a kind."""
        return [data[2:] for data in self.written if data[0] == 0x80 | opcode]

    @property
    def close_frame(self) -> tuple[int, str] | None:
        (payload,) = self.frames(CLOSE) or [b""]
        return (int.from_bytes(payload[:2]), payload[2:].decode()) if payload else None


class Connection:
    """A protocol on such a transport, whose app accepts and notes what it is told."""

    def __init__(self, limits: Limits = WIDE) -> None:
        self.told: list[Any] = []
        self.wire = Wire()
        self.pending: Pending = PendingSockets(limits).arrived()
        config = Config(self._app)
        config.loaded_app = self._app
        self.protocol = WebSocketProtocol(config, ServerState(), {"pending": self.pending})
        self.protocol.connection_made(self.wire)

    async def opened(self, *, admitted: bool = True) -> Connection:
        self.protocol.upgrade(HANDSHAKE, {"type": "websocket"}, b"")
        while not self.wire.written:  # noqa: ASYNC110 - the app has its turns
            await asyncio.sleep(0)
        if admitted:
            self.pending.admit()
        return self

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        del scope
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            self.told.append(await receive())
            if self.told[-1]["type"] == "websocket.disconnect":
                return

    async def settled(self) -> None:
        """Everything was read, and told."""
        while self.protocol._later is not None:  # noqa: ASYNC110 - turns of the loop are what is counted
            await asyncio.sleep(0)
        await asyncio.sleep(0)


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        43_000 * sent(PING),
        43_000 * sent(PONG),
        43_000 * sent(TEXT),
        37_000 * sent(BINARY, b"x"),
        sent(TEXT, fin=False) + 43_000 * sent(CONT, fin=False),
    ],
    ids=["pings", "pongs", "empty messages", "small messages", "fragments"],
)
def test_a_turn_of_the_loop_takes_a_few_frames_however_many_there_are(data: bytes) -> None:
    """A read of 256 KiB."""

    async def test() -> None:
        connection = await Connection().opened()
        connection.protocol.data_received(data)
        left = connection.protocol._reader.unread
        assert left >= len(data) - 7 * FRAMES
        assert not connection.wire.reading, "the client is held back meanwhile"
        while connection.protocol._later is not None:
            await asyncio.sleep(0)
            assert left - connection.protocol._reader.unread <= 7 * FRAMES
            left = connection.protocol._reader.unread
        assert left == 0
        assert connection.wire.reading
        assert connection.wire.close_frame is None

    through(test)


def test_what_comes_while_frames_wait_comes_after_them() -> None:
    async def test() -> None:
        connection = await Connection().opened()
        for begin in range(0, 300, 100):
            connection.protocol.data_received(b"".join(sent(TEXT, str(i).encode()) for i in range(begin, begin + 100)))
        await connection.settled()
        assert [message["text"] for message in connection.told] == [str(i) for i in range(300)]

    through(test)


@pytest.mark.parametrize("closed", [False, True])
def test_an_end_comes_after_what_waits(closed: bool) -> None:
    """A close frame, and a connection that is lost while frames still wait."""

    async def test() -> None:
        connection = await Connection().opened()
        data = b"".join(sent(TEXT, str(i).encode()) for i in range(200))
        connection.protocol.data_received(data + (sent(CLOSE, b"\x03\xe8bye") + sent(TEXT, b"late") if closed else b""))
        connection.protocol.eof_received()
        connection.protocol.connection_lost(None)
        await connection.settled()
        *messages, end = connection.told
        assert [message["text"] for message in messages] == [str(i) for i in range(200)]
        assert (end["type"], end["code"]) == ("websocket.disconnect", 1000 if closed else 1006)

    through(test)


def test_a_close_in_the_middle_of_a_message_is_a_clean_one() -> None:
    """Autobahn's case 7.1.5."""

    async def test() -> None:
        connection = await Connection().opened()
        connection.protocol.data_received(
            sent(TEXT, b"half", fin=False) + sent(CLOSE, b"\x03\xe8") + sent(CONT, b"rest") + sent(PING)
        )
        await connection.settled()
        assert connection.wire.close_frame == (1000, "")
        assert connection.wire.closed
        assert not connection.wire.frames(PONG)
        assert connection.told == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]

    through(test)


def test_a_close_on_the_heels_of_the_setup_waits_for_its_answer() -> None:
    async def test() -> None:
        connection = await Connection().opened(admitted=False)
        connection.protocol.data_received(sent(TEXT, b"{}") + sent(CLOSE, b"\x03\xe8bye") + sent(TEXT, b"late"))
        await connection.settled()
        assert connection.wire.close_frame is None
        assert not connection.wire.closed
        assert connection.told == [{"type": "websocket.receive", "text": "{}"}]
        await connection.protocol._send({"type": "websocket.send", "bytes": b"setupComplete"})
        connection.pending.admit()
        await connection.settled()
        assert connection.wire.frames(BINARY) == [b"setupComplete"]
        assert connection.wire.close_frame == (1000, "bye")
        assert connection.wire.closed
        assert connection.told[1:] == [{"type": "websocket.disconnect", "code": 1000, "reason": "bye"}]

    through(test)


def test_a_close_on_the_heels_of_the_setup_is_answered_by_the_refusal() -> None:
    async def test() -> None:
        connection = await Connection().opened(admitted=False)
        connection.protocol.data_received(sent(TEXT, b"{}") + sent(CLOSE, b"\x03\xe8"))
        await connection.settled()
        await connection.protocol._send({"type": "websocket.close", "code": 1008, "reason": "No."})
        assert connection.wire.close_frame == (1008, "No.")
        assert connection.wire.closed, "the client has said that it closes already"

    through(test)


def test_a_close_waits_for_the_setups_answer_no_longer_than_a_setup_may_take() -> None:
    """And not at all where the client is gone."""

    async def test() -> None:
        limits = Limits(setup=0.01, grace=0.01, ping=0)
        silent, gone = [await Connection(limits).opened(admitted=False) for _ in range(2)]
        for connection in (silent, gone):
            connection.protocol.data_received(sent(TEXT, b"{}") + sent(CLOSE, b""))
        gone.protocol.connection_lost(None)
        await gone.settled()
        assert gone.told[-1]["code"] == 1006
        while not silent.wire.aborted:  # noqa: ASYNC110 - the deadline has no event
            await asyncio.sleep(0.001)

    through(test)


@pytest.mark.parametrize("frame", [sent(PING, b"?"), sent(PONG)])
def test_control_frames_in_a_second_are_bounded(frame: bytes) -> None:
    async def test() -> None:
        connection = await Connection(Limits(control_frames=100, ping=0)).opened()
        connection.protocol.data_received(100 * frame)
        await connection.settled()
        assert connection.wire.close_frame is None
        connection.protocol._second -= 1
        connection.protocol.data_received(101 * frame)
        await connection.settled()
        reason = "More than 100 control frames (pings, pongs) in a second; send fewer."
        assert connection.wire.close_frame == (1008, reason)
        assert connection.told[-1] == {"type": "websocket.disconnect", "code": 1008, "reason": reason}
        unread = connection.protocol._reader.unread
        connection.protocol.data_received(50_000 * frame)
        assert connection.protocol._later is None, "what follows is not looked at"
        assert connection.protocol._reader.unread == unread

    through(test)


@pytest.mark.parametrize("frame", [sent(PING), sent(TEXT, fin=False), sent(CONT, fin=False)])
def test_before_the_setup_a_handful_of_frames_must_do(frame: bytes) -> None:
    async def test() -> None:
        connection = await Connection(Limits(setup_frames=20)).opened(admitted=False)
        connection.protocol.data_received(sent(TEXT, b"{", fin=False) + 20 * (frame if frame[0] != 1 else sent(PING)))
        await connection.settled()
        assert connection.wire.close_frame == (1008, "More than 20 frames before the end of the first message.")
        early = await Connection(Limits(setup_frames=20)).opened(admitted=False)
        early.protocol.data_received(sent(TEXT, b"{}") + 300 * sent(BINARY, b"x"))
        await early.settled()
        assert not early.wire.reading, "what follows the setup waits for the admission"
        assert early.wire.close_frame is None
        early.pending.admit()
        assert early.wire.reading

    through(test)


# --- pings ------------------------------------------------------------------------------------------------------------


def test_a_client_that_takes_nothing_is_answered_its_newest_ping_alone() -> None:
    async def test() -> None:
        connection = await Connection().opened()
        connection.protocol.pause_writing()
        for i in range(UNANSWERED):
            connection.protocol.data_received(sent(PING, b"%d" % i))
        assert connection.wire.frames(PONG) == []
        connection.protocol.resume_writing()
        assert connection.wire.frames(PONG) == [b"%d" % (UNANSWERED - 1)]
        connection.protocol.pause_writing()
        connection.protocol.data_received(UNANSWERED * sent(PING))
        await connection.settled()
        assert not connection.wire.aborted
        connection.protocol.data_received(sent(PING))
        assert connection.wire.aborted, "there is an end to it"
        assert len(connection.wire.frames(PONG)) == 1

    through(test)


def test_a_silent_client_is_sent_pings_and_one_that_gives_no_sign_is_cut() -> None:
    async def test() -> None:
        limits = Limits(ping=20, silence=60)
        connection = await Connection(limits).opened()
        protocol = connection.protocol
        pings = 0
        for silent, sent_one, cut in ((0, False, False), (19, False, False), (21, True, False), (61, False, True)):
            protocol._last_data = asyncio.get_running_loop().time() - silent
            protocol._look()
            pings += sent_one
            assert len(connection.wire.frames(PING)) == pings
            assert connection.wire.aborted == cut
        protocol.connection_lost(None)
        await asyncio.sleep(0)
        assert connection.told[-1]["code"] == 1006
        assert protocol._alive is None or protocol._alive.cancelled()

    through(test)


def test_a_library_answers_the_pings_and_stays() -> None:
    async def test() -> None:
        async with (
            listening(echo, limits=Limits(ping=0.05, silence=1.0)) as listener,
            connect(f"ws://127.0.0.1:{listener.port}", ping_interval=None) as ws,
        ):
            await asyncio.sleep(1.5)
            await ws.send("still there")
            assert await ws.recv() == "still there"

    through(test)


# --- who will be sent away --------------------------------------------------------------------------------------------


def test_of_who_is_refused_nothing_is_kept() -> None:
    async def test() -> None:
        connection = await Connection().opened(admitted=False)
        setup = sent(TEXT, json.dumps({"setup": {"tools": [{}] * 30_000}}).encode())
        connection.protocol.data_received(setup[:20_000])
        connection.pending.refuse()
        await asyncio.sleep(0)
        assert connection.told == [{"type": "websocket.receive", "bytes": b""}], "at once, and empty"
        for begin in range(20_000, len(setup), 20_000):
            connection.protocol.data_received(setup[begin : begin + 20_000])
        connection.protocol.data_received(sent(TEXT, b"more"))
        await connection.settled()
        assert not connection.protocol._reader._parts
        assert sum(len(message.get("text", "")) for message in connection.told) == 0

        early = await Connection().opened(admitted=False)
        early.pending.refuse()
        early.protocol.data_received(sent(PING, b"?"))
        await asyncio.sleep(0)
        assert early.told == []
        assert early.wire.frames(PONG) == [b"?"]
        early.protocol.data_received(setup[:14])
        await asyncio.sleep(0)
        assert early.told == [{"type": "websocket.receive", "bytes": b""}]

    through(test)


@pytest.mark.parametrize("seconds", [CLOSE_TIMEOUT + 3, CLOSE_TIMEOUT + LINGER + 3])
def test_a_client_that_still_writes_is_read_until_it_pauses(seconds: float) -> None:
    """To close a socket with unread data would reset it, and the reason would be lost. For ever it is not read."""

    async def test() -> None:
        connection = await Connection().opened()
        loop = asyncio.get_running_loop()
        connection.protocol.shutdown()
        begin = loop.time()
        while not connection.wire.closed and loop.time() < begin + seconds:
            connection.protocol.data_received(sent(BINARY, bytes(1000)))
            await asyncio.sleep(0.1)
        assert connection.wire.closed == (seconds > CLOSE_TIMEOUT + LINGER)
        assert loop.time() - begin <= CLOSE_TIMEOUT + LINGER + 0.2
        await asyncio.sleep(QUIET)
        assert connection.wire.closed
        assert connection.wire.close_frame is not None

    timeless(test)
