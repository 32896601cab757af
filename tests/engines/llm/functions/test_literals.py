"""JSON in, JSON out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openlive.engines.llm.functions.literals import convert_python_strings
from openlive.engines.llm.functions.parsing import parse_calls
from openlive.types import FunctionDeclaration

ALTAIR = FunctionDeclaration(
    "render_altair",
    "Displays an altair graph in json format.",
    {
        "type": "OBJECT",
        "properties": {
            "json_graph": {
                "type": "STRING",
                "description": "JSON STRING representation of the graph to render. Must be a string, not a json object",
            }
        },
        "required": ["json_graph"],
    },
)
"""As the original's web console declares it."""
PYTHON = "{'mark': 'bar', 'sort': None, 'tip': True, 'data': {'values': [{'month': 'Jan', 'sales': -3}, (1, 2.5)]}}"
VALUE = {"mark": "bar", "sort": None, "tip": True, "data": {"values": [{"month": "Jan", "sales": -3}, [1, 2.5]]}}


def test_a_specification_in_a_string_arrives_as_json() -> None:
    (call,) = parse_calls(f"render_altair(json_graph={json.dumps(PYTHON)})]", [ALTAIR])
    assert isinstance(call.args["json_graph"], str)
    assert json.loads(call.args["json_graph"]) == VALUE


@pytest.mark.parametrize("value", [{"charts": [PYTHON]}, [[PYTHON]], {"a": {"b": {"c": PYTHON}}}])
def test_at_any_depth(value: Any) -> None:
    def strings(inner: Any) -> list[str]:
        if isinstance(inner, str):
            return [inner]
        return [s for one in (inner.values() if isinstance(inner, dict) else inner) for s in strings(one)]

    assert [json.loads(s) for s in strings(convert_python_strings(value, "chart"))] == [VALUE]


@pytest.mark.parametrize("text", ["{'a': true, 'b': null, 'c': false}", "{'ü': 'grün', 'q': \"it's\"}", "[{'a': 1}]"])
def test_mixed_words_and_quotes_are_read(text: str) -> None:
    assert json.loads(convert_python_strings(text, "spec")) is not None


STAYS = (
    *('{"a": true}', "[1, 2]", "hello", "", "[sic] as it stands", "{name} is here", "{1: 2}", "{'a', 'b'}"),
    *(
        "[",
        "{",
        "[1",
        "[[",
        "[1, 2",
        "{'a': open('x')}",
        "[1 + 1]",
        "{**{}}",
        "[1e999]",
        "['\\ud800']",
        "12",
        "None",
        "{'a': ",
        "][",
    ),
    *(300 * "[" + "'a'" + 300 * "]", "{'a': " + 70_000 * " " + "1}", "[" + 20_000 * "-" + "1]"),
)


@pytest.mark.parametrize("text", STAYS)
def test_the_rest_stays_as_it_is(text: str) -> None:
    assert convert_python_strings(text, "spec") == text


@pytest.mark.parametrize("cut", ["}", "]}", "]}}"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_brackets_that_are_missing_at_the_end_are_added(cut: str, quote: str) -> None:
    """As the 1.5B writes a chart's specification."""
    text = "{'type': 'bar [', 'data': {'values': [{'x': 'Jan \\' 3', 'y': 3}]}}".replace("'", quote)
    text = text.replace(f"\\{quote}", "")
    told = convert_python_strings(text.removesuffix(cut), "graph")
    assert json.loads(told) == json.loads(convert_python_strings(text, "graph"))


def test_code_stays_code() -> None:
    for described in ("code", "source The Python program to run"):
        assert convert_python_strings("[1, None]", described) == "[1, None]"
    assert json.loads(convert_python_strings("[1, None]", "country_codes")) == [1, None]
