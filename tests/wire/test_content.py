from __future__ import annotations

import pytest

from openlive.wire.content import Content, FunctionResponse, FunctionResponseScheduling, Part
from openlive.wire.errors import ProtocolError
from openlive.wire.json import parse


def test_a_part_has_one_kind_of_data() -> None:
    with pytest.raises(ProtocolError) as caught:
        parse(Content, {"parts": [{"text": "a"}, {"text": "a", "inlineData": {}}]}, "client_content.turns[0]")
    assert caught.value.reason == (
        "Invalid value at 'client_content.turns[0].parts[1]' (oneof), oneof field 'data' is already set. "
        "Cannot set 'inlineData'"
    )


def test_what_accompanies_a_part_is_no_data() -> None:
    part = parse(Part, {"text": "a", "thought": True, "thoughtSignature": "AAE", "functionCall": None})
    assert part == Part(text="a", thought=True, thought_signature=b"\x00\x01")


def test_one_part_may_stand_for_a_list() -> None:
    assert parse(Content, {"parts": {"text": "hi"}}) == Content.from_text("hi")


@pytest.mark.parametrize(
    ("fields", "scheduling"),
    [
        ({}, None),
        ({"scheduling": "SILENT"}, "SILENT"),
        ({"response": {"scheduling": "WHEN_IDLE"}}, "WHEN_IDLE"),
        ({"response": {"scheduling": "when_idle"}}, "WHEN_IDLE"),
        ({"response": {"scheduling": "whenever"}}, None),
        ({"response": {"scheduling": 5}}, None),
        ({"scheduling": "SILENT", "response": {"scheduling": "WHEN_IDLE"}}, "SILENT"),
    ],
)
def test_scheduling_may_be_inside_the_response(fields: object, scheduling: str | None) -> None:
    expected = None if scheduling is None else FunctionResponseScheduling(scheduling)
    assert parse(FunctionResponse, fields).effective_scheduling is expected


@pytest.mark.parametrize("name", ["args", "partMetadata"])
def test_free_objects_are_untouched(name: str) -> None:
    free = {"a_b": None, "cD": [1, 2.5, {"x-y": "AAE="}], "": {}}
    document = {"functionCall": {"args": free}} if name == "args" else {name: free}
    part = parse(Part, document)
    assert (part.function_call.args if part.function_call else part.part_metadata) == free
