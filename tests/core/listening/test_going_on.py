"""Speech after the end of a turn, before anything of its answer was told, goes on with the turn (decision 3)."""

from __future__ import annotations

from openlive.core.events import ClientLeft
from tests.core.world import TALK, Word, World, spoken, words

PLAN = [*words("I would like a table", 0.5), *words("for two people", 3.2)]


def test_what_came_too_soon_is_taken_back_without_a_word() -> None:
    slow = spoken("Which day?", delay=5.0)
    world = World(TALK, plan=PLAN, replies=[slow, spoken("Done.")])
    world.stream(12)
    assert world.transcript == "I would like a table for two people"
    assert "interrupted" not in world.kinds()
    assert world.kinds().count("turnComplete") == 1
    assert [text for role, text in world.history if role == "user"] == ["I would like a table for two people"]


def test_what_was_told_in_part_is_interrupted() -> None:
    world = World(TALK, plan=PLAN, replies=[spoken("Which day?", seconds=5.0)])
    world.stream(12)
    assert "interrupted" in world.kinds()
    assert [text for role, text in world.history if role == "user"] == ["I would like a table", "for two people"]


def test_a_noise_leaves_the_turn_as_it_was() -> None:
    plan = [*words("I would like a table", 0.5), Word(3.2, 3.8, "")]
    world = World(TALK, plan=plan, replies=[spoken("Which day?", delay=5.0), spoken("Which day?")])
    world.stream(12)
    assert "interrupted" not in world.kinds()
    assert world.history == [("user", "I would like a table"), ("model", "Which day?")]
    assert world.kinds().count("turnComplete") == 1


def test_a_lost_connection_keeps_it() -> None:
    world = World(TALK | {"sessionResumption": {}}, plan=PLAN, replies=[spoken("Which day?", delay=5.0)])
    world.stream(3.5)
    world.event(ClientLeft())
    assert world.saved is not None
    kept = [message.text for message, _ in world.saved.waiting]
    assert [message.text for message in world.saved.messages] + kept == ["I would like a table"]
