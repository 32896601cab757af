"""An OpenAI-compatible server as all engines that ask one see it: its connections, its answers, its refusals.

What it sends is bounded before it is looked at, and never decompressed: a few bytes can promise gigabytes.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.proxies import takes_proxy
from openlive.private import without_secrets

_TIMEOUT = httpx.Timeout(60, connect=5)
"""A silence of a minute is taken for a dead connection; how long an answer may take is up to the caller."""
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60)
"""A connection per request under way, as many as there are sessions; they are kept for the next turn."""
_FRESH = 4.0
"""Seconds for which a connection is taken to be open still: most servers (uvicorn's default) close it after 5."""
EXCERPT = 300
"""Characters of somebody else's error message that are passed on."""
MOST_BYTES = 1 << 20
"""Of an answer that comes at once, and of a line of one that comes bit by bit."""
STREAM_BYTES = 64 << 20
"""Of one that comes bit by bit: 32,000 tokens with their probabilities take some 20 MB."""
STREAM_SECONDS = 1800.0
"""That may be waited for it in all, however slowly it comes."""
_REFUSAL_BYTES = 1 << 16
_BODY = 60.0
_LISTING = 10.0
"""Seconds that the list of models may take."""
_KIND = re.compile(r"[a-zA-Z][\w.-]{0,63}")


class EndpointError(RuntimeError):
    """The endpoint did not do what it was asked. The message ends with its own words, which may repeat what it was
    asked; `plain` is for logs."""

    def __init__(self, plain: str, words: str = "") -> None:
        super().__init__(f"{plain}: {words}" if words else plain)
        self.plain, self.words = plain, words


class Endpoint:
    """`url` is the base URL, with its `/v1`. The connections belong to the event loop of the first request."""

    def __init__(self, url: str, api_key: str = "") -> None:
        self.url = url
        self.client = httpx.AsyncClient(**_client_options(url, api_key), limits=_LIMITS)
        self._last_used = -_FRESH

    async def warm_connection(self) -> None:
        """Sees to an open connection, so that a request that will soon be made need not wait for one."""
        if time.monotonic() - self._last_used < _FRESH:
            return
        self.note_use()
        with suppress(httpx.HTTPError, EndpointError, TimeoutError):  # the request itself will tell
            async with asyncio.timeout(_LISTING), self.client.stream("GET", f"{self.url}/models") as response:
                await read_body(response)

    def note_use(self) -> None:
        """A connection is in use, or has just been."""
        self._last_used = time.monotonic()

    @asynccontextmanager
    async def post(self, url: str, **request: Any) -> AsyncIterator[httpx.Response]:
        """The answer, whose body is read with `read_body`, `read_chunks` or `read_lines` inside the block. Raises
        `EndpointError` where the endpoint cannot be asked, refuses, or sends what it was not asked for."""
        self.note_use()
        try:
            async with self.client.stream("POST", url, **request) as response:
                if not response.is_success:
                    raise EndpointError(
                        *describe_refusal(response, await read_body(response, _REFUSAL_BYTES, cut=True))
                    )
                yield response
        except httpx.HTTPError as error:
            raise EndpointError(f"{loggable_url(httpx.URL(url))}: {type(error).__name__}", str(error)) from error
        self.note_use()

    async def close(self) -> None:
        await self.client.aclose()


async def read_chunks(response: httpx.Response, most: int, seconds: float) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises `EndpointError` where it is compressed, has more than `most` bytes, or lets wait for
    them longer than `seconds` in all."""
    _check_encoding(response)
    received, waited = 0, 0.0
    async with aclosing(response.aiter_raw()) as pieces:  # type: ignore[type-var]
        while True:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(seconds - waited):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise EndpointError(
                    f"{loggable_url(response.url)} sent no end of its answer within {seconds:g} s"
                ) from error
            if piece is None:
                return
            waited += time.monotonic() - begun
            received += len(piece)
            if received > most:
                raise EndpointError(f"{loggable_url(response.url)} sent more than {most} bytes")
            yield piece


async def read_body(response: httpx.Response, most: int = MOST_BYTES, *, cut: bool = False) -> bytes:
    """All of it; with `cut` the beginning of one that is longer. Raises `EndpointError`."""
    taken = bytearray()
    try:
        async with aclosing(read_chunks(response, most, _BODY)) as pieces:
            async for piece in pieces:
                taken += piece
    except EndpointError:
        if not cut:
            raise
    return bytes(taken)


async def read_lines(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Of a body that comes bit by bit, the lines that have something in them. Raises `EndpointError`."""
    begun = bytearray()
    async with aclosing(read_chunks(response, STREAM_BYTES, STREAM_SECONDS)) as pieces:
        async for piece in pieces:
            first, *rest = piece.replace(b"\r", b"\n").split(b"\n")
            begun += first
            for following in rest:
                if begun:
                    yield bytes(begun)
                begun = bytearray(following)
            if len(begun) > MOST_BYTES:
                raise EndpointError(f"{loggable_url(response.url)} sent a line of more than {MOST_BYTES} bytes")
    if begun:
        yield bytes(begun)


def loggable_url(url: httpx.URL) -> str:
    """For messages."""
    return without_secrets(str(url))


def _check_encoding(response: httpx.Response) -> None:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise EndpointError(
            f"{loggable_url(response.url)} compresses its answer, which it was asked not to do", encoding[:40]
        )


def parse_base_url(argument: str) -> str:
    url = argument.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise EngineError(f"{argument!r} is no URL. Write openai:http://127.0.0.1:8000/v1, for example.")
    return url


def find_key_and_model(url: str, resources: Resources) -> tuple[str, str]:
    """As the settings `api_key` and `model` have them, or the environment and the endpoint (blocking)."""
    api_key = str(resources.settings.get("api_key") or os.environ.get("OPENLIVE_OPENAI_API_KEY", ""))
    return api_key, str(resources.settings.get("model") or _fetch_first_model(url, api_key))


def describe_refusal(response: httpx.Response, content: bytes) -> tuple[str, str]:
    """What an answer that is an error comes to, and what it says, for an error that is raised."""
    text, data = content.decode(errors="replace").strip(), None
    with suppress(ValueError, RecursionError):
        data = msgspec.json.decode(content)
        text = error_message(data)
    if response.has_redirect_location:
        text = "It redirects, which is not followed: write the address that it redirects to."
    plain = f"{loggable_url(response.url)} answered {response.status_code}{error_kind(data)}"
    return plain, text[:EXCERPT] or response.reason_phrase


def error_message(data: Any) -> str:
    """What an error body says, in the dialects that there are."""
    error = data.get("error", data) if isinstance(data, dict) else data
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def error_kind(data: Any) -> str:
    """The kind of error that a body names, ` (invalid_api_key)`; '' where it names none."""
    error = data.get("error", data) if isinstance(data, dict) else None
    named = [error.get(name) for name in ("code", "type", "status")] if isinstance(error, dict) else []
    return next((f" ({name})" for name in named if isinstance(name, str) and _KIND.fullmatch(name)), "")


def _fetch_first_model(url: str, api_key: str) -> str:
    try:
        with httpx.Client(**_client_options(url, api_key)) as client, client.stream("GET", f"{url}/models") as response:
            _check_encoding(response)
            content = _read_all(response)
            if not response.is_success:
                raise EngineError(": ".join(describe_refusal(response, content[:_REFUSAL_BYTES])))
        return msgspec.json.decode(content, type=_ModelList).data[0].id
    except EndpointError as error:
        raise EngineError(str(error)) from error
    except httpx.HTTPError as error:
        raise EngineError(f"{without_secrets(url)} does not answer ({error}). Is the server running?") from error
    except (ValueError, LookupError, RecursionError) as error:
        raise EngineError(
            f"{without_secrets(url)}/models lists no model; set `model` in the engine's settings."
        ) from error


class _ListedModel(Struct):
    id: str


class _ModelList(Struct):
    data: list[_ListedModel]


def _read_all(response: httpx.Response) -> bytes:
    """As `read_body`, outside an event loop."""
    taken, deadline = bytearray(), time.monotonic() + _LISTING
    for piece in response.iter_raw():
        taken += piece
        if len(taken) > MOST_BYTES or time.monotonic() > deadline:
            raise EndpointError(
                f"{loggable_url(response.url)} sends its models without end; set `model` in its settings"
            )
    return bytes(taken)


def _client_options(url: str, api_key: str) -> dict[str, Any]:
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    return {"headers": headers, "timeout": _TIMEOUT, "trust_env": takes_proxy(url)}
