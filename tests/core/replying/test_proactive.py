"""Proactive audio: what is not meant for the model is overheard, and its turn ends without an answer."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.commands import CancelReply, JudgeAddressee, StartReply
from openlive.core.events import StageFailed
from openlive.core.setup.profile import ModelProfile
from openlive.core.setup.settings import settings_from_setup
from openlive.types import FunctionCall, Heard
from openlive.wire.errors import ProtocolError
from openlive.wire.setup import ProactivityConfig, Setup
from tests.core.world import MODEL, TALK, World, spoken, words

PATH = "setup.proactivity.proactive_audio"
NATIVE = ModelProfile(MODEL, proactive=True, addressee=True)
PROACTIVE = {**TALK, "proactivity": {"proactiveAudio": True}}
ASIDE = words("honey where are my keys", 0.5)
"""Ends at 2 s."""
LONG = spoken("A long story about a lighthouse.", seconds=6)


def session(setup: dict[str, Any], *, version: str = "v1alpha", profile: ModelProfile = NATIVE, **plan: Any) -> World:
    return World(setup, profile=profile, version=version, aside="honey", **plan)


# --- the setup --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proactivity", "version", "profile", "reason"),
    [
        ({}, "v1beta", NATIVE, "Unknown name \"proactivity\" at 'setup': Cannot find field."),
        ({"proactiveAudio": True}, "v1alpha", ModelProfile(MODEL), f"'{PATH}': not on this model; leave it out."),
        (
            {"proactiveAudio": True},
            "v1alpha",
            ModelProfile(MODEL, proactive=True),
            "who is spoken to; leave it out.",
        ),
    ],
)
def test_it_is_refused(proactivity: dict[str, bool], version: str, profile: ModelProfile, reason: str) -> None:
    world = session({**TALK, "proactivity": proactivity}, version=version, profile=profile)
    assert world.closed is not None
    assert world.closed.code == 1007
    assert reason in world.closed.reason


@pytest.mark.parametrize("proactivity", [{}, {"proactiveAudio": False, "proactiveVideo": False}])
def test_nothing_asked_for_is_to_be_had_of_every_model(proactivity: dict[str, bool]) -> None:
    world = session({**TALK, "proactivity": proactivity}, profile=ModelProfile(MODEL), plan=ASIDE)
    world.stream(6)
    assert "audio" in world.kinds()
    assert not world.of(JudgeAddressee)


def test_a_model_that_has_it_is_named() -> None:
    offered = {"interpreter": ModelProfile("interpreter"), MODEL: NATIVE}
    setup = Setup(model="models/interpreter", proactivity=ProactivityConfig(proactive_audio=True))
    with pytest.raises(ProtocolError) as refused:
        settings_from_setup(setup, offered, "v1alpha")
    assert str(refused.value) == (f"Invalid value at '{PATH}': not on this model; use {MODEL}.")


# --- a turn of its own ------------------------------------------------------------------------------------------------


def test_an_aside_is_heard_and_gets_no_answer() -> None:
    world = session(PROACTIVE, plan=ASIDE)
    world.stream(6)
    assert world.kinds() == ["setupComplete", "heard", "heardFinished", "turnComplete"]
    assert world.transcript == "honey where are my keys"
    usage = world.messages[-1].usage_metadata
    assert usage is not None
    assert usage.response_token_count in (None, 0)
    [part] = world.session.messages[-1].parts
    assert isinstance(part, Heard)
    assert (part.text, part.overheard) == ("honey where are my keys", True)


def test_what_is_meant_for_the_model_is_answered_as_soon_as_ever() -> None:
    plan = words("what is the capital of France", 0.5)
    times = []
    for setup in (TALK, PROACTIVE):
        world = session(setup, plan=plan)
        world.stream(8)
        times.append(world.at("audio")[0])
    assert times[0] == times[1]


def test_the_reply_that_was_prepared_for_an_aside_is_dropped_with_the_judgement() -> None:
    world = session(PROACTIVE, plan=ASIDE)
    world.stream(6)
    [asked] = [at for at, c in world.commands if isinstance(c, JudgeAddressee)]
    [stopped] = [at for at, c in world.commands if isinstance(c, CancelReply)]
    assert stopped == pytest.approx(asked + 0.04)


def test_a_later_question_knows_what_was_overheard() -> None:
    world = session(PROACTIVE, plan=[*ASIDE, *words("what did they look for", 4)])
    world.stream(9)
    messages = world.requests[-1].messages
    assert [m.text for m in messages] == ["honey where are my keys", "what did they look for"]
    assert [part.overheard for m in messages for part in m.parts if isinstance(part, Heard)] == [True, False]


def test_whom_it_was_meant_for_is_asked_again_when_the_user_goes_on() -> None:
    world = session(PROACTIVE, plan=[*words("what do you think", 0.5), *words("honey", 2.1)])
    world.stream(6)
    assert [c.request.messages[-1].text for c in world.of(JudgeAddressee)] == [
        "what do you think",
        "what do you think honey",
    ]
    assert "audio" not in world.kinds()


@pytest.mark.parametrize("fails", [True, False])
def test_a_judge_that_fails_or_stalls_leaves_nobody_without_an_answer(fails: bool) -> None:
    world = session(PROACTIVE, plan=ASIDE, addressee_delay=None)
    world.stream(2.3)
    if fails:
        world.event(StageFailed("addressee", 1, "it broke"))
    world.stream(5)
    assert "audio" in world.kinds()


def test_typed_text_is_meant_for_the_model() -> None:
    world = session(PROACTIVE)
    world.text("honey")
    world.client({"realtimeInput": {"text": "honey, I am home"}})
    world.run(5)
    assert len(world.of(StartReply)) == 2
    assert not world.of(JudgeAddressee)


def test_text_typed_while_an_aside_is_said_is_answered_with_it() -> None:
    world = session(PROACTIVE, plan=ASIDE)
    world.stream(1.2)
    world.client({"realtimeInput": {"text": "Where?"}})
    world.stream(5)
    assert world.requests[-1].messages[-1].text == "honey where are my keysWhere?"
    assert "audio" in world.kinds()


@pytest.mark.parametrize(("text", "answered"), [("honey where are my keys", False), ("what is that", True)])
def test_manual_activity_always_ends(text: str, answered: bool) -> None:
    manual = {"automaticActivityDetection": {"disabled": True}}
    world = session({**PROACTIVE, "realtimeInputConfig": manual}, plan=words(text, 0.5))
    world.client({"realtimeInput": {"activityStart": {}}})
    world.stream(2.5)
    world.client({"realtimeInput": {"activityEnd": {}}})
    world.run(6)
    assert world.kinds()[-1] == "turnComplete"
    assert ("audio" in world.kinds()) == answered


# --- beside an answer -------------------------------------------------------------------------------------------------


def beside(text: str, start: float = 4.5, **more: Any) -> World:
    plan = [*words("tell me a story", 0.5), *words(text, start)]
    return session({**PROACTIVE, **more}, plan=plan, replies=[LONG])


def test_an_aside_does_not_interrupt_an_answer() -> None:
    world = beside("honey where are my keys")
    world.stream(14)
    kinds = world.kinds()
    assert "interrupted" not in kinds
    assert kinds.count("heardFinished") == 2
    assert kinds.count("turnComplete") == 1
    assert world.history[1:] == [("model", "A long story about a lighthouse."), ("user", "honey where are my keys")]


def test_what_is_meant_for_the_model_interrupts_while_it_is_said() -> None:
    world = beside("no wait I meant the other one with the dog")
    world.stream(12)
    [interrupted] = world.at("interrupted")
    assert 4.5 < interrupted < 6, "the words go on until 7.5"


def test_a_back_channel_leaves_no_trace() -> None:
    world = beside("okay")
    world.stream(14)
    assert world.kinds().count("heardFinished") == 1
    assert "interrupted" not in world.kinds()


def test_an_aside_where_nothing_interrupts_waits_without_being_answered() -> None:
    world = beside("honey where are my keys", realtimeInputConfig={"activityHandling": "NO_INTERRUPTION"})
    world.stream(14)
    assert world.kinds().count("turnComplete") == 1
    assert len(world.of(StartReply)) == 1
    assert world.history[-1] == ("user", "honey where are my keys")


@pytest.mark.parametrize("ends", [True, False])
def test_an_aside_does_not_cancel_a_call(ends: bool) -> None:
    tools = [{"functionDeclarations": [{"name": "find"}]}]
    profile = ModelProfile(MODEL, proactive=True, addressee=True, turn_complete_after_call=ends)
    plan = [*words("find my keys", 0.5), *words("honey where are they", 4)]
    replies = [[(0.2, FunctionCall("", "find", {}))]]
    world = session({**PROACTIVE, "tools": tools}, profile=profile, plan=plan, replies=replies)
    world.stream(8)
    assert "toolCallCancellation" not in world.kinds()
    response = {"id": "function-call-1", "name": "find", "response": {"output": "under the sofa"}}
    world.client({"toolResponse": {"functionResponses": [response]}})
    world.run(5)
    assert "audio" in world.kinds()
    roles = [(m.role, m.text) for m in world.session.messages]
    assert ("user", "honey where are they") in roles
