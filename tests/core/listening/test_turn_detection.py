"""The silence that ends a turn, where a detector has a say in it (design, decision 2)."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.commands import JudgeTurn
from openlive.core.events import Event, StageFailed, TurnJudged
from openlive.core.setup.profile import ModelProfile
from tests.core.world import MODEL, TALK, World, words

JUDGED = ModelProfile(MODEL, turn_detector=True)
ASK = words("what is the capital of France", 0.5)
"""Ends at 2.3 s."""


def detection(**settings: Any) -> dict[str, Any]:
    return {**TALK, "realtimeInputConfig": {"automaticActivityDetection": settings}}


def decided(world: World) -> float:
    """Seconds from the end of the speech to the end of its transcript."""
    world.stream(6)
    return world.at("heardFinished")[0] - 2.3


@pytest.mark.parametrize(("finished", "silence"), [(0.99, 0.3), (0.972, 0.65), (0.93, 1.0)])
def test_it_is_between_the_two_bounds(finished: float, silence: float) -> None:
    world = World(TALK, plan=ASK, profile=JUDGED, judge=lambda _: finished)
    assert decided(world) == pytest.approx(silence, abs=0.2)  # frames, messages of 100 ms, the transcript
    assert decided(World(TALK, plan=ASK, profile=JUDGED, judge=lambda _: finished)) < silence + 0.2


@pytest.mark.parametrize(
    ("setup", "silence"),
    [
        (detection(silenceDurationMs=800), 0.8),
        (detection(endOfSpeechSensitivity="END_SENSITIVITY_LOW"), 1.0),
    ],
)
def test_it_has_no_say_where_the_client_has_said_something(setup: dict[str, Any], silence: float) -> None:
    world = World(setup, plan=ASK, profile=JUDGED, judge=lambda _: 1.0)
    assert decided(world) == pytest.approx(silence, abs=0.2)
    assert not world.of(JudgeTurn)


@pytest.mark.parametrize(("end", "finished", "silence"), [("of the", 0.99, 1.0), ("of France?", 0.99, 0.3)])
@pytest.mark.parametrize("stt_delay", [0.0, 0.09])
def test_the_transcript_has_a_say_whenever_it_comes(
    end: str, finished: float, silence: float, stt_delay: float
) -> None:
    plan = [*ASK[:-2], *words(end, ASK[-2].start)]
    world = World(TALK, plan=plan, profile=JUDGED, judge=lambda _: finished, stt_delay=stt_delay)
    assert decided(world) == pytest.approx(silence + 0.1, abs=0.1)


def test_a_thinker_is_waited_for() -> None:
    plan = [*words("I would like to book a table", 0.5), *words("for two people", 3.4)]
    world = World(TALK, plan=plan, profile=JUDGED, judge=lambda at: 0.05 if at < 3.4 else 0.98)
    world.stream(7)
    assert [m.text for r in world.requests[-1:] for m in r.messages] == ["I would like to book a table for two people"]
    assert world.kinds().count("heardFinished") == 1


@pytest.mark.parametrize("broken", [True, False])
def test_without_an_answer_the_plain_silence_counts(broken: bool) -> None:
    world = World(TALK, plan=ASK, profile=JUDGED)
    later = world.later

    def without_judgement(delay: float, event: Event) -> None:
        if not isinstance(event, TurnJudged):
            later(delay, event)
        elif broken:
            later(delay, StageFailed("turn", 1, "it broke"))

    world.later = without_judgement  # type: ignore[method-assign]
    world.stream(6)
    assert world.of(JudgeTurn)
    assert world.at("heardFinished")[0] - 2.3 == pytest.approx(0.7, abs=0.2)


def test_a_judgement_that_comes_after_the_user_went_on_is_nothing() -> None:
    plan = [*words("I would like", 0.5), *words("a table for two people", 1.75)]
    world = World(TALK, plan=plan, profile=JUDGED, judge=lambda _: 1.0)
    later = world.later

    def slowly(delay: float, event: Event) -> None:
        later(0.25 if isinstance(event, TurnJudged) else delay, event)

    world.later = slowly  # type: ignore[method-assign]
    world.stream(6)
    assert [m.text for m in world.requests[-1].messages] == ["I would like a table for two people"]


def test_a_file_in_one_piece_is_not_cut_at_its_pauses() -> None:
    plan = [*words("I would like", 0.5), *words("a table for two people", 3.0)]
    world = World(TALK, plan=plan, profile=JUDGED, judge=lambda _: 1.0)
    world.blob(6)
    world.run(6)
    assert [m.text for m in world.requests[-1].messages] == ["I would like a table for two people"]
