"""Proactive video: the model speaks up by itself about a frame that shows what it was asked to speak up about."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from openlive.core.commands import CancelReply, CancelSceneJudgement, JudgeScene, StartReply
from openlive.core.events import SceneJudged, StageFailed
from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionCall, Image, Message
from tests.core.world import MODEL, TALK, World, conversation, spoken, words

ALERT = ModelProfile(MODEL, proactive=True, addressee=True, watcher=True)
WATCHING = {
    **TALK,
    "systemInstruction": {"parts": [{"text": "Tell me when you see an exit."}]},
    "proactivity": {"proactiveAudio": True, "proactiveVideo": True},
}
LONG = spoken("A long story about a lighthouse.", seconds=6)
OPEN_DOOR = {"functionDeclarations": [{"name": "open_door"}]}


def session(setup: dict[str, Any] = WATCHING, *, profile: ModelProfile = ALERT, **plan: Any) -> World:
    return World(setup, profile=profile, version="v1alpha", **plan)


def shown(message: Message) -> list[str]:
    """The images of a message that consists of nothing else."""
    assert all(isinstance(part, Image) for part in message.parts)
    return [part.data[2:].decode() for part in message.parts if isinstance(part, Image)]


def asked(world: World) -> list[str]:
    """The newest image of each question."""
    return [shown(c.request.messages[-1])[-1] for c in world.of(JudgeScene)]


# --- the setup --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proactivity", "profile", "reason"),
    [
        ({"proactiveVideo": True}, ALERT, "it requires proactive_audio; set that to true as well."),
        ({"proactiveVideo": True, "proactiveAudio": False}, ALERT, "it requires proactive_audio"),
        (
            {"proactiveVideo": True, "proactiveAudio": True},
            replace(ALERT, watcher=False),
            "this server's model cannot watch a camera; leave it out.",
        ),
    ],
)
def test_it_is_refused(proactivity: dict[str, bool], profile: ModelProfile, reason: str) -> None:
    world = session({**TALK, "proactivity": proactivity}, profile=profile)
    assert world.closed is not None
    assert world.closed.code == 1007
    assert world.closed.reason.startswith("Invalid value at 'setup.proactivity.proactive_video': ")
    assert reason in world.closed.reason


def test_without_it_no_frame_is_judged() -> None:
    world = session({**TALK, "proactivity": {"proactiveAudio": True}})
    world.frame("exit!")
    world.run(5)
    assert not world.of(JudgeScene)
    assert not world.of(StartReply)


# --- speaking up ------------------------------------------------------------------------------------------------------


def test_the_model_speaks_up_about_what_it_was_asked_to_look_out_for() -> None:
    world = session()
    world.frame("exit!")
    world.run(5)
    assert world.kinds() == ["setupComplete", "said", "audio", "saidFinished", "generationComplete", "turnComplete"]
    [request] = world.requests
    assert [shown(message) for message in request.messages] == [["exit!"]]
    assert request.instructions == "Tell me when you see an exit."
    assert [(m.role, m.text) for m in world.session.messages] == [("user", ""), ("model", "Answer 1.")]


def test_about_anything_else_it_stays_silent() -> None:
    world = session()
    world.frame("a wall")
    world.run(5)
    assert asked(world) == ["a wall"]
    assert world.kinds() == ["setupComplete"]
    assert not world.session.messages


def test_a_frame_that_was_not_worth_a_word_is_in_the_next_turn_all_the_same() -> None:
    world = session()
    world.frame("a wall")
    world.run(5)
    world.client({"realtimeInput": {"text": "What do you see?"}})
    [image, _] = world.requests[-1].messages[-1].parts
    assert isinstance(image, Image)
    assert conversation(world.requests[-1]) == [("user", "What do you see?")]


def test_the_question_has_the_conversation_and_the_newest_frame() -> None:
    world = session(profile=replace(ALERT, all_video=True))
    world.client({"realtimeInput": {"text": "Look out for a red door."}})
    world.run(5)
    world.frame("one")
    world.run(1)
    world.frame("two")
    world.run(1)
    said, answer, scene = world.of(JudgeScene)[-1].request.messages
    assert (said.text, answer.text) == ("Look out for a red door.", "Answer 1.")
    assert shown(scene) == ["two"]


def test_what_is_answered_is_what_was_judged_and_later_frames_wait_for_the_next_turn() -> None:
    world = session(profile=replace(ALERT, all_video=True))
    world.frame("a wall")
    world.run(1)
    world.frame("exit!")
    world.run(0.1)
    world.frame("a door")
    world.run(1)
    assert shown(world.requests[0].messages[-1]) == ["a wall", "exit!"]
    world.run(5)
    world.client({"realtimeInput": {"text": "And now?"}})
    assert [p.data[2:] for p in world.requests[-1].messages[-1].parts if isinstance(p, Image)] == [b"a door"]


def test_half_is_enough() -> None:
    for likely, answers in ((0.49, 0), (0.5, 1)):
        world = session(scene_delay=None)
        world.frame("exit")
        world.event(SceneJudged(1, likely))
        assert len(world.requests) == answers


# --- one question at a time -------------------------------------------------------------------------------------------


def test_one_question_at_a_time_and_then_the_newest_frame() -> None:
    world = session(scene_delay=1.0)
    for name in ("one", "two", "three"):
        world.frame(name)
        world.run(0.1)
    assert asked(world) == ["one"]
    world.run(5)
    assert asked(world) == ["one", "three"]


def test_each_frame_is_judged_once() -> None:
    world = session()
    world.frame("a wall")
    world.run(1)
    world.client({"realtimeInput": {"text": "Hello"}})
    world.run(5)
    assert asked(world) == ["a wall"]


def test_a_judge_that_fails_is_asked_about_the_next_frame() -> None:
    world = session(scene_delay=None)
    world.frame("one")
    world.event(StageFailed("scene", 1, "it broke"))
    world.frame("exit!")
    assert asked(world) == ["one", "exit!"]
    world.event(StageFailed("scene", 1, "it broke"))
    world.event(SceneJudged(1, 0.9))
    assert not world.requests, "answers to an older question count for nothing"
    world.event(SceneJudged(2, 0.9))
    assert len(world.requests) == 1
    world.event(SceneJudged(2, 0.9))
    assert len(world.requests) == 1


# --- who has the floor ------------------------------------------------------------------------------------------------


def test_while_an_answer_is_given_the_newest_frame_waits() -> None:
    world = session(replies=[LONG])
    world.client({"realtimeInput": {"text": "Tell me a story."}})
    world.run(1)
    world.frame("one")
    world.frame("exit!")
    world.run(4)
    assert not world.of(JudgeScene)
    world.run(10)
    assert asked(world) == ["exit!"]
    assert world.at("turnComplete")[0] < world.at("audio")[-1], "it spoke up after its answer"


def test_while_the_user_speaks_nothing_is_judged_and_what_was_seen_is_in_the_turn() -> None:
    world = session(plan=words("what is that over there", 0.5))
    world.stream(1.2)
    world.frame("exit!")
    world.stream(5)
    assert not world.of(JudgeScene)
    assert isinstance(world.requests[-1].messages[-1].parts[0], Image)


def test_a_question_is_dropped_when_the_user_begins_to_speak() -> None:
    world = session(plan=words("hello there", 0.5), scene_delay=2.0)
    world.stream(0.4)
    world.frame("exit!")
    world.stream(6)
    assert [c.number for c in world.of(CancelSceneJudgement)] == [1]
    [request] = world.requests
    assert request.messages[-1].text == "hello there"
    world.event(SceneJudged(1, 0.9))
    assert len(world.requests) == 1, "an answer that comes too late counts for nothing"


def test_a_frame_whose_question_was_dropped_is_judged_later_unless_a_turn_took_it() -> None:
    world = session(plan=words("honey where are my keys", 0.5), aside="honey", scene_delay=2.0)
    world.stream(0.4)
    world.frame("exit!")
    world.stream(8)
    assert asked(world) == ["exit!", "exit!"]
    assert [shown(message) for message in world.requests[-1].messages[-1:]] == [["exit!"]]


def test_while_a_call_is_waited_for_nothing_is_judged() -> None:
    world = session({**WATCHING, "tools": [OPEN_DOOR]}, replies=[[(0.1, FunctionCall("", "open_door", {}))]])
    world.client({"realtimeInput": {"text": "Open the door."}})
    world.run(1)
    world.frame("exit!")
    world.run(5)
    assert not world.of(JudgeScene)
    response = {"id": "function-call-1", "name": "open_door", "response": {"done": True}}
    world.client({"toolResponse": {"functionResponses": [response]}})
    world.run(10)
    assert asked(world) == ["exit!"]


def test_while_the_history_is_loaded_nothing_is_judged() -> None:
    world = session({**WATCHING, "historyConfig": {"initialHistoryInClientContent": True}})
    world.frame("exit!")
    world.run(2)
    assert not world.of(JudgeScene)
    world.text("We had met before.")
    world.run(5)
    assert asked(world) == ["exit!"]
    assert conversation(world.requests[-1]) == [("user", "We had met before."), ("user", "")]


def test_speech_interrupts_it_like_any_answer() -> None:
    world = session(replies=[LONG], plan=words("thank you I have seen it", 3))
    world.frame("exit!")
    world.stream(10)
    kinds = world.kinds()
    assert kinds[kinds.index("interrupted") + 1] == "turnComplete"
    assert conversation(world.requests[-1])[-1] == ("user", "thank you I have seen it")


def test_speech_that_begins_before_it_said_anything_takes_the_frame_along() -> None:
    world = session(replies=[[(3.0, LONG[0][1])]], plan=words("hello there", 1.0))
    world.frame("exit!")
    world.stream(8)
    assert world.of(CancelReply)[0].turn == 1
    assert "interrupted" not in world.kinds()
    assert world.transcript == "hello there"
    image, _ = world.requests[-1].messages[-1].parts
    assert isinstance(image, Image)
