"""OpenAI-compatible endpoints that mean harm. The first folder of a path says which: `/gzip/v1/chat/completions`."""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

BOMB = 300_000_000
"""Bytes that the bomb unpacks to."""
TRANSCRIPT = 20_000_000
MODELS = json.dumps({"object": "list", "data": [{"id": "m"}]}).encode()


def bomb(begins: bytes) -> bytes:
    """Zeros, packed into 0.3 MB, after the beginning of something that might be meant."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1_000_000)
    return packer.compress(begins) + b"".join(packer.compress(zeros) for _ in range(BOMB // 1_000_000)) + packer.flush()


def event(delta: object, **more: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, **more}]}).encode() + b"\n\n"


async def answer(name: str, path: str, writer: asyncio.StreamWriter) -> None:
    stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    if path.endswith("/models"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(MODELS) + MODELS)
    elif name == "gzip":
        kind = b"application/json" if "transcriptions" in path else b"text/event-stream"
        body = bomb(b'{"text": "' if "transcriptions" in path else b"data: ")
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % (kind, len(body)) + body)
    elif name == "line":
        writer.write(stream + b"data: ")
        while True:
            writer.write(b"x" * 100_000)
            await writer.drain()
    elif name == "transcript":
        body = json.dumps({"text": "word " * (TRANSCRIPT // 5)}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
    elif name == "error":
        body = b"x\n\x1b[31m secret of the endpoint " * 1_000_000
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
    elif name == "calls":
        call = {"index": 0, "id": "1", "function": {"name": "f", "arguments": json.dumps({"a": nested(60)})}}
        writer.write(stream + event({"tool_calls": [call]}, finish_reason="tool_calls") + b"data: [DONE]\n\n")
    elif name == "nonsense":
        for bad in (b"[]", b"1", b'{"choices": 1}', b'{"choices": [1]}', b'{"choices": [{"delta": [1]}]}'):
            writer.write((stream if bad == b"[]" else b"") + b"data: " + bad + b"\n\n")
        writer.write(b'data: {"usage": {"prompt_tokens": "many", "completion_tokens": 1e400}, "choices": []}\n\n')
        writer.write(event({"content": 5}) + b"data: [DONE]\n\n")
    await writer.drain()


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = head.split(" ")[1]
        lengths = [line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        await reader.readexactly(int(lengths[0]) if lengths else 0)
        await answer(path.split("/")[1], path, writer)
    writer.close()


@asynccontextmanager
async def endpoints() -> AsyncIterator[int]:
    """On a free port of loopback."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def main() -> None:
    """Says its port, and serves until standard input ends."""
    async with endpoints() as port:
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
