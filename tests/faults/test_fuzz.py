"""Whatever comes after a setup, or in its place: the session goes on or is closed with a reason, and never hangs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from openlive.config.model import LimitSettings
from tests.raw import MANUAL, TALK, TEXT, Raw, client, text
from tests.serving import Server, serving

NAMES = (
    *("setup", "clientContent", "client_content", "realtimeInput", "realtime_input", "toolResponse", "contextUpdate"),
    *("turns", "parts", "text", "role", "turnComplete", "turn_complete", "inlineData", "fileData", "functionCall"),
    *("audio", "video", "mediaChunks", "media_chunks", "data", "mimeType", "mime_type", "audioStreamEnd"),
    *("activityStart", "activityEnd", "functionResponses", "response", "id", "name", "systemInstruction", "tools"),
    *("model", "generationConfig", "responseModalities", "thought", "args", "x"),
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        (
            "",
            "user",
            "model",
            "hello",
            "audio/pcm;rate=16000",
            "image/png",
            "audio/pcm;rate=1",
            "AAAA",
            "UklGRg==",
            "🙂",
        )
    ),
    st.text(max_size=8),
)
JSON = st.recursive(
    VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_leaves=12,
)
AUDIO = st.builds(
    lambda size, mime: {"realtimeInput": {"audio": {"data": "AAAA" * size, "mimeType": mime}}},
    st.integers(0, 4000),
    st.sampled_from(("audio/pcm", "audio/pcm;rate=16000", "audio/pcm;rate=44100", "audio/wav", "")),
)
SENSIBLE: list[dict[str, Any]] = [
    {"clientContent": {"turns": [{"role": "user", "parts": [{"text": "hello"}]}], "turnComplete": True}},
    {"clientContent": {"turns": "hello"}},
    {"realtimeInput": {"text": "hello"}},
    {"realtimeInput": {"audioStreamEnd": True}},
    {"realtimeInput": {"activityStart": {}}},
    {"realtimeInput": {"activityEnd": {}}},
    {"realtimeInput": {"activityEnd": {}, "activityStart": {}, "text": "x"}},
    {"toolResponse": {"functionResponses": [{"id": "1", "name": "f", "response": {}}]}},
]
SPOKEN = AUDIO.map(json.dumps)
MESSAGE = st.one_of(
    JSON.map(json.dumps),
    st.dictionaries(st.sampled_from(NAMES[:7]), JSON, min_size=1, max_size=2).map(json.dumps),
    SPOKEN,
    st.sampled_from(SENSIBLE).map(json.dumps),
    st.binary(max_size=40),
)
PEACEFUL = st.one_of(SPOKEN, st.sampled_from(SENSIBLE).map(json.dumps))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(limits=LimitSettings(setup_seconds=2.0)) as running:
        yield running


async def survives(server: Server, setup: dict[str, Any] | None, messages: list[str | bytes]) -> None:
    async with client(server, setup, secure=False) as raw:
        try:
            for message in messages:
                await raw.ws.send(message)
            await raw.ping()
        except ConnectionClosed as end:
            assert_told(end)
            return
        await said_nothing_wrong(raw)


async def said_nothing_wrong(raw: Raw) -> None:
    """It is open: then it can be closed, and what came so far can be read."""
    try:
        async with asyncio.timeout(0.02):
            while True:
                json.loads(await raw.ws.recv())
    except TimeoutError:
        return
    except ConnectionClosed as end:
        assert_told(end)


def assert_told(end: ConnectionClosed) -> None:
    assert end.rcvd is not None, "the connection broke"
    assert end.rcvd.code in (1007, 1008), end.rcvd
    assert end.rcvd.reason
    assert not end.rcvd.reason.startswith("Internal")


def one(server: Server, setup: dict[str, Any] | None, messages: list[str | bytes]) -> None:
    asyncio.run(survives(server, setup, messages))
    assert not server.errors


SETTINGS = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(messages=st.lists(MESSAGE, min_size=1, max_size=4))
def test_after_the_setup(server: Server, messages: list[str | bytes]) -> None:
    one(server, TEXT, messages)


@SETTINGS
@given(messages=st.lists(PEACEFUL, min_size=2, max_size=12), manual=st.booleans())
def test_sensible_messages_in_any_order(server: Server, messages: list[str | bytes], manual: bool) -> None:
    one(server, MANUAL if manual else TALK, messages)


@SETTINGS
@given(setup=st.dictionaries(st.sampled_from((*NAMES, *TALK, "realtimeInputConfig")), JSON, max_size=3))
def test_in_the_place_of_the_setup(server: Server, setup: dict[str, Any]) -> None:
    one(server, None, [json.dumps({"setup": {"model": TEXT["model"], **setup}})])


def test_the_server_is_as_before(server: Server) -> None:
    async def ask() -> None:
        async with client(server, TEXT) as raw:
            await raw.ask("hello")
            assert text(await raw.turn()) == "You said: hello"

    asyncio.run(ask())
    assert not server.errors
