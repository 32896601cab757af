"""Every turn is told: what the client may wait for ends in `turnComplete`, whatever engines do, and in bounded time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from msgspec import Struct
from msgspec.structs import replace

from openlive.core.commands import Command, EndRecognition, FlushRecognition, RunTool, Send, StartReply
from openlive.core.events import ClientLeft, MessageReceived, OutputProduced, Transcribed, TurnJudged
from openlive.core.listening.backchannel import wants_the_floor
from openlive.core.listening.user_turn import UserTurnTracker
from openlive.core.listening.utterance import Utterance
from openlive.core.memory.context import Context
from openlive.core.replying.answering import Answering
from openlive.core.replying.function_calls import FunctionCalls
from openlive.core.replying.reply import Reply
from openlive.core.setup.limits import SessionLimits
from openlive.core.turn_taking import TurnTaking
from openlive.types import FunctionCall, Progress
from tests.core.memory.test_resumption import reconnected
from tests.core.mutants import Mutate, run_machine
from tests.core.test_state_machine import BY_WORDS, OUTPUTS, PROFILE, RAN, SCRIPTS, SETUPS, AnyOrder, seconds
from tests.core.world import Script, Word, World, kind, words

LIMITS = SessionLimits(detector=3, recogniser=5, reply=7, call=9, tool=6)
BOUND = 90.0
"""Seconds in which a turn has to end once nobody says anything new: the limits, one after another, of what it may wait
for. That is a detector, the pause, a recogniser, whom it was said to, the answer before it (one that makes calls, and
10 s of audio), and its own one, which may go on after calls as well; and what the slowest script takes."""
FUNCTIONS = {
    "functionDeclarations": [
        {"name": "weather"},
        {"name": "search", "behavior": "NON_BLOCKING"},
    ]
}
CALLING: list[Script | None] = [
    *SCRIPTS,
    [(0.1, FunctionCall("", "weather", {}))],
    [(0.1, OUTPUTS[2]), (0.1, FunctionCall("", "search", {})), (0.1, OUTPUTS[3])],
    [(0.1, FunctionCall("", "nothing of the kind", {}))],
    [(5.0, Progress()), (5.0, Progress()), (5.0, OUTPUTS[2])],
]
JUDGED = replace(PROFILE, turn_detector=True)
ENDED = replace(PROFILE, turn_complete_after_call=True)


class Owed(Struct, frozen=True):
    """What a client waits for since the command `since`: the end of a turn that answers `text`; of any turn where that
    is empty. The answer may have been begun before."""

    text: str
    since: int


class EveryTurn(AnyOrder):
    """The same client, and worse engines: of `AnyOrder` without what it checks, which has a session that ends once."""

    @initialize(setup=st.sampled_from(SETUPS), data=st.data())
    def open(self, setup: dict[str, Any], data: st.DataObject) -> None:
        self.manual_activity = setup is SETUPS[4]
        tools = [*setup.get("tools", []), FUNCTIONS]
        self.setup = {
            **setup,
            "tools": tools,
            "sessionResumption": data.draw(st.sampled_from([{}, {"transparent": True}])),
        }
        plan: list[Word] = []
        for gap, text in data.draw(
            st.lists(st.tuples(st.floats(0.1, 2.0), st.sampled_from(["hello", "yeah right"])), max_size=4)
        ):
            plan += words(text, (plan[-1].end if plan else 0.0) + gap)
        late = st.sampled_from([0.0, 0.04, 0.9, 4.0, None])
        self.world = World(
            self.setup,
            plan=plan,
            replies=data.draw(st.lists(st.sampled_from(CALLING), max_size=6)),
            limits=LIMITS,
            vad_delay=data.draw(st.sampled_from([0.001, 0.7])),
            stt_delay=data.draw(late),
            dead_streams=data.draw(st.sampled_from([[], [1], [2, 3]])),
            profile=data.draw(st.sampled_from([PROFILE, BY_WORDS, JUDGED, ENDED])),
            tools=data.draw(st.sampled_from([{}, {"code_execution": (0.3, RAN)}])),
            version="v1alpha",
            aside="go on",
            judge_delay=data.draw(late),
            addressee_delay=data.draw(late),
            scene_delay=data.draw(late),
        )
        self.plan, self.sent = plan, 0.0
        self.typed: list[str] = []
        self.owed: list[Owed] = []
        self.active = False
        self.connected = 0
        """Messages of earlier connections: what was being told when one ended has no end."""
        self.stepped = self.checked = 0
        self.understood: dict[int, str] = {}
        self.unanswered: Counter[int] = Counter()
        self.plays_until = 0.0

    manual = property(lambda self: self.manual_activity)

    # What a client is owed.

    @property
    def count(self) -> int:
        return len(self.world.commands)

    @rule(complete=st.booleans())
    def content(self, complete: bool) -> None:
        since, text = self.count, self.type()
        self.world.text(text, complete=complete)
        if complete:
            self.owed.append(Owed(text, since))

    @rule()
    def realtime_text(self) -> None:
        since, text = self.count, self.type()
        self.world.client({"realtimeInput": {"text": text}})
        self.owed.append(Owed(text, since))

    @precondition(lambda self: self.manual)
    @rule(field=st.sampled_from(["activityStart", "activityEnd"]))
    def activity(self, field: str) -> None:
        since = self.count
        self.world.client({"realtimeInput": {field: {}}})
        if self.active and field == "activityEnd":
            self.owed.append(Owed("", since))
        self.active = field == "activityStart"

    @rule(number=st.integers(0, 2))
    def answer_call(self, number: int) -> None:
        dialogue = self.world.session._dialogue
        pending = dialogue._calls.pending_calls if dialogue is not None else ()
        for call in [p.call for p in pending if not p.tool][number : number + 1]:
            self.world.client({"toolResponse": {"functionResponses": [{"id": call.id, "response": {"is": 1}}]}})

    @rule(utterance=st.integers(1, 3), finished=st.sampled_from([0.0, 1.0]))
    def judge_turn(self, utterance: int, finished: float) -> None:
        hearing = self.world.session._hearing
        if hearing is not None:
            self.world.event(TurnJudged(utterance, hearing._judged_pause_end, finished))

    @rule(turn=st.integers(1, 4))
    def progress(self, turn: int) -> None:
        self.world.event(OutputProduced(turn, Progress()))

    @rule(length=seconds)
    def reconnect(self, length: float) -> None:
        """What was being answered is lost with the connection; what waited is answered on the next one."""
        if self.world.closed is not None:
            return
        self.world.event(ClientLeft())
        assert self.world.saved is not None
        kept = [m.text for m, answered in self.world.saved.waiting if answered]
        self.owed = [Owed(o.text, self.count) for o in self.owed if o.text and any(o.text in text for text in kept)]
        self.note()
        self.understood, self.unanswered = {}, Counter()
        self.world.now += length
        self.connected = len(self.world.log)
        reconnected(self.world, self.setup, version="v1alpha")
        self.plan, self.sent, self.active = self.world.plan, 0.0, False  # type: ignore[assignment]

    @rule(silent=st.booleans())
    def rest(self, silent: bool) -> None:
        """Nobody says anything new. `silent`: nor does an engine, from now on for ever."""
        if silent:
            self.world.fall_silent()
        if self.manual:
            self.activity("activityEnd")
        self.note()
        start = max(self.world.now, self.plays_until)
        self.world.run(start + BOUND - self.world.now)
        self.note()
        if self.world.closed is None:
            self.check_rest()

    # What always holds.

    @invariant()
    def holds(self) -> None:
        self.note()
        if self.world.closed is not None:
            self.owed.clear()
        self.owed = [owed for owed in self.owed if not self.ended(owed)]
        deadline = self.world.session.deadline
        if self.owed and not self.active and self.world.session._hearing:
            latest = max(self.world.now, self.plays_until) + BOUND
            assert deadline is not None, f"{self.owed} waits for somebody who may never come"
            assert deadline <= latest, f"{self.owed} waits until {deadline}"

    def note(self) -> None:
        """What was understood of speech is accepted, too."""
        steps, commands = self.world.steps[self.stepped :], self.world.commands
        for event, out in steps:
            self.stepped += 1
            self.checked += len(out)
            if isinstance(event, Transcribed) and event.transcript.final:
                self.unanswered[event.utterance] -= 1
                self.understood[event.utterance] = event.transcript.text
            for over in {c.utterance for c in out if isinstance(c, EndRecognition)} - self.world.injected:
                text = self.understood.get(over, "")
                lost = self.unanswered[over] > 0
                meant = "go on" not in text and wants_the_floor(text, final=True)
                if (lost or (text and meant)) and not isinstance(event, MessageReceived | ClientLeft):
                    self.owed.append(Owed("" if lost else text, self.checked - len(out)))
            self.unanswered.update(c.utterance for c in out if isinstance(c, FlushRecognition))
        for at, command in commands[self.checked - sum(len(out) for _, out in steps) :]:
            if isinstance(command, Send) and kind(command.message) == "audio":
                content = command.message.server_content
                assert content is not None
                assert content.model_turn is not None
                blob = content.model_turn.parts[0].inline_data
                assert blob is not None
                self.plays_until = max(self.plays_until, at) + len(blob.data or b"") / 48000

    def ended(self, owed: Owed) -> bool:
        """The client has seen the end of a turn that answers it."""
        asked = False
        for i, (_, command) in enumerate(self.world.commands):
            if isinstance(command, StartReply):
                asked = any(owed.text in message.text for message in command.request.messages)
            elif i >= owed.since and (asked or not owed.text) and told(command):
                return True
        return False

    def check_rest(self) -> None:
        left = [owed for owed in self.owed if not self.ended(owed)]
        assert not left, f"{left} was never told"
        session = self.world.session
        assert session.deadline is None, f"something waits until {session.deadline}"
        assert session._hearing is None or not session._hearing.has_open_utterance, "an utterance is open for ever"
        running = {c.call.id for _, c in self.world.commands if isinstance(c, RunTool)}
        assert session._dialogue is None or not session._dialogue.is_answering, f"an answer goes on for ever: {running}"
        ends = ("turnComplete", "interrupted", "generationComplete", "audio", "text", "said", "thought", "toolCall")
        seen = [what for what in map(kind, self.world.messages[self.connected :]) if what in ends]
        assert not seen or seen[-1] in ("turnComplete", "toolCall"), f"a turn ends with {seen[-1]}"

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.rest(silent=len(self.typed) % 2 == 0)


def told(command: Command) -> bool:
    return isinstance(command, Send) and kind(command.message) == "turnComplete"


EveryTurn.TestCase.settings = settings(
    max_examples=int(os.environ.get("OPENLIVE_EXAMPLES", "150")),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
TestEveryTurn = EveryTurn.TestCase


# --- it has to notice when a turn is lost: each mutant is one way in which one could be -------------------------------


def a_held_reply_that_was_done_is_not_ended(patch: pytest.MonkeyPatch) -> None:
    """Its engine was done before the turn was decided."""
    release = Answering._release_held_output

    def forget(self: Answering, reply: Reply) -> None:
        reply.generated = False
        release(self, reply)
        reply.progress_at = 1e9

    patch.setattr(Answering, "_release_held_output", forget)


def nobody_wakes_when_the_playback_is_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reply, "plays_until", property(lambda self: 1e9 if self.generated and self._samples else 0.0))


def a_model_may_be_silent_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Answering, "_overdue_at", lambda self, reply: 1e9)


def a_reply_that_broke_is_not_told(patch: pytest.MonkeyPatch) -> None:
    failed = Answering.fail_reply

    def quiet(self: Answering, *arguments: Any) -> None:
        failed(self, *arguments)
        self._reply = None
        self.out[:] = [c for c in self.out if not isinstance(c, Send)]

    patch.setattr(Answering, "fail_reply", quiet)


def an_interruption_ends_no_turn(patch: pytest.MonkeyPatch) -> None:
    interrupt = Answering.interrupt

    def cut(self: Answering, **arguments: Any) -> None:
        before = len(self.out)
        interrupt(self, **arguments)
        kept = [c for c in self.out[before:] if not (isinstance(c, Send) and kind(c.message) == "turnComplete")]
        self.out[before:] = kept

    patch.setattr(Answering, "interrupt", cut)


def a_detector_that_starts_anew_leaves_speech_open(patch: pytest.MonkeyPatch) -> None:
    def restart(self: UserTurnTracker, stream: int, now: float) -> None:
        if stream == self._detector_stream:
            self._detector_stream += 1
            self._activity.reset(self._received)
            self._caught_up_at = None
            self._judged_at = now + 1e9

    patch.setattr(UserTurnTracker, "restart_detector", restart)


def a_transcript_may_never_come(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Utterance, "is_awaiting_final", property(lambda self: False))


def a_judgement_of_whom_may_never_come(patch: pytest.MonkeyPatch) -> None:
    timers = UserTurnTracker._timers

    def without(self: UserTurnTracker) -> Iterator[Any]:
        wondering = self._utterance is not None and self._utterance.is_awaiting_addressee
        return iter(()) if wondering else timers(self)

    patch.setattr(UserTurnTracker, "_timers", without)


def a_lost_utterance_is_not_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TurnTaking, "_lose_utterance", lambda self: self._dialogue.drop_held_reply())


def a_call_may_never_be_answered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FunctionCalls, "expire_calls", lambda self, now: [])
    patch.setattr(FunctionCalls, "deadline", property(lambda self: None))


def what_waits_is_lost_with_the_connection(patch: pytest.MonkeyPatch) -> None:
    restored = Context.count_restored_history

    def forget(self: Context) -> None:
        restored(self)
        patch.setattr(self.pending_turn, "queue_message", lambda *_, **__: None, raising=False)

    patch.setattr(Context, "count_restored_history", forget)


def progress_renews_for_ever(patch: pytest.MonkeyPatch) -> None:
    note = Reply.note_progress

    def noted(self: Reply, output: Any, now: float) -> Any:
        return note(self, output, now + (1e9 if isinstance(output, Progress) else 0.0))

    patch.setattr(Reply, "note_progress", noted)


MUTANTS: list[Mutate] = [
    a_held_reply_that_was_done_is_not_ended,
    nobody_wakes_when_the_playback_is_over,
    a_model_may_be_silent_for_ever,
    a_reply_that_broke_is_not_told,
    an_interruption_ends_no_turn,
    a_detector_that_starts_anew_leaves_speech_open,
    a_transcript_may_never_come,
    a_judgement_of_whom_may_never_come,
    a_lost_utterance_is_not_told,
    a_call_may_never_be_answered,
    what_waits_is_lost_with_the_connection,
    progress_renews_for_ever,
]


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_is_noticed(mutate: Mutate, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        run_machine(EveryTurn, examples=6000)
