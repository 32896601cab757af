"""Who speaks while an answer plays: `barge_in = "words"` between back-channels, noises and interruptions.

The session, Silero and the recogniser are the real ones; the clock is virtual: what a pass of the recogniser takes is
the processor time that it took. The user's language is known, as it is after a first turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct
from rich.table import Table

from openlive.core.commands import (
    Command,
    EndRecognition,
    FeedRecognition,
    FlushRecognition,
    JudgeTurn,
    StartRecognition,
    StartReply,
)
from openlive.core.events import Transcribed
from openlive.core.listening.backchannel import wants_the_floor
from openlive.core.setup.profile import ModelProfile
from openlive.engines.runtime.workers import WorkerPool
from openlive.engines.stt.auto import AutoSTT
from openlive.engines.stt.incremental import Hints, IncrementalUtterance, ThreadedPassRunner
from openlive.engines.vad.silero.engine import SileroVAD
from openlive.types import INPUT_RATE, Transcript
from tests.bench.turnset import Speaker, TurnSet
from tests.core.world import MODEL, TALK, World, speech
from tests.engines.speech import Detector

PROFILE = ModelProfile(MODEL, barge_in="words")
BEFORE, AFTER = 2.0, 2.5
"""Seconds of silence around what is said; the answer plays all the time."""
FRAME = 512


class Remark(Struct, frozen=True):
    """`wants`: it is to interrupt. `known`: the samples after which its first word that is no back-channel is over,
    each letter taking as long."""

    name: str
    group: str
    language: str
    audio: bytes
    wants: bool = False
    known: int = 0


class Outcome(Struct, frozen=True):
    """Seconds of the virtual clock; `interrupted` counts from the end of the first word that matters, -1: never."""

    remark: Remark
    noticed: bool
    interrupted: float
    answered: bool
    heard: str

    @property
    def right(self) -> bool:
        return self.answered is self.remark.wants and (self.interrupted >= 0 or not self.remark.wants)


def remarks(speaker: Speaker, sentences: TurnSet) -> Iterator[Remark]:
    for language, texts in sentences.barge_in.back_channels.items():
        for text in texts:
            yield Remark(text, "back-channels", language, speaker.say(text, language))
    for name, audio in hums():
        yield Remark(name, "back-channels", "en", audio)
    for name, audio in noises():
        yield Remark(name, "noises", "en", audio)
    for language, texts in sentences.barge_in.interruptions.items():
        for text in texts:
            audio = speaker.say(text, language)
            known = len(audio) // 2 * _known(text) // len(text)
            yield Remark(text, "interruptions", language, audio, wants=True, known=known)


def _known(text: str) -> int:
    """The letters up to the end of the first word that is no back-channel."""
    words = text.split()
    first = next(n for n in range(1, len(words) + 1) if wants_the_floor(" ".join(words[:n]), final=True))
    return len(" ".join(words[:first]))


def hums() -> Iterator[tuple[str, bytes]]:
    """ "Mm-hm" and "mm", which Kokoro spells: a nasal's harmonics, below 400 Hz nearly all of it."""
    for pitch in (110, 150, 210):
        for name, rises in (("mm-hm", (0.95, 1.2)), ("mm", (1.0,))):
            parts = []
            for rise in rises:
                at = np.arange(round(0.22 * INPUT_RATE)) / INPUT_RATE
                phase = 2 * np.pi * pitch * rise * (at + 0.15 * at**2)
                voice = sum(np.sin(k * phase) / (1 + (k * pitch / 350) ** 2) for k in range(1, 3000 // pitch))
                parts += [0.2 * voice * np.minimum(1, np.minimum(at, at[::-1]) / 0.04), np.zeros(INPUT_RATE // 25)]
            yield f"{name} at {pitch} Hz", (np.concatenate(parts) * 32767).clip(-32767, 32767).astype("<i2").tobytes()


def noises() -> Iterator[tuple[str, bytes]]:
    """Coughs, doors and the like: bursts of noise, coloured and dying away."""
    random = np.random.default_rng(5)
    shapes = {
        "cough": ((0.0, 0.12, 0.5), (0.3, 0.2, 0.4)),
        "long cough": ((0.0, 0.1, 0.5), (0.25, 0.1, 0.5), (0.5, 0.1, 0.5), (0.8, 0.3, 0.4)),
        "door": ((0.0, 0.15, 0.8),),
        "knocks": ((0.0, 0.03, 0.6), (0.2, 0.03, 0.6), (0.4, 0.03, 0.6)),
        "keys": tuple((0.12 * i, 0.008, 0.25) for i in range(8)),
        "chair": ((0.0, 0.5, 0.2),),
        "clearing the throat": ((0.0, 0.25, 0.3), (0.35, 0.3, 0.3)),
        "plates": ((0.0, 0.05, 0.5), (0.1, 0.1, 0.3)),
    }
    lows = {"door": 0.97, "knocks": 0.9, "cough": 0.6, "long cough": 0.6, "clearing the throat": 0.85}
    for name, bursts in shapes.items():
        audio = np.zeros(round(1.5 * INPUT_RATE))
        for start, length, loud in bursts:
            at = np.arange(round(5 * length * INPUT_RATE)) / INPUT_RATE
            burst = (
                _low(random.normal(0, 1, len(at)), lows.get(name, 0.3))
                * np.exp(-at / length)
                * np.minimum(1, at / 0.01)
            )
            begin = round(start * INPUT_RATE)
            end = min(len(audio), begin + len(burst))
            audio[begin:end] += loud * burst[: end - begin] / max(1e-9, float(np.abs(burst).max()))
        yield name, (np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes()


def _low(
    noise: np.ndarray[tuple[int], np.dtype[np.float64]], share: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    out, kept = np.empty_like(noise), 0.0
    for i, value in enumerate(noise):
        kept = share * kept + (1 - share) * float(value)
        out[i] = kept
    return out


class Talking(World):
    """A world that hears `audio` with real engines while an answer plays."""

    def __init__(self, remark: Remark, vad: SileroVAD, ears: AutoSTT, loop: asyncio.AbstractEventLoop) -> None:
        silence = bytes(2 * round(BEFORE * INPUT_RATE)), bytes(2 * round(AFTER * INPUT_RATE))
        self.audio = silence[0] + remark.audio + silence[1]
        self._ears, self._loop, self._workers = ears, loop, WorkerPool(1, "turns")
        self._utterances: dict[int, IncrementalUtterance] = {}
        self.told = ""
        self._frames = loop.run_until_complete(self._probabilities(vad))
        setup = {**TALK, "inputAudioTranscription": {"languageCodes": [remark.language]}}
        super().__init__(setup, profile=PROFILE, replies=[[(0.1, speech(30.0, "word " * 60))]])
        self.text("Go on.")
        self.stream(len(self.audio) / 2 / INPUT_RATE, chunk=0.02)

    async def _probabilities(self, vad: SileroVAD) -> list[float]:
        stream = Detector(vad)
        frames = [probability for probability, _ in await stream.push(self.audio)]
        stream.close()
        return frames

    def _speech(self, at: float) -> float:
        index = int(at * INPUT_RATE / FRAME)
        return self._frames[index] if index < len(self._frames) else 0.0

    def _listen(
        self, command: StartRecognition | FeedRecognition | FlushRecognition | EndRecognition | JudgeTurn
    ) -> None:
        match command:
            case StartRecognition(number, languages, phrases):
                self.injected.add(number)
                self._heard[number] = -1
                self._utterances[number] = IncrementalUtterance(
                    ThreadedPassRunner(self._ears, self._workers), Hints(languages, phrases)
                )
            case FeedRecognition(number, start, end):
                self._heard[number] = end
                self._loop.run_until_complete(self._pass(number, self.audio[2 * start : 2 * end]))
            case FlushRecognition(number):
                self._loop.run_until_complete(self._flush(number))
            case EndRecognition(number):
                self._utterances.pop(number).drop_pass()
                self._heard.pop(number)

    async def _pass(self, number: int, audio: bytes) -> None:
        utterance, begun = self._utterances[number], time.process_time()
        utterance.add_audio(audio)
        utterance.start_pass_if_due()
        if utterance.running is not None:
            await asyncio.wait((utterance.running.pending_task,))
            self._tell(number, utterance.collect_pass(), begun)

    async def _flush(self, number: int) -> None:
        begun = time.process_time()
        async for transcript in self._utterances[number].flush():
            self._tell(number, transcript, begun)

    def _tell(self, number: int, transcript: Transcript | None, begun: float) -> None:
        if transcript is not None:
            self.told = transcript.text
            self.later(time.process_time() - begun, Transcribed(number, transcript))


def outcome(remark: Remark, vad: SileroVAD, ears: AutoSTT, loop: asyncio.AbstractEventLoop) -> Outcome:
    world = Talking(remark, vad, ears, loop)
    at = world.at("interrupted")
    late = at[0] - BEFORE - remark.known / INPUT_RATE if at else -1.0
    commands: list[Command] = world.of(StartReply)
    return Outcome(
        remark, bool(world.of(StartRecognition)), max(late, 0.0) if at else -1.0, len(commands) > 1, world.told
    )


def table(outcomes: Sequence[Outcome]) -> Table:
    made = Table("while an answer plays", "said", "noticed", "interrupts", "median", "most", box=None, pad_edge=False)
    for column in made.columns[1:]:
        column.justify = "right"
    for group in dict.fromkeys(o.remark.group for o in outcomes):
        for kind, english in (("", True), (", other languages", False)):
            chosen = [o for o in outcomes if o.remark.group == group and (o.remark.language == "en") is english]
            late = sorted(o.interrupted for o in chosen if o.interrupted >= 0)
            figures = [f"{1000 * ms:.0f} ms" for ms in (late[len(late) // 2], late[-1])] if late else ["", ""]
            if chosen:
                noticed = sum(o.noticed for o in chosen)
                made.add_row(group + kind, *(str(n) for n in (len(chosen), noticed, len(late))), *figures)
    return made
