"""What the tests of function calls share: functions, a model that calls them, a session whose messages are noted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.genai import types
from google.genai.live import AsyncSession

from openlive.core.replying.function_calls import STARTED
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS
from tests.sdk import live
from tests.sdk.live import user
from tests.serving import Scripted

ANSWERS = {
    "Weather?": 'call:weather {"city": "Paris"}',
    "Well?": 'One moment.\ncall:weather {"city": "Paris"}',
    "Both?": 'call:weather {"city": "Paris"}\ncall:clock {"zone": "CET"}',
    "Add.": 'call:add {"a": 1, "b": 2}',
    str(STARTED): "I am having a look.",
}
SUNNY = "You said: {'sky': 'blue'}"
"""What the model makes of the result of `answer`."""


def functions(*names: str, **fields: Any) -> dict[str, Any]:
    city = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}
    return {"tools": [{"function_declarations": [{"name": n, "parameters": city, **fields} for n in names]}]}


WEATHER = functions("weather", "clock")
BESIDE = functions("weather", behavior="NON_BLOCKING")


def engines(character: float = 0.01) -> Scripted:
    return Scripted(
        stt=ScriptedSTT(transcripts=("Stop.",)),
        llm=ScriptedLLM(answers=ANSWERS),
        tts=ScriptedTTS(character=character),
    )


def answer(call: types.FunctionCall, **more: Any) -> types.FunctionResponse:
    return types.FunctionResponse(**{"id": call.id, "name": call.name, "response": {"sky": "blue"}, **more})


class Talk:
    """A session, and what has come of it: `kinds` in order, runs of one kind told once."""

    def __init__(self, opened: AsyncSession) -> None:
        self.opened = opened
        self.kinds: list[str] = []
        self.text = ""
        """What the model wrote or said since it was last set."""
        self.reasons: list[types.TurnCompleteReason] = []

    async def say(self, text: str) -> None:
        await self.opened.send_client_content(turns=user(text))

    async def answer(self, *responses: types.FunctionResponse) -> None:
        await self.opened.send_tool_response(function_responses=list(responses))

    async def until(self, kind: str) -> types.LiveServerMessage:
        """The next message of this kind; what comes before it is noted."""
        while True:
            message = await self.opened._receive()
            self._note(message)
            if self.kinds[-1] == kind:
                return message

    async def calls(self) -> list[types.FunctionCall]:
        called = (await self.until("tool_call")).tool_call
        assert called is not None
        assert called.function_calls is not None
        assert all(call.id for call in called.function_calls)
        return called.function_calls

    async def nothing(self, seconds: float = 0.3) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.opened._receive(), seconds)

    def _note(self, message: types.LiveServerMessage) -> None:
        content = message.server_content
        if content is None:
            kind = "tool_call" if message.tool_call else "tool_call_cancellation"
            assert getattr(message, kind)
        else:
            kind = live._kind(content)
            for part in (content.model_turn.parts or ()) if content.model_turn else ():
                self.text += part.text or ""
            self.text += content.output_transcription.text or "" if content.output_transcription else ""
            if content.turn_complete_reason:
                self.reasons.append(content.turn_complete_reason)
        if self.kinds[-1:] != [kind]:
            self.kinds.append(kind)
