"""Proactive audio and video with the official Python SDK."""

from __future__ import annotations

import asyncio

import pytest
from google.genai import types
from msgspec.structs import replace

from openlive.testing.scripted import ScriptedAddressee, ScriptedLLM, ScriptedSTT
from openlive.types import Request
from tests.engines.vision.signs import encoded, picture
from tests.sdk.live import AUDIO, BOTH, TEXT, pcm, receive, session
from tests.serving import Scripted, serving, tone

pytestmark = pytest.mark.anyio

VIDEO = {"proactivity": {"proactive_audio": True, "proactive_video": True}}
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


async def test_the_model_speaks_up_about_a_frame() -> None:
    scripted = Scripted(llm=ScriptedLLM(replies=("There is the exit.",), notable=("EXIT",)))
    engines = replace(scripted.engines, addressee=ScriptedAddressee(), watcher=scripted.llm)
    with serving(engines) as server:
        async with session(server, AUDIO | BOTH | VIDEO, NATIVE, api_version="v1alpha") as opened:
            for sign in ("", "WC", "WC", "EXIT", "EXIT"):
                data = encoded(picture(sign)) + sign.encode()  # the letters are for the scripted model
                await opened.send_realtime_input(video=types.Blob(data=data, mime_type="image/jpeg"))
            turn = await receive(opened)
            assert turn.said == "There is the exit."
            assert turn.blobs
            assert turn.kinds[-1] == "turn_complete"
            await opened.send_realtime_input(text="Thank you.")
            assert (await receive(opened)).said == "There is the exit."
    assert [len(request.messages) for request in scripted.llm.requests] == [1, 3], "it spoke up once"


class Stuck:
    """Never comes to a judgement."""

    asked = stopped = 0

    async def notices(self, request: Request) -> float:
        self.asked += 1
        try:
            return float(await asyncio.Event().wait())
        finally:
            self.stopped += 1


class Broken:
    async def notices(self, request: Request) -> float:
        raise RuntimeError("it broke")


async def test_a_judgement_under_way_is_stopped_when_the_user_wants_something() -> None:
    watcher = Stuck()
    engines = replace(Scripted().engines, addressee=ScriptedAddressee(), watcher=watcher)
    with serving(engines) as server:
        async with session(server, TEXT | VIDEO, api_version="v1alpha") as opened:
            await opened.send_realtime_input(video=types.Blob(data=encoded(picture("EXIT")), mime_type="image/jpeg"))
            assert await server.comes_to(lambda: watcher.asked == 1)
            await opened.send_realtime_input(text="Hello")
            assert (await receive(opened)).text == "You said: Hello"
            assert await server.comes_to(lambda: watcher.stopped == 1)


async def test_a_judge_that_fails_costs_nobody_the_session() -> None:
    engines = replace(Scripted().engines, addressee=ScriptedAddressee(), watcher=Broken())
    with serving(engines, fails=["scene 1 failed"]) as server:
        async with session(server, TEXT | VIDEO, api_version="v1alpha") as opened:
            await opened.send_realtime_input(video=types.Blob(data=encoded(picture("EXIT")), mime_type="image/jpeg"))
            assert await server.comes_to(lambda: bool(server.errors))
            await opened.send_realtime_input(text="Hello")
            assert (await receive(opened)).text == "You said: Hello"
