"""Affective dialog: how the user sounds reaches the model and the voice, where it was asked for and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import astuple, replace

from openlive.core.commands import CancelReply, StartRecognition, StartReply
from openlive.core.listening import affect
from openlive.core.listening.affect import TYPICAL_PROSODY, UNKNOWN_SPEAKER, SpeakerBaseline
from openlive.core.setup.profile import ModelProfile
from openlive.core.setup.settings import settings_from_setup
from openlive.types import Heard, Message, Prosody, Text, Voice
from openlive.wire.errors import ProtocolError
from openlive.wire.setup import GenerationConfig, Setup
from tests.core.world import MODEL, TALK, World, words

NATIVE = ModelProfile(MODEL, affective_dialog=True)
SETUP: dict[str, Any] = {**TALK, "generationConfig": {"responseModalities": ["AUDIO"], "enableAffectiveDialog": True}}
ASK = words("what is the capital of France", 0.5)
PLAIN = Prosody(pitch=84.0, spread=6.5, level=-20.0, pace=4.4, voiced=2.0)
EXCITED = Prosody(pitch=89.0, spread=10.0, level=-13.0, pace=5.6, voiced=2.0)
SUBDUED = Prosody(pitch=81.5, spread=5.0, level=-25.0, pace=3.0, voiced=2.5)
FLAT = replace(PLAIN, spread=2.0)


def world(setup: dict[str, Any] = SETUP, sounds: Prosody | None = EXCITED, **options: Any) -> World:
    return World(setup, profile=NATIVE, version="v1alpha", prosody=lambda _: sounds, **{"plan": ASK, **options})


def known(*heard: Prosody) -> SpeakerBaseline:
    usual = UNKNOWN_SPEAKER
    for one in heard:
        usual = affect.update_baseline(usual, one)
    return usual


# --- the mood ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heard", "mood"),
    [(PLAIN, ""), (EXCITED, "excited"), (SUBDUED, "subdued"), (FLAT, "flat"), (None, "")],
)
def test_a_mood_is_told_from_what_is_usual(heard: Prosody | None, mood: str) -> None:
    assert affect.judge_mood(heard, known(PLAIN, PLAIN))[0] == mood


def test_it_has_degrees() -> None:
    usual = known(PLAIN, PLAIN)
    assert affect.judge_mood(EXCITED, usual) == ("excited", True)
    assert affect.judge_mood(replace(EXCITED, pitch=86.0, level=-18.0), usual) == ("excited", False)


def test_what_is_usual_is_the_speakers_own() -> None:
    lively = replace(PLAIN, pitch=89.0, spread=9.0, pace=5.2, level=-14.0)
    assert affect.judge_mood(lively, known(PLAIN, PLAIN, PLAIN))[0] == "excited"
    assert affect.judge_mood(lively, known(lively, lively, lively))[0] == ""


def test_pitch_and_level_tell_nothing_of_a_stranger() -> None:
    """A child, and a microphone that is turned up."""
    assert affect.judge_mood(replace(PLAIN, pitch=100.0, level=-3.0), UNKNOWN_SPEAKER)[0] == ""
    assert affect.judge_mood(FLAT, UNKNOWN_SPEAKER)[0] == "flat"


def test_slow_alone_is_not_subdued_and_soft_alone_neither() -> None:
    usual = known(PLAIN, PLAIN, PLAIN)
    assert affect.judge_mood(replace(PLAIN, pace=3.4), usual)[0] == ""
    assert affect.judge_mood(replace(PLAIN, level=-29.0, pitch=82.0), usual)[0] == ""
    assert affect.judge_mood(replace(PLAIN, pace=2.0, spread=5.5), usual)[0] == "", "slow reading"


def test_slow_and_soft_is_subdued_and_so_are_three_of_four() -> None:
    usual = known(PLAIN, PLAIN, PLAIN)
    assert affect.judge_mood(replace(PLAIN, pace=3.0, level=-26.0), usual)[0] == "subdued"
    assert affect.judge_mood(replace(PLAIN, level=-26.0, pitch=82.0, spread=4.5), usual)[0] == "subdued", "however slow"


def test_a_yes_tells_nothing_and_teaches_nothing() -> None:
    short = replace(EXCITED, voiced=0.3)
    assert affect.judge_mood(short, known(PLAIN))[0] == ""
    assert affect.update_baseline(UNKNOWN_SPEAKER, short) == UNKNOWN_SPEAKER


def test_who_was_excited_once_is_as_usual_afterwards() -> None:
    usual = known(PLAIN, EXCITED)
    assert affect.judge_mood(PLAIN, usual)[0] == ""
    assert affect.judge_mood(FLAT, usual)[0] == "flat"
    assert affect.judge_mood(EXCITED, usual)[0] == "excited"


def test_old_utterances_fade() -> None:
    usual = known(*[PLAIN] * 50, *[EXCITED] * 60)
    assert usual.prosody.pitch == pytest.approx(EXCITED.pitch, abs=0.5)
    assert astuple(known(PLAIN).prosody) == astuple(PLAIN)
    assert UNKNOWN_SPEAKER.prosody == TYPICAL_PROSODY


def test_the_style_is_that_of_what_was_said_last() -> None:
    voice, glad = Voice("Puck"), Message("user", (Heard("I won", 0, 1, "en", "excited", True),))
    lively = affect.style_voice(voice, [glad])
    assert lively is not None
    assert (lively.speed, lively.pitch, lively.gain) > (1.0, 0.0, 0.0)
    assert affect.style_voice(voice, [glad, Message("model", (Text("Great."),))]) == lively
    assert affect.style_voice(voice, [glad, Message("user", (Text("typed"),))]) == voice
    assert affect.style_voice(voice, [glad, Message("user", (Heard("well", 1, 2),))]) == voice
    assert affect.style_voice(None, [glad]) is None


# --- the session ------------------------------------------------------------------------------------------------------


def test_the_mood_reaches_model_and_voice() -> None:
    calm, glad = world(sounds=PLAIN), world()
    for one in (calm, glad):
        one.stream(4)
    [request], [plain] = glad.requests, calm.requests
    assert request.messages[-1].parts[0] == Heard("what is the capital of France", 3392, 36864, "en", "excited")
    assert plain.messages[-1].parts[0] == Heard("what is the capital of France", 3392, 36864, "en")
    assert request.voice is not None
    assert request.voice == replace(
        Voice("Puck"), speed=request.voice.speed, pitch=request.voice.pitch, gain=request.voice.gain
    )
    assert request.voice.speed > 1
    assert plain.voice == Voice("Puck")


def test_the_reply_that_was_prepared_is_the_one_that_is_released() -> None:
    one = world(stt_delay=0.09)
    one.stream(5)
    [respond] = one.of(StartReply)
    assert not one.of(CancelReply)
    [asked] = [at for at, command in one.commands if isinstance(command, StartReply)]
    assert asked < one.at("heardFinished")[0] - 0.3, "it was not prepared while the end was undecided"
    assert one.session.messages[0] == respond.request.messages[-1], "later prompts begin as this one did"


def test_a_mood_that_changes_while_the_user_goes_on() -> None:
    """What was prepared for the first half is dropped for the words, and the whole is answered in the mood of all."""
    plan = [*words("I have been waiting here", 0.5), *words("for two hours", 2.5)]
    one = world(plan=plan)
    one.prosody = lambda end: PLAIN if end < 2.4 else EXCITED
    one.stream(6)
    assert [r.messages[-1].parts[0].mood for r in one.requests] == ["", "excited"]  # type: ignore[union-attr]


def test_what_is_usual_outlives_the_connection() -> None:
    resumable = {**SETUP, "sessionResumption": {}}
    one = world(resumable, sounds=PLAIN)
    one.stream(6)
    assert one.saved is not None
    assert one.saved.ears.usual.utterances == 1
    assert one.saved.ears.usual.prosody == PLAIN


def test_a_client_that_marks_activity_itself() -> None:
    one = world({**SETUP, "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}})
    one.client({"realtimeInput": {"activityStart": {}}})
    one.stream(3)
    one.client({"realtimeInput": {"activityEnd": {}}})
    one.run(1)
    assert one.requests[0].messages[-1].parts[0].mood == "excited"  # type: ignore[union-attr]


@pytest.mark.parametrize("asked", [None, False])
def test_without_it_nothing_is_measured_and_nothing_changed(asked: bool | None) -> None:
    config: dict[str, Any] = {"responseModalities": ["AUDIO"]} | (
        {} if asked is None else {"enableAffectiveDialog": asked}
    )
    one = world({**TALK, "generationConfig": config})
    one.stream(4)
    assert [listen.prosody for listen in one.of(StartRecognition)] == [False]
    assert one.requests[0].voice == Voice("Puck")
    assert one.requests[0].messages[-1].parts[0] == Heard("what is the capital of France", 3392, 36864, "en")


# --- where it may be asked for ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("asked", [True, False])
def test_other_versions_do_not_know_the_field(version: str, asked: bool) -> None:
    setup = {**TALK, "generationConfig": {"enableAffectiveDialog": asked}}
    one = World(setup, profile=NATIVE, version=version)
    assert one.closed is not None
    reason = one.closed.reason
    assert one.closed.code == 1007
    assert reason == (
        "Invalid JSON payload received. Unknown name \"enableAffectiveDialog\" at 'setup.generation_config': "
        "Cannot find field."
    )


@pytest.mark.parametrize("vertex", [False, True])
def test_other_models_refuse_it_by_path(vertex: bool) -> None:
    one = World(SETUP, profile=ModelProfile(MODEL), version="v1alpha", vertex=vertex)
    assert one.closed is not None
    where = "'setup.generation_config.enable_affective_dialog'"
    assert one.closed.code == 1007
    assert one.closed.reason == f"Invalid value at {where}: not on this model; leave it out."


def test_a_model_that_has_it_is_named() -> None:
    """Which one it is follows from no name: the interpreter and the 3.x ones are native audio, too."""
    offered = {"gemini-3": ModelProfile("gemini-3"), "interpreter": ModelProfile("interpreter"), MODEL: NATIVE}
    setup = Setup(model="models/gemini-3", generation_config=GenerationConfig(enable_affective_dialog=True))
    with pytest.raises(ProtocolError) as refused:
        settings_from_setup(setup, offered, "v1alpha")
    assert str(refused.value).endswith(f": not on this model; use {MODEL}.")


def test_vertex_knows_it_in_every_version() -> None:
    assert World(SETUP, profile=NATIVE, version="v1beta1", vertex=True).closed is None


def test_no_is_taken_by_every_model() -> None:
    setup = {**TALK, "generationConfig": {"enableAffectiveDialog": False}}
    assert World(setup, profile=ModelProfile(MODEL), version="v1alpha").closed is None
