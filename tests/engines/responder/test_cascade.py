from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from msgspec.structs import replace

from openlive.engines.llm.functions.routing import build_instructions
from openlive.engines.llm.translation import TranslatingLLM
from openlive.engines.responder import cascade
from openlive.engines.responder.cascade import LATEST, SPOKEN, Cascade, conversation_language
from openlive.testing.scripted import ScriptedError, ScriptedLLM, ScriptedTTS
from openlive.types import (
    FunctionCall,
    Heard,
    Message,
    Output,
    Request,
    Speech,
    Text,
    Thought,
    Translation,
    Usage,
    Voice,
)
from tests.serving import Told

pytestmark = pytest.mark.anyio

TEXT = Request("c", (Message("user", (Text("Hi"),)),), instructions="Be kind.")
TWELVE = Message("user", (Text("12?"),))
SPEECH = Request("c", TEXT.messages, TEXT.instructions, voice=Voice("Puck"), language="en")
NOTHING: tuple[str, ...] = ()
LONG = "The first clause comes, the second one follows it. The third one is the last of all."


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def collect(cascade: Cascade, request: Request) -> list[Output]:
    out = Told()
    await cascade.reply(request, out)
    return out


def script(out: list[Output]) -> str:
    return "".join(o.text for o in out if isinstance(o, Text))


def spoken(out: list[Output]) -> str:
    return "".join(o.text for o in out if isinstance(o, Speech))


async def test_a_text_reply_passes_as_it_comes() -> None:
    llm = ScriptedLLM(replies=("think: Hm\nHello you.",))
    out = await collect(Cascade(llm, ScriptedTTS()), TEXT)
    assert out == [Thought("Hm"), Text("Hello"), Text(" you."), Usage(3, 2)]
    assert llm.requests == [TEXT]


async def test_a_spoken_reply_speaks_its_script() -> None:
    out = await collect(Cascade(ScriptedLLM(replies=(LONG,)), ScriptedTTS()), SPEECH)
    assert script(out) == spoken(out) == LONG
    assert len([o for o in out if isinstance(o, Speech)]) >= 3


async def test_the_model_waits_for_the_first_clause_and_writes_ahead_of_the_next_ones() -> None:
    out = await collect(Cascade(ScriptedLLM(replies=(LONG,)), ScriptedTTS(delay=0.01)), SPEECH)
    first, second = [i for i, o in enumerate(out) if isinstance(o, Speech)][:2]
    heard = out[first]
    assert isinstance(heard, Speech)
    assert script(out[:first]) == heard.text
    assert script(out[:second]) == LONG


async def test_a_voice_that_reads_ahead_is_not_waited_for() -> None:
    class Reader(ScriptedTTS):
        async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
            yield self.render_clause("".join([clause async for clause in text]))

    out = await collect(Cascade(ScriptedLLM(replies=(LONG * 9,)), Reader()), SPEECH)
    assert spoken(out) == LONG * 9


async def test_the_model_pauses_when_the_voice_is_far_behind() -> None:
    out = Told()

    class Stuck(ScriptedTTS):
        async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
            async for clause in text:
                yield self.render_clause(clause)
                await anyio.sleep_forever()

    with anyio.move_on_after(0.05):
        await Cascade(ScriptedLLM(replies=("One. " * 100,)), Stuck()).reply(SPEECH, out)
    assert 4 <= len(script(out).split()) <= 8


async def test_speech_is_asked_for_in_words_that_stay_the_same() -> None:
    llm, tts = ScriptedLLM(), ScriptedTTS()
    cascade = Cascade(llm, tts)
    await cascade.prefill(SPEECH)
    await collect(cascade, SPEECH)
    assert llm.prefilled[0].instructions == llm.requests[0].instructions
    assert (
        llm.requests[0].instructions
        == f"Be kind.\n\n{SPOKEN}\n\nAlways answer in English, whatever language you are spoken to in."
    )
    await cascade.prefill(TEXT)
    assert llm.prefilled[1] == TEXT
    cascade.forget("c")
    assert llm.forgotten == ["c"]


async def test_a_language_that_was_chosen_is_that_of_the_answer_spoken_or_written() -> None:
    for voice in (None, Voice("Puck", "pt-BR")):
        llm = ScriptedLLM()
        await collect(Cascade(llm, ScriptedTTS()), Request("c", TEXT.messages, voice=voice, language="pt-BR"))
        await collect(Cascade(llm, ScriptedTTS()), Request("c", TEXT.messages, voice=voice))
        assert "answer in Portuguese" in llm.requests[0].instructions
        assert "answer in" not in llm.requests[1].instructions


async def test_the_voice_gets_the_language_of_the_user_unless_it_has_one() -> None:
    tts = ScriptedTTS()
    await collect(Cascade(ScriptedLLM(), tts), SPEECH)
    await collect(Cascade(ScriptedLLM(), tts), Request("c", TEXT.messages, voice=Voice("Kore", "de"), language="en"))
    assert [voice for _, voice in tts.spoken[::2]] == [Voice("Puck", "en"), Voice("Kore", "de")]


@pytest.mark.parametrize(
    ("messages", "language"),
    [
        ((Message("user", (Heard("Ja.", 0, 9, "nl"),)),), "nl"),
        ((Message("user", (Text("Wie spät ist es?"),)),), "de"),
        ((Message("user", (Text("Wie spät ist es?"),)), Message("model", (Text("Six."),)), TWELVE), "de"),
        ((Message("user", (Text("Wie spät ist es?"),)), Message("user", (Heard("And now?", 0, 9, "en"),))), "en"),
        ((Message("user", (Heard("Oui.", 0, 9, "fr"), Heard("Ja.", 0, 9, "nl", overheard=True))),), "fr"),
        ((TWELVE,), ""),
    ],
)
async def test_the_voice_expects_the_language_that_the_user_spoke_or_wrote_last(
    messages: tuple[Message, ...], language: str
) -> None:
    llm, tts = ScriptedLLM(), ScriptedTTS()
    await collect(Cascade(llm, tts), Request("c", messages, voice=Voice("Puck")))
    assert tts.spoken[0][1] == Voice("Puck", expected=language)
    assert llm.requests[0].instructions == SPOKEN, "the model finds out by itself: it may be asked for another one"


async def test_of_a_long_history_only_the_latest_is_asked_for_its_language(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def told_nothing(text: str) -> str:
        asked.append(text)
        return ""

    monkeypatch.setattr(cascade, "language_of", told_nothing)
    assert conversation_language([Message("user", (Text(f"{i}"), Text("?"))) for i in range(5000)]) == ""
    assert asked[::2] == ["?"] * (LATEST // 2)


async def test_a_call_alone_is_not_spoken() -> None:
    tts = ScriptedTTS()
    out = await collect(Cascade(ScriptedLLM(replies=('call:light {"on": true}',)), tts), SPEECH)
    assert out[0] == FunctionCall("", "light", {"on": True})
    assert [type(o) for o in out] == [FunctionCall, Usage]
    assert not tts.spoken


async def test_a_model_that_says_nothing() -> None:
    class Silent(ScriptedLLM):
        async def generate(self, request: Request) -> AsyncIterator[Text]:
            for text in NOTHING:
                yield Text(text)

    assert await collect(Cascade(Silent(), ScriptedTTS()), SPEECH) == []
    assert await collect(Cascade(Silent(), ScriptedTTS()), TEXT) == []


async def test_the_models_error_comes_as_it_is() -> None:
    with pytest.raises(ScriptedError, match="ScriptedLLM"):
        await collect(Cascade(ScriptedLLM(replies=(LONG,), faults={1: "raise"}), ScriptedTTS()), SPEECH)


async def test_the_voices_error_comes_as_it_is_and_stops_the_model() -> None:
    with pytest.raises(ScriptedError, match="ScriptedTTS"), anyio.fail_after(5):
        await collect(Cascade(ScriptedLLM(replies=("Hi! " * 50,)), ScriptedTTS(faults={1: "raise"})), SPEECH)


async def test_a_voice_that_gives_up_breaks_the_reply() -> None:
    class Mute(ScriptedTTS):
        async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
            for clause in NOTHING:
                yield self.render_clause(clause)

    with pytest.raises(anyio.BrokenResourceError), anyio.fail_after(5):
        await collect(Cascade(ScriptedLLM(replies=(LONG,)), Mute()), SPEECH)


async def test_cancelling_stops_both_at_once() -> None:
    ended: list[str] = []

    class Model(ScriptedLLM):
        async def generate(self, request: Request) -> AsyncIterator[Text]:
            try:
                yield Text("Hello! ")
                yield Text("More")
                await anyio.sleep_forever()
            finally:
                ended.append("model")

    class Singer(ScriptedTTS):
        async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
            try:
                async for clause in text:
                    yield self.render_clause(clause)
            finally:
                ended.append("voice")

    out = Told()
    with anyio.CancelScope() as scope:

        async def emit(output: Output) -> None:
            out.append(output)
            if isinstance(output, Speech):
                scope.cancel()

        await Cascade(Model(), Singer()).reply(SPEECH, emit)
    assert sorted(ended) == ["model", "voice"]
    assert spoken(out) == "Hello!"


async def test_a_model_is_told_what_it_is_spoken_to_or_written_to_but_not_as_an_interpreter() -> None:
    llm = ScriptedLLM()
    cascade = Cascade(TranslatingLLM(llm), ScriptedTTS(), "You are openlive.")
    await cascade.prefill(SPEECH)
    assert llm.prefilled[0].about == "You are openlive."
    assert build_instructions(llm.prefilled[0]).startswith("You are openlive.\n\nBe kind.")
    for request in (SPEECH, TEXT, replace(SPEECH, translation=Translation("de"))):
        await collect(cascade, request)
    assert [request.about for request in llm.requests] == ["You are openlive.", "You are openlive.", ""]
