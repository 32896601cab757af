"""Proactive audio with the official Python SDK."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from openlive.engines.scripted import ScriptedAddressee, ScriptedLLM, ScriptedSTT
from tests.sdk.live import AUDIO, BOTH, pcm, receive, session
from tests.serving import Scripted, serving, tone

pytestmark = pytest.mark.anyio

NATIVE = "gemini-2.5-flash-preview-native-audio-dialog"
ASIDE, QUESTION = tone(1.0, 300), tone(1.0, 900)
HEARD = {300: "Honey, where are my keys?", 900: "What did they look for?"}


async def test_what_is_not_meant_for_the_model_gets_a_turn_without_an_answer() -> None:
    scripted = Scripted(stt=ScriptedSTT(tones=HEARD), llm=ScriptedLLM(replies=("You said: {}",)))
    engines = replace(scripted.engines, addressee=ScriptedAddressee(asides=("Honey",)))
    config = AUDIO | BOTH | {"proactivity": {"proactive_audio": True}}
    with serving(engines) as server:
        async with session(server, config, NATIVE, api_version="v1alpha") as opened:
            await opened.send_realtime_input(audio=pcm(ASIDE))
            turn = await receive(opened)
            assert (turn.heard, turn.said, turn.blobs) == ("Honey, where are my keys?", "", [])
            await opened.send_realtime_input(audio=pcm(QUESTION))
            assert (await receive(opened)).said == "You said: What did they look for?"
