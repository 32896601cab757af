"""Sessions of the official Python SDK with a server of these tests, and what a turn came to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google import genai
from google.genai import types
from google.genai.live import AsyncSession

from tests.serving import MODEL, SECONDS, Server, trust

TEXT: dict[str, Any] = {"response_modalities": ["TEXT"]}
AUDIO: dict[str, Any] = {"response_modalities": ["AUDIO"]}
BOTH: dict[str, Any] = {"input_audio_transcription": {}, "output_audio_transcription": {}}
MANUAL = {"realtime_input_config": {"automatic_activity_detection": {"disabled": True}}}


def client(server: Server, key: str = "any", **options: Any) -> genai.Client:
    arguments = {"ssl": trust()}
    http = types.HttpOptions(**{"base_url": server.url, "async_client_args": arguments, **options})
    return genai.Client(api_key=key, http_options=http)


@asynccontextmanager
async def session(
    server: Server, config: dict[str, Any], model: str = MODEL, *, seconds: float = SECONDS, **options: Any
) -> AsyncIterator[AsyncSession]:
    async with asyncio.timeout(seconds):
        async with client(server, **options).aio.live.connect(model=model, config=config) as opened:  # type: ignore[arg-type]
            yield opened


def user(text: str) -> types.Content:
    return types.Content(role="user", parts=[types.Part(text=text)])


def pcm(data: bytes, rate: int = 16000) -> types.Blob:
    return types.Blob(data=data, mime_type=f"audio/pcm;rate={rate}")


class Turn:
    """What `receive` gave until it ended."""

    def __init__(self) -> None:
        self.messages: list[types.LiveServerMessage] = []

    @property
    def contents(self) -> list[types.LiveServerContent]:
        contents = [m.server_content for m in self.messages if m.server_content is not None]
        assert len(contents) == len(self.messages), "the guide's programs read server_content of every message"
        return contents

    @property
    def text(self) -> str:
        return "".join(p.text or "" for c in self.contents if c.model_turn for p in c.model_turn.parts or ())

    @property
    def blobs(self) -> list[types.Blob]:
        parts = [p for c in self.contents if c.model_turn for p in c.model_turn.parts or ()]
        return [p.inline_data for p in parts if p.inline_data is not None]

    @property
    def heard(self) -> str:
        return "".join(c.input_transcription.text or "" for c in self.contents if c.input_transcription)

    @property
    def words(self) -> list[types.WordInfo]:
        """Of what was heard, with their offsets."""
        return [w for c in self.contents if c.input_transcription for w in c.input_transcription.words or ()]

    @property
    def said(self) -> str:
        return "".join(c.output_transcription.text or "" for c in self.contents if c.output_transcription)

    @property
    def kinds(self) -> list[str]:
        """Messages in order, runs of one kind told once."""
        kinds = [_kind(c) for c in self.contents]
        return [k for i, k in enumerate(kinds) if i == 0 or k != kinds[i - 1]]

    @property
    def usage(self) -> types.UsageMetadata:
        usage = self.messages[-1].usage_metadata
        assert usage is not None
        assert all(m.usage_metadata is None for m in self.messages[:-1])
        return usage


def _kind(content: types.LiveServerContent) -> str:
    for name in ("interrupted", "generation_complete", "turn_complete"):
        if getattr(content, name):
            return name
    for name, word in (("input_transcription", "heard"), ("output_transcription", "said")):
        transcription: types.Transcription | None = getattr(content, name)
        if transcription is not None:
            return f"{word} finished" if transcription.finished else word
    assert content.model_turn is not None
    parts = content.model_turn.parts or []
    return "audio" if parts[0].inline_data else "text"


async def receive(session: AsyncSession) -> Turn:
    turn = Turn()
    async for message in session.receive():
        turn.messages.append(message)
    assert turn.kinds[-1] == "turn_complete"
    return turn
