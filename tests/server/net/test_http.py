"""Requests that are none: refused with a status that fits, closed, and no line in the log (`serving` looks at it)."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from openlive.config.keys import Key
from openlive.config.model import LimitSettings, ServerSettings
from openlive.server import rest
from tests.serving import SECONDS, Server, serving

pytestmark = pytest.mark.anyio

HOST = b"Host: localhost\r\nx-goog-api-key: k-anna\r\n"
POST = b"POST /v1alpha/auth_tokens HTTP/1.1\r\n" + HOST
GET = b"GET /healthz HTTP/1.1\r\n" + HOST


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = ServerSettings(keys=(Key("anna", "k-anna"),))
    with serving(server=settings, limits=LimitSettings(setup_bytes=200_000)) as running:
        yield running


async def told(server: Server, *pieces: bytes) -> bytes:
    """Everything that the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0.02)
        async with asyncio.timeout(SECONDS):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (POST + CHUNKED + b"Content-Length: 2\r\n\r\n0\r\n\r\n" + GET + b"\r\n", 400),
        (POST + b"Content-Length: 2\r\n" + CHUNKED + b"\r\n{}" + GET + b"\r\n", 400),
        (POST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n", 411),
        (POST + CHUNKED + b"\r\nzz\r\n", 411),
        (POST + CHUNKED + b"\r\n" + 40_000 * b"1\r\nx\r\n", 411),
        (GET + CHUNKED + b"\r\n0\r\n" + 60_000 * b"a:\r\n" + b"\r\n", 411),
        (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (POST + b"Content-Length: +2\r\n\r\n{}", 400),
        (POST + b"Content-Length: -1\r\n\r\n{}", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (GET + b"x: " + 17_000 * b"y" + b"\r\n\r\n", 431),
        (GET + b"x: " + 250_000 * b"y" + b"\r\n\r\n", 431),
        (GET + 60_000 * b"a:\r\n" + b"\r\n", 431),
        (GET + 100 * b"a: b\r\n" + b"\r\n", 431),
        (b"GET /" + 20_000 * b"x" + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
        (GET + b"bad header\r\n\r\n", 400),
        (b"\x00\xff\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
    ],
    ids=lambda value: f"{value[-60:]!r}" if isinstance(value, bytes) else str(value),
)
async def test_a_request_that_is_refused_is_the_last_of_its_connection(
    server: Server, request_: bytes, expected: int
) -> None:
    """In one piece and in several: the same, and nothing behind it is answered."""
    for pieces in ([request_], [piece for piece in (request_[:30], request_[30:200], request_[200:]) if piece]):
        answer = await told(server, *pieces)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert status(answer) == expected
        assert b"connection: close" in answer.lower()
        assert b"ok" not in answer


async def test_the_head_of_a_later_request_has_the_same_limits(server: Server) -> None:
    answer = await told(server, GET + b"\r\n" + GET + b"\r\n" + GET + 60_000 * b"a:\r\n" + b"\r\n")
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.count(b"HTTP/1.1 431") == 1
    body = b'{"uses":1}' + b"\n" * 3000
    answer = await told(
        server, POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + GET + b"Connection: close\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 200") == 2, "lines of a body are none of a head"


async def test_what_ordinary_clients_and_proxies_send_passes(server: Server) -> None:
    head = GET + b"".join(b"x-forwarded-%d: %s\r\n" % (i, 100 * b"y") for i in range(80)) + b"Connection: close\r\n\r\n"
    assert status(await told(server, head)) == 200
    assert status(await told(server, *[head[i : i + 997] for i in range(0, len(head), 997)])) == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"{}{}",
        b"\xff\xfe{}",
        b'{"fieldMask":"\xff"}',
        b'{"fieldMask":"\\ud800"}',
        b'{"\\ud800":1}',
        b'{"uses":NaN}',
        b'{"uses":1e400}',
        b'{"uses":' + 5000 * b"9" + b"}",
        b'{"expireTime":"9999-99-99T00:00:00Z"}',
        b'{"expireTime":"0001-01-01T00:00:00+14:00"}',
        b'{"bidiGenerateContentSetup":' + 5_000 * b'{"a":' + b"1" + 5_000 * b"}" + b"}",
        90_000 * b"[",
        b'{"bidiGenerateContentSetup":{"tools":[' + 60_000 * b"0," + b"0]}}",
        b'{"bidiGenerateContentSetup":{"tools":[' + 90_000 * b"0," + b"0]}}",
        b" " * 200_001,
    ],
    ids=lambda body: f"{body[:40]!r}+{len(body)}",
)
async def test_a_body_that_cannot_be_read_is_a_400(server: Server, body: bytes) -> None:
    answer = await told(server, POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert status(answer) == 400, answer[:300]
    error: Any = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert error["error"]["status"] == "INVALID_ARGUMENT"


async def test_a_body_with_much_in_it_is_read_in_a_thread(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    original = rest.parse
    noted = lambda *a, **k: (threads.append(threading.current_thread()), original(*a, **k))[1]  # noqa: E731
    monkeypatch.setattr(rest, "parse", noted)
    for body in (b"{}", b'{"bidiGenerateContentSetup":{"tools":[' + 30_000 * b"{}," + b"{}]}}"):
        request_ = POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        assert status(await told(server, request_)) == 200
    assert [thread.name == "server" for thread in threads] == [True, False]


@pytest.mark.parametrize("hard", [False, True])
async def test_a_body_that_breaks_off_leaves_no_traceback(server: Server, hard: bool) -> None:
    for sent in (b"", b'{"uses":'):
        sock = socket.create_connection(("127.0.0.1", server.port))
        if hard:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(POST + b"Content-Length: 100\r\n\r\n" + sent)
        await asyncio.sleep(0.1)
        sock.close()
    assert await server.comes_to(lambda: server.connections() == 0)
    await asyncio.sleep(0.05)
    assert server.errors == []


@pytest.mark.parametrize(
    "target", [b"/v1beta/models/%ff%00%0a", b"/openlive/turns?session=%ff", b"/%0d%0aSet-Cookie:x"]
)
async def test_odd_paths(server: Server, target: bytes) -> None:
    answer = await told(server, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert status(answer) in (200, 404)
    assert b"Set-Cookie" not in answer.partition(b"\r\n\r\n")[0]
