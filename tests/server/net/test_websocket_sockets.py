"""WebSockets over real sockets: what an app and a client see of each other."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect

from openlive.server.net import tls
from openlive.server.net.http import READ
from openlive.server.net.listener import Listener
from openlive.server.net.pending import Limits
from openlive.server.net.websocket import WebSocketProtocol
from tests.server.apps import MIB, QUICK, UPGRADE, Echo, reset_or_closed, running, through, trusting, until

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


@pytest.mark.parametrize("secure", [False, True])
def test_little_is_read_at_once(certificates: tls.Certificates, secure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decrypting is work, and all that was read is decrypted in one call."""
    sizes: list[int] = []
    original = WebSocketProtocol.data_received
    monkeypatch.setattr(
        WebSocketProtocol, "data_received", lambda self, data: (sizes.append(len(data)), original(self, data))[1]
    )

    async def test() -> None:
        async with running(Echo(), certificates) as listener:
            url = f"{'wss' if secure else 'ws'}://localhost:{listener.port}"
            async with connect(url, ssl=trusting(certificates) if secure else None, max_size=None) as ws:
                for size in (1, 1_000_000):
                    await ws.send(bytes(size))
                    assert len(await ws.recv()) == size
        record = 16 * 1024 if secure else 0  # one may have begun in an earlier read
        assert max(sizes) <= READ + record

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
