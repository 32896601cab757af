"""Any endpoint that speaks OpenAI's speech: Kokoro-FastAPI, speaches, LocalAI, a hosted one.

Asked for clause by clause, as bare samples (`response_format: pcm`, s16le mono 24 kHz), which are passed on as they
arrive.

Settings: `model` and `api_key` as for language models (openai.py); `voices`, which voice of the endpoint's each name
is (`{ Puck = "am_puck" }`), and `voice`, what all others are ('': the endpoint is given the name as it is).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from itertools import accumulate
from typing import Any

import httpx

from openlive.engines.api import EngineError, Resources, parse_voices
from openlive.engines.runtime.http_endpoint import (
    Endpoint,
    EndpointError,
    find_key_and_model,
    loggable_url,
    parse_base_url,
    read_chunks,
)
from openlive.engines.text.scripts import language_of
from openlive.engines.tts.kokoro.voices import VOICES
from openlive.engines.tts.text.normalise import normalise_text
from openlive.types import OUTPUT_RATE, Speech, Voice

PIECE = OUTPUT_RATE // 10 * 2
"""Bytes that are gathered after the first ones, which are passed on as they come: 100 ms."""
CHARACTER = 0.065
"""Seconds that a character takes to speak, about: an estimate, for the length is known only at the end."""
PATIENCE = 60.0
"""Seconds that may be waited for the audio of a clause in all, besides its length."""
LONGEST, SLOWEST = 30.0, 1.0
"""Seconds of audio that a clause may have, and more for each of its characters."""
_PCM = frozenset({"", "audio/pcm", "audio/l16", "audio/x-raw", "audio/raw", "application/octet-stream"})


class OpenAITTS:
    """A `TTS`."""

    def __init__(
        self, url: str, model: str, api_key: str = "", voices: Mapping[str, str] | None = None, voice: str = ""
    ) -> None:
        self._endpoint = Endpoint(url, api_key)
        self._url = f"{url}/audio/speech"
        self._model = model
        self._voices = dict(voices or {})
        self._voice = voice

    @property
    def voices(self) -> Sequence[str]:
        return tuple(VOICES | self._voices)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[Speech]:
        connecting = asyncio.create_task(self._endpoint.warm_connection())  # while the first clause is being written
        language, before = voice.expected or "en", ""
        try:
            async for clause in text:
                language = language_of(clause, voice.language, language)
                spoken, before = normalise_text(clause, language, voice.language, before), clause
                if not spoken:
                    yield Speech(b"", clause)
                    continue
                script = _ClauseTimeline(clause)
                async with aclosing(self._stream_audio(self._build_body(spoken, voice))) as pieces:
                    async for pcm in pieces:
                        yield Speech(pcm, script.take_words(len(pcm) // 2))
                if rest := script.flush():
                    yield Speech(b"", rest)
        finally:
            connecting.cancel()

    async def close(self) -> None:
        await self._endpoint.close()

    def _build_body(self, spoken: str, voice: Voice) -> dict[str, Any]:
        name = self._voices.get(voice.name) or self._voice or voice.name
        body = {"model": self._model, "input": spoken, "voice": name, "response_format": "pcm"}
        return body if voice.speed == 1.0 else body | {"speed": voice.speed}

    async def _stream_audio(self, body: dict[str, Any]) -> AsyncGenerator[bytes]:
        """Whole samples, the first ones at once. Raises `EndpointError`."""
        waiting, least = b"", 2
        url = loggable_url(httpx.URL(self._url))
        seconds = LONGEST + len(body["input"]) * SLOWEST
        async with (
            self._endpoint.post(self._url, json=body) as response,
            aclosing(read_chunks(response, int(seconds * OUTPUT_RATE) * 2, PATIENCE + seconds)) as pieces,
        ):
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in _PCM:
                raise EndpointError(f"{url} answered {kind[:40]}, not the pcm it was asked for.")
            async for chunk in pieces:
                waiting += chunk
                if least == 2 and waiting.startswith(b"RIFF"):
                    raise EndpointError(f"{url} answered {kind or 'a WAV file'}, not the pcm it was asked for.")
                if len(waiting) >= least:
                    whole = len(waiting) & ~1
                    yield waiting[:whole]
                    waiting, least = waiting[whole:], PIECE
        if whole := len(waiting) & ~1:
            yield waiting[:whole]


class _ClauseTimeline:
    """A clause, word by word as its audio comes: by the time that the characters before a word take to speak."""

    def __init__(self, clause: str) -> None:
        words = clause.split(" ")
        self._words = [word + " " for word in words[:-1]] + words[-1:]
        self._starts = [0, *accumulate(round(len(word) * CHARACTER * OUTPUT_RATE) for word in self._words)]
        self._samples = 0
        self._taken_count = 0

    def take_words(self, samples: int) -> str:
        """The words that begin in the next `samples`."""
        self._samples += samples
        begun = sum(start < self._samples for start in self._starts[:-1])
        told, self._taken_count = self._taken_count, begun
        return "".join(self._words[told:begun])

    def flush(self) -> str:
        return "".join(self._words[self._taken_count :])


def create(argument: str, resources: Resources) -> OpenAITTS:
    """`argument` is the endpoint's base URL, with its `/v1`."""
    url = parse_base_url(argument)
    voices = parse_voices(resources.settings, "openai", "alloy")
    voice = resources.settings.get("voice", "")
    if not isinstance(voice, str):
        raise EngineError(f'openai: voice = {voice!r} is no name. Write voice = "alloy", for example.')
    api_key, model = find_key_and_model(url, resources)
    return OpenAITTS(url, model, api_key, voices, voice)
