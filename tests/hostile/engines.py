"""Scripted engines that misbehave where they are asked to, and serve everybody else as scripted.

What is typed says how: `model: endless` to the language model, `voice: odd` to the voice, `endpoint: gzip` to an
endpoint of `endpoints.py`; `recall` asks for all that was typed. The recogniser goes by the pitch of what is spoken
(`PITCHES`), the detector by its loudness. Endpoints are found by the environment variable
HOSTILE_ENDPOINTS (`http://127.0.0.1:1234`).
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import cache
from pathlib import Path
from typing import Any, cast

from openlive.engines.api import Resources
from openlive.engines.llm import openai
from openlive.engines.stt import openai as openai_stt
from openlive.engines.tts import openai as openai_tts
from openlive.testing import scripted
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD, ScriptedVADStream, last_words
from openlive.types import (
    INPUT_RATE,
    OUTPUT_RATE,
    FunctionCall,
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

SECOND = bytes(48_000)
"""Of a voice's silence."""
POURED = 403_000_000
"""Bytes that a voice gives within twenty seconds at most."""
MANY = 1_000_000
PITCHES = {1000: "long", 1300: "odd", 1600: "endless", 2000: "transcript", 2500: "gzip"}
"""Hz of speech, and what the recogniser does at it; speech of neighbours has less than 600."""
PIECE = 64_000
"""Bytes that the detector judges at once."""
LOUD = 30_000.0
"""RMS of what makes the detector give nonsense."""


# --- the language model -----------------------------------------------------------------------------------------------


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def _code() -> Iterator[Written]:
    """An open block of code, token by token."""
    yield Text("Look:\n```python\n")
    for i in range(4_000):
        yield Text(f"x{i} = ({i})\n" if i % 8 == 0 else f" # w{i}")


WRITTEN: dict[str, Callable[[], Iterator[Written]]] = {
    "burst": lambda: (Text("word ") for _ in range(100_000)),
    "one": lambda: iter([Text("word " * 4_000_000)]),
    "code": _code,
    "digits": lambda: iter([Text("1" * 50_000), Text(" and "), Text("1,1." * 10_000)]),
    "brackets": lambda: iter([Text("([{<*_`" * 10_000)]),
    "letters": lambda: (Text("a" * 100) for _ in range(1_000)),
    "lines": lambda: (Text("\n|-" * 10) for _ in range(2_000)),
    "thoughts": lambda: (Thought("hm ") for _ in range(100_000)),
    "calls": lambda: (FunctionCall("", "f", {"a": 1}) for _ in range(20_000)),
    "call": lambda: iter([FunctionCall("", "f", {})]),
    "deep": lambda: iter([FunctionCall("", "f", _nested(3_000))]),
    "no json": lambda: iter([FunctionCall("", "f", {"a": math.nan, "b": {1, 2}, "c": object()})]),
    "no name": lambda: iter([FunctionCall("", cast("Any", None), {})]),
    "usage nan": lambda: iter([Text("yes"), Usage(cast("Any", math.nan), cast("Any", math.inf))]),
    "usage text": lambda: iter([Text("yes"), Usage(cast("Any", "many"), cast("Any", None))]),
    "usage large": lambda: iter([Text("yes"), Usage(10**400, -5)]),
    "no text": lambda: iter([Text("yes"), Text(cast("Any", None))]),
    "half a letter": lambda: iter([Text("yes \ud83d")]),
    "nothing": lambda: iter([cast("Any", None), cast("Any", "yes"), cast("Any", 5)]),
}


async def _written(name: str) -> AsyncGenerator[Written, None]:
    if name == "cancelled":
        raise asyncio.CancelledError
    if name == "endless":
        while True:
            yield Text("word ")
            await asyncio.sleep(0)
    for piece in WRITTEN[name]():
        yield piece
    await asyncio.sleep(0)


async def _spoken(text: str) -> AsyncGenerator[Written, None]:
    yield Text(text)


class HostileLLM(ScriptedLLM):
    async def generate(self, request: Request) -> AsyncGenerator[Written, None]:
        said = last_words(request)
        self.requests.clear()
        who, _, how = said.partition(": ")
        if who == "model":
            source: AsyncIterator[Written] = _written(how)
        elif who == "endpoint":
            source = _asked("llm", how.split(" ")[0]).generate(request)
        elif said == "recall":
            source = _spoken(" / ".join(m.text for m in request.messages if m.role == "user"))
        elif who in ("voice", "endpoint of the voice"):
            source = _spoken(f"hostile-{'voice' if who == 'voice' else 'endpoint'}-{how.replace(' ', '-')}.")
        else:
            source = super().generate(request)
        async with aclosing(cast("AsyncGenerator[Written, None]", source)) as pieces:
            async for piece in pieces:
                yield piece

    async def prefill(self, request: Request) -> None:
        """Keeps none of them, as the original does."""

    def forget(self, conversation: str) -> None:
        """Nor these."""


# --- the voice --------------------------------------------------------------------------------------------------------


def _pour() -> Iterator[Speech]:
    for _ in range(POURED // len(SECOND) // 10):
        yield Speech(SECOND * 10)


SPOKEN: dict[str, Callable[[], Iterator[Speech]]] = {
    "odd": lambda: iter([Speech(bytes(4801)), Speech(bytes(1)), Speech(bytes(3))]),
    "large": lambda: iter([Speech(bytes(1 << 20)), Speech(bytes(20_000_000))]),
    "pour": _pour,
    "empty": lambda: (Speech(b"") for _ in range(100_000)),
    "crumbs": lambda: (Speech(bytes(2)) for _ in range(100_000)),
    "no bytes": lambda: iter([Speech(cast("Any", None)), Speech(cast("Any", "audio"))]),
    "no text": lambda: iter([Speech(SECOND, cast("Any", None))]),
    "other text": lambda: iter([Speech(SECOND, "what nobody wrote " * 100_000)]),
    "words": lambda: iter([Speech(SECOND, "", (Word("x", -5, 10**12), Word(cast("Any", None), 5, 1)))]),
}


async def _one(clause: str) -> AsyncIterator[str]:
    yield clause


class HostileTTS(ScriptedTTS):
    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Speech, None]:
        async for clause in text:
            _, _, asked = clause.partition("hostile-endpoint-")
            if asked:
                async for piece in _asked("tts", asked.strip(" .")).speak(_one(clause), voice):
                    yield piece
                continue
            how = clause.partition("hostile-voice-")[2].strip(" .").replace("-", " ")
            if how == "cancelled":
                raise asyncio.CancelledError
            if how not in SPOKEN:
                await asyncio.sleep(self.delay)
                long = len(clause) > 400  # what it computes for that would be this engine's own load
                yield (
                    Speech(bytes(2 * int(self.character * OUTPUT_RATE)), clause) if long else self.render_clause(clause)
                )
                continue
            yield Speech(b"", clause)
            for number, piece in enumerate(SPOKEN[how]()):
                yield piece
                if how == "pour":
                    await asyncio.sleep(0.02 if number % 4 == 0 else 0)


# --- the recogniser and the detector ----------------------------------------------------------------------------------


class HostileSTT(ScriptedSTT):
    async def transcribe(
        self,
        audio: AsyncIterator[bytes],
        *,
        languages: Sequence[str] = (),
        phrases: Sequence[str] = (),
        words: bool = False,
    ) -> AsyncGenerator[Transcript, None]:
        begun: list[bytes] = []
        how = ""
        async for chunk in audio:
            begun.append(chunk)
            if chunk and scripted.rms_level(chunk) > self.threshold:
                pitch = scripted.count_crossings(chunk) * INPUT_RATE / len(chunk)
                nearest = min(PITCHES, key=lambda hz: abs(hz - pitch))
                how = PITCHES[nearest] if abs(nearest - pitch) < 100 else ""
                break
        rest = _chained(begun, audio)
        if how in ("transcript", "gzip"):
            found = _asked("stt", how).transcribe(rest)
        elif how:
            found = _heard(how, rest)
        else:
            found = super().transcribe(rest, languages=languages, phrases=phrases, words=words)
        async for transcript in found:
            yield transcript


async def _chained(begun: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in begun:
        yield chunk
    async for chunk in rest:
        yield chunk


async def _heard(how: str, audio: AsyncIterator[bytes]) -> AsyncIterator[Transcript]:
    samples = 0
    async for chunk in audio:
        samples += len(chunk) // 2
        if how == "endless":
            for number in range(50_000):
                yield Transcript(f"word {number}", samples)
                if number % 100 == 0:
                    await asyncio.sleep(0)
        elif how == "long":
            yield Transcript("word " * 200_000, samples, final=not chunk)
        elif how == "odd":
            yield Transcript(cast("Any", None), -5, final=not chunk)
            yield Transcript("\ud83d", 10**15, final=not chunk, language=cast("Any", 5))
            yield cast("Any", "a transcript")


class HostileVAD(ScriptedVAD):
    def stream(self, tell: Callable[[Any], None]) -> ScriptedVADStream:
        return _HostileStream(self, self.begin_use(), tell)


class _HostileStream(ScriptedVADStream):
    async def judge_frames(self, audio: bytes) -> Sequence[tuple[float, int]]:
        if len(audio) > PIECE:  # a scripted detector has no thread, as a real one does
            found: list[tuple[float, int]] = []
            for at in range(0, len(audio), PIECE):
                found += await self.judge_frames(audio[at : at + PIECE])
                await asyncio.sleep(0)
            return found
        if audio and scripted.rms_level(audio[: len(audio) & ~1]) > LOUD:
            return [(math.nan, 512), (7.0, -512), (cast("Any", None), 512), (0.9, 10**12)]
        return await super().judge_frames(audio)


# --- how they are made ------------------------------------------------------------------------------------------------


@cache
def _asked(kind: str, name: str) -> Any:
    """The engine of an endpoint, made when it is asked for first."""
    made: dict[str, Any] = {"llm": openai.create, "stt": openai_stt.create, "tts": openai_tts.create}
    resources = Resources(Path, 1, 0, {"model": "m"})
    return made[kind](f"{os.environ['HOSTILE_ENDPOINTS']}/{name}/v1", resources)


def _made(engine: Any) -> Callable[[str, Resources], Any]:
    import msgspec

    return lambda _, resources: msgspec.convert(resources.settings, engine, strict=False)


create_vad, create_stt, create_llm, create_tts = map(_made, (HostileVAD, HostileSTT, HostileLLM, HostileTTS))
