"""Deterministic engines of every kind, for tests and for load: what they say is given, what they take is a fixed delay.

As entry points they are called `scripted`; the keys of an engine's table are the fields of its class (`reply = "…"`,
`delay = 0.05`, …). Delays are in seconds. `faults` says which use goes wrong and how, counted from 1: `{2: "raise"}`,
in a configuration `faults = { 2 = "raise" }`. There is no randomness.

- `raise` raises `ScriptedError` (a model after half of its reply),
- `hang` never answers, until it is cancelled,
- `late` takes `lateness` seconds more.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import anyio
import msgspec
import numpy as np
from msgspec import Struct, field

from openlive.engines.api import Judged, Resources
from openlive.types import (
    INPUT_RATE,
    OUTPUT_RATE,
    FunctionCall,
    FunctionResponse,
    Image,
    Request,
    Speech,
    Text,
    Thought,
    Transcript,
    Usage,
    Voice,
    Word,
    Written,
)

Fault = Literal["raise", "hang", "late"]
FRAME = 512
"""Samples per frame, those of Silero VAD at 16 kHz."""
VOICES = ("Puck", "Charon", "Kore", "Fenrir", "Aoede", "Leda", "Orus", "Zephyr")


class ScriptedError(Exception):
    """Raised because the script says so."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class ScriptedEngine(Struct):
    """What all of them share. `uses` counts the streams, utterances, replies or spoken texts so far."""

    delay: float = 0.0
    lateness: float = 10.0
    faults: Mapping[int, Fault] = {}
    uses: int = field(default=0)

    def begin_use(self) -> Fault | None:
        """Counts one more use; gives the fault that it is to have."""
        self.uses += 1
        return self.faults.get(self.uses)

    async def simulate_work(self, fault: Fault | None) -> None:
        """Takes `delay`, then goes wrong as `fault` has it."""
        await anyio.sleep(self.delay)
        if fault == "raise":
            raise ScriptedError(f"{type(self).__name__} fails at use {self.uses}, as its script says")
        if fault == "hang":
            await anyio.sleep_forever()
        if fault == "late":
            await anyio.sleep(self.lateness)


Engine = TypeVar("Engine", bound=ScriptedEngine)


class ScriptedVAD(ScriptedEngine):
    """Speech is what is loud: probability `loud` where a frame's RMS (of 32768) reaches `threshold`, else `quiet`."""

    threshold: float = 500.0
    loud: float = 0.98
    quiet: float = 0.02

    def stream(self, tell: Callable[[Judged], None]) -> ScriptedVADStream:
        return ScriptedVADStream(self, self.begin_use(), tell)


class ScriptedVADStream:
    def __init__(self, script: ScriptedVAD, fault: Fault | None, tell: Callable[[Judged], None]) -> None:
        self._script = script
        self._fault = fault
        self._tell = tell
        self._waiting = b""
        self._pushed: asyncio.Queue[bytes] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._judge_pushed())

    def push(self, audio: bytes) -> None:
        self._pushed.put_nowait(audio)

    async def _judge_pushed(self) -> None:
        try:
            while True:
                if frames := await self.judge_frames(await self._pushed.get()):
                    self._tell(frames)
        except Exception as error:
            self._tell(error)

    async def judge_frames(self, audio: bytes) -> Sequence[tuple[float, int]]:
        self._waiting += audio
        full = len(self._waiting) // (2 * FRAME) * (2 * FRAME)
        frames, self._waiting = self._waiting[:full], self._waiting[full:]
        await self._script.simulate_work(self._fault)
        if not frames:
            return []
        samples = np.frombuffer(frames, np.dtype("<i2")).reshape(-1, FRAME).astype(np.float64)
        levels = np.sqrt((samples**2).mean(axis=1))
        script = self._script
        return [(script.loud if level >= script.threshold else script.quiet, FRAME) for level in levels]

    def close(self) -> None:
        self._task.cancel()


class ScriptedTurn(ScriptedEngine):
    """Finds every pause to be the end of the turn by `probability`."""

    probability: float = 0.5

    async def finished(self, audio: bytes) -> float:
        del audio  # the script knows
        await self.simulate_work(self.begin_use())
        return self.probability


class ScriptedSTT(ScriptedEngine):
    """Hears `transcripts` in order, one per utterance with sound in it, and again from the first.

    With `tones` (Hz -> transcript) the utterance itself says what it is: the tone nearest to the pitch of its first
    loud chunk. Partial transcripts grow by a word per `pace` seconds of sound. What is below `threshold` is no speech.
    Where offsets of words are asked for, each word lasts `pace` seconds, the first one from the first loud chunk on.
    """

    transcripts: tuple[str, ...] = ("hello",)
    tones: Mapping[int, str] = {}
    language: str = "en"
    pace: float = 0.3
    threshold: float = 500.0
    heard: int = 0

    async def transcribe(
        self,
        audio: AsyncIterator[bytes],
        *,
        languages: Sequence[str] = (),
        phrases: Sequence[str] = (),
        words: bool = False,
    ) -> AsyncIterator[Transcript]:
        del languages, phrases  # the script knows what will be heard
        fault = self.begin_use()
        samples = loud = shown = onset = 0
        heard: list[str] = []
        async for chunk in audio:
            if not chunk:
                await self.simulate_work(fault)
                timed = self._word_offsets(heard, onset) if words else ()
                yield Transcript(" ".join(heard), samples, final=True, language=self.language, words=timed)
                continue
            samples += len(chunk) // 2
            if rms_level(chunk) < self.threshold:
                continue
            if not heard:
                heard, onset = self._next_words(chunk), samples - len(chunk) // 2
            loud += len(chunk) // 2
            if (count := min(len(heard), int(loud / INPUT_RATE / self.pace))) > shown:
                shown = count
                yield Transcript(" ".join(heard[:count]), samples, language=self.language)

    def _word_offsets(self, heard: Sequence[str], onset: int) -> tuple[Word, ...]:
        each = round(self.pace * INPUT_RATE)
        return tuple(Word(word, onset + i * each, onset + (i + 1) * each) for i, word in enumerate(heard))

    def _next_words(self, chunk: bytes) -> list[str]:
        self.heard += 1
        if self.tones:
            pitch = count_crossings(chunk) * INPUT_RATE / len(chunk)
            return self.tones[min(self.tones, key=lambda tone: abs(tone - pitch))].split()
        return self.transcripts[(self.heard - 1) % len(self.transcripts)].split()


def rms_level(pcm: bytes) -> float:
    """Root mean square, 0 to 32768."""
    return float(np.sqrt((np.frombuffer(pcm, np.dtype("<i2")).astype(np.float64) ** 2).mean()))


def count_crossings(pcm: bytes) -> int:
    """How often the wave changes its sign: twice per period of a tone."""
    return int((np.diff(np.frombuffer(pcm, np.dtype("<i2")) >= 0)).sum())


class ScriptedLLM(ScriptedEngine):
    """Writes what `answers` has for the last words of the user, else `replies` in order, one per request, and again
    from the first; `{}` in one is what the user said last.

    The first token comes after `delay`, each further one (a word) after `token` seconds. Lines that begin with `call:`
    are function calls, made after the rest was written: `call:name {"argument": 1}`. The request that brings their
    results has these as last words. A reply that begins with `think:` is a thought up to the end of its line. It speaks
    up by itself about an image that has one of `notable` in its data or its words.
    """

    replies: tuple[str, ...] = ("You said: {}",)
    answers: Mapping[str, str] = {}
    token: float = 0.0
    notable: tuple[str, ...] = ()
    requests: list[Request] = field(default_factory=list)
    prefilled: list[Request] = field(default_factory=list)
    watched: list[Request] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    async def generate(self, request: Request) -> AsyncIterator[Written]:
        fault = self.begin_use()
        self.requests.append(request)
        said = last_words(request)
        reply = self.answers.get(said, self.replies[(self.uses - 1) % len(self.replies)]).replace("{}", said)
        prompt = sum(len(m.text.split()) for m in request.messages) + len(request.instructions.split())
        await self.simulate_work(None if fault == "raise" else fault)
        thought, reply = split_thought(reply)
        if thought:
            yield Thought(thought)
        text, calls = split_calls(reply)
        tokens = split_words(text)
        for i, token in enumerate(tokens):
            if i:
                await anyio.sleep(self.token)
            if fault == "raise" and i >= len(tokens) // 2:
                await self.simulate_work(fault)
            yield Text(token)
        for call in calls:
            yield call
        yield Usage(prompt, len(tokens) + len(calls))

    async def prefill(self, request: Request) -> None:
        self.prefilled.append(request)

    async def notices(self, request: Request) -> float:
        self.watched.append(request)
        await self.simulate_work(None)  # no use of its own: the replies stay in their order
        image = request.messages[-1].parts[-1]
        assert isinstance(image, Image)
        return float(any(text.encode() in image.data or text in image.words for text in self.notable))

    def forget(self, conversation: str) -> None:
        self.forgotten.append(conversation)


class ScriptedEyes(ScriptedEngine):
    """Sees what `shows` has for the data of an image (its letters), '' in any other; `ValueError` for ''."""

    shows: Mapping[str, str] = {}
    looked: list[bytes] = field(default_factory=list)

    async def describe(self, image: Image) -> str:
        self.looked.append(image.data)
        await self.simulate_work(self.begin_use())
        if not image.data:
            raise ValueError("There is no image.")
        return self.shows.get(image.data.decode("ascii", "ignore"), "")


class ScriptedTTS(ScriptedEngine):
    """A tone of `character` seconds per character, `delay` before each clause; spaces are silent."""

    character: float = 0.06
    pitch: float = 220.0
    names: tuple[str, ...] = VOICES
    spoken: list[tuple[str, Voice]] = field(default_factory=list)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        fault = self.begin_use()
        async for clause in text:
            await self.simulate_work(fault)
            self.spoken.append((clause, voice))
            yield self.render_clause(clause)

    def render_clause(self, clause: str) -> Speech:
        each = int(self.character * OUTPUT_RATE)
        if not any(c.isalnum() for c in clause):
            return Speech(b"", clause)
        wave = 8000 * np.sin(2 * np.pi * self.pitch / OUTPUT_RATE * np.arange(each * len(clause)))
        words: list[Word] = []
        at = 0
        for piece in split_words(clause):
            word = piece.strip()
            start = at + piece.find(word)
            wave[at * each : start * each] = 0
            words.append(Word(word, start * each, (start + len(word)) * each))
            at += len(piece)
        return Speech(wave.astype("<i2").tobytes(), clause, tuple(words))

    @property
    def voices(self) -> Sequence[str]:
        return self.names


def split_words(text: str) -> list[str]:
    """Words with the spaces before them, as a language model writes; joined they are the text."""
    return re.findall(r"\s*\S+(?:\s+$)?|^\s+$", text)


def split_thought(reply: str) -> tuple[str, str]:
    if not reply.startswith("think:"):
        return "", reply
    thought, _, rest = reply.removeprefix("think:").partition("\n")
    return thought.strip(), rest


def split_calls(reply: str) -> tuple[str, list[FunctionCall]]:
    """The text of a reply, and the calls that it makes."""
    text, calls = [], []
    for line in reply.split("\n"):
        if line.startswith("call:"):
            name, _, args = line.removeprefix("call:").partition(" ")
            calls.append(FunctionCall("", name, msgspec.json.decode(args or "{}", type=dict[str, Any])))
        else:
            text.append(line)
    return "\n".join(text), calls


def last_words(request: Request) -> str:
    """What the user said last, or the answer that a function gave."""
    for message in reversed(request.messages):
        if message.role == "user":
            answers = [str(p.response) for p in message.parts if isinstance(p, FunctionResponse)]
            return message.text or " ".join(answers)
    return ""


def _build_factory(engine: type[Engine]) -> Callable[[str, Resources], Engine]:
    def create(argument: str, resources: Resources) -> Engine:
        settings = {**resources.settings, **({PLAIN[engine]: [argument]} if argument else {})}
        return msgspec.convert(settings, engine, strict=False)

    return create


class ScriptedAddressee(ScriptedEngine):
    """What has one of the `asides` in it is not meant for the model."""

    asides: Sequence[str] = ("(aside)",)

    async def meant(self, request: Request) -> float:
        await self.simulate_work(self.begin_use())
        said = request.messages[-1].text
        return 0.0 if any(aside in said for aside in self.asides) else 1.0


PLAIN: dict[type[ScriptedEngine], str] = {ScriptedSTT: "transcripts", ScriptedLLM: "replies", ScriptedTTS: "names"}
"""The field that the argument of a spec stands for: `scripted:Yes.` is a model that says "Yes."."""

create_vad = _build_factory(ScriptedVAD)
create_turn = _build_factory(ScriptedTurn)
create_stt = _build_factory(ScriptedSTT)
create_llm = _build_factory(ScriptedLLM)
create_tts = _build_factory(ScriptedTTS)
create_eyes = _build_factory(ScriptedEyes)
create_addressee = _build_factory(ScriptedAddressee)
