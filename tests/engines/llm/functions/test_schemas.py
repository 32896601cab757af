from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher

from openlive.engines.llm.functions import routing, schemas
from openlive.engines.llm.functions.grammar import build_grammar
from openlive.engines.llm.functions.parsing import parse_calls
from openlive.types import FunctionDeclaration


def grammar(parameters: Any) -> dict[str, Any]:
    """What the grammar is told of an argument `x` with this schema."""
    whole = schemas.normalise_schema({"type": "object", "properties": {"x": parameters}})
    return schemas.ArgumentSchemas(whole).build_schema(whole["properties"]["x"])


def test_nothing_is_invented_beside_what_is_declared() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "string"}}}
    schema = grammar({"properties": {"a": inner, "free": {"type": "object"}}})
    assert schema["additionalProperties"] is False
    assert schema["properties"]["a"]["additionalProperties"] is False
    assert "additionalProperties" not in schema["properties"]["free"]


def test_what_no_grammar_knows_is_left_out() -> None:
    schema = grammar(
        {
            "title": "T",
            "not": {},
            "properties": {
                "a": {"type": "string", "pattern": "^(?=x)", "format": "color", "default": 1},
                "b": {"type": "string", "pattern": "^[a-z]+$", "format": "date"},
                "c": {"oneOf": [{"type": "string"}, {"type": "null"}]},
                "d": {"type": "STRING", "nullable": True, "enum": ["x"]},
            },
            "required": ["a", "e"],
        }
    )
    assert schema["properties"] == {
        "a": {"type": "string"},
        "b": {"type": "string", "pattern": "^[a-z]+$", "format": "date"},
        "c": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "d": {"type": ["string", "null"], "enum": ["x", None]},
        "e": {},
    }
    assert "not" not in schema


def test_references_stay_with_what_they_point_to() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
    parameters = {"type": "object", "$defs": {"node": node}, "properties": {"x": {"$ref": "#/$defs/node"}}}
    whole = schemas.normalise_schema(parameters)
    schema = schemas.ArgumentSchemas(whole).build_schema(whole["properties"]["x"])
    assert schema["$ref"] == "#/$defs/node"
    assert schema["$defs"]["node"]["properties"]["next"]["$ref"] == "#/$defs/node"


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        ({"type": "integer", "minimum": 10, "maximum": 3}, {"type": "integer"}),
        ({"type": "string", "pattern": "[[:alpha:]"}, {"type": "string"}),
        ({"type": "string", "pattern": "^a", "format": "date"}, {"type": "string"}),
        ({"minLength": 9, "maxLength": 3, "$ref": "#"}, {}),
    ],
)
def test_what_no_grammar_can_be_made_of_costs_its_own_argument_alone(
    schema: dict[str, Any], kept: dict[str, Any]
) -> None:
    light = {"x": schema, "room": {"enum": ["attic"]}}
    whole = schemas.normalise_schema({"type": "object", "properties": light})
    assert {
        k: v
        for k, v in schemas.ArgumentSchemas(whole).build_schema(whole["properties"]["x"]).items()
        if k != "x-guidance"
    } == kept
    grammar = build_grammar((FunctionDeclaration("light", "", whole),))
    assert LLMatcher.validate_grammar(grammar) == ""
    assert "attic" in grammar


@pytest.mark.parametrize("ref", ["#/$defs/nowhere", "https://example.com/schema.json"])
def test_references_to_nowhere_are_anything(ref: str) -> None:
    assert grammar({"$ref": ref}).keys() == {"x-guidance"}
    assert (
        schemas.find_argument_violation({"a": 1}, {"properties": {"a": {"$ref": ref}}}) == ""
    )  # and nothing is fetched


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 3}, 2, 4),
        ({"type": "STRING", "nullable": True}, None, 1),
        ({"enum": ["a", "b"]}, "a", "c"),
        ({"type": "array", "items": {"type": "number"}, "minItems": 1}, [1.5], []),
        ({"type": "array", "items": {"enum": ["a"]}, "uniqueItems": True}, ["a"], ["a", "a"]),
        ({"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}, {"x": ""}, {}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, 1),
    ],
)
def test_arguments_are_held_to_the_schema(schema: dict[str, Any], good: Any, bad: Any) -> None:
    parameters = {"type": "OBJECT", "properties": {"v": schema}}
    assert schemas.find_argument_violation({"v": good}, parameters) == ""
    assert schemas.find_argument_violation({"v": bad}, parameters).startswith("$.v")


def test_an_expression_of_the_clients_keeps_nobody_busy() -> None:
    parameters = {"properties": {"v": {"type": "string", "pattern": "^(a+)+$"}}}
    assert schemas.find_argument_violation({"v": "a" * 40 + "!"}, parameters) == ""


def test_keywords_that_make_no_sense_count_as_not_written() -> None:
    broken: Any = {
        "type": ["nonsense", "STRING"],
        "enum": True,
        "required": True,
        "minLength": -1,
        "items": 3,
        "anyOf": [],
    }
    assert schemas.normalise_schema({"properties": {"x": broken}}) == {"properties": {"x": {"type": ["string"]}}}
    assert schemas.find_argument_violation({"x": 1}, {"properties": {"x": broken}}).startswith("$.x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["object", "string", "#", "#/x", "^("]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "allOf", "$ref", "required", "enum", "pattern", "$defs", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_a_schema_may_be_anything(parameters: Any) -> None:
    functions = (FunctionDeclaration("f", "", parameters),)
    assert LLMatcher.validate_grammar(build_grammar(functions)) == ""
    assert routing.build_prompt_start(functions, "")
    assert isinstance(schemas.find_argument_violation({}, parameters), str)


# --- what anybody may declare -----------------------------------------------------------------------------------------


def of(count: int, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(count)}, **more}


def length(*parameters: dict[str, Any]) -> int:
    functions = [FunctionDeclaration(f"f{i}", "", each) for i, each in enumerate(parameters)]
    text = build_grammar(functions)
    assert LLMatcher.validate_grammar(text) == ""
    return len(text)


@pytest.mark.parametrize("required", [[], [f"p{i}" for i in range(2000)], ["p0"]])
def test_a_grammar_is_as_long_as_what_was_declared(required: list[str]) -> None:
    """It was as long as the square of the optional arguments; and a rule for each that leads to the next one's, 8000 of
    them, ended the process in llguidance."""
    few, many = length(of(500, required=required)), length(of(2000, required=required))
    assert many < 5 * few


def test_what_finds_no_room_is_held_by_less() -> None:
    assert length(of(8000)) < 500
    assert length(*[of(15)] * 512) < 400_000
    assert length({"properties": {"a": {"enum": [f"v{i}" for i in range(60_000)]}}}) < 500
    shared = {"$defs": {f"d{i}": of(20) for i in range(300)}}
    shared |= {"properties": {f"p{i}": {"$ref": f"#/$defs/d{i}"} for i in range(300)}}
    assert length(shared) < 300_000


def test_values_of_one_kind_share_their_rule() -> None:
    assert build_grammar([FunctionDeclaration("f", "", of(100))]).count("%json") == 2


def tries(monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any]) -> int:
    tried: list[str] = []

    def is_taken(text: str) -> bool:
        tried.append(text)
        return True

    monkeypatch.setattr(schemas, "_is_valid_grammar", is_taken)
    build_grammar([FunctionDeclaration("f", "", parameters)])
    return len(tried)


def test_not_everything_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = {f"p{i}": {"type": "string", "pattern": f"^a{i}$"} for i in range(4000)}
    assert tries(monkeypatch, {"properties": {"a": {"properties": patterns}}}) < 2000
    assert tries(monkeypatch, {"properties": {f"p{i}": {"maxLength": i} for i in range(4000)}}) < 2000


def test_what_would_be_multiplied_is_left_out() -> None:
    either = [{"anyOf": [{"minLength": i}, {"maxLength": i + 9}]} for i in range(32)]
    assert "allOf" in grammar({"allOf": either[:7]})
    assert "allOf" not in grammar({"allOf": either})
    chain = {
        "$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}, either[i]]} for i in range(30)},
        "properties": {"x": {"$ref": "#/$defs/d0"}},
    }
    length(chain)


def test_arguments_without_room_may_be_any() -> None:
    functions = [FunctionDeclaration("f", "", of(5000, required=["p0"]))]
    assert "any" in build_grammar(functions)
    (call,) = parse_calls('f(p0="x", p9="y")]', functions)
    assert call.args == {"p0": "x", "p9": "y"}
