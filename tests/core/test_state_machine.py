"""Any order of events, against what must always hold."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from openlive.core.commands import (
    CancelReply,
    Command,
    EndRecognition,
    FeedRecognition,
    FlushRecognition,
    Send,
    StartRecognition,
    StartReply,
)
from openlive.core.events import (
    Event,
    FramesJudged,
    MessageReceived,
    OutputProduced,
    RecogniserProgressed,
    ReplyFinished,
    SceneJudged,
    StageFailed,
    ToolFinished,
    Transcribed,
)
from openlive.core.listening.backchannel import wants_the_floor
from openlive.core.session import Session
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import (
    FunctionCall,
    FunctionDeclaration,
    FunctionResponse,
    Output,
    Speech,
    Text,
    Thought,
    ToolResult,
    Transcript,
)
from tests.core.world import MODEL, TALK, Script, Word, World, kind, speech, spoken, words

LIMITS = SessionLimits(detector=3, recogniser=5, reply=7)
SETUPS: list[dict[str, Any]] = [
    TALK,
    {**TALK, "generationConfig": {"responseModalities": ["TEXT"]}},
    {**TALK, "realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}},
    {**TALK, "realtimeInputConfig": {"automaticActivityDetection": {"silenceDurationMs": 100, "prefixPaddingMs": 0}}},
    {**TALK, "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}},
    {**TALK, "tools": [{"codeExecution": {}}]},
    {**TALK, "tools": [{"codeExecution": {}}], "proactivity": {"proactiveAudio": True}},
    {**TALK, "tools": [{"codeExecution": {}}], "proactivity": {"proactiveAudio": True, "proactiveVideo": True}},
]
TOOLS = (FunctionDeclaration("run_python", tool="code_execution"),)
PROFILE = ModelProfile(MODEL, tools=TOOLS, proactive=True, addressee=True, watcher=True)
BY_WORDS = replace(PROFILE, barge_in="words")
RAN = ToolResult({"output": "42"}, output="42")
OUTPUTS: list[Output] = [Text("Yes."), Thought("Hm."), speech(0.7, "Yes."), speech(0.3, " No."), Speech(b"", " …")]
SCRIPTS: list[Script | None] = [
    None,
    spoken("Good."),
    spoken("A long answer to it.", seconds=4),
    [],
    [(6.0, OUTPUTS[2])],
    [(0.1, OUTPUTS[2]), (0.1, FunctionCall("", "run_python", {"code": "6*7"}))],
]
seconds = st.sampled_from([0.01, 0.1, 0.3, 1.0, 2.5, 8.0])


class Watched(Session):
    """Does what one does that looks for what is due at every event, not only from its deadline on."""

    def __init__(self, profiles: Mapping[str, ModelProfile], limits: SessionLimits | None = None) -> None:
        super().__init__(profiles, limits)
        self._restless = Session(profiles, limits)

    def handle(self, event: Event | None, now: float) -> list[Command]:
        self._restless.deadline = now
        expected = self._restless.handle(event, now)
        commands = super().handle(event, now)
        assert commands == expected
        return commands


class AnyOrder(RuleBasedStateMachine):
    """A client that does what it likes, engines that answer, fail, or say nothing."""

    @initialize(setup=st.sampled_from(SETUPS), data=st.data())
    def open(self, setup: dict[str, Any], data: st.DataObject) -> None:
        self.setup = setup
        script = st.sampled_from(SCRIPTS)
        spoken_text = st.tuples(
            st.floats(0.1, 2.0), st.sampled_from(["hello", "go on then", "okay", "yeah okay right sure"])
        )
        texts = data.draw(st.lists(spoken_text, max_size=4))
        plan: list[Word] = []
        at = 0.0
        for gap, text in texts:
            plan += words(text, at + gap)
            at = plan[-1].end
        self.world = World(
            setup,
            plan=plan,
            replies=data.draw(st.lists(script, max_size=4)),
            limits=LIMITS,
            stt_delay=data.draw(st.sampled_from([0.0, 0.05, 0.9, None])),
            dead_streams=data.draw(st.sampled_from([[], [1]])),
            profile=data.draw(st.sampled_from([PROFILE, BY_WORDS])),
            tools=data.draw(st.sampled_from([{}, {"code_execution": (0.3, RAN)}])),
            make=Watched,
            version="v1alpha",
            aside="go on",
            addressee_delay=data.draw(st.sampled_from([0.0, 0.04, 0.6, None])),
            scene_delay=data.draw(st.sampled_from([0.0, 0.5, 3.0, None])),
        )
        self.plan, self.sent = plan, 0.0
        self.checked = 0
        self.stopped: set[int] = set()
        self.asked: set[int] = set()
        self.parts: set[int] = set()
        """Of those the ones that go on with the turn before them."""
        self.open_utterances: set[int] = set()
        self.last_sent = ""
        self.playing_until = 0.0
        self.typed: list[str] = []
        self.stepped = 0
        self.unanswered: Counter[int] = Counter()
        self.understood: dict[int, str] = {}

    manual = property(lambda self: self.setup is SETUPS[4])

    # The client.

    @rule(complete=st.booleans())
    def content(self, complete: bool) -> None:
        self.world.text(self.type(), complete=complete)

    @rule()
    def realtime_text(self) -> None:
        self.world.client({"realtimeInput": {"text": self.type()}})

    def type(self) -> str:
        self.typed.append(f"Number {len(self.typed)}.")
        return self.typed[-1]

    @rule(length=seconds)
    def audio(self, length: float) -> None:
        self.world.blob(length)
        self.sent += length

    @rule(length=seconds)
    def microphone(self, length: float) -> None:
        self.world.stream(length)
        self.sent += length

    @rule(text=st.sampled_from(["stop it", "okay right"]))
    def remark(self, text: str) -> None:
        """Said now, whatever else goes on."""
        self.plan += words(text, max([self.sent, *(word.end for word in self.plan)]) + 0.1)
        self.microphone(self.plan[-1].end + 0.5 - self.sent)

    @rule(shows=st.sampled_from(["a wall", "exit!"]))
    def frame(self, shows: str) -> None:
        self.world.frame(shows)

    @rule()
    def stream_end(self) -> None:
        self.world.client({"realtimeInput": {"audioStreamEnd": True}})

    @precondition(lambda self: self.manual)
    @rule(field=st.sampled_from(["activityStart", "activityEnd"]))
    def activity(self, field: str) -> None:
        self.world.client({"realtimeInput": {field: {}}})

    # Time, and engines out of turn.

    @rule(length=seconds)
    def wait(self, length: float) -> None:
        self.world.run(length)

    @rule(turn=st.integers(1, 4), output=st.sampled_from(OUTPUTS))
    def produce(self, turn: int, output: Any) -> None:
        self.world.event(OutputProduced(turn, output))

    @rule(turn=st.integers(1, 4))
    def finish(self, turn: int) -> None:
        self.world.event(ReplyFinished(turn))

    @rule(number=st.integers(1, 3))
    def run_out_of_turn(self, number: int) -> None:
        self.world.event(ToolFinished(f"function-call-{number}", RAN))

    @rule(stage=st.sampled_from(["vad", "stt", "reply", "call", "scene"]), number=st.integers(1, 3))
    def fail(self, stage: Any, number: int) -> None:
        if stage == "stt":  # what was said in it is lost
            self.world.injected.add(number)
        self.world.event(StageFailed(stage, number, "it broke"))

    @rule(number=st.integers(1, 3), likely=st.sampled_from([0.0, 1.0]))
    def judge_scene(self, number: int, likely: float) -> None:
        self.world.event(SceneJudged(number, likely))

    @rule(number=st.integers(1, 3), text=st.sampled_from(["", "hello", "hello there"]), final=st.booleans())
    def transcript(self, number: int, text: str, final: bool) -> None:
        self.world.injected.add(number)
        self.world.event(Transcribed(number, Transcript(text, 5, final)))

    @rule(number=st.integers(1, 3))
    def recogniser_moves(self, number: int) -> None:
        self.world.event(RecogniserProgressed(number))

    @rule(stream=st.sampled_from([2, 3]), p=st.sampled_from([0.0, 1.0]))
    def stale_frames(self, stream: int, p: float) -> None:
        if not any(getattr(c, "stream", 0) >= stream for _, c in self.world.commands):
            self.world.event(FramesJudged(stream, ((p, 512),)))

    # What always holds.

    @invariant()
    def holds(self) -> None:
        for at, command in self.world.commands[self.checked :]:
            self.check(at, command)
        self.checked = len(self.world.commands)
        for event, commands in self.world.steps[self.stepped :]:
            self.check_step(event, commands)
        self.stepped = len(self.world.steps)
        deadline = self.world.session.deadline
        assert deadline is None or deadline < self.world.now + 600

    def check(self, at: float, command: Command) -> None:
        match command:
            case StartRecognition(utterance):
                assert not self.open_utterances, "one utterance at a time"
                self.open_utterances.add(utterance)
            case FeedRecognition(utterance):
                assert utterance in self.open_utterances
            case EndRecognition(utterance):
                self.open_utterances.remove(utterance)
            case StartReply(turn):
                assert turn == len(self.asked) + 1, "turns are numbered"
                self.asked.add(turn)
                if any(isinstance(p, FunctionResponse) for p in command.request.messages[-1].parts):
                    self.parts.add(turn)
                roles = [message.role for message in command.request.messages]
                assert roles, "a reply answers something"
            case CancelReply(turn):
                assert turn in self.asked
                assert turn not in self.stopped, "stopped once"
                self.stopped.add(turn)
            case Send():
                self.check_sent(at, command)

    def check_step(self, event: Event | None, commands: list[Command]) -> None:
        """What is said beside an answer interrupts it by its words, and is not lost where it has some."""
        over = {c.utterance for c in commands if isinstance(c, EndRecognition)}
        interrupted = any(isinstance(c, Send) and kind(c.message) == "interrupted" for c in commands)
        if self.world.profile.barge_in == "words" and interrupted and not self.manual and not over:
            begun = any(isinstance(c, StartRecognition) for c in commands)
            assert not begun or isinstance(event, MessageReceived), "interrupted by the onset of speech"
            if isinstance(event, Transcribed):
                text = event.transcript.text
                assert wants_the_floor(text, final=event.transcript.final), f"{text!r} interrupted"
        if isinstance(event, Transcribed) and event.transcript.final:
            self.unanswered[event.utterance] -= 1
            self.understood[event.utterance] = event.transcript.text
        for utterance in over - self.world.injected:
            text = self.understood.get(utterance, "")
            if (
                not self.unanswered[utterance]
                and wants_the_floor(text, final=True)
                and not isinstance(event, StageFailed)
            ):
                self.typed.append(text)
        self.unanswered.update(c.utterance for c in commands if isinstance(c, FlushRecognition))

    def check_sent(self, at: float, send: Send) -> None:
        what = kind(send.message)
        if what == "audio":
            self.playing_until = max(self.playing_until, at) + samples(send) / 24000
        elif what == "turnComplete":
            assert self.last_sent == "interrupted" or at >= self.playing_until - 1e-6, "cut off the playback"
            self.playing_until = at
        assert send.turn not in self.stopped, f"{what} of a turn that was stopped"
        content = send.message.server_content
        if what == "interrupted":
            assert content is not None
            assert content.turn_complete is False
        if self.last_sent == "interrupted":
            assert what == "turnComplete"
        if what == "generationComplete":
            assert self.last_sent != "interrupted"
        usage = send.message.usage_metadata
        assert (usage is not None) == (what == "turnComplete")
        if usage is not None:
            assert usage.total_token_count == usage.prompt_token_count + usage.response_token_count
            assert usage.response_tokens_details
            assert usage.prompt_token_count == sum(d.token_count for d in usage.prompt_tokens_details)
        self.last_sent = what

    def teardown(self) -> None:
        """Whatever happened, the world comes to rest: every turn ends, nothing is left open."""
        if not hasattr(self, "world"):
            return
        if self.manual:
            self.world.client({"realtimeInput": {"activityEnd": {}}})
        self.world.run(200)
        self.holds()
        if self.world.closed is not None:
            return
        assert self.world.session.deadline is None, "something still waits"
        assert not self.open_utterances
        if self.asked and self.last_sent != "heard":
            self.world.client({"clientContent": {"turnComplete": True}})
            self.world.run(20)
            asked = {m.text for m in self.world.requests[-1].messages}
            for text in self.typed:
                assert any(text in said for said in asked), f"{text} was never answered"
        completes = sum(kind(m) == "turnComplete" for m in self.world.messages)
        assert completes >= len(self.asked - self.stopped - self.parts)
        if self.asked:
            assert self.last_sent in ("turnComplete", "heard"), self.last_sent


def samples(send: Send) -> int:
    content = send.message.server_content
    assert content is not None
    assert content.model_turn is not None
    blob = content.model_turn.parts[0].inline_data
    assert blob is not None
    return len(blob.data or b"") // 2


AnyOrder.TestCase.settings = settings(
    max_examples=int(os.environ.get("OPENLIVE_EXAMPLES", "150")),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAnyOrder = AnyOrder.TestCase
