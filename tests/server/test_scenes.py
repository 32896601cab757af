"""Which frames are worth a judgement: those that show something else than the one before."""

from __future__ import annotations

import logging

import anyio
import PIL.Image
import pytest

from openlive.server.scenes import Scenes
from openlive.testing.scripted import ScriptedLLM
from openlive.types import Image, Message, Request
from tests.engines.vision.signs import encoded, picture

pytestmark = pytest.mark.anyio


class World:
    def __init__(self) -> None:
        self.llm = ScriptedLLM(notable=("EXIT",))
        self.scenes = Scenes(self.llm, "s")

    async def see(self, sign: str, instructions: str = "", quality: int = 80) -> float:
        return await self.see_data(encoded(picture(sign), quality=quality) + sign.encode(), instructions)

    async def see_data(self, data: bytes, instructions: str = "") -> float:
        """The letters of a sign stand behind its JPEG: the scripted model reads them there."""
        message = Message("user", (Image("image/jpeg", data),))
        return await self.scenes.notices(Request("s", (message,), instructions))


async def test_a_scene_is_judged_once() -> None:
    world = World()
    assert await world.see("EXIT") == 1.0
    assert await world.see("EXIT") == 0.0
    assert await world.see("EXIT", quality=60) == 0.0, "noise is no change"
    assert len(world.llm.watched) == 1
    assert await world.see("WC") == 0.0
    assert await world.see("EXIT") == 1.0
    assert len(world.llm.watched) == 3


async def test_other_instructions_ask_anew() -> None:
    world = World()
    await world.see("EXIT")
    assert await world.see("EXIT", "Tell me when you see an exit.") == 1.0


async def test_a_judgement_that_was_not_finished_is_none() -> None:
    world = World()
    world.llm.delay = 60.0
    with anyio.move_on_after(0.1):
        await world.see("EXIT")
    assert world.llm.watched
    world.llm.delay = 0.0
    assert await world.see("EXIT") == 1.0


async def test_what_is_no_image_is_not_judged(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.INFO):
        assert await world.see_data(b"\xff\xd8EXIT") == 0.0
    assert not world.llm.watched
    assert "session s: a frame is not judged: The image cannot be read" in caplog.text


async def test_each_judgement_has_its_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.INFO):
        await world.see("EXIT")
        await world.see("EXIT")
        await world.see_data(encoded(PIL.Image.new("RGB", (640, 480))))
    lines = [record.getMessage().partition(" (")[0] for record in caplog.records if "worth" in record.getMessage()]
    assert lines == ["session s: worth a word: 1.00", "session s: worth a word: 0.00"]
