from __future__ import annotations

import pytest

from openlive.engines.llm.translation import EXAMPLES, TranslatingLLM
from openlive.testing.scripted import ScriptedLLM
from openlive.types import FunctionDeclaration, Heard, Message, Request, Text, Translation

pytestmark = pytest.mark.anyio


class World:
    def __init__(self) -> None:
        self.llm = ScriptedLLM()
        self.translating = TranslatingLLM(self.llm)

    async def say(self, *messages: Message, to: str = "de-DE", echo: bool = False) -> str:
        request = Request(
            "c",
            messages,
            instructions="Be kind.",
            functions=(FunctionDeclaration("f"),),
            thinking=9,
            translation=Translation(to, echo),
        )
        pieces = [piece async for piece in self.translating.generate(request)]
        return "".join(piece.text for piece in pieces if isinstance(piece, Text))

    @property
    def asked(self) -> list[str]:
        """What each request wants to be translated."""
        return [request.messages[-1].text.partition("\n")[0] for request in self.llm.requests]


def heard(text: str, language: str) -> Message:
    return Message("user", (Heard(text, 0, 16000, language),))


def typed(text: str) -> Message:
    return Message("user", (Text(text),))


async def test_the_model_is_given_examples_and_what_was_said_and_nothing_else() -> None:
    world = World()
    assert await world.say(typed("Hello."), Message("model", (Text("Hallo."),)), heard("¿Quién eres?", "es"))
    [request] = world.llm.requests
    assert "in German" in request.instructions
    assert "kind" not in request.instructions
    assert (request.functions, request.thinking, request.translation) == ((), 0, None)
    assert request.sampling.temperature == 0.0, "the likeliest words, unless the client wants others"
    assert [m.role for m in request.messages] == ["user", "model"] * 3 + ["user"]
    assert [m.text for m in request.messages if m.role == "model"] == [example["de"] for example in EXAMPLES]
    assert request.messages[-1].text == "Spanish: ¿Quién eres?\nGerman:"


@pytest.mark.parametrize("target", ["en-US", "de-DE", "es-ES", "fr-FR", "it-IT", "pt-BR", "ja-JP", "cmn-CN"])
async def test_what_comes_before_does_not_depend_on_the_speaker(target: str) -> None:
    world = World()
    for message in (heard("Ja.", "nl"), heard("Hej.", "sv"), typed("xyz")):
        await world.say(message, to=target)
    assert len({request.messages[:-1] for request in world.llm.requests}) == 1
    assert world.asked == ["Dutch: Ja.", "Swedish: Hej.", "xyz"]
    sources = [m.text.partition(":")[0] for m in world.llm.requests[0].messages[:-1] if m.role == "user"]
    assert world.llm.requests[0].instructions.split(" in ")[1].split()[0] not in sources


async def test_the_target_language_is_repeated_or_left_alone() -> None:
    world = World()
    assert await world.say(heard("Guten Tag.", "de"), echo=True) == "Guten Tag."
    assert await world.say(typed("Ich weiß es nicht."), echo=True) == "Ich weiß es nicht."
    assert await world.say(heard("Guten Tag.", "de")) == ""
    assert await world.say(heard("你好", "zh"), to="cmn-CN") == ""
    assert world.llm.requests == []


@pytest.mark.parametrize(
    ("text", "to"),
    [
        ("Hello there!", "en-US"),
        ("Good morning.", "en-GB"),
        ("Bonjour !", "fr-FR"),
        ("Guten Tag!", "de-DE"),
        ("Dank je wel, tot morgen.", "nl-NL"),
        ("Dziękuję bardzo.", "pl-PL"),
        ("Çok teşekkür ederim.", "tr-TR"),
        ("Terima kasih banyak.", "id-ID"),
        ("Xin chào!", "vi-VN"),
        ("मला माहीत नाही.", "mr-IN"),
    ],
)
async def test_what_is_typed_in_the_target_language_is_told_too(text: str, to: str) -> None:
    world = World()
    assert await world.say(typed(text), to=to) == ""
    assert await world.say(typed(text), to=to, echo=True) == text
    assert world.llm.requests == []


async def test_what_waited_is_translated_turn_by_turn_and_nothing_twice() -> None:
    world = World()
    said = (typed("One."), Message("model", (Text("Eins."),)), heard("Two.", "en"), heard("Gut.", "de"), typed("Three"))
    answer = await world.say(*said)
    assert world.asked == ["English: Two.", "English: Three"]
    assert "  " not in answer
    await world.say(*said, echo=True)


async def test_other_requests_pass() -> None:
    world = World()
    request = Request("c", (typed("Hello."),), instructions="Be kind.")
    _ = [piece async for piece in world.translating.generate(request)]
    await world.translating.prefill(request)
    assert world.llm.requests[0] is request


async def test_the_examples_are_computed_before_anybody_speaks() -> None:
    world = World()
    await world.translating.prefill(Request("c", (), translation=Translation("de-DE")))
    await world.translating.prefill(Request("c", (typed("What is"),), translation=Translation("de-DE")))
    [first, second] = world.llm.prefilled
    assert second.messages[:-1] == first.messages
    assert second.messages[-1].text == "English: What is"
