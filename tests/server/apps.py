"""An app that echoes, and the listener around it, for tests over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from openlive.server.net import tls
from openlive.server.net.listener import Listener, listening
from openlive.server.net.pending import Limits, Pending

MIB = 1024 * 1024
QUICK = Limits(first_byte=0.1, handshake=0.1, request=0.15, setup=0.1, grace=0.05)

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Echo:
    """An app that echoes messages, and notes what happened to it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.scopes: list[Any] = []
        self.blocked = asyncio.Event()
        self.done = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
        elif scope["type"] == "http":
            self.scopes.append(scope)
            await self.http(scope, receive, send)
        else:
            self.scopes.append(scope)
            try:
                await self.websocket(scope, receive, send)
            finally:
                self.done.set()

    async def lifespan(self, receive: Any, send: Any) -> None:
        for name in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{name}"
            self.events.append(name)
            await send({"type": f"lifespan.{name}.complete"})

    async def http(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        if scope["method"] == "POST":
            while (message := await receive())["type"] == "http.request":
                body += message["body"]
                if not message["more_body"]:
                    break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async def websocket(self, scope: Any, receive: Any, send: Any) -> None:
        pending: Pending = scope["state"]["pending"]
        if scope["path"] == "/refused":
            await send({"type": "websocket.close"})
            return
        if scope["path"] == "/gone":
            headers = [(b"content-type", b"application/json")]
            await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": b'{"error":{}}'})
            return
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/deaf":  # admits, then never reads
            pending.admit()
            await self.blocked.wait()
            return
        if scope["path"] == "/pour":  # sends as long as anybody takes it
            pending.admit()
            with suppress(TimeoutError):
                for i in range(1000):
                    async with asyncio.timeout(0.5):
                        await send({"type": "websocket.send", "bytes": bytes(8192)})
                    self.events.append(i)
            return
        if scope["path"] == "/crash":
            raise RuntimeError("a fault of the app")
        if scope["path"] == "/return":
            return
        while True:
            message = await receive()
            self.events.append(message)
            if message["type"] == "websocket.disconnect":
                return
            pending.admit()
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 1008, "reason": "é" * 100})
                return
            await send({"type": "websocket.send", "bytes": message.get("bytes") or message["text"].encode()})


@asynccontextmanager
async def running(
    app: Any, certificates: tls.Certificates | None = None, limits: Limits | None = None
) -> AsyncIterator[Listener]:
    context = tls.server_context(certificates.server) if certificates else None
    async with listening(app, ssl_context=context, limits=limits, close_timeout=2) as listener:
        yield listener


def trusting(certificates: tls.Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.bundle))


def through(test: Callable[..., Awaitable[None]], *args: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test(*args)

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the state of the sockets has no event
        await asyncio.sleep(0.005)


async def reset_or_closed(reader: asyncio.StreamReader) -> bytes:
    with suppress(ConnectionError):
        return await reader.read()
    return b""
