"""The official Python SDK goes on with a session after its connection broke."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types
from google.genai.errors import APIError
from google.genai.live import AsyncSession
from msgspec.structs import replace

from openlive.testing.scripted import ScriptedLLM, ScriptedTTS
from tests.sdk.live import AUDIO, BOTH, TEXT, session, user
from tests.serving import LIMITS, Scripted, serving

pytestmark = pytest.mark.anyio


def resuming(config: dict[str, Any], handle: str | None = None) -> dict[str, Any]:
    return {**config, "session_resumption": types.SessionResumptionConfig(handle=handle)}


async def handle(opened: AsyncSession) -> str:
    """The next one that comes; what comes before it is passed over."""
    while True:
        message = await opened._receive()
        update = message.session_resumption_update
        if update is not None:
            assert update.resumable
            assert update.new_handle
            return update.new_handle


async def test_after_the_socket_was_cut_in_mid_answer_the_model_remembers() -> None:
    replies = ("one two three four five six seven eight.", "Anna.")
    scripted = Scripted(llm=ScriptedLLM(replies=replies), tts=ScriptedTTS(character=0.1))
    with serving(scripted.engines) as server:
        async with session(server, resuming(AUDIO | BOTH)) as opened:
            name = opened.session_id
            key = await handle(opened)
            await opened.send_client_content(turns=user("I am Anna. Count."))
            while (message := await opened._receive()).data is None:
                assert message is not None
            opened._ws.transport.abort()
        async with session(server, resuming(TEXT, key)) as opened:
            assert opened.session_id == name
            assert await handle(opened)
            await opened.send_client_content(turns=user("Who am I?"))
            texts = [message.text or "" async for message in opened.receive()]
    assert "".join(texts) == "Anna."
    spoken = [m.text for m in scripted.llm.requests[-1].messages if m.role == "user"]
    assert spoken == ["I am Anna. Count.", "Who am I?"]


async def test_a_program_that_comes_back_at_the_goodbye_misses_nothing() -> None:
    """As voice frameworks do: the newest handle is kept, and `go_away` makes them connect anew."""
    scripted = Scripted()
    with serving(scripted.engines, limits=replace(LIMITS, connection_seconds=0.7)) as server:
        key = None
        for number in range(3):
            async with session(server, resuming(TEXT, key)) as opened:
                await opened.send_client_content(turns=user(f"number {number}"))
                done = said_goodbye = False
                while not (done and said_goodbye):
                    message = await opened._receive()
                    if message.session_resumption_update is not None:
                        key = message.session_resumption_update.new_handle
                    said_goodbye = said_goodbye or message.go_away is not None
                    done = done or bool(message.server_content and message.server_content.turn_complete)
                    assert key or not said_goodbye, "the handle comes first"
    asked = [m.text for m in scripted.llm.requests[-1].messages if m.role == "user"]
    assert asked == ["number 0", "number 1", "number 2"]


async def test_an_unknown_handle_is_told() -> None:
    with serving() as server, pytest.raises(APIError) as refused:
        async with session(server, resuming(TEXT, "8f2b0f7e-1d2c-4a3b-9c4d-5e6f708192a3")):
            pass
    assert (refused.value.code, refused.value.details) == (1008, "Requested entity was not found.")
