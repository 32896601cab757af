"""The WebSocket side of the listener: frames (`framing`), carried by asyncio, spoken to in ASGI.

uvicorn's own classes stop reading while the app has a message in hand, and a socket that is not read answers no ping.
This one reads on once the app has admitted the client: pings are answered as they come, whatever the app is doing, and
what the app leaves lying is bounded in bytes. A turn of the event loop takes `FRAMES` frames of one client and no more,
however small they are; while others wait nothing is read, so the client's own system holds it back. Nothing is
compressed (base64 of PCM shrinks by 28 %, for 4 ms of the event loop per second of audio and about 50 kB per session;
and a message that unpacks to a thousand times its size is one more thing to bound), and no log of its sees a request
line, because keys stand there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, MutableMapping
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from openlive.server.net.framing import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    FrameReader,
    FramingError,
    frame,
    read_close,
)
from openlive.server.net.pending import Pending
from openlive.wire.errors import INTERNAL, UNAVAILABLE, close_reason

Message = MutableMapping[str, Any]

FRAMES = 32
"""Frames of one client in a turn of the event loop: some 50 µs. Live audio is one in 20 ms."""
UNANSWERED = 1000
"""Pings of a client that takes nothing itself, after which it is cut. Only the latest is kept, and answered."""
WRITE_BUFFER = 16 * 1024
"""Bytes after which a sender waits. Small, so that what is sent can still be overtaken in the app's own queue."""
CLOSE_TIMEOUT = 5.0
"""Seconds for the client to answer a close frame."""
LINGER = 10.0
"""Seconds at most that a failed connection is read on, or one whose client still writes when its time to answer the
close frame is up. To close a socket with unread data would reset it, and the client would never see the close frame
that tells why."""
QUIET = 0.25
"""Seconds without data after which a failed connection is closed."""
_OVERHEAD = 512
"""Bytes that a queued message costs besides its content, about."""

_LOG = logging.getLogger(__name__)
_SILENT = logging.Logger("silent", logging.CRITICAL + 1)  # websockets logs headers


class DisconnectedError(OSError):
    """The client is gone; raised to an app that sends."""


class WebSocketProtocol(asyncio.Protocol):
    """One WebSocket, from its handshake request on. Made by the HTTP protocol at the upgrade."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self._app = config.loaded_app
        self._tasks = server_state.tasks
        self._connections = cast("set[Any]", server_state.connections)
        self._state = app_state
        self._pending: Pending = app_state["pending"]
        self._limits = self._pending.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._accepting: Response | None = None  # the answer to the handshake, until the app decides
        self._denial: Response | None = None  # the app's own answer instead

        self._reader = FrameReader(self._limits.setup_bytes, self._limits.message_fragments)
        self._later: asyncio.Handle | None = None  # reads on in the next turn of the loop
        self._paused = False
        self._inbox: asyncio.Queue[tuple[Message, int]] = asyncio.Queue()
        self._backlog = 0  # bytes in it, and of the message that the app has in hand
        self._in_hand = 0
        self._received = 0  # bytes since the handshake
        self._frames = 0  # until the admission
        self._first_done = False  # the first message has arrived
        self._second = 0.0  # since when control frames are counted
        self._controls = 0

        self._writable = asyncio.Event()
        self._writable.set()
        self._ping: bytes | None = None  # to be answered once something can be written
        self._unanswered = 0
        self._open = False  # the handshake was accepted, and no close frame was sent
        self._told = False  # the app has been told of the end
        self._failed = False  # what still comes is only thrown away
        self._leaves: bytes | None = None  # the client's close frame, while its setup has no answer yet
        self._lost = False
        self._timer: asyncio.TimerHandle | None = None
        self._alive: asyncio.TimerHandle | None = None
        self._last_data = 0.0

    # --- the transport calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(WRITE_BUFFER)
        self._connections.add(self)
        self._pending.cut = self._transport.abort
        self._pending.on_admit = self._admitted
        self._pending.on_refuse = self._refused
        self._pending.expect(self._limits.setup + self._limits.grace)

    def data_received(self, data: bytes) -> None:
        self._last_data = self._loop.time()
        if self._failed:
            return
        self._received += len(data)
        self._reader.feed(data)
        if self._later is None and self._accepting is None:
            self._read()

    def eof_received(self) -> None:
        """The transport closes itself; what it had received is read first (`_read`)."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._lost = True
        self._connections.discard(self)
        self._pending.left()
        self._stop_timers()
        self._writable.set()  # the buffer will never drain now
        if self._later is None:
            self._tell(1006, "")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        self._unanswered = 0
        ping, self._ping = self._ping, None
        if ping is not None:
            self._write(PONG, ping)

    def shutdown(self) -> None:
        """The server goes down and the app had its time."""
        if self._open:
            self._close(UNAVAILABLE.code, UNAVAILABLE.reason)
        elif not self._told:
            self._transport.close()

    # --- what the client sends ---

    def upgrade(self, request: Request, scope: dict[str, Any], rest: bytes) -> None:
        """The handshake. `scope` is for the app, `rest` has come behind the request already."""
        response = ServerProtocol(logger=_SILENT).accept(request)
        if response.status_code != 101:
            self._answer(response)
            return
        self._accepting = response
        self._inbox.put_nowait(({"type": "websocket.connect"}, 0))
        task = self._loop.create_task(self._run(scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._pace()
        if rest:
            self.data_received(rest)

    def _read(self) -> None:
        """Takes the next frames. Of what is left, the next ones are taken when all others have had their turn."""
        self._later = None
        try:
            for _ in range(FRAMES):
                received = self._reader.read()
                if received is None:
                    break
                self._take(*received)
                if self._failed:
                    return
            else:
                if self._reader.unread:
                    self._later = self._loop.call_soon(self._read)
        except FramingError as error:
            if error.code == 1009 and not self._first_done:
                self._fail(1009, f"The first message is over its limit of {self._limits.setup_bytes} bytes.")
            else:
                self._fail(error.code, error.reason)
            return
        self._meet()
        if self._backlog > self._limits.backlog_bytes:
            self._fail(1011, "The server cannot keep up with what is being sent.")
        if self._lost and self._later is None:
            self._tell(1006, "")
        self._pace()

    def _pace(self) -> None:
        """Whether more is read: not while frames wait, nor from a client that has said more than its setup and was not
        admitted yet."""
        limits = self._limits
        ahead = self._received > 2 * limits.setup_bytes or self._frames > 2 * limits.setup_frames
        wanted = self._later is not None or self._accepting is not None or (ahead and not self._pending.admitted)
        paused = wanted and not self._failed
        if paused != self._paused:
            self._paused = paused
            (self._transport.pause_reading if paused else self._transport.resume_reading)()

    def _take(self, opcode: int, data: Any) -> None:
        """One frame."""
        if not self._pending.admitted:
            self._frames += 1
            if not self._first_done and self._frames > self._limits.setup_frames:
                self._fail(1008, f"More than {self._limits.setup_frames} frames before the end of the first message.")
                return
        if opcode in (TEXT, BINARY):
            self._message(opcode, data)
        elif opcode != CONT and self._counted():
            if opcode == PING:
                self._pong(data)
            elif opcode == CLOSE:
                self._closed(data)

    def _message(self, opcode: int, data: Any) -> None:
        if not self._first_done:
            self._first_done = True
            self._reader.message_bytes = self._limits.message_bytes
        if self._told or not self._open:
            return
        message: Message = {"type": "websocket.receive", ("text" if opcode == TEXT else "bytes"): data}
        size = len(data) + _OVERHEAD
        self._backlog += size
        self._inbox.put_nowait((message, size))

    def _admitted(self) -> None:
        leaves, self._leaves = self._leaves, None
        if leaves is not None:
            self._closed(leaves)
        self._pace()

    def _refused(self) -> None:
        self._reader.skip_contents()
        self._meet()

    def _meet(self) -> None:
        """Of who will be sent away, the first message counts as soon as it begins."""
        if self._pending.refused and self._reader.begun and not self._first_done:
            self._message(BINARY, b"")

    def _counted(self) -> bool:
        """Counts a control frame; whether it may come so soon."""
        now = self._loop.time()
        if now - self._second >= 1:
            self._second, self._controls = now, 0
        self._controls += 1
        if self._controls <= self._limits.control_frames:
            return True
        limit = self._limits.control_frames
        self._fail(1008, f"More than {limit} control frames (pings, pongs) in a second; send fewer.")
        return False

    def _pong(self, data: bytes) -> None:
        if self._writable.is_set():
            self._write(PONG, data)
            return
        self._ping = data
        self._unanswered += 1
        if self._unanswered > UNANSWERED:
            self._transport.abort()

    def _closed(self, data: bytes) -> None:
        """The client's close frame, which is answered by the same one; nothing that follows it counts. One that comes
        on the heels of the setup waits for the setup's answer, no longer than the setup may take: JavaScript SDKs up
        to 1.52 have `connect()` done when the socket is open, so a program that closes at once sends both together."""
        received = read_close(data)
        self._failed = True
        if self._open and self._first_done and not self._pending.admitted:
            self._leaves = data
            self._pace()
            return
        if self._open:
            self._open = False
            self._write(CLOSE, data)
        self._tell(received.code, received.reason)
        self._hang_up()

    # --- signs of life ---

    def _look(self) -> None:
        """Asks a client that was silent for a sign of life, and cuts one that has not given any for long."""
        silent = self._loop.time() - self._last_data
        if self._limits.silence and silent >= self._limits.silence:
            self._transport.abort()
            return
        if silent >= self._limits.ping and self._writable.is_set():
            self._write(PING, b"")
        self._alive = self._loop.call_later(self._limits.ping, self._look)

    # --- endings ---

    def _fail(self, code: int, reason: str) -> None:
        """Says why, throws away what comes, and closes when the client has had it."""
        reason = close_reason(reason)
        if self._open:
            self._open = False
            self._write(CLOSE, code.to_bytes(2) + reason.encode())
        self._failed = True
        self._tell(code, reason)
        self._stop_timers()
        self._pace()
        if not self._lost:
            self._last_data = self._loop.time()
            self._timer = self._loop.call_later(QUIET, self._still_lingering, self._loop.time() + LINGER)

    def _still_lingering(self, until: float) -> None:
        now = self._loop.time()
        if now >= until or now - self._last_data >= QUIET:
            self._hang_up()
        else:
            self._timer = self._loop.call_at(self._last_data + QUIET, self._still_lingering, until)

    def _close(self, code: int, reason: str) -> None:
        """Begins the closing handshake, or ends the one that the client has begun."""
        reason = close_reason(reason)
        self._open = False
        self._write(CLOSE, code.to_bytes(2) + reason.encode())
        self._tell(code, reason)
        self._reader.skip_contents()
        self._stop_timers()
        if self._leaves is not None:
            self._hang_up()
            return
        now = self._loop.time()
        self._timer = self._loop.call_at(now + CLOSE_TIMEOUT, self._still_lingering, now + CLOSE_TIMEOUT + LINGER)

    def _hang_up(self) -> None:
        """Closes when everything was sent, or cuts a client that does not take it: its socket would stay for ever."""
        self._transport.close()
        self._stop_timers()
        if not self._lost:
            self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._transport.abort)

    def _tell(self, code: int, reason: str) -> None:
        if not self._told:
            self._told = True
            self._inbox.put_nowait(({"type": "websocket.disconnect", "code": code, "reason": reason}, 0))

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._alive):
            if timer is not None:
                timer.cancel()
        self._timer = self._alive = None

    def _write(self, opcode: int, data: bytes) -> None:
        if not (self._lost or self._transport.is_closing()):
            self._transport.write(frame(opcode, data))

    # --- the app ---

    async def _run(self, scope: dict[str, Any]) -> None:
        code, reason = 1000, ""
        try:
            await self._app(cast("Any", scope), cast("Any", self._receive), cast("Any", self._send))
        except DisconnectedError:
            pass
        except Exception:
            _LOG.exception("The app failed on a WebSocket")
            code, reason = INTERNAL.code, INTERNAL.reason
        except BaseException:
            self._transport.abort()
            raise
        if self._open and not self._transport.is_closing():
            self._close(code, reason)
        elif not self._told and not self._transport.is_closing():
            self._answer(_refusal(500, "Internal Server Error"))

    async def _receive(self) -> Message:
        self._backlog -= self._in_hand
        self._in_hand = 0
        message, self._in_hand = await self._inbox.get()
        return message

    async def _send(self, message: Message) -> None:
        await self._writable.wait()
        kind = message["type"]
        if self._accepting is not None:
            self._decide(kind, message)
            return
        if kind == "websocket.send":
            self._send_data(message)
        elif kind == "websocket.close":
            if self._open and not self._transport.is_closing():
                self._close(message.get("code", 1000), message.get("reason") or "")
        elif kind == "websocket.http.response.body" and self._denial is not None:
            self._denial.body += message.get("body", b"")
            if not message.get("more_body", False):
                self._denial.headers["Content-Length"] = str(len(self._denial.body))
                self._answer(self._denial)
        else:
            raise RuntimeError(f"{kind} is out of place here")

    def _send_data(self, message: Message) -> None:
        if self._lost or self._transport.is_closing():
            raise DisconnectedError("The client is gone.")
        if not self._open:
            raise DisconnectedError("The connection is closing.")
        data, text = message.get("bytes"), message.get("text")
        if data is not None:
            self._write(BINARY, data)
        else:
            self._write(TEXT, (text or "").encode())

    def _decide(self, kind: str, message: Message) -> None:
        """The app's answer to the handshake."""
        if self._lost or self._transport.is_closing():
            raise DisconnectedError("The client is gone.")
        response, self._accepting = self._accepting, None
        assert response is not None
        if kind == "websocket.accept":
            if message.get("subprotocol"):
                response.headers["Sec-WebSocket-Protocol"] = message["subprotocol"]
            _extend(response.headers, message.get("headers", ()))
            self._accept(response)
        elif kind == "websocket.close":
            self._answer(_refusal(403, ""))
        elif kind == "websocket.http.response.start":
            self._denial = _refusal(message["status"], "")
            del self._denial.headers["Content-Length"], self._denial.headers["Content-Type"]
            _extend(self._denial.headers, ((k, v) for k, v in message["headers"] if k.lower() != b"content-length"))
        else:
            raise RuntimeError(f"{kind} is no answer to a handshake")

    def _accept(self, response: Response) -> None:
        self._open = True
        self._transport.write(response.serialize())
        self._last_data = self._loop.time()
        if self._limits.ping:
            self._alive = self._loop.call_later(self._limits.ping, self._look)
        self._read()

    def _answer(self, response: Response) -> None:
        """Refuses the handshake."""
        self._accepting = None
        self._tell(1006, "")
        self._transport.write(response.serialize())
        self._transport.close()


def _refusal(status: int, text: str) -> Response:
    return ServerProtocol(logger=_SILENT).reject(status, text)


def _extend(headers: Headers, more: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in more:
        headers[name.decode("latin-1")] = value.decode("latin-1")
