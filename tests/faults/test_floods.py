"""The reader never stops, and what a client piles up is bounded."""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
from collections.abc import Iterator

import pytest

from openlive.config.model import LimitSettings
from openlive.server import connection
from openlive.server.engines import Engines
from openlive.server.net import listener, websocket
from openlive.testing.scripted import Fault, ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD
from tests.faults.neighbour import Talkative, undisturbed
from tests.raw import MANUAL, TALK, TEXT, Raw, client, reason, text
from tests.serving import Scripted, Server, serving, tone

pytestmark = pytest.mark.anyio

ALWAYS: dict[int, Fault] = dict.fromkeys(range(1, 1000), "hang")
PING = 2.0
"""Seconds within which a ping is answered. 100 ms are promised; a loaded test machine may be slower."""


async def flood(raw: Raw, message: str, count: int) -> None:
    """Sends the same message many times, past the library, which would keep this process busy with masking."""
    payload = message.encode()
    assert len(payload) < 65536
    size = len(payload).to_bytes(1) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2)
    frame = b"\x81" + bytes([size[0] | 0x80]) + size[1:] + bytes(4) + payload
    transport = raw.ws.transport
    transport.set_write_buffer_limits(0)
    for begin in range(0, count, 500):
        if transport.is_closing():
            return
        transport.write(frame * min(500, count - begin))
        while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("deaf", ["vad", "stt", "llm", "tts"])
async def test_pings_are_answered_while_an_engine_is_deaf(deaf: str) -> None:
    kinds = {"vad": ScriptedVAD, "stt": ScriptedSTT, "llm": ScriptedLLM, "tts": ScriptedTTS}
    scripted = Scripted(**{deaf: kinds[deaf](faults=ALWAYS)})
    delays = []
    with serving(scripted.engines) as server:
        async with client(server, TALK) as talker:
            await talker.speak(tone(0.5))
            for _ in range(40):
                await talker.speak(tone(0.05) if deaf in ("vad", "stt") else bytes(1600))
                delays.append(await talker.ping(5))
                await asyncio.sleep(0.025)
            assert getattr(scripted, deaf).uses > 0
    print(f"\n{deaf} deaf: ping median {statistics.median(delays) * 1e3:.1f} ms, most {max(delays) * 1e3:.1f} ms")
    assert max(delays) < PING


async def test_more_audio_than_may_wait_ends_the_session() -> None:
    """Live chunks, faster than a deaf detector takes them."""
    scripted = Scripted(vad=ScriptedVAD(faults=ALWAYS))
    talkative = Talkative(scripted)
    engines = Engines(vad=ScriptedVAD(faults={1: "hang"}), stt=scripted.stt, responder=talkative)
    with serving(engines, limits=LimitSettings(backlog_seconds=5.0)) as server:
        async with undisturbed(server, talkative), client(server, TALK) as flooder:
            for _ in range(60):
                await flooder.speak(tone(0.1))
            end = await flooder.closed()
    assert end == (1008, "More than 5 s of audio wait to be processed; send it more slowly.")


async def test_an_activity_of_the_clients_without_an_end() -> None:
    """It is ended where it gets too long, or a deaf recogniser would pile it up without a bound."""
    scripted = Scripted(stt=ScriptedSTT(faults=ALWAYS))
    limits = LimitSettings(utterance_seconds=5.0, recogniser_seconds=0.5)
    with serving(scripted.engines, limits=limits) as server:
        async with client(server, MANUAL) as flooder:
            await flooder.say({"realtimeInput": {"activityStart": {}}})
            for _ in range(60):
                await flooder.speak(tone(0.1))
            assert reason(await flooder.turn()) == "INPUT_OTHER"


@pytest.fixture
def talkative() -> Talkative:
    return Talkative(Scripted())


@pytest.fixture
def server(talkative: Talkative) -> Iterator[Server]:
    scripted = Scripted()
    with serving(Engines(vad=scripted.vad, stt=scripted.stt, responder=talkative)) as running:
        yield running


SMALL = [
    json.dumps({"realtimeInput": {"audio": {"data": base64.b64encode(bytes(64)).decode(), "mimeType": "audio/pcm"}}}),
    '{"realtimeInput":{}}',
    '{"realtimeInput":{"audioStreamEnd":true}}',
    '{"clientContent":{"turns":{"parts":{"text":"x"}}}}',
]


@pytest.mark.parametrize("message", SMALL)
async def test_a_flood_of_small_messages_leaves_the_others_their_turn(
    server: Server, talkative: Talkative, message: str
) -> None:
    delays: list[float] = []

    async def watch(other: Raw) -> None:
        while True:
            delays.append(await other.ping(10))
            await asyncio.sleep(0.01)

    async with undisturbed(server, talkative), client(server, TEXT) as other, client(server, TEXT) as flooder:
        watching = asyncio.create_task(watch(other))
        await flood(flooder, message, 20_000)
        await flooder.ws.close()
        watching.cancel()
        await other.ask("hello")
        assert text(await other.turn()) == "You said: hello"
    print(f"\nping of a neighbour: median {statistics.median(delays) * 1e3:.1f} ms, most {max(delays) * 1e3:.1f} ms")
    assert max(delays) < PING


@pytest.mark.parametrize("secure", [True, False])
async def test_a_client_that_never_reads_is_cut(
    server: Server, talkative: Talkative, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    """38 MB of answer are more than the sockets hold. Its place is free soon after."""
    monkeypatch.setattr(connection, "SEND_TIMEOUT", 0.5)
    monkeypatch.setattr(websocket, "CLOSE_TIMEOUT", 0.5)
    monkeypatch.setattr(listener, "TLS_SHUTDOWN", 0.5)
    idle = server.tasks()
    async with undisturbed(server, talkative), client(server, TALK, secure=secure) as deaf:
        assert server.connections() == 2
        deaf.ws.transport.pause_reading()
        await deaf.ask("much")
        assert await server.comes_to(lambda: server.connections() == 1, 5)
        deaf.ws.transport.abort()
    assert await server.comes_to(lambda: server.tasks_now() <= idle, 5)
