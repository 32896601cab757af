"""`urlContext`: reads the pages whose addresses come up in the conversation.

Settings: `characters` of text that the model is given per call, over all its pages (6000), `timeout` in seconds for a
call as a whole (10), `ports` that may be connected to (80, 443, 8080, 8443), and `allow`: hosts, addresses and networks
that may be read although they are not on the public internet.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any, Literal

import httpx
import msgspec
from msgspec import Meta, Struct

from openlive.engines.api import EngineError, Resources
from openlive.tools import extract
from openlive.tools.addresses import Allowed
from openlive.tools.web import PORTS, Fetched, PageError, Resolve, UnsafeError, Web
from openlive.types import FunctionDeclaration, Page, ToolResult

MOST_URLS = 20
"""Of one call, as in the original (ai.google.dev/gemini-api/docs/url-context)."""
_AT_ONCE = 4
"""Pages of one call that are read at a time."""
_CHILDREN = 2
"""Pages of all calls that are taken apart at a time: voices need the processor more."""
_HTML = frozenset({"text/html", "application/xhtml+xml"})

_DECLARATION = FunctionDeclaration(
    name="read_page",
    description="Reads a web page and returns its text.",
    parameters={
        "type": "object",
        "properties": {"url": {"type": "string", "description": "Address of the page, as in https://example.com/page"}},
        "required": ["url"],
    },
)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    characters: Annotated[int, Meta(ge=200, le=1_000_000)] = 6000
    timeout: Annotated[float, Meta(gt=0, le=120)] = 10.0
    ports: frozenset[Annotated[int, Meta(ge=1, le=65535)]] = PORTS
    allow: tuple[str, ...] = ()


class _Read(Struct, frozen=True):
    """One page: its text, or why there is none."""

    url: str
    text: str = ""
    error: str = ""
    status: Literal["success", "error", "unsafe"] = "success"
    late: bool = False


class Pages:
    def __init__(self, settings: Settings, resolve: Resolve | None = None) -> None:
        """Raises `ValueError` for an entry of `allow` that is none. `resolve` takes the place of the system's DNS."""
        self._settings = settings
        self._children = asyncio.Semaphore(_CHILDREN)
        self._web = Web(
            allowed=Allowed(settings.allow), ports=settings.ports, tls=httpx.create_ssl_context(), resolve=resolve
        )

    @property
    def declaration(self) -> FunctionDeclaration:
        return _DECLARATION

    async def run(self, args: dict[str, Any]) -> ToolResult:
        try:
            urls = _urls(args)
        except ValueError as error:
            return ToolResult({"error": str(error)}, outcome="failed")
        deadline = asyncio.get_running_loop().time() + self._settings.timeout
        turns = asyncio.Semaphore(_AT_ONCE)
        share = max(200, self._settings.characters // len(urls))
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(self._read(url, share, turns, deadline)) for url in urls]
        return _result([task.result() for task in reading])

    async def close(self) -> None:
        self._web.close()

    async def _read(self, url: str, characters: int, turns: asyncio.Semaphore, deadline: float) -> _Read:
        try:
            async with asyncio.timeout_at(deadline), turns:
                page = await self._web.fetch(url, _is_readable)
                return _Read(url, text=await self._text(page, characters))
        except UnsafeError as error:
            return _Read(url, error=str(error), status="unsafe")
        except PageError as error:
            return _Read(url, error=str(error), status="error")
        except TimeoutError:
            return _Read(
                url, error=f"it took longer than {self._settings.timeout:g} seconds", status="error", late=True
            )

    async def _text(self, page: Fetched, characters: int) -> str:
        """What the model is given of a page. Raises `PageError`."""
        async with self._children:
            title, text = await _in_child(page, characters)
        if not text:
            raise PageError("there is no text on it, at least as long as its scripts do not run")
        return f"{title}\n\n{text}" if title else text


def create(argument: str, resources: Resources) -> Pages:
    """`argument` is empty."""
    if argument:
        raise EngineError(f"fetch takes no argument. Write fetch instead of fetch:{argument}.")
    try:
        return Pages(msgspec.convert(resources.settings, Settings))
    except (msgspec.ValidationError, ValueError) as error:
        raise EngineError(
            f'A setting of fetch is wrong: {error}. Write allow = ["wiki.lan", "10.1.0.0/16"], for example.'
        ) from error


def _urls(args: dict[str, Any]) -> list[str]:
    """What is to be read, each address once. Models also write `urls`, and leave out the scheme."""
    given: list[Any] = []
    for value in (args.get("url"), args.get("urls")):
        given += value if isinstance(value, list) else [value]
    urls = list(dict.fromkeys(_with_scheme(url.strip()) for url in given if isinstance(url, str) and url.strip()))
    if not urls:
        raise ValueError('Say which page: {"url": "https://example.com/page"}.')
    if len(urls) > MOST_URLS:
        raise ValueError(f"{len(urls)} pages are too many; at most {MOST_URLS} can be read at once.")
    return urls


def _with_scheme(url: str) -> str:
    return url if ":" in url.partition("/")[0] else f"https://{url.removeprefix('//')}"


def _is_readable(media: str) -> bool:
    kind, _, subtype = media.partition("/")
    return kind == "text" or (kind == "application" and subtype.rpartition("+")[2] in ("json", "xml"))


async def _in_child(page: Fetched, characters: int) -> tuple[str, str]:
    """Title and text of a page: to decode 2 MiB and to clear them of control characters takes long, too. Raises
    `PageError`."""
    kind = "html" if page.type in _HTML else "text"
    command = [sys.executable, "-I", "-S", extract.__file__, kind, page.charset, str(characters)]
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        output, _ = await child.communicate(page.body)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise PageError("its text cannot be told from its markup")
    found = json.loads(output)
    return found["title"], found["text"]


def _result(read: list[_Read]) -> ToolResult:
    pages = tuple(Page(r.url, r.status) for r in read)
    if any(r.text for r in read):
        return ToolResult({r.url: r.text or f"Error: {r.error}." for r in read}, pages=pages)
    reasons = " ".join(f"{r.url} cannot be read: {r.error}." for r in read)
    late = all(r.late for r in read)
    return ToolResult({"error": reasons}, outcome="deadline" if late else "failed", pages=pages)
