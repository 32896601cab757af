"""Whoever may not come in is told so without a look at what they say, and as before: by code, reason and moment."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest

from openlive.config.keys import Key
from openlive.config.model import LimitSettings, ServerSettings
from openlive.server import inbound
from openlive.server.net import framing
from openlive.testing.scripted import ScriptedLLM
from openlive.wire.errors import API_KEY_INVALID, NOT_IMPLEMENTED, TOKEN_EXPIRED, UNREGISTERED_CALLER, Refusal
from tests.raw import TEXT, client, text
from tests.server.net.test_framing import sent
from tests.serving import MODEL, PATH, SECONDS, Scripted, Server, serving, trust

pytestmark = pytest.mark.anyio

CONSTRAINED = "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"
SETUP = json.dumps({"setup": TEXT})
HERS = {"x-goog-api-key": "k-anna"}


@pytest.fixture
def server() -> Iterator[Server]:
    settings = ServerSettings(keys=(Key("anna", "k-anna"), Key("ben", "k-ben")))
    with serving(server=settings, limits=LimitSettings(setup_seconds=3.0)) as running:
        yield running


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was parsed."""
    read: list[Any] = []
    original = inbound.parse_message
    monkeypatch.setattr(inbound, "parse_message", lambda *a: (read.append(a), original(*a))[1])
    return read


REFUSED = [
    (PATH, {"x-goog-api-key": "k-nobody"}, API_KEY_INVALID),
    (PATH + "?key=k-nobody", {"x-goog-api-key": ""}, API_KEY_INVALID),
    (PATH, {"x-goog-api-key": ""}, UNREGISTERED_CALLER),
    (PATH + "?access_token=auth_tokens/x", {"x-goog-api-key": ""}, UNREGISTERED_CALLER),
    (CONSTRAINED, HERS, UNREGISTERED_CALLER),
    (CONSTRAINED + "?access_token=auth_tokens/x", {"x-goog-api-key": ""}, API_KEY_INVALID),
    (PATH.replace("Content", "Music"), HERS, NOT_IMPLEMENTED),
]

SAID = [SETUP, SETUP.encode(), "{", "[" * 100_000, b"\x00", '{"setup":{"tools":[' + "{}," * 300_000]


@pytest.mark.parametrize(("path", "headers", "refusal"), REFUSED)
@pytest.mark.parametrize(
    "said", [SETUP, SETUP.encode(), "{", "[" * 100_000, b"\x00", '{"setup":{"tools":[' + "{}," * 300_000]
)
async def test_the_refusals(
    server: Server, unread: list[Any], path: str, headers: dict[str, str], refusal: Refusal, said: str | bytes
) -> None:
    async with client(server, path=path, headers=headers) as raw:
        await asyncio.sleep(0.02)
        assert raw.ws.close_code is None, "nothing is told before something came: SDKs would not show it"
        await raw.ws.send(said)
        assert await raw.closed() == (refusal.code, refusal.reason[:123])
    assert unread == []


async def test_the_beginning_of_the_first_message_will_do(server: Server) -> None:
    async with client(server, headers={"x-goog-api-key": "no"}) as raw:

        async def endless() -> Any:
            yield '{"setup":'
            await asyncio.sleep(SECONDS)

        sending = asyncio.create_task(raw.ws.send(endless()))
        assert (await raw.closed())[0] == 1007
        sending.cancel()


async def test_a_stranger_who_says_nothing(server: Server) -> None:
    async with client(server, headers={"x-goog-api-key": "no"}) as raw:
        begun = time.monotonic()
        await raw.ping()
        assert await raw.closed() == (1008, "No setup message within 3 s.")
        assert time.monotonic() - begun > 2.5
    async with client(server, headers={"x-goog-api-key": "no"}) as raw:
        await raw.ws.close()
    assert await server.comes_to(lambda: server.connections() == 0)


async def test_a_token_whose_time_is_over(server: Server, unread: list[Any]) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    async with httpx.AsyncClient(base_url=server.url, verify=trust(), headers=HERS) as web:
        name = (await web.post("/v1alpha/auth_tokens", json={"expireTime": soon})).json()["name"]
    await asyncio.sleep(1.1)
    async with client(server, path=f"{CONSTRAINED}?access_token={name}", headers={"x-goog-api-key": ""}) as raw:
        await raw.ws.send("{")
        assert await raw.closed() == (TOKEN_EXPIRED.code, TOKEN_EXPIRED.reason)
    assert unread == []


async def test_strangers_with_large_setups_keep_nobody_waiting() -> None:
    """24 of 0.9 MB, beside somebody with a key."""
    settings = ServerSettings(keys=(Key("anna", "k-anna"),))
    scripted = Scripted(llm=ScriptedLLM())
    with serving(scripted.engines, server=settings) as server:

        async def stranger() -> None:
            async with client(server, headers={"x-goog-api-key": "no"}) as raw:
                await raw.ws.send('{"setup":{"tools":[' + "{}," * 300_000 + "{}]}}")
                assert (await raw.closed())[0] == 1007

        async with anyio.create_task_group() as group:
            for _ in range(24):
                group.start_soon(stranger)
            async with client(server, TEXT, headers=HERS) as raw:
                await raw.ask("hello")
                assert text(await raw.turn()) == "You said: hello"


@pytest.mark.parametrize("model", [MODEL, "none"])
async def test_who_says_its_setup_and_leaves_is_answered_first(model: str) -> None:
    """JavaScript SDKs up to 1.52 let a program close as soon as the socket is open: setup and close come together."""
    setup = json.dumps({"setup": {**TEXT, "model": f"models/{model}"}}).encode()
    with serving() as server:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection("localhost", server.port)
            lines = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
            head = "\r\n".join([f"GET {PATH} HTTP/1.1", f"Host: localhost:{server.port}", *lines])
            writer.write(head.encode() + b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent(framing.TEXT, setup) + sent(framing.CLOSE, b"\x03\xe8bye"))
            answer = await reader.read()
            writer.close()
    if model == MODEL:
        assert b'{"setupComplete":{"sessionId":' in answer
        assert answer.endswith(b"\x88\x05\x03\xe8bye")
    else:
        assert answer[:1] == b"\x88"
        assert answer[2:].startswith(b"\x03\xf0models/none is not found")
