"""Which functions are called: the program that the model completes, and what it writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.engines.llm.functions import routing
from openlive.engines.llm.functions.grounding import drop_ungrounded
from openlive.engines.llm.functions.parsing import parse_calls
from openlive.engines.llm.llamacpp.server import TokenProbability
from openlive.engines.llm.prompt.conversation import MalformedCallError, render_call
from openlive.types import FunctionCall, FunctionDeclaration, FunctionResponse, Heard, Message, Part, Text

LIGHT = FunctionDeclaration(
    "set_light",
    "Switches a light.",
    {
        "type": "object",
        "properties": {
            "brightness": {"type": "integer", "minimum": 0, "description": "In percent"},
            "room": {"type": "string", "enum": ["kitchen", "hall"]},
            "on": {"type": "BOOLEAN"},
        },
        "required": ["room", "on"],
    },
)
SEND = FunctionDeclaration(
    "send",
    "Sends a message.",
    {
        "type": "object",
        "properties": {"from": {"type": "string"}, "to": {"type": "array", "items": {"type": "string"}}},
    },
)
BOTH = (LIGHT, SEND)


def message(role: Any, *parts: Part | str) -> Message:
    return Message(role, tuple(Text(p) if isinstance(p, str) else p for p in parts))


def lines(*messages: Message) -> str:
    pieces = routing.build_prompt(BOTH, "", messages)
    return "".join(piece.text for piece in pieces[len(routing.build_prompt_start(BOTH, "")) :])


class TestProgram:
    def test_functions_are_stubs_the_required_arguments_first(self) -> None:
        text = "".join(piece.text for piece in routing.build_prompt_start(BOTH, 'Today is "Monday".'))
        assert 'def set_light(room: Literal["kitchen", "hall"], on: bool, brightness: int = None):' in text
        assert "    brightness: In percent" in text
        assert "def send(from: str = None, to: list[str] = None):" in text
        assert text.endswith('# It was told: "Today is \\"Monday\\"."\n\n')

    def test_a_line_that_is_a_question_comes_last(self) -> None:
        assert lines(message("user", 'Light "on", please.')) == 'user: "Light \\"on\\", please."\ncalls: ['

    def test_what_was_said_and_called_before_stands_before_it(self) -> None:
        call = FunctionCall("1", "set_light", {"room": "hall", "on": True})
        told = lines(
            message("user", "Light in the hall."),
            message("model", call),
            message("user", FunctionResponse("1", "set_light", {"done": 1})),
            message("model", "It is on."),
            message("user", Heard("And now?", 0, 9)),
            message("model", "What?"),
            message("user", "Off again."),
        )
        assert told.splitlines() == [
            'user: "Light in the hall."',
            'calls: [set_light(room="hall", on=True)]',
            'assistant: "It is on."',
            'user: "And now?"',
            'calls: [chat(topic="What?")]',
            'assistant: "What?"',
            'user: "Off again."',
            "calls: [",
        ]

    @pytest.mark.parametrize(
        ("said", "request_"),
        [
            (["Light in the hall."] * 2, "Light in the hall."),
            (["Light in the hall.", "No, in the kitchen."], "Light in the hall. No, in the kitchen."),
            (["x" * 300, "y" * 200], "y" * 200),
        ],
        ids=["twice", "interrupted before a word of the answer", "long"],
    )
    @pytest.mark.parametrize(
        "before",
        [
            (),
            (message("user", "Hello."), message("model", "Hi.")),
            (
                message("user", "Light."),
                message("model", FunctionCall("1", "set_light", {"room": "hall", "on": True})),
                message("user", FunctionResponse("1", "set_light", {"done": 1})),
            ),
        ],
        ids=["first", "after an answer", "after a call"],
    )
    def test_a_request_is_what_was_said_since_the_model_spoke(
        self, before: tuple[Message, ...], said: list[str], request_: str
    ) -> None:
        told = lines(*before, *(message("user", one) for one in said)).splitlines()
        assert told[-2:] == [f'user: "{request_}"', "calls: ["]
        assert len([line for line in told if line.startswith("user:")]) == 1 + any(m.text for m in before)

    def test_what_is_settled_of_a_line_under_way_begins_the_whole(self) -> None:
        before = [message("user", "Hi."), message("model", "Hello.")]
        settled = routing.build_settled_prompt(BOTH, "", [*before, message("user", 'Light "on"')])
        whole = routing.build_prompt(BOTH, "", [*before, message("user", 'Light "on" in the hall.')])
        assert "".join(piece.text for piece in whole).startswith("".join(piece.text for piece in settled))
        assert settled[-1].text == 'Light \\"on\\"', "without its end"
        assert routing.build_settled_prompt(BOTH, "", before) == whole[: len(settled) - 2], "nobody is talking"
        assert routing.build_settled_prompt(BOTH, "", [*before, message("user", " ")]) == whole[: len(settled) - 2]

    def test_a_long_conversation_drops_its_beginning_in_steps(self) -> None:
        said: list[Message] = []
        starts = []
        for i in range(30):
            said.append(message("user", f"Line {i}."))
            told = lines(*said).splitlines()
            starts.append(told[0])
            assert len(told) < 16
            said.append(message("model", "Yes."))
        assert len(set(starts)) < 14, "most turns find their beginning computed"

    @pytest.mark.parametrize(
        ("messages", "asks"),
        [
            ([], False),
            ([message("user", "Hi.")], True),
            ([message("user", Heard("Hi.", 0, 1))], True),
            ([message("user", FunctionResponse("1", "f", {}))], False),
            ([message("user", FunctionResponse("1", "f", {}), "And you?")], True),
            ([message("model", "Hi.")], False),
        ],
    )
    def test_only_what_the_user_says_asks_for_calls(self, messages: list[Message], asks: bool) -> None:
        assert routing.has_user_request(messages) is asks

    def test_nothing_is_called_where_chat_is_likely(self) -> None:
        assert routing.needs_function([TokenProbability(1, "set", 0.9), TokenProbability(2, "chat", 0.1)])
        assert not routing.needs_function([TokenProbability(1, "set", 0.8), TokenProbability(2, "chat", 0.2)])
        assert routing.needs_function([TokenProbability(1, "c", 0.9)]), "half a name is no name"


class TestCurrencies:
    PRICE = FunctionDeclaration(
        "price",
        "",
        {"properties": {"from": {"type": "string", "description": "Currency code, such as USD"}}, "required": ["from"]},
    )

    def test_their_codes_are_told_where_a_function_takes_one(self) -> None:
        said = [message("user", "Six pounds?"), message("model", "Yes."), message("user", "And reais?")]
        text = "".join(piece.text for piece in routing.build_prompt([self.PRICE], "", said))
        assert 'user: "Six pounds?"\n# pounds = GBP\ncalls: [chat(topic="Yes.")]\n' in text
        assert "GBP" not in lines(*said)

    @pytest.mark.parametrize(
        ("name", "schema", "takes"),
        [
            ("currencyCode", {"type": "string"}, True),
            ("currency", {"type": "string", "enum": ["EUR", "USD"]}, True),
            ("a", {"description": "Währung nach ISO 4217"}, True),
            ("currency", {"type": "string"}, False),
            ("country", {"description": "Three letters, such as USA"}, False),
        ],
    )
    def test_which_arguments_are_codes(self, name: str, schema: dict[str, Any], takes: bool) -> None:
        function = FunctionDeclaration("f", "", {"properties": {name: schema}})
        assert routing.takes_currencies([LIGHT, function]) is takes

    def test_a_code_counts_as_said(self) -> None:
        said = routing.argument_sources([self.PRICE], [message("user", "What is a pound worth?")])
        call = FunctionCall("", "price", {"from": "GBP"})
        assert drop_ungrounded([call], [self.PRICE], said) == [call]
        assert not drop_ungrounded([call], [self.PRICE], "What is that worth?")


TEXT = st.text().filter(lambda text: not text.lstrip().startswith(("{", "[")))
"""What is no object or list in Python's words (`literals`)."""


class TestReading:
    def test_several_calls(self) -> None:
        text = 'set_light(room="kitchen", on=False, brightness=30), send(from="a, b)", to=["x", "]"])]\n'
        assert parse_calls(text, BOTH) == [
            FunctionCall("", "set_light", {"room": "kitchen", "on": False, "brightness": 30}),
            FunctionCall("", "send", {"from": "a, b)", "to": ["x", "]"]}),
        ]

    def test_the_same_call_twice_is_one(self) -> None:
        assert len(parse_calls("send(), send()]", BOTH)) == 1

    @pytest.mark.parametrize(
        "text",
        ["", "set_light(", "unheard_of()]", 'set_light(room="attic", on=True)]', "set_light(on=True)]", "send(from=)]"],
    )
    def test_what_is_none_is_malformed(self, text: str) -> None:
        with pytest.raises(MalformedCallError):
            parse_calls(text, BOTH)

    @given(TEXT, st.lists(TEXT, max_size=3))
    def test_what_was_written_is_read(self, sender: str, to: list[str]) -> None:
        call = FunctionCall("", "send", {"from": sender, "to": to})
        assert parse_calls(render_call(call) + "]", BOTH) == [call]

    def test_half_of_it_is_not_the_whole(self) -> None:
        with pytest.raises(MalformedCallError):
            parse_calls('send(to=["x"]', BOTH)
        assert parse_calls('send(to=["x"])]', BOTH)


def test_the_talk_is_told_what_can_be_done_but_not_how() -> None:
    told = routing.describe_functions(BOTH)
    assert "- Switches a light." in told
    assert "set_light" not in told
    assert routing.describe_functions(()) == ""


class TestWhatNobodySaid:
    TIMER = FunctionDeclaration(
        "timer",
        "",
        {"properties": {"minutes": {"type": "integer"}, "label": {"type": "string"}}, "required": ["minutes"]},
    )
    PLAY = FunctionDeclaration("play", "", {"properties": {"artist": {"type": "string"}, "n": {"type": "integer"}}})

    @pytest.mark.parametrize(
        ("said", "args", "kept"),
        [
            ("A timer for five minutes", {"minutes": 5, "label": "break"}, {"minutes": 5}),
            (
                "Timer auf zehn Minuten für die Nudeln",
                {"minutes": 10, "label": "nudeln"},
                {"minutes": 10, "label": "nudeln"},
            ),
            ("half an hour", {"minutes": 30}, {"minutes": 30}),
            ("Set a timer, please.", {"minutes": 10}, None),
        ],
    )
    def test_numbers_and_labels(self, said: str, args: dict[str, Any], kept: dict[str, Any] | None) -> None:
        calls = drop_ungrounded([FunctionCall("", "timer", args)], [self.TIMER], said)
        assert calls == ([] if kept is None else [FunctionCall("", "timer", kept)])

    def test_names(self) -> None:
        calls = [FunctionCall("", "play", {"artist": name, "n": 2}) for name in ("Beethoven", "Shakira")]
        kept = drop_ungrounded(calls, [self.PLAY], "pon música de SHAKIRA")
        assert [call.args for call in kept] == [{"artist": "Shakira"}], "of the first call nothing was said"
