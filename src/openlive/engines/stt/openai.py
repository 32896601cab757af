"""Any endpoint that speaks OpenAI's transcriptions: vLLM, speaches, whisper.cpp's and LocalAI's servers, a hosted one.

It only knows whole recordings, so what is said is uploaded again while it grows, as a local recogniser would read it
again (hearing.py): when the speaker pauses, and in between at a rate that follows what an upload takes. An upload whose
answer nobody waits for any more is broken off.

Settings: `model` and `api_key` as for language models (openai.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from openlive.audio import to_wav
from openlive.engines.api import Resources
from openlive.engines.runtime.http_endpoint import (
    EXCERPT,
    Endpoint,
    EndpointError,
    find_key_and_model,
    loggable_url,
    parse_base_url,
    read_body,
)
from openlive.engines.stt.incremental import Hints, PassInput, PassResult, transcribe_incrementally
from openlive.engines.stt.language_hints import parse_language_hints
from openlive.engines.stt.segment import Samples
from openlive.engines.text.languages import bare_language
from openlive.types import INPUT_RATE, Transcript

SECONDS = 60.0
"""That an upload and its answer may take."""
LONGEST = 10_000
"""Characters that a pass may hear: one is about some 12 s, in which nobody says a tenth of that."""


class OpenAISTT:
    """An `STT`. It tells no offsets of words: few endpoints do."""

    def __init__(self, url: str, model: str, api_key: str = "") -> None:
        self._endpoint = Endpoint(url, api_key)
        self._url = f"{url}/audio/transcriptions"
        self._model = model

    async def transcribe(
        self,
        audio: AsyncIterator[bytes],
        *,
        languages: Sequence[str] = (),
        phrases: Sequence[str] = (),
        words: bool = False,  # noqa: ARG002
    ) -> AsyncGenerator[Transcript]:
        connecting = asyncio.create_task(self._endpoint.warm_connection())
        try:
            async with aclosing(
                transcribe_incrementally(self, audio, Hints(tuple(languages), tuple(phrases)))
            ) as transcripts:
                async for transcript in transcripts:
                    yield transcript
        finally:
            connecting.cancel()

    async def run_pass(self, take: Callable[[], PassInput], hints: Hints, memo: Any, priority: int) -> PassResult:  # noqa: ARG002
        """One upload (`hearing.PassRunner`)."""
        language = parse_language_hints(
            hints.languages, [bare_language(tag) for tag in hints.languages if tag]
        ).only_language
        fields = {"model": self._model, "response_format": "json"}
        fields |= {"language": language} if language else {}
        fields |= {"prompt": ", ".join(hints.phrases)} if hints.phrases else {}
        file = ("speech.wav", to_wav(_to_pcm(take().samples), INPUT_RATE), "audio/wav")
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._endpoint.post(self._url, data=fields, files={"file": file}) as response,
            ):
                text, detected = _parse_answer(response, await read_body(response))
        except TimeoutError as error:
            raise EndpointError(f"{loggable_url(httpx.URL(self._url))} took longer than {SECONDS:g} s") from error
        return PassResult(text, language or detected)

    async def close(self) -> None:
        await self._endpoint.close()


def _to_pcm(samples: Samples) -> bytes:
    return (samples * 32768).astype("<i2").tobytes()


class _EndpointTranscript(Struct):
    text: str
    language: str | None = None


def _parse_answer(response: httpx.Response, content: bytes) -> tuple[str, str]:
    """The text, and the code of the language where the endpoint tells one."""
    try:
        told = msgspec.json.decode(content, type=_EndpointTranscript)
    except (ValueError, RecursionError) as error:
        words = content[: 4 * EXCERPT].decode(errors="replace")[:EXCERPT]
        raise EndpointError(f"{loggable_url(response.url)} answered what is no transcription", words) from error
    if len(told.text) > LONGEST:
        raise EndpointError(f"{loggable_url(response.url)} heard more than can be said: {len(told.text)} characters")
    language = told.language or ""
    return told.text.strip(), language if len(language) == 2 else ""


def create(argument: str, resources: Resources) -> OpenAISTT:
    """`argument` is the endpoint's base URL, with its `/v1`."""
    url = parse_base_url(argument)
    api_key, model = find_key_and_model(url, resources)
    return OpenAISTT(url, model, api_key)
