"""No turn comes to more than its limit, whatever the responder gives: text, speech, thoughts, calls, nothing at all."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.commands import CancelReply, EndGeneration
from openlive.core.events import OutputProduced, ReplyFinished
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import OUTPUT_RATE, FunctionCall, Output, Speech, Text, Thought, Usage, Word
from tests.core.world import MODEL, TALK, World, speech, words

TEXT: dict[str, Any] = {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT"]}}
TOOL = {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]}


def limited(setup: dict[str, Any], tokens: int) -> World:
    world = World(setup, replies=[None], profile=ModelProfile(MODEL, output_token_limit=tokens))
    world.text("Go on.")
    return world


def pour(world: World, output: Output, most: int = 2000) -> int:
    """Gives the same until it is enough; how often that was."""
    for count in range(1, most + 1):
        world.event(OutputProduced(1, output))
        if world.of(EndGeneration):
            return count
    return most


def usage(world: World) -> Any:
    return next(m.usage_metadata for m in reversed(world.messages) if m.usage_metadata is not None)


def test_of_text() -> None:
    world = limited(TEXT, 100)
    assert pour(world, Text("x" * 30)) == 14
    assert world.kinds() == ["setupComplete", "text", "generationComplete", "turnComplete"]
    assert len(world.history[-1][1]) == 400
    assert usage(world).response_token_count == 100
    assert not world.of(CancelReply), "what is unsent of it is sent"
    world.event(OutputProduced(1, Text("more")))
    assert len(world.history[-1][1]) == 400


def test_of_speech() -> None:
    world = limited(TALK, 100)
    assert pour(world, speech(0.5, "la ")) == 9
    world.run(1)
    assert "turnComplete" not in world.kinds(), "what there is is played out"
    world.run(4)
    assert world.kinds()[-2:] == ["generationComplete", "turnComplete"]
    assert usage(world).response_token_count == 100


def test_a_piece_is_cut_where_the_limit_is_and_its_words_with_it() -> None:
    world = limited(TALK, 25)
    ends = [Word(w, i * OUTPUT_RATE // 2, (i + 1) * OUTPUT_RATE // 2) for i, w in enumerate(["a", "b", "c", "d"])]
    assert pour(world, Speech(bytes(4 * OUTPUT_RATE), "a b c d", tuple(ends))) == 1
    world.run(2)
    assert world.history[-1] == ("model", "a b")
    assert usage(world).response_token_count == 25


def test_of_the_script_and_of_words_without_a_sound() -> None:
    for output in (Text("x" * 30), Speech(b"", "x" * 30)):
        world = limited(TALK, 100)
        assert pour(world, output) == 14
        world.run(1)
        assert world.kinds()[-1] == "turnComplete"


def test_of_thoughts_shown_or_not() -> None:
    for shown in (True, False):
        setup = {**TEXT, "generationConfig": {**TEXT["generationConfig"], "thinkingConfig": {"includeThoughts": shown}}}
        world = limited(setup, 100)
        assert pour(world, Thought("x")) == 101
        assert world.kinds()[-1] == "turnComplete"
        assert usage(world).thoughts_token_count == 100


def test_of_calls() -> None:
    """Those that were made before stand."""
    world = limited({**TEXT, **TOOL}, 100)
    assert pour(world, FunctionCall("", "f", {"a": "x" * 70})) == 5
    calls = [c for m in world.messages if m.tool_call for c in m.tool_call.function_calls]
    assert len(calls) == 4
    assert world.kinds()[-1] == "toolCall"


def test_more_calls_than_may_wait_are_malformed() -> None:
    world = limited({**TEXT, **TOOL}, 100_000)
    for _ in range(200):
        world.event(OutputProduced(1, FunctionCall("", "f", {})))
    assert len([c for m in world.messages if m.tool_call for c in m.tool_call.function_calls]) == 128
    assert usage(world) is not None


def test_large_calls_are_asked_for_in_frames_that_clients_take() -> None:
    world = limited({**TEXT, **TOOL}, 1_000_000)
    world.event(OutputProduced(1, Text("a")))
    for _ in range(20):
        world.event(OutputProduced(1, FunctionCall("", "f", {"a": "😀" * 20_000})))
    world.event(OutputProduced(1, Text("a")))
    asked = [m for m in world.messages if m.tool_call]
    assert len(asked) > 5  # and each was encoded


def test_what_is_held_is_bounded_too() -> None:
    world = World(
        TALK, plan=words("hello there", 0.2), replies=[None], profile=ModelProfile(MODEL, output_token_limit=50)
    )
    world.stream(1.2)
    assert world.of(EndGeneration) == []
    assert pour(world, speech(0.5, "la ")) == 5
    assert "audio" not in world.kinds()
    world.stream(4)
    assert world.kinds()[-2:] == ["generationComplete", "turnComplete"]
    assert usage(world).response_token_count == 50


def test_a_turn_with_several_parts_has_one_limit() -> None:
    world = limited({**TEXT, **TOOL}, 100)
    world.event(OutputProduced(1, Text("x" * 200)))
    world.event(OutputProduced(1, FunctionCall("c", "f", {})))
    world.event(ReplyFinished(1))
    world.client({"toolResponse": {"functionResponses": [{"id": "c", "name": "f", "response": {}}]}})
    for _ in range(20):
        world.event(OutputProduced(2, Text("x" * 30)))
    assert world.of(EndGeneration) == [EndGeneration(2)]
    world.run(1)
    assert usage(world).response_token_count == 100


@pytest.mark.parametrize("output", [Text(""), Thought(""), Speech(b""), Usage(5, 5)])
def test_what_is_nothing_is_not_kept(output: Output) -> None:
    world = limited(TALK if isinstance(output, Speech) else TEXT, 10)
    assert pour(world, output) == 2000
    reply = world.session._dialogue._reply  # type: ignore[union-attr]
    assert reply is not None
    assert not reply._playout_pieces
    assert not reply._text_pieces
    assert world.kinds() == ["setupComplete"]


def test_a_responder_that_is_far_ahead_is_not_overdue_while_it_waits() -> None:
    limits = SessionLimits(reply=5, ahead=20)
    world = World(TALK, replies=[[(0.1, speech(40, "A long story."))]], limits=limits)
    world.text("Tell me.")
    world.run(100)
    assert world.kinds()[-1] == "turnComplete"

    stuck = World(TALK, replies=[None], limits=limits)
    stuck.text("Tell me.")
    stuck.event(OutputProduced(1, speech(40, "A long story.")))
    stuck.run(24)
    assert "turnComplete" not in stuck.kinds()
    stuck.run(20)
    assert stuck.kinds()[-1] == "turnComplete", "five seconds after it could have gone on, it was given up"


@pytest.mark.parametrize("asked", [-1, -(2**31)])
def test_a_limit_has_to_be_one(asked: int) -> None:
    world = World({**TEXT, "generationConfig": {**TEXT["generationConfig"], "maxOutputTokens": asked}})
    assert world.closed is not None
    assert world.closed.reason == (
        f"Invalid value at 'setup.generation_config.max_output_tokens': {asked} is no number of tokens."
    )
