"""What counts as right, and that the tables tell it."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from tests.bench.callscore import Got, Row, report
from tests.bench.callset import Call, Request

WEATHER = Call("weather", {"city": "Rome"})
TIMER = Call("timer", {"minutes": 5})
ROME: tuple[str, dict[str, Any]] = ("weather", {"city": "Rome"})
FIVE: tuple[str, dict[str, Any]] = ("timer", {"minutes": 5})


def row(*expected: Call, got: Got, answer: Any = None, how: Any = "typed") -> Row:
    return Row(Request("r", "en", how, "Rome in five minutes", expected, answer), got)


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (row(WEATHER, got=Got(calls=[ROME], answer="Sunny.")), ""),
        (row(WEATHER, TIMER, got=Got(calls=[FIVE, ROME], answer="Done.")), ""),
        (row(got=Got(answer="Hello!")), ""),
        (row(WEATHER, got=Got(calls=[ROME], answer="22 degrees"), answer={"contains": "22"}), ""),
        (row(WEATHER, got=Got(calls=[ROME], answer="Nice."), answer={"contains": "22"}), "answer"),
        (row(WEATHER, got=Got(calls=[ROME])), "answer"),
        (row(WEATHER, got=Got(calls=[ROME], answer="Lo siento, no puedo.")), "answer"),
        (row(got=Got(answer="I can't order taxis.")), ""),
        (row(WEATHER, got=Got(calls=[ROME], answer='<tool_call> "x"')), "answer"),
        (row(WEATHER, got=Got(calls=[("weather", {"city": "Oslo"})], answer="Rain.")), "arguments"),
        (row(WEATHER, got=Got(calls=[ROME, ROME], answer="Sunny.")), "function"),
        (row(WEATHER, TIMER, got=Got(calls=[ROME], answer="Sunny.")), "function"),
        (row(WEATHER, got=Got(answer="Which city?")), "function"),
        (row(got=Got(calls=[ROME], answer="Sunny.")), "function"),
        (row(WEATHER, got=Got(error="TimeoutError()")), "error"),
    ],
)
def test_what_is_wrong(made: Row, wrong: str) -> None:
    assert made.wrong == wrong


def test_how_much_was_misheard() -> None:
    assert row(got=Got(heard="rome in 5 minutes"), how="spoken").misheard == 0.25
    assert row(got=Got()).misheard is None


def test_the_report() -> None:
    console = Console(record=True, width=120)
    console.print(
        report(
            [
                row(WEATHER, got=Got(calls=[ROME], answer="22", after_ms=300.0), answer={"contains": "22"}),
                row(WEATHER, TIMER, got=Got(calls=[ROME], answer="Sunny.", after_ms=500.0)),
                row(got=Got("rome in five minutes", answer="Hello!"), how="spoken"),
            ]
        )
    )
    told = [" ".join(line.split()) for line in console.export_text().splitlines()]
    for line in (
        "r: function",
        "expected weather(city='Rome'), timer(minutes=5)",
        "got weather(city='Rome')",
        "English, typed 1/2 50",
        "English, spoken 1/1 100 0",
        "the right function, or functions 1/2 50",
        "no call where none fits 1/1 100",
        "two calls at once 0/1 0",
        "the result in the answer 1/1 100",
        "median time to the call, typed: 400 ms",
        "right in all: 2/3 (67 %)",
    ):
        assert line in told
    assert not any(line.startswith("German") for line in told)
