from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
import struct
import sys
import time
from contextlib import suppress
from typing import Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from openlive.server.net import tls
from openlive.server.net.listener import ListenError, StartupError, bind, is_loopback, listening, serve
from openlive.server.net.pending import Limits, PendingSockets
from tests.server.apps import QUICK, UPGRADE, Echo, reset_or_closed, running, through, trusting, until

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
