"""What is in the set of requests for function calls, and when something counts as expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from openlive.wire.tools import FunctionDeclaration
from tests.bench.callset import Call, CallSet, arguments_match, contains, load, matches, pairs

Args = dict[str, Any]
ENGINES = Path(__file__).parent.parent.parent / "docs" / "engines.md"


@pytest.fixture(scope="module")
def calls() -> CallSet:
    return load()


def test_the_set_has_what_it_is_said_to_have(calls: CallSet) -> None:
    tags = [request.tags for request in calls.requests]

    def count(*wanted: str) -> int:
        return sum(set(wanted) <= t for t in tags)

    assert len(calls.functions) == 8
    assert 52 <= len(tags) <= 60
    assert count("spoken") >= 20
    assert count("typed") >= 20
    for language in ("de", "es", "pt"):
        assert count(language) >= 6
        for how in ("typed", "spoken"):
            assert count(language, how) >= 4
            assert count(language, how, "none") >= 1
    assert count("none") >= 10
    assert count("two") >= 6
    assert count("result") >= 8
    assert sum(request.continues for request in calls.requests) >= 3
    assert any(request.modality == "AUDIO" for request in calls.requests)
    told = " ".join(ENGINES.read_text("utf-8").split())
    for words in (
        f"{len(tags)} requests in",
        f"{count('typed')} typed and {count('spoken')} spoken",
        f"In {count('none')} no function fits",
        f"{count('two')} want two calls",
        f"in {count('result')} a result",
        f"{sum(request.continues for request in calls.requests)} need what was said before",
    ):
        assert words in told


def test_names_are_unique_and_every_function_is_asked_for(calls: CallSet) -> None:
    ids = [request.id for request in calls.requests]
    assert len(set(ids)) == len(ids)
    asked = {call.name for request in calls.requests for call in request.calls}
    assert asked == {function["name"] for function in calls.functions} == set(calls.results)


def test_what_continues_has_the_language_and_the_modality_of_its_session(calls: CallSet) -> None:
    assert not calls.requests[0].continues
    for conversation in calls.conversations:
        assert len({(request.language, request.modality) for request in conversation}) == 1


def test_the_declarations_are_of_both_kinds_and_the_server_reads_them(calls: CallSet) -> None:
    read = [msgspec.convert(function, FunctionDeclaration) for function in calls.functions]
    assert all(function.json_schema["properties"] for function in read)
    kinds = [next(key for key in function if key.startswith("parameters")) for function in calls.functions]
    assert set(kinds) == {"parameters", "parametersJsonSchema"}


def test_what_is_expected_can_be_said_with_the_declared_arguments(calls: CallSet) -> None:
    schemas = {f["name"]: f.get("parameters") or f["parametersJsonSchema"] for f in calls.functions}
    for request in calls.requests:
        for call in request.calls:
            named = {name.removesuffix("?") for name in call.args}
            assert named <= schemas[call.name]["properties"].keys(), request.id
            assert set(schemas[call.name].get("required", ())) <= call.args.keys(), request.id


@pytest.mark.parametrize(
    ("expected", "value", "alike"),
    [
        ("Munich", "munich", True),
        ("João", "JOAO", True),
        ("2026-10-20", "2026-10-20", True),
        ("2026-10-20", "2026-10-21", False),
        ("12", 12, False),
        (12, 12, True),
        (12, 12.0, True),
        (12, "12", False),
        (1, True, False),
        (True, True, True),
        (True, 1, False),
        (["München", "Munich"], "munchen", True),
        (["München", "Munich"], "Berlin", False),
        ({"contains": "late"}, "I am running Late.", True),
        ({"contains": "late"}, "I will translate it", False),
        ({"contains": ["10", "ten"]}, "ten minutes", True),
        ({"contains": ["10", "ten"]}, "100 minutes", False),
        ({"contains": "late"}, None, False),
        ({"all": [{"contains": "late"}, {"contains": "10"}]}, "10 minutes late", True),
        ({"all": [{"contains": "late"}, {"contains": "10"}]}, "late", False),
        ({"any": True}, "whatever", True),
    ],
)
def test_matches(expected: object, value: object, alike: bool) -> None:
    assert matches(expected, value) is alike


def test_what_is_no_expectation_is_refused() -> None:
    with pytest.raises(ValueError, match="no expectation"):
        matches({"contain": "late"}, "late")


@pytest.mark.parametrize(
    ("text", "words", "there"),
    [
        ("Hay 22ºC en Lisboa.", "22", True),
        ("It's 46.80 Swiss francs.", "46.8", False),
        ("It's 46.80 Swiss francs.", "46.80", True),
        ("Es sind zwölf Grad.", "zwolf", True),
        ("Es regnet.", "regn", True),
        ("twenty-two degrees", "twenty two", True),
        ("It rained", "rain", True),
        ("A train", "rain", False),
    ],
)
def test_contains(text: str, words: str, there: bool) -> None:
    assert contains(text, words) is there


@pytest.mark.parametrize(
    ("args", "alike"),
    [
        ({"minutes": 5}, True),
        ({"minutes": 5, "label": "eggs"}, True),
        ({"minutes": 5, "label": ""}, True),
        ({"minutes": 5, "label": "tea"}, False),
        ({"minutes": 5, "volume": 3}, False),
        ({"label": "eggs"}, False),
        ({}, False),
    ],
)
def test_arguments(args: Args, alike: bool) -> None:
    assert arguments_match({"minutes": 5, "label?": "eggs"}, args) is alike


def test_calls_find_what_they_answer_to() -> None:
    rome, oslo, timer = Call("weather", {"city": "Rome"}), Call("weather", {"city": "Oslo"}), Call("timer", {})
    made: list[tuple[str, Args]] = [("weather", {"city": "oslo"}), ("light", {}), ("weather", {"city": "Paris"})]
    assert pairs([rome, timer, oslo], made) == [oslo, None, rome]
