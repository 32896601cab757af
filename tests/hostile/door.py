"""Work without a key, and what a key does not buy either: frames, handshakes, sockets."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from tests.hostile.kinds import Attack, kind
from tests.hostile.sockets import (
    BYTES,
    CONT,
    PING,
    PONG,
    SAID,
    TEXT,
    connected,
    frame,
    handshake,
    message,
    request,
    websocket,
)

BOTH = (False, True)
MB = 1_000_000


@kind("empty pings", 1, keys=BOTH)
async def empty_pings(attack: Attack) -> None:
    """8 clients, 8 MB of pings of 6 bytes."""
    await attack.flood(TEXT if attack.key.startswith("att") else None, frame(PING), 8 * MB, 8)


@kind("empty pongs", 1, keys=BOTH)
async def empty_pongs(attack: Attack) -> None:
    """8 clients, 8 MB of pongs that nobody asked for."""
    await attack.flood(TEXT if attack.key.startswith("att") else None, frame(PONG), 8 * MB, 8)


@kind("empty continuations", 1, keys=BOTH)
async def empty_continuations(attack: Attack) -> None:
    """4 clients, a message each of 4 MB of empty fragments, without an end."""
    setup = TEXT if attack.key.startswith("att") else None
    await attack.flood(setup, frame(CONT, fin=False), 4 * MB, 4, before=frame(SAID, fin=False))


@kind("fragments of a byte", 1, keys=BOTH)
async def fragments(attack: Attack) -> None:
    """A message of 2 MB in fragments of one byte."""
    setup = TEXT if attack.key.startswith("att") else None
    await attack.flood(setup, frame(CONT, b" ", fin=False), 2 * MB, 2, before=frame(SAID, b"{", fin=False))


@kind("empty messages", 1, keys=BOTH)
async def empty_messages(attack: Attack) -> None:
    """8 clients, 4 MB of empty messages."""
    await attack.flood(TEXT if attack.key.startswith("att") else None, frame(SAID), 4 * MB, 8)


@kind("messages that say nothing", 1)
async def idle_messages(attack: Attack) -> None:
    """4 clients, 4 MB of `{"realtimeInput":{}}`."""
    await attack.flood(TEXT, frame(SAID, b'{"realtimeInput":{}}'), 4 * MB, 4)


def _tools() -> bytes:
    return b'{"setup":{"tools":[' + b",".join([b"{}"] * 346_000) + b"]}}"


SETUPS: dict[str, bytes] = {
    "a list of empty tools": _tools(),
    "lists in lists": b'{"setup":{"labels":' + b"[" * 500_000 + b"]" * 500_000 + b"}}",
    "a number of a megabyte": b'{"setup":{"generationConfig":{"seed":' + b"1" * 1_000_000 + b"}}}",
    "unknown names": b'{"setup":{' + b",".join(b'"a%d":1' % i for i in range(90_000)) + b"}}",
    "one name twice": b'{"setup":{' + b",".join([b'"model":"x"'] * 80_000) + b"}}",
    "empty parts": b'{"setup":{"systemInstruction":{"parts":[' + b",".join([b"{}"] * 340_000) + b"]}}}",
    "escapes": b'{"setup":{"model":"' + b"\\u00e9" * 170_000 + b'"}}',
}


async def setups(attack: Attack, data: bytes, clients: int) -> None:
    async def one(_: int) -> None:
        async with attack.client() as socket:
            await socket.write(frame(SAID, data))
            await socket.ended(8)

    await attack.together(attack.share(clients), one)


def _register_setups() -> None:
    for name, data in SETUPS.items():

        async def large(attack: Attack, data: bytes = data) -> None:
            """A setup of about a megabyte, from 48 clients without a key (12 with one)."""
            await setups(attack, data, 12 if attack.key.startswith("att") else 48)

        kind(f"setup: {name}", 1, keys=BOTH, seconds=8.0)(large)


_register_setups()


@kind("200 setups at once", 1, keys=(False,), seconds=8.0)
async def two_hundred(attack: Attack) -> None:
    """200 clients without a key, a megabyte of `{"setup":{"tools":[{},…]}}` each."""

    async def one(_: int) -> None:
        async with attack.client() as socket:
            await socket.write(frame(SAID, SETUPS["a list of empty tools"]))
            await socket.ended(8)

    await attack.together(attack.share(200), one, at_once=200)


@kind("setups that are refused", 1, keys=(False,))
async def refused(attack: Attack) -> None:
    """2,000 clients with a wrong key and an ordinary setup, 32 at once."""

    async def one(_: int) -> None:
        async with attack.client() as socket:
            await socket.say({"setup": TEXT})
            end = await socket.ended(5)
            if end != "open" and not end.startswith(("1007", "1008")):
                attack.faults.append(f"a wrong key was told {end}")

    await attack.together(attack.share(2000), one, at_once=32)


@kind("1500 sockets a second", 1, keys=(False,), sample=False)
async def sockets(attack: Attack) -> None:
    """From one address, each held open and silent for as long as the server lets it."""
    held: list[asyncio.StreamWriter] = []
    begin = asyncio.get_running_loop().time()
    for number in range(attack.share(7500)):
        if attack.over:
            break
        with suppress(OSError):
            held.append((await asyncio.open_connection("127.0.0.1", attack.port, local_addr=("127.0.0.2", 0)))[1])
        ahead = begin + number / 1500 - asyncio.get_running_loop().time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        for old in held[:-600]:
            old.transport.abort()
        del held[:-600]
    attack.told["sockets"] += len(held)
    for writer in held:
        writer.transport.abort()


@kind("sockets that handshake and wait", 1, keys=(False,), sample=False)
async def waiting(attack: Attack) -> None:
    """600 WebSockets at once from one address that say nothing after the handshake, made anew when they are cut."""

    async def one(_: int) -> None:
        while not attack.over:
            with suppress(OSError, asyncio.IncompleteReadError):
                async with websocket(attack.port, attack.key, source="127.0.0.2") as socket:
                    attack.told[await socket.ended(3)] += 1

    await attack.together(attack.share(600), one, at_once=600)


@kind("pings, and never a read", 1)
async def deaf(attack: Attack) -> None:
    """120 MB of pings of 125 bytes from a client that reads no pong."""
    async with websocket(attack.port, attack.key, TEXT, small=True) as socket:
        socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
        piece = frame(PING, bytes(125)) * 2000
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(4):
                for _ in range(attack.share(120 * MB) // len(piece)):
                    await socket.write(piece)
        attack.told["written" if not socket.writer.transport.is_closing() else "cut"] += 1


@kind("headers without an end", 1, keys=(False,))
async def headers(attack: Attack) -> None:
    """40 clients whose request never ends: 20 MB of header lines all together."""

    async def one(_: int) -> None:
        async with connected(attack.port) as socket:
            with suppress(OSError):
                await socket.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
                for number in range(attack.share(500)):
                    await socket.write(b"x-%d: %b\r\n" % (number, b"y" * 1000))
                    if number % 50 == 0:
                        await asyncio.sleep(0.01)
            attack.told[(await _status(socket.reader))] += 1

    await attack.together(40, one)


@kind("headers byte by byte", 1, keys=(False,), sample=False)
async def dripping(attack: Attack) -> None:
    """100 clients that send 32 kB of header in pieces of a few bytes, past the limit whatever the reads."""

    async def one(_: int) -> None:
        async with connected(attack.port) as socket:
            data = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"a%d: b\r\n" % i for i in range(4000))
            with suppress(OSError):
                for at in range(0, attack.share(len(data)), 90):
                    await socket.write(data[at : at + 90])
                    if attack.over:
                        break
                    await asyncio.sleep(0)
            attack.told[await _status(socket.reader)] += 1

    await attack.together(100, one)


async def _status(reader: asyncio.StreamReader) -> str:
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(1):
            line = (await reader.readline()).decode("latin-1").strip()
            return line[9:] or "cut"
    return "cut"


@kind("TLS handshakes", 1, keys=(False,), sample=False)
async def handshakes(attack: Attack) -> None:
    """300 TLS connections that are given up as soon as they are made, 4 at once."""

    async def one(_: int) -> None:
        try:
            async with connected(attack.port, secure=True):
                attack.told["made"] += 1
        except OSError as error:
            attack.told[type(error).__name__] += 1

    await attack.together(attack.share(300), one, at_once=4)


@kind("TLS rubbish", 1, keys=(False,), sample=False)
async def rubbish(attack: Attack) -> None:
    """400 clients that begin TLS and go on with random bytes."""

    async def one(_: int) -> None:
        async with connected(attack.port) as socket:
            with suppress(OSError):
                await socket.write(b"\x16\x03\x01" + os.urandom(20_000))
                await _status(socket.reader)
            attack.told["cut"] += 1

    await attack.together(attack.share(400), one, at_once=20)


@kind("frames of a wrong size", 1, keys=BOTH)
async def wrong(attack: Attack) -> None:
    """A frame of 2^62 bytes, one without a mask, a ping of 200 bytes, reserved opcodes and bits, text that is none."""
    large = b"\x81\xff" + (2**62).to_bytes(8) + bytes(4)
    for data in (
        large,
        b"\x81\x02{}",
        b"\x89\xfe\x00\xc8" + bytes(204),
        frame(11),
        b"\xf1\x80" + bytes(4),
        frame(SAID, b"\xff" * 500_000),
        frame(BYTES, b"\xff" * 500_000),
        frame(CONT, b"{}"),
        b"\x88\x81" + bytes(5),
    ):
        await attack.send(TEXT if attack.key.startswith("att") else None, data, wait=2)
    if attack.told["open"] > 1:  # a continuation of nothing may be the only one that waits
        attack.faults.append(f"{attack.told['open']} broken frames were taken")


@kind("text that is no UTF-8 from its first byte on", 1)
async def no_utf8(attack: Attack) -> None:
    """Fragments without an end, the first one begins with 0xff: it is refused before the end."""
    await attack.flood(TEXT, frame(CONT, b"x" * 60_000, fin=False), 8 * MB, before=frame(SAID, b"\xff", fin=False))
    if attack.told["open"]:
        attack.faults.append("broken UTF-8 was read on")


@kind("bodies without a key", 1, keys=(False,))
async def bodies(attack: Attack) -> None:
    """40 requests for a token with 1 MB of JSON of empty objects."""
    body = b'{"fieldMask":[' + b",".join([b"{}"] * 300_000) + b"]}"
    await _posted(attack, body, 40)


@kind("bodies with a key", 1)
async def keyed_bodies(attack: Attack) -> None:
    """12 requests for a token with 1 MB of JSON: empty objects in its setup, lists in lists, a long number."""
    for body in (
        b'{"bidiGenerateContentSetup":{"setup":{"tools":[' + b",".join([b"{}"] * 300_000) + b"]}}}",
        b'{"uses":' + b"1" * 900_000 + b"}",
        b'{"bidiGenerateContentSetup":{"labels":' + b"[" * 400_000 + b"]" * 400_000 + b"}}",
        b'{"fieldMask":"' + b"a." * 400_000 + b'"}',
    ):
        await _posted(attack, body, 3)


async def _posted(attack: Attack, body: bytes, count: int) -> None:
    head = (
        f"POST /v1alpha/auth_tokens HTTP/1.1\r\nHost: localhost:{attack.port}\r\nx-goog-api-key: {attack.key}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()

    async def one(_: int) -> None:
        answer = await request(attack.port, head + body, 8)
        attack.told[answer.split(b"\r\n")[0][9:].decode("latin-1") or "cut"] += 1
        if answer.startswith(b"HTTP/1.1 5"):
            attack.faults.append(f"a body was answered {answer[9:12].decode()}")

    await attack.together(attack.share(count), one, at_once=8)


@kind("chunks of a byte", 1, keys=BOTH)
async def chunks(attack: Attack) -> None:
    """A body of 300,000 chunks of one byte."""
    head = (
        f"POST /v1alpha/auth_tokens HTTP/1.1\r\nHost: localhost:{attack.port}\r\nx-goog-api-key: {attack.key}\r\n"
        "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    answer = await request(attack.port, head + b"1\r\n \r\n" * attack.share(300_000) + b"0\r\n\r\n", 8)
    attack.told[answer.split(b"\r\n")[0][9:].decode("latin-1") or "cut"] += 1


@kind("an HTTP pipeline", 1, keys=(False,))
async def pipeline(attack: Attack) -> None:
    """10,000 requests in one write."""
    one = f"GET /healthz HTTP/1.1\r\nHost: localhost:{attack.port}\r\n\r\n".encode()
    answer = await request(attack.port, one * attack.share(10_000), 4)
    attack.told["answers" if answer else "cut"] += answer.count(b"HTTP/1.1 200") or 1


@kind("long paths and many credentials", 1, keys=(False,))
async def paths(attack: Attack) -> None:
    """200 handshakes with a path of 14 kB of slashes, or of keys in the query."""
    for path in ("/" * 14_000, "/ws/x?" + "key=a&" * 2_300, "/ws/" + "%2f" * 4_600):

        async def one(_: int, path: str = path) -> None:
            answer = await request(attack.port, handshake(attack.port, attack.key, path), 2)
            attack.told[answer.split(b"\r\n")[0][9:].decode("latin-1") or "cut"] += 1

        await attack.together(attack.share(60), one, at_once=10)


@kind("resets", 1, keys=BOTH, sample=False)
async def resets(attack: Attack) -> None:
    """600 clients that set up, say something, and end with a RST."""

    async def one(number: int) -> None:
        async with attack.client() as socket:
            await socket.write(message({"setup": TEXT}))
            if number % 2:
                await socket.write(message({"clientContent": {"turns": [], "turnComplete": True}}))
            await asyncio.sleep(0.01 * (number % 5))
            socket.reset()

    await attack.together(attack.share(600), one, at_once=20)
