"""Function calls through the official Python SDK, as programs make them
(docs/protocol.md#function-calling, #recorded-turns: T4 to T9)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pytest
from google import genai
from google.genai import _mcp_utils, types
from google.genai.errors import APIError
from google.genai.live import AsyncSession

from openlive.core.replying.function_calls import CANCELLED
from openlive.types import FunctionCall, FunctionResponse, Image, Message
from tests.sdk.functions import BESIDE, SUNNY, WEATHER, Talk, answer, engines
from tests.sdk.live import AUDIO, BOTH, TEXT, pcm, session, user
from tests.serving import MODEL, SECONDS, Scripted, serving, silence, tone, trust

pytestmark = pytest.mark.anyio

NATIVE = "gemini-2.5-flash-native-audio-preview-12-2025"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF"


def last(scripted: Scripted) -> tuple[Message, ...]:
    return scripted.llm.requests[-1].messages


def results(scripted: Scripted) -> list[FunctionResponse]:
    """All that the model was told of calls in its last request."""
    return [p for m in last(scripted) for p in m.parts if isinstance(p, FunctionResponse)]


# --- blocking calls ---------------------------------------------------------------------------------------------------


async def test_the_guide_s_program() -> None:
    """One loop: it answers what it is asked for, and ends with the turn."""
    scripted = engines()
    said, asked = "", []
    with serving(scripted.engines) as server:
        async with session(server, TEXT | WEATHER) as opened:
            await opened.send_client_content(turns=user("Weather?"))
            async for chunk in opened.receive():
                if chunk.tool_call:
                    asked += chunk.tool_call.function_calls or []
                    await opened.send_tool_response(function_responses=[answer(call) for call in asked])
                else:
                    said += chunk.text or ""
    assert [(call.name, call.args) for call in asked] == [("weather", {"city": "Paris"})]
    assert said == SUNNY
    assert [[type(p) for p in m.parts] for m in last(scripted)[1:]] == [[FunctionCall], [FunctionResponse]]


async def test_one_end_for_the_whole_exchange() -> None:
    with serving(engines().engines) as server:
        async with session(server, AUDIO | BOTH | WEATHER) as opened:
            talk = Talk(opened)
            await talk.say("Weather?")
            [call] = await talk.calls()
            await talk.nothing()
            await talk.answer(answer(call))
            usage = (await talk.until("turn_complete")).usage_metadata
    assert talk.kinds[0] == "tool_call"
    assert [k for k in talk.kinds if k not in ("said", "audio")] == [
        *("tool_call", "said finished", "generation_complete", "turn_complete")
    ]
    assert talk.text == SUNNY
    assert usage is not None
    counts = {d.modality: d.token_count for d in usage.response_tokens_details or ()}
    assert counts[types.MediaModality.TEXT], "the call"
    assert counts[types.MediaModality.AUDIO]


async def test_a_native_audio_model_ends_its_turn_with_the_call() -> None:
    """Agent kits run a tool once that has come."""
    with serving(engines().engines) as server:
        async with session(server, AUDIO | BOTH | WEATHER, NATIVE) as opened:
            talk = Talk(opened)
            await talk.say("Weather?")
            [call] = await talk.calls()
            await talk.until("turn_complete")
            assert talk.kinds == ["tool_call", "generation_complete", "turn_complete"]
            await talk.answer(answer(call))
            await talk.until("turn_complete")
    assert talk.text == SUNNY


async def test_the_model_may_speak_before_it_calls() -> None:
    scripted = engines()
    with serving(scripted.engines) as server:
        async with session(server, AUDIO | BOTH | WEATHER) as opened:
            talk = Talk(opened)
            await talk.say("Well?")
            [call] = await talk.calls()
            await talk.answer(answer(call))
            await talk.until("turn_complete")
    assert talk.text == f"One moment.{SUNNY}"
    assert talk.kinds.count("tool_call") == talk.kinds.count("turn_complete") == 1
    assert [(m.role, m.text) for m in last(scripted)][1] == ("model", "One moment.")


@pytest.mark.parametrize("order", ["in order", "backwards", "one by one"])
async def test_several_calls_are_made_in_one_message(order: str) -> None:
    scripted = engines()
    with serving(scripted.engines) as server:
        async with session(server, TEXT | WEATHER) as opened:
            talk = Talk(opened)
            await talk.say("Both?")
            weather, clock = await talk.calls()
            assert (weather.name, clock.name) == ("weather", "clock")
            assert weather.id != clock.id
            answers = [answer(weather), answer(clock, response={"time": "noon"})]
            if order == "in order":
                await talk.answer(*answers)
            elif order == "backwards":
                await talk.answer(*reversed(answers))
            else:
                await talk.answer(answers[1])
                await talk.nothing()
                await talk.answer(answers[0])
            await talk.until("turn_complete")
    assert {r.name: r.response for r in results(scripted)} == {"weather": {"sky": "blue"}, "clock": {"time": "noon"}}


# --- what is declared -------------------------------------------------------------------------------------------------


def add(a: int, b: int, unit: Literal["metres", "feet"] = "metres") -> dict[str, Any]:
    """Adds two lengths."""
    return {"sum": a + b, "unit": unit}


async def test_a_python_function_as_a_tool() -> None:
    scripted = engines()
    with serving(scripted.engines) as server:
        async with session(server, TEXT | {"tools": [add]}) as opened:
            talk = Talk(opened)
            await talk.say("Add.")
            [call] = await talk.calls()
            assert call.name == "add"
            await talk.answer(answer(call, response=add(**(call.args or {}))))
            await talk.until("turn_complete")
    assert talk.text == "You said: {'sum': 3, 'unit': 'metres'}"
    [declared] = scripted.llm.requests[0].functions
    assert (declared.name, declared.description, declared.blocking) == ("add", "Adds two lengths.", True)
    assert declared.parameters["properties"]["a"] == {"type": "integer"}
    assert declared.parameters["properties"]["unit"]["enum"] == ["metres", "feet"]
    assert declared.parameters["required"] == ["a", "b"]


class McpTool(NamedTuple):
    """What a server of the Model Context Protocol lists; the SDK asks for nothing more."""

    name: str
    description: str
    inputSchema: dict[str, Any]  # noqa: N815 - the protocol's name


MCP = McpTool(
    "add",
    "Adds.",
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "a": {"type": "number", "description": "First"},
            "b": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}},
        },
        "$defs": {"Tag": {"type": "string", "enum": ["x", "y"]}},
        "required": ["a"],
        "additionalProperties": False,
    },
)


@pytest.mark.parametrize("whole", [False, True])
async def test_tools_of_an_mcp_server(whole: bool) -> None:
    """As the SDK declares them: in the Gemini API's schema, or the whole JSON Schema."""
    schema = {k: v for k, v in MCP.inputSchema.items() if whole or k != "additionalProperties"}
    tools = _mcp_utils.mcp_to_gemini_tools([MCP._replace(inputSchema=schema)], whole)
    scripted = engines()
    with serving(scripted.engines) as server:
        async with session(server, TEXT | {"tools": tools}) as opened:
            talk = Talk(opened)
            await talk.say("Add.")
            [call] = await talk.calls()
            await talk.answer(answer(call))
            await talk.until("turn_complete")
    assert talk.text == SUNNY
    parameters = scripted.llm.requests[0].functions[0].parameters
    assert parameters["type"] == "object"
    assert parameters["properties"]["a"] == {"type": "number", "description": "First"}
    assert parameters["required"] == ["a"]
    if whole:
        assert parameters == schema
    else:
        assert parameters["properties"]["b"]["type"] == ["number", "null"]
        assert parameters["properties"]["tags"]["items"] == {"type": "string", "enum": ["x", "y"]}


async def test_a_bad_schema_is_refused_by_its_path() -> None:
    bad = {"name": "f", "parameters": {"type": "OBJECT", "properties": {"ids": {"type": "ARRAY"}}}}
    where = "setup.tools[0].function_declarations[0].parameters.properties[ids].items: missing field."
    with serving() as server, pytest.raises(APIError) as refused:
        async with session(server, TEXT | {"tools": [{"function_declarations": [bad]}]}):
            pass
    assert (refused.value.code, refused.value.details) == (1007, f"* BidiGenerateContentRequest.{where}")


async def test_tools_may_be_changed_during_the_session() -> None:
    scripted = engines()
    with serving(scripted.engines) as server:
        async with session(server, TEXT) as opened:
            talk = Talk(opened)
            await talk.say("Add.")
            await talk.until("turn_complete")
            assert talk.reasons == [types.TurnCompleteReason.MALFORMED_FUNCTION_CALL], "there is no such function yet"
            await opened.send_context_update(tools=[add])
            await talk.say("Add.")
            [call] = await talk.calls()
            await talk.answer(answer(call))
            await talk.until("turn_complete")
            assert talk.text == SUNNY
            await opened.send_context_update(tools=[])
            await talk.say("Now?")
            await talk.until("turn_complete")
            assert scripted.llm.requests[-1].functions == ()
            await opened.send_context_update(tools=[types.Tool(function_declarations=[{"name": "2"}])])  # type: ignore[list-item]
            with pytest.raises(APIError, match=r"context_update\.tools\.tools\[0\]\.function_declarations\[0\]\.name"):
                await talk.until("turn_complete")


# --- calls beside the talk --------------------------------------------------------------------------------------------


def scheduled(call: types.FunctionCall, how: str, where: str) -> types.FunctionResponse:
    if where == "inside":
        return answer(call, response={"sky": "blue", "scheduling": how})
    return answer(call, scheduling=types.FunctionResponseScheduling(how))


async def beside(opened: AsyncSession) -> tuple[Talk, types.FunctionCall]:
    """A slow call runs, and the model has begun to say that it has a look."""
    talk = Talk(opened)
    await talk.say("Weather?")
    [call] = await talk.calls()
    await talk.until("audio")
    return talk, call


@pytest.mark.parametrize("where", ["beside", "inside"])
async def test_a_result_that_interrupts(where: str) -> None:
    scripted = engines(character=0.1)
    with serving(scripted.engines) as server:
        async with session(server, AUDIO | BOTH | BESIDE) as opened:
            talk, call = await beside(opened)
            await talk.answer(scheduled(call, "INTERRUPT", where))
            await talk.until("turn_complete")
            assert talk.kinds[-2:] == ["interrupted", "turn_complete"]
            talk.text = ""
            await talk.until("generation_complete")
    assert talk.text.startswith("You said: {'sky': 'blue'")
    assert "tool_call_cancellation" not in talk.kinds


@pytest.mark.parametrize("where", ["beside", "inside", "nowhere"])
async def test_a_result_that_waits_until_the_model_has_spoken(where: str) -> None:
    """WHEN_IDLE is the default too."""
    with serving(engines(character=0.03).engines) as server:
        async with session(server, AUDIO | BOTH | BESIDE) as opened:
            talk, call = await beside(opened)
            await talk.answer(answer(call) if where == "nowhere" else scheduled(call, "WHEN_IDLE", where))
            await talk.until("turn_complete")
            assert talk.text == "I am having a look."
            talk.text = ""
            await talk.until("turn_complete")
    assert talk.text.startswith("You said: {'sky': 'blue'")
    assert "interrupted" not in talk.kinds


@pytest.mark.parametrize("where", ["beside", "inside"])
async def test_a_result_that_is_only_known(where: str) -> None:
    scripted = engines(character=0.03)
    with serving(scripted.engines) as server:
        async with session(server, AUDIO | BOTH | BESIDE) as opened:
            talk, call = await beside(opened)
            await talk.answer(scheduled(call, "SILENT", where))
            await talk.until("turn_complete")
            await talk.nothing()
            await talk.say("So?")
            await talk.until("turn_complete")
    assert [r.response.get("sky") for r in results(scripted)] == [None, "blue"]
    assert "interrupted" not in talk.kinds


async def test_the_talk_goes_on_while_a_call_runs() -> None:
    scripted = engines()
    with serving(scripted.engines) as server:
        async with session(server, AUDIO | BOTH | BESIDE) as opened:
            talk, call = await beside(opened)
            await talk.until("turn_complete")
            await talk.say("And you?")
            talk.text = ""
            await talk.until("turn_complete")
            assert talk.text == "You said: And you?"
            await talk.answer(answer(call))
            talk.text = ""
            await talk.until("turn_complete")
    assert talk.text == SUNNY
    assert talk.kinds.count("tool_call") == 1


async def test_a_function_that_answers_bit_by_bit() -> None:
    with serving(engines().engines) as server:
        async with session(server, AUDIO | BOTH | BESIDE) as opened:
            talk, call = await beside(opened)
            await talk.until("turn_complete")
            for percent in (50, 90):
                talk.text = ""
                await talk.answer(answer(call, response={"percent": percent}, will_continue=True))
                await talk.until("turn_complete")
                assert talk.text == f"You said: {{'percent': {percent}}}"
            silent = types.FunctionResponseScheduling.SILENT
            await talk.answer(answer(call, response={}, will_continue=False, scheduling=silent))
            await talk.nothing()
            await talk.answer(answer(call))
            await talk.nothing()


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_a_result_with_an_image() -> None:
    scripted = engines()
    part = types.FunctionResponsePart.from_bytes(data=JPEG, mime_type="image/jpeg")
    with serving(scripted.engines) as server:
        async with session(server, TEXT | WEATHER) as opened:
            talk = Talk(opened)
            await talk.say("Weather?")
            [call] = await talk.calls()
            await talk.answer(answer(call, parts=[part]))
            await talk.until("turn_complete")
    result, image = last(scripted)[-1].parts
    assert isinstance(result, FunctionResponse)
    assert isinstance(image, Image)
    assert (image.mime, image.data) == ("image/jpeg", JPEG)


async def test_unknown_double_and_late_answers_change_nothing() -> None:
    scripted = engines()
    with serving(scripted.engines) as server:
        async with session(server, TEXT | WEATHER) as opened:
            talk = Talk(opened)
            await talk.say("Weather?")
            [call] = await talk.calls()
            await talk.answer(answer(call, id="nobody"))
            await opened._ws.send('{"tool_response": {}}')  # the SDK lets none out
            await talk.nothing()
            await talk.answer(answer(call), answer(call, response={"sky": "grey"}))
            await talk.until("turn_complete")
            await talk.answer(answer(call))
            await talk.nothing()
            await talk.say("And you?")
            await talk.until("turn_complete")
    assert talk.text == f"{SUNNY}You said: And you?"
    assert [r.response for r in results(scripted)] == [{"sky": "blue"}]


async def test_answers_by_name_on_vertex() -> None:
    """There, programs may leave the id out."""
    http = types.HttpOptions(async_client_args={"ssl": trust()})
    config: Any = {**AUDIO, **BOTH, **WEATHER}
    with serving(engines().engines) as server:
        http.base_url = server.url
        web = genai.Client(vertexai=True, api_key="any", http_options=http)
        async with (
            asyncio.timeout(SECONDS),
            web.aio.live.connect(model="gemini-live-2.5-flash", config=config) as opened,
        ):
            talk = Talk(opened)
            await talk.say("Both?")
            weather, clock = await talk.calls()
            await talk.answer(answer(clock, id=None), answer(weather, id=None))
            await talk.until("turn_complete")
            assert talk.text == "You said: {'sky': 'blue'} {'sky': 'blue'}"
            await talk.say("Weather?")
            await talk.calls()
            await talk.answer(types.FunctionResponse(response={"sky": "blue"}))
            with pytest.raises(APIError, match=r"function_responses\[0\].id': a function response needs the id of its"):
                await talk.until("turn_complete")


MALFORMED: dict[str, tuple[Callable[[str], Any], str]] = {
    "text": (lambda i: {"id": i, "response": "fine"}, "Invalid value at '{}.response'"),
    "a list": (
        lambda i: {"id": i, "response": [1]},
        "Invalid JSON payload received. Unknown name \"response\" at '{}'",
    ),
    "a number for an id": (lambda i: {"id": 5, "response": {}}, "Invalid value at '{}.id'"),
    "a word for an answer": (lambda i: "fine", "Invalid value at '{}'"),
    "an unknown field": (lambda i: {"id": i, "result": {}}, 'Invalid JSON payload received. Unknown name "result"'),
    "an unknown scheduling": (lambda i: {"id": i, "scheduling": "LATER"}, "Invalid value at '{}.scheduling'"),
    "sound": (
        lambda i: {"id": i, "parts": [{"inlineData": {"mimeType": "audio/pcm", "data": "AAAA"}}]},
        "Invalid value at '{}.parts[0].inline_data",
    ),
    "a file": (
        lambda i: {"id": i, "parts": [{"fileData": {"mimeType": "image/png", "fileUri": "gs://x"}}]},
        "Invalid value at '{}.parts[0].file_data'",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_malformed_answers_are_told(case: str) -> None:
    """The SDK itself lets none of them out."""
    build, reason = MALFORMED[case]
    with serving(engines().engines) as server:
        async with session(server, TEXT | WEATHER) as opened:
            talk = Talk(opened)
            await talk.say("Weather?")
            [call] = await talk.calls()
            frame = {"tool_response": {"functionResponses": [build(call.id or "")]}}
            await opened._ws.send(json.dumps(frame))
            with pytest.raises(APIError) as refused:
                await talk.until("turn_complete")
    assert refused.value.code == 1007
    assert str(refused.value.details).startswith(reason.format("tool_response.function_responses[0]"))


# --- interruptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["half-cascade", "native-audio", "beside"])
async def test_speech_cancels_a_call(kind: str) -> None:
    """The client is told of it, its answer comes too late, and the model knows."""
    scripted = engines(character=0.1 if kind == "beside" else 0.01)
    model = NATIVE if kind == "native-audio" else MODEL
    config = AUDIO | BOTH | (BESIDE if kind == "beside" else WEATHER)
    with serving(scripted.engines) as server:
        async with session(server, config, model) as opened:
            if kind == "beside":
                talk, call = await beside(opened)
            else:
                talk = Talk(opened)
                await talk.say("Weather?")
                [call] = await talk.calls()
            if kind == "native-audio":
                await talk.until("turn_complete")
            await opened.send_realtime_input(audio=pcm(tone(0.6) + silence(1.0)))
            cancellation = (await talk.until("tool_call_cancellation")).tool_call_cancellation
            assert cancellation is not None
            assert cancellation.ids == [call.id]
            if kind != "native-audio":  # there the turn was over
                assert talk.kinds[-2] == "interrupted"
                await talk.until("turn_complete")
                assert talk.kinds[-3:] == ["interrupted", "tool_call_cancellation", "turn_complete"]
            await talk.answer(answer(call))
            talk.text = ""
            await talk.until("generation_complete")
    assert talk.text == "You said: Stop."
    assert CANCELLED in [r.response for r in results(scripted)]
    assert {"sky": "blue"} not in [r.response for r in results(scripted)]


async def test_contents_wait_for_a_blocking_call() -> None:
    with serving(engines().engines) as server:
        async with session(server, TEXT | WEATHER) as opened:
            talk = Talk(opened)
            await talk.say("Weather?")
            [call] = await talk.calls()
            await talk.say("And you?")
            await talk.nothing()
            await talk.answer(answer(call))
            await talk.until("turn_complete")
            await talk.until("turn_complete")
    assert talk.text == f"{SUNNY}You said: And you?"
