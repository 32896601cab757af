"""Replies that are prepared at silences which may be no end: how many, and what they come to (design, decision 30)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.core.commands import SpeculationOutcome, StartReply
from openlive.core.replying.speculation import AHEAD, RATE, SpeculationPolicy
from openlive.core.setup.limits import SessionLimits
from openlive.types import Image
from tests.core.world import TALK, Word, World, words

PAUSE = 0.4
"""Longer than a first silence, shorter than the 700 ms that end a turn."""


def hesitant(pauses: int, start: float = 0.5) -> list[Word]:
    """A turn that halts after each word; ends 0.7 s a word after its start, but for the last pause."""
    return [word for i in range(pauses + 1) for word in words(f"word{i}", start + i * (0.3 + PAUSE))]


def prepared(world: World) -> list[bool]:
    return [command.used for command in world.of(SpeculationOutcome)]


def test_a_reply_is_prepared_at_each_silence_and_the_last_is_used() -> None:
    world = World(TALK, plan=hesitant(3))
    world.stream(6)
    assert prepared(world) == [False, False, False, True]
    assert [command.held for command in world.of(StartReply)] == [True] * 4
    assert all(0 < command.seconds <= PAUSE + 0.1 for command in world.of(SpeculationOutcome)[:-1])


def test_whoever_hesitates_on_and_on_is_waited_for() -> None:
    world = World(TALK, plan=hesitant(12), limits=SessionLimits(waste=0.6))
    world.stream(14)
    assert prepared(world) == [False] * AHEAD, "then no more are prepared, and the turn is still answered"
    assert [command.held for command in world.of(StartReply)] == [True] * AHEAD + [False]
    assert world.kinds()[-1] == "turnComplete"


def test_and_trusted_again_after_turns_that_end_where_they_seem_to() -> None:
    plan = [*hesitant(7), *words("yes", 12), *words("no", 18), *words("so", 24)]
    world = World(TALK, plan=plan, limits=SessionLimits(waste=0.6))
    world.stream(30)
    assert prepared(world)[-1]
    assert sum(prepared(world)) < 4


@pytest.mark.parametrize(("waste", "replies"), [(0.0, 1), (1.0, 13)])
def test_never_and_always(waste: float, replies: int) -> None:
    world = World(TALK, plan=hesitant(12), limits=SessionLimits(waste=waste))
    world.stream(14)
    assert len(world.of(StartReply)) == replies


def test_one_guess_is_settled_once() -> None:
    guesses = SpeculationPolicy(RATE)
    assert guesses.register_guess()
    guesses.refute_guess()
    assert not guesses.register_guess()
    guesses.confirm_guess()
    guesses.confirm_guess()
    guesses.refute_guess()
    assert guesses.register_guess()


@given(st.floats(0, 0.99), st.lists(st.sampled_from(["end", "pause"]), max_size=400))
def test_no_more_is_thrown_away_than_was_set(bound: float, silences: list[str]) -> None:
    guesses, dropped, turns = SpeculationPolicy(bound), 0, 0
    for silence in silences:
        prepared = guesses.register_guess()
        if silence == "end":
            guesses.confirm_guess()
            turns += 1
        else:
            guesses.refute_guess()
            if prepared:
                guesses.note_dropped_reply()
                dropped += 1
        assert max(0, dropped - AHEAD) <= bound * (max(0, dropped - AHEAD) + turns) + 1e-6


class TestTheReplyFits:
    """What comes between the silence and the decision (design, decision 30)."""

    def camera(self, frames: float) -> World:
        """Ten spoken turns while a camera sends `frames` a second."""
        plan = [word for turn in range(10) for word in words("what do you see", 1 + 6.4 * turn)]
        world = World(TALK, plan=plan)
        for tick in range(65 * 50):
            world.stream(0.02, chunk=0.02)
            if frames and tick % int(50 / frames) == 0:
                world.frame(f"frame {tick}")
        return world

    @pytest.mark.parametrize("frames", [0, 1, 4])
    def test_a_camera_that_runs_costs_no_reply(self, frames: float) -> None:
        world = self.camera(frames)
        assert prepared(world) == [True] * 10
        assert len(world.of(StartReply)) == 10

    def test_frames_after_the_silence_are_for_the_next_turn(self) -> None:
        world = self.camera(4)
        users = [message for message in world.requests[-1].messages if message.role == "user"]
        told = [part.data for message in users for part in message.parts if isinstance(part, Image)]
        assert len(told) == len(set(told)), "each frame is in one turn"

    def test_the_first_image_of_a_turn_is_part_of_the_question(self) -> None:
        world = World(TALK, plan=words("what is this", 0.5))
        world.stream(1.75, chunk=0.02)
        assert len(world.requests) == 1
        world.frame("a photo")
        world.stream(3, chunk=0.02)
        assert prepared(world) == [False]
        assert any(isinstance(part, Image) for part in world.requests[-1].messages[-1].parts)

    def test_other_instructions_make_another_reply(self) -> None:
        world = World(TALK, plan=words("what is it", 0.5))
        world.stream(1.75, chunk=0.02)
        world.client({"contextUpdate": {"systemInstruction": {"parts": [{"text": "Speak French."}]}}})
        world.stream(3, chunk=0.02)
        assert prepared(world) == [False]
        assert [request.instructions for request in world.requests] == ["", "Speak French."]
