"""The HTTP side of the listener: uvicorn's HTTP/1.1 under the deadlines of a pending socket, strict about requests.

What is refused here never reaches the app: a head that is too large, whatever pieces it comes in; a body of which it is
not told how long it is; two lengths that may contradict each other. Requests that begin a WebSocket go on in
`websocket`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from asyncio import sslproto
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.http11 import Request

from openlive.server.net.pending import Pending
from openlive.server.net.websocket import LINGER, QUIET, WebSocketProtocol

READ = 32 * 1024
"""Bytes of a connection that are read at once, and decrypted in one call. asyncio takes 256 KiB: of TLS key updates
with a byte between them, which anybody may send, that was 84 ms."""
sslproto.SSLProtocol.max_size = READ  # there is no other way to say it

App = Callable[[Any, Any, Any], Awaitable[None]]

_LOG = logging.getLogger(__name__)
_LOG.setLevel(logging.ERROR)  # bad requests are not worth a line each; no request line is ever logged: keys
_END = re.compile(rb"\n\r?\n")
"""Of a head, as h11 finds it."""


class _Requests(h11.Connection):
    """Looks at every head before h11 takes it apart. h11's own limit holds for heads that are incomplete, so that one
    which comes in a single read may be of any size, and of any number of lines."""

    def __init__(self, limit: int, lines: int) -> None:
        super().__init__(h11.SERVER, limit)
        self.fault: h11.RemoteProtocolError | None = None
        """Why no more is read."""
        self._limit = limit
        self._lines = lines

    def next_event(self) -> Any:
        try:
            if self.their_state is h11.IDLE:
                self._look()
            event = super().next_event()
            if isinstance(event, h11.Request):
                self._weigh(event)
        except h11.RemoteProtocolError as error:
            self.fault = error
            raise
        return event

    def _look(self) -> None:
        head, _ = self.trailing_data
        end = _END.search(head)
        size = end.end() if end else len(head)
        if size > self._limit:
            raise h11.RemoteProtocolError(
                f"The head of the request is over its limit of {self._limit} bytes.", error_status_hint=431
            )
        if head.count(b"\n", 0, size) > self._lines:
            raise h11.RemoteProtocolError(
                f"The request has more than {self._lines} header lines.", error_status_hint=431
            )

    @staticmethod
    def _weigh(request: h11.Request) -> None:
        """Two lengths are how a request is hidden from one of two servers in a row; and a body in chunks, which no
        client of this API sends, would be one more thing without an end."""
        names = {name for name, _ in request.headers}
        if b"transfer-encoding" not in names:
            return
        if b"content-length" in names:
            raise h11.RemoteProtocolError("The request has both Content-Length and Transfer-Encoding.")
        raise h11.RemoteProtocolError(
            "The request has Transfer-Encoding; send its body with Content-Length.", error_status_hint=411
        )


class HTTPProtocol(H11Protocol):
    """One connection until it ends or becomes a WebSocket, without a log of requests."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _LOG
        self.access_log = False
        self._pending: Pending = app_state["pending"]
        self._refused = False
        self._last_data = 0.0
        self.conn = _Requests(self._pending.limits.header_bytes, self._pending.limits.header_lines)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.max_size = READ  # type: ignore[attr-defined]  # asyncio's own, where there is no TLS
        self._pending.connected = True
        self._pending.cut = transport.abort
        self._pending.expect(self._pending.limits.request)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._pending.left()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._last_data = self.loop.time()
            return
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # rubbish where the answer has begun already
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's only answer to what is no request, with the status and the reason that it has here. What still
        comes is thrown away for a moment: a socket that is closed with unread data is reset, and the client would see
        nothing."""
        fault = self.conn.fault if isinstance(self.conn, _Requests) else None
        status = HTTPStatus(fault.error_status_hint if fault else 400)
        body = f"{fault or msg}\n".encode("ascii", "replace")
        headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=status.phrase.encode()),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self._refused = True
        self.transport.resume_reading()
        self._still_lingering(self.loop.time() + LINGER)

    def _still_lingering(self, until: float) -> None:
        now = self.loop.time()
        if now >= until or (self._last_data and now - self._last_data >= QUIET):
            self.transport.close()
            return
        self._last_data = self._last_data or now
        self.loop.call_later(QUIET, self._still_lingering, until)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self.connections.discard(self)
        headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers]
        request = Request(event.target.decode("ascii"), Headers(headers))
        scope = {
            **self.scope,
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "wss" if self.scheme == "https" else "ws",
            "subprotocols": [
                name.strip() for line in request.headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")
            ],
            "extensions": {"websocket.http.response": {}},
        }
        protocol = WebSocketProtocol(self.config, self.server_state, self.app_state)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.upgrade(request, scope, self.conn.trailing_data[0])


class Door:
    """The app behind the deadline of an HTTP request, which ends when the request has arrived in full."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        pending: Pending = scope["state"]["pending"]

        async def receive_and_note() -> Any:
            message = await receive()
            if not message.get("more_body", False):
                pending.expect(None)
            return message

        async def send_dated(message: Any) -> None:
            if message["type"] == "http.response.start":
                date = (b"date", formatdate(usegmt=True).encode())
                message = {**message, "headers": [date, *message.get("headers", ())]}
            await send(message)

        if b"content-length" not in {name for name, _ in scope["headers"]}:
            pending.expect(None)
        try:
            await self._app(scope, receive_and_note, send_dated)
        finally:
            pending.expect(pending.limits.request)
