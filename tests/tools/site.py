"""A web site for tests: real sockets on this machine, answered by what a test gives.

127.0.0.1 stands for the public internet (tests allow it), 127.0.0.2 and ::1 for what must not be reached.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from openlive.tools.pages import Pages, Settings
from openlive.types import ToolResult

PUBLIC, PRIVATE = "127.0.0.1", "127.0.0.2"

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


def reply(
    body: bytes = b"", content_type: str = "text/html; charset=utf-8", status: str = "200 OK", **more: str
) -> bytes:
    headers = {"Content-Type": content_type, "Content-Length": str(len(body)), **more}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    return reply(status=f"{status} Found", Location=location)


HTML = reply(b"<title>Hours</title><p>Open from nine to six.")


class Site:
    """`requests` are the heads that came, `reached` the addresses at which, `left` is set when a client goes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[str] = []
        self.reached: list[str] = []
        self.left = asyncio.Event()

    @property
    def paths(self) -> list[str]:
        return [head.split()[1] for head in self.requests]

    def url(self, host: str = PUBLIC, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    def pages(self, *, names: dict[str, Sequence[str]] | None = None, **settings: Any) -> Pages:
        """The tool, for which `names` resolve to these addresses, and names not in there as they do on this machine."""
        options = {"allow": [PUBLIC], "ports": [80, 443, self.port], **settings}
        return Pages(msgspec.convert(options, Settings), resolve=Names(names) if names else None)


class Names:
    """A name server. A list of lists is a name that resolves differently each time."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self._names:
            return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        found = self._names[host]
        if isinstance(found[0], list):
            return list(found.pop(0) if len(found) > 1 else found[0])
        return list(found)


@asynccontextmanager
async def site(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """Answers each request with these bytes, or as `answer(path, writer)` does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        here.reached.append(writer.get_extra_info("sockname")[0])
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            here.requests.append(head)
            writing = asyncio.ensure_future(_write(answer, head.split()[1], writer))
            await reader.read(1)
            writing.cancel()
        here.left.set()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    serving: set[Any] = set()
    with socket.socket() as probe:
        probe.bind((PUBLIC, 0))
        here = Site(probe.getsockname()[1])
    server = await asyncio.start_server(serve, [PUBLIC, PRIVATE, "::1"], here.port, ssl=tls)
    try:
        yield here
    finally:
        server.close()
        await server.wait_closed()
        if serving:
            await asyncio.wait(serving, timeout=5)


async def _write(answer: Answer | bytes, path: str, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            await answer(path, writer)
        await writer.drain()


def text(result: ToolResult) -> str:
    """Of the one page that was read."""
    (found,) = result.response.values()
    return str(found)


def status(result: ToolResult) -> str:
    (page,) = result.pages
    return page.status
