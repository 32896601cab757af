"""Affective dialog as the Python SDK asks for it. A tone is somebody who says one syllable, on one note."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.genai import types
from google.genai.errors import APIError

from openlive.types import Heard, Voice
from tests.sdk.live import pcm, receive, session
from tests.serving import Scripted, Server, serving, silence, tone

pytestmark = pytest.mark.anyio

NATIVE = "gemini-2.5-flash-preview-native-audio-dialog"
AFFECTIVE = types.LiveConnectConfig(response_modalities=[types.Modality.AUDIO], enable_affective_dialog=True)
PLAIN = types.LiveConnectConfig(response_modalities=[types.Modality.AUDIO])


@pytest.fixture(scope="module")
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def server(scripted: Scripted) -> Iterator[Server]:
    with serving(scripted.engines) as running:
        yield running


async def ask(server: Server, config: types.LiveConnectConfig) -> None:
    async with session(server, config.model_dump(exclude_none=True), NATIVE, api_version="v1alpha") as opened:
        await opened.send_realtime_input(audio=pcm(tone(1.5, 200) + silence(1.2)))
        await receive(opened)


async def test_the_users_mood_reaches_the_model_and_the_voice(server: Server, scripted: Scripted) -> None:
    await ask(server, AFFECTIVE)
    [heard] = scripted.llm.requests[-1].messages[-1].parts
    _, voice = scripted.tts.spoken[-1]
    assert isinstance(heard, Heard)
    assert (heard.mood, heard.strong) == ("flat", True)
    assert voice.speed < 1
    assert voice.pitch < 0
    assert voice.gain < 0


async def test_it_is_off_by_default(server: Server, scripted: Scripted) -> None:
    await ask(server, PLAIN)
    [heard] = scripted.llm.requests[-1].messages[-1].parts
    assert isinstance(heard, Heard)
    assert heard.mood == ""
    assert scripted.tts.spoken[-1][1] == Voice("Puck", expected="en")


@pytest.mark.parametrize(
    ("version", "model", "reason"),
    [
        ("v1", NATIVE, "Unknown name \"enableAffectiveDialog\" at 'setup.generation_config'"),
        ("v1beta", NATIVE, "Unknown name \"enableAffectiveDialog\" at 'setup.generation_config'"),
        (
            "v1alpha",
            "gemini-3.8-live",
            "'setup.generation_config.enable_affective_dialog': not on this model; use gemini-live-2.5",
        ),
    ],
)
async def test_where_it_is_refused(server: Server, version: str, model: str, reason: str) -> None:
    with pytest.raises(APIError) as refused:
        async with session(server, AFFECTIVE.model_dump(exclude_none=True), model, api_version=version):
            pass
    assert refused.value.code == 1007
    assert reason in str(refused.value)
