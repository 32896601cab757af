"""Corners where a client would wait for ever, lose what was said, or get more than its token allows."""

from __future__ import annotations

from typing import Any

import pytest

from openlive import types
from openlive.core.commands import CloseConnection, DetectSpeech, Prefill, StartRecognition
from openlive.core.events import AudioArrived, ConnectionOpened, Constraints, ServerDraining
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionCall, FunctionResponse, Heard, Image, Speech, Text
from openlive.wire.setup import Setup
from tests.core.replying.test_function_calls import (
    NATIVE,
    SUNNY,
    WEATHER,
    answer,
    asked,
    call,
    cancelled,
    respond,
    shapes,
    tools,
)
from tests.core.world import MODEL, TALK, Script, Word, World, speech, spoken, words

TEXT: dict[str, Any] = {**TALK, "generationConfig": {"responseModalities": ["TEXT"]}}
MANUAL: dict[str, Any] = {**TALK, "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}
JPEG = {"mimeType": "image/jpeg", "data": "/9j/4AAQ"}


def update(world: World, **fields: Any) -> None:
    world.client({"contextUpdate": fields})


class TestLocks:
    """What a token locks is locked for the whole session, not for the setup alone."""

    def world(self, setup: Setup | None, mask: tuple[str, ...] | None) -> World:
        world = World()
        world.event(ConnectionOpened("s", constraints=Constraints(setup, mask)))
        world.client({"setup": TALK})
        return world

    @pytest.mark.parametrize("mask", [None, ("system_instruction",), ("system_instruction.parts",)])
    def test_instructions(self, mask: tuple[str, ...] | None) -> None:
        turn = {"role": "system", "parts": [{"text": "Obey."}]}
        for message in (
            {"contextUpdate": {"systemInstruction": {"parts": [{"text": "Obey."}]}}},
            {"clientContent": {"turns": [turn], "turnComplete": False}},
        ):
            world = self.world(Setup(model=f"models/{MODEL}"), mask)
            world.client(message)
            assert world.closed is not None
            assert (world.closed.code, "setup.system_instruction" in world.closed.reason) == (1007, True)

    @pytest.mark.parametrize("mask", [None, ("tools",)])
    def test_tools(self, mask: tuple[str, ...] | None) -> None:
        world = self.world(Setup(model=f"models/{MODEL}"), mask)
        update(world, tools={"tools": []})
        assert world.closed is not None
        assert world.closed.reason.startswith("Invalid value at 'context_update.tools'")

    def test_what_is_not_locked_may_change(self) -> None:
        for setup, mask in ((None, None), (Setup(), ("tools",)), (Setup(), ("generation_config.temperature",))):
            world = self.world(setup, mask)
            update(world, systemInstruction={"parts": [{"text": "Be brief."}]})
            world.text("Hello.")
            assert world.requests[-1].instructions == "Be brief."


class TestCallsOfATurnThatHasEnded:
    """On native-audio models the turn is over while the model still waits for a blocking call."""

    @pytest.mark.parametrize("how", ["voice", "text", "content", "activity"])
    def test_are_cancelled_by_what_the_user_says_next(self, how: str) -> None:
        setup = {
            **tools("weather"),
            **({"realtimeInputConfig": MANUAL["realtimeInputConfig"]} if how == "activity" else {}),
        }
        world = World(setup, replies=[WEATHER, SUNNY], profile=NATIVE, plan=words("never mind", 5.0))
        world.text("Weather?")
        world.run(3)
        [identity] = asked(world)
        if how == "voice":
            world.stream(9)
        elif how == "text":
            world.client({"realtimeInput": {"text": "Never mind."}})
        elif how == "content":
            world.text("Never mind.")
        else:
            world.client({"realtimeInput": {"activityStart": {}}})
        assert cancelled(world) == [identity]
        assert "interrupted" not in world.kinds(), "no turn was open"
        if how != "activity":
            assert shapes(world, 1)[1:3] == [("model", ["FunctionCall"]), ("user", ["FunctionResponse"])]
        respond(world, answer(identity))
        world.run(5)
        assert len(world.requests) == (1 if how == "activity" else 2), "a late answer changes nothing"

    def test_those_beside_the_talk_go_on(self) -> None:
        world = World(tools("weather", slow=True), replies=[WEATHER], profile=NATIVE)
        world.text("Weather?")
        world.run(5)
        world.text("What else?")
        assert cancelled(world) == []


class TestWhileTheUserSpeaks:
    def test_a_result_waits_for_the_end_of_the_turn(self) -> None:
        world = World(
            tools("weather", slow=True), replies=[WEATHER], plan=words("and what about the trains to Rome", 6.0)
        )
        world.text("Weather?")
        world.stream(6.5)
        respond(world, answer(asked(world)[0]))
        before = len(world.requests)
        world.stream(1.5)
        assert len(world.requests) == before, "the user is speaking"
        world.stream(8)
        speech_first, result_last = world.requests[before:][0], world.requests[-1]
        assert speech_first.messages[-1].text == "and what about the trains to Rome"
        assert [type(p) for p in result_last.messages[-1].parts] == [FunctionResponse]

    @pytest.mark.parametrize("waste", [0.0, 1.0])
    @pytest.mark.parametrize("after", [6.5, 8.3])  # while words come, and in the silence after them
    def test_a_silent_result_is_in_the_next_request(self, waste: float, after: float) -> None:
        plan = words("and what about the trains to Rome", 6.0)
        world = World(tools("weather", slow=True), replies=[WEATHER], plan=plan, limits=SessionLimits(waste=waste))
        world.text("Weather?")
        world.stream(after)
        respond(world, answer(asked(world)[0], scheduling="SILENT"))
        world.stream(6)
        results = [p for m in world.requests[-1].messages for p in m.parts if isinstance(p, FunctionResponse)]
        assert results[-1].response == {"sky": "blue"}
        assert world.requests[-1].messages[-1].text == "and what about the trains to Rome"

    def test_it_is_told_once_nothing_was_said_after_all(self) -> None:
        noise = Word(6.0, 7.0, "")
        world = World(tools("weather", slow=True), replies=[WEATHER], plan=[noise])
        world.text("Weather?")
        world.stream(6.5)
        respond(world, answer(asked(world)[0]))
        world.stream(5)
        assert [type(p) for p in world.requests[-1].messages[-1].parts] == [FunctionResponse]


class TestManual:
    @pytest.mark.parametrize("playing", [True, False])
    def test_an_end_without_a_start_interrupts_nothing(self, playing: bool) -> None:
        world = World(MANUAL, replies=[spoken("A long answer.", seconds=5)])
        if playing:
            world.text("Hello.")
            world.run(2)
        world.client({"realtimeInput": {"activityEnd": {}}})
        world.run(10)
        assert "interrupted" not in world.kinds()
        assert world.kinds().count("turnComplete") == 1
        assert not world.of(StartRecognition)

    def test_where_nothing_interrupts_an_empty_activity_is_told_after_the_answer(self) -> None:
        setup = {
            **MANUAL,
            "realtimeInputConfig": {**MANUAL["realtimeInputConfig"], "activityHandling": "NO_INTERRUPTION"},
        }
        world = World(setup, replies=[spoken("A long answer.", seconds=5)])
        world.text("Hello.")
        world.run(2)
        world.client({"realtimeInput": {"activityStart": {}}})
        world.blob(0.5)
        world.client({"realtimeInput": {"activityEnd": {}}})
        world.run(10)
        assert "interrupted" not in world.kinds()
        reasons = [
            m.server_content.turn_complete_reason
            for m in world.messages
            if m.server_content and m.server_content.turn_complete
        ]
        assert [str(r) if r else None for r in reasons] == [None, "NEED_MORE_INPUT"]

    def test_where_nothing_interrupts_what_was_said_is_answered_after_the_answer(self) -> None:
        detection = {**MANUAL["realtimeInputConfig"], "activityHandling": "NO_INTERRUPTION"}
        world = World(
            {**MANUAL, "realtimeInputConfig": detection},
            plan=words("stop please", 0.2),
            replies=[[(0.1, speech(5.0, "Long."))]],
        )
        world.text("Talk.")
        world.run(1)
        world.client({"realtimeInput": {"activityStart": {}}})
        world.blob(1)
        world.client({"realtimeInput": {"activityEnd": {}}})
        world.run(3)
        assert len(world.requests) == 1, "the answer is still being played"
        world.run(10)
        assert "interrupted" not in world.kinds()
        assert world.at("turnComplete")[0] == pytest.approx(5.1)
        assert [text for _, text in world.history[:3]] == ["Talk.", "Long.", "stop please"]

    def test_an_empty_text_says_nothing(self) -> None:
        world = World(TALK, replies=[spoken("A long answer.", seconds=5)])
        world.text("Hello.")
        world.run(2)
        world.client({"realtimeInput": {"text": ""}})
        world.run(10)
        assert "interrupted" not in world.kinds()
        assert len(world.requests) == 1


class TestSwallowed:
    def test_what_is_said_ends_the_loading_of_the_history(self) -> None:
        world = World({**TALK, "historyConfig": {"initialHistoryInClientContent": True}})
        world.client({"realtimeInput": {"text": "Hello."}})
        world.run(5)
        world.text("And you?")
        assert [m.text for m in world.requests[-1].messages][-1] == "And you?"

    def test_a_bare_turn_complete_behind_a_call_is_answered_too(self) -> None:
        world = World(tools("weather"), replies=[WEATHER, None], profile=ModelProfile(MODEL, queues_during_calls=True))
        world.text("Weather?")
        world.run(1)
        world.text("And tomorrow?", complete=False)
        world.client({"clientContent": {"turnComplete": True}})
        respond(world, answer(asked(world)[0]))
        world.fail(2)
        world.run(5)
        assert world.requests[-1].messages[-1].text == "And tomorrow?"

    def test_a_system_turn_that_is_complete_before_anything_was_said(self) -> None:
        world = World(TALK)
        world.client(
            {"clientContent": {"turns": [{"role": "system", "parts": [{"text": "Be brief."}]}], "turnComplete": True}}
        )
        assert world.closed is None


class TestWindow:
    def test_frames_of_a_turn_take_no_more_than_the_window(self) -> None:
        setup = {**TALK, "realtimeInputConfig": {"turnCoverage": "TURN_INCLUDES_ALL_INPUT"}}
        world = World(setup, profile=ModelProfile(MODEL, input_token_limit=2580))
        for _ in range(100):
            world.client({"realtimeInput": {"video": JPEG}})
        world.client({"realtimeInput": {"text": "What do you see?"}})
        assert [type(p) for p in world.requests[0].messages[-1].parts] == [Image] * 5 + [Text]

    def test_one_turn_that_is_too_large_ends_a_session_that_slides_too(self) -> None:
        world = World({**TEXT, "contextWindowCompression": {}})
        world.text("a" * 4 * 40_000)
        assert world.closed is not None
        assert world.closed.reason == (
            "The latest turn takes 40000 tokens, 32768 are left for it; send less at once."
        ), "not to ask for what was asked for"

    @pytest.mark.parametrize("setup", [{}, {"contextWindowCompression": {}}])
    def test_instructions_that_leave_no_room_are_named(self, setup: dict[str, Any]) -> None:
        world = World({**TEXT, **setup, "systemInstruction": "x" * 4 * 33_000})
        world.text("Hello.")
        assert world.closed is not None
        assert world.closed.reason == "Instructions and functions take 33000 of 32768 tokens; shorten them."

    def test_history_that_leaves_no_room_is_named(self) -> None:
        setup = {"contextWindowCompression": {}, "historyConfig": {"initialHistoryInClientContent": True}}
        world = World({**TEXT, **setup})
        world.text("a" * 4 * 32_000)
        world.text("a" * 4 * 1000)
        assert world.closed is not None
        assert world.closed.reason.startswith("The loaded history is too long: 33000 of 32768 tokens")

    def test_contents_without_an_answer_fill_it_too(self) -> None:
        world = World(TEXT)
        for _ in range(5):
            world.text("a" * 4 * 8_000, complete=False)
        assert world.closed is not None

    def test_the_engines_limit_holds_before_it_was_ever_measured(self) -> None:
        world = World(TEXT, profile=ModelProfile(MODEL, engine_token_limit=1000), replies=[[(0.1, Text("Yes."))]] * 9)
        for i in range(8):
            world.text(f"{i}" + "a" * 4 * 240, complete=False)
        world.text("Well?")
        assert not world.of(CloseConnection)
        assert sum(len(m.text) for m in world.requests[-1].messages) / 4 < 1000
        world.text("a" * 4 * 1100)
        assert world.closed is not None
        assert "the language model takes 1000" in world.closed.reason

    def test_a_result_whose_call_was_dropped_is_told_in_words(self) -> None:
        compression = {"triggerTokens": 200, "slidingWindow": {"targetTokens": 50}}
        setup = {**tools("weather", slow=True), "contextWindowCompression": compression}
        world = World(setup, replies=[[(0.1, call("weather"))], *[spoken("Well.")] * 9])
        world.text("Weather?")
        world.run(3)
        for i in range(4):
            world.text(f"{i}" + "a" * 400)
            world.run(3)
        assert not any(isinstance(p, FunctionCall) for m in world.session.messages for p in m.parts)
        respond(world, answer(asked(world)[0]))
        world.run(3)
        assert world.requests[-1].messages[-1].text == 'weather has come to {"sky":"blue"}.'

    @pytest.mark.parametrize(
        ("trigger", "target", "used"), [(100_000, 80_000, (32_768, 26_214)), (104_857, None, (32_768, 16_383))]
    )
    def test_numbers_for_a_larger_window_keep_their_proportion(
        self, trigger: int, target: int | None, used: tuple[int, int]
    ) -> None:
        sliding = {} if target is None else {"targetTokens": target}
        world = World({**TEXT, "contextWindowCompression": {"triggerTokens": trigger, "slidingWindow": sliding}})
        assert world.session._dialogue is not None
        window = world.session._dialogue.settings.window
        assert (window.trigger, window.target) == used


class TestTranscripts:
    def finished(self, world: World, which: str) -> int:
        contents = [m.server_content for m in world.messages if m.server_content]
        return sum(bool((t := getattr(c, which)) and t.finished) for c in contents)

    def test_of_an_answer_that_is_interrupted_end_before_the_interruption(self) -> None:
        world = World(TALK, replies=[[(0.1, speech(5, "A long")), (9.0, speech(5, " answer."))]])
        world.text("Hello.")
        world.run(2)
        world.text("Stop.")
        kinds = world.kinds()
        assert kinds[kinds.index("interrupted") - 1] == "saidFinished"

    def test_of_an_answer_that_fails_end_too(self) -> None:
        world = World(TALK, replies=[[(0.1, speech(1, "A long")), (99.0, speech(5, " answer."))]])
        world.text("Hello.")
        world.run(1)
        world.fail(1)
        world.run(5)
        assert self.finished(world, "output_transcription") == 1

    def test_of_a_turn_whose_last_part_is_silent_end_too(self) -> None:
        script: Script = [(0.1, speech(1.0, "One moment.")), (0.1, call("weather"))]
        world = World(tools("weather"), replies=[script, []])
        world.text("Weather?")
        world.run(2)
        respond(world, answer(asked(world)[0]))
        world.run(3)
        assert self.finished(world, "output_transcription") == 1

    def test_of_speech_whose_recogniser_fails_end_too(self) -> None:
        world = World(
            TALK, plan=words("what is the capital of France then and now", 0.5), limits=SessionLimits(recogniser=2)
        )
        world.stream(2.8)
        assert world.transcript
        world.stt_delay = None
        world.stream(6)
        assert self.finished(world, "input_transcription") == 1
        assert world.kinds()[-1] == "turnComplete"

    def test_what_was_told_is_answered_even_where_the_final_one_is_empty(self) -> None:
        world = World(TALK, plan=words("what is the capital of France", 0.5))
        world.stream(2.2)
        assert world.transcript
        world._said = lambda utterance: ""  # type: ignore[method-assign]
        world.injected.add(1)
        world.stream(5)
        assert [p.text for p in world.requests[-1].messages[-1].parts if isinstance(p, Heard)] == [world.transcript]
        assert self.finished(world, "input_transcription") == 1

    def test_have_the_offsets_of_the_models_words_where_asked_for(self) -> None:
        piece = Speech(
            bytes(48_000), "Hello there.", (types.Word("Hello", 0, 12_000), types.Word("there.", 12_000, 24_000))
        )
        for asked_for in (True, False):
            setup = {**TALK, "outputAudioTranscription": {"wordTimestamp": asked_for}}
            world = World(setup, replies=[[(0.1, piece), (0.1, piece)]])
            world.text("Hi.")
            world.run(5)
            contents = [m.server_content for m in world.messages if m.server_content]
            told = [t for c in contents if (t := c.output_transcription) and t.text]
            offsets = [[(w.word, w.start_offset, w.end_offset) for w in t.words] for t in told]
            if asked_for:
                assert offsets[1] == [("Hello", "1s", "1.500s"), ("there.", "1.500s", "2s")]
            else:
                assert offsets == [[], []]


def test_a_drain_is_told_even_after_another_end_was() -> None:
    world = World({**TALK, "sessionResumption": {}}, limits=SessionLimits(connection=100))
    world.run(45)
    assert len(world.at("goAway")) == 1
    world.event(ServerDraining(10))
    world.run(1)
    assert len(world.at("goAway")) == 2


def test_images_in_chunks_are_all_seen() -> None:
    session = World(TALK)
    session.client({"realtimeInput": {"mediaChunks": [JPEG, JPEG]}})
    session.client({"realtimeInput": {"text": "What do you see?"}})
    assert [type(p) for p in session.requests[-1].messages[-1].parts] == [Image, Text]


def test_usage_of_an_empty_turn_counts_the_instructions() -> None:
    world = World({**MANUAL, "systemInstruction": {"parts": [{"text": "a" * 400}]}})
    world.client({"realtimeInput": {"activityEnd": {}}})
    usage = world.messages[-1].usage_metadata
    assert usage is not None
    assert usage.prompt_token_count == 100


@pytest.mark.parametrize(("third", "frames"), [(True, 2), (False, 1)])
def test_every_frame_counts_where_the_profile_says_so(third: bool, frames: int) -> None:
    world = World(TALK, profile=ModelProfile(MODEL, all_video=third))
    for _ in range(2):
        world.client({"realtimeInput": {"video": JPEG}})
    world.client({"realtimeInput": {"text": "What do you see?"}})
    assert sum(isinstance(p, Image) for p in world.requests[-1].messages[-1].parts) == frames


def test_a_frame_is_looked_at_before_anybody_asks() -> None:
    world = World(TALK)
    world.client({"realtimeInput": {"video": JPEG}})
    prepared = world.of(Prefill)[-1].request.messages
    assert [[type(p) for p in m.parts] for m in prepared] == [[Image]]
    world.plan = words("what do you see here now", 0.5)
    world.stream(1.9)
    talking = world.of(Prefill)[-1].request.messages[-1]
    assert [type(p) for p in talking.parts] == [Image, Text], "what is prefilled begins like the turn"


@pytest.mark.parametrize("samples", [16, 320, 500])
def test_a_microphone_that_stops_within_a_frame_is_answered(samples: int) -> None:
    """Nobody judges what fills no frame: waiting for that, the turn came ten seconds late, after a new detector."""
    world = World(TALK, plan=words("Help me"))
    world.stream(0.96, chunk=0.032)
    world.run(0.02)
    world.event(AudioArrived(samples))
    world.run(3)
    assert "said" in world.kinds()
    assert len({command.stream for command in world.of(DetectSpeech)}) == 1


def test_less_than_a_second_of_speech_tells_no_language() -> None:
    plan = [*words("yes", 0.5), *words("what shall we do now", 5.0), *words("yes", 11.0)]
    world = World(TALK, plan=plan)
    world.stream(14)
    assert [command.languages for command in world.of(StartRecognition)] == [(), (), ("en", "")]
