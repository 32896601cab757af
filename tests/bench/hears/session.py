"""A session that hears a clip as a client's microphone sends it: the core, Silero, the judge of ends of turns, the
recogniser and the judge of whom something is said to are the real ones, the clock is virtual. What an engine takes is
counted as `COST`, so that a busy machine changes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from openlive.core.commands import (
    EndRecognition,
    FeedRecognition,
    FlushRecognition,
    JudgeAddressee,
    JudgeScene,
    JudgeTurn,
    StartRecognition,
)
from openlive.core.events import AddresseeJudged, Transcribed, TurnJudged
from openlive.core.setup.profile import ModelProfile
from openlive.engines.addressee import e5
from openlive.engines.api import Resources
from openlive.engines.runtime.workers import WorkerPool
from openlive.engines.stt import auto as auto_stt
from openlive.engines.stt.auto import AutoSTT
from openlive.engines.stt.incremental import Hints, IncrementalUtterance, ThreadedPassRunner
from openlive.engines.turn_detection import smart_turn
from openlive.engines.vad.silero import engine as silero
from openlive.models import ensure
from openlive.types import INPUT_RATE, Transcript
from tests.core.world import MODEL, TALK, World
from tests.engines.speech import Detector

FRAME = 512
CHUNK = 320
"""Samples of a message: 20 ms."""
COST = 0.1
"""Seconds that a pass of the recogniser takes."""
AFTER = 4.0
"""Seconds in which the turn has to come, once the client's audio is over."""


class Engines:
    """Those of the embedded default, and a loop for them."""

    def __init__(self, ears: AutoSTT | None = None) -> None:
        resources = Resources(ensure, 1, 1)
        self.loop = asyncio.new_event_loop()
        self.vad = silero.create("", resources)
        self.turn = smart_turn.create("", resources)
        self.ears = ears or auto_stt.create("", resources)
        self.addressee = e5.create("", resources)
        self.workers = WorkerPool(1, "hears")


class Listening(World):
    """`audio` (s16le mono 16 kHz) is said to a session that was set up by `setup`, whose user has so far spoken
    `spoken` ('' nothing yet), with `manual` activity around it where the client tells that."""

    def __init__(
        self,
        engines: Engines,
        audio: bytes,
        setup: dict[str, Any] | None = None,
        *,
        spoken: str = "",
        manual: bool = False,
        version: str = "v1beta",
        profile: ModelProfile | None = None,
    ) -> None:
        self.audio, self.engines = audio, engines
        self._utterances: dict[int, IncrementalUtterance] = {}
        self.finals: list[Transcript] = []
        self._frames = [] if manual else engines.loop.run_until_complete(self._probabilities())
        asked = dict(setup or TALK)
        if manual:
            asked["realtimeInputConfig"] = {"automaticActivityDetection": {"disabled": True}}
        made = profile or ModelProfile(MODEL, turn_detector=True, addressee=True, proactive=True)
        super().__init__(asked, profile=made, version=version)
        ears = self.session._hearing
        assert ears is not None
        ears.restore_state(replace(ears.resumable_state, spoken=spoken))
        if manual:
            self.client({"realtimeInput": {"activityStart": {}}})
        self.stream(len(audio) / 2 / INPUT_RATE, chunk=CHUNK / INPUT_RATE)
        if manual:
            self.client({"realtimeInput": {"activityEnd": {}}})
        self.run(AFTER)

    @property
    def said(self) -> str | None:
        """What the user said, as the turn has it that was answered; None where no turn was."""
        if not self.at("audio"):
            return None
        return " ".join(text for role, text in self.history if role == "user")

    @property
    def language(self) -> str:
        """Of what was said, as the recogniser told it."""
        return self.finals[-1].language if self.finals else ""

    # The engines.

    async def _probabilities(self) -> list[float]:
        stream = Detector(self.engines.vad)
        frames = [probability for probability, _ in await stream.push(self.audio)]
        stream.close()
        return frames

    def _speech(self, at: float) -> float:
        index = int(at * INPUT_RATE / FRAME)
        return self._frames[index] if index < len(self._frames) else 0.0

    def _listen(
        self, command: StartRecognition | FeedRecognition | FlushRecognition | EndRecognition | JudgeTurn
    ) -> None:
        run = self.engines.loop.run_until_complete
        match command:
            case StartRecognition(number, languages, phrases):
                self.injected.add(number)
                self._heard[number] = -1
                passes = ThreadedPassRunner(self.engines.ears, self.engines.workers)
                self._utterances[number] = IncrementalUtterance(passes, Hints(languages, phrases))
            case FeedRecognition(number, start, end):
                self._heard[number] = end
                run(self._pass(number, self.audio[2 * start : 2 * end]))
            case FlushRecognition(number):
                run(self._flush(number))
            case EndRecognition(number):
                self._utterances.pop(number).drop_pass()
                self._heard.pop(number)
            case JudgeTurn(number, start, end):
                finished = run(self.engines.turn.finished(self.audio[2 * start : 2 * end]))
                self.later(0.03, TurnJudged(number, end, finished))

    async def _pass(self, number: int, audio: bytes) -> None:
        utterance = self._utterances[number]
        utterance.add_audio(audio)
        utterance.start_pass_if_due()
        if utterance.running is not None:
            await asyncio.wait((utterance.running.pending_task,))
            utterance.running.took = COST
            self._tell(number, utterance.collect_pass())

    async def _flush(self, number: int) -> None:
        async for transcript in self._utterances[number].flush():
            self._tell(number, transcript)

    def _tell(self, number: int, transcript: Transcript | None) -> None:
        if transcript is not None:
            if transcript.final:
                self.finals.append(transcript)
            self.later(COST, Transcribed(number, transcript))

    def _judge(self, command: JudgeAddressee | JudgeScene) -> None:
        match command:
            case JudgeAddressee(utterance, number, request):
                meant = self.engines.loop.run_until_complete(self.engines.addressee.meant(request))
                self.later(0.04, AddresseeJudged(utterance, number, meant))
            case _:
                super()._judge(command)
