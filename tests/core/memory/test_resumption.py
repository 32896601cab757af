"""A session goes on over its connections as if there had been one (design, `core/memory/snapshot.py`)."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openlive.core.commands import CancelReply, CloseConnection, RestoreState, SaveState
from openlive.core.events import (
    ClientLeft,
    ConnectionOpened,
    MessageReceived,
    ServerDraining,
    StageFailed,
    StateRestored,
    StateSaved,
    TakenOver,
)
from openlive.core.memory.snapshot import Snapshot
from openlive.core.session import Session
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionCall, Text, Thought, Usage
from openlive.wire.client import parse_message
from openlive.wire.server import ServerMessage
from tests.core.world import MODEL, TALK, Script, Word, World, conversation, speech, spoken, words

RESUMABLE: dict[str, Any] = {**TALK, "sessionResumption": {}}
TOOLS = [
    {"functionDeclarations": [{"name": "weather"}, {"name": "search", "behavior": "NON_BLOCKING"}]},
]
JPEG = {"mimeType": "image/jpeg", "data": "/9j/4AAQ"}
CHUNK = 0.128
"""Seconds: whole frames of the detector, which begins anew with every connection."""


def stored(snapshot: Snapshot) -> Snapshot:
    """As it comes back from a store."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot)


def reconnected(
    world: World,
    setup: dict[str, Any],
    snapshot: Snapshot | None = None,
    limits: SessionLimits | None = None,
    version: str = "v1beta",
) -> None:
    """The world goes on with a new connection, on the state that the old one left or on `snapshot`."""
    if snapshot is None:
        if world.closed is None:
            world.event(ClientLeft())
        assert world.saved is not None
        snapshot = world.saved
    world.closed, world._agenda = None, []
    world._judged, world._heard, world._listening, world._over = {}, {}, {}, {}
    world.plan = []
    world.session = Session(world.session._profiles, limits or world.session._limits)
    world.event(ConnectionOpened("another", version))
    world.client({"setup": {**setup, "sessionResumption": {**setup["sessionResumption"], "handle": "h"}}})
    assert world.of(RestoreState)[-1] == RestoreState("h")
    world.event(StateRestored(stored(snapshot)))


# --- a restored session goes on like one that was never parted --------------------------------------------------------


class Driver:
    """Does what a scenario says, and reconnects when it is told to."""

    def __init__(self, setup: dict[str, Any], replies: list[Script], profile: ModelProfile) -> None:
        self.setup = setup
        self.world = World(setup, replies=replies, profile=profile, limits=SessionLimits(call=40))
        self.position = 0.0

    def act(self, action: tuple[str, Any]) -> None:
        what, value = action
        world = self.world
        if what == "ask":
            world.text(value)
        elif what == "tell":
            world.text(value, complete=False)
        elif what == "type":
            world.client({"realtimeInput": {"text": value}})
        elif what == "say":
            self.say(value)
        elif what == "show":
            world.client({"realtimeInput": {"video": JPEG}})
        elif what == "update":
            world.client({"contextUpdate": {"systemInstruction": {"parts": [{"text": value}]}}})
        elif what == "respond":
            pending = world.session._dialogue._calls.pending_calls if world.session._dialogue else ()
            answers = [{"id": p.call.id, "response": {"is": 1}} for p in pending[:value]]
            world.client({"toolResponse": {"functionResponses": answers}})
        elif what == "wait":
            self.hush(value)

    def say(self, text: str) -> None:
        spoken_words = words(text, self.position + 0.512)
        self.world.plan = [*self.world.plan, *spoken_words]
        self.hush(spoken_words[-1].end - self.position + 2.0)

    def hush(self, seconds: float) -> None:
        chunks = int(seconds / CHUNK) + 1
        for _ in range(chunks):  # exact sums: both worlds' clocks have to agree to the last bit
            self.world.run(CHUNK)
            self.world.blob(CHUNK)
        self.world.run(0.004)
        self.position += chunks * CHUNK

    @property
    def rests(self) -> bool:
        session = self.world.session
        assert session._dialogue is not None
        assert session._hearing is not None
        return session._dialogue._reply is None and not session._hearing.has_open_utterance

    def reconnect(self) -> None:
        reconnected(self.world, self.setup)
        self.position = 0.0


REPLIES: list[Script] = [
    spoken("Good."),
    spoken("A long answer to it.", seconds=4),
    [(0.1, Thought("Hm.")), (0.2, Text("Well.")), (0.1, speech(1, "Well.")), (0.0, Usage(30, 9))],
    [(0.1, speech(2.0, "One moment.")), (0.1, FunctionCall("", "weather", {"city": "Paris"}))],
    [(0.1, FunctionCall("", "weather", {"n": 1.5})), (0.1, FunctionCall("", "weather", {"n": [None]}))],
    [(0.1, FunctionCall("", "search", {})), (0.1, speech(1.0, "I am looking."))],
    [],
]
SETUPS: list[dict[str, Any]] = [
    {**RESUMABLE, "tools": TOOLS, "systemInstruction": "Be brief."},
    {**RESUMABLE, "tools": TOOLS, "generationConfig": {"responseModalities": ["TEXT"]}},
    {**RESUMABLE, "tools": TOOLS, "realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}},
    {
        **RESUMABLE,
        "tools": TOOLS,
        "realtimeInputConfig": {"turnCoverage": "TURN_INCLUDES_ALL_INPUT"},
        "historyConfig": {"initialHistoryInClientContent": True},
    },
    {**RESUMABLE, "contextWindowCompression": {"triggerTokens": 60, "slidingWindow": {"targetTokens": 20}}},
]
PROFILES = [
    ModelProfile(MODEL),
    ModelProfile(MODEL, turn_complete_after_call=True, history="sent"),
    ModelProfile(MODEL, queues_during_calls=True, engine_token_limit=120),
]
actions = st.one_of(
    st.tuples(st.sampled_from(["ask", "tell", "type", "update"]), st.sampled_from(["one", "and another thing"])),
    st.tuples(st.just("say"), st.sampled_from(["hello there", "what about the other one"])),
    st.tuples(st.just("show"), st.none()),
    st.tuples(st.just("respond"), st.sampled_from([1, 2])),
    st.tuples(st.just("wait"), st.sampled_from([0.3, 1.0, 6.0])),
)


@settings(
    max_examples=int(os.environ.get("OPENLIVE_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    setup=st.sampled_from(SETUPS),
    profile=st.sampled_from(PROFILES),
    replies=st.lists(st.sampled_from(REPLIES), max_size=6),
    plan=st.lists(actions, min_size=1, max_size=9),
    breaks=st.sets(st.integers(0, 8), min_size=1, max_size=4),
)
def test_saving_and_restoring_at_any_rest_changes_nothing_that_follows(
    setup: dict[str, Any], profile: ModelProfile, replies: list[Script], plan: list[Any], breaks: set[int]
) -> None:
    compare(setup, profile, replies, plan, breaks)


ASK, ONE, TWO = ("ask", "one"), ("respond", 1), ("respond", 2)
SOON, LATER = ("wait", 0.3), ("wait", 6.0)


@pytest.mark.parametrize(
    ("profile", "replies", "plan", "rest"),
    [
        (0, [3, 0], [ASK, SOON, SOON, TWO, LATER], 1),  # a call after speech that is still being played
        (0, [4, 0], [ASK, LATER, ONE, SOON, TWO, LATER], 3),  # one of two answers
        (0, [3, 4, 0], [ASK, LATER, ONE, LATER, ASK, LATER], 3),  # a second call in one turn, then interrupted
        (0, [3, 0], [ASK, LATER, ("wait", 37.0)], 1),  # a call that is never answered
        (2, [4, 0], [ASK, LATER, ASK, SOON, TWO, LATER], 3),  # what waits for the answer
        (0, [5, 0, 0], [ASK, LATER, ONE, LATER, ASK, LATER], 1),  # a call beside the talk
        (1, [3, 0], [ASK, LATER, ONE, LATER], 1),
        (1, [5, 0, 0], [ASK, LATER, ASK, LATER, ONE, LATER], 1),
        (2, [2, 2, 2, 2, 2], [("say", "hello there")] * 5, 3),  # the window by the engine's count
        (0, [], [("say", "hello there"), ("show", None), ("say", "and now this"), LATER], 1),
    ],
)
@pytest.mark.parametrize("setup", range(4))
def test_at_these_rests_too(setup: int, profile: int, replies: list[int], plan: list[Any], rest: int) -> None:
    given_replies = [REPLIES[i] for i in replies]
    assert compare(SETUPS[setup], PROFILES[profile], given_replies, plan, {rest}) == 1, "it was no rest"


def compare(
    setup: dict[str, Any], profile: ModelProfile, replies: list[Script], plan: list[Any], breaks: set[int]
) -> int:
    """Runs the plan straight through, and with breaks. Returns how many there were."""
    count = 0
    straight, broken = Driver(setup, list(replies), profile), Driver(setup, list(replies), profile)
    for i, action in enumerate(plan):
        straight.act(action)
        broken.act(action)
        if i in breaks and broken.rests and broken.world.closed is None:
            broken.reconnect()
            count += 1
    for driver in (straight, broken):
        driver.hush(8)
    assert shown(broken.world) == shown(straight.world)
    assert broken.world.requests == straight.world.requests
    assert broken.world.closed == straight.world.closed
    return count


def shown(world: World) -> list[tuple[float, ServerMessage]]:
    """What the client sees of the conversation."""
    return [(at, m) for at, m in world.log if m.setup_complete is None and m.session_resumption_update is None]


# --- ends of connections ----------------------------------------------------------------------------------------------


def handles(world: World) -> list[str]:
    return [m.session_resumption_update.new_handle or "" for m in world.messages if m.session_resumption_update]


class TestLeaving:
    def talk(self, **more: Any) -> World:
        answer: Script = [(0.1, speech(2.0, "one two three four")), (0.1, speech(2.0, " five six seven eight"))]
        return World({**RESUMABLE, **more}, replies=[answer])

    def test_in_mid_answer_keeps_what_was_heard(self) -> None:
        world = self.talk()
        world.text("Count.")
        world.run(1.2)  # two words of half a second each, from 0.1 on
        world.event(ClientLeft())
        assert world.closed == CloseConnection(1000, "")
        assert CancelReply(1) in world.of(CancelReply)
        reconnected(world, RESUMABLE)
        world.text("Go on.")
        assert conversation(world.requests[-1]) == [("user", "Count."), ("model", "one two"), ("user", "Go on.")]

    def test_nothing_is_said_to_who_has_left(self) -> None:
        world = self.talk()
        world.text("Count.")
        world.run(1.2)
        before = len(world.log)
        world.event(TakenOver())
        assert world.closed == CloseConnection(1008, "Session resumed on another connection.")
        assert len(world.log) == before

    def test_a_session_that_is_not_resumable_is_not_saved(self) -> None:
        world = World(TALK)
        world.text("Count.")
        world.event(ClientLeft())
        assert world.of(SaveState) == []

    def test_what_ends_a_session_for_a_fault_is_no_reason_to_lose_it(self) -> None:
        world = self.talk()
        world.text("Count.")
        world.run(1.2)
        world.client({"setup": {"model": MODEL}})
        assert world.closed is not None
        assert world.closed.code == 1007
        reconnected(world, RESUMABLE)
        assert world.history == [("user", "Count."), ("model", "one two")]

    def test_text_typed_while_speaking_is_answered_when_the_connection_is_back(self) -> None:
        world = World(RESUMABLE, plan=words("and now for something", 0.5))
        world.stream(1.2)
        world.client({"realtimeInput": {"text": "completely different"}})
        reconnected(world, RESUMABLE)
        world.run(3)
        assert conversation(world.requests[-1])[-1] == ("user", "completely different")
        assert world.kinds()[-1] != "completely different"
        assert "turnComplete" in world.kinds()

    def test_what_waits_for_the_end_of_an_answer_is_answered_then(self) -> None:
        setup = {**RESUMABLE, "realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}}
        world = self.talk(realtimeInputConfig={"activityHandling": "NO_INTERRUPTION"})
        world.text("Count.")
        world.run(1.2)
        world.client({"realtimeInput": {"text": "Backwards."}})
        reconnected(world, setup)
        assert conversation(world.requests[-1])[1:] == [("model", "one two"), ("user", "Backwards.")]

    def test_a_call_in_mid_answer_survives(self) -> None:
        """The call was sent, the model goes on writing: what was restored can take the answer."""
        setup = {**RESUMABLE, "tools": TOOLS}
        script: Script = [(0.1, FunctionCall("", "weather", {})), (0.1, speech(2.0, "Let me see.")), (9.0, Text("x"))]
        world = World(setup, replies=[script, spoken("Sunny.")])
        world.text("Weather?")
        world.run(3)
        assert "toolCall" in world.kinds()
        reconnected(world, setup)
        assert world.kinds().count("toolCall") == 1, "not made again"
        world.client({"toolResponse": {"functionResponses": [{"id": "function-call-1", "response": {}}]}})
        world.run(3)
        roles = [(m.role, [type(p).__name__ for p in m.parts]) for m in world.requests[-1].messages]
        assert roles == [("user", ["Text"]), ("model", ["Text", "FunctionCall"]), ("user", ["FunctionResponse"])]
        assert world.kinds()[-1] in ("turnComplete", "sessionResumptionUpdate")

    def test_a_call_that_was_not_sent_yet_is_forgotten(self) -> None:
        setup = {**RESUMABLE, "tools": TOOLS}
        world = World(setup, replies=[[(0.1, FunctionCall("", "weather", {})), (9.0, Text("x"))], spoken("Sunny.")])
        world.text("Weather?")
        world.run(0.5)
        assert "toolCall" not in world.kinds()
        reconnected(world, setup)
        world.text("Well?")
        world.run(3)
        assert conversation(world.requests[-1]) == [("user", "Weather?"), ("user", "Well?")]
        assert "turnComplete" in world.kinds()

    def test_the_clock_of_a_call_stands_still_while_nobody_is_connected(self) -> None:
        setup = {**RESUMABLE, "tools": TOOLS}
        script: Script = [(0.1, FunctionCall("", "weather", {}))]
        world = World(setup, replies=[script, spoken("Nothing.")], limits=SessionLimits(call=10))
        world.text("Weather?")
        world.run(6)
        world.event(ClientLeft())
        world.run(100)
        reconnected(world, setup)
        world.run(3)
        assert len(world.requests) == 1
        world.run(2)
        assert len(world.requests) == 2


class TestRestoring:
    def test_waits_for_the_state_and_takes_what_comes_meanwhile_in_order(self) -> None:
        first = World(RESUMABLE)
        first.text("I am Anna.")
        first.run(3)
        first.event(ClientLeft())
        assert first.saved is not None
        world = World()
        world.finished = first.finished
        world.event(ConnectionOpened("t"))
        world.client({"setup": {**TALK, "sessionResumption": {"handle": "h"}}})
        world.text("Who am I?")
        assert world.messages == []
        world.event(StateRestored(stored(first.saved)))
        world.run(3)
        setup = world.messages[0].setup_complete
        assert setup is not None
        assert setup.session_id == "s", "the session keeps its id"
        assert conversation(world.requests[0])[0] == ("user", "I am Anna.")
        assert conversation(world.requests[0])[-1] == ("user", "Who am I?")
        assert world.requests[0].conversation == "s"

    def test_without_a_state_it_is_refused(self) -> None:
        world = World()
        world.event(ConnectionOpened("t"))
        world.client({"setup": {**TALK, "sessionResumption": {"handle": "h"}}})
        world.event(StateRestored(None))
        assert world.closed == CloseConnection(1008, "Requested entity was not found.")

    def test_a_state_that_does_not_come_ends_it(self) -> None:
        world = World()
        world.event(ConnectionOpened("t"))
        world.client({"setup": {**TALK, "sessionResumption": {"handle": "h"}}})
        world.run(20)
        assert world.closed == CloseConnection(1011, "The service is currently unavailable.")

    def test_a_setup_that_is_wrong_is_refused_before_anything_is_taken_over(self) -> None:
        world = World()
        world.event(ConnectionOpened("t"))
        world.client({"setup": {"model": "models/nobody", "sessionResumption": {"handle": "h"}}})
        assert world.of(RestoreState) == []
        assert world.closed is not None

    def test_one_that_is_taken_over_meanwhile_saves_nothing(self) -> None:
        world = World()
        world.event(ConnectionOpened("t"))
        world.client({"setup": {**TALK, "sessionResumption": {"handle": "h"}}})
        world.event(TakenOver())
        assert world.closed is not None
        assert world.of(SaveState) == []

    def test_another_setup_may_change_what_is_said_now(self) -> None:
        world = World({**RESUMABLE, "systemInstruction": "Old."})
        world.text("Hello")
        world.run(3)
        reconnected(
            world, {**RESUMABLE, "systemInstruction": "New.", "generationConfig": {"responseModalities": ["TEXT"]}}
        )
        world.text("Again")
        assert world.requests[-1].instructions == "New."
        assert world.requests[-1].voice is None


class TestTransparent:
    """`lastConsumedClientMessageIndex`: the client sends what follows it again (docs/protocol.md#resumption)."""

    def opened(self, plan: list[Word] | None = None) -> World:
        world = World(plan=plan or [], replies=[spoken("A long answer to it.", seconds=6)])
        world.event(ConnectionOpened("s", vertex=True))
        world.client({"setup": {**TALK, "sessionResumption": {"transparent": True}}})
        world.run(0.01)
        return world

    def indexes(self, world: World) -> list[str | None]:
        updates = [m.session_resumption_update for m in world.messages]
        return [u.last_consumed_client_message_index for u in updates if u is not None]

    def test_counts_every_message_from_the_setup_on(self) -> None:
        world = self.opened()
        assert self.indexes(world) == ["1"]
        world.text("one", complete=False)
        world.text("two")
        world.run(8)
        assert self.indexes(world)[-1] == "3"

    def test_counts_a_message_in_parts_once(self) -> None:
        world = self.opened()
        realtime = parse_message(b'{"realtimeInput": {}}')
        world.event(MessageReceived(realtime, more=True))
        world.event(MessageReceived(realtime))
        world.text("Hello")
        world.run(8)
        assert self.indexes(world)[-1] == "3"

    def test_speech_in_progress_is_not_consumed(self) -> None:
        """An interruption is a rest, but the words that interrupt are not in what is stored."""
        world = self.opened(words("stop that", 2.0))
        world.text("Count.")
        world.stream(3)
        assert "interrupted" in world.kinds()
        [index] = [int(i or 0) for i in self.indexes(world)[1:]]
        heard_before = (index - 2) * 0.1
        assert 1.6 <= heard_before <= 2.0, "the client sends the words again, from before their beginning"

    def test_is_the_index_of_the_state_that_was_stored(self) -> None:
        """However late the store answers."""
        world = self.opened()
        world.text("Hello")
        world.run(8)
        save = world.of(SaveState)[-1]
        world.text("More", complete=False)
        world.event(StateSaved("late", save.consumed))
        assert self.indexes(world)[-1] == "2"

    def test_is_not_told_where_it_was_not_asked_for(self) -> None:
        world = World(RESUMABLE)
        world.run(1)
        assert self.indexes(world) == [None]


# --- limits and the end of the server ---------------------------------------------------------------------------------


class TestDrain:
    @pytest.mark.parametrize("busy", [False, True])
    def test_a_handle_then_the_goodbye_then_the_end(self, busy: bool) -> None:
        world = World(RESUMABLE, replies=[[(0.1, speech(60.0, "A very long answer."))]])
        if busy:
            world.text("Tell me.")
        world.run(2)
        before = len(handles(world))
        world.event(ServerDraining(10))
        world.run(0.1)
        kinds = world.kinds()
        assert kinds[-2:] == ["sessionResumptionUpdate", "goAway"]
        assert len(handles(world)) == before + 1
        [left] = [m.go_away.time_left for m in world.messages if m.go_away]
        assert left == "10s"
        world.run(10)
        assert world.closed == CloseConnection(1011, "The service is currently unavailable.")
        assert world.of(SaveState)[-1].wants_handle is False

    def test_without_resumption_only_the_goodbye(self) -> None:
        world = World(TALK)
        world.event(ServerDraining(10))
        assert world.kinds() == ["setupComplete", "goAway"]

    def test_a_store_that_fails_does_not_hold_it_up(self) -> None:
        world = World(RESUMABLE)
        world.run(1)
        world.event(ServerDraining(10))
        world._agenda.clear()
        world.event(StageFailed("store", 0, "the disk is full"))
        assert world.kinds()[-1] == "goAway"

    def test_who_sets_up_afterwards_is_refused(self) -> None:
        world = World()
        world.event(ConnectionOpened("t"))
        world.event(ServerDraining(10))
        world.client({"setup": TALK})
        assert world.closed == CloseConnection(1011, "The service is currently unavailable.")

    def test_who_never_sets_up_is_closed_with_the_others(self) -> None:
        world = World()
        world.event(ConnectionOpened("t"))
        world.event(ServerDraining(3))
        world.run(3)
        assert world.closed == CloseConnection(1011, "The service is currently unavailable.")


class TestDurations:
    END = CloseConnection(1011, "Deadline expired before operation could complete.")

    def test_of_a_session_over_its_connections(self) -> None:
        limits = SessionLimits(connection=600, session=900)
        world = World(RESUMABLE, limits=limits)
        world.run(500)
        reconnected(world, RESUMABLE)
        world.run(339)
        assert "goAway" not in world.kinds()
        world.run(2)
        assert world.kinds()[-1] == "goAway"
        world.run(60)
        assert world.closed == self.END
        reconnected(world, RESUMABLE, world.saved)
        assert world.closed == CloseConnection(1008, "BidiGenerateContent session expired")
        assert world.of(SaveState)[-1].snapshot.messages == world.saved.messages if world.saved else True

    def test_of_one_with_video(self) -> None:
        world = World(RESUMABLE, limits=SessionLimits(session=900, video=120))
        world.run(300)
        world.client({"realtimeInput": {"video": JPEG}})
        world.run(59)
        assert "goAway" not in world.kinds()
        reconnected(world, RESUMABLE)
        world.run(2)
        assert world.kinds()[-1] == "goAway"
        world.run(60)
        assert world.closed == self.END

    def test_compression_lifts_a_sessions_limits(self) -> None:
        world = World({**RESUMABLE, "contextWindowCompression": {}}, limits=SessionLimits(session=900, video=120))
        world.client({"realtimeInput": {"video": JPEG}})
        world.run(5000)
        assert world.closed is None
        assert world.session.deadline is None

    def test_a_session_that_is_over_keeps_its_state(self) -> None:
        world = World(RESUMABLE, limits=SessionLimits(session=100))
        world.text("Hello")
        world.run(101)
        state, saves = world.saved, len(world.of(SaveState))
        reconnected(world, RESUMABLE)
        assert world.closed is not None
        assert len(world.of(SaveState)) == saves
        assert world.saved is state


def test_a_snapshot_is_the_same_after_the_store() -> None:
    setup = {**RESUMABLE, "tools": TOOLS}
    world = World(setup, replies=[[(0.1, FunctionCall("", "weather", {"x": [1, 2.5, None, {"y": "ü"}]}))]])
    world.client({"realtimeInput": {"video": JPEG}})
    world.text("Weather?")
    world.run(2)
    assert world.saved is not None
    assert stored(world.saved) == world.saved
    assert world.saved.calls
    assert world.saved.seen
    assert world.saved.asking is not None
