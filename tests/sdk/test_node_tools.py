"""Function calls through the official JavaScript SDK, as programs make them
(docs/protocol.md#function-calling, #recorded-turns: T4 to T9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openlive.core.replying.function_calls import CANCELLED
from openlive.testing.scripted import ScriptedLLM
from openlive.types import FunctionResponse, Image, Message
from tests.sdk.functions import ANSWERS, SUNNY, engines
from tests.sdk.test_node import Seen, address, packages, run  # noqa: F401 - a fixture
from tests.serving import Scripted, serving, silence, tone

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def scripted() -> Scripted:
    made = engines(character=0.05)
    made.llm = ScriptedLLM(answers={**ANSWERS, "Photo?": "call:weather"})
    return Scripted(stt=made.stt, llm=made.llm, tts=made.tts)


@pytest.fixture(scope="module")
def seen(packages: Path, scripted: Scripted, tmp_path_factory: pytest.TempPathFactory) -> Seen:  # noqa: F811
    speech = tmp_path_factory.mktemp("speech") / "speech.pcm"
    speech.write_bytes(tone(0.6) + silence(1.0))
    with serving(scripted.engines) as server:
        return run(packages, "tools.mjs", address(server, "https"), speech)


def after(scripted: Scripted, words: str) -> list[tuple[Message, ...]]:
    """The requests whose last message of the user says this."""
    return [r.messages for r in scripted.llm.requests if r.messages[-1].text == words]


def results(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    return [p.response for m in messages for p in m.parts if isinstance(p, FunctionResponse)]


def test_one_end_for_the_whole_exchange(seen: Seen) -> None:
    turn = seen["blocking"]
    assert turn["kinds"] == ["toolCall", "text", "generationComplete", "turnComplete"]
    assert turn["text"] == SUNNY
    [call] = turn["calls"]
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
    assert call["id"]


def test_the_model_may_speak_before_it_calls(seen: Seen) -> None:
    assert seen["speaking"]["text"] == f"One moment.{SUNNY}"
    assert seen["speaking"]["kinds"].count("turnComplete") == 1


def test_a_native_audio_model_ends_its_turn_with_the_call(seen: Seen) -> None:
    assert seen["native"]["kinds"][:3] == ["toolCall", "generationComplete", "turnComplete"]
    assert seen["native"]["kinds"].count("turnComplete") == 2
    assert seen["native"]["text"] == SUNNY


@pytest.mark.parametrize("order", ["backwards", "oneByOne"])
def test_several_calls_in_any_order(seen: Seen, order: str) -> None:
    turn = seen[order]
    assert [call["name"] for call in turn["calls"]] == ["weather", "clock"]
    assert turn["kinds"] == ["toolCall", "text", "generationComplete", "turnComplete"]
    assert "'time': 'noon'" in turn["text"]
    assert "'sky': 'blue'" in turn["text"]


def test_tools_of_an_mcp_server(seen: Seen) -> None:
    assert seen["mcp"]["text"] == "You said: {'content': [{'type': 'text', 'text': '3'}]}"


def test_the_output_of_a_schema_library(seen: Seen, scripted: Scripted) -> None:
    assert seen["zod"]["text"] == SUNNY
    declared = [f for r in scripted.llm.requests for f in r.functions if f.name == "add"]
    assert declared
    for function in declared:
        assert function.parameters["properties"] == {"a": {"type": "number"}, "b": {"type": ["number", "null"]}}
        assert function.parameters["required"] == ["a"]


def test_a_bad_schema_is_refused_by_its_path(seen: Seen) -> None:
    where = "setup.tools[0].function_declarations[0].parameters.properties[ids].items: missing field."
    assert seen["badSchema"] == {"code": 1007, "reason": f"* BidiGenerateContentRequest.{where}"}


def test_a_result_that_interrupts(seen: Seen) -> None:
    for turn in seen["interrupt"]:
        assert turn["kinds"][-2:] == ["interrupted", "turnComplete"]
        assert turn["text"].startswith("You said: {'sky': 'blue'")


def test_a_result_that_waits_until_the_model_has_spoken(seen: Seen) -> None:
    for turn in seen["whenIdle"]:
        assert turn["first"] == "I am having a look."
        assert turn["text"].startswith("You said: {'sky': 'blue'")
        assert "interrupted" not in turn["kinds"]


def test_a_result_that_is_only_known(seen: Seen, scripted: Scripted) -> None:
    for turn in seen["silent"]:
        assert turn["text"] == "I am having a look.You said: So?"
        assert "interrupted" not in turn["kinds"]
    for messages in after(scripted, "So?"):
        assert [r.get("sky") for r in results(messages)] == [None, "blue"]


def test_a_function_that_answers_bit_by_bit(seen: Seen) -> None:
    assert seen["generator"]["told"] == ["You said: {'percent': 50}", "You said: {'percent': 90}"]
    assert seen["generator"]["text"] == "You said: And you?"


def test_a_result_with_an_image(seen: Seen, scripted: Scripted) -> None:
    assert seen["image"]["text"] == SUNNY
    images = [p for r in scripted.llm.requests for p in r.messages[-1].parts if isinstance(p, Image)]
    assert [(image.mime, image.data[:2]) for image in images] == [("image/jpeg", b"\xff\xd8")]


def test_unknown_double_and_late_answers_change_nothing(seen: Seen) -> None:
    assert seen["strayAnswers"]["text"] == f"{SUNNY}You said: And you?"
    assert seen["strayAnswers"]["kinds"].count("turnComplete") == 2


def test_answers_by_name_on_vertex(seen: Seen) -> None:
    assert seen["vertex"]["text"] == "You said: {'sky': 'blue'} {'sky': 'blue'}"


def test_malformed_answers_are_told_by_onclose(seen: Seen) -> None:
    where = "tool_response.function_responses[0]"
    reasons = [
        f"Invalid value at '{where}.response'",
        f"Invalid JSON payload received. Unknown name \"response\" at '{where}'",
        f"Invalid value at '{where}.id'",
        f"Invalid value at '{where}.scheduling'",
        f"Invalid JSON payload received. Unknown name \"result\" at '{where}'",
    ]
    for told, reason in zip(seen["malformed"], reasons, strict=True):
        assert told["code"] == 1007
        assert told["reason"].startswith(reason)


@pytest.mark.parametrize("how", ["cancelledByVoice", "cancelledAfterItsTurn", "cancelledBeside"])
def test_speech_cancels_a_call(seen: Seen, scripted: Scripted, how: str) -> None:
    turn = seen[how]
    assert turn["ids"] == [turn["id"]]
    if how != "cancelledAfterItsTurn":
        assert turn["kinds"][-3:] == ["interrupted", "toolCallCancellation", "turnComplete"]
    assert turn["text"] == "You said: Stop."
    for messages in after(scripted, "Stop."):
        assert CANCELLED in results(messages)
        assert {"sky": "blue"} not in results(messages)


def test_tools_may_be_changed_during_the_session(seen: Seen) -> None:
    assert seen["update"]["reasons"] == ["MALFORMED_FUNCTION_CALL"] * 2, "before and after there is no such function"
    assert seen["update"]["text"] == SUNNY
