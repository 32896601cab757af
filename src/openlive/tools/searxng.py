"""`googleSearch`, by a SearXNG server (docs.searxng.org/dev/search_api), or one that speaks its JSON API.

Settings: `results` that the model is given (5), `timeout` in seconds (8), and what is passed on to the server where it
is set: `language` ("de"), `categories` ("general,news") and `safesearch` (0, 1 or 2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Annotated, Any

import httpx
import msgspec
from msgspec import Meta, Struct

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.proxies import takes_proxy
from openlive.tools.extract import cut
from openlive.types import FunctionDeclaration, Source, ToolResult

MOST_QUERIES = 3
MOST_BYTES = 1 << 20
"""Of one answer. An instance with many engines sends some 100 KB."""
_TITLE = 100
_SNIPPET = 240
"""Characters that the model is given of each; five results then come to some 500 tokens."""

_DECLARATION = FunctionDeclaration(
    name="google_search",
    description="Searches the web: for news, weather, prices, and facts that you do not know or that may have changed.",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to search for, in a few words"}},
        "required": ["query"],
    },
)


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    results: Annotated[int, Meta(ge=1, le=20)] = 5
    timeout: Annotated[float, Meta(gt=0, le=60)] = 8.0
    language: str = ""
    categories: str = ""
    safesearch: Annotated[int, Meta(ge=0, le=2)] | None = None


class _Found(Struct, frozen=True):
    title: str
    text: str
    url: str


class _Result(Struct):
    """As SearXNG sends it; those of some engines have no address."""

    url: Any = None
    title: str | None = None
    content: str | None = None


class _Sent(Struct):
    results: list[_Result]
    answers: list[Any] | None = None
    infoboxes: list[Any] | None = None
    unresponsive_engines: list[Any] | None = None


class _Answer(Struct, frozen=True):
    """What one search brought. `direct` answers the question by itself; `failure` says why nothing was found."""

    found: list[_Found] = []
    direct: str = ""
    failure: str = ""


class SearXNG:
    def __init__(self, url: str, settings: Settings) -> None:
        self._url = f"{url}/search"
        self._settings = settings
        passed = {"language": settings.language, "categories": settings.categories, "safesearch": settings.safesearch}
        self._parameters = {"format": "json", **{k: v for k, v in passed.items() if v not in ("", None)}}
        # Not compressed: httpx would decompress without a limit.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        self._client = httpx.AsyncClient(headers=headers, timeout=settings.timeout + 1, trust_env=takes_proxy(url))

    @property
    def declaration(self) -> FunctionDeclaration:
        return _DECLARATION

    async def run(self, args: dict[str, Any]) -> ToolResult:
        queries = _queries(args)
        if not queries:
            return ToolResult({"error": 'Say what to search for: {"query": "a few words"}.'}, outcome="failed")
        try:
            async with asyncio.timeout(self._settings.timeout), asyncio.TaskGroup() as group:
                searches = [group.create_task(self._search(query)) for query in queries]
        except TimeoutError:
            reason = f"The search took longer than {self._settings.timeout:g} seconds."
            return ToolResult({"error": reason}, outcome="deadline", queries=queries)
        return self._result(queries, [search.result() for search in searches])

    async def _search(self, query: str) -> _Answer:
        try:
            async with self._client.stream("GET", self._url, params={"q": query, **self._parameters}) as response:
                if response.status_code != 200:
                    return _Answer(failure=_refusal(response))
                return _answer(await _body(response))
        except httpx.HTTPError as error:
            return _Answer(failure=f"{self._url} does not answer ({error or type(error).__name__}).")
        except (ValueError, RecursionError):
            return _Answer(failure=f"{self._url} sent what is no answer of SearXNG's JSON API.")

    def _result(self, queries: tuple[str, ...], answers: list[_Answer]) -> ToolResult:
        found = list(_merged(answers))[: self._settings.results]
        direct = " ".join(dict.fromkeys(answer.direct for answer in answers if answer.direct))
        if not found and not direct:
            if failures := [answer.failure for answer in answers if answer.failure]:
                return ToolResult({"error": failures[0]}, outcome="failed", queries=queries)
            return ToolResult({"results": [], "note": "Nothing was found."}, queries=queries)
        response: dict[str, Any] = {"answer": cut(direct, _SNIPPET)} if direct else {}
        response["results"] = [{"title": f.title, "text": f.text, "url": f.url} for f in found]
        return ToolResult(response, queries=queries, sources=tuple(Source(f.url, f.title) for f in found))

    async def close(self) -> None:
        await self._client.aclose()


def create(argument: str, resources: Resources) -> SearXNG:
    """`argument` is the server's base URL."""
    url = argument.rstrip("/")
    if not url.startswith(("http://", "https://")) or not httpx.URL(url).host:
        raise EngineError(f"{argument!r} is no URL. Write searxng:http://127.0.0.1:8888, for example.")
    try:
        return SearXNG(url, msgspec.convert(resources.settings, Settings))
    except msgspec.ValidationError as error:
        raise EngineError(
            f"A setting of searxng is wrong: {error}. There are results, timeout, language, categories and safesearch."
        ) from error


def _queries(args: dict[str, Any]) -> tuple[str, ...]:
    """What is to be searched for; models also write `queries`."""
    given: list[Any] = []
    for value in (args.get("query"), args.get("queries")):
        given += value if isinstance(value, list) else [value]
    queries = dict.fromkeys(" ".join(query.split()) for query in given if isinstance(query, str))
    return tuple(query for query in queries if query)[:MOST_QUERIES]


async def _body(response: httpx.Response) -> bytes:
    """Raises `ValueError` where it is compressed, which it was asked not to be, or too long."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise ValueError("compressed")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ValueError("too long")
    return bytes(body)


def _refusal(response: httpx.Response) -> str:
    status = response.status_code
    server = str(response.url.copy_with(query=None))
    if status == 403:
        hint = (
            "Its JSON API is off: add json to search.formats in its settings.yml. Or its limiter refuses this server."
        )
    elif status == 429:
        hint = "Its limiter refuses this server: let its address pass in limiter.toml."
    elif response.has_redirect_location:
        hint = f"It redirects to {response.headers['location'].partition('?')[0]}, which is not followed."
    else:
        hint = ""
    return f"{server} answered {status}. {hint}".rstrip()


def _answer(body: bytes) -> _Answer:
    """SearXNG's JSON, read leniently. Raises `ValueError` or `RecursionError` where it is none."""
    data = msgspec.json.decode(body, type=_Sent)
    direct = [a.get("answer") if isinstance(a, dict) else a for a in data.answers or ()]
    direct += [box.get("content") for box in data.infoboxes or () if isinstance(box, dict)]
    silent = ", ".join(
        f"{e[0]}: {e[1]}" for e in data.unresponsive_engines or () if isinstance(e, list) and len(e) == 2
    )
    return _Answer(
        found=[
            _Found(
                title=_line(result.title, _TITLE) or result.url,
                text=_line(result.content, _SNIPPET),
                url=result.url,
            )
            for result in data.results
            if _is_web(result.url)
        ],
        direct=" ".join(filter(None, (_line(text, _SNIPPET) for text in direct))),
        failure=f"Nothing was found, and some search engines did not answer ({cut(silent, _SNIPPET)})."
        if silent
        else "",
    )


def _is_web(url: Any) -> bool:
    """Results of some engines are magnets or have no address."""
    return isinstance(url, str) and url.startswith(("http://", "https://"))


def _line(text: Any, characters: int) -> str:
    """'' for what is no text."""
    return cut(" ".join(text.split()), characters) if isinstance(text, str) else ""


def _merged(answers: list[_Answer]) -> Iterator[_Found]:
    """The results of all searches, the best of each first, and each page once."""
    seen = set()
    for found in chain.from_iterable(zip_longest(*(answer.found for answer in answers))):
        if found is None:
            continue
        key = found.url.partition("#")[0].partition("://")[2].removeprefix("www.").rstrip("/")
        if key not in seen:
            seen.add(key)
            yield found
