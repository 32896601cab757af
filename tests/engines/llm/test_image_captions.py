from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from openlive.engines.llm import image_captions
from openlive.engines.llm.image_captions import PASSED_OVER, CaptioningLLM
from openlive.engines.llm.prompt import conversation
from openlive.engines.responder.cascade import Cascade
from openlive.testing.scripted import ScriptedEyes, ScriptedLLM, ScriptedTTS
from openlive.types import FunctionResponse, Image, Message, Request, Text
from tests.serving import Told

pytestmark = pytest.mark.anyio

EXIT = '(I am showing you a picture. Its text reads: "EXIT")'
NOTHING = "(I am showing you a picture. There is no text in it, and you cannot make out anything else.)"
UNREADABLE = "(I am showing you a picture. It is broken, so that you cannot see anything of it.)"


class World:
    """A model that cannot see, behind eyes that see the name of an image in capitals, and in `blank` nothing."""

    def __init__(self, eyes: ScriptedEyes | None = None) -> None:
        self.eyes = eyes or ScriptedEyes(
            shows={name: f'Its text reads: "{name.upper()}"' for name in ("exit", "way", *map(str, range(20)))}
        )
        self.llm = ScriptedLLM()
        self.seeing = CaptioningLLM(self.llm, self.eyes)

    async def ask(self, *messages: Message) -> list[str]:
        """What the model is told, message for message."""
        pieces = [piece async for piece in self.seeing.generate(Request("c", messages))]
        assert pieces
        return [conversation.render_message(message) for message in self.llm.requests[-1].messages]


def user(*parts: str | Image) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def image(name: str) -> Image:
    return Image("image/jpeg", name.encode())


def images(names: Sequence[str]) -> list[Image]:
    return [image(name) for name in names]


async def test_an_image_is_told_in_words() -> None:
    world = World()
    assert await world.ask(user(image("exit"), "What does it say?")) == [f"{EXIT}\nWhat does it say?"]
    assert world.llm.requests[0].messages[0].text == "What does it say?", "what the user said is no more than that"
    assert await world.ask(user("Look:", image("blank"))) == [f"Look:\n{NOTHING}"]
    assert await world.ask(user(image(""), "What is it?")) == [f"{UNREADABLE}\nWhat is it?"]
    result = Message("user", (FunctionResponse("1", "look", {}), image("exit")))
    assert (await world.ask(result))[0].endswith(EXIT)


async def test_a_request_without_images_is_left_as_it_is() -> None:
    world = World()
    message = user("Hello")
    await world.ask(message)
    assert world.llm.requests[0].messages[0] is message
    assert world.eyes.looked == []


async def test_each_image_is_looked_at_once() -> None:
    world = World()
    turns = [user(image("exit"), "What does it say?"), Message("model", (Text("Exit."),)), user(image("blank"), "And?")]
    first = await world.ask(*turns[:1])
    second = await world.ask(*turns)
    assert second[0] == first[0], "the prompt goes on from the one before it"
    await world.ask(user(image(""), "?"))
    await world.ask(user(image(""), "?"))
    assert world.eyes.looked == [b"exit", b"blank", b""]


async def test_the_newest_is_looked_at_first_and_stands_for_those_that_show_the_same() -> None:
    world = World()
    frames = images(["blank", "exit", "exit ", "way", "exit  "])
    world.eyes.shows = dict.fromkeys(("exit", "exit ", "exit  "), 'Its text reads: "EXIT"') | {"way": "Way."}
    told = await world.ask(user(*frames, "What?"))
    assert world.eyes.looked == [b"exit  ", b"way", b"exit ", b"exit", b"blank"]
    assert told == [f"{NOTHING}\n(I am showing you a picture. Way.)\n{EXIT}\nWhat?"]


async def test_of_many_images_the_oldest_are_passed_over() -> None:
    world = World()
    told = await world.ask(user(*images([str(i) for i in range(20)]), "What?"))
    assert [int(data) for data in world.eyes.looked] == list(range(19, 11, -1))
    lines = told[0].splitlines()
    assert lines[0] == PASSED_OVER
    assert lines[1].endswith('"12")')
    assert len(lines) == 1 + 8 + 1


async def test_prefill_looks_so_that_the_answer_need_not_wait() -> None:
    world = World()
    await world.seeing.prefill(Request("c", (user(image("exit")),)))
    assert conversation.render_message(world.llm.prefilled[0].messages[0]) == EXIT
    await world.ask(user(image("exit"), "What?"))
    assert world.eyes.looked == [b"exit"]


@pytest.mark.parametrize("fault", ["raise", "hang"])
async def test_eyes_that_fail_cost_only_what_they_would_see(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_captions, "PATIENCE", 0.01)
    world = World(ScriptedEyes(shows={"exit": 'Its text reads: "EXIT"'}, faults={1: fault}))  # type: ignore[dict-item]
    assert await world.ask(user(image("exit"), "?")) == ["[image: image/jpeg, which you cannot see]\n?"]
    assert await world.ask(user(image("exit"), "?")) == [f"{EXIT}\n?"], "they are asked again"


async def test_a_reply_that_is_stopped_stops_the_look() -> None:
    world = World(ScriptedEyes(faults={1: "hang"}))
    with anyio.move_on_after(0.01) as scope:
        await world.ask(user(image("exit")))
    assert scope.cancelled_caught
    assert world.llm.requests == []


async def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_captions, "REMEMBERED", 2)
    world = World()
    for name in ("1", "2", "1", "3", "1", "2"):
        await world.ask(user(image(name), "?"))
    assert world.eyes.looked == [b"1", b"2", b"3", b"2"]


async def test_a_responder_is_made_of_it() -> None:
    world = World()
    responder = Cascade(world.seeing, ScriptedTTS())
    spoken = Told()
    await responder.reply(Request("c", (user(image("exit"), "What?"),)), spoken)
    assert spoken[0] == Text("You")
    responder.forget("c")
    assert world.llm.forgotten == ["c"]


class TestWatching:
    """The model notices `EXIT` in the words of an image."""

    def setup_method(self) -> None:
        self.world = World()
        self.world.llm.notable = ("EXIT",)

    async def notices(self, name: str, instructions: str = "", conversation: str = "c") -> float:
        return await self.world.seeing.notices(Request(conversation, (user(image(name)),), instructions))

    async def test_the_words_of_the_image_are_judged(self) -> None:
        assert await self.notices("exit") == 1.0
        assert await self.notices("way") == 0.0
        [first, _] = self.world.llm.watched
        assert conversation.render_message(first.messages[-1]) == EXIT

    async def test_the_same_words_are_judged_once(self) -> None:
        self.world.eyes.shows = {**self.world.eyes.shows, "exit from the left": 'Its text reads: "EXIT"'}
        assert [await self.notices(name) for name in ("exit", "exit from the left", "way", "exit")] == [1, 0, 0, 1]
        assert len(self.world.llm.watched) == 3
        assert await self.notices("exit", "Tell me when you see an exit.") == 1.0, "it is told something else"
        assert await self.notices("exit", conversation="d") == 1.0
        self.world.seeing.forget("d")
        assert await self.notices("exit", conversation="d") == 1.0

    async def test_where_there_are_no_words_the_model_is_not_asked(self) -> None:
        self.world.llm.notable = ("picture",)
        assert [await self.notices(name) for name in ("blank", "", "exit", "blank", "exit")] == [0, 0, 1, 0, 1]
        assert len(self.world.llm.watched) == 2

    async def test_a_judgement_that_was_broken_off_is_none(self) -> None:
        self.world.llm.delay = 60.0
        with anyio.move_on_after(0.05):
            await self.notices("exit")
        self.world.llm.delay = 0.0
        assert await self.notices("exit") == 1.0
