"""What the conversation costs as it grows: a turn costs what is new in it, and a window slides in one pass."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from openlive.core.commands import Prefill
from openlive.core.memory import tokens
from openlive.core.memory.history import MAX_PARTS, MAX_TURNS, ContextFullError, ContextWindow, History
from openlive.types import FunctionCall, FunctionResponse, Message, Text
from tests.core.world import TALK, World

TEXTS = {**TALK, "generationConfig": {"responseModalities": ["TEXT"]}}


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def call(identity: str) -> Message:
    return Message("model", (FunctionCall(identity, "f", {}),))


def result(identity: str) -> Message:
    return Message("user", (FunctionResponse(identity, "f", {}),))


def can_begin(messages: tuple[Message, ...]) -> bool:
    """The rule, as slow as it is plain."""
    parts = [part for message in messages for part in message.parts]
    calls = {part.id for part in parts if isinstance(part, FunctionCall)}
    return messages[0].role == "user" and {p.id for p in parts if isinstance(p, FunctionResponse)} <= calls


def weigh(messages: tuple[Message, ...]) -> int:
    return sum(sum(tokens.of_messages([message]).values()) or 1 for message in messages)


@pytest.mark.parametrize("seed", range(200))
def test_it_slides_to_where_the_rule_says(seed: int) -> None:
    rng = random.Random(seed)
    trigger = rng.randrange(4, 60)
    history = History(ContextWindow(1000, trigger, rng.randrange(trigger)))
    history.load_messages([user("x" * rng.randrange(1, 30)) for _ in range(rng.randrange(3))])
    for number in range(30):
        say = [
            user("x" * rng.randrange(30)),
            Message("model", (Text("y" * rng.randrange(1, 30)),)),
            call(str(number)),
            result(str(rng.randrange(number + 1))),
        ]
        history.add(rng.choice(say))
        before = history.messages
        history.slide_window(0)
        kept, rest = before[: history.pinned_count], before[history.pinned_count :]
        if weigh(before) <= trigger:
            assert history.messages == before
            continue
        cuts = [i for i in range(1, len(rest)) if can_begin(rest[i:])]
        fitting = [i for i in cuts if weigh((*kept, *rest[i:])) <= history._window.target]
        cut = fitting[0] if fitting else (cuts[-1] if cuts else 0)
        assert history.messages == (*kept, *rest[cut:])
        assert history._weight == weigh(history.messages)
        assert history._words == sum(map(tokens.of_words, history.messages))


def test_a_result_of_a_loaded_call_is_not_parted_from_it() -> None:
    history = History(ContextWindow(1000, 20, 10))
    history.load_messages([user("hello"), call("a")])
    history.add(result("a"))
    for _ in range(10):
        history.add(user("some more words"))
    history.slide_window(0)
    assert history.messages[:2] == (user("hello"), call("a"))
    assert len(history.messages) < 6


def test_turns_of_nothing_fill_a_window_too() -> None:
    history = History(ContextWindow(100))
    for _ in range(101):
        history.add(user(""))
    with pytest.raises(ContextFullError):
        history.slide_window(0)


def seconds(work: Callable[[], Any]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def test_results_cost_the_same_however_many_there_are() -> None:
    """4000 of them took 6 seconds: each looked for its call in all that was said."""

    def work(count: int) -> float:
        def add() -> None:
            history = History(ContextWindow(10**9))
            for i in range(count):
                history.add(call(str(i)) if i % 2 else result(str(i)))

        return min(seconds(add) for _ in range(3))

    assert work(8000) < 12 * work(2000)  # four times as many; sixteen times where each looks at all


def test_a_slide_costs_one_pass() -> None:
    """A window of 16,000 turns took more than a second to slide: for each it was asked of all the rest."""
    history = History(ContextWindow(10**9, 16_000, 8_000))
    for i in range(16_001):
        history.add(user("x") if i % 2 else Message("model", (Text("y"),)))
    looked = 0

    class Counted(list[Any]):
        def __getitem__(self, index: Any) -> Any:
            nonlocal looked
            looked += 1
            return super().__getitem__(index)

    history._entries = Counted(history._entries)
    history.slide_window(0)
    assert len(history.messages) == 8000
    assert looked < 16_100


def test_turns_and_parts_of_a_message_are_bounded() -> None:
    def say(turns: list[dict[str, Any]]) -> World:
        world = World(TEXTS)
        world.client({"clientContent": {"turns": turns}})
        return world

    turn = {"parts": [{"text": "x"}]}
    assert say([turn] * MAX_TURNS).closed is None
    many = say([turn] * (MAX_TURNS + 1)).closed
    assert many is not None
    assert many.reason == f"Invalid value at 'client_content.turns': 2049 turns; send {MAX_TURNS} at most in a message."
    assert say([{"parts": turn["parts"] * 2}] * MAX_TURNS).closed is None
    parts = say([{"parts": turn["parts"] * (MAX_PARTS + 1)}]).closed
    assert parts is not None
    assert parts.reason.startswith("Invalid value at 'client_content.turns.parts': 4097 in all; send 4096 at most")


def test_nothing_is_prepared_of_what_no_window_holds() -> None:
    """Of 16 MB of instructions a language model would be busy for seconds, with everybody waiting."""

    def prepared(instructions: str) -> bool:
        world = World(TEXTS)
        commands = world.client({"contextUpdate": {"systemInstruction": {"parts": [{"text": instructions}]}}})
        return any(isinstance(command, Prefill) for command in commands)

    assert prepared("Be brief.")
    assert not prepared("x" * 4 * 40_000)
