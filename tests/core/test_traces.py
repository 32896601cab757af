"""Golden traces: whole sessions as clients see them. OPENLIVE_TRACES=write writes them anew; read the difference."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from openlive.core.commands import CloseConnection
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionCall, Text
from openlive.wire.server import encode
from tests.core.world import MODEL, TALK, Script, World, speech, spoken, words

TRACES = Path(__file__).parent.parent / "traces"
QUESTION = words("what is the capital of France", start=0.5)
STORY: Script = [(0.2, speech(2.0, "Once upon a time")), (0.3, speech(3.0, " there was a lighthouse."))]
BLOCKED = {"activityHandling": "NO_INTERRUPTION"}
MANUAL = {"automaticActivityDetection": {"disabled": True}}


def text_to_text() -> World:
    setup = {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT"]}}
    world = World(setup, replies=[[(0.2, Text("I")), (0.05, Text(" am fine"))]])
    world.text("Hello, how are you?")
    world.run(2)
    return world


def text_to_audio() -> World:
    world = World(TALK, replies=[spoken("Hello there.", seconds=1.2)])
    world.text("Say hello.")
    world.run(4)
    return world


def history_first() -> World:
    world = World(TALK)
    turns = [
        {"role": "user", "parts": [{"text": "What is the capital of France?"}]},
        {"role": "model", "parts": [{"text": "Paris"}]},
    ]
    world.client({"clientContent": {"turns": turns, "turnComplete": False}})
    world.run(2)
    world.text("And of Germany?")
    world.run(4)
    return world


def voice() -> World:
    world = World(TALK, plan=QUESTION, replies=[spoken("Paris.", seconds=0.9)])
    world.stream(6)
    return world


def overheard() -> World:
    setup = {**TALK, "proactivity": {"proactiveAudio": True}}
    plan = [*words("honey where are my keys", 0.5), *words("what did they look for", 4.0)]
    profile = ModelProfile(MODEL, proactive=True, addressee=True)
    replies = [None, spoken("Their keys.", seconds=0.9)]
    world = World(setup, plan=plan, replies=replies, profile=profile, version="v1alpha", aside="honey")
    world.stream(9)
    return world


def hesitation() -> World:
    plan = [*words("I would like a table", 0.5), *words("for two people", 2.5)]
    world = World(TALK, plan=plan, replies=[spoken("For whom?"), spoken("Done.")])
    world.stream(7)
    return world


def gap_in_the_audio() -> World:
    world = World(TALK, replies=[[(0.2, speech(1.0, "One moment.")), (3.0, speech(1.0, " Here it is."))]])
    world.text("Look it up.")
    world.run(8)
    return world


def barge_in_while_playing() -> World:
    world = World(TALK, plan=[*QUESTION, *words("stop wait", 5.5)], replies=[STORY, spoken("Yes?")])
    world.stream(9)
    return world


def barge_in_while_generating() -> World:
    slow: Script = [(0.2, speech(0.5, "Once")), (9.0, speech(3.0, " upon a time."))]
    world = World(TALK, plan=[*QUESTION, *words("stop wait", 5.5)], replies=[slow, spoken("Yes?")])
    world.stream(9)
    return world


def no_interruption() -> World:
    world = World({**TALK, "realtimeInputConfig": BLOCKED}, plan=[*QUESTION, *words("stop wait", 5.5)], replies=[STORY])
    world.stream(14)
    return world


def file_with_a_pause() -> World:
    world = World(TALK, plan=[*QUESTION, *words("and of Spain", 3.8)])
    world.blob(6)
    world.run(5)
    return world


def file_that_ends_with_the_last_word() -> World:
    world = World(TALK, plan=QUESTION)
    world.blob(2.3)
    world.run(5)
    return world


def manual_activity() -> World:
    world = World({**TALK, "realtimeInputConfig": MANUAL}, plan=QUESTION)
    world.client({"realtimeInput": {"activityStart": {}}})
    world.stream(2.5)
    world.client({"realtimeInput": {"activityEnd": {}}})
    world.run(4)
    return world


def with_tool(replies: list[Script], *, behavior: str = "BLOCKING", profile: ModelProfile | None = None) -> World:
    """Asked for the weather, the model calls a function; the test answers the call."""
    declared = [{"name": "weather", "parameters": {"type": "OBJECT"}, "behavior": behavior}]
    world = World({**TALK, "tools": [{"functionDeclarations": declared}]}, replies=replies, profile=profile)
    world.text("The weather in Paris?")
    world.run(0.7)
    return world


def respond(world: World, **more: str) -> None:
    result = {"id": "function-call-1", "name": "weather", "response": {"sky": "blue"}, **more}
    world.client({"toolResponse": {"functionResponses": [result]}})


CALL: Script = [(0.3, FunctionCall("", "weather", {"city": "Paris"}))]
SUNNY: Script = [(0.2, speech(1.2, "It is sunny."))]
FILLER: Script = [(0.2, speech(1.0, "I am looking."))]


def blocking_call_in_one_turn() -> World:
    """T4: the 2.5 generation, and gemini-live-2.5-flash-preview (docs/protocol.md#function-calling)."""
    world = with_tool([CALL, SUNNY])
    respond(world)
    world.run(3)
    return world


def blocking_call_that_ends_the_turn() -> World:
    """T5: a turnComplete follows the call as well, as the agent kits expect it of native audio."""
    world = with_tool([CALL, SUNNY], profile=ModelProfile(MODEL, turn_complete_after_call=True))
    respond(world)
    world.run(3)
    return world


def call_with_resumption() -> World:
    """T6: a handle comes while the call is pending."""
    declared = [{"name": "weather", "parameters": {"type": "OBJECT"}}]
    setup = {**TALK, "sessionResumption": {}, "tools": [{"functionDeclarations": declared}]}
    world = World(setup, replies=[CALL, SUNNY])
    world.text("The weather in London?")
    world.run(0.7)
    respond(world)
    world.run(3)
    return world


def call_beside_the_talk_that_interrupts() -> World:
    """T9, INTERRUPT."""
    world = with_tool([CALL, FILLER, SUNNY], behavior="NON_BLOCKING")
    respond(world, scheduling="INTERRUPT")
    world.run(3)
    return world


def call_beside_the_talk_that_waits() -> World:
    """T9, WHEN_IDLE."""
    world = with_tool([CALL, FILLER, SUNNY], behavior="NON_BLOCKING")
    respond(world, scheduling="WHEN_IDLE")
    world.run(4)
    return world


def call_beside_the_talk_that_is_silent() -> World:
    """T9, SILENT."""
    world = with_tool([CALL, FILLER, SUNNY], behavior="NON_BLOCKING")
    respond(world, scheduling="SILENT")
    world.run(4)
    return world


def call_cancelled_by_an_interruption() -> World:
    world = with_tool([CALL, SUNNY])
    world.client({"realtimeInput": {"text": "Never mind"}})
    respond(world)
    world.run(3)
    return world


def limit_of_a_text() -> World:
    """`maxOutputTokens`, of which text takes one per four characters: the model writes on, and nobody hears of it."""
    setup = {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT"], "maxOutputTokens": 4}}
    world = World(setup, replies=[[(0.2, Text(f"Item {n}. ")) for n in range(50)]])
    world.text("Count.")
    world.run(3)
    return world


def limit_of_a_speech() -> World:
    """25 tokens a second; the words are those that are still heard."""
    generation = {**TALK["generationConfig"], "maxOutputTokens": 60}
    world = World({**TALK, "generationConfig": generation}, replies=[[*STORY, *STORY, *STORY]])
    world.text("A story.")
    world.run(6)
    return world


def limit_of_a_connection() -> World:
    world = World({**TALK, "sessionResumption": {}}, limits=SessionLimits(connection=90))
    world.run(100)
    return world


def failures() -> World:
    world = World(TALK, plan=QUESTION, replies=[None], stt_delay=None)
    world.text("Hello")
    world.fail(1)
    world.stream(40)
    world.client({"setup": TALK})
    return world


SCENARIOS: list[Callable[[], World]] = [
    text_to_text,
    text_to_audio,
    history_first,
    voice,
    hesitation,
    overheard,
    gap_in_the_audio,
    barge_in_while_playing,
    barge_in_while_generating,
    no_interruption,
    file_with_a_pause,
    file_that_ends_with_the_last_word,
    manual_activity,
    blocking_call_in_one_turn,
    blocking_call_that_ends_the_turn,
    call_with_resumption,
    call_beside_the_talk_that_interrupts,
    call_beside_the_talk_that_waits,
    call_beside_the_talk_that_is_silent,
    call_cancelled_by_an_interruption,
    limit_of_a_text,
    limit_of_a_speech,
    limit_of_a_connection,
    failures,
]


def trace(world: World) -> str:
    """A line a message, with its time in seconds; audio as its length, runs of it in one line."""
    lines: list[dict[str, Any]] = []
    for at, message in world.log:
        said = msgspec.json.decode(encode(message))
        audio = _audio(said)
        if audio and lines and "audio" in lines[-1] and lines[-1]["at"] == round(at, 3):
            lines[-1]["audio"] += audio
        elif audio:
            lines.append({"at": round(at, 3), "audio": audio})
        else:
            lines.append({"at": round(at, 3), **said})
    if isinstance(world.closed, CloseConnection):
        lines.append({"close": world.closed.code, "reason": world.closed.reason})
    for line in lines:
        if "audio" in line:
            line["audio"] = f"{line['audio'] / 48000:.3f} s"
    return "".join(msgspec.json.encode(line).decode() + "\n" for line in lines)


def _audio(message: dict[str, Any]) -> int:
    parts = message.get("serverContent", {}).get("modelTurn", {}).get("parts", [])
    return sum(len(part["inlineData"]["data"]) * 3 // 4 for part in parts if "inlineData" in part)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
def test_is_as_written(scenario: Callable[[], World]) -> None:
    path = TRACES / f"{scenario.__name__}.jsonl"
    told = trace(scenario())
    if os.environ.get("OPENLIVE_TRACES") == "write":
        path.write_text(told)
    assert told == path.read_text()


def test_no_trace_is_left_over() -> None:
    assert {p.stem for p in TRACES.glob("*.jsonl")} == {s.__name__ for s in SCENARIOS}
