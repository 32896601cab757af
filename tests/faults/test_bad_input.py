"""What clients do wrong ends with the right code and a reason that names the cause, and nobody else notices."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from openlive.config.keys import Key
from openlive.config.model import LimitSettings, ServerSettings
from openlive.server.engines import Engines
from tests.faults.neighbour import Talkative, undisturbed
from tests.raw import MANUAL, TALK, TEXT, client, kinds, text
from tests.serving import MODEL, PATH, Scripted, Server, serving, silence, tone

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
UNKNOWN = "Invalid JSON payload received. Unknown name"
SETUP_FIRST = "setup must be the first message and only the first"


@pytest.fixture(scope="module")
def talkative() -> Talkative:
    return Talkative(Scripted())


@pytest.fixture(scope="module")
def server(talkative: Talkative) -> Iterator[Server]:
    scripted = Scripted()
    engines = Engines(vad=scripted.vad, stt=scripted.stt, responder=talkative)
    with serving(engines, limits=LimitSettings(setup_seconds=1.0, message_bytes=2 * MIB)) as running:
        yield running


def audio(pcm: bytes, mime: str = "audio/pcm;rate=16000") -> str:
    data = base64.b64encode(pcm).decode()
    return json.dumps({"realtimeInput": {"audio": {"data": data, "mimeType": mime}}})


def content(part: dict[str, Any], role: str = "user") -> str:
    return json.dumps({"clientContent": {"turns": [{"role": role, "parts": [part]}], "turnComplete": True}})


SECOND: list[tuple[str, str | bytes, int, str]] = [
    ("unknown message", '{"foo": 1}', 1007, f'{UNKNOWN} "foo": Cannot find field.'),
    ("unknown field", '{"realtimeInput": {"sound": {}}}', 1007, f"{UNKNOWN} \"sound\" at 'realtime_input': Cannot"),
    (
        "unknown field deep down",
        '{"client_content": {"turns": [{"parts": [{"texts": "x"}]}]}}',
        1007,
        f"{UNKNOWN} \"texts\" at 'client_content.turns[0].parts[0]': Cannot find field.",
    ),
    ("broken JSON", '{"realtimeInput": {"text": "yo"}', 1007, "Invalid JSON payload received."),
    ("no JSON", "hello", 1007, "Invalid JSON payload received."),
    ("nothing", "", 1007, "Invalid JSON payload received."),
    ("nothing, binary", b"", 1007, "Invalid JSON payload received."),
    ("binary garbage", bytes(range(256)) * 40, 1007, "Invalid JSON payload received."),
    ("bare PCM", tone(0.1), 1007, "Invalid JSON payload received."),
    ("list", '[{"realtimeInput": {}}]', 1007, "Invalid JSON payload received."),
    ("string", '"setup"', 1007, "Invalid JSON payload received."),
    ("number", "3", 1007, "Invalid JSON payload received."),
    ("null", "null", 1007, "Invalid JSON payload received."),
    ("empty object", "{}", 1007, "Invalid JSON payload received. A message has one of setup, clientContent"),
    ("two messages in one", '{"clientContent": {}, "realtimeInput": {}}', 1007, "Invalid"),
    ("deep lists", '{"realtimeInput": ' + "[" * 5000 + "]" * 5000 + "}", 1007, "Invalid JSON payload received."),
    (
        "deep objects in a free-form place",
        '{"toolResponse": {"functionResponses": [{"response": ' + '{"a":' * 200 + "1" + "}" * 200 + "}]}}",
        1007,
        "Invalid JSON payload received.",
    ),
    ("very deep", "[" * 500_000, 1007, "Invalid JSON payload received."),
    ("second setup", json.dumps({"setup": TALK}), 1007, SETUP_FIRST),
    ("no WAV", audio(b"abc", "audio/wav"), 1007, "Invalid value at 'realtime_input.audio.data': no RIFF header"),
    (
        "no WAV in a chunk",
        '{"realtime_input": {"media_chunks": [{"data": "YWJj", "mime_type": "audio/wav"}]}}',
        1007,
        "Invalid value at 'realtime_input.media_chunks[0].data': no RIFF header",
    ),
    ("rate 0", audio(b"ab", "audio/pcm;rate=0"), 1007, "Invalid value at 'realtime_input.audio.mime_type': rate 0"),
    ("rate 1 GHz", audio(b"ab", "audio/pcm;rate=999999999"), 1007, "Invalid value at 'realtime_input.audio.mime_type'"),
    ("rate of 60 digits", audio(b"ab", "audio/pcm;rate=" + "9" * 60), 1007, "Invalid value at 'realtime_input.audio.m"),
    ("rate below zero", audio(b"ab", "audio/pcm;rate=-16000"), 1007, "Invalid value at 'realtime_input.audio.mime_t"),
    ("rate in words", audio(b"ab", "audio/pcm;rate=high"), 1007, "Invalid value at 'realtime_input.audio.mime_type'"),
    ("mp3", audio(b"ab", "audio/mpeg"), 1007, "Invalid value at 'realtime_input.audio.mime_type': audio/mpeg is not"),
    ("bad base64", '{"realtimeInput": {"audio": {"data": "a*b"}}}', 1007, "Invalid value at 'realtime_input.audio.da"),
    ("a WAV of nonsense", audio(b"RIFF1234WAVEdata" + bytes(8)), 1007, "Invalid value at 'realtime_input.audio.data'"),
    (
        "video of nonsense",
        '{"realtimeInput": {"video": {"data": "AAAA", "mimeType": "image/jpeg"}}}',
        1007,
        "Invalid value at 'realtime_input.video.data': not a JPEG",
    ),
    ("file", content({"fileData": {"fileUri": "gs://x"}}), 1007, "Invalid value at 'client_content.turns[0].parts[0]."),
    ("role", content({"text": "x"}, "banana"), 1007, "Invalid value at 'client_content.turns[0].role': 'banana' is no"),
    ("nothing to answer", '{"clientContent": {"turnComplete": true}}', 1007, "No turn to complete"),
    ("activity", '{"realtimeInput": {"activityStart": {}}}', 1007, "Explicit activity control is not supported when"),
    (
        "wrong type",
        '{"realtimeInput": {"text": {"a": 1}}}',
        1007,
        f"{UNKNOWN} \"text\" at 'realtime_input': Proto field",
    ),
    ("wrong type of list", '{"clientContent": {"turns": [3]}}', 1007, "Invalid value at 'client_content.turns[0]'"),
]
"""What follows a good setup: name, frame, code, beginning of the reason."""

FIRST: list[tuple[str, str | bytes, int, str]] = [
    ("audio", audio(tone(0.1)), 1007, SETUP_FIRST),
    ("text", content({"text": "x"}), 1007, SETUP_FIRST),
    ("stream end", '{"realtimeInput": {"audioStreamEnd": true}}', 1007, SETUP_FIRST),
    ("garbage", b"\x00\x01", 1007, "Invalid JSON payload received."),
    ("no model", '{"setup": {}}', 1007, "Invalid value at 'setup.model': a model has to be named"),
    (
        "unknown model",
        '{"setup": {"model": "models/none"}}',
        1008,
        "models/none is not found for API version v1beta, or is not supported for bidiGenerateContent. Call ListModels",
    ),
    ("long name", json.dumps({"setup": {"model": "models/" + "ä" * 500}}), 1008, "models/ää"),
    (
        "unknown field",
        json.dumps({"setup": {**TALK, "session_resumptions": {}}}),
        1007,
        f"{UNKNOWN} \"session_resumptions\" at 'setup': Cannot find field.",
    ),
    (
        "two modalities",
        json.dumps({"setup": {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}}),
        1007,
        "At most one response modality can be specified in the setup request.",
    ),
    (
        "unknown voice",
        json.dumps(
            {"setup": {"model": MODEL, "generationConfig": {"speechConfig": {"voiceConfig": {"voice": "Bob"}}}}}
        ),
        1007,
        f"Requested voice api_name 'Bob' is not available for model models/{MODEL}",
    ),
    ("over 1 MiB", json.dumps({"setup": {**TALK, "labels": {"a": "b" * MIB}}}), 1009, "The first message is over its"),
]
"""Instead of a good setup."""


def check(end: tuple[int, str], code: int, why: str) -> None:
    assert end[0] == code, end
    assert end[1].startswith(why[:123]), end
    assert len(end[1].encode()) <= 123


@pytest.mark.parametrize(("frame", "code", "why"), [row[1:] for row in SECOND], ids=[row[0] for row in SECOND])
async def test_after_the_setup(server: Server, talkative: Talkative, frame: str | bytes, code: int, why: str) -> None:
    async with undisturbed(server, talkative), client(server, TALK) as bad:
        await bad.ws.send(frame)
        check(await bad.closed(), code, why)


@pytest.mark.parametrize(("frame", "code", "why"), [row[1:] for row in FIRST], ids=[row[0] for row in FIRST])
async def test_in_the_place_of_the_setup(
    server: Server, talkative: Talkative, frame: str | bytes, code: int, why: str
) -> None:
    async with undisturbed(server, talkative), client(server) as bad:
        await bad.ws.send(frame)
        check(await bad.closed(), code, why)


async def test_no_setup(server: Server, talkative: Talkative) -> None:
    async with undisturbed(server, talkative), client(server) as bad:
        check(await bad.closed(4), 1008, "No setup message within 1 s.")


async def test_text_that_is_no_utf8(server: Server, talkative: Talkative) -> None:
    async with undisturbed(server, talkative), client(server, TALK) as bad:
        await bad.ws.send(b'{"realtimeInput": {"text": "\xff"}}', text=True)
        check(await bad.closed(), 1007, "A text message is not valid UTF-8: invalid start byte at byte 28.")


@pytest.mark.parametrize("fragments", [1, 5])
async def test_a_message_over_the_limit(server: Server, talkative: Talkative, fragments: int) -> None:
    frame = audio(silence(60))
    size = len(frame) // fragments + 1
    async with undisturbed(server, talkative), client(server, TALK) as bad:
        await bad.ws.send([frame[i : i + size] for i in range(0, len(frame), size)] if fragments > 1 else frame)
        code, why = await bad.closed()
        assert code == 1009
        assert "limit" in why
        assert "2097152 bytes" in why


async def test_a_method_that_is_not_there(server: Server, talkative: Talkative) -> None:
    path = PATH.replace("BidiGenerateContent", "BidiGenerateMusic")
    async with undisturbed(server, talkative), client(server, path=path) as bad:
        await bad.say({"setup": TALK})
        check(await bad.closed(), 1008, "Operation is not implemented, or supported, or enabled.")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/ws/google.ai.generativelanguage.v2.GenerativeService.BidiGenerateContent", {}, 404),
        ("/", {}, 404),
        ("/ws/../" + "x" * 2000, {}, 404),
        (PATH, {"Origin": "https://example.com"}, 403),
        (PATH, {"Origin": "null"}, 403),
    ],
)
async def test_at_the_door(
    server: Server, talkative: Talkative, path: str, headers: dict[str, str], status: int
) -> None:
    async with undisturbed(server, talkative):
        with pytest.raises(InvalidStatus) as refused:
            async with client(server, path=path, headers=headers):
                raise AssertionError("it was let in")
        assert refused.value.response.status_code == status
        assert refused.value.response.body


async def test_a_host_name_of_somebody_elses(server: Server, talkative: Talkative) -> None:
    """As after DNS rebinding: the name is theirs, the address this machine's."""
    rebound = connect(f"ws://rebound.example:{server.port}{PATH}", host="127.0.0.1", port=server.port, proxy=None)
    async with undisturbed(server, talkative):
        with pytest.raises(InvalidStatus) as refused:
            await rebound
        assert refused.value.response.status_code == 403
        assert b"loopback" in (refused.value.response.body or b"")


async def test_a_page_on_this_machine_is_let_in(server: Server) -> None:
    async with client(server, TEXT, headers={"Origin": "http://localhost:5173"}) as page:
        await page.ask("hello")
        assert text(await page.turn()) == "You said: hello"


async def test_what_is_not_wrong(server: Server) -> None:
    """Messages that ask for nothing are no reason to hang up."""
    harmless: list[dict[str, Any]] = [
        {"clientContent": {}},
        {"client_content": {"turns": [], "turn_complete": None}},
        {"realtimeInput": {}},
        {"realtimeInput": {"audio": {"data": "", "mimeType": "audio/pcm"}}},
        {"realtimeInput": {"audioStreamEnd": True}},
        {"realtimeInput": {"audioStreamEnd": False}},
        {"toolResponse": {"functionResponses": [{"id": "7", "name": "f", "response": {"a": 1}}]}},
    ]
    async with client(server, TEXT) as good:
        for message in harmless:
            await good.say(message)
        await good.ask("hello")
        turn = await good.turn()
        assert text(turn) == "You said: hello"


async def test_an_activity_of_one_message(server: Server) -> None:
    """Beginning, audio and end at once: the audio lies between them."""
    sound = {"data": base64.b64encode(tone(0.5)).decode(), "mimeType": "audio/pcm"}
    async with client(server, MANUAL) as good:
        await good.say({"realtimeInput": {"activityStart": {}, "audio": sound, "activityEnd": {}}})
        turn = await good.turn()
        assert kinds(turn)[0] == "heard"


@pytest.fixture(scope="module")
def locked() -> Iterator[Server]:
    with serving(server=ServerSettings(keys=(Key("me", "the-right-key-0123456789"),))) as running:
        yield running


class TestKeys:
    @pytest.mark.parametrize(
        ("headers", "query", "code", "why"),
        [
            ({"x-goog-api-key": ""}, "", 1008, "Method doesn't allow unregistered callers (callers without establi"),
            ({"x-goog-api-key": "wrong"}, "", 1007, "API key not valid. Please pass a valid API key."),
            ({"x-goog-api-key": ""}, "?key=wrong", 1007, "API key not valid. Please pass a valid API key."),
        ],
    )
    async def test_refused_after_the_setup(
        self, locked: Server, headers: dict[str, str], query: str, code: int, why: str
    ) -> None:
        async with client(locked, path=PATH + query, headers=headers) as bad:
            await bad.say({"setup": TALK})
            check(await bad.closed(), code, why)

    @pytest.mark.parametrize(
        ("headers", "query"),
        [
            ({"x-goog-api-key": "the-right-key-0123456789"}, ""),
            ({"x-goog-api-key": ""}, "?key=the-right-key-0123456789"),
            ({"x-goog-api-key": "", "Authorization": "Bearer the-right-key-0123456789"}, ""),
        ],
    )
    async def test_let_in(self, locked: Server, headers: dict[str, str], query: str) -> None:
        async with client(locked, TEXT, path=PATH + query, headers=headers) as good:
            await good.ask("hello")
            assert text(await good.turn()) == "You said: hello"
