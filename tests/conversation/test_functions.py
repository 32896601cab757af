"""A voice agent that acts: spoken requests, functions of the client's, on the real models, through the Python SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.genai import types
from google.genai.live import AsyncSession

from openlive.audio import read_wav
from tests.sdk.live import AUDIO, BOTH, pcm, session
from tests.serving import Server, silence

SECONDS = 800.0
"""What the first of them may take: the program that tells the calls is computed before, 1,200 tokens, which takes a
slow core minutes."""
pytestmark = [pytest.mark.weights, pytest.mark.anyio, pytest.mark.timeout(SECONDS + 60)]
SPEECH = Path(__file__).parent.parent / "speech" / "synthetic"
CITY = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}


class Talk:
    """A session that is listened to all the time, as programs with a loudspeaker do. `told` is its transcript."""

    def __init__(self, opened: AsyncSession) -> None:
        self._opened = opened
        self.told: list[str] = []
        self.calls: list[types.FunctionCall] = []
        self.turns: list[str] = []
        """What was said in each turn that has ended."""
        self._said = self._heard = ""
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        while True:
            async for message in self._opened.receive():
                self._take(message)
                self._changed.set()

    def _take(self, message: types.LiveServerMessage) -> None:
        for call in (message.tool_call.function_calls or []) if message.tool_call else []:
            self.calls.append(call)
            self.told.append(f"call:  {call.name}({call.args})")
        content = message.server_content
        if content is None:
            return
        if content.input_transcription:
            self._heard += content.input_transcription.text or ""
            if content.input_transcription.finished:
                self.told.append(f"user:  {self._heard}")
                self._heard = ""
        if content.output_transcription:
            self._said += content.output_transcription.text or ""
        if content.turn_complete:
            self.turns.append(self._said)
            self.told.append(f"model: {self._said}")
            self._said = ""

    async def say(self, name: str) -> None:
        await self._opened.send_realtime_input(audio=pcm(read_wav(SPEECH / f"{name}.wav") + silence(1.2)))

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


async def test_a_slow_call_runs_while_the_talk_goes_on(server: Server) -> None:
    weather = {"name": "get_weather", "description": "Tells the weather in a city today.", "parameters": CITY}
    tools = {"tools": [{"function_declarations": [{**weather, "behavior": "NON_BLOCKING"}]}]}
    config: dict[str, Any] = AUDIO | BOTH | tools
    async with session(server, config, seconds=SECONDS) as opened:
        talk = Talk(opened)
        listening = asyncio.ensure_future(talk.listen())
        try:
            await talk.say("q_weather")
            await talk.until(lambda: bool(talk.calls and talk.turns))
            [call] = talk.calls
            await talk.say("q_capital")
            await talk.until(lambda: len(talk.turns) >= 2)
            assert "Paris" in talk.turns[1]
            result = {"output": {"temperature": "17 degrees", "sky": "heavy rain"}}
            response = types.FunctionResponse(
                id=call.id, name=call.name, response=result, scheduling=types.FunctionResponseScheduling.WHEN_IDLE
            )
            await opened.send_tool_response(function_responses=[response])
            await talk.until(lambda: len(talk.turns) >= 3)
        finally:
            print("\n" + "\n".join(talk.told))
            listening.cancel()
    assert call.name == "get_weather"
    assert "paris" in str(call.args).lower()
    assert any(word in talk.turns[2].lower() for word in ("17", "seventeen", "rain"))
    assert len(talk.calls) == 1, "it is not called again"


async def test_a_blocking_call_is_answered_aloud(server: Server) -> None:
    light = {
        "name": "set_light",
        "description": "Switches the light of a room on or off.",
        "parameters": {
            "type": "OBJECT",
            "properties": {"room": {"type": "STRING", "enum": ["kitchen", "hall"]}, "on": {"type": "BOOLEAN"}},
            "required": ["room", "on"],
        },
    }
    config: dict[str, Any] = AUDIO | BOTH | {"tools": [{"function_declarations": [light]}]}
    async with session(server, config, seconds=SECONDS) as opened:
        talk = Talk(opened)
        listening = asyncio.ensure_future(talk.listen())
        try:
            await talk.say("q_lights")
            await talk.until(lambda: bool(talk.calls))
            [call] = talk.calls
            assert (call.name, call.args) == ("set_light", {"room": "kitchen", "on": True})
            done = types.FunctionResponse(id=call.id, name=call.name, response={"output": "done"})
            await opened.send_tool_response(function_responses=[done])
            await talk.until(lambda: len(talk.turns) >= 1)
        finally:
            print("\n" + "\n".join(talk.told))
            listening.cancel()
    assert talk.turns[0].strip()
