"""Arguments are held to JSON Schema as the reference validator holds them, and never for longer than so many steps."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from openlive.engines.llm.functions.validation import STEPS, find_violation

VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, 2.5, -3, 10**20, "", "a", "abc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "array", "object", "null"])
COUNTS = st.integers(0, 3)
NUMBERS = st.sampled_from([-3, 0, 1, 1.5, 2])
NAMES = st.lists(st.sampled_from("abc"), max_size=2, unique=True)


PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
    "const": VALUES,
    "enum": st.lists(VALUES, min_size=1, max_size=3),
    "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b"]),
    "required": NAMES,
    "dependentRequired": st.dictionaries(st.sampled_from("abc"), NAMES, max_size=2),
    "multipleOf": st.sampled_from([1, 2, 0.5]),
    "uniqueItems": st.booleans(),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength", "minContains", "maxContains"), COUNTS),
    **dict.fromkeys(("minProperties", "maxProperties"), COUNTS),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), NUMBERS),
}
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SINGLE = ("not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames")
MAPS = ("properties", "dependentSchemas")


@st.composite
def few(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    """A schema of few keywords: of all at once nothing would be left that fits."""
    schema = {}
    for keyword in draw(st.sets(st.sampled_from((*PLAIN, *LISTS, *SINGLE, *MAPS)), max_size=4)):
        if keyword in PLAIN:
            schema[keyword] = draw(PLAIN[keyword])
        elif keyword in LISTS:
            schema[keyword] = draw(st.lists(inner, min_size=1, max_size=2))
        elif keyword in MAPS:
            schema[keyword] = draw(st.dictionaries(st.sampled_from("abc"), inner, max_size=2))
        else:
            schema[keyword] = draw(inner)
    return schema


SCHEMAS = st.recursive(st.booleans() | few(st.booleans()), few, max_leaves=6)


@settings(max_examples=600, deadline=None)
@given(VALUES, few(SCHEMAS), SCHEMAS, SCHEMAS)
def test_it_says_what_the_reference_says(value: Any, schema: dict[str, Any], a: Any, b: Any) -> None:
    whole = {**schema, "$defs": {"a": a, "b": b}}
    assert validator_for(whole, default=Draft202012Validator) is Draft202012Validator
    try:
        fits = Draft202012Validator(whole).is_valid(value)
    except (SchemaError, RecursionError):
        return  # references that lead in a circle
    found = find_violation(value, whole)
    assert bool(found) is not fits, found


def test_where_it_is_wrong() -> None:
    schema = {"properties": {"a": {"items": {"properties": {"b": {"type": "STRING"}}}}}, "required": ["c"]}
    assert find_violation({"a": [{}, {"b": 1}]}, schema) == "$.a[1].b: 1 is no string"
    assert find_violation({"a": []}, schema) == '$: "c" is missing'
    assert len(find_violation({"a": [{}, {"b": 10**4000}]}, schema)) < 200
    assert len(find_violation("x" * 10**6, {"const": "y" * 10**6})) < 400


def chain(levels: int, keyword: str) -> dict[str, Any]:
    defs = {f"d{i}": {keyword: [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {"type": "string"}}}


LIST = {"type": "object", "properties": {"next": {"$ref": "#"}}}
TWICE = {"anyOf": [{"properties": {"next": {"$ref": "#"}}, "required": ["no"]}] * 2}
DEEP: dict[str, Any] = {}
for _ in range(40):
    DEEP = {"next": DEEP}
HOSTILE: dict[str, tuple[Any, Any]] = {
    "alternatives of alternatives": (1, chain(22, "anyOf")),
    "one of one of": ("a", chain(22, "oneOf")),
    "all of all of": ("a", chain(22, "allOf")),
    "alternatives at every level": (DEEP, TWICE),
    "a circle": (1, {"$ref": "#"}),
    "a circle of alternatives": (1, {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
    "many choices for many": ([str(i) for i in range(3000)], {"items": {"enum": [[i] for i in range(30_000)]}}),
    "many names for many": ([{"a": 1}] * 3000, {"items": {"required": ["a"] * 3000}}),
    "keywords that nobody knows": ([{}] * 3000, {"items": {f"x{i}": i for i in range(3000)}}),
    "lists that differ at the end": ([[0] * 300 + [i] for i in range(300)], {"uniqueItems": True}),
    "if in if": (1, {"if": {"$ref": "#"}, "then": {"$ref": "#"}, "else": {"$ref": "#"}}),
    "names within names": ({str(i): 1 for i in range(3000)}, {"propertyNames": {"allOf": [{"type": "string"}] * 30}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_takes_long(name: str) -> None:
    begun = time.thread_time()
    assert find_violation(*HOSTILE[name]) == f"$: it takes more than {STEPS} steps to check it"
    assert time.thread_time() - begun < 0.5  # some 10 ms


def test_what_is_ordinary_is_checked() -> None:
    assert find_violation(DEEP, LIST) == ""
    member = {name: {"type": "string", "enum": ["x", "y"], "minLength": 1} for name in "abcde"}
    rows = {"type": "array", "items": {"type": "object", "properties": member, "required": ["a"]}, "uniqueItems": True}
    assert find_violation({"rows": [dict.fromkeys("abcde", "x")]}, {"properties": {"rows": rows}}) == ""
    many = {"rows": [{**dict.fromkeys("abcde", "x"), "n": i} for i in range(300)]}
    assert find_violation(many, {"properties": {"rows": rows}}) == ""


def test_expressions_keep_nobody_busy() -> None:
    assert find_violation("a" * 40 + "!", {"type": "string", "pattern": "^(a+)+$"}) == ""
    assert find_violation({"aaaa!": 1}, {"patternProperties": {"^(a+)+$": False}, "additionalProperties": False}) == ""
