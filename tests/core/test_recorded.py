"""Every setting of activity detection has its effect on recorded speech: Silero's own probabilities, virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from openlive import models
from openlive.audio import read_wav
from openlive.core.commands import JudgeTurn
from openlive.core.events import TurnJudged
from openlive.core.setup.profile import ModelProfile
from openlive.engines.api import Resources
from openlive.engines.turn_detection import smart_turn
from openlive.engines.vad.silero import engine as silero
from openlive.types import Heard
from tests.core.world import MODEL, TALK, Script, Word, World, speech, spoken
from tests.engines.speech import Detector

pytestmark = pytest.mark.weights
SPEECH = Path(__file__).parent.parent / "speech" / "synthetic"
TOLD = ModelProfile(MODEL, voice_activity=True)
"""Tells of activity unasked, as the 3.x generation does."""
STORY: Script = [(0.1, speech(8.0, "one two three four five six seven eight"))]


@cache
def recording(name: str) -> bytes:
    return read_wav(SPEECH / f"{name}.wav")


def pause(seconds: float) -> bytes:
    return bytes(round(seconds * 16000) * 2)


def quieter(pcm: bytes, factor: float) -> bytes:
    samples = memoryview(pcm).cast("h")
    return b"".join(int(s * factor).to_bytes(2, "little", signed=True) for s in samples)


@cache
def probabilities(pcm: bytes) -> list[float]:
    """What the detector says of each 32 ms."""

    async def judged() -> list[float]:
        stream = Detector(silero.create("", Resources(models.ensure, 1, 1)))
        try:
            return [p for p, _ in await stream.push(pcm)]
        finally:
            stream.close()

    return asyncio.run(judged())


@cache
def finished(pcm: bytes) -> float:
    return asyncio.run(detector().finished(pcm))


@cache
def detector() -> smart_turn.SmartTurnDetector:
    return smart_turn.create("", Resources(models.ensure, 1, 1))


def sounding(pcm: bytes) -> bytes:
    """Without the silence before and after; the synthetic recordings have 0.3 to 0.5 s of it at either end."""
    samples = memoryview(pcm).cast("h")
    loud = [i for i, sample in enumerate(samples) if abs(sample) > 300]
    return pcm[2 * loud[0] : 2 * loud[-1] + 2]


class Recorded(World):
    """Hears `pieces` one after the other; the recogniser makes a word of each that is not silence."""

    def __init__(self, setup: dict[str, Any], pieces: Sequence[bytes], **more: Any) -> None:
        plan, at = [], 0.0
        for i, piece in enumerate(pieces):
            seconds = len(piece) / 32000
            if any(piece):
                plan.append(Word(at + 0.3 * seconds, at + 0.7 * seconds, f"piece{i}"))
            at += seconds
        self.seconds = at
        self.audio = b"".join(pieces)
        self.judged = probabilities(self.audio)
        super().__init__(setup, plan=plan, **{"profile": TOLD, **more})

    def _speech(self, at: float) -> float:
        index = int(at * 16000 / 512)
        return self.judged[index] if index < len(self.judged) else 0.0

    def _listen(self, command: Any) -> None:
        if isinstance(command, JudgeTurn):
            judged = finished(self.audio[2 * command.start : 2 * command.end])
            self.later(0.03, TurnJudged(command.utterance, command.end, judged))
        else:
            super()._listen(command)

    def play(self, chunk: float = 0.1) -> Recorded:
        self.stream(self.seconds, chunk=chunk)
        return self


def detection(**settings: Any) -> dict[str, Any]:
    return {**TALK, "realtimeInputConfig": {"automaticActivityDetection": settings}}


def offsets(world: World, kind: str) -> list[float]:
    """Seconds of the audio at which activity started or ended."""
    found = [m.voice_activity for m in world.messages if m.voice_activity is not None]
    return [float((v.audio_offset or "").rstrip("s")) for v in found if str(v.type) == kind]


def test_the_silence_decides_whether_a_pause_ends_the_turn() -> None:
    pieces = [pause(0.3), recording("q_pause_a"), pause(0.7), recording("q_pause_b"), pause(4)]
    patient = Recorded(detection(silenceDurationMs=2500), pieces).play()
    hasty = Recorded(detection(silenceDurationMs=300), pieces, replies=[STORY]).play()
    assert patient.transcript == "piece1 piece3"
    assert len(offsets(patient, "ACTIVITY_END")) == 1
    assert len(offsets(hasty, "ACTIVITY_END")) == 2
    assert "interrupted" in hasty.kinds()


JUDGED = ModelProfile(MODEL, voice_activity=True, turn_detector=True)


@pytest.mark.parametrize("before", [0.5, 0.51, 0.52, 0.53])  # the frames lie otherwise
def test_who_thinks_for_700_ms_is_waited_for(before: float) -> None:
    pieces = [pause(before), sounding(recording("q_pause_a")), pause(0.7), sounding(recording("q_pause_b")), pause(3)]
    world = Recorded(TALK, pieces, profile=JUDGED).play(0.02)
    assert world.transcript == "piece1 piece3"
    assert len(offsets(world, "ACTIVITY_END")) == 1
    hasty = Recorded(detection(silenceDurationMs=500), pieces, profile=JUDGED).play(0.02)
    assert len(offsets(hasty, "ACTIVITY_END")) == 2


def test_who_thinks_for_longer_goes_on_where_no_answer_was_heard_yet() -> None:
    """With the silence at their edges the recordings make a pause of 1.5 s, longer than any turn is waited for; the
    first audio of an answer takes as long where the model or the machine is slow."""
    pieces = [pause(0.3), recording("q_pause_a"), pause(0.7), recording("q_pause_b"), pause(4)]
    slow, quick = spoken("For when?", delay=1.0), spoken("A table for two.", delay=0.1)
    world = Recorded(TALK, pieces, profile=JUDGED, replies=[slow, quick]).play(0.02)
    assert len(offsets(world, "ACTIVITY_END")) == 2
    assert "interrupted" not in world.kinds()
    assert world.kinds().count("turnComplete") == 1
    assert world.history == [("user", "piece1 piece3"), ("model", "A table for two.")]
    hasty = Recorded(TALK, pieces, profile=JUDGED, replies=[quick, quick]).play(0.02)
    assert "interrupted" in hasty.kinds(), "what was heard is interrupted"


@pytest.mark.parametrize("before", [0.5, 0.51, 0.52, 0.53])
def test_who_has_finished_is_answered_soon(before: float) -> None:
    question = sounding(recording("q_capital"))
    world = Recorded(TALK, [pause(before), question, pause(3)], profile=JUDGED).play(0.02)
    assert world.at("ACTIVITY_END")[0] - (before + len(question) / 32000) <= 0.45


def test_the_padding_decides_how_much_speech_counts() -> None:
    pieces = [pause(0.5), recording("q_capital")[:16000], pause(2)]  # half a second of it
    assert Recorded(detection(prefixPaddingMs=20), pieces).play().at("ACTIVITY_START")
    assert not Recorded(detection(prefixPaddingMs=1000), pieces).play().at("ACTIVITY_START")


def test_a_longer_padding_starts_later() -> None:
    pieces = [pause(0.5), recording("q_capital"), pause(2)]
    soon = Recorded(detection(prefixPaddingMs=20), pieces).play().at("ACTIVITY_START")[0]
    late = Recorded(detection(prefixPaddingMs=600), pieces).play().at("ACTIVITY_START")[0]
    assert late - soon == pytest.approx(0.58, abs=0.2)


def test_a_low_start_sensitivity_leaves_faint_speech_alone() -> None:
    """Fainter and fainter: there is a level that only the high sensitivity notices."""

    def notices(sensitivity: str, factor: float) -> bool:
        pieces = [pause(0.5), quieter(recording("q_weather"), factor), pause(1.5)]
        setup = detection(startOfSpeechSensitivity=f"START_SENSITIVITY_{sensitivity}", prefixPaddingMs=200)
        return bool(Recorded(setup, pieces).play().at("ACTIVITY_START"))

    levels = [0.5 / 1.35**i for i in range(24)]
    heard = {s: [notices(s, level) for level in levels] for s in ("HIGH", "LOW")}
    assert all(high or not low for high, low in zip(heard["HIGH"], heard["LOW"], strict=True))
    assert sum(heard["HIGH"]) > sum(heard["LOW"]) > 0


def test_a_low_end_sensitivity_waits_longer() -> None:
    pieces = [pause(0.3), recording("q_capital"), pause(2.5)]
    ends = {
        s: Recorded(detection(endOfSpeechSensitivity=f"END_SENSITIVITY_{s}"), pieces).play().at("ACTIVITY_END")[0]
        for s in ("HIGH", "LOW")
    }
    assert ends["LOW"] - ends["HIGH"] == pytest.approx(0.3, abs=0.15)


def test_disabled_only_the_client_says_when() -> None:
    pieces = [pause(0.3), recording("q_capital"), pause(2)]
    world = Recorded(detection(disabled=True), pieces)
    world.play()
    assert world.kinds() == ["setupComplete"]
    world.client({"realtimeInput": {"activityStart": {}}})
    world.run(1)
    world.client({"realtimeInput": {"activityEnd": {}}})
    world.run(3)
    assert world.kinds()[-1] == "turnComplete"


@pytest.mark.parametrize("handling", ["START_OF_ACTIVITY_INTERRUPTS", "NO_INTERRUPTION"])
def test_the_handling_decides_whether_speech_interrupts(handling: str) -> None:
    setup = {**TALK, "realtimeInputConfig": {"activityHandling": handling}}
    pieces = [pause(0.3), recording("q_story"), pause(3), recording("stop"), pause(12)]
    world = Recorded(setup, pieces, replies=[STORY]).play()
    assert ("interrupted" in world.kinds()) == (handling == "START_OF_ACTIVITY_INTERRUPTS")
    assert world.kinds().count("turnComplete") == 2
    if handling == "START_OF_ACTIVITY_INTERRUPTS":
        spoken_at = (0.3 + len(recording("q_story")) / 32000) + 3
        [_, onset] = offsets(world, "ACTIVITY_START")
        assert onset == pytest.approx(spoken_at, abs=0.5)
        assert world.at("interrupted")[0] - onset < 0.096 + 0.132, "padding, a frame and a chunk of 100 ms"


@pytest.mark.parametrize("coverage", ["TURN_INCLUDES_ONLY_ACTIVITY", "TURN_INCLUDES_ALL_INPUT"])
def test_the_coverage_decides_whether_silence_counts(coverage: str) -> None:
    setup = {**TALK, "realtimeInputConfig": {"turnCoverage": coverage}}
    world = Recorded(setup, [pause(4), recording("q_capital"), pause(3)]).play()
    [heard] = [p for p in world.session.messages[0].parts if isinstance(p, Heard)]
    assert (heard.start == 0) == (coverage == "TURN_INCLUDES_ALL_INPUT")
    assert heard.start == 0 or heard.start > 3.5 * 16000


@pytest.mark.parametrize("end", [True, False])
def test_a_stream_that_ends_needs_no_silence(end: bool) -> None:
    world = Recorded(detection(), [pause(0.3), recording("q_capital")]).play()
    if end:
        world.client({"realtimeInput": {"audioStreamEnd": True}})
    world.run(0.2)
    assert bool(world.at("ACTIVITY_END")) is end
    world.run(3)
    assert world.kinds()[-1] == "turnComplete", "a second without audio ends it all the same"


def test_activity_is_told_where_the_profile_says_so() -> None:
    pieces = [pause(0.5), recording("q_capital"), pause(2)]
    world = Recorded(detection(), pieces).play()
    assert len(world.at("ACTIVITY_START")) == len(world.at("ACTIVITY_END")) == 1
    assert offsets(world, "ACTIVITY_START") == [pytest.approx(0.9, abs=0.1)], "0.4 s of the recording are silence"
    plain = Recorded(TALK, pieces, profile=ModelProfile(MODEL)).play()
    assert not plain.at("ACTIVITY_START")


@pytest.mark.parametrize("asked_for", [True, False])
def test_vertex_tells_of_activity_twice_where_asked_for(asked_for: bool) -> None:
    setup = {**TALK, "explicitVadSignal": asked_for}
    # On Vertex both sensitivities are low unless the client says otherwise.
    world = Recorded(
        setup, [pause(0.5), recording("q_capital"), pause(2)], profile=ModelProfile(MODEL), vertex=True
    ).play()
    told = [k for k in world.kinds() if k.startswith(("ACTIVITY_", "VAD_SIGNAL_"))]
    assert told == (
        ["ACTIVITY_START", "VAD_SIGNAL_TYPE_SOS", "ACTIVITY_END", "VAD_SIGNAL_TYPE_EOS"] if asked_for else []
    )
    if asked_for:
        speech_ends = 0.5 + len(recording("q_capital")) / 32000
        assert offsets(world, "ACTIVITY_START") == [pytest.approx(0.9, abs=0.1)]
        assert 1.5 < offsets(world, "ACTIVITY_END")[0] <= speech_ends + 0.1
        assert world.at("VAD_SIGNAL_TYPE_SOS") == world.at("ACTIVITY_START")


def test_offsets_count_all_the_audio_of_the_session() -> None:
    """Two questions: the second one's offsets are not those of its own audio."""
    first = [pause(0.5), recording("q_capital"), pause(6)]
    world = Recorded(detection(), [*first, recording("q_weather"), pause(2)]).play()
    begins = sum(len(piece) for piece in first) / 32000
    starts, ends = offsets(world, "ACTIVITY_START"), offsets(world, "ACTIVITY_END")
    assert len(starts) == len(ends) == 2
    assert starts[0] < ends[0] < begins <= starts[1] < ends[1] < begins + len(recording("q_weather")) / 32000 + 0.1
