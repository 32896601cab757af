from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import re
import socket
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import httpx
import pytest
import websockets
from websockets.asyncio.client import connect

from openlive.server import tls
from openlive.server.listener import Listener, ListenError, StartupError, bind, is_loopback, listening, serve
from openlive.server.pending import Limits, Pending, PendingSockets

MIB = 1024 * 1024


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


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tls.Certificates:
    return tls.ensure((), tmp_path_factory.mktemp("tls"))


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


# --- both kinds on one port -------------------------------------------------------------------------------------------


def test_tls_and_plain_text_websockets_and_requests_on_one_port(certificates: tls.Certificates) -> None:
    async def test() -> None:
        app = Echo()
        context = trusting(certificates)
        async with running(app, certificates) as listener:
            for host in ("localhost", "127.0.0.1", "[::1]"):
                for scheme, secure in (("ws", None), ("wss", context)):
                    async with connect(f"{scheme}://{host}:{listener.port}//ws/x?key=1", ssl=secure) as ws:
                        await ws.send("hello")
                        assert await ws.recv() == b"hello"
                        await ws.send(b"\x00" * 100_000)
                        assert await ws.recv() == b"\x00" * 100_000
                        assert app.scopes[-1]["scheme"] == scheme
                        assert app.scopes[-1]["path"] == "//ws/x"
                        assert ws.protocol.extensions == []
                    assert ws.close_code == 1000
            async with httpx.AsyncClient(verify=context) as client:
                for scheme in ("http", "https"):
                    before = len(app.scopes)
                    for _ in range(3):
                        answer = await client.post(f"{scheme}://localhost:{listener.port}/a", content=b"x" * 300_000)
                        assert answer.content == b"x" * 300_000
                        assert "date" in answer.headers
                        assert "server" not in answer.headers
                    assert len({s["client"] for s in app.scopes[before:]}) == 1, "kept alive"
        assert app.events[0] == "startup"
        assert app.events[-1] == "shutdown"

    through(test)


def test_without_a_certificate_tls_is_hung_up_on_and_plain_text_served() -> None:
    async def test() -> None:
        async with running(Echo()) as listener:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", listener.port, ssl=ssl.create_default_context())
            async with connect(f"ws://127.0.0.1:{listener.port}") as ws:
                await ws.send("x")
                assert await ws.recv() == b"x"

    through(test)


# --- what arrives before anybody is known -----------------------------------------------------------------------------

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
QUICK = Limits(first_byte=0.1, handshake=0.1, request=0.15, setup=0.1, grace=0.05)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"\x16" + bytes(4000),
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1234",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n",
        b"\x00\xff\xfe garbage \r\n\r\n",
        b"GET /" + b"x" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % i for i in range(5000)),
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nx: " + b"y" * 9000 + b"\r\n\r\n",
        UPGRADE,
    ],
    ids=lambda sent: f"{sent[:40]!r}+{len(sent)}",
)
def test_a_socket_that_goes_no_further_is_cut(certificates: tls.Certificates, sent: bytes) -> None:
    async def test() -> None:
        async with running(Echo(), certificates, QUICK) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(sent)
            begun = time.monotonic()
            await reset_or_closed(reader)
            assert time.monotonic() - begun < 2
            writer.close()
            await until(lambda: not listener.sockets.open)
            assert not listener.sockets.waiting

    through(test)


def test_a_client_that_hangs_up_at_once_leaves_nothing(certificates: tls.Certificates) -> None:
    async def test() -> None:
        async with running(Echo(), certificates) as listener:
            for sent in (b"", b"\x16", b"G"):
                for hard in (False, True):
                    sock = socket.create_connection(("127.0.0.1", listener.port))
                    if hard:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.sendall(sent)
                    sock.close()
            await asyncio.sleep(0.05)  # for them to be accepted at all
            await until(lambda: not listener.sockets.open)

    through(test)


def test_idle_sockets_make_room_for_those_who_mean_it(certificates: tls.Certificates) -> None:
    async def test() -> None:
        async with running(Echo(), certificates, Limits(sockets=8)) as listener:
            url, context = f"wss://localhost:{listener.port}", trusting(certificates)
            async with connect(url, ssl=context) as first:
                await first.send("admitted")
                await first.recv()
                idle = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(30)]
                for i, (_, writer) in enumerate(idle):
                    writer.write((b"\x16", b"GET / HT", b"")[i % 3])
                async with connect(url, ssl=context) as second:
                    await second.send("hello")
                    assert await second.recv() == b"hello"
                assert len(listener.sockets.waiting) <= 8
                assert listener.sockets.cut_for_room >= 23
                await first.send("still here")
                assert await first.recv() == b"still here"
                for _, writer in idle:
                    writer.close()

    through(test)


def test_a_thousand_bad_connections_do_not_hurt_a_good_one(certificates: tls.Certificates) -> None:
    async def test() -> None:
        async with running(Echo(), certificates, Limits(sockets=64, request=1)) as listener:

            async def bad(number: int) -> None:
                with suppress(OSError):
                    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
                    writer.write(os.urandom(200) if number % 2 else b"\x16" + os.urandom(200))
                    await reset_or_closed(reader)
                    writer.close()

            async with connect(f"ws://localhost:{listener.port}") as ws, asyncio.TaskGroup() as group:
                for i in range(1000):
                    group.create_task(bad(i))
                for _ in range(50):
                    await ws.send("x")
                    assert await ws.recv() == b"x"

    through(test)


def test_running_out_of_file_descriptors_is_survived(certificates: tls.Certificates) -> None:
    async def test() -> None:
        async with running(Echo(), certificates) as listener:
            real = listener._listening[0]

            class Exhausted:
                left = 2

                def accept(self) -> Any:
                    Exhausted.left -= 1
                    if Exhausted.left >= 0:
                        raise OSError(24, "Too many open files")
                    return real.accept()

                def fileno(self) -> int:
                    return real.fileno()

                def close(self) -> None:
                    real.close()

            loop = asyncio.get_running_loop()
            loop.remove_reader(real)
            listener._listening[0] = Exhausted()  # type: ignore[call-overload]
            listener._watch(listener._listening[0])
            async with connect(f"ws://127.0.0.1:{listener.port}") as ws:
                await ws.send("x")
                assert await ws.recv() == b"x"
            assert Exhausted.left < 0

    through(test)


# --- WebSocket --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
def test_pings_are_answered_while_the_app_is_deaf(certificates: tls.Certificates, secure: bool) -> None:
    async def test() -> None:
        app = Echo()
        async with running(app, certificates) as listener:
            url = f"{'wss' if secure else 'ws'}://localhost:{listener.port}/deaf"
            async with connect(url, ssl=trusting(certificates) if secure else None, max_queue=None) as ws:
                for _ in range(20):
                    await ws.send(b"\x00" * 100_000)
                    delay = await (await ws.ping())
                    assert delay < 0.1
                app.blocked.set()

    through(test)


def test_an_app_that_leaves_too_much_lying_loses_the_client() -> None:
    async def test() -> None:
        app = Echo()
        async with running(app, limits=Limits(backlog_bytes=MIB)) as listener:
            async with connect(f"ws://localhost:{listener.port}/deaf") as ws:
                with suppress(websockets.ConnectionClosed):
                    for _ in range(30):
                        await ws.send(b"\x00" * 100_000)
                await ws.wait_closed()
            app.blocked.set()
            assert (ws.close_code, ws.close_reason) == (1011, "The server cannot keep up with what is being sent.")

    through(test)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("size", [16 * MIB, 16 * MIB + 1])
def test_a_message_over_the_limit_ends_with_its_reason(certificates: tls.Certificates, secure: bool, size: int) -> None:
    async def test() -> None:
        async with running(Echo(), certificates) as listener:
            url = f"{'wss' if secure else 'ws'}://localhost:{listener.port}"
            async with connect(url, ssl=trusting(certificates) if secure else None, max_size=None) as ws:
                await ws.send("setup")
                await ws.recv()
                with suppress(websockets.ConnectionClosed):
                    await ws.send(bytes(size))
                    assert len(await ws.recv()) == size
            if size > 16 * MIB:
                assert ws.close_code == 1009
                assert "over its limit of 16777216 bytes" in (ws.close_reason or "")
            else:
                assert ws.close_code == 1000

    through(test)


def test_the_first_message_has_a_limit_of_its_own() -> None:
    async def test() -> None:
        limits = Limits(setup_bytes=100_000)
        async with running(Echo(), limits=limits) as listener:
            url = f"ws://localhost:{listener.port}"
            for sent in ("x" * 100_001, "x" * 5_000_000, iter(["x" * 60_000, "x" * 60_000])):
                async with connect(url) as ws:
                    with suppress(websockets.ConnectionClosed):
                        await ws.send(sent)
                        await ws.recv()
                assert ws.close_code == 1009
                assert ws.close_reason == "The first message is over its limit of 100000 bytes."
            async with connect(url, max_size=None) as ws:
                await ws.send("x" * 100_000)
                await ws.send("y" * 1_000_000)  # at once, before any answer
                assert len(await ws.recv()) == 100_000
                assert len(await ws.recv()) == 1_000_000

    through(test)


def test_before_the_admission_no_more_is_read_than_the_setup_needs() -> None:
    class Silent(Echo):
        async def websocket(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            await self.blocked.wait()
            scope["state"]["pending"].admit()
            total = 0
            while total < 20_000_000:
                total += len((await receive())["bytes"])
            await send({"type": "websocket.close", "code": 1000, "reason": "had it all"})

    async def test() -> None:
        app = Silent()
        async with running(app, limits=Limits(setup_bytes=100_000)) as listener:  # noqa: SIM117
            async with connect(f"ws://localhost:{listener.port}") as ws:

                async def flood() -> None:
                    await ws.send("setup")
                    for _ in range(20):
                        await ws.send(bytes(1_000_000))

                task = asyncio.create_task(flood())
                await until(lambda: bool(listener._state.connections))
                await asyncio.wait([task], timeout=0.3)
                protocol: Any = next(iter(listener._state.connections))
                assert protocol._received < 1_000_000
                app.blocked.set()
                await task
                await ws.wait_closed()
                assert ws.close_reason == "had it all"

    through(test)


def test_what_is_no_websocket_ends_with_its_reason() -> None:
    async def test() -> None:
        app = Echo()
        async with running(app) as listener:
            for raw, code, reason in [
                (b"\x81\x02\xff\xfe", 1007, "A text message is not valid UTF-8"),
                (b"\x83\x00", 1002, "opcode 3, which is reserved"),
                (b"\x80\x00", 1002, "no message is to be continued"),
                (b"\xf1\x00", 1002, "reserved bits"),
                (b"\x89\x7e\x01\x00" + bytes(256), 1002, "more than 125 bytes"),
            ]:
                async with connect(f"ws://localhost:{listener.port}") as ws:
                    masked = bytes([raw[0], raw[1] | 0x80]) + (raw[2:4] if raw[1] == 0x7E else b"") + bytes(4)
                    ws.transport.write(masked + (raw[4:] if raw[1] == 0x7E else raw[2:]))
                    with pytest.raises(websockets.ConnectionClosed):
                        await ws.recv()
                assert ws.close_code == code
                assert reason in (ws.close_reason or "")
                assert app.events[-1]["type"] == "websocket.disconnect"
                assert app.events[-1]["code"] == code

    through(test)


def test_random_bytes_disturb_nothing(certificates: tls.Certificates) -> None:
    async def test() -> None:
        faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        chance = random.Random(7)

        async def one(listener: Listener, sent: bytes) -> None:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
                half = chance.randrange(len(sent) + 1)
                writer.write(sent[:half])
                await asyncio.sleep(0)
                writer.write(sent[half:])
                writer.write_eof()
                await reset_or_closed(reader)
                writer.close()

        async with running(Echo(), certificates, QUICK) as listener:
            for _ in range(10):
                noise = [
                    UPGRADE
                    + bytes([0x80 | chance.randrange(16), 0x80 | chance.randrange(128)])
                    + chance.randbytes(200),
                    UPGRADE + chance.randbytes(chance.randrange(300)),
                    bytes(c if chance.random() > 0.05 else chance.randrange(256) for c in UPGRADE),
                    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chance.randbytes(50),
                    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n" + chance.randbytes(50),
                ]
                await asyncio.gather(*(one(listener, sent) for sent in noise))
            await until(lambda: not listener.sockets.open)
        assert not faults

    through(test)


def test_closes_of_either_side() -> None:
    async def test() -> None:
        app = Echo()
        async with running(app) as listener:
            url = f"ws://localhost:{listener.port}"
            async with connect(url) as ws:
                await ws.close(1000, "bye")
            await app.done.wait()
            assert app.events[-1] == {"type": "websocket.disconnect", "code": 1000, "reason": "bye"}
            assert ws.close_code == 1000

            app.done.clear()
            async with connect(url) as ws:
                await ws.send("close")
                with pytest.raises(websockets.ConnectionClosed):
                    await ws.recv()
            assert (ws.close_code, ws.close_reason) == (1008, "é" * 61), "cut at a character"
            await app.done.wait()

            app.done.clear()
            async with connect(url) as ws:
                ws.transport.abort()
                await app.done.wait()
            assert app.events[-1] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
            assert not listener.sockets.open

    through(test)


def test_a_close_reaches_a_client_that_goes_on_talking() -> None:
    async def test() -> None:
        async with running(Echo()) as listener:
            async with connect(f"ws://localhost:{listener.port}") as ws:
                await ws.send("setup")
                await ws.send("close")
                with suppress(websockets.ConnectionClosed):
                    for _ in range(50):
                        await ws.send(bytes(500_000))
                await ws.wait_closed()
            assert ws.close_code == 1008

    through(test)


@pytest.mark.parametrize(("path", "code"), [("/crash", 1011), ("/return", 1000)])
def test_an_app_that_ends_leaves_a_close_frame(path: str, code: int, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with running(Echo()) as listener:
            async with connect(f"ws://localhost:{listener.port}{path}?key=secret") as ws:
                with pytest.raises(websockets.ConnectionClosed):
                    await ws.recv()
            assert ws.close_code == code

    through(test)
    assert ("a fault of the app" in caplog.text) == (code == 1011)


def test_handshakes_can_be_refused() -> None:
    async def test() -> None:
        async with running(Echo()) as listener:
            for path, status, body in [("/refused", 403, b""), ("/gone", 404, b'{"error":{}}')]:
                with pytest.raises(websockets.InvalidStatus) as caught:
                    async with connect(f"ws://localhost:{listener.port}{path}"):
                        pass
                assert caught.value.response.status_code == status
                assert caught.value.response.body == body

    through(test)


def test_a_client_that_does_not_read_holds_up_only_its_own_sender() -> None:
    class Talker(Echo):
        async def websocket(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            if scope["path"] == "/quiet":
                await super().websocket({**scope, "path": "/x"}, _accepted(receive), _accepted_send(send))
                return
            try:
                while True:
                    await send({"type": "websocket.send", "bytes": bytes(100_000)})
            except OSError:
                self.events.append("gone")
                raise

    async def test() -> None:
        app = Talker()
        async with running(app) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
            writer.write(UPGRADE)
            await until(lambda: any(not c._writable.is_set() for c in listener._state.connections))  # type: ignore
            async with connect(f"ws://127.0.0.1:{listener.port}/quiet") as ws:
                await ws.send("x")
                assert await ws.recv() == b"x"
            writer.transport.abort()
            await app.done.wait()
            await until(lambda: "gone" in app.events)
            del reader

    through(test)


def _accepted(receive: Any) -> Any:
    waiting = [{"type": "websocket.connect"}]

    async def wrapped() -> Any:
        return waiting.pop() if waiting else await receive()

    return wrapped


def _accepted_send(send: Any) -> Any:
    async def wrapped(message: Any) -> None:
        if message["type"] != "websocket.accept":
            await send(message)

    return wrapped


def test_no_log_sees_a_key(certificates: tls.Certificates, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    logging.getLogger("openlive").setLevel(1)

    async def test() -> None:
        async with running(Echo(), certificates) as listener:
            server = f"localhost:{listener.port}"
            quiet = logging.getLogger("client")
            quiet.setLevel(logging.CRITICAL)
            async with connect(f"ws://{server}/?key=s3cret", logger=quiet) as ws:
                await ws.send("s3cret words")
                await ws.recv()
            reader, writer = await asyncio.open_connection("localhost", listener.port)
            writer.write(b"GET /?key=s3cret HTTP/1.1\r\nHost: x\r\nx-goog-api-key: s3cret\r\nConnection: close\r\n\r\n")
            await reader.read()
            writer.close()

    through(test)
    assert "s3cret" not in caplog.text


# --- the server's own life --------------------------------------------------------------------------------------------


def test_shutting_down_drains_first_and_closes_what_is_left(certificates: tls.Certificates) -> None:
    async def test() -> None:
        app, shutdown, started = Echo(), anyio.Event(), asyncio.get_running_loop().create_future()
        drained = asyncio.Event()

        async def drain() -> None:
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", (await started).port)
            await ws.send("still served")
            assert await ws.recv() == b"still served"
            drained.set()

        context = tls.server_context(certificates.server)
        server = asyncio.create_task(
            serve(app, shutdown=shutdown, ssl_context=context, on_started=started.set_result, drain=drain)
        )
        listener = await started
        async with connect(f"wss://localhost:{listener.port}", ssl=trusting(certificates)) as ws:
            await ws.send("x")
            await ws.recv()
            shutdown.set()
            await drained.wait()
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (1011, "The service is currently unavailable.")
        await server
        assert app.events[-1] == "shutdown"

    through(test)


def test_a_drain_that_hangs_and_an_app_that_ignores_its_end_are_cut() -> None:
    class Stubborn(Echo):
        async def websocket(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.accept"})
            await asyncio.Event().wait()

    async def test() -> None:
        app, shutdown, started = Stubborn(), asyncio.Event(), asyncio.get_running_loop().create_future()
        server = asyncio.create_task(
            serve(
                app,
                shutdown=shutdown,
                on_started=started.set_result,
                drain=asyncio.Event().wait,  # type: ignore[arg-type]
                drain_timeout=0.1,
                close_timeout=0.2,
            )
        )
        listener = await started
        ws = await connect(f"ws://localhost:{listener.port}")
        idle = await asyncio.open_connection("localhost", listener.port)
        begun = time.monotonic()
        shutdown.set()
        await server
        assert time.monotonic() - begun < 2
        assert app.done.is_set()
        await ws.wait_closed()
        assert ws.close_code == 1011
        idle[1].close()

    through(test)


def test_a_cancelled_server_cleans_up() -> None:
    async def test() -> None:
        app, started = Echo(), asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve(app, shutdown=asyncio.Event(), on_started=started.set_result))
        listener = await started
        ws = await connect(f"ws://localhost:{listener.port}")
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server
        assert app.events[-1] == "shutdown"
        await ws.wait_closed()

    through(test)


def test_an_app_that_cannot_start_is_reported() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no weights"})

    async def test() -> None:
        with pytest.raises(StartupError):
            async with listening(app):
                pass

    through(test)


# --- sockets ----------------------------------------------------------------------------------------------------------


def test_loopback_means_both_families_on_one_port() -> None:
    for host in ("localhost", "127.0.0.1", "::1"):
        sockets = bind(host, 0)
        try:
            assert {s.getsockname()[0] for s in sockets} == {"127.0.0.1", "::1"}
            assert len({s.getsockname()[1] for s in sockets}) == 1
        finally:
            for sock in sockets:
                sock.close()


def test_every_address() -> None:
    for host, families in (("0.0.0.0", {socket.AF_INET}), ("::", {socket.AF_INET6})):
        (sock,) = bind(host, 0)
        with sock, socket.create_connection(("127.0.0.1", sock.getsockname()[1])):
            assert {sock.family} == families


def test_errors_of_binding_say_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError, match=f"Port {port} of 127.0.0.1 is in use by another program"):
            bind("localhost", port)
    with pytest.raises(ListenError, match=r"no\.such\.host\.invalid"):
        bind("no.such.host.invalid", 0)
    with pytest.raises(ListenError, match=r"Cannot listen on 192\.0\.2\.1"):
        bind("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_what_counts_as_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_places_are_given_back_once() -> None:
    async def test() -> None:
        sockets = PendingSockets(Limits(sockets=2))
        cut: list[str] = []
        a, b = sockets.arrived(), sockets.arrived()
        a.cut, b.cut = lambda: cut.append("a"), lambda: cut.append("b")
        a.admit()
        a.admit()
        a.expect(0)
        sockets.arrived()
        assert cut == []
        sockets.arrived()
        assert cut == ["b"], "an admitted socket is not cut for room"
        a.left()
        b.left()
        assert len(sockets.open) == 2

    through(test)


@pytest.mark.node
def test_the_official_sdk_connects(certificates: tls.Certificates) -> None:
    """The real google-genai SDK, with nothing but environment variables set."""

    class Live(Echo):
        async def websocket(self, scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            assert "setup" in json.loads(message.get("text") or message["bytes"])
            scope["state"]["pending"].admit()
            await send({"type": "websocket.send", "bytes": b'{"setupComplete":{"sessionId":"s"}}'})
            await receive()
            await send({"type": "websocket.close", "code": 1007, "reason": "API key not valid."})

    program = """
import asyncio, time
from google import genai
async def main():
    client = genai.Client()
    begun = time.perf_counter()
    try:
        async with client.aio.live.connect(model="m", config={}) as session:
            print("connected", round((time.perf_counter() - begun) * 1000))
            await session.send_realtime_input(text="hi")
            async for _ in session.receive():
                pass
    except genai.errors.APIError as error:
        print(error.code, error.details)
asyncio.run(main())
"""

    async def test() -> None:
        app = Live()
        async with running(app, certificates) as listener:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-W",
                "ignore",
                "-c",
                program,
                env={
                    "GOOGLE_API_KEY": "k",
                    "GOOGLE_GEMINI_BASE_URL": f"https://localhost:{listener.port}",
                    "SSL_CERT_FILE": str(certificates.bundle),
                    "PATH": os.environ["PATH"],
                },
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate()
            assert re.fullmatch(rb"connected \d+\n1007 API key not valid\.\n", out), out
            assert app.scopes[0]["path"].endswith("GenerativeService.BidiGenerateContent")

    through(test)


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system has no such option")
def test_little_is_on_its_way_to_a_client_that_reads_slowly() -> None:
    """What the kernel has taken, no interruption overtakes."""

    async def test() -> None:
        app = Echo()
        async with running(app) as listener:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with sock:
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", listener.port))
                connection = connect(f"ws://127.0.0.1:{listener.port}/pour", sock=sock, max_queue=1)
                async with connection as client:
                    client.transport.pause_reading()
                    await app.done.wait()
                    assert 8192 * len([e for e in app.events if isinstance(e, int)]) < 128 * 1024
                    client.transport.abort()

    through(test)
