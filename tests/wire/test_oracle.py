"""We and Google's published protobufs must judge alike, and read the same values.

The package knows the messages of v1beta without the newest fields. Where we differ on purpose, `DIFFERENCES` says so,
and every row of it is tested; nothing that isn't in it may differ.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor

from openlive.wire.client import ClientMessage, parse_message
from openlive.wire.errors import ProtocolError
from openlive.wire.proto import PACKAGE, Enum, Message
from openlive.wire.server import ServerMessage, encode
from tests.wire.oracle import CLIENT, MUTATIONS, SERVER, Mutation, Writer, judge, name_of, our_value_of, value_of
from tests.wire.test_server import RECORDED


def ours(document: object) -> ClientMessage | None:
    try:
        return parse_message(json.dumps(document))
    except ProtocolError:
        return None


def assert_alike(document: dict[str, Any]) -> bool:
    """Says whether the document is a message."""
    expected, parsed = judge(document), ours(document)
    if all(value is None for value in document.values()) and parsed is None:
        return False  # an empty message: see DIFFERENCES
    text = json.dumps(document)
    assert (parsed is None) == (expected is None), text
    if parsed is not None and expected is not None:
        assert our_value_of(parsed, CLIENT.DESCRIPTOR) == value_of(expected), text
    return parsed is not None


def test_good_messages() -> None:
    random = Random(1)
    for _ in range(2500):
        assert assert_alike(Writer(random).message(CLIENT.DESCRIPTOR))


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_mutated_messages(mutate: Mutation) -> None:
    random = Random(2)
    mutated = verdicts = 0
    while mutated < 400:
        writer = Writer(random)
        document = writer.message(CLIENT.DESCRIPTOR)
        # Most sites don't suit most mutations: look for one that does.
        if any(mutate(site, random) for site in random.sample(writer.sites, len(writer.sites))):
            mutated += 1
            verdicts += assert_alike(document)
    refused = {"unknown_name", "wrong_type", "both_spellings", "two_of_a_oneof"}
    assert mutate.__name__ in refused or verdicts > 200


class Difference(NamedTuple):
    why: str
    document: dict[str, Any]
    same_as: dict[str, Any] | None
    """The canonical document that we read it as; None where we refuse it."""
    oracle_accepts: bool


def generation(**fields: object) -> dict[str, Any]:
    return {"setup": {"generationConfig": fields}}


def args(depth: int) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(depth):
        nested = {"a": nested}
    return {"toolResponse": {"functionResponses": [{"response": nested}]}}


DIFFERENCES = [
    # We take more.
    Difference(
        "enums in any case (Google's own samples)",
        generation(responseModalities=["audio", "Text"]),
        generation(responseModalities=["AUDIO", "TEXT"]),
        oracle_accepts=False,
    ),
    Difference(
        "a scalar for a list (the old web console)",
        generation(responseModalities="AUDIO"),
        generation(responseModalities=["AUDIO"]),
        oracle_accepts=False,
    ),
    Difference(
        "an object for a list (Google's own samples)",
        {"clientContent": {"turns": {"parts": {"text": "hi"}}}},
        {"clientContent": {"turns": [{"parts": [{"text": "hi"}]}]}},
        oracle_accepts=False,
    ),
    Difference(
        "a bare string for an instruction",
        {"setup": {"systemInstruction": "Be brief."}},
        {"setup": {"systemInstruction": {"parts": [{"text": "Be brief."}]}}},
        oracle_accepts=False,
    ),
    Difference(
        "line breaks in base64 without padding, which the judge counts as characters",
        {"realtimeInput": {"audio": {"data": "+/+/\n/g"}}},
        {"realtimeInput": {"audio": {"data": "-_-__g=="}}},
        oracle_accepts=False,
    ),
    Difference(
        "fields that are newer than the package",
        {"contextUpdate": {"tools": {"tools": []}}},
        {"contextUpdate": {"tools": {}}},
        oracle_accepts=False,
    ),
    Difference(
        "depth is counted in levels of JSON, and not of messages, of which free-form JSON has two a level",
        args(90),
        args(90),
        oracle_accepts=False,
    ),
    # We take less, where Python's protobuf is laxer than proto3 JSON, or a value has no use.
    Difference("a message must have a field", {}, None, oracle_accepts=True),
    Difference("null for all of its fields", {"setup": None}, None, oracle_accepts=True),
    Difference("a list for a message", {"setup": []}, None, oracle_accepts=True),
    Difference("a string for a message", {"clientContent": ""}, None, oracle_accepts=True),
    Difference("an enum number that we don't know", generation(mediaResolution=99), None, oracle_accepts=True),
    Difference("a truth value for an enum", generation(mediaResolution=True), None, oracle_accepts=True),
    Difference("a fraction for an enum", generation(mediaResolution=1.5), None, oracle_accepts=True),
    Difference("a truth value for a number", generation(temperature=True), None, oracle_accepts=True),
    Difference("not a number", generation(temperature="NaN"), None, oracle_accepts=True),
    Difference("infinity", generation(temperature="-Infinity"), None, oracle_accepts=True),
    Difference("Python's own way to write integers", generation(topK="4_0"), None, oracle_accepts=True),
    Difference("a plus sign", generation(topK="+4"), None, oracle_accepts=True),
    Difference(
        "a field without presence in both spellings, of which the judge takes the last",
        {"clientContent": {"turnComplete": True, "turn_complete": True}},
        None,
        oracle_accepts=True,
    ),
    Difference(
        "characters that aren't base64, which the judge skips",
        {"realtimeInput": {"audio": {"data": "AA*AA"}}},
        None,
        oracle_accepts=True,
    ),
]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.why) for row in DIFFERENCES])
def test_differences(row: Difference) -> None:
    assert (judge(row.document) is not None) == row.oracle_accepts
    if row.same_as is None:
        assert ours(row.document) is None
    else:
        assert ours(row.document) == ours(row.same_as)
        assert ours(row.document) is not None


def kinds(struct: type[Message]) -> dict[str, type]:
    """Attribute -> the message or enum that it holds, if it holds one."""
    found: dict[str, type] = {}
    for attribute, hint in get_type_hints(struct).items():
        pending = [hint]
        while pending:
            each = pending.pop()
            pending += get_args(each)
            if isinstance(each, type) and issubclass(each, Message | Enum):
                found[attribute] = each
    return found


def assert_same_schema(struct: type[Message], descriptor: Descriptor, seen: set[str], complete: bool) -> None:
    """Names, JSON names, groups, type names and enum numbers of a message and of all it holds."""
    if descriptor.full_name in seen:
        return
    seen.add(descriptor.full_name)
    if descriptor.file.package != "google.type":
        assert f"{PACKAGE}.{struct.PROTO or struct.__name__}" == descriptor.full_name
    camel = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    for field in descriptor.fields:
        attribute = name_of(field)
        if attribute not in camel and not complete:
            continue
        assert camel[attribute] == field.json_name
        kind = kinds(struct).get(attribute)
        if field.enum_type:
            assert kind is not None
            assert issubclass(kind, Enum)
            assert f"{PACKAGE}.{kind.proto}" == field.enum_type.full_name
            numbers = {member.name: member.number for member in kind}
            assert numbers.items() >= {value.name: value.number for value in field.enum_type.values}.items()
        elif kind is not None:
            message = field.message_type
            held = message.fields_by_name["value"].message_type if message.GetOptions().map_entry else message
            assert issubclass(kind, Message)
            assert_same_schema(kind, held, seen, complete)
    for oneof in descriptor.oneofs:
        names = {name_of(field) for field in oneof.fields} & camel.keys()
        if len(names) > 1:
            assert names <= set(struct.ONEOFS[oneof.name])


def test_same_schema() -> None:
    seen: set[str] = set()
    assert_same_schema(ClientMessage, CLIENT.DESCRIPTOR, seen, complete=True)
    assert len(seen) > 40
    # A ServerMessage holds usage beside one of its oneof; that it has only one is for its maker to see to.
    for name in ("server_content", "tool_call", "tool_call_cancellation", "go_away", "usage_metadata"):
        kind = kinds(ServerMessage)[name]
        assert issubclass(kind, Message)
        assert_same_schema(kind, SERVER.DESCRIPTOR.fields_by_name[name].message_type, seen, complete=False)


@pytest.mark.parametrize("message", [message for message, _ in RECORDED])
def test_what_we_send(message: ServerMessage) -> None:
    read = json_format.Parse(encode(message), SERVER(), ignore_unknown_fields=True)
    assert value_of(read) == our_value_of(message, SERVER.DESCRIPTOR)
