"""Talking to a server with the official Python SDK, as any client does. Used by `talk`, `demo` and the benchmark."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import click
import httpx
from msgspec import Struct

from openlive.cli.environment import pass_by_proxies
from openlive.types import INPUT_RATE

if TYPE_CHECKING:
    from google.genai.live import AsyncSession

MODEL = "gemini-live-2.5-flash-preview"
INTERPRETER = "gemini-3.5-live-translate-preview"
CHUNK_MS = 40
SILENCE = bytes(INPUT_RATE * CHUNK_MS // 1000 * 2)
_MIME = f"audio/pcm;rate={INPUT_RATE}"


class ConversationError(click.ClickException):
    """The server cannot be reached, or it ended the session; the message says which and why."""


class Listener:
    """Hears what comes from the server; each method does nothing unless it is overridden."""

    def heard(self, text: str) -> None:
        """A further piece of what the user said."""

    def said(self, text: str) -> None:
        """A further piece of what the model says."""

    def audio(self, pcm: bytes) -> None:
        """s16le mono, 24 kHz."""

    def interrupted(self) -> None:
        """The answer ends here; what was not played of it is void."""

    def finished(self) -> None:
        """The turn is over."""


class Address(Struct, frozen=True):
    """Where a server is, and how it can be trusted; `ca` None trusts the public roots."""

    url: str
    key: str
    ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.ca is not None:
            context.load_verify_locations(self.ca)
        return context


class Conversation:
    """A session. Turns are taken one after another; `stream` gives the microphone free. `interprets`: what is said is
    translated, sentence for sentence, and the turn ends with the audio."""

    def __init__(self, session: AsyncSession, listener: Listener, *, interprets: bool = False) -> None:
        self._session = session
        self._listener = listener
        self._interprets = interprets
        self.id: str = session.session_id or ""

    async def say(self, pcm: bytes) -> None:
        """Speaks s16le mono at 16 kHz at the speed of speech, then is silent, and hears the answer to its end."""
        await self._while_sending(spoken(pcm, then_silent=not self._interprets), self._turn())

    async def write(self, text: str) -> None:
        """Sends a text and hears the answer to its end."""
        from google.genai import types

        content = types.Content(role="user", parts=[types.Part(text=text)])
        await self._session.send_client_content(turns=content, turn_complete=True)
        await self._turn()

    async def stream(self, audio: AsyncIterator[bytes]) -> None:
        """Passes on what a microphone hears and listens, until it is cancelled or the server ends the session."""
        await self._while_sending(audio, self._turns())

    async def _turns(self) -> None:
        while True:
            await self._turn()

    async def _turn(self) -> None:
        async for message in self._session.receive():
            content = message.server_content
            if content is None:
                continue
            if content.input_transcription and content.input_transcription.text:
                self._listener.heard(content.input_transcription.text)
            if content.interrupted:
                self._listener.interrupted()
            for part in (content.model_turn and content.model_turn.parts) or ():
                if part.inline_data and part.inline_data.data:
                    self._listener.audio(part.inline_data.data)
            if content.output_transcription and content.output_transcription.text:
                self._listener.said(content.output_transcription.text)
            if content.generation_complete and self._interprets:
                self._listener.finished()
        self._listener.finished()

    async def _while_sending(self, audio: AsyncIterator[bytes], listening: Awaitable[None]) -> None:
        from google.genai import types

        async def send() -> None:
            async for chunk in audio:
                await self._session.send_realtime_input(audio=types.Blob(data=chunk, mime_type=_MIME))
            await self._session.send_realtime_input(audio_stream_end=True)

        sending = asyncio.ensure_future(send())
        try:
            await listening
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, Exception):  # the one that listens tells what went wrong
                await sending


async def spoken(pcm: bytes, *, then_silent: bool = True) -> AsyncIterator[bytes]:
    """The audio in the time it takes to say it, then silence for ever: a microphone does not stop by itself."""
    start, step = time.monotonic(), len(SILENCE)
    sent = 0
    while then_silent or sent * step < len(pcm):
        yield pcm[sent * step : (sent + 1) * step].ljust(step, b"\0")
        sent += 1
        await asyncio.sleep(max(0.0, start + sent * CHUNK_MS / 1000 - time.monotonic()))


@asynccontextmanager
async def conversation(
    address: Address,
    listener: Listener,
    *,
    model: str | None = None,
    voice: str | None = None,
    translate: str | None = None,
) -> AsyncIterator[Conversation]:
    """A session that is transcribed on both sides. `translate`: a language to say everything again in. Raises
    `ConversationError`."""
    genai = _sdk()
    pass_by_proxies(os.environ)
    config: dict[str, Any] = {
        "response_modalities": ["AUDIO"],
        "input_audio_transcription": {},
        "output_audio_transcription": {},
    }
    if voice:
        config["speech_config"] = {"voice_config": {"prebuilt_voice_config": {"voice_name": voice}}}
    if translate:
        config["translation_config"] = {"target_language_code": translate}
    model = model or (INTERPRETER if translate else MODEL)
    options = {"base_url": address.url, "async_client_args": {"ssl": address.context()}}
    client = genai.Client(vertexai=False, api_key=address.key, http_options=options)
    try:
        async with client.aio.live.connect(model=model, config=config) as session:
            yield Conversation(session, listener, interprets=bool(translate))
    except genai.errors.APIError as error:
        raise ConversationError(f"The server ended the session: {_reason(error)}") from error
    except OSError as error:
        raise ConversationError(f"No server can be reached at {address.url}: {error}") from error


def _reason(error: Any) -> str:
    detail = error.details if isinstance(error.details, str) else error.message
    return f"{detail or 'no reason given'} (code {error.code})"


def _sdk() -> Any:
    try:
        from google import genai
        from google.genai import errors  # noqa: F401 - makes genai.errors
    except ImportError:
        raise click.ClickException(
            "This needs Google's SDK for Python, which is not installed. Run: pip install 'openlive[client]'"
        ) from None
    return genai


async def waterfall(address: Address, session: str) -> dict[str, float] | None:
    """The steps of the session's latest turn in milliseconds, as the server noted them; None where it has no such
    table (a server that is not openlive)."""
    url = urlunsplit((*urlsplit(address.url)[:2], "/openlive/turns", "", ""))
    try:
        async with httpx.AsyncClient(verify=address.context(), trust_env=False) as client:
            answer = await client.get(url, params={"session": session}, headers={"x-goog-api-key": address.key})
            turns = answer.raise_for_status().json()["turns"]
    except (httpx.HTTPError, ValueError, KeyError):
        return None
    return dict(turns[-1]["ms"]) if turns else None


def as_program(work: Callable[[], Coroutine[None, None, None]]) -> bool:
    """Runs it; False where Ctrl-C ended it."""
    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        return False
    return True
