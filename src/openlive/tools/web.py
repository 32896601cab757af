"""Reads pages of the public web, and nothing else that this machine can reach.

What counts is the address that is connected to: a name is looked up once, its addresses are checked, and the connection
goes to a checked address, not to the name. So a name that resolves differently the next time (DNS rebinding) gains
nothing, nor does any spelling of an address. This holds for every redirect, since each is a request of its own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial

import httpcore
import httpx
from msgspec import Struct

from openlive.tools.addresses import Address, Allowed, Network, is_in, is_public, own_networks, plain

PORTS = frozenset({80, 443, 8080, 8443})
"""Where the web is. A page that names another port may be after a service that is no web server."""
REDIRECTS = 5
MOST_BYTES = 2 << 20
"""Of one body, as it comes and decompressed; what lies beyond is not read."""
_CONNECT = 3.0
"""Seconds for one address; a host may have several."""
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_HEADERS = [
    (b"User-Agent", b"Mozilla/5.0 (compatible; openlive)"),
    (b"Accept", b"text/html, application/xhtml+xml, text/plain;q=0.9, application/json;q=0.9, */*;q=0.1"),
    (b"Accept-Encoding", b"gzip"),
]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, in the order in which to try them. Raises `OSError` where there are none."""


class PageError(Exception):
    """The page cannot be had; the message says why, in words for the model."""


class UnsafeError(PageError):
    """The page may not be had."""


class Fetched(Struct, frozen=True):
    """The answer to a request. `charset` is as the server named it, '' where it did not."""

    url: str
    type: str
    charset: str
    body: bytes


class Web:
    """Fetches one page at a time or many at once. There are no cookies, credentials or proxies, and nothing is kept."""

    def __init__(
        self, *, allowed: Allowed, ports: Iterable[int] = PORTS, tls: ssl.SSLContext, resolve: Resolve | None = None
    ) -> None:
        self._resolver = _Resolver()
        self._network = _CheckedNetwork(allowed, resolve or self._resolver)
        self._ports = frozenset(ports)
        self._tls = tls

    async def fetch(self, url: str, readable: Callable[[str], bool]) -> Fetched:
        """The page behind `url` and its redirects, if its media type is `readable`. Raises `PageError`.

        It takes as long as it takes: the caller has a time limit.
        """
        for _ in range(REDIRECTS + 1):
            target = self._target(url)
            try:
                answer = await self._request(target, readable)
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
                raise PageError(f"{target.host} does not answer properly ({error or type(error).__name__})") from error
            if isinstance(answer, Fetched):
                return answer
            url = answer
        raise PageError(f"it redirects more than {REDIRECTS} times")

    def close(self) -> None:
        """Ends its threads."""
        self._resolver.close()

    def _target(self, url: str) -> httpx.URL:
        try:
            target = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise PageError(f"that is no valid URL ({error})") from error
        if target.scheme not in ("http", "https") or not target.host:
            raise UnsafeError("only http:// and https:// addresses can be read")
        if target.userinfo:
            raise UnsafeError("addresses with a user name or password are not read")
        if _port(target) not in self._ports:
            raise UnsafeError(f"port {_port(target)} is not one of the web's")
        return target

    async def _request(self, target: httpx.URL, readable: Callable[[str], bool]) -> Fetched | str:
        """What one request brings: a page, or the URL that it redirects to."""
        url = httpcore.URL(
            scheme=target.raw_scheme,
            host=target.raw_host,
            port=_port(target),
            target=target.raw_path,
        )
        headers = [(b"Host", target.netloc), *_HEADERS]
        timeouts = {"timeout": {"connect": _CONNECT}}
        async with (
            httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=self._network) as pool,
            pool.stream("GET", url, headers=headers, extensions=timeouts) as response,
        ):
            found = httpx.Headers(response.headers)
            if response.status in _REDIRECTED and "location" in found:
                return _joined(target, found["location"])
            if not 200 <= response.status < 300:
                raise PageError(f"the server answered {response.status}")
            media, charset = _content_type(found)
            if not readable(media):
                raise PageError(f"it is {media}, which cannot be read")
            return Fetched(str(target), media, charset, await _body(response, found.get("content-encoding", "")))


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Where connections are made: the only place from which an address can be reached."""

    def __init__(self, allowed: Allowed, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in await self._checked(host, port):
            try:
                return await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or PageError(f"{host} has no address")

    async def _checked(self, host: str, port: int) -> list[str]:
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise PageError(f"there is no host {host}") from error
        own = own_networks()
        checked = [written for written in found if self._may_reach(host, plain(written), own)]
        if found and not checked:
            raise UnsafeError(f"{host} is not on the public internet")
        return checked

    def _may_reach(self, host: str, address: Address, own: list[Network]) -> bool:
        return self._allowed(host, address) or (is_public(address) and not is_in(address, own))


class _Resolver:
    """The system's resolver, in threads of its own: a name server that hangs holds up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        return [str(address[0]) for _, _, _, _, address in found]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


_look_up = partial(socket.getaddrinfo, type=socket.SOCK_STREAM)


def _port(url: httpx.URL) -> int:
    if url.port is not None:
        return url.port
    return 443 if url.scheme == "https" else 80


def _joined(target: httpx.URL, location: str) -> str:
    try:
        return str(target.join(location))
    except httpx.InvalidURL as error:
        raise PageError("it redirects to what is no valid URL") from error


def _content_type(headers: httpx.Headers) -> tuple[str, str]:
    """Media type and charset, in lower case. A page without a type is taken for HTML, as most are."""
    media, *parameters = headers.get("content-type", "text/html").lower().split(";")
    named = dict(p.strip().partition("=")[::2] for p in parameters)
    return media.strip(), named.get("charset", "").strip("\"' ")[:40]


async def _body(response: httpcore.Response, encoding: str) -> bytes:
    unpack = _unpacker(encoding.strip().lower())
    body, received = bytearray(), 0
    async with aclosing(response.aiter_stream()) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            received += len(chunk)
            try:
                body += unpack(chunk, MOST_BYTES - len(body))
            except zlib.error as error:
                raise PageError("what it sent cannot be decompressed") from error
            if max(received, len(body)) >= MOST_BYTES:
                break
    return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """Takes a chunk and how many bytes may come of it (at least one: zlib takes 0 for no limit)."""
    match encoding:
        case "" | "identity":
            return lambda chunk, most: chunk[:most]
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
        case _:
            raise PageError(f"it is compressed with {encoding}, which was not asked for")
