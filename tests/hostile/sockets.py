"""Raw sockets against a server on loopback: what a library would not send, and what it would not survive."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
MODEL = "models/gemini-live-2.5-flash-preview"
TEXT: dict[str, Any] = {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT"]}}
TALK: dict[str, Any] = {
    "model": MODEL,
    "generationConfig": {"responseModalities": ["AUDIO"]},
    "outputAudioTranscription": {},
    "inputAudioTranscription": {},
}
CONT, SAID, BYTES, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
STEP = 256 * 1024
"""Bytes written before it is waited for the server to take them."""
MESSAGES = 1000
"""Of the server, that are kept to be looked at."""


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """One of a client's, with a mask of zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2)
    else:
        length = b"\xff" + size.to_bytes(8)
    return bytes([(0x80 if fin else 0) | opcode]) + length + bytes(4) + payload


def message(value: object) -> bytes:
    return frame(SAID, json.dumps(value, separators=(",", ":")).encode())


def turns(text: str, *, complete: bool = True) -> dict[str, Any]:
    content = {"turns": [{"role": "user", "parts": [{"text": text}]}], "turnComplete": complete}
    return {"clientContent": content}


def spoken(pcm: bytes, rate: int = 16000) -> dict[str, Any]:
    data = base64.b64encode(pcm).decode()
    return {"realtimeInput": {"audio": {"data": data, "mimeType": f"audio/pcm;rate={rate}"}}}


class Socket:
    """A connection. Once it is a WebSocket a task reads what the server says, unless it is one that never reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.said: deque[dict[str, Any]] = deque(maxlen=MESSAGES)
        self.end: str = ""
        """How the server ended it: `1008 reason`, `cut`; '' while it is open."""
        self.news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def write(self, data: bytes | Iterable[bytes]) -> None:
        """As fast as the server takes it. Raises `ConnectionError` once it takes no more."""
        for piece in (data,) if isinstance(data, bytes) else data:
            for at in range(0, len(piece), STEP):
                if self.end:
                    raise ConnectionResetError(self.end)
                self.writer.write(piece[at : at + STEP])
                await self.writer.drain()

    async def say(self, value: object) -> None:
        await self.write(message(value))

    async def set_up(self, setup: dict[str, Any]) -> dict[str, Any]:
        await self.say({"setup": setup})
        return await self.until("setupComplete")

    async def until(self, name: str, seconds: float = 10.0) -> dict[str, Any]:
        """The next message that has `name` in it, at its top or in `serverContent`. Raises `ConnectionError`."""
        async with asyncio.timeout(seconds):
            while True:
                while self.said:
                    told = self.said.popleft()
                    if name in told or name in told.get("serverContent", {}):
                        return told
                if self.end:
                    raise ConnectionResetError(self.end)
                self.news.clear()
                await self.news.wait()

    async def ended(self, seconds: float = 10.0) -> str:
        """How the server ended it; `open` where it has not within `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.end:
                    self.news.clear()
                    await self.news.wait()
        return self.end or "open"

    def reads(self) -> None:
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while not self.end:
                await self._frame()
        except (OSError, asyncio.IncompleteReadError):
            self.end = self.end or "cut"
        self.news.set()

    async def _frame(self) -> None:
        first, size = await self.reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        payload = await self.reader.readexactly(size)
        if first & 15 == CLOSE:
            code = int.from_bytes(payload[:2]) if payload else 1005
            self.end = f"{code} {payload[2:].decode(errors='replace')}".strip()
        elif first & 15 == PING:
            self.writer.write(frame(PONG, payload))
        elif first & 15 in (SAID, BYTES):
            with suppress(ValueError):
                self.said.append(json.loads(payload))
            self.news.set()

    def reset(self) -> None:
        """Ends it with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.writer.transport.abort()


@asynccontextmanager
async def connected(
    port: int, *, secure: bool = False, source: str = "127.0.0.1", small: bool = False
) -> AsyncIterator[Socket]:
    """A socket that has said nothing yet. `small`: it takes little before it is read."""
    sock = socket.socket()
    sock.setblocking(False)
    if small:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        name = "localhost" if secure else None
        reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name, limit=1 << 20)
    except BaseException:
        sock.close()
        raise
    found = Socket(reader, writer)
    try:
        yield found
    finally:
        await found.close()


def handshake(port: int, key: str, path: str = PATH, headers: str = "") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"x-goog-api-key: {key}\r\n{headers}\r\n"
    ).encode()


@asynccontextmanager
async def websocket(
    port: int, key: str, setup: dict[str, Any] | None = None, *, reads: bool = True, path: str = PATH, **more: Any
) -> AsyncIterator[Socket]:
    """One that is a WebSocket, and set up where a setup is given. Raises `ConnectionError`."""
    async with connected(port, **more) as found:
        await found.write(handshake(port, key, path))
        answer = await found.reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer:
            raise ConnectionRefusedError(answer.split(b"\r\n")[0].decode())
        if reads:
            found.reads()
        if setup is not None:
            await found.set_up(setup)
        yield found


async def request(port: int, data: bytes, seconds: float = 5.0) -> bytes:
    """What a raw HTTP request is answered, up to the end of the connection or 64 kB."""
    async with connected(port) as found:
        found.writer.write(data)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                await found.writer.drain()
                return await found.reader.read(65536)
    return b""
