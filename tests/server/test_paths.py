"""The paths of Vertex and of Firebase, and what is different behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openlive.config.keys import Key
from openlive.config.model import ServerSettings
from openlive.core.listening.activity import MS
from openlive.core.setup.profile import ModelProfile
from openlive.core.setup.settings import settings_from_setup
from openlive.server.paths import Door, door
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT
from openlive.wire.json import parse
from openlive.wire.setup import Setup
from tests.raw import TALK, TEXT, client, contents, kinds, text
from tests.serving import MODEL, PATH, Scripted, Server, serving, silence, tone

pytestmark = pytest.mark.anyio

VERTEX = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
FIREBASE = "/ws/google.firebase.vertexai.v1beta.GenerativeService/BidiGenerateContent"
VERTEX_MODEL = "projects/P/locations/us-central1/publishers/google/models/gemini-live-2.5-flash"
KEY = "k-anna-0123456789"
UNKNOWN = "Invalid JSON payload received. Unknown name"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (PATH, Door("v1beta")),
        ("/" + PATH, Door("v1beta")),
        (PATH.replace("v1beta", "v1alpha") + "Constrained", Door("v1alpha", "BidiGenerateContentConstrained")),
        (PATH.replace("Content", "Music"), Door("v1beta", "BidiGenerateMusic")),
        (VERTEX, Door("v1beta1", vertex=True)),
        ("//ws//google.cloud.aiplatform.v1.LlmBidiService//BidiGenerateContent/", Door("v1", vertex=True)),
        (FIREBASE, Door("v1beta")),
        ("/", None),
        (PATH.replace("v1beta", "v2"), None),
        (VERTEX.replace("v1beta1", "v1beta"), None),
        (VERTEX.replace("/BidiGenerate", ".BidiGenerate"), None),
        (PATH + "/more", None),
        ("/x" + PATH, None),
    ],
)
def test_paths(path: str, found: Door | None) -> None:
    assert door(path) == found


def test_what_doors_let_in() -> None:
    assert Door("v1").implemented
    assert not Door("v1").constrained
    assert Door("v1", "BidiGenerateContentConstrained").constrained
    assert not Door("v1", "BidiGenerateMusic").implemented


@pytest.fixture(scope="module")
def scripted() -> Scripted:
    return Scripted(stt=ScriptedSTT(transcripts=("What is it?",)), llm=ScriptedLLM())


@pytest.fixture(scope="module")
def server(scripted: Scripted) -> Iterator[Server]:
    with serving(scripted.engines) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (VERTEX, VERTEX_MODEL),
        (VERTEX, "publishers/google/models/gemini-live-2.5-flash"),
        (VERTEX.replace("v1beta1", "v1"), VERTEX_MODEL),
        ("/" + VERTEX, VERTEX_MODEL),
        (FIREBASE + "?key=any", f"projects/P/models/{MODEL}"),
        (PATH, MODEL),
    ],
)
async def test_a_conversation_by_every_door(server: Server, path: str, model: str) -> None:
    async with client(server, {**TEXT, "model": model}, path=path) as raw:
        assert raw.session
        await raw.ask("hello")
        assert text(await raw.turn()) == "You said: hello"


async def test_an_unknown_model_is_told_as_it_was_asked_for(server: Server) -> None:
    async with client(server, path=VERTEX) as raw:
        await raw.say({"setup": {"model": "projects/P/locations/L/publishers/google/models/none"}})
        code, reason = await raw.closed()
    assert code == 1008
    assert reason.startswith(
        "projects/P/locations/L/publishers/google/models/none is not found for API version v1beta1"
    )


async def test_a_bearer_is_a_key(server: Server) -> None:
    with serving(server=ServerSettings(keys=(Key("anna", KEY),))) as locked:
        bearer = {"x-goog-api-key": "", "Authorization": f"Bearer {KEY}"}
        async with client(locked, {**TEXT, "model": VERTEX_MODEL}, path=VERTEX, headers=bearer) as raw:
            await raw.ask("hello")
            assert text(await raw.turn()) == "You said: hello"
        async with client(locked, path=VERTEX, headers=bearer | {"Authorization": "Bearer ya29.other"}) as raw:
            await raw.say({"setup": TEXT})
            assert await raw.closed() == (1007, "API key not valid. Please pass a valid API key.")


async def test_audio_and_usage_as_vertex_has_them(server: Server) -> None:
    async with client(server, {**TALK, "model": VERTEX_MODEL}, path=VERTEX) as raw:
        await raw.ask("hello")
        turn = await raw.turn()
    blobs = [p["inlineData"] for c in contents(turn) for p in c.get("modelTurn", {}).get("parts", [])]
    assert {blob["mimeType"] for blob in blobs} == {"audio/pcm"}
    usage = turn[-1]["usageMetadata"]
    assert usage["candidatesTokenCount"] == sum(d["tokenCount"] for d in usage["candidatesTokensDetails"]) > 0
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"]
    assert not {"responseTokenCount", "responseTokensDetails"} & set(usage)


async def test_the_gemini_doors_keep_their_names(server: Server) -> None:
    for path in (PATH, FIREBASE):
        async with client(server, TALK, path=path) as raw:
            await raw.ask("hello")
            turn = await raw.turn()
        usage = turn[-1]["usageMetadata"]
        assert usage["responseTokensDetails"]
        assert not {"candidatesTokenCount", "candidatesTokensDetails"} & set(usage)
        blobs = [p["inlineData"] for c in contents(turn) for p in c.get("modelTurn", {}).get("parts", [])]
        assert {blob["mimeType"] for blob in blobs} == {"audio/pcm;rate=24000"}


async def test_vertex_signals_of_speech(server: Server) -> None:
    async with client(server, {**TALK, "explicitVadSignal": True}, path=VERTEX) as raw:
        await raw.speak(tone(1.0) + silence(1.5))
        heard: list[dict[str, Any]] = []
        while not heard or not heard[-1].get("serverContent", {}).get("turnComplete"):
            heard.append(await raw.hear())
    signals = [m["voiceActivityDetectionSignal"]["vadSignalType"] for m in heard if "voiceActivityDetectionSignal" in m]
    assert signals == ["VAD_SIGNAL_TYPE_SOS", "VAD_SIGNAL_TYPE_EOS"]
    assert [m["voiceActivity"]["type"] for m in heard if "voiceActivity" in m] == ["ACTIVITY_START", "ACTIVITY_END"]
    assert kinds([m for m in heard if "serverContent" in m])[-1] == "turnComplete"


async def test_transparent_resumption_is_vertex_s(server: Server) -> None:
    async with client(server, {**TEXT, "sessionResumption": {"transparent": True}}, path=VERTEX) as raw:
        update = (await raw.hear())["sessionResumptionUpdate"]
        assert update["resumable"]
        assert update["newHandle"]
        assert update["lastConsumedClientMessageIndex"] == "1"


@pytest.mark.parametrize("path", [PATH, FIREBASE])
@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        ({"sessionResumption": {"transparent": True}}, f"{UNKNOWN} \"transparent\" at 'setup.session_resumption'"),
        ({"session_resumption": {"transparent": False}}, f"{UNKNOWN} \"transparent\" at 'setup.session_resumption'"),
        ({"explicitVadSignal": True}, f"{UNKNOWN} \"explicitVadSignal\" at 'setup'"),
    ],
)
async def test_what_only_vertex_knows(server: Server, path: str, setup: dict[str, Any], reason: str) -> None:
    async with client(server, path=path) as raw:
        await raw.say({"setup": {**TEXT, **setup}})
        assert await raw.closed() == (1007, f"{reason}: Cannot find field.")


async def test_a_response_without_an_id_is_matched_by_name() -> None:
    llm = ScriptedLLM(replies=("call:f", "It is {}."))
    with serving(Scripted(llm=llm).engines) as server:
        setup = {**TEXT, "tools": [{"functionDeclarations": [{"name": "f"}]}]}
        async with client(server, setup, path=VERTEX) as raw:
            await raw.ask("what is it?")
            call = (await raw.hear())["toolCall"]["functionCalls"][0]
            assert call["name"] == "f"
            await raw.say({"tool_response": {"functionResponses": [{"name": "f", "response": {"result": "ok"}}]}})
            assert kinds(await raw.turn())[-1] == "turnComplete"


def test_sensitivities_are_low_on_vertex_unless_asked_for() -> None:
    profiles = {MODEL: ModelProfile(MODEL)}
    asked = {"startOfSpeechSensitivity": "START_SENSITIVITY_HIGH", "endOfSpeechSensitivity": "END_SENSITIVITY_HIGH"}
    plain = parse(Setup, {"model": MODEL})
    high = parse(Setup, {"model": MODEL, "realtimeInputConfig": {"automaticActivityDetection": asked}})
    gemini = settings_from_setup(plain, profiles, "v1").activity
    vertex = settings_from_setup(plain, profiles, "v1", vertex=True).activity
    assert settings_from_setup(high, profiles, "v1", vertex=True).activity == gemini
    assert vertex.start > gemini.start
    assert vertex.silence == 1000 * MS > gemini.silence
