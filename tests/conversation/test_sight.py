"""A sign is held into the camera, and asked about. The embedded default reads it: it has no other eyes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import numpy as np
import PIL.Image
import pytest
import soxr
from google.genai import types
from google.genai.live import AsyncSession

from openlive import models
from openlive.engines.api import Resources
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.types import INPUT_RATE, OUTPUT_RATE, Voice
from tests.conversation.test_conversation import MINUTE, play
from tests.engines.vision.signs import FRAME, encoded, picture
from tests.sdk.live import AUDIO, BOTH, TEXT, receive, session
from tests.serving import Server, silence

pytestmark = [pytest.mark.anyio, pytest.mark.weights]


async def show(opened: AsyncSession, text: str) -> None:
    """One frame of the camera."""
    frame = picture(text) if text else PIL.Image.new("RGB", FRAME, (90, 120, 140))
    await opened.send_realtime_input(video=types.Blob(data=encoded(frame), mime_type="image/jpeg"))


@pytest.mark.parametrize(
    ("sign", "question", "answer"),
    [
        ("EXIT 24B", "What does the sign say?", "24b"),
        ("Room 12\nDr. Meyer\nCardiology", "Who is the doctor?", "meyer"),
        ("Straße gesperrt\nUmleitung über München", "Was steht auf dem Schild?", "münchen"),
        ("Prohibido el paso\nPeligro: niños jugando", "¿Qué dice el cartel?", "niños"),
    ],
    ids=["number", "name", "de", "es"],
)
async def test_a_typed_question_about_a_sign(server: Server, sign: str, question: str, answer: str) -> None:
    async with session(server, TEXT | {"temperature": 0.0}, seconds=MINUTE) as opened:
        await show(opened, sign)
        begun = asyncio.get_running_loop().time()
        await opened.send_realtime_input(text=question)
        turn = await receive(opened)
        print(f"\n{question} -> {turn.text!r} after {asyncio.get_running_loop().time() - begun:.1f} s")
        assert answer in turn.text.lower()


async def test_the_newest_frame_is_what_counts(server: Server) -> None:
    async with session(server, TEXT | {"temperature": 0.0}, seconds=2 * MINUTE) as opened:
        for sign in ("Gate 7", "Gate 7", "Gate 31"):
            await show(opened, sign)
        await opened.send_realtime_input(text="What does the sign say?")
        first = (await receive(opened)).text
        await show(opened, "Bakery")
        await opened.send_realtime_input(text="And what does this sign say?")
        second = (await receive(opened)).text
        await show(opened, "")
        await opened.send_realtime_input(text="Thank you. What is the capital of France?")
        third = (await receive(opened)).text
        print(f"\n{first!r} {second!r} {third!r}")
        assert "31" in first
        assert "bakery" in second.lower()
        assert "paris" in third.lower()


async def test_a_spoken_question_while_the_camera_runs(server: Server) -> None:
    question = await spoken("What does the sign say?")
    async with session(server, AUDIO | BOTH | {"temperature": 0.0}, seconds=2 * MINUTE) as opened:
        filming = asyncio.create_task(film(opened, "EXIT 24B"))
        await play(opened, silence(1.5) + question, after=2.0)
        turn = await receive(opened)
        filming.cancel()
        print(f"\n{turn.heard!r} -> {turn.said!r}")
        assert "sign" in turn.heard.lower()
        assert "24b" in turn.said.lower().replace(" ", "")


async def test_it_speaks_up_about_the_sign_that_it_was_asked_to_look_out_for(server: Server) -> None:
    asked = {"system_instruction": "Tell me as soon as you see a sign that says EXIT.", "temperature": 0.0}
    proactive = {"proactivity": {"proactive_audio": True, "proactive_video": True}}
    async with session(server, TEXT | asked | proactive, seconds=4 * MINUTE, api_version="v1alpha") as opened:
        turn = asyncio.create_task(receive(opened))
        for sign in ("", "LIFT"):
            for _ in range(3):
                await show(opened, sign)
                await asyncio.sleep(1)
        assert not turn.done(), "nobody has asked about a lift"
        filming = asyncio.create_task(film(opened, "EXIT"))
        print(f"\n{(await turn).text!r}")
        filming.cancel()
        assert "exit" in (await turn).text.lower()


async def film(opened: AsyncSession, sign: str) -> None:
    while True:
        await show(opened, sign)
        await asyncio.sleep(1)


async def spoken(text: str) -> bytes:
    """`text` as the user says it."""
    voice = await asyncio.to_thread(kokoro.create, "", Resources(models.ensure, os.cpu_count() or 1, 0))

    async def clauses() -> AsyncIterator[str]:
        yield text

    said = b"".join([piece.pcm async for piece in voice.speak(clauses(), Voice("Kore", "en-US"))])
    await voice.close()
    samples = np.frombuffer(said, "<i2").astype(np.float32)
    return soxr.resample(samples, OUTPUT_RATE, INPUT_RATE).astype("<i2").tobytes()
