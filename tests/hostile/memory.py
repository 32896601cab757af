"""Memory that has no end: what is kept for a client, because of an engine, or in the store."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from tests.hostile.kinds import NEIGHBOUR, Attack, kind
from tests.hostile.sockets import TALK, TEXT, connected, message, request, spoken, turns, websocket
from tests.serving import silence, tone

MB = 1_000_000


def _context(size: int) -> bytes:
    return message(turns("word " * (size // 5), complete=False))


@kind("history that loads", 3, seconds=8.0)
async def loads(attack: Attack) -> None:
    """480 contents of a megabyte, of which no turn is complete."""
    async with attack.client(TEXT) as socket:
        await socket.write(_context(MB) for _ in range(attack.share(480)))
        await socket.ended(attack.patience(1))


@kind("history of the setup that loads", 3, seconds=8.0)
async def initial(attack: Attack) -> None:
    """The same where the setup says that a history follows."""
    async with attack.client({**TEXT, "historyConfig": {"initialHistoryInClientContent": True}}) as socket:
        await socket.write(_context(MB) for _ in range(attack.share(480)))
        await socket.ended(attack.patience(1))


@kind("contents behind a call that nobody answers", 3, seconds=8.0)
async def behind(attack: Attack) -> None:
    """The model calls a function, and 480 contents of a megabyte follow in the place of its result."""
    setup = {**TEXT, "tools": [{"functionDeclarations": [{"name": "f"}]}]}
    async with attack.client(setup) as socket:
        await socket.say(turns("model: call"))
        await socket.until("toolCall", 5)
        await socket.write(message(turns("word " * (MB // 5))) for _ in range(attack.share(480)))
        await socket.ended(attack.patience(1))


@kind("realtime text behind a call", 3, seconds=8.0)
async def text_behind(attack: Attack) -> None:
    """The same with 200 MB of realtime text."""
    setup = {**TEXT, "tools": [{"functionDeclarations": [{"name": "f"}]}]}
    async with attack.client(setup) as socket:
        await socket.say(turns("model: call"))
        await socket.until("toolCall", 5)
        text = message({"realtimeInput": {"text": "word " * (MB // 5)}})
        await socket.write(text for _ in range(attack.share(200)))
        await socket.ended(attack.patience(1))


@kind("images that pile up", 3, seconds=8.0)
async def images(attack: Attack) -> None:
    """200 MB of camera frames while nobody speaks."""
    picture = message({"realtimeInput": {"video": {"mimeType": "image/jpeg", "data": "A" * 4 * (MB // 4)}}})
    async with attack.client(TALK) as socket:
        await socket.write(picture for _ in range(attack.share(200)))
        await socket.ended(attack.patience(1))


@kind("an activity without an end", 3, seconds=8.0)
async def activity(attack: Attack) -> None:
    """20 minutes of speech in 5 seconds, in an activity of the client's that it never ends."""
    setup = {**TALK, "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}
    chunk = message(spoken(tone(1.0)))
    async with attack.client(setup) as socket:
        await socket.say({"realtimeInput": {"activityStart": {}}})
        await socket.write(chunk for _ in range(attack.share(1200)))
        await socket.ended(attack.patience(1))


@kind("a model that writes without end", 3, seconds=8.0)
async def endless(attack: Attack) -> None:
    """Who interrupts it is told at once; where nobody does, `output_token_limit` ends it."""
    async with attack.client(TEXT) as socket:
        await socket.say(turns("model: endless"))
        await asyncio.sleep(attack.patience(2))
        begin = time.monotonic()
        await socket.say(turns("hello"))
        await socket.until("turnComplete", 5)
        took = time.monotonic() - begin
        attack.told[f"interrupted after {'less than' if took < 1 else 'more than'} 1 s"] += 1
        if took > 1:
            attack.faults.append(f"the interruption was told after {took:.1f} s")
        await socket.until("turnComplete", 5)


@kind("a model that writes without end, spoken", 3, seconds=8.0)
async def endless_spoken(attack: Attack) -> None:
    """The same with a voice, and nobody interrupts."""
    async with attack.client(TALK) as socket:
        await socket.say(turns("model: endless"))
        await socket.ended(attack.patience(5))


@kind("a voice of 403 MB", 3, seconds=8.0, sample=False)
async def pours(attack: Attack) -> None:
    """The voice gives 20 MB a second, the client reads it all."""
    await attack.ask(TALK, turns("voice: pour"), 6)


@kind("a voice of 403 MB, and nobody reads", 3, seconds=8.0)
async def deaf(attack: Attack) -> None:
    """The same voice; the client takes nothing."""
    async with websocket(attack.port, attack.key, TALK, small=True) as socket:
        socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await socket.say(turns("voice: pour"))
        await asyncio.sleep(attack.patience(6))
        attack.told["nothing read"] += 1


@kind("nobody reads what is typed back", 3, seconds=8.0)
async def deaf_text(attack: Attack) -> None:
    """Three clients ask for a hundred thousand words each, again and again, and read nothing."""

    async def one(_: int) -> None:
        async with websocket(attack.port, attack.key, TEXT, small=True) as socket:
            socket.reader._transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(20):
                with suppress(OSError):
                    await socket.say(turns("model: burst"))
                await asyncio.sleep(attack.patience(0.2))
            attack.told["nothing read"] += 1

    await attack.together(3, one)


ENDPOINTS = {
    "gzip": "a gzip bomb of 300 MB",
    "line": "a line without an end",
    "error": "an error of 29 MB",
    "calls": "arguments of 60 levels",
    "nonsense": "events of the wrong form",
}


def _register_endpoints() -> None:
    for name, words in ENDPOINTS.items():

        async def asked(attack: Attack, name: str = name) -> None:
            """The endpoint of the language model gives that."""
            for _ in range(attack.share(3)):
                await attack.ask(TEXT, turns(f"endpoint: {name}"), 6)

        lacks = ("secret of the endpoint",) if name == "error" else ()
        kind(f"endpoint of the model: {words}", 3, seconds=10.0, log_lacks=lacks)(asked)
    for pitch, words in ((2000, "a transcript of 20 MB"), (2500, "a gzip bomb")):

        async def heard(attack: Attack, pitch: int = pitch) -> None:
            """The endpoint of the recogniser gives that."""
            await attack.ask(TALK, spoken(tone(0.5, pitch) + silence(1.5)), 6)

        kind(f"endpoint of the recogniser: {words}", 3, seconds=10.0)(heard)
    for name in ("gzip", "line"):

        async def said(attack: Attack, name: str = name) -> None:
            """The endpoint of the voice gives that."""
            await attack.ask(TALK, turns(f"endpoint of the voice: {name}"), 6)

        kind(f"endpoint of the voice: {ENDPOINTS[name]}", 3, seconds=10.0)(said)


_register_endpoints()


async def _store(attack: Attack) -> None:
    """A session of the neighbour's is stored; then one key stores 120 states of 0.9 MB and makes 3,000 tokens."""
    resumable = {**TEXT, "sessionResumption": {}}
    async with websocket(attack.port, NEIGHBOUR, resumable) as mine:
        handle = (await mine.until("sessionResumptionUpdate"))["sessionResumptionUpdate"].get("newHandle")
        await mine.say(turns("Remember this."))
        await mine.until("turnComplete")
        with suppress(TimeoutError):
            update = await mine.until("sessionResumptionUpdate", 2)
            handle = update["sessionResumptionUpdate"].get("newHandle") or handle

    async def state(_: int) -> None:
        async with attack.client({**resumable, "systemInstruction": {"parts": [{"text": "x" * 900_000}]}}) as socket:
            await socket.until("sessionResumptionUpdate", 5)

    async def token(_: int) -> None:
        body = b'{"bidiGenerateContentSetup":{"model":"models/x","systemInstruction":{"parts":[{"text":"%b"}]}}}'
        await _token(attack, body % (b"y" * 20_000))

    await attack.together(attack.share(120), state, at_once=8)
    await attack.together(attack.share(3000), token, at_once=8)
    async with websocket(attack.port, NEIGHBOUR) as again:
        await again.say({"setup": {**resumable, "sessionResumption": {"handle": handle}}})
        try:
            await again.until("setupComplete", 5)
        except ConnectionError as error:
            attack.faults.append(f"the neighbour's session is gone: {error}")


async def _token(attack: Attack, body: bytes) -> None:
    head = (
        f"POST /v1alpha/auth_tokens HTTP/1.1\r\nHost: localhost:{attack.port}\r\nx-goog-api-key: {attack.key}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    answer = await request(attack.port, head + body)
    attack.told[answer.split(b"\r\n")[0][9:].decode("latin-1") or "cut"] += 1


kind("one key fills the store", 3, seconds=12.0, keeps=67_108_864, sample=False)(_store)
kind("one key fills the database", 3, seconds=12.0, store="sqlite", sample=False)(_store)


@kind("handles that nobody gave", 3)
async def handles(attack: Attack) -> None:
    """400 clients that would resume sessions which do not exist, with handles of all lengths."""

    async def one(number: int) -> None:
        handle = "0" * (number**2) if number % 3 else f"{number:08x}-0000-0000-0000-000000000000"
        async with attack.client() as socket:
            await socket.say({"setup": {**TEXT, "sessionResumption": {"handle": handle}}})
            if (end := await socket.ended(4)).startswith("1011"):
                attack.faults.append(f"a handle was answered {end}")

    await attack.together(attack.share(400), one, at_once=16)


@kind("idle keep-alives", 3, keys=(False,), sample=False)
async def idle(attack: Attack) -> None:
    """200 HTTP connections that ask once and stay."""

    async def one(_: int) -> None:
        with suppress(OSError):
            async with connected(attack.port) as socket:
                await socket.write(f"GET /healthz HTTP/1.1\r\nHost: localhost:{attack.port}\r\n\r\n".encode())
                await asyncio.sleep(attack.patience(2))
                attack.told["kept"] += 1

    await attack.together(attack.share(200), one, at_once=200)
