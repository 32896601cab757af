"""What a client or an engine can make a session keep, and that it ends once."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openlive.core.commands import CloseConnection, Command, FeedRecognition, SaveState
from openlive.core.events import (
    AddresseeJudged,
    AudioArrived,
    BadRequest,
    ClientLeft,
    ConnectionOpened,
    Event,
    FramesJudged,
    MessageReceived,
    OutputProduced,
    RecogniserProgressed,
    ReplyFinished,
    SceneJudged,
    ServerDraining,
    StageFailed,
    StateRestored,
    StateSaved,
    TakenOver,
    ToolFinished,
    Transcribed,
    TurnJudged,
)
from openlive.core.session import EARLY, Session
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import (
    FunctionCall,
    FunctionDeclaration,
    Output,
    Progress,
    Speech,
    Text,
    Thought,
    ToolResult,
    Transcript,
    Usage,
    Word,
)
from openlive.wire.client import parse_message
from openlive.wire.errors import ENTITY_NOT_FOUND
from tests.core.world import MODEL, PROFILES, TALK, World, speech, words

TEXT: dict[str, Any] = {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT"]}}
TOOL = {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]}
SLIDES = {"contextWindowCompression": {"triggerTokens": "800", "slidingWindow": {"targetTokens": "400"}}}
SMALL = ModelProfile(MODEL, input_token_limit=1000, queues_during_calls=True)
QUIET = {**TALK, "realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}}
FIRST = {"historyConfig": {"initialHistoryInClientContent": True}}


def contents(world: World, text: str, *, complete: bool = False, turns: int = 1) -> list[Command]:
    said = [{"role": "user", "parts": [{"text": text}]}] * turns
    return world.client({"clientContent": {"turns": said, "turnComplete": complete}})


def picture(size: int) -> dict[str, Any]:
    return {"mimeType": "image/png", "data": base64.b64encode(b"\x89PNG" + bytes(size)).decode()}


# --- history, and what waits ------------------------------------------------------------------------------------------


class TestLoading:
    def test_what_the_window_holds_is_loaded(self) -> None:
        world = World({**TEXT, **FIRST}, profile=SMALL)
        contents(world, "x" * 2000)
        contents(world, "x" * 1900)
        assert world.closed is None

    @pytest.mark.parametrize("setup", [TEXT, {**TEXT, **SLIDES}])
    def test_more_is_refused(self, setup: dict[str, Any]) -> None:
        """It would stay for ever, whether the window slides or not."""
        world = World({**setup, **FIRST}, profile=SMALL)
        for _ in range(20):
            if world.closed is None:
                contents(world, "x" * 400)
        assert world.closed is not None
        assert world.closed.code == 1007
        assert world.closed.reason == (
            "Invalid value at 'client_content.turns': "
            "the history has 1100 tokens, the window 1000; send the latest turns."
        )
        assert len(world.session.messages) == 10

    def test_turns_of_nothing_count(self) -> None:
        world = World({**TEXT, **FIRST}, profile=SMALL)
        contents(world, "", turns=1001)
        assert world.closed is not None

    def test_going_on_does_not_begin_anew(self) -> None:
        world = World({**TEXT, **FIRST, "sessionResumption": {}}, profile=SMALL)
        contents(world, "x" * 3000)
        world.event(ClientLeft())
        again = World(None, profile=SMALL)
        again.event(ConnectionOpened("t"))
        again.client({"setup": {**TEXT, **FIRST, "sessionResumption": {"handle": "h"}}})
        again.event(StateRestored(world.saved))
        contents(again, "x" * 3000)
        assert again.closed is not None

    def test_images_count_in_bytes(self) -> None:
        world = World({**TEXT, **FIRST}, limits=SessionLimits(images=100_000))
        for _ in range(3):
            turns = [{"role": "user", "parts": [{"inlineData": picture(40_000)}]}]
            world.client({"clientContent": {"turns": turns, "turnComplete": False}})
        assert world.closed is not None
        assert "images of 120012 bytes; 100000 are the most" in world.closed.reason


def waiting_for_a_call(setup: dict[str, Any], limits: SessionLimits | None = None) -> World:
    world = World({**setup, **TOOL}, replies=[[(0.1, FunctionCall("c", "f", {}))]], profile=SMALL, limits=limits)
    world.text("Do it.")
    world.run(1)
    assert world.kinds()[-1] == "toolCall"
    return world


class TestWaiting:
    def test_contents_behind_a_call(self) -> None:
        world = waiting_for_a_call(TEXT)
        for _ in range(20):
            if world.closed is None:
                contents(world, "x" * 400, complete=True)
        assert world.closed is not None
        assert world.closed.reason == "1100 tokens wait for the end of a turn or a call: too many. Send less meanwhile."

    def test_images_behind_a_call(self) -> None:
        world = waiting_for_a_call(TEXT, SessionLimits(images=100_000))
        for _ in range(3):
            turns = [{"role": "user", "parts": [{"inlineData": picture(40_000)}]}]
            world.client({"clientContent": {"turns": turns, "turnComplete": True}})
        assert world.closed is not None
        assert "120012 bytes of images wait" in world.closed.reason

    def test_where_the_window_slides_the_oldest_go(self) -> None:
        world = waiting_for_a_call({**TEXT, **SLIDES})
        for number in range(50):
            contents(world, f"{number:03} " + "x" * 396, complete=True)
        assert world.closed is None
        respond(world, {"ok": True})
        world.run(1)
        asked = [m.text[:3] for m in world.requests[-1].messages if m.text[:3].isdigit()]
        assert asked[-1] == "049"
        assert len(asked) <= 10

    @pytest.mark.parametrize("setup", [QUIET, {**QUIET, **SLIDES}])
    def test_text_that_may_not_interrupt(self, setup: dict[str, Any]) -> None:
        world = World(setup, replies=[[(0.1, speech(100, "Long."))]], profile=SMALL)
        world.text("Go on.")
        world.run(1)
        for _ in range(20):
            if world.closed is None:
                world.client({"realtimeInput": {"text": "x" * 400}})
        assert (world.closed is None) == ("contextWindowCompression" in setup)

    def test_text_that_joins_what_is_spoken(self) -> None:
        world = World(TALK, plan=words("hello " * 50, 0.2), profile=SMALL)
        world.stream(2)
        for _ in range(20):
            if world.closed is None:
                world.client({"realtimeInput": {"text": "x" * 400}})
        assert world.closed is not None

    def test_results_of_calls(self) -> None:
        world = waiting_for_a_call(TEXT)
        respond(world, {"a": "x" * 5000})
        assert world.closed is not None
        assert (
            world.closed.reason
            == (
                "Invalid value at 'tool_response.function_responses[0].response': 1253 tokens of results, "
                "the window holds 1000."
            )[:123]
        )

    def test_a_tool_that_says_too_much_is_told_to_say_less(self) -> None:
        tools = (FunctionDeclaration("run_python", tool="code_execution"),)
        world = World(
            {**TEXT, "tools": [{"codeExecution": {}}]},
            replies=[[(0.1, FunctionCall("", "run_python", {"code": "1"}))]],
            profile=ModelProfile(MODEL, input_token_limit=1000, tools=tools),
            tools={"code_execution": (0.1, ToolResult({"output": "x" * 9000}, output="x"))},
        )
        world.text("Run it.")
        world.run(5)
        assert world.closed is None
        assert "too long" in str(world.requests[-1].messages[-1].parts)
        assert world.kinds()[-1] == "turnComplete"


def respond(world: World, response: dict[str, Any]) -> None:
    world.client({"toolResponse": {"functionResponses": [{"id": "c", "name": "f", "response": response}]}})


class TestImages:
    def test_the_oldest_of_the_history_go(self) -> None:
        world = World(TEXT, limits=SessionLimits(images=100_000), replies=[[(0.1, Text("I see."))]] * 9)
        for number in range(9):
            parts = [{"inlineData": picture(30_000)}, *([{"text": f"Look {number}."}] if number % 2 else [])]
            world.client({"clientContent": {"turns": [{"role": "user", "parts": parts}], "turnComplete": True}})
            world.run(1)
            held = sum(len(getattr(p, "data", b"")) for m in world.session.messages for p in m.parts)
            assert 30_000 <= held <= 100_000
        assert world.closed is None
        assert "not there any more" in world.session.messages[0].text
        assert world.session.messages[2].text == "Look 1."

    def test_the_oldest_frames_go(self) -> None:
        world = World(
            {**TALK, "realtimeInputConfig": {"turnCoverage": "TURN_INCLUDES_ALL_INPUT"}},
            limits=SessionLimits(images=100_000),
        )
        for _ in range(9):
            world.client({"realtimeInput": {"video": picture(20_000)}})
        world.text("What is it?", complete=True)
        world.client({"realtimeInput": {"text": "What is it?"}})
        held = [len(getattr(p, "data", b"")) for m in world.requests[-1].messages for p in m.parts]
        assert 20_000 <= sum(held) <= 50_000


class TestAudio:
    def test_pieces_of_a_sample_share_a_note_and_a_command(self) -> None:
        manual = {"automaticActivityDetection": {"disabled": True}}
        setup = {**TALK, "realtimeInputConfig": manual, "sessionResumption": {"transparent": True}}
        world = World(setup, vertex=True)
        world.client({"realtimeInput": {"activityStart": {}}})
        for _ in range(16_000):
            world.event(AudioArrived(1))
        assert len(world.of(FeedRecognition)) == 50
        assert len(world.session._unsettled) <= 51
        world.client({"realtimeInput": {"activityEnd": {}}})
        assert world.of(FeedRecognition)[-1].end == 16_000, "and what was left was heard at the end"
        world.event(ClientLeft())
        assert world.of(SaveState)[-1].consumed <= 3, "nothing of it has had its effect"

    @pytest.mark.parametrize("manual", [True, False])
    def test_what_comes_while_a_transcript_is_awaited(self, manual: bool) -> None:
        """It is kept for the utterance, which may yet go on, however soon the detector has judged it."""
        config = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": manual}}}
        world = World({**TALK, **config}, plan=words("hello", 0.2), stt_delay=None, limits=SessionLimits(backlog=20))
        if manual:
            world.client({"realtimeInput": {"activityStart": {}}})
        world.stream(3)
        if manual:
            world.client({"realtimeInput": {"activityEnd": {}}})
        for _ in range(30):
            if world.closed is None:
                world.blob(1)
                world.run(0.01)
        assert world.closed is not None
        assert world.closed.reason == "More than 20 s of audio wait to be processed; send it more slowly."

    def test_what_comes_before_a_resumed_session_is_there(self) -> None:
        world = World(None)
        world.event(ConnectionOpened("s"))
        world.client({"setup": {**TALK, "sessionResumption": {"handle": "h"}}})
        for _ in range(EARLY):
            world.event(AudioArrived(320))
        assert not world.of(CloseConnection)
        world.event(AudioArrived(320))
        assert world.closed is not None
        assert world.closed.reason == "64 messages came before the session was there; wait for setupComplete."


# --- what engines say -------------------------------------------------------------------------------------------------


texts = st.text(max_size=300) | st.just("") | st.integers(0, 40_000).map(lambda n: "word " * n)
spans = st.integers(0, 10**7)
outputs: st.SearchStrategy[Output] = st.one_of(
    st.builds(Text, texts),
    st.builds(Thought, texts),
    st.builds(
        lambda n, text, ws: Speech(bytes(2 * n), text, tuple(ws)),
        st.integers(0, 400_000),
        texts,
        st.lists(st.builds(Word, st.text(max_size=5), spans, spans), max_size=4),
    ),
    st.builds(
        FunctionCall, st.text(max_size=3), st.sampled_from(["f", "run_python", "", "g"]), st.just({"a": [1, {}]})
    ),
    st.builds(Usage, st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)),
    st.just(Progress()),
)
small = st.integers(0, 4)
likely = st.floats(0, 1)
transcripts = st.builds(
    Transcript, st.text(max_size=50), spans, st.booleans(), st.sampled_from(["", "en", "xx-very-odd"]),
    st.lists(st.builds(Word, st.text(max_size=5), spans, spans), max_size=3).map(tuple),
)  # fmt: skip
engines: st.SearchStrategy[Event] = st.one_of(
    st.builds(OutputProduced, small, outputs),
    st.builds(ReplyFinished, small),
    st.builds(
        StageFailed, st.sampled_from(["vad", "turn", "addressee", "scene", "stt", "reply", "call"]), small, st.text()
    ),
    st.builds(RecogniserProgressed, small),
    st.builds(Transcribed, small, transcripts),
    st.builds(TurnJudged, small, spans, likely),
    st.builds(AddresseeJudged, small, small, likely),
    st.builds(SceneJudged, small, likely),
    st.builds(
        lambda stream, frames: FramesJudged(stream, tuple(frames)), small, st.lists(st.tuples(likely, st.just(512)))
    ),
    st.builds(
        ToolFinished, st.sampled_from(["function-call-1", "function-call-2", ""]), st.just(ToolResult({"output": "1"}))
    ),
)
ENGINE_SETUPS = [
    TALK,
    {**TEXT, **TOOL},
    {**TALK, "tools": [{"codeExecution": {}}, *TOOL["tools"]], **SLIDES},
    {**QUIET, "generationConfig": {"responseModalities": ["AUDIO"], "thinkingConfig": {"includeThoughts": True}}},
]
ROOMY = ModelProfile(MODEL, input_token_limit=10**7, tools=(FunctionDeclaration("run_python", tool="code_execution"),))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(setup=st.sampled_from(ENGINE_SETUPS), steps=st.lists(st.tuples(st.floats(0, 3), engines), max_size=40))
def test_no_session_ends_because_of_an_engine(setup: dict[str, Any], steps: list[tuple[float, Event]]) -> None:
    world = World(setup, plan=words("hello there you", 0.3), replies=[None] * 50, profile=ROOMY, stt_delay=None)
    world.text("Say something.")
    for wait, event in steps:
        world.run(wait)
        world.blob(0.3)
        if isinstance(event, Transcribed):
            world.injected.add(event.utterance)
        world.event(event)
    world.run(300)
    assert world.closed is None, world.closed


# --- the end ----------------------------------------------------------------------------------------------------------


messages = st.sampled_from(
    [
        {"setup": TEXT},
        {"setup": {**TEXT, "sessionResumption": {"handle": "h"}}},
        {"setup": {**TALK, "sessionResumption": {"handle": "h"}}},
        {"setup": {"model": "models/unknown"}},
        {"clientContent": {"turns": [{"role": "user", "parts": [{"text": "hi"}]}], "turnComplete": True}},
        {"clientContent": {"turns": [{"role": "nobody"}]}},
        {"realtimeInput": {"activityStart": {}}},
        {"realtimeInput": {"text": "hi"}},
        {"toolResponse": {"functionResponses": [{}]}},
    ]
).map(lambda message: MessageReceived(parse_message(msgspec.json.encode(message))))


ends: st.SearchStrategy[Event | None] = st.one_of(
    messages,
    messages,
    st.builds(AudioArrived, st.sampled_from([320, 16_000, 16_000 * 700])),
    st.just(StateRestored(None)),
    st.just(StateRestored(None, ENTITY_NOT_FOUND)),
    st.just(ClientLeft()),
    st.just(TakenOver()),
    st.just(ServerDraining(3.0)),
    st.just(BadRequest(1007, "no")),
    st.just(StateSaved("handle", 1)),
    st.just(StageFailed("store", 0, "full")),
    engines,
    st.none(),
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=st.lists(st.tuples(st.sampled_from([0.0, 0.5, 11.0]), ends), max_size=25), data=st.data())
def test_a_session_ends_once_and_nothing_follows(events: list[tuple[float, Event | None]], data: st.DataObject) -> None:
    """A state that cannot be had, one that can, and whatever came before it was there."""
    session, now = Session(PROFILES), 0.0
    session.handle(ConnectionOpened("s"), now)
    closes: list[Command] = []
    for wait, event in events:
        there = isinstance(event, StateRestored) and data.draw(st.booleans())
        now += wait
        commands = session.handle(StateRestored(stored()) if there else event, now)
        closes += [command for command in commands if isinstance(command, CloseConnection)]
        if closes:
            assert not commands or commands[-1] is closes[-1]
        assert len(closes) <= 1


def stored() -> Any:
    world = World({**TEXT, "sessionResumption": {}})
    world.text("Hello.")
    world.run(3)
    assert world.saved is not None
    return world.saved


def test_two_overruns_before_the_session_is_there() -> None:
    """Each of them closes it; the second one found it closed."""
    session = Session(PROFILES)
    session.handle(ConnectionOpened("s"), 0.0)
    first = parse_message(msgspec.json.encode({"setup": {**TALK, "sessionResumption": {"handle": "h"}}}))
    session.handle(MessageReceived(first), 0.0)
    for _ in range(3):
        session.handle(AudioArrived(16_000 * 700), 0.0)
    commands = session.handle(StateRestored(stored()), 0.0)
    assert [c for c in commands if isinstance(c, CloseConnection)] == [commands[-1]]
