from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from openlive.engines.api import LLM, STT, TTS, VAD, EngineError, Resources
from openlive.engines.registry import Kind, load_engine
from openlive.testing.scripted import ScriptedError, ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD
from openlive.types import (
    FunctionCall,
    FunctionResponse,
    Message,
    Request,
    Speech,
    Text,
    Thought,
    Transcript,
    Usage,
    Voice,
    Word,
)
from tests.engines.speech import Detector

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tone(seconds: float, hertz: float = 440) -> bytes:
    t = np.arange(int(seconds * 16_000)) / 16_000
    return (9000 * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


def silence(seconds: float) -> bytes:
    return bytes(2 * int(seconds * 16_000))


async def items(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


def asked(*messages: Message) -> Request:
    return Request("c", messages)


SAID = Message("user", (Text("Hi you"),))


def resources(**settings: Any) -> Resources:
    return Resources(weights=Path, threads=1, memory=0, settings=settings)


async def test_the_detector_hears_what_is_loud() -> None:
    stream = Detector(ScriptedVAD())
    assert await stream.push(silence(0.016)) == []
    probabilities = await stream.push(silence(0.048) + tone(0.064))
    assert probabilities == [(0.02, 512), (0.02, 512), (0.98, 512), (0.98, 512)]
    stream.close()


async def test_the_recogniser_hears_its_transcripts_in_order() -> None:
    stt = ScriptedSTT(transcripts=("one two", "three"), pace=0.1)
    heard = [t async for t in stt.transcribe(items(silence(0.1), tone(0.1), tone(0.1), b"", silence(0.1), b""))]
    assert heard == [
        Transcript("one", 3200, language="en"),
        Transcript("one two", 4800, language="en"),
        Transcript("one two", 4800, final=True, language="en"),
        Transcript("one two", 6400, final=True, language="en"),
    ]
    assert [t.text async for t in stt.transcribe(items(silence(0.1), b""))] == [""]
    assert [t.text async for t in stt.transcribe(items(tone(0.05), b""))] == ["three"]


async def test_the_recogniser_tells_where_words_lie_if_it_is_asked() -> None:
    stt = ScriptedSTT(transcripts=("one two",), pace=0.1)
    heard = [t async for t in stt.transcribe(items(silence(0.1), tone(0.1), tone(0.1), b""), words=True)]
    assert [t.words for t in heard] == [(), (), (Word("one", 1600, 3200), Word("two", 3200, 4800))]


async def test_a_tone_says_what_is_heard() -> None:
    stt = ScriptedSTT(tones={300: "low", 900: "high"})
    assert [t.text async for t in stt.transcribe(items(tone(0.1, 880), b""))] == ["high"]
    assert [t.text async for t in stt.transcribe(items(tone(0.1, 310), b""))] == ["low"]


async def test_the_model_answers_in_order_and_repeats_what_was_said() -> None:
    llm = ScriptedLLM(replies=("You said: {}", "think: so\nFine ", 'call:f {"a": 1}', "It is {}"))
    answered = Message("user", (FunctionResponse("1", "f", {"b": 2}),))
    said = [[p async for p in llm.generate(asked(SAID))] for _ in range(3)]
    assert said[0] == [Text("You"), Text(" said:"), Text(" Hi"), Text(" you"), Usage(2, 4)]
    assert said[1] == [Thought("so"), Text("Fine "), Usage(2, 1)]
    assert said[2] == [FunctionCall("", "f", {"a": 1}), Usage(2, 1)]
    assert (
        "".join([p.text async for p in llm.generate(asked(SAID, answered)) if isinstance(p, Text)]) == "It is {'b': 2}"
    )


async def test_the_model_may_speak_before_its_calls() -> None:
    llm = ScriptedLLM(replies=('One moment.\ncall:f\ncall:g {"a": 1}',))
    said = [p async for p in llm.generate(asked(SAID))]
    calls = [FunctionCall("", "f", {}), FunctionCall("", "g", {"a": 1})]
    assert said == [Text("One"), Text(" moment."), *calls, Usage(2, 4)]


async def test_the_model_answers_what_it_knows_an_answer_to() -> None:
    llm = ScriptedLLM(answers={"Hi you": "Hello {}"})
    said = [p async for p in llm.generate(asked(SAID)) if isinstance(p, Text)]
    assert "".join(p.text for p in said) == "Hello Hi you"


async def test_the_voice_speaks_tones_and_keeps_the_text() -> None:
    speech = [s async for s in ScriptedTTS(character=0.01).speak(items("Hello", " old you.", " …"), Voice("Puck"))]
    assert [s.text for s in speech] == ["Hello", " old you.", " …"]
    assert [len(s.pcm) for s in speech] == [2 * 240 * 5, 2 * 240 * 9, 0]
    assert [(w.text, w.start, w.end) for w in speech[1].words] == [("old", 240, 960), ("you.", 1200, 2160)]
    assert not any(speech[1].pcm[:480])


async def test_faults_hit_the_uses_that_they_are_written_for() -> None:
    tts = ScriptedTTS(faults={1: "raise", 2: "hang", 3: "late"}, lateness=0)
    with pytest.raises(ScriptedError):
        [s async for s in tts.speak(items("a"), Voice("Puck"))]
    with anyio.move_on_after(0.01) as scope:
        [s async for s in tts.speak(items("a"), Voice("Puck"))]
    assert scope.cancelled_caught
    assert [s.text async for s in tts.speak(items("a"), Voice("Puck"))] == ["a"]


async def test_a_model_fails_after_half_of_its_reply() -> None:
    reply = ScriptedLLM(replies=("a b c d",), faults={1: "raise"}).generate(asked(SAID))
    assert [await anext(reply), await anext(reply)] == [Text("a"), Text(" b")]
    with pytest.raises(ScriptedError):
        await anext(reply)


@pytest.mark.parametrize(("kind", "engine"), [("vad", ScriptedVAD), ("stt", ScriptedSTT), ("llm", ScriptedLLM)])
async def test_found_by_name_with_settings(kind: Kind, engine: type) -> None:
    loaded = load_engine(kind, "scripted", resources(delay=0.5, faults={"2": "hang"}))
    assert isinstance(loaded, engine)
    assert loaded.delay == 0.5  # type: ignore[attr-defined]
    assert loaded.faults == {2: "hang"}  # type: ignore[attr-defined]


async def test_the_argument_is_what_is_said() -> None:
    llm = load_engine("llm", "scripted:Yes.", resources())
    assert await anext(llm.generate(asked(SAID))) == Text("Yes.")
    with pytest.raises(EngineError):
        load_engine("llm", "scripted", resources(faults={"1": "explode"}))


async def test_they_are_what_the_protocols_ask_for() -> None:
    engines: tuple[VAD, STT, LLM, TTS] = (ScriptedVAD(), ScriptedSTT(), ScriptedLLM(), ScriptedTTS())
    assert [type(s) async for s in engines[3].speak(items("a"), Voice("Puck"))] == [Speech]
