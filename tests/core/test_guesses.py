"""Replies that are prepared at silences which may be no end: how many, and what they come to (design, decision 30)."""

from __future__ import annotations

import pytest

from openlive.core.commands import Prepared, Respond
from openlive.core.guesses import RATE, Guesses
from openlive.core.limits import Limits
from tests.core.world import TALK, Word, World, words

PAUSE = 0.4
"""Longer than a first silence, shorter than the 700 ms that end a turn."""


def hesitant(pauses: int, start: float = 0.5) -> list[Word]:
    """A turn that halts after each word; ends 0.7 s a word after its start, but for the last pause."""
    return [word for i in range(pauses + 1) for word in words(f"word{i}", start + i * (0.3 + PAUSE))]


def prepared(world: World) -> list[bool]:
    return [command.used for command in world.of(Prepared)]


def test_a_reply_is_prepared_at_each_silence_and_the_last_is_used() -> None:
    world = World(TALK, plan=hesitant(3))
    world.stream(6)
    assert prepared(world) == [False, False, False, True]
    assert len(world.of(Respond)) == 4
    assert all(0 < command.seconds <= PAUSE + 0.1 for command in world.of(Prepared)[:-1])


def test_whoever_hesitates_on_and_on_is_waited_for() -> None:
    world = World(TALK, plan=hesitant(12), limits=Limits(waste=0.6))
    world.stream(14)
    assert prepared(world) == [False] * 5, (
        "0.8 ** 5 < 1 - 0.6: then no more are prepared, and the turn is still answered"
    )
    assert len(world.of(Respond)) == 6
    assert world.kinds()[-1] == "turnComplete"


def test_and_trusted_again_after_turns_that_end_where_they_seem_to() -> None:
    plan = [*hesitant(7), *words("yes", 12), *words("no", 18), *words("so", 24)]
    world = World(TALK, plan=plan, limits=Limits(waste=0.6))
    world.stream(30)
    assert prepared(world)[-1]
    assert sum(prepared(world)) < 4


@pytest.mark.parametrize(("waste", "replies"), [(0.0, 1), (1.0, 13)])
def test_never_and_always(waste: float, replies: int) -> None:
    world = World(TALK, plan=hesitant(12), limits=Limits(waste=waste))
    world.stream(14)
    assert len(world.of(Respond)) == replies


def test_one_guess_is_settled_once() -> None:
    guesses = Guesses(RATE)
    assert guesses.guess()
    guesses.refute()
    assert not guesses.guess()
    guesses.confirm()
    guesses.confirm()
    guesses.refute()
    assert guesses.guess()
