"""A speaker who costs next to nothing: one session of the public protocol, its microphone open all the time.

Audio is sent as a microphone gives it: a chunk when its last sample has been said. So a sample that is said at `t` is
at the server up to 20 ms later, and that is part of what is measured. How late the chunks leave (`Session.lateness`)
tells whether this process kept up; figures of a client that did not are figures of the client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import click
import msgspec
from msgspec import Struct, field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from openlive.cli.bench.clips import CHUNK, CHUNK_MS, Clip, framed, message
from openlive.cli.conversation import MODEL, Address
from openlive.types import INPUT_RATE

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SILENCE_MS = 500
"""`silenceDurationMs` of every benchmark."""
PATIENCE = 60.0
"""Seconds that a server may take for an answer."""
SILENCE = framed(message(bytes(2 * CHUNK)))
STEP = CHUNK_MS / 1000


class BenchError(click.ClickException):
    """The server cannot be measured; the message says what it did."""


class SilentError(BenchError):
    """It did not answer, or not in time."""


# --- what the server says -----------------------------------------------------------------------------------------


class _Blob(Struct, rename="camel"):
    data: bytes = b""


class _Part(Struct, rename="camel"):
    inline_data: _Blob | None = None


class _Content(Struct, rename="camel"):
    parts: list[_Part] = []


class _Transcription(Struct, rename="camel"):
    text: str = ""


class _ServerContent(Struct, rename="camel"):
    model_turn: _Content | None = None
    generation_complete: bool = False
    turn_complete: bool = False
    interrupted: bool = False
    input_transcription: _Transcription | None = None
    output_transcription: _Transcription | None = None


class _SetupComplete(Struct, rename="camel"):
    session_id: str = ""


class _Message(Struct, rename="camel"):
    server_content: _ServerContent | None = None
    setup_complete: _SetupComplete | None = None


_read = msgspec.json.Decoder(_Message).decode


class Answer(Struct):
    """One turn of the model. Times are those of the event loop; None: it has not come. `audio` holds when each piece
    came and its bytes of s16le mono at 24 kHz, `pcm` all of them."""

    heard: str = ""
    said: str = ""
    audio: list[tuple[float, int]] = field(default_factory=list)
    pcm: bytearray = field(default_factory=bytearray)
    first: float | None = None
    """Its first message of any kind but the transcript of the user."""
    interrupted: float | None = None
    generated: float | None = None
    complete: float | None = None

    @property
    def first_audio(self) -> float | None:
        return self.audio[0][0] if self.audio else None

    def take(self, content: _ServerContent, at: float) -> None:
        if content.input_transcription is not None:
            self.heard += content.input_transcription.text
        if content.output_transcription is not None:
            self.said += content.output_transcription.text
        for part in content.model_turn.parts if content.model_turn is not None else ():
            if part.inline_data is not None and part.inline_data.data:
                self.audio.append((at, len(part.inline_data.data)))
                self.pcm += part.inline_data.data
        if self.first is None and (content.model_turn or content.output_transcription):
            self.first = at
        if content.interrupted and self.interrupted is None:
            self.interrupted = at
        if content.generation_complete:
            self.generated = at
        if content.turn_complete:
            self.complete = at


# --- the session ----------------------------------------------------------------------------------------------------


class Session:
    """Made by `connected`. One reader at a time may wait for answers. `silence` is the frame of a chunk in which nobody
    speaks."""

    silence = SILENCE

    def __init__(self, socket: ClientConnection, id_: str) -> None:
        self.id = id_
        self.lateness: list[float] = []
        """Seconds by which each chunk left after its time."""
        self.answer = Answer()
        """The turn under way, or the next one."""
        self._socket = socket
        self._waiting: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._ended: str | None = None
        self._begun = asyncio.get_running_loop().time()
        self._sent = 0
        self._timer: asyncio.TimerHandle | None = None

    def say(self, said: Clip) -> float:
        """Says it as soon as what was given before is said; when its first sample is said."""
        begins = self._begun + (self._sent + len(self._waiting)) * STEP
        self._waiting.extend(said.frames)
        return begins

    async def write(self, text: str) -> None:
        content = {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": True}
        await self._send(msgspec.json.encode({"clientContent": content}))

    async def finished(self, seconds: float = PATIENCE, *, played: bool = False) -> Answer:
        """The next turn, once all of it was generated, or (`played`) once it is over. Raises `BenchError`."""
        return await self.until(lambda answer: not played and answer.generated is not None, seconds)

    async def speaking(self, seconds: float = PATIENCE) -> Answer:
        """The next turn, once the first of its audio is there. Raises `BenchError`."""
        answer = await self.until(lambda answer: bool(answer.audio), seconds)
        if not answer.audio:
            raise SilentError(f"The server's answer had no audio (it understood {answer.heard!r}).")
        return answer

    async def until(self, reached: Callable[[Answer], bool], seconds: float = PATIENCE) -> Answer:
        """The turn under way, or the next one, once that is so of it or it is over. `seconds` are those that the server
        may be silent for. Raises `BenchError`."""
        answer = self.answer
        while answer.complete is None and not reached(answer):
            await self._news(seconds)
        return answer

    async def _news(self, seconds: float) -> None:
        self._changed.clear()
        if self._ended is None:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                raise SilentError(
                    f"The server was silent for {seconds:.0f} s (it understood {self.answer.heard!r})."
                ) from None
        if self._ended is not None:
            raise BenchError(self._ended)

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                frame = await self._socket.recv(decode=False)
                content = _read(frame).server_content
                if content is None:
                    continue
                self.answer.take(content, loop.time())
                self._changed.set()
                if content.turn_complete:
                    self.answer = Answer()
        except ConnectionClosed as closed:
            self._ended = f"The server ended the session: {told(closed)}"
        except msgspec.MsgspecError as error:
            self._ended = f"The server sent what is no message of this API: {error}"
        self._changed.set()

    def record(self) -> None:
        """Opens the microphone. A timer for each chunk and a frame that is ready: with a task and the library's `send`
        a session took half as much again of this process."""
        self._begun = asyncio.get_running_loop().time()
        self._tick()

    def stop(self) -> None:
        """Closes it."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        if self._ended is not None:
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:  # not the beginning
            self.lateness.append(loop.time() - self._begun - (self._sent + 1) * STEP)
            self._socket.transport.write(self._waiting.popleft() if self._waiting else self.silence)
            self._sent += 1
        self._timer = loop.call_at(self._begun + (self._sent + 1) * STEP, self._tick)

    async def _send(self, data: bytes) -> None:
        try:
            await self._socket.send(data, text=True)
        except ConnectionClosed:
            return  # whoever listens tells why


def told(closed: ConnectionClosed) -> str:
    received = closed.rcvd
    return f"{received.reason or 'no reason given'} (code {received.code})" if received else "the connection broke"


@asynccontextmanager
async def connected(address: Address, setup: Mapping[str, Any], *, microphone: bool = True) -> AsyncIterator[Session]:
    """A session whose microphone is open, unless it is to be one that only waits. Raises `BenchError`."""
    parts = urlsplit(address.url)
    secure = parts.scheme in ("https", "wss")
    url = urlunsplit(("wss" if secure else "ws", parts.netloc, parts.path.rstrip("/") + PATH, "", ""))
    opening = connect(
        url,
        additional_headers={"x-goog-api-key": address.key},
        ssl=address.context() if secure else None,
        compression=None,
        proxy=None,
        max_size=None,
    )
    try:
        socket = await opening
    except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
        raise BenchError(f"No server can be reached at {address.url}: {error}") from error
    try:
        session = Session(socket, await _set_up(socket, setup))
        listening = asyncio.create_task(session.listen())
        if microphone:
            session.record()
        try:
            yield session
        finally:
            session.stop()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    finally:
        await socket.close()


async def _set_up(socket: ClientConnection, setup: Mapping[str, Any]) -> str:
    try:
        await socket.send(msgspec.json.encode({"setup": setup}), text=True)
        async with asyncio.timeout(PATIENCE):
            while True:
                complete = _read(await socket.recv(decode=False)).setup_complete
                if complete is not None:
                    return complete.session_id
    except ConnectionClosed as closed:
        raise BenchError(f"The server refused the session: {told(closed)}") from closed
    except TimeoutError:
        raise BenchError(f"The server did not answer the setup within {PATIENCE:.0f} s.") from None


def setup(model: str = MODEL, **more: Any) -> dict[str, Any]:
    """A spoken session, transcribed on both sides, whose turns end after `SILENCE_MS`. `more` are fields of it."""
    detection = {"silenceDurationMs": SILENCE_MS}
    return {
        "model": f"models/{model.removeprefix('models/')}",
        "generationConfig": {"responseModalities": ["AUDIO"]},
        "realtimeInputConfig": {"automaticActivityDetection": detection},
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        **more,
    }


def said_at(begins: float, samples: int) -> float:
    """When a sample of a clip is said."""
    return begins + samples / INPUT_RATE
