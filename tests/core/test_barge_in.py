"""`barge_in = "words"`: what is said beside an answer interrupts it once it says something (design, decision 26)."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.commands import CancelReply, StartRecognition, StartReply
from openlive.core.events import StageFailed, Transcribed
from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionCall, Transcript
from tests.core.world import MODEL, TALK, Script, Word, World, speech, words

BY_WORDS = ModelProfile(MODEL, barge_in="words", voice_activity=True, interim_transcripts=True)
COUNTED = "one two three four five six seven eight nine ten"
LONG: Script = [(0.1, speech(10.0, COUNTED))]


def answering(said: str = "", *, each: float = 0.3, profile: ModelProfile = BY_WORDS, **more: Any) -> World:
    """A world whose first answer plays for 10 s; from 2 s on the user says something."""
    replies = more.pop("replies", [LONG])
    world = World(more.pop("setup", TALK), plan=words(said, 2.0, each), profile=profile, replies=replies, **more)
    world.text("Count.")
    return world


@pytest.mark.parametrize("said", ["mm-hm", "okay", "yeah right", "oh okay I see", ""])
def test_a_back_channel_leaves_no_trace_but_activity(said: str) -> None:
    world = answering(said)
    world.stream(16)
    kinds = world.kinds()
    assert "interrupted" not in kinds
    assert kinds.count("turnComplete") == 1
    assert world.transcript == ""
    assert not {"heard", "heardFinished", "interimInputTranscription"} & set(kinds)
    assert [role for role, _ in world.history] == ["user", "model"]
    assert world.history[-1][1].endswith("ten")
    assert len(world.of(StartReply)) == 1
    assert ("ACTIVITY_START" in kinds) == bool(said)


def test_a_noise_without_words_neither() -> None:
    world = answering()
    world.plan = [Word(2.0, 2.4, "")]
    world.stream(16)
    assert world.at("ACTIVITY_START")
    assert "interrupted" not in world.kinds()
    assert len(world.of(StartReply)) == 1


@pytest.mark.parametrize("said", ["stop", "stop it please now", "okay stop", "yeah but how much is it"])
def test_words_interrupt_and_are_answered(said: str) -> None:
    world = answering(said)
    world.stream(16)
    real = next(w for w in world.plan if w.text not in ("okay", "yeah"))
    [interrupted] = world.at("interrupted")
    assert interrupted - real.end < 0.5
    assert world.transcript == said
    assert world.kinds().count("heardFinished") == 1
    assert world.history[-2] == ("user", said)
    assert len([r for r in world.of(StartReply) if r.turn not in {s.turn for s in world.of(CancelReply)}]) == 1
    assert world.history[1][1].split() == COUNTED.split()[: int(interrupted - 0.1)]


def test_the_onset_is_enough_elsewhere() -> None:
    for profile, setup in [(ModelProfile(MODEL), TALK), (BY_WORDS, manual())]:
        world = answering("mm-hm", profile=profile, setup=setup)
        world.stream(2.2)
        if setup is not TALK:
            world.client({"realtimeInput": {"activityStart": {}}})
        assert world.at("interrupted") == [pytest.approx(2.15, abs=0.1)]


def manual() -> dict[str, Any]:
    return {**TALK, "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}


def test_without_an_answer_a_back_channel_is_a_turn() -> None:
    world = World(TALK, plan=words("okay", 1.0), profile=BY_WORDS)
    world.stream(5)
    assert world.history[0] == ("user", "okay")
    assert world.transcript == "okay"


def test_one_that_ends_after_the_answer_is_dropped_too() -> None:
    world = answering("okay okay okay", replies=[[(0.1, speech(2.4, "two"))]], each=0.4)
    world.stream(8)
    assert world.at("turnComplete") == [pytest.approx(2.5, abs=0.1)]
    assert len(world.of(StartReply)) == 1
    world.text("Go on.")
    world.run(5)
    assert world.kinds().count("turnComplete") == 2


def test_words_after_the_answer_are_a_turn() -> None:
    world = answering("okay okay okay and what is three", replies=[[(0.1, speech(2.4, "two"))]], each=0.4)
    world.stream(10)
    assert "interrupted" not in world.kinds()
    assert world.history[-2] == ("user", "okay okay okay and what is three")
    assert world.transcript == "okay okay okay and what is three"


def test_where_nothing_interrupts_everything_is_answered_later() -> None:
    setup = {**TALK, "realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}}
    world = answering("okay", setup=setup)
    world.stream(16)
    assert "interrupted" not in world.kinds()
    assert world.history[-2] == ("user", "okay")


def test_typed_text_interrupts_beside_a_back_channel() -> None:
    world = answering("okay okay okay okay", each=0.5)
    world.stream(3)
    world.client({"realtimeInput": {"text": "Stop."}})
    assert world.at("interrupted") == [3.0]
    world.stream(8)
    assert world.history[-2] == ("user", "Stop.")
    assert len(world.of(StartReply)) == 2


def test_words_beside_a_call_cancel_it_and_back_channels_do_not() -> None:
    declared = {"functionDeclarations": [{"name": "look"}]}
    for said, cancelled in [("okay", False), ("never mind that", True)]:
        world = answering(said, setup={**TALK, "tools": [declared]}, replies=[[(0.1, FunctionCall("c", "look", {}))]])
        world.stream(6)
        assert ("toolCallCancellation" in world.kinds()) is cancelled


def test_what_cannot_be_recognised_leaves_the_answer_alone() -> None:
    world = answering("stop it now", stt_delay=None)
    world.stream(3)
    world.event(StageFailed("stt", 1, "it broke"))
    world.stream(10)
    assert "interrupted" not in world.kinds()
    assert world.kinds().count("turnComplete") == 1


def test_a_transcript_that_changes_its_mind_is_told_from_its_beginning() -> None:
    world = answering("okay", each=3.0, stt_delay=None)
    world.stream(3)
    for text in ("Okay okay right.", "Okay okay right.", "Okay okay right wait a second"):
        world.event(Transcribed(1, Transcript(text, 5)))
        assert ("interrupted" in world.kinds()) == ("wait" in text)
    assert world.transcript.startswith("Okay okay")


def test_the_recogniser_is_told_what_to_expect() -> None:
    """In the language spoken so far: a back-channel is too short to tell the language by."""
    setup = {**TALK, "inputAudioTranscription": {"languageCodes": ["de-DE", "en"], "customVocabulary": ["Kore"]}}
    for hints, language in [(setup, "en"), (TALK, "en")]:
        plan = [*words("go on with it", 0.5), *words("okay", 6.0)]
        world = World(hints, plan=plan, replies=[LONG], profile=BY_WORDS)
        world.stream(8)
        [first, beside] = world.of(StartRecognition)
        assert first.languages != (language,)
        assert beside.languages == (language,)
        assert beside.phrases[: len(first.phrases)] == first.phrases
        assert "Right" in beside.phrases


QUESTION: Script = [(0.1, speech(4.0, "That was the first part shall I go on?"))]


@pytest.mark.parametrize("said", ["yes", "mm-hm"])
@pytest.mark.parametrize("begun", [3.4, 3.9])
def test_a_question_is_answered_before_its_last_syllable(said: str, begun: float) -> None:
    """Even by words that are back-channels elsewhere: clients play later than the server sends."""
    world = answering(replies=[QUESTION, LONG])
    world.plan = words(said, begun)
    world.stream(8)
    assert world.transcript == said
    assert [request.messages[-1].text for request in world.requests] == ["Count.", said]


@pytest.mark.parametrize(("said", "begun"), [("yes", 2.0), ("", 3.6)])
def test_but_not_in_the_middle_and_not_by_a_noise(said: str, begun: float) -> None:
    world = answering(replies=[QUESTION])
    world.plan = words(said, begun) if said else [Word(begun, begun + 0.4, "")]
    world.stream(8)
    assert len(world.requests) == 1
    assert "interrupted" not in world.kinds()
