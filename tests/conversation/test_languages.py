"""A whole conversation in another language, and an interpreter, by voice on the embedded default."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import jiwer
import numpy as np
import pytest
import soxr
from google.genai.live import AsyncSession

from openlive import models
from openlive.engines.api import Resources
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.engines.tts.kokoro.engine import KokoroTTS
from openlive.types import INPUT_RATE, OUTPUT_RATE, Voice
from tests.conversation.test_conversation import MINUTE, plain, understood
from tests.sdk.live import AUDIO, BOTH, Turn, pcm, session
from tests.serving import Server, silence

pytestmark = [pytest.mark.anyio, pytest.mark.weights]

PARIS, RIVER = "par[ií]s", "s(ein|en)[ae]"
CONVERSATIONS = {
    "es": [("¿Cuál es la capital de Francia?", PARIS), ("¿Y qué río pasa por esa ciudad?", RIVER)],
    "de": [("Wie viele Stunden hat ein Tag?", "vierundzwanzig"), ("Und wie viele Minuten hat eine Stunde?", "sechzig")],
}
"""What is asked, and what the answer has to say. Of the user's voice, which is Kokoro's, "Woche" is heard as "Worge"
here, and with it goes what is asked."""
NUMBERS = {"4 und 20": "vierundzwanzig", "24": "vierundzwanzig", "60": "sechzig"}
"""As they are written, by the model and by who writes its speech down."""
INTERPRETER = "gemini-3.5-live-translate-preview"


@pytest.fixture(scope="module")
def voice() -> Iterator[KokoroTTS]:
    """The user's."""
    engine = kokoro.create("", Resources(models.ensure, threads=1, memory=0))
    yield engine
    asyncio.run(engine.close())


async def say(opened: AsyncSession, voice: KokoroTTS, text: str, language: str) -> Turn:
    """All of it in one message, and the turn that it leads to."""
    speech = np.frombuffer(voice.render_clause(text, Voice("Kore", language), language).pcm, "<i2").astype(np.float32)
    samples = soxr.resample(speech, OUTPUT_RATE, INPUT_RATE).astype("<i2")
    await opened.send_realtime_input(audio=pcm(silence(0.3) + samples.tobytes() + silence(1.5)))
    await opened.send_realtime_input(audio_stream_end=True)
    turn = Turn()
    async for message in opened.receive():
        if message.server_content is not None:  # models of the third generation tell of activity, too
            turn.messages.append(message)
    print(f"\n{turn.heard!r} -> {turn.said!r}")
    return turn


def in_words(text: str) -> str:
    return plain(re.sub(rf"\b({'|'.join(NUMBERS)})\b", lambda number: NUMBERS[number[0]], text.lower()))


@pytest.mark.parametrize("language", CONVERSATIONS)
async def test_a_conversation(server: Server, voice: KokoroTTS, whisper: Any, language: str) -> None:
    said, heard = [], []
    config = AUDIO | BOTH | {"input_audio_transcription": {"language_codes": [language]}, "temperature": 0.0}
    async with session(server, config, seconds=4 * MINUTE) as opened:
        for question, answer in CONVERSATIONS[language]:
            turn = await say(opened, voice, question, language)
            assert jiwer.wer(plain(question), plain(turn.heard)) <= 0.3
            said.append(in_words(turn.said))
            heard.append(in_words(understood(whisper, turn, language)))
            assert re.search(answer, said[-1])
    wer = jiwer.wer(said, heard)
    print(f"WER of what was spoken: {wer:.3f}")
    assert wer <= 0.4, list(zip(said, heard, strict=True))


async def test_an_interpreter(server: Server, voice: KokoroTTS, whisper: Any) -> None:
    config = AUDIO | BOTH | {"translation_config": {"target_language_code": "en"}}
    async with session(server, config, model=INTERPRETER, seconds=4 * MINUTE) as opened:
        turn = await say(opened, voice, "Ich habe meinen Pass im Hotel vergessen.", "de")
        assert all(word in understood(whisper, turn).lower() for word in ("passport", "hotel"))
        turn = await say(opened, voice, "What is the capital of France?", "en")
        assert turn.kinds == ["heard", "heard finished", "turn_complete"], (
            "it is English already, and no question to it"
        )
        assert not turn.usage.response_token_count
        turn = await say(opened, voice, "¿Dónde está la estación de tren?", "es")
        assert "where" in turn.said.lower()
        assert "station" in turn.said.lower()
