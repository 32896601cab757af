"""Function calls: asked, answered, beside the talk, cancelled
(docs/protocol.md#function-calling, #recorded-turns: T4 to T9)."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.commands import CallMark, CancelReply
from openlive.core.events import StageFailed
from openlive.core.replying.function_calls import MAX_PENDING_CALLS, STARTED
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionCall, FunctionResponse, Text
from tests.core.world import MODEL, TALK, Script, World, speech, words


def tools(*names: str, slow: bool = False) -> dict[str, Any]:
    behavior = {"behavior": "NON_BLOCKING"} if slow else {}
    declared = [{"name": name, "parameters": {"type": "OBJECT"}, **behavior} for name in names]
    return {**TALK, "tools": [{"functionDeclarations": declared}]}


def call(name: str, **args: Any) -> FunctionCall:
    return FunctionCall("", name, args)


WEATHER: Script = [(0.2, call("weather", city="Paris"))]
SUNNY: Script = [(0.2, Text("It is sunny.")), (0.1, speech(1.0, "It is sunny."))]
NATIVE = ModelProfile(MODEL, turn_complete_after_call=True)
MANUAL = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}


def asked(world: World) -> list[str]:
    return [c.id or "" for m in world.messages if m.tool_call for c in m.tool_call.function_calls]


def cancelled(world: World) -> list[str]:
    return [i for m in world.messages if m.tool_call_cancellation for i in m.tool_call_cancellation.ids]


def respond(world: World, *answers: dict[str, Any]) -> None:
    world.client({"toolResponse": {"functionResponses": list(answers)}})


def answer(identity: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "name": "weather", "response": {"sky": "blue"}, **more}


def shapes(world: World, request: int) -> list[tuple[str, list[str]]]:
    return [(m.role, [type(p).__name__ for p in m.parts]) for m in world.requests[request].messages]


class TestBlocking:
    def test_one_turn_for_the_whole_exchange(self) -> None:
        world = World(tools("weather"), replies=[WEATHER, SUNNY])
        world.text("The weather in Paris?")
        world.run(3)
        assert world.kinds()[1:] == ["toolCall"]
        [identity] = asked(world)
        assert identity
        respond(world, answer(identity))
        world.run(3)
        assert world.kinds()[2:] == ["said", "audio", "saidFinished", "generationComplete", "turnComplete"]
        assert shapes(world, 1) == [("user", ["Text"]), ("model", ["FunctionCall"]), ("user", ["FunctionResponse"])]
        usage = world.messages[-1].usage_metadata
        assert usage is not None
        details = {d.modality.name: d.token_count for d in usage.response_tokens_details if d.modality}
        assert details["AUDIO"] == 25
        assert details["TEXT"] > 0, "the call is text of the model"

    def test_the_turn_ends_with_the_call_where_the_profile_says_so(self) -> None:
        world = World(tools("weather"), replies=[WEATHER, SUNNY], profile=NATIVE)
        world.text("The weather in Paris?")
        world.run(3)
        assert world.kinds()[1:] == ["toolCall", "generationComplete", "turnComplete"]
        respond(world, answer(asked(world)[0]))
        world.run(3)
        assert world.kinds()[4:] == ["said", "audio", "saidFinished", "generationComplete", "turnComplete"]

    def test_several_at_once_are_asked_in_one_message_and_answered_in_any_order(self) -> None:
        script: Script = [(0.1, call("weather", city="Paris")), (0.1, call("time", city="Rome"))]
        world = World(tools("weather", "time"), replies=[script, SUNNY])
        world.text("Weather and time?")
        world.run(1)
        assert len([m for m in world.messages if m.tool_call]) == 1
        first, second = asked(world)
        assert first != second
        respond(world, answer(second))
        world.run(1)
        assert len(world.requests) == 1
        respond(world, answer(first))
        world.run(3)
        assert world.kinds()[-1] == "turnComplete"
        assert shapes(world, 1)[1:] == [("model", ["FunctionCall"] * 2), ("user", ["FunctionResponse"] * 2)]

    @pytest.mark.parametrize("profile", [None, NATIVE])
    def test_an_answer_may_come_before_the_reply_has_ended(self, profile: ModelProfile | None) -> None:
        """Calls do not wait for the voice, which may still be at work on what was said before them."""
        script: Script = [(0.1, call("weather")), (0.1, speech(0.5, "One moment.")), (1.0, speech(0.5, "Let me see."))]
        world = World(tools("weather"), replies=[script, SUNNY, SUNNY], profile=profile)
        world.text("Weather?")
        world.run(0.5)
        respond(world, answer(asked(world)[0]))
        world.run(10)
        assert len(world.requests) == 2
        [response] = world.requests[1].messages[-1].parts
        assert isinstance(response, FunctionResponse)
        assert response.response == {"sky": "blue"}

    def test_a_second_call_may_come_when_the_first_is_answered(self) -> None:
        script: Script = [(0.1, call("weather")), (0.1, speech(0.5, "Hm.")), (1.0, call("time"))]
        world = World(tools("weather", "time"), replies=[script, SUNNY, SUNNY])
        world.text("Weather and time?")
        world.run(0.5)
        respond(world, answer(asked(world)[0]))
        world.run(3)
        assert len(world.requests) == 1
        respond(world, {"id": asked(world)[1], "name": "time", "response": {}})
        world.run(6)
        assert len(world.requests) == 2
        assert shapes(world, 1)[-1] == ("user", ["FunctionResponse"] * 2)
        assert world.kinds().count("turnComplete") == 1

    @pytest.mark.parametrize("profile", [None, NATIVE])
    def test_one_beside_the_talk_in_the_same_reply_is_told_to_run(self, profile: ModelProfile | None) -> None:
        declared = [{"name": "weather"}, {"name": "search", "behavior": "NON_BLOCKING"}]
        script: Script = [(0.1, call("weather")), (0.1, call("search"))]
        setup = {**TALK, "tools": [{"functionDeclarations": declared}]}
        world = World(setup, replies=[script, SUNNY, SUNNY], profile=profile)
        world.text("Weather, and search?")
        world.run(2)
        weather, search = asked(world)
        respond(world, answer(weather))
        world.run(5)
        told = {p.name: p.response for p in world.requests[1].messages[-1].parts if isinstance(p, FunctionResponse)}
        assert told == {"weather": {"sky": "blue"}, "search": STARTED}
        respond(world, {"id": search, "name": "search", "response": {"found": 1}})
        world.run(5)
        [last] = world.requests[-1].messages[-1].parts
        assert isinstance(last, FunctionResponse)
        assert last.response == {"found": 1}

    def test_speech_before_the_call_is_played_first(self) -> None:
        script: Script = [(0.1, speech(2.0, "One moment.")), (0.1, call("weather"))]
        world = World(tools("weather"), replies=[script, SUNNY])
        world.text("Weather?")
        world.run(0.3)
        respond(world, answer(asked(world)[0]))
        world.run(5)
        # 2 s from 0.1 on, then 1 s more.
        assert world.at("turnComplete") == [pytest.approx(3.1)]
        assert world.kinds().count("turnComplete") == 1

    @pytest.mark.parametrize("named", [{"name": "weather"}, {"id": "function-call-1"}])
    def test_is_answered_by_id_or_by_name(self, named: dict[str, str]) -> None:
        world = World(tools("weather"), replies=[WEATHER, SUNNY])
        world.text("Weather?")
        world.run(1)
        respond(world, {**named, "response": {"a": 1}})
        world.run(3)
        assert world.kinds()[-1] == "turnComplete"

    def test_a_result_may_come_with_images(self) -> None:
        world = World(tools("weather"), replies=[WEATHER, SUNNY])
        world.text("Weather?")
        world.run(1)
        parts = [{"inlineData": {"mimeType": "image/jpeg", "data": "/9j/4AAQ"}}]
        respond(world, answer(asked(world)[0], parts=parts))
        assert shapes(world, 1)[-1] == ("user", ["FunctionResponse", "Image"])

    def test_one_result_is_all_there_is(self) -> None:
        """`willContinue` and `scheduling` are for calls beside the talk."""
        world = World(tools("weather"), replies=[WEATHER, SUNNY])
        world.text("Weather?")
        world.run(1)
        respond(world, answer(asked(world)[0], willContinue=True, scheduling="SILENT"))
        world.run(3)
        assert world.kinds()[-1] == "turnComplete"
        assert len(world.requests) == 2
        respond(world, answer(asked(world)[0]))
        world.run(3)
        assert len(world.requests) == 2

    def test_unknown_late_and_double_answers_change_nothing(self) -> None:
        world = World(tools("weather"), replies=[WEATHER, SUNNY])
        world.text("Weather?")
        world.run(1)
        respond(world, answer("nobody"))
        [identity] = asked(world)
        respond(world, answer(identity), answer(identity))
        world.run(3)
        respond(world, answer(identity))
        world.run(3)
        assert world.kinds().count("turnComplete") == 1
        assert len(world.requests) == 2

    def test_an_answer_to_nothing_is_refused(self) -> None:
        world = World(tools("weather"), replies=[WEATHER])
        world.text("Weather?")
        world.run(1)
        respond(world, {"response": {}})
        assert world.closed is not None
        assert world.closed.reason.startswith("Invalid value at 'tool_response.function_responses[0].id'")

    def test_contents_wait_where_the_profile_says_so(self) -> None:
        profile = ModelProfile(MODEL, queues_during_calls=True)
        world = World(tools("weather"), replies=[WEATHER, SUNNY], profile=profile)
        world.text("Weather?")
        world.run(1)
        world.text("And tomorrow?")
        world.run(1)
        assert cancelled(world) == []
        respond(world, answer(asked(world)[0]))
        world.run(5)
        assert world.kinds().count("turnComplete") == 2
        assert world.history[-2] == ("user", "And tomorrow?")

    def test_a_call_without_an_answer_is_ended_by_its_limit(self) -> None:
        world = World(tools("weather"), replies=[WEATHER, SUNNY], limits=SessionLimits(call=5))
        world.text("Weather?")
        world.run(10)
        assert world.kinds()[-1] == "turnComplete"
        [response] = world.requests[1].messages[-1].parts
        assert isinstance(response, FunctionResponse)
        assert "error" in response.response


class TestInterrupted:
    def test_by_the_clients_own_activity(self) -> None:
        world = World({**tools("weather"), **MANUAL}, plan=words("stop that", 0.2), replies=[WEATHER, SUNNY])
        world.text("Weather?")
        world.run(1)
        world.client({"realtimeInput": {"activityStart": {}}})
        assert world.kinds()[1:] == ["toolCall", "interrupted", "toolCallCancellation", "turnComplete"]
        assert cancelled(world) == asked(world)
        world.blob(1)
        world.client({"realtimeInput": {"activityEnd": {}}})
        world.run(3)
        assert shapes(world, 1)[1:] == [
            ("model", ["FunctionCall"]),
            ("user", ["FunctionResponse"]),
            ("user", ["Heard"]),
        ]
        assert world.kinds()[-1] == "turnComplete"

    @pytest.mark.parametrize("how", ["voice", "text", "content"])
    def test_calls_are_cancelled(self, how: str) -> None:
        world = World(tools("weather"), plan=words("stop that", 3.0), replies=[WEATHER, SUNNY])
        world.text("Weather?")
        world.stream(2)
        if how == "voice":
            world.stream(2)
        elif how == "text":
            world.client({"realtimeInput": {"text": "Stop"}})
        else:
            world.text("Stop")
        kinds = world.kinds()
        at = kinds.index("interrupted")
        assert kinds[at : at + 3] == ["interrupted", "toolCallCancellation", "turnComplete"]
        assert cancelled(world) == asked(world)
        before = len(world.requests)
        respond(world, answer(asked(world)[0]))
        assert len(world.requests) == before, "a late answer changes nothing"
        world.stream(5)
        last = world.requests[-1].messages
        told = [p for m in last for p in m.parts if isinstance(p, FunctionResponse)]
        assert "cancelled" in told[0].response["error"], "the model is told"

    def test_before_the_call_was_sent_nobody_hears_of_it(self) -> None:
        script: Script = [(0.1, speech(1.0, "Well.")), (0.1, call("weather")), (9.0, Text("x"))]
        world = World(tools("weather"), replies=[script, SUNNY])
        world.text("Weather?")
        world.run(0.5)
        world.text("Stop")
        assert asked(world) == []
        assert CancelReply(1) in world.of(CancelReply)


class TestBeside:
    """NON_BLOCKING: the talk goes on while the call runs."""

    def started(self, **more: Any) -> tuple[World, str]:
        filler: Script = [(0.2, Text("I am looking.")), (0.1, speech(1.0, "I am looking."))]
        world = World(tools("weather", slow=True), replies=[WEATHER, filler, SUNNY, SUNNY], **more)
        world.text("Weather?")
        world.run(0.6)
        return world, asked(world)[0]

    def test_the_model_goes_on_talking(self) -> None:
        world, _ = self.started()
        world.run(3)
        assert world.kinds()[1:] == ["toolCall", "said", "audio", "saidFinished", "generationComplete", "turnComplete"]
        world.text("What else?")
        world.run(3)
        assert world.kinds().count("turnComplete") == 2
        assert cancelled(world) == []

    @pytest.mark.parametrize(
        "idle", [{"scheduling": "WHEN_IDLE"}, {"scheduling": "SCHEDULING_UNSPECIFIED"}, {"scheduling": 0}, {}]
    )
    def test_a_result_when_idle_waits_for_the_end_of_the_turn(self, idle: dict[str, Any]) -> None:
        world, identity = self.started()
        respond(world, answer(identity, **idle))
        assert len(world.requests) == 2
        world.run(5)
        assert "interrupted" not in world.kinds()
        assert world.kinds().count("turnComplete") == 2
        assert len(world.requests) == 3

    def test_a_result_may_interrupt(self) -> None:
        world, identity = self.started()
        respond(world, answer(identity, scheduling="INTERRUPT"))
        assert world.kinds()[-2:] == ["interrupted", "turnComplete"]
        assert len(world.requests) == 3
        assert cancelled(world) == []

    @pytest.mark.parametrize(
        "silent", [{"scheduling": "SILENT"}, {"response": {"sky": "blue", "scheduling": "SILENT"}}]
    )
    def test_a_silent_result_is_only_known(self, silent: dict[str, Any]) -> None:
        world, identity = self.started()
        respond(world, answer(identity, **silent))
        world.run(5)
        assert len(world.requests) == 2
        world.text("So?")
        parts = [p for m in world.requests[2].messages for p in m.parts if isinstance(p, FunctionResponse)]
        assert [p.response.get("sky") for p in parts] == [None, "blue"]

    def test_results_may_follow_one_another(self) -> None:
        world, identity = self.started()
        world.run(3)
        respond(world, answer(identity, willContinue=True))
        world.run(3)
        respond(world, answer(identity, willContinue=False))
        world.run(3)
        assert len(world.requests) == 4
        respond(world, answer(identity))
        assert len(world.requests) == 4

    def test_an_interruption_of_a_later_turn_leaves_it_running(self) -> None:
        world, identity = self.started()
        world.run(3)
        world.text("Something else")
        world.run(0.4)
        world.client({"realtimeInput": {"text": "No, wait"}})
        assert "interrupted" in world.kinds()
        assert cancelled(world) == []
        respond(world, answer(identity))
        world.run(5)
        assert world.kinds()[-1] == "turnComplete"


def test_a_held_call_is_made_only_when_the_turn_is_decided() -> None:
    plan = [*words("the weather in", 0.5), *words("Paris please", 1.9)]
    world = World(tools("weather"), plan=plan, replies=[WEATHER, WEATHER, SUNNY])
    world.stream(5)
    assert len(asked(world)) == 1
    assert world.at("toolCall")[0] >= 2.5 + 0.7


class TestMarks:
    def test_a_call_that_takes_long_is_announced_once_and_its_answer_told(self) -> None:
        world = World(tools("weather"), replies=[WEATHER, SUNNY])
        world.text("Weather?")
        world.run(100)
        marks = [(m.name, m.step, round(m.after, 3)) for m in world.of(CallMark)]
        assert marks == [("weather", "asked", 0.0), ("weather", "waiting", 30.0)]
        respond(world, answer(asked(world)[0]))
        [mark] = world.of(CallMark)[2:]
        assert mark.step == "answered"
        assert mark.after > 90

    def test_cancelled_and_unanswered_ones_are_told(self) -> None:
        world = World(tools("weather"), replies=[WEATHER, WEATHER], limits=SessionLimits(call=9))
        world.text("Weather?")
        world.run(1)
        world.text("No, wait.")
        world.run(20)
        assert [m.step for m in world.of(CallMark)] == ["asked", "cancelled", "asked", "unanswered"]


def test_a_malformed_call_ends_the_turn_with_its_reason() -> None:
    world = World(tools("weather"), replies=[None, SUNNY])
    world.text("Weather?")
    world.finished.add(1)
    world.event(StageFailed("call", 1, "no such function"))
    content = world.messages[-1].server_content
    assert content is not None
    assert (content.turn_complete, str(content.turn_complete_reason)) == (True, "MALFORMED_FUNCTION_CALL")
    world.text("Again.")
    world.run(3)
    assert world.kinds()[-1] == "turnComplete"


def test_a_call_beyond_those_that_may_wait_ends_the_turn_and_is_told() -> None:
    many: Script = [(0.0, call("weather", city=str(number))) for number in range(MAX_PENDING_CALLS)]
    world = World(tools("weather", slow=True), replies=[many, SUNNY, WEATHER])
    world.text("The weather everywhere?")
    world.run(5)
    assert len(asked(world)) == MAX_PENDING_CALLS
    assert "refused" not in [mark.step for mark in world.of(CallMark)]
    world.text("And in Paris?")
    world.run(3)
    assert [mark.name for mark in world.of(CallMark) if mark.step == "refused"] == ["weather"]
    content = world.messages[-1].server_content
    assert content is not None
    assert str(content.turn_complete_reason) == "MALFORMED_FUNCTION_CALL"
