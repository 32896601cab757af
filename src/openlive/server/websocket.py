"""The WebSocket side of the listener: the sans-I/O protocol of `websockets`, carried by asyncio, spoken to in ASGI.

uvicorn's own classes stop reading while the app has a message in hand, and a socket that is not read answers no ping.
This one never stops once the app has admitted the client: pings are answered as they come, whatever the app is doing,
and what the app leaves lying is bounded in bytes. It never sends a ping (protocol.md 3.1), never compresses (base64 of
PCM shrinks by 28 %, for 4 ms of the event loop per second of audio and about 50 kB per session), and no log of its
sees a request line, because keys stand there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, MutableMapping
from typing import Any, cast
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from openlive.server.pending import Pending
from openlive.wire.errors import INTERNAL, UNAVAILABLE, close_reason

Message = MutableMapping[str, Any]

WRITE_BUFFER = 16 * 1024
"""Bytes after which a sender waits. Small, so that what is sent can still be overtaken in the app's own queue."""
CLOSE_TIMEOUT = 5.0
"""Seconds for the client to answer a close frame."""
LINGER = 10.0
"""Seconds at most that a failed connection is read on. To close a socket with unread data would reset it, and the
client would never see the close frame that tells why."""
QUIET = 0.25
"""Seconds without data after which a failed connection is closed."""
_OVERHEAD = 512
"""Bytes that a queued message costs besides its content, about."""

_LOG = logging.getLogger(__name__)
_SILENT = logging.Logger("silent", logging.CRITICAL + 1)  # websockets logs headers and messages


class DisconnectedError(OSError):
    """The client is gone; raised to an app that sends."""


class WebSocketProtocol(asyncio.Protocol):
    """One WebSocket, from its handshake request on. Constructed by uvicorn's HTTP protocol at the upgrade."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._app = config.loaded_app
        self._root_path = config.root_path
        self._tasks = server_state.tasks
        self._connections = cast("set[Any]", server_state.connections)
        self._state = app_state
        self._pending: Pending = app_state["pending"]
        self._limits = self._pending.limits
        self._loop = _loop or asyncio.get_running_loop()
        self._wire = ServerProtocol(max_size=self._limits.message_bytes, logger=_SILENT)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._accepting: Response | None = None  # the answer to the handshake, until the app decides
        self._denial: Response | None = None  # the app's own answer instead

        self._inbox: asyncio.Queue[tuple[Message, int]] = asyncio.Queue()
        self._backlog = 0  # bytes in it, and of the message that the app has in hand
        self._in_hand = 0
        self._received = 0  # bytes since the handshake
        self._first_done = False  # the first message has arrived in full
        self._fragments: list[bytes] = []
        self._is_text = False

        self._writable = asyncio.Event()
        self._writable.set()
        self._told = False  # the app has been told of the end
        self._failed = False  # what still comes is only thrown away
        self._lost = False
        self._timer: asyncio.TimerHandle | None = None
        self._last_data = 0.0

    # --- the transport calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(WRITE_BUFFER)
        self._connections.add(self)
        self._pending.cut = self._transport.abort
        self._pending.on_admit = self._transport.resume_reading
        self._pending.expect(self._limits.setup + self._limits.grace)

    def data_received(self, data: bytes) -> None:
        self._last_data = self._loop.time()
        if self._failed:
            return
        self._received += len(data)
        self._wire.receive_data(data)
        for event in self._wire.events_received():
            if isinstance(event, Request):
                self._handshake(event)
            elif isinstance(event, Frame):
                self._frame(event)
        self._flush()
        if self._wire.handshake_exc is not None and self._accepting is None:
            self._transport.close()
        elif self._wire.parser_exc is not None:
            self._linger()
        elif self._wire.state is State.OPEN:
            self._check_limits()

    def eof_received(self) -> None:
        """The transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._lost = True
        self._connections.discard(self)
        self._pending.left()
        self._stop_timer()
        self._tell(1006, "")
        self._writable.set()  # the buffer will never drain now

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def shutdown(self) -> None:
        """The server goes down and the app had its time."""
        if self._wire.state is State.OPEN:
            self._close(UNAVAILABLE.code, UNAVAILABLE.reason)
        elif self._wire.state is State.CONNECTING:
            self._transport.close()

    # --- what the client sends ---

    def _handshake(self, request: Request) -> None:
        self._received = 0
        response = self._wire.accept(request)
        if response.status_code != 101:
            self._wire.send_response(response)
            return
        self._accepting = response
        path, _, query = request.path.partition("?")
        scope: dict[str, Any] = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(self._transport) else "ws",
            "server": get_local_addr(self._transport),
            "client": get_remote_addr(self._transport),
            "root_path": self._root_path,
            "path": self._root_path + unquote(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": [(k.encode("ascii"), v.encode("latin-1", "replace")) for k, v in request.headers.raw_items()],
            "subprotocols": [
                name.strip() for line in request.headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")
            ],
            "state": self._state,
            "extensions": {"websocket.http.response": {}},
        }
        self._inbox.put_nowait(({"type": "websocket.connect"}, 0))
        task = self._loop.create_task(self._run(scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            received = self._wire.close_rcvd
            assert received is not None
            self._tell(received.code, received.reason)
            self._flush()
            self._hang_up()
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                data = b"".join(self._fragments) if len(self._fragments) > 1 else self._fragments[0]
                self._fragments = []
                self._message(data)

    def _message(self, data: bytes) -> None:
        if self._told or self._wire.close_sent is not None:
            return
        if not self._first_done and len(data) > self._limits.setup_bytes:
            self._too_big_a_setup()
            return
        self._first_done = True
        message: Message = {"type": "websocket.receive"}
        if self._is_text:
            try:
                message["text"] = data.decode()
            except UnicodeDecodeError as error:
                self._fail(1007, f"A text message is not valid UTF-8: {error.reason} at byte {error.start}.")
                return
        else:
            message["bytes"] = data
        size = len(data) + _OVERHEAD
        self._backlog += size
        self._inbox.put_nowait((message, size))

    def _check_limits(self) -> None:
        if not self._first_done and self._received > self._limits.setup_bytes + _OVERHEAD:
            self._too_big_a_setup()
        elif self._backlog > self._limits.backlog_bytes:
            self._fail(1011, "The server cannot keep up with what is being sent.")
        elif not self._pending.admitted and self._received > 2 * self._limits.setup_bytes:
            self._transport.pause_reading()

    def _too_big_a_setup(self) -> None:
        self._fail(1009, f"The first message is over its limit of {self._limits.setup_bytes} bytes.")

    # --- endings ---

    def _fail(self, code: int, reason: str) -> None:
        self._wire.fail(code, close_reason(reason))
        self._linger()

    def _linger(self) -> None:
        """The close frame is under way: tells the app, throws away what comes, closes when the client has had it."""
        sent = self._wire.close_sent
        self._tell(sent.code if sent else 1006, sent.reason if sent else "")
        self._failed = True
        self._flush()
        self._transport.resume_reading()
        self._last_data = self._loop.time()
        self._stop_timer()
        self._timer = self._loop.call_later(QUIET, self._still_lingering, self._loop.time() + LINGER)

    def _still_lingering(self, until: float) -> None:
        now = self._loop.time()
        if now >= until or now - self._last_data >= QUIET:
            self._hang_up()
        else:
            self._timer = self._loop.call_later(QUIET, self._still_lingering, until)

    def _close(self, code: int, reason: str) -> None:
        """Begins the closing handshake."""
        self._wire.send_close(code, close_reason(reason))
        self._tell(code, reason)
        self._flush()
        self._transport.resume_reading()
        self._stop_timer()
        self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._hang_up)

    def _hang_up(self) -> None:
        """Closes when everything was sent, or cuts a client that does not take it: its socket would stay for ever."""
        self._transport.close()
        self._stop_timer()
        if not self._lost:
            self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._transport.abort)

    def _tell(self, code: int, reason: str) -> None:
        if not self._told:
            self._told = True
            self._inbox.put_nowait(({"type": "websocket.disconnect", "code": code, "reason": reason}, 0))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        data = b"".join(self._wire.data_to_send())  # its mark of the end is b"": we close the transport ourselves
        if data and not self._transport.is_closing():
            self._transport.write(data)

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
        if self._wire.state is State.OPEN and not self._transport.is_closing():
            self._close(code, reason)
        elif self._wire.state is State.CONNECTING and not self._transport.is_closing():
            self._answer(self._wire.reject(500, "Internal Server Error"))

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
            if self._wire.state is State.OPEN and not self._transport.is_closing():
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
        data, text = message.get("bytes"), message.get("text")
        try:
            if data is not None:
                self._wire.send_binary(data)
            else:
                self._wire.send_text((text or "").encode())
        except InvalidState as error:
            raise DisconnectedError("The connection is closing.") from error
        self._flush()

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
            self._wire.send_response(response)
            self._flush()
        elif kind == "websocket.close":
            self._answer(self._wire.reject(403, ""))
        elif kind == "websocket.http.response.start":
            self._denial = self._wire.reject(message["status"], "")
            del self._denial.headers["Content-Length"], self._denial.headers["Content-Type"]
            _extend(self._denial.headers, ((k, v) for k, v in message["headers"] if k.lower() != b"content-length"))
        else:
            raise RuntimeError(f"{kind} is no answer to a handshake")

    def _answer(self, response: Response) -> None:
        """Refuses the handshake."""
        self._tell(1006, "")
        self._wire.send_response(response)
        self._flush()
        self._transport.close()


def _extend(headers: Headers, more: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in more:
        headers[name.decode("latin-1")] = value.decode("latin-1")
