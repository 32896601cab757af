"""A speaker in front of a peer: the one of `openlive bench`, in the peer's own words."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from openlive.cli.bench import client as public
from openlive.cli.bench.client import PATIENCE, Answer, BenchError
from openlive.cli.bench.clips import CHUNK, Clip
from openlive.types import OUTPUT_RATE

OVER = 0.4
"""Seconds without audio, counted from where the audio so far has been played, after which an answer is over: peers have
no message for it in common."""


class Dialect(Protocol):
    """How a peer is spoken to. Audio is s16le mono, 16 kHz to it and `rate` from it."""

    path: str
    rate: int

    def opening(self) -> list[str]:
        """What is sent once the peer is ready."""
        ...

    def ready(self, message: str | bytes) -> bool: ...

    def message(self, pcm: bytes) -> str | bytes: ...

    def audio(self, message: str | bytes) -> bytes:
        """b'' where there is none in it. Raises `BenchError` where it tells of an error."""
        ...


class Bare:
    """Samples and nothing else, after the word `ready`."""

    path = ""
    rate = OUTPUT_RATE

    def opening(self) -> list[str]:
        return []

    def ready(self, message: str | bytes) -> bool:
        return message == "ready"

    def message(self, pcm: bytes) -> str | bytes:
        return pcm

    def audio(self, message: str | bytes) -> bytes:
        return message if isinstance(message, bytes) else b""


class Realtime:
    """OpenAI's Realtime API, as Hugging Face's speech-to-speech serves it."""

    path = "v1/realtime"
    rate = 16_000

    def __init__(self, instructions: str) -> None:
        self._instructions = instructions

    def opening(self) -> list[str]:
        session = {"type": "realtime", "instructions": self._instructions}
        return [msgspec.json.encode({"type": "session.update", "session": session}).decode()]

    def ready(self, message: str | bytes) -> bool:
        return bool(msgspec.json.decode(message)["type"] == "session.created")

    def message(self, pcm: bytes) -> str | bytes:
        return f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(pcm).decode()}"}}'

    def audio(self, message: str | bytes) -> bytes:
        event = msgspec.json.decode(message)
        if event["type"] == "error":
            raise BenchError(f"The server reports an error: {event['error']}")
        return base64.b64decode(event["delta"]) if event["type"] == "response.output_audio.delta" else b""


class Session(public.Session):
    """Made by `connected`. What tells that an answer is over is the silence after it."""

    def __init__(self, socket: ClientConnection, dialect: Dialect) -> None:
        super().__init__(socket, "")
        self.silence = framed(dialect.message(bytes(2 * CHUNK)))
        self._dialect = dialect
        self._plays_until = 0.0

    async def finished(self, seconds: float = PATIENCE, *, played: bool = True) -> Answer:
        del played
        answer = await self.speaking(seconds)
        loop = asyncio.get_running_loop()
        while (left := self._plays_until + OVER - loop.time()) > 0:  # noqa: ASYNC110 - more audio may come meanwhile
            await asyncio.sleep(left)
        self.answer = Answer()
        return answer

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for message in self._socket:
                if pcm := self._dialect.audio(message):
                    now = loop.time()
                    self.answer.audio.append((now, len(pcm)))
                    self.answer.pcm += pcm
                    self._plays_until = max(self._plays_until, now) + len(pcm) / 2 / self._dialect.rate
                    self._changed.set()
            self._ended = "The server ended the session."
        except (ConnectionClosed, BenchError) as error:
            self._ended = f"The session ended: {error}"
        self._changed.set()


def translated(clip: Clip, dialect: Dialect) -> Clip:
    """The clip as a dialect has it."""
    chunks = [msgspec.json.decode(message)["realtimeInput"]["audio"]["data"] for message in clip.messages]
    return replace(clip, frames=tuple(framed(dialect.message(base64.b64decode(chunk))) for chunk in chunks))


def framed(message: str | bytes) -> bytes:
    """The WebSocket frame of a client's message."""
    kind, data = (Opcode.BINARY, message) if isinstance(message, bytes) else (Opcode.TEXT, message.encode())
    return Frame(kind, data).serialize(mask=True)


@asynccontextmanager
async def connected(url: str, dialect: Dialect) -> AsyncIterator[Session]:
    """A session whose microphone is open. Raises `BenchError`."""
    async with await _ready(url + dialect.path, dialect) as socket:
        for message in dialect.opening():
            await socket.send(message)
        session = Session(socket, dialect)
        listening = asyncio.create_task(session.listen())
        session.record()
        try:
            yield session
        finally:
            session.stop()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def _ready(url: str, dialect: Dialect) -> ClientConnection:
    """A connection that the peer is ready on. One that it turns away is tried again: it may still be busy with the end
    of an earlier one."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        try:
            socket = await connect(url, compression=None, proxy=None, max_size=None, ping_interval=None)
            try:
                async with asyncio.timeout(PATIENCE):
                    while not dialect.ready(await socket.recv()):
                        pass
            except BaseException:
                await socket.close()
                raise
        except (OSError, ConnectionClosed, TimeoutError) as error:
            if loop.time() - begun > PATIENCE:
                raise BenchError(f"{url} does not become ready: {error!r}") from error
            await asyncio.sleep(0.5)
        else:
            return socket
