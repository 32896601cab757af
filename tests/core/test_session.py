"""The session against a virtual world: what the client sees, in which order, and when."""

from __future__ import annotations

import pytest

from openlive.core.commands import (
    CancelReply,
    CloseConnection,
    FeedRecognition,
    FlushRecognition,
    Prefill,
    ReplyOverdue,
    StartRecognition,
    StartReply,
)
from openlive.core.events import (
    AudioArrived,
    BadRequest,
    ConnectionOpened,
    FramesJudged,
    OutputProduced,
    ReplyFinished,
    StageFailed,
    Transcribed,
)
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import Heard, Progress, Speech, Text, Thought, Transcript
from openlive.wire import errors
from tests.core.world import MODEL, TALK, Script, World, conversation, speech, spoken, words

KORE = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}
TEXT: dict[str, object] = {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT"]}}
VOICE_TURN = [
    *("heard", "heardFinished", "said", "audio", "saidFinished", "generationComplete", "turnComplete"),
]
QUESTION = words("what is the capital of France", start=0.5)
"""Ends at 2.3 s."""


def manual(setup: dict[str, object]) -> dict[str, object]:
    return {**setup, "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}


def deaf(setup: dict[str, object], **detection: object) -> dict[str, object]:
    return {**setup, "realtimeInputConfig": {"automaticActivityDetection": detection}}


class TestSetup:
    def test_answers_first_and_prepares_the_instructions(self) -> None:
        world = World({**TALK, "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}})
        assert world.kinds() == ["setupComplete"]
        assert world.messages[0].setup_complete is not None
        assert world.messages[0].setup_complete.session_id == "s"
        [prefill] = world.of(Prefill)
        assert prefill.request.instructions == "Be brief.\n\nBe kind."
        assert prefill.request.voice is not None
        assert prefill.request.voice.name == "Puck"

    def test_what_is_heard_but_for_its_last_word_is_prepared_while_it_is_spoken(self) -> None:
        world = World(TALK, plan=QUESTION)
        heard: list[list[str]] = []
        for _ in range(3):
            world.stream(0.5)
            heard.append([p.request.messages[-1].text for p in world.of(Prefill) if p.request.messages])
        assert heard[-1]
        assert len(heard[-1][-1].split()) > len(world.transcript.split()), "sooner than it is told"
        assert len(heard[-1]) == len(set(heard[-1])), "nothing twice"

    @pytest.mark.parametrize(
        "name", [MODEL, f"models/{MODEL}", f"projects/p/locations/l/publishers/google/models/{MODEL}"]
    )
    def test_knows_a_model_by_each_form_of_its_name(self, name: str) -> None:
        assert World({"model": name}).kinds() == ["setupComplete"]

    @pytest.mark.parametrize(
        ("setup", "code", "reason"),
        [
            ({"model": "models/none"}, 1008, "models/none is not found for API version v1beta"),
            ({}, 1007, "Invalid value at 'setup.model'"),
            (
                {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}},
                1007,
                "At most one response modality",
            ),
            (
                {"model": MODEL, "generationConfig": {"responseModalities": ["IMAGE"]}},
                1007,
                "The requested combination",
            ),
            (
                {"model": MODEL, "generationConfig": {"speechConfig": {"voiceConfig": {"voice": "alloy"}}}},
                1007,
                "Requested voice api_name 'alloy' is not available for model models/" + MODEL,
            ),
            (
                {"model": MODEL, "generationConfig": {"responseModalities": "TEXT", "speechConfig": KORE}},
                1007,
                "Cannot extract voices from a non-audio request.",
            ),
            (
                deaf({"model": MODEL}, silenceDurationMs=-1),
                1007,
                "Invalid value at 'setup.realtime_input_config.automatic_activity_detection.silence_duration_ms'",
            ),
        ],
    )
    def test_refuses_with_the_cause(self, setup: dict[str, object], code: int, reason: str) -> None:
        world = World(setup)
        assert world.closed is not None
        assert world.closed.code == code
        assert world.closed.reason.startswith(reason[:123])
        assert len(world.closed.reason.encode()) <= 123
        assert world.messages == []

    def test_tells_a_refused_key_once_the_setup_was_read(self) -> None:
        world = World()
        assert world.event(ConnectionOpened("s", refusal=errors.API_KEY_INVALID)) == []
        world.client({"setup": TALK})
        assert world.closed == CloseConnection(1007, "API key not valid. Please pass a valid API key.")
        assert world.messages == []

    def test_waits_for_it_ten_seconds(self) -> None:
        world = World()
        world.event(ConnectionOpened("s"))
        world.run(9.9)
        assert world.closed is None
        world.run(0.2)
        assert world.closed == CloseConnection(1008, "No setup message within 10 s.")

    @pytest.mark.parametrize("early", [AudioArrived(320), FramesJudged(1, ((0.5, 512),)), ReplyFinished(1)])
    def test_comes_first(self, early: AudioArrived | FramesJudged | ReplyFinished) -> None:
        world = World()
        world.event(ConnectionOpened("s"))
        world.event(early)
        assert world.closed == CloseConnection(1007, "setup must be the first message and only the first")

    def test_comes_once(self) -> None:
        world = World(TALK)
        world.client({"setup": TALK})
        assert world.closed == CloseConnection(1007, "setup must be the first message and only the first")

    def test_nothing_follows_the_close(self) -> None:
        world = World(TALK)
        world.text("Hello")
        world.event(BadRequest(1007, "Request contains an invalid argument."))
        assert world.of(CancelReply) == [CancelReply(1)]
        assert world.event(OutputProduced(1, Text("late"))) == []
        assert world.text("again") == []
        assert world.session.deadline is None


class TestText:
    def test_a_turn(self) -> None:
        world = World(TEXT, replies=[[(0.1, Text("Par")), (0.1, Text("is"))]])
        world.text("The capital of France?")
        world.run(1)
        assert world.kinds() == ["setupComplete", "text", "generationComplete", "turnComplete"]
        assert world.at("turnComplete") == world.at("generationComplete")
        assert world.history == [("user", "The capital of France?"), ("model", "Paris")]

    def test_usage_adds_up(self) -> None:
        world = World(TEXT, replies=[[(0.1, Text("Paris. "))]])
        world.text("12345678")
        world.run(1)
        usage = world.messages[-1].usage_metadata
        assert usage is not None
        assert (usage.prompt_token_count, usage.response_token_count, usage.total_token_count) == (2, 2, 4)
        assert [d.token_count for d in usage.response_tokens_details] == [2]
        assert [d.modality.name for d in usage.response_tokens_details if d.modality] == ["TEXT"]

    def test_turns_without_the_end_wait(self) -> None:
        world = World(TEXT)
        world.text("My name is Anna.", complete=False)
        world.run(5)
        assert world.kinds() == ["setupComplete"]
        world.text("What is my name?")
        assert conversation(world.requests[0]) == [("user", "My name is Anna."), ("user", "What is my name?")]

    def test_an_empty_end_answers_what_is_there(self) -> None:
        world = World(TEXT)
        world.text("Hello", complete=False)
        world.client({"clientContent": {"turnComplete": True}})
        world.run(1)
        assert world.kinds()[-1] == "turnComplete"

    def test_an_empty_end_with_nothing_there_is_refused(self) -> None:
        world = World(TEXT)
        world.client({"clientContent": {"turnComplete": True}})
        assert world.closed == CloseConnection(1007, "No turn to complete")

    def test_an_unknown_role_is_refused_with_its_path(self) -> None:
        world = World(TEXT)
        world.client(
            {"clientContent": {"turns": [{"parts": []}, {"role": "tutor", "parts": []}], "turnComplete": True}}
        )
        assert world.closed is not None
        assert world.closed.reason.startswith("Invalid value at 'client_content.turns[1].role'")

    def test_content_interrupts(self) -> None:
        world = World(
            TEXT, replies=[[(0.5, Text("One")), (0.5, Text(" two")), (0.5, Text(" three"))], [(0, Text("OK"))]]
        )
        world.text("Count")
        world.run(1.2)
        world.text("Stop")
        world.run(1)
        assert world.kinds()[1:] == [
            *("text", "interrupted", "turnComplete"),
            *("text", "generationComplete", "turnComplete"),
        ]
        assert world.history[:3] == [("user", "Count"), ("model", "One two"), ("user", "Stop")]

    def test_thoughts_stay_inside(self) -> None:
        world = World(TEXT, replies=[[(0.1, Thought("hmm hmm!")), (0.1, Text("Yes"))]])
        world.text("Well?")
        world.run(1)
        assert world.history[-1] == ("model", "Yes")
        usage = world.messages[-1].usage_metadata
        assert usage is not None
        assert usage.thoughts_token_count == 2


class TestVoice:
    def test_a_turn(self) -> None:
        world = World(TALK, plan=QUESTION, replies=[spoken("Paris.", seconds=1.5)])
        world.stream(6)
        assert world.kinds()[1:] == VOICE_TURN
        assert world.transcript == "what is the capital of France"
        assert world.history == [("user", "what is the capital of France"), ("model", "Paris.")]

    def test_the_answer_is_ready_when_the_turn_is_decided(self) -> None:
        world = World(TALK, plan=QUESTION, replies=[spoken("Paris.", delay=0.1)])
        world.stream(6)
        decided = world.at("heardFinished")[0]
        assert decided == pytest.approx(2.3 + 0.7, abs=0.14)
        assert world.at("audio")[0] == decided

    def test_the_recogniser_hears_what_came_before_the_onset(self) -> None:
        world = World(TALK, plan=QUESTION)
        world.stream(3)
        assert world.of(StartRecognition) == [StartRecognition(1, phrases=("Gemini",))]
        assert world.of(FeedRecognition)[0].start == pytest.approx((0.5 - 0.3) * 16000, abs=512)

    def test_the_answer_waits_for_its_transcript(self) -> None:
        world = World(TALK, plan=QUESTION, stt_delay=2.0)
        world.stream(7)
        assert world.kinds()[-1] == "turnComplete"
        assert world.at("heardFinished")[0] > 2.3 + 2.0

    def test_a_pause_does_not_end_the_turn(self) -> None:
        plan = [*words("I would like a table", 0.5), *words("for two people", 2.6)]
        world = World(TALK, plan=plan)
        world.stream(7)
        assert world.of(CancelReply) == [CancelReply(1)]
        assert len(world.of(StartReply)) == 2
        assert world.transcript == "I would like a table for two people"
        assert world.history[0] == ("user", "I would like a table for two people")
        assert world.kinds()[1:] == VOICE_TURN

    def test_the_client_chooses_the_silence(self) -> None:
        world = World(deaf(TALK, silenceDurationMs=100), plan=QUESTION)
        world.stream(4)
        assert world.at("heardFinished")[0] == pytest.approx(2.3 + 0.1 + 0.05, abs=0.14)

    def test_noise_without_words_is_no_turn(self) -> None:
        world = World(TALK, plan=words("", 0.5) or [*words("x", 0.5)][:0])
        world.event(AudioArrived(16000))
        world.event(FramesJudged(1, tuple((0.9, 512) for _ in range(8)) + tuple((0.0, 512) for _ in range(23))))
        world.run(5)
        assert world.of(StartRecognition) == [StartRecognition(1, phrases=("Gemini",))]
        assert world.kinds() == ["setupComplete"]
        assert world.history == []

    def test_playback_decides_when_the_turn_is_complete(self) -> None:
        script: Script = [(0.2, Text("One. Two.")), (0.2, speech(1.0, "One.")), (2.0, speech(1.0, " Two."))]
        world = World(TALK, replies=[script])
        world.text("Count")
        world.run(10)
        # The first second of audio plays from 0.4 on, the next begins 2 s later: a gap of 1 s in between.
        assert world.at("generationComplete") == [pytest.approx(2.4)]
        assert world.at("turnComplete") == [pytest.approx(3.4)]

    def test_messages_of_audio_are_small_and_even(self) -> None:
        world = World(TALK, replies=[[(0.1, speech(1.03, "Hello."))]])
        world.text("Hi")
        world.run(5)
        sizes = [
            len(m.server_content.model_turn.parts[0].inline_data.data or b"")
            for m in world.messages
            if m.server_content and m.server_content.model_turn and m.server_content.model_turn.parts[0].inline_data
        ]
        assert sum(sizes) == 2 * round(1.03 * 24000)
        assert max(sizes) == 9600
        assert all(size % 2 == 0 for size in sizes)

    def test_usage_of_audio_is_25_tokens_a_second(self) -> None:
        world = World(TALK, plan=QUESTION, replies=[spoken("Paris.", seconds=2.0)])
        world.stream(7)
        usage = world.messages[-1].usage_metadata
        assert usage is not None
        assert usage.response_token_count == 50
        details = {d.modality.name: d.token_count for d in usage.prompt_tokens_details if d.modality}
        assert details["AUDIO"] == pytest.approx(25 * (1.8 + 0.3), abs=2)
        assert usage.prompt_token_count == sum(details.values())


class TestInterruption:
    def interrupted(self, **kwargs: object) -> World:
        story: Script = [(0.1, Text("One two three four five.")), (0.1, speech(5.0, "One two three four five."))]
        plan = [*QUESTION, *words("stop please", 5.5)]
        return World({**TALK, **kwargs}, plan=plan, replies=[story])

    def test_by_voice_while_only_playing(self) -> None:
        world = self.interrupted()
        world.stream(8)
        kinds = world.kinds()
        at = kinds.index("interrupted")
        assert kinds[at - 1] == "generationComplete"
        assert kinds[at + 1] == "turnComplete"
        assert kinds[at + 2] == "heard"
        onset = world.at("interrupted")[0]
        assert onset == pytest.approx(5.5 + 0.096, abs=0.14)
        # The answer began at 3.1 s, a second a word: two words were heard by 5.6 s.
        assert world.history[1] == ("model", "One two")

    def test_everything_sent_is_kept_where_the_profile_says_so(self) -> None:
        story = [(0.1, speech(5.0, "One two three four five."))]
        profile = ModelProfile(MODEL, history="sent")
        sent = World(TALK, plan=self.interrupted().plan, replies=[story], profile=profile)
        sent.stream(8)
        assert sent.history[1] == ("model", "One two three four five.")

    def test_nothing_of_the_old_turn_follows(self) -> None:
        world = World(TALK, replies=[[(0.1, speech(5.0, "Long."))], None])
        world.text("Talk")
        world.run(1)
        world.client({"realtimeInput": {"text": "Stop"}})
        assert world.kinds()[-2:] == ["interrupted", "turnComplete"]
        assert world.of(CancelReply) == [CancelReply(1)]
        assert world.event(OutputProduced(1, Speech(bytes(100), "late"))) == []
        assert world.event(ReplyFinished(1)) == []

    def test_while_generating_there_is_no_generation_complete(self) -> None:
        world = World(TALK, replies=[[(0.1, speech(1.0, "Long.")), (5, speech(1.0, " Longer."))], None])
        world.text("Talk")
        world.run(0.5)
        world.text("Stop")
        assert "generationComplete" not in world.kinds()

    def test_before_anything_was_heard_leaves_no_answer(self) -> None:
        world = World(TALK, replies=[None, None])
        world.text("Talk")
        world.run(0.5)
        world.text("Stop")
        assert world.history == [("user", "Talk"), ("user", "Stop")]

    def test_not_where_the_client_forbids_it(self) -> None:
        world = self.interrupted(realtimeInputConfig={"activityHandling": "NO_INTERRUPTION"})
        world.stream(14)
        kinds = world.kinds()
        assert "interrupted" not in kinds
        assert kinds.count("turnComplete") == 2
        assert [role for role, _ in world.history] == ["user", "model", "user", "model"]
        assert world.history[1] == ("model", "One two three four five.")
        assert world.history[2] == ("user", "stop please")

    def test_several_that_waited_join_one_turn(self) -> None:
        setup = {**TALK, "realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}}
        world = World(setup, replies=[[(0.1, speech(3.0, "Long."))]])
        world.text("Talk")
        world.run(1)
        world.client({"realtimeInput": {"text": "and"}})
        world.client({"realtimeInput": {"text": "then"}})
        world.run(10)
        assert [text for _, text in conversation(world.requests[1])] == ["Talk", "Long.", "and", "then"]
        assert world.kinds().count("turnComplete") == 2

    def test_content_always_interrupts(self) -> None:
        setup = {**TALK, "realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}}
        world = World(setup, replies=[[(0.1, speech(3.0, "Long."))]])
        world.text("Talk")
        world.run(1)
        world.client({"realtimeInput": {"text": "waiting"}})
        world.text("Stop", complete=False)
        world.run(0.1)
        assert "interrupted" in world.kinds()
        assert [text for _, text in conversation(world.requests[1])][-2:] == ["waiting", "Stop"]


class TestFiles:
    """Whole recordings in one message."""

    @pytest.mark.parametrize("tail", [0.0, 0.3, 1.5])
    def test_end_with_or_without_silence(self, tail: float) -> None:
        world = World(TALK, plan=QUESTION)
        world.blob(2.3 + tail)
        world.run(10)
        assert world.kinds()[1:] == VOICE_TURN
        assert world.transcript == "what is the capital of France"
        assert world.at("heardFinished")[0] <= 1.2

    def test_with_a_pause_get_one_answer(self) -> None:
        world = World(TALK, plan=[*QUESTION, *words("and of Spain", 3.8)])
        world.blob(7)
        world.run(10)
        assert world.kinds()[1:] == VOICE_TURN
        assert world.history[0] == ("user", "what is the capital of France and of Spain")

    def test_an_ended_stream_needs_no_second_of_quiet(self) -> None:
        world = World(TALK, plan=QUESTION)
        world.blob(2.3)
        world.client({"realtimeInput": {"audioStreamEnd": True}})
        world.run(0.2)
        assert world.at("heardFinished")[0] < 0.1


class TestManualActivity:
    def test_a_turn(self) -> None:
        world = World(manual(TALK), plan=QUESTION)
        world.client({"realtimeInput": {"activityStart": {}}})
        world.blob(1.4)
        world.run(3)
        world.blob(1.4)
        assert world.kinds() == ["setupComplete"] or world.kinds()[1] == "heard"
        world.client({"realtimeInput": {"activityEnd": {}}})
        world.run(5)
        assert world.kinds()[-1] == "turnComplete"
        assert world.transcript == "what is the capital of France"

    def test_interrupts(self) -> None:
        world = World(manual(TALK), replies=[[(0.1, speech(5.0, "Long."))]])
        world.text("Talk")
        world.run(1)
        world.client({"realtimeInput": {"activityStart": {}}})
        assert world.kinds()[-2:] == ["interrupted", "turnComplete"]

    def test_without_words_ends_all_the_same(self) -> None:
        world = World(manual(TALK))
        world.client({"realtimeInput": {"activityStart": {}}})
        world.blob(1)
        world.client({"realtimeInput": {"activityEnd": {}}})
        world.run(1)
        assert world.kinds() == ["setupComplete", "turnComplete"]
        assert world.messages[-1].server_content is not None
        assert world.messages[-1].server_content.turn_complete_reason is not None
        assert world.messages[-1].server_content.turn_complete_reason.name == "NEED_MORE_INPUT"

    def test_needs_to_be_asked_for(self) -> None:
        world = World(TALK)
        world.client({"realtimeInput": {"activityStart": {}}})
        assert world.closed is not None
        assert world.closed.reason.startswith("Explicit activity control is not supported")


class TestFailures:
    """An engine that raises, hangs or is late costs one turn at most: the client is told, the session lives."""

    def goes_on(self, world: World) -> None:
        world.text("Still there?")
        world.run(20)
        assert world.closed is None
        assert world.kinds()[-1] == "turnComplete"

    def test_a_reply_that_raises(self) -> None:
        world = World(TALK, replies=[[(0.1, speech(1.0, "Half an")), (9, speech(1.0, " answer"))]])
        world.text("Talk")
        world.run(0.5)
        world.fail(1)
        world.run(2)
        assert world.at("turnComplete") == [pytest.approx(1.1)]
        assert world.messages[-1].server_content is not None
        reason = world.messages[-1].server_content.turn_complete_reason
        assert reason is not None
        assert reason.name == "RESPONSE_REJECTED"
        assert world.history == [("user", "Talk"), ("model", "Half an")]
        self.goes_on(world)

    def test_a_reply_that_hangs(self) -> None:
        world = World(TALK, replies=[None])
        world.text("Talk")
        world.run(61)
        assert world.at("turnComplete") == [60]
        assert CancelReply(1) in world.of(CancelReply)
        assert world.of(ReplyOverdue) == [ReplyOverdue(1, 60)]
        self.goes_on(world)

    def test_a_reply_that_is_worked_on_is_waited_for(self) -> None:
        """A long prompt on a slow core."""
        script = [*[(50.0, Progress())] * 4, *spoken("There it is.")]
        world = World(TALK, replies=[script])
        world.text("Talk")
        world.run(220)
        assert world.of(ReplyOverdue) == []
        assert world.history == [("user", "Talk"), ("model", "There it is.")]

    def test_an_answer_that_is_there_in_time_counts_although_it_is_read_late(self) -> None:
        """The server was held up, not the model."""
        for event in (OutputProduced(1, Text("There")), ReplyFinished(1)):
            world = World(TALK, replies=[None])
            world.text("Talk")
            world.run(59)
            world.now += 2
            world.event(event)
            assert world.of(ReplyOverdue) == []
            world.run(58)
            assert world.of(ReplyOverdue) == []
            self.goes_on(world)

    def test_a_prepared_reply_that_raises_is_asked_again(self) -> None:
        world = World(TALK, plan=QUESTION, replies=[None])
        world.stream(2.8)
        [respond] = world.of(StartReply)
        world.event(StageFailed("reply", respond.turn, "it broke"))
        world.stream(3)
        assert world.kinds()[1:] == VOICE_TURN

    def test_a_recogniser_that_raises(self) -> None:
        world = World(TALK, plan=QUESTION, stt_delay=None)
        world.stream(2.5)
        world.event(StageFailed("stt", 1, "it broke"))
        assert world.kinds() == ["setupComplete", "turnComplete"]
        self.goes_on(world)

    def test_a_recogniser_that_hangs(self) -> None:
        world = World(TALK, plan=QUESTION, stt_delay=None)
        world.stream(40)
        assert world.kinds() == ["setupComplete", "turnComplete"]
        self.goes_on(world)

    @pytest.mark.parametrize("raises", [True, False])
    def test_a_detector(self, raises: bool) -> None:
        world = World(TALK, plan=[*QUESTION, *words("hello again", 14)], dead_streams=[1])
        world.stream(2)
        if raises:
            world.event(StageFailed("vad", 1, "it broke"))
        world.stream(18)
        assert world.transcript.endswith("hello again")
        assert world.kinds()[-1] == "turnComplete"

    def test_a_detector_that_hangs_before_it_judged_anything(self) -> None:
        """A file in one message: its client waits for the end of a turn."""
        world = World(TALK, plan=QUESTION, dead_streams=[1])
        world.blob(3)
        world.run(11)
        assert world.kinds() == ["setupComplete", "turnComplete"]
        assert world.messages[-1].server_content is not None
        reason = world.messages[-1].server_content.turn_complete_reason
        assert reason is not None
        assert reason.name == "INPUT_OTHER"
        self.goes_on(world)

    def test_more_audio_than_can_be_judged(self) -> None:
        world = World(TALK, dead_streams=[1], limits=SessionLimits(backlog=5))
        world.blob(6)
        assert world.closed is not None
        assert world.closed.code == 1008
        assert world.closed.reason.startswith("More than 5 s of audio wait")

    def test_what_is_late_is_dropped(self) -> None:
        world = World(TALK)
        assert world.event(Transcribed(7, Transcript("late", 5, final=True))) == []
        assert world.event(FramesJudged(7, ((0.9, 512),))) == []
        assert world.event(OutputProduced(7, Text("late"))) == []
        assert world.event(StageFailed("reply", 7, "late")) == []


def test_text_while_speaking_joins_the_turn() -> None:
    world = World(TALK, plan=QUESTION)
    world.stream(1.5)
    world.client({"realtimeInput": {"text": "(in Europe)"}})
    world.stream(4)
    assert world.history[0] == ("user", "what is the capital of France(in Europe)")
    assert world.kinds().count("turnComplete") == 1


def test_an_image_is_seen_with_the_next_turn() -> None:
    world = World(TALK)
    data = "/9j/4AAQ"
    world.client({"realtimeInput": {"video": {"mimeType": "image/jpeg", "data": data}}})
    world.client({"realtimeInput": {"video": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}})
    world.client({"realtimeInput": {"text": "What is this?"}})
    kinds = [type(part).__name__ for part in world.requests[0].messages[0].parts]
    assert kinds == ["Image", "Text"]
    world.client({"realtimeInput": {"video": {"mimeType": "image/gif", "data": data}}})
    assert world.closed is not None
    assert "'realtime_input.video.mime_type'" in world.closed.reason


def test_speech_is_kept_as_what_was_heard_and_where() -> None:
    world = World(TALK, plan=QUESTION)
    world.stream(5)
    [part] = world.session.messages[0].parts
    assert isinstance(part, Heard)
    assert part.end / 16000 == pytest.approx(2.3, abs=0.04)
    assert world.of(FlushRecognition) == [FlushRecognition(1)]
