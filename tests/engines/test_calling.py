import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.engines.calling import OTHERWISE, Caller, Finder, made, system
from openlive.engines.prompt import MalformedCallError
from openlive.types import FunctionCall, FunctionDeclaration, FunctionResponse, Message, Part, Text

WEATHER = FunctionDeclaration(
    "get_weather",
    "The weather.",
    {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]},
)
ALARM = FunctionDeclaration("set_alarm", blocking=False)
NAMES = ("get_weather", "set_alarm")

CALLS = [
    '<tool_call>\n{"name": "get_weather"',
    "<tools></tools>",
    '{"name": "get_weather", "arguments": {}}',
    '{\n  "name" : "set_alarm"',
    '{{"name": "get_weather", ',
    '[{"name": "get_weather"',
    '```json\n{"name": "get_weather"',
    '```\n[ {"name":"get_weather"',
    '`{"name": "get_weather"',
]
UNKNOWN = ["</tool_call>", '{"name": "book_flight", "arguments": {}}', '```json\n{"name": "x",\n "parameters": {}']
TEXTS = [
    "The tool_call tag is written <tool> and a set is {1, 2}.",
    'Her file is {"name": "Anna", "age": 3}.',
    "2 < 3, a[0] and `name` in ```python\nprint({})\n```",
    '{"names": []} {"name": 3}',
    "get_weather is a function. Let me check.",
    "{{",
    "Well <tool",
    '```json\n{"name": "get_wea',
]


def find(pieces: list[str]) -> tuple[str, bool, bool]:
    """What is passed on, whether a call begins, whether of an unknown function."""
    finder, passed = Finder(NAMES), ""
    for piece in pieces:
        passed += finder.feed(piece)
        if finder.found:
            return passed, True, finder.unknown
    return passed + finder.rest(), False, False


def cut(text: str, places: set[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(ends)]


PLACES = st.sets(st.integers(0, 200))


@given(st.sampled_from(["", "Let me check. ", "In {} and <b>: ", "Sure:\n\n"]), st.sampled_from(CALLS), PLACES)
def test_no_character_of_a_call_is_text_however_it_is_cut(before: str, call: str, places: set[int]) -> None:
    assert find(cut(before + call, places)) == (before, True, False)


@given(st.sampled_from(UNKNOWN), PLACES)
def test_a_call_of_a_function_that_there_is_not_is_no_text_either(call: str, places: set[int]) -> None:
    assert find(cut("Well: " + call, places)) == ("Well: ", True, True)


@given(st.sampled_from(TEXTS) | st.text('<>tol_c{}[]`"name: xj\n', max_size=40), PLACES)
def test_text_is_text_however_it_is_cut(text: str, places: set[int]) -> None:
    whole = find([text])
    assert find(cut(text, places)) == whole
    assert whole[1] or whole[0] == text


@pytest.mark.parametrize("text", TEXTS[:5])
def test_an_ordinary_answer_is_no_call(text: str) -> None:
    assert find([text]) == (text, False, False)


def test_nothing_is_held_back_that_cannot_become_a_call() -> None:
    finder = Finder(NAMES)
    assert finder.feed("Hello there! It is ") == "Hello there! It is "
    assert finder.feed("3 < 4") == "3 < 4"
    assert finder.feed(" and {") == " and "
    assert finder.feed('"name"') == ""
    assert finder.feed(": 4}") == '{"name": 4}'


def test_functions_are_declared_one_a_line() -> None:
    tools, instructions = system((WEATHER, ALARM), " Be brief.\n")
    lines = tools.text.splitlines()
    begin, end = lines.index("<tools>"), lines.index("</tools>")
    assert [json.loads(line)["name"] for line in lines[begin + 1 : end]] == ["get_weather", "set_alarm"]
    assert instructions.text == f"\n\nBe brief.\n\n{OTHERWISE}"
    assert [piece.text for piece in system((), "Be brief.")] == ["Be brief."]
    assert system((), " ") == []


def caller() -> Caller:
    return Caller((WEATHER, ALARM), lambda text, special: ())


def test_a_call_is_read() -> None:
    assert caller().read('{"name": "get_weather", "arguments": {"city": "Ulm"}}') == FunctionCall(
        "", "get_weather", {"city": "Ulm"}
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"name": "get_weather", "arguments": {"city": "Ul', "cannot be read"),
        ("[]", "cannot be read"),
        ('{"name": "get_weather"}', "cannot be read"),
        ('{"name": "book_flight", "arguments": {}}', "'book_flight', which is no function"),
        ('{"name": "get_weather", "arguments": {"city": 3}}', r"\$\.city: 3 is not of type 'string'"),
        ('{"name": "get_weather", "arguments": []}', "the arguments are no object"),
    ],
)
def test_what_is_no_valid_call_is_malformed(text: str, says: str) -> None:
    with pytest.raises(MalformedCallError, match=says):
        caller().read(text)


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(p) if isinstance(p, str) else p for p in parts))


def called(name: str, args: dict[str, Any], number: str) -> Message:
    return Message("model", (FunctionCall(number, name, args),))


def names(calls: frozenset[str]) -> list[tuple[str, Any]]:
    return sorted((json.loads(c)["name"], json.loads(c)["arguments"]) for c in calls)


def test_calls_of_this_turn_are_known_until_the_user_speaks_again() -> None:
    messages = (
        user("What's the weather?"),
        called("get_weather", {"city": "Ulm"}, "1"),
        user(FunctionResponse("1", "get_weather", {"celsius": 3})),
    )
    assert names(made(messages, (WEATHER,))) == [("get_weather", {"city": "Ulm"})]
    assert not made((*messages, user("And now?")), (WEATHER,))


def test_calls_beside_the_talk_are_known_as_long_as_they_run() -> None:
    running = (
        user("Wake me."),
        called("set_alarm", {"at": 7}, "1"),
        user(FunctionResponse("1", "set_alarm", {"status": "running"})),
        user("Thanks."),
    )
    assert names(made(running, (ALARM,))) == [("set_alarm", {"at": 7})]
    ended = (*running, user(FunctionResponse("1", "set_alarm", {"ok": True})))
    assert names(made(ended, (ALARM,))) == [("set_alarm", {"at": 7})]  # its result is being told
    assert not made((*ended, user("Again!")), (ALARM,))
    cancelled = (*running[:3], user(FunctionResponse("1", "set_alarm", {"error": "cancelled"})), user("Again!"))
    assert not made(cancelled, (ALARM,))
