"""Functions as clients declare them: what the model is shown, what is refused by its path
(docs/protocol.md#function-calling, #close-codes-and-reasons)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.core.setup.declarations import (
    MAX_FUNCTIONS,
    MAX_HOPS,
    MAX_LEVELS,
    MAX_REFERENCES,
    MAX_SCHEMAS,
    MAX_SIZE,
    MAX_TOOLS,
    parse_functions,
)
from openlive.schema import resolve_reference
from openlive.types import FunctionDeclaration
from openlive.wire.errors import ProtocolError
from openlive.wire.json import parse
from openlive.wire.tools import Tool
from tests.core.world import TALK, World
from tests.wire.test_fuzz import JSON

Declared = dict[str, Any]
WHERE = "setup.tools[0].function_declarations[0]"


def declare(*declared: Declared, offered: tuple[FunctionDeclaration, ...] = ()) -> tuple[FunctionDeclaration, ...]:
    tool = parse(Tool, {"functionDeclarations": list(declared)}, "setup.tools[0]")
    return parse_functions((tool,), "setup.tools", offered)


def refused(*declared: Declared) -> str:
    with pytest.raises(ProtocolError) as caught:
        declare(*declared)
    assert caught.value.code == 1007
    assert caught.value.field
    assert f".{caught.value.field}: " in caught.value.reason
    return caught.value.reason.removeprefix(f"* BidiGenerateContentRequest.{WHERE}.")


def of(**properties: Any) -> Declared:
    return {"type": "OBJECT", "properties": properties}


def nested(levels: int, kind: str) -> Declared:
    schema: Declared = {"type": kind}
    for _ in range(levels - 1):
        schema = {"type": kind, "properties": {"a": schema}}
    return schema


# --- what the model is shown ------------------------------------------------------------------------------------------

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
SHOWN: dict[str, tuple[Declared, Declared]] = {
    "nothing": ({}, {}),
    "types in capitals": ({"parameters": of(city={"type": "STRING"})}, CITY),
    "types in lower case": ({"parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}, CITY),
    "no types": (
        {"parameters": {"properties": {"city": {}}}},
        {"properties": {"city": {}}, "type": "object"},
    ),
    "an object without properties": ({"parameters": {"type": "OBJECT"}}, {"type": "object"}),
    "numbers to choose from, as Google's reference has them": (
        {"parameters": of(flat={"type": "INTEGER", "format": "enum", "enum": ["101", "201"]})},
        {"type": "object", "properties": {"flat": {"type": "integer", "format": "enum", "enum": [101, 201]}}},
    ),
    "null as well": (
        {"parameters": of(day={"type": "STRING", "enum": ["mon"], "nullable": True})},
        {"type": "object", "properties": {"day": {"type": ["string", "null"], "enum": ["mon", None]}}},
    ),
    "null as well as either": (
        {"parameters": of(a={"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": True})},
        {
            "type": "object",
            "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}},
        },
    ),
    "references as Google writes them": (
        {"parameters": {**of(pet={"ref": "#/defs/Pet"}), "defs": {"Pet": of(name={"type": "STRING"})}}},
        {
            "type": "object",
            "properties": {"pet": {"$ref": "#/$defs/Pet"}},
            "$defs": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}}}},
        },
    ),
    "a schema for other properties": (
        {"parameters": {"type": "OBJECT", "additionalProperties": {"type": "STRING"}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
    ),
    "JSON Schema": ({"parametersJsonSchema": CITY}, CITY),
    "JSON Schema in capitals": ({"parameters_json_schema": of(city={"type": "STRING"})}, CITY),
    "JSON Schema without a type": (
        {"parametersJsonSchema": {"properties": {"type": {"enum": ["STRING"]}}, "default": {"type": "OBJECT"}}},
        {"properties": {"type": {"enum": ["STRING"]}}, "default": {"type": "OBJECT"}, "type": "object"},
    ),
    "a tuple as before 2020": (
        {"parametersJsonSchema": {"type": "object", "properties": {"t": {"items": [{"type": "NUMBER"}]}}}},
        {"type": "object", "properties": {"t": {"prefixItems": [{"type": "number"}], "items": True}}},
    ),
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_the_model_is_shown(case: str) -> None:
    sent, shown = SHOWN[case]
    [function] = declare({"name": "f", **sent})
    assert function.parameters == shown


EITHER = {"anyOf": [{"type": "string"}, {"type": "null"}]}
RECURSIVE = {
    "type": "object",
    "properties": {
        "root": {"$ref": "#/$defs/Node"},
        "first": {"$ref": "#/properties/either/anyOf/0"},
        "either": EITHER,
    },
    "$defs": {"Node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {}]}}}},
}
PYDANTIC = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["a", "b"], "type": "string"},
        "pair": {"maxItems": 2, "minItems": 2, "prefixItems": [{}, {}], "type": "array", "unevaluatedItems": False},
        "any": {},
        "one": {"enum": [1, 2], "type": "integer"},
        "maybe": {**EITHER, "default": None},
        "map": {"additionalProperties": {"type": "integer"}, "type": "object", "default": {}},
    },
    "required": ["colour"],
}
ZOD = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"n": {"type": "number", "exclusiveMinimum": 0}, "u": {"type": ["string", "null"]}, "l": True},
    "additionalProperties": False,
    "required": ["n", "elsewhere"],
}


@pytest.mark.parametrize("schema", [RECURSIVE, PYDANTIC, ZOD, {"anyOf": [CITY, {"required": ["x"]}]}])
def test_json_schema_is_passed_on_as_it_was_sent(schema: Declared) -> None:
    [function] = declare({"name": "f", "parametersJsonSchema": schema})
    assert function.parameters == schema


@pytest.mark.parametrize("name", ["f", "_f", "mcp:files.read-2", "a" * 128])
def test_names(name: str) -> None:
    assert declare({"name": name})[0].name == name


@pytest.mark.parametrize("behavior", ["NON_BLOCKING", "BLOCKING", None])
def test_behavior(behavior: str | None) -> None:
    assert declare({"name": "f", "behavior": behavior})[0].blocking is (behavior != "NON_BLOCKING")


def test_as_many_as_the_reference_allows() -> None:
    assert len(declare(*({"name": f"f{i}"} for i in range(MAX_FUNCTIONS)))) == MAX_FUNCTIONS


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "", "1st", "a b", "a/b", "ä", "-a", "a" * 129])
def test_bad_names(name: str | None) -> None:
    assert refused({"name": name}).startswith("name: Invalid function name. Must start with a letter or an underscore.")


def test_the_same_name_twice() -> None:
    reason = refused({"name": "f"}, {"name": "f"})
    assert reason.endswith("function_declarations[1].name: Duplicate function declaration found: f")


def test_one_of_the_server_s_tools_may_be_asked_for_twice_but_not_declared() -> None:
    search = FunctionDeclaration("google_search", tool="google_search")
    both = [parse(Tool, {"googleSearch": {}}), parse(Tool, {"googleSearchRetrieval": {}})]
    assert parse_functions(both, "setup.tools", (search,)) == (search,)
    own = parse(Tool, {"functionDeclarations": [{"name": "google_search"}]})
    for tools in ((both[0], own), (own, both[0])):
        with pytest.raises(ProtocolError, match="Duplicate function declaration found: google_search"):
            parse_functions(tools, "setup.tools", (search,))


def test_too_many() -> None:
    assert "[512].name: at most 512" in refused(*({"name": f"f{i}"} for i in range(MAX_FUNCTIONS + 1)))


class _Unread(Tool, frozen=True):
    """A tool that is not to be looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)


def test_too_many_tools_are_refused_before_one_is_looked_at() -> None:
    with pytest.raises(ProtocolError, match=r"setup\.tools: 513 tools; at most 512 can be given") as caught:
        parse_functions((_Unread(),) * (MAX_TOOLS + 1), "setup.tools")
    assert (caught.value.code, caught.value.field) == (1007, "setup.tools")
    assert parse_functions((Tool(),) * MAX_TOOLS, "setup.tools") == ()


@pytest.mark.parametrize(
    ("first", "then", "path"),
    [
        ({**TALK, "tools": [{}] * 60_000}, None, "setup.tools"),
        (TALK, {"contextUpdate": {"tools": {"tools": [{}] * 60_000}}}, "context_update.tools.tools"),
    ],
    ids=["setup", "update"],
)
def test_empty_tools_are_counted_wherever_they_come(first: Declared, then: Declared | None, path: str) -> None:
    world = World(first)
    if then:
        world.client(then)
    assert world.closed is not None
    assert world.closed.code == 1007
    assert world.closed.reason.startswith(f"* BidiGenerateContentRequest.{path}: 60000 tools; at most 512")


def test_both_kinds_of_schema() -> None:
    reason = refused({"name": "f", "parameters": {"type": "OBJECT"}, "parametersJsonSchema": {"type": "object"}})
    assert reason == "parameters_json_schema: parameters are set too; leave one of the two out"


OPENAPI: list[tuple[Declared, str]] = [
    ({"type": "STRING"}, "type: must be OBJECT"),
    (
        of(task_ids={"type": "ARRAY", "items": {"type": "BOOLEAN", "enum": ["a"]}}),
        "properties[task_ids].items.enum: only allowed for STRING type",
    ),
    (of(a={"type": "INTEGER", "enum": ["1", "two"]}), "properties[a].enum[1]: must be a number"),
    (of(a={"type": "ARRAY"}), "properties[a].items: missing field."),
    (of(a={"anyOf": [{}, {"type": "array", "nullable": True}]}), "properties[a].any_of[1].items: missing field."),
    ({**of(a={}), "required": ["a", "b"]}, "required[1]: property is not defined"),
    ({"type": "OBJECT", "required": ["ref"]}, "required[0]: property is not defined"),
    (of(a={"type": "STRING", "properties": {}}), "properties[a].properties: only allowed for OBJECT type"),
    (of(a={"type": "STRING", "items": {}}), "properties[a].items: only allowed for ARRAY type"),
    (of(a={"minimum": 2, "maximum": 1}), "properties[a].maximum: is less than minimum"),
    (of(a={"minLength": "5", "max_length": 4}), "properties[a].max_length: is less than min_length"),
    (of(a={"minItems": -1}), "properties[a].min_items: must be a whole number, 0 or more"),
    (of(a={"ref": "#/defs/Pet"}), "properties[a].ref: there is no #/$defs/Pet in this schema"),
    (of(a={"additionalProperties": 5}), "properties[a].additional_properties: must be a schema"),
    (
        {"additionalProperties": {"type": "text"}},
        "additional_properties.type: must be one of string, number, integer, boolean, array, object, null",
    ),
]
TYPES = "must be one of string, number, integer, boolean, array, object, null"
FREE: list[tuple[Any, str]] = [
    (True, " must be a schema of an object"),
    ([], " must be a schema of an object"),
    ("object", " must be a schema of an object"),
    ({"type": "array", "items": {}}, "type: must be OBJECT"),
    ({"type": ["string", "null"]}, "type: must be OBJECT"),
    (of(a={"type": "text"}), f"properties[a].type: {TYPES}"),
    (of(a={"type": []}), f"properties[a].type: {TYPES}"),
    (of(a={"type": {}}), f"properties[a].type: {TYPES}"),
    (of(a="string"), "properties[a]: must be a schema"),
    ({"properties": []}, "properties: must be an object"),
    ({"required": True}, "required: must be a list of names"),
    ({"required": [1]}, "required: must be a list of names"),
    (of(a={"enum": []}), "properties[a].enum: must be a list of values"),
    (of(a={"oneOf": []}), "properties[a].one_of: must be a list of schemas"),
    (of(a={"anyOf": {}}), "properties[a].any_of: must be a list of schemas"),
    (of(a={"anyOf": [{}, 1]}), "properties[a].any_of[1]: must be a schema"),
    (of(a={"items": [{}, 1]}), "properties[a].prefix_items[1]: must be a schema"),
    (of(a={"not": None}), "properties[a].not: must be a schema"),
    (of(a={"minimum": "1"}), "properties[a].minimum: must be a number"),
    (of(a={"maxItems": 1.5}), "properties[a].max_items: must be a whole number, 0 or more"),
    (of(a={"maxItems": True}), "properties[a].max_items: must be a whole number, 0 or more"),
    (of(a={"minItems": 3, "maxItems": 2}), "properties[a].max_items: is less than min_items"),
    (of(a={"pattern": 1}), "properties[a].pattern: must be a string"),
    (of(a={"$ref": 1}), "properties[a].ref: must be a string"),
    (of(a={"$ref": "#/$defs/B"}), "properties[a].ref: there is no #/$defs/B in this schema"),
    (of(a={"$ref": "#anchor"}), "properties[a].ref: there is no #anchor in this schema"),
    (of(a={"$ref": "#/type"}), "properties[a].ref: there is no #/type in this schema"),
    (
        of(a={"$ref": "https://example.com/x.json"}),
        "properties[a].ref: only what is in this schema can be referred to, as #/$defs/NAME",
    ),
    ({**of(a={"$ref": "#/$defs/b"}), "$defs": {"b": {"$ref": "#/$defs/b"}}}, "properties[a].ref: refers to itself"),
    ({**of(a={"$ref": "#/x"}), "x": {"type": 5}}, f"properties[a].ref.type: {TYPES}"),
    ({**of(a={"$ref": "#/$defs/b"}), "$defs": {"b": {"type": 5}}}, f"defs[b].type: {TYPES}"),
]


@pytest.mark.parametrize(("schema", "reason"), OPENAPI)
def test_bad_parameters(schema: Declared, reason: str) -> None:
    assert refused({"name": "f", "parameters": schema}) == f"parameters.{reason}"


@pytest.mark.parametrize(("schema", "reason"), FREE)
def test_bad_json_schemas(schema: Any, reason: str) -> None:
    separator = ":" if reason.startswith(" ") else "."
    assert refused({"name": "f", "parametersJsonSchema": schema}) == f"parameters_json_schema{separator}{reason}"


@pytest.mark.parametrize("form", ["parameters", "parametersJsonSchema"])
def test_how_deep_schemas_may_be(form: str) -> None:
    declare({"name": "f", form: nested(MAX_LEVELS, "OBJECT")})
    assert refused({"name": "f", form: nested(MAX_LEVELS + 1, "OBJECT")}).endswith("32 levels deep")


def linked(count: int, link: Callable[[Declared], Declared]) -> Declared:
    """Definitions that each lead to the next one."""
    chain: Declared = {f"d{i}": link({"$ref": f"#/$defs/d{i + 1}"}) for i in range(count)}
    return {**of(a={"$ref": "#/$defs/d0"}), "$defs": {**chain, f"d{count}": {"type": "string"}}}


def test_a_long_chain_of_references_ends() -> None:
    """Without one call of Python's for each."""
    declare({"name": "f", "parametersJsonSchema": linked(2000, lambda ref: {"properties": {"a": ref}})})


def test_references_to_references() -> None:
    declare({"name": "f", "parametersJsonSchema": linked(MAX_HOPS, lambda ref: ref)})
    reason = refused({"name": "f", "parametersJsonSchema": linked(MAX_HOPS + 1, lambda ref: ref)})
    assert reason.endswith(f": leads over more than {MAX_HOPS} references")


def test_each_reference_is_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was followed for each place that has it: 20,000 of them over 98 hops took 15 seconds."""
    followed: list[str] = []

    def found(reference: str, whole: Declared) -> Any:
        followed.append(reference)
        return resolve_reference(reference, whole)

    monkeypatch.setattr("openlive.core.setup.declarations.resolve_reference", found)
    schema = linked(98, lambda ref: ref)
    schema["properties"] = {f"p{i}": {"$ref": "#/$defs/d0"} for i in range(1000)}
    declare({"name": "f", "parametersJsonSchema": schema})
    assert len(followed) == len(set(followed)) == 99


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "allOf"])
def test_what_branches_is_refused_by_its_path(keyword: str) -> None:
    """Whoever follows its references would be busy for ever."""

    def branching(levels: int) -> Declared:
        return linked(levels, lambda ref: {keyword: [ref, ref]})

    declare({"name": "f", "parametersJsonSchema": branching(10)})
    for levels in (22, 500):
        reason = refused({"name": "f", "parametersJsonSchema": branching(levels)})
        assert reason.startswith("parameters_json_schema.properties[a].ref.")
        assert reason.endswith(f": comes to more than {MAX_SIZE} schemas with what it refers to")


def test_what_leads_back_to_itself_counts_once() -> None:
    tree = {**of(left={"$ref": "#"}, right={"$ref": "#"}), "anyOf": [{"$ref": "#"}, {"$ref": "#"}]}
    declare({"name": "f", "parametersJsonSchema": tree})


def test_too_many_schemas_and_references_in_all() -> None:
    half = {"parametersJsonSchema": of(**{f"p{i}": {"type": "string"} for i in range(MAX_SCHEMAS // 2 - 1)})}
    declare({"name": "f", **half}, {"name": "g", **half})
    reason = refused({"name": "f", **half}, {"name": "g", **half}, {"name": "h", "parametersJsonSchema": of(a={})})
    assert reason.endswith(f"all functions together can have {MAX_SCHEMAS} schemas")
    half = {"parametersJsonSchema": {**of(**{f"p{i}": {"$ref": "#/$defs/a"} for i in range(1024)}), "$defs": {"a": {}}}}
    declare({"name": "f", **half}, {"name": "g", **half})
    more = {"name": "h", "parametersJsonSchema": of(a={"$ref": "#"})}
    with pytest.raises(ProtocolError) as caught:
        declare({"name": "f", **half}, {"name": "g", **half}, more)
    path = "setup.tools[0].function_declarations[2].parameters_json_schema.properties[a].ref"
    assert caught.value.field == path
    assert caught.value.reason.endswith(f"all functions together can have {MAX_REFERENCES} references")


def test_what_was_sent_is_left_as_it_is() -> None:
    """A token's constraints serve many sessions."""
    schema = of(a={"items": [{"type": "STRING"}]})
    declare({"name": "f", "parametersJsonSchema": schema})
    assert schema == of(a={"items": [{"type": "STRING"}]})


# --- in a session -----------------------------------------------------------------------------------------------------

BAD: Declared = {"functionDeclarations": [{"name": "f"}, {"name": "g", "parameters": of(a={"type": "ARRAY"})}]}
PATH = "function_declarations[1].parameters.properties[a].items: missing field."


def test_a_setup_with_a_bad_schema_is_refused() -> None:
    world = World({**TALK, "tools": [BAD]})
    assert world.closed is not None
    assert world.closed.code == 1007
    told = f"* BidiGenerateContentRequest.setup.tools[0].{PATH}"
    assert world.closed.reason == told[:123]


def test_so_is_a_context_update() -> None:
    world = World(TALK)
    world.client({"contextUpdate": {"tools": {"tools": [BAD]}}})
    assert world.closed is not None
    assert world.closed.code == 1007
    told = f"* BidiGenerateContentRequest.context_update.tools.tools[0].{PATH}"
    assert world.closed.reason == told[:123]


# --- whatever comes ---------------------------------------------------------------------------------------------------

KEYWORDS = st.sampled_from(
    [
        *("type", "properties", "items", "required", "enum", "anyOf", "$ref", "$defs", "prefixItems", "minItems"),
        *("maxItems", "minimum", "maximum", "additionalProperties", "nullable", "default", "a", "ref", "defs"),
    ]
)
VALUES = st.sampled_from(
    ["OBJECT", "string", "array", "a", "#", "#/$defs/a", "#/properties/a", "#/a/0", "", 1, -1, 2.5]
)
SCHEMAS = st.recursive(
    JSON | VALUES,
    lambda inner: st.dictionaries(KEYWORDS, inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=30,
)


@given(JSON | SCHEMAS, st.sampled_from(["parameters", "parametersJsonSchema"]), st.booleans())
def test_any_json_is_a_schema_or_refused_with_its_path(sent: Any, form: str, wrap: bool) -> None:
    schema = {"type": "OBJECT", "properties": {"a": sent}} if wrap else sent
    refusal = None
    try:
        assert isinstance(declare({"name": "f", form: schema})[0].parameters, dict)
    except ProtocolError as error:
        refusal = error
    if refusal is not None:
        assert refusal.code == 1007
        assert refusal.field is not None
        assert refusal.field.startswith(WHERE)
        assert refusal.field in refusal.reason
