"""Where words lie in the user's audio: who asks for it, and when the client is told."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.commands import FlushRecognition, StartRecognition
from openlive.core.events import Transcribed
from openlive.types import Transcript, Word
from openlive.wire.server import Transcription, WordInfo
from tests.core.memory.test_resumption import reconnected
from tests.core.world import TALK, World, words

ASKED: dict[str, Any] = {**TALK, "inputAudioTranscription": {"wordTimestamp": True}}
QUESTION = words("what is the capital of France", start=0.5)


def heard(world: World) -> list[Transcription]:
    """All pieces of the user's transcript."""
    contents = [m.server_content for m in world.messages if m.server_content]
    return [c.input_transcription for c in contents if c.input_transcription]


def times(pieces: list[Transcription]) -> list[tuple[str | None, float, float]]:
    found = [word for piece in pieces for word in piece.words]
    return [(w.word, float((w.start_offset or "")[:-1]), float((w.end_offset or "")[:-1])) for w in found]


def test_they_come_with_the_last_piece_of_a_transcript() -> None:
    world = World(ASKED, plan=QUESTION)
    world.stream(6)
    assert world.of(StartRecognition) == [StartRecognition(1, phrases=("Gemini",), words=True)]
    pieces = heard(world)
    assert len(pieces) > 2
    assert [bool(piece.words) for piece in pieces] == [False] * (len(pieces) - 2) + [True, False]
    assert pieces[-1] == Transcription(text="", finished=True)
    assert pieces[-2].words[0] == WordInfo(word="what", start_offset="0.500s", end_offset="0.800s")
    assert times(pieces) == [(w.text, round(w.start, 3), round(w.end, 3)) for w in QUESTION]


def test_they_count_from_the_beginning_of_the_session() -> None:
    again = words("and of Spain", start=6)
    world = World(ASKED, plan=[*QUESTION, *again])
    world.stream(10)
    assert times(heard(world))[-3:] == [(w.text, round(w.start, 3), round(w.end, 3)) for w in again]


def test_they_do_so_on_another_connection_too() -> None:
    setup = {**ASKED, "sessionResumption": {}}
    world = World(setup, plan=QUESTION)
    world.stream(7)
    reconnected(world, setup)
    world.plan = words("go on", start=1.0)
    world.stream(4)
    assert times(heard(world))[-2:] == [("go", 8.0, 8.3), ("on", 8.3, 8.6)]


def test_a_recogniser_that_knows_them_unasked_tells_nobody() -> None:
    world = World(TALK, plan=QUESTION, stt_delay=None)
    world.injected.add(1)
    while not world.of(FlushRecognition):
        world.stream(0.1)
    world.event(Transcribed(1, Transcript("what", 16000, final=True, words=(Word("what", 0, 320),))))
    world.stream(1)
    assert world.transcript == "what"
    assert not times(heard(world))


@pytest.mark.parametrize("setup", [TALK, {**TALK, "inputAudioTranscription": {"wordTimestamp": False}}])
def test_nobody_looks_for_them_where_they_are_not_asked_for(setup: dict[str, Any]) -> None:
    world = World(setup, plan=QUESTION)
    world.stream(6)
    assert world.of(StartRecognition) == [StartRecognition(1, phrases=("Gemini",))]
    assert heard(world)
    assert not times(heard(world))


def test_they_come_though_the_whole_text_was_told_already() -> None:
    """The last hypothesis has a word less than what was told."""
    world = World(ASKED, plan=words("well", start=0.5, each=1), stt_delay=None)
    world.injected.add(1)
    world.stream(1)
    for text in ("well I mean it", "well I mean it"):
        world.event(Transcribed(1, Transcript(text, 8000)))
    while not world.of(FlushRecognition):
        world.stream(0.1)
    world.event(Transcribed(1, Transcript("well I", 16000, final=True, words=(Word("well", 0, 320),))))
    world.stream(1)
    assert world.transcript == "well I mean"
    assert [piece.text for piece in heard(world) if piece.words] == [""]
