"""The search tool against a server that speaks SearXNG's JSON API, as a real one answered."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from openlive.engines.api import EngineError, Resources
from openlive.engines.registry import load_engine
from openlive.types import Source, ToolResult
from tests.tools.site import Answer, Site, redirect, reply, site


def resources(**settings: Any) -> Resources:
    return Resources(pytest.fail, threads=1, memory=0, settings=settings)


def answer(*results: dict[str, Any], **more: Any) -> bytes:
    whole = {"query": "q", "results": results, "answers": [], "infoboxes": [], "unresponsive_engines": [], **more}
    return reply(json.dumps(whole).encode(), "application/json")


def result(n: int, **more: Any) -> dict[str, Any]:
    return {"url": f"https://site{n}.test/", "title": f"Title {n}", "content": f"Content {n}", "engine": "demo", **more}


def search(answers: Answer | bytes, args: dict[str, Any] | None = None, **settings: Any) -> tuple[ToolResult, Site]:
    async def run() -> tuple[ToolResult, Site]:
        async with site(answers) as here:
            tool = load_engine("google_search", f"searxng:{here.url()}", resources(**settings))
            found = await tool.run({"query": "opening hours"} if args is None else args)
            await tool.close()
        return found, here

    return asyncio.run(run())


def asked(here: Site) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(path).query) for path in here.paths]


def test_search() -> None:
    found, here = search(answer(*map(result, range(9))))
    assert found.outcome == "ok"
    assert found.queries == ("opening hours",)
    assert found.sources == tuple(Source(f"https://site{n}.test/", f"Title {n}") for n in range(5))
    first = {"title": "Title 0", "text": "Content 0", "url": "https://site0.test/"}
    assert found.response["results"][0] == first
    assert len(found.response["results"]) == 5
    assert here.paths == ["/search?q=opening+hours&format=json"]


def test_settings_are_passed_on() -> None:
    settings: dict[str, Any] = {"results": 2, "language": "de-DE", "categories": "general,news", "safesearch": 0}
    found, here = search(answer(*map(result, range(9))), **settings)
    assert len(found.sources) == 2
    (parameters,) = asked(here)
    assert (parameters["language"], parameters["categories"], parameters["safesearch"]) == (
        ["de-DE"],
        ["general,news"],
        ["0"],
    )


def test_several_searches_are_merged() -> None:
    async def answers(path: str, writer: asyncio.StreamWriter) -> None:
        if "q=one" in path:
            writer.write(answer(result(1), result(2), result(3)))
        else:
            twin = result(1, url="http://www.site1.test#top")
            writer.write(answer(twin, result(4), result(4), result(2, url="https://site2.test/?p")))

    found, here = search(answers, {"queries": ["one", " two ", "two", 3, ""], "query": "one"})
    assert found.queries == ("one", "two")
    assert len(here.requests) == 2
    urls = [source.uri for source in found.sources]
    assert urls == [f"https://site{page}" for page in ("1.test/", "2.test/", "4.test/", "3.test/", "2.test/?p")]


def test_what_the_model_is_given_is_short() -> None:
    long = result(1, title="word\n " * 100, content="\x00snippet  " * 1000)
    direct: dict[str, Any] = {
        "answers": [{"answer": "42 " * 1000, "url": None}, "old form"],
        "infoboxes": [{"content": "box"}],
    }
    found, _ = search(answer(*(long | {"url": f"https://{n}.test"} for n in range(20)), **direct))
    assert len(json.dumps(found.response)) < 2500
    assert found.response["results"][0]["text"].startswith("snippet snippet")
    assert found.response["answer"].startswith("42 42")


def test_direct_answers_alone() -> None:
    found, _ = search(answer(answers=["1 mile is 1.6 km"], infoboxes=[{"infobox": "Mile", "content": None}]))
    assert found.response == {"answer": "1 mile is 1.6 km", "results": []}


def test_results_without_an_address_are_left_out() -> None:
    useless: list[dict[str, Any]] = [result(0, url=None), result(0, url="magnet:?x"), {"title": "no url"}]
    found, _ = search(answer(*useless, {"url": "https://site1.test/", "title": None}))
    assert found.sources == (Source("https://site1.test/", "https://site1.test/"),)


def test_nothing_found() -> None:
    found, _ = search(answer())
    assert found.outcome == "ok"
    assert found.response == {"results": [], "note": "Nothing was found."}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (answer(unresponsive_engines=[["google", "CAPTCHA"], ["bing", "timeout"]]), "google: CAPTCHA, bing: timeout"),
        (reply(b"<h1>Forbidden</h1>", status="403 FORBIDDEN"), "add json to search.formats in its settings.yml"),
        (reply(status="429 TOO MANY REQUESTS"), "limiter"),
        (reply(status="500 Oh"), "answered 500."),
        (redirect("https://elsewhere.test/?q=x"), "It redirects to https://elsewhere.test/, which is not followed."),
        (reply(b"<html>"), "no answer of SearXNG's JSON API"),
        (reply(b"[]"), "no answer of SearXNG's JSON API"),
        (reply(b'{"results": {"a": 1}}'), "no answer of SearXNG's JSON API"),
        (reply(b'{"results": [{"url": "http://a", "title": 5}]}'), "no answer of SearXNG's JSON API"),
        (reply(b"\xff\xfe\xfd"), "no answer of SearXNG's JSON API"),
        (answer(result(1, content="x" * (2 << 20))), "no answer of SearXNG's JSON API"),
        (reply(b'{"results": ' + b"[" * 100_000), "no answer of SearXNG's JSON API"),
        (reply(b'{"results": [], "more": ' + b"[" * 100_000), "no answer of SearXNG's JSON API"),
        (reply(b'{"results": [{"title": "\\ud800"}]}'), "no answer of SearXNG's JSON API"),
        (reply(gzip.compress(bytes(1 << 20)), Content_Encoding="gzip"), "no answer of SearXNG's JSON API"),
        (b"what?\r\n\r\n", "does not answer"),
    ],
)
def test_failures_are_told(answers: bytes, reason: str) -> None:
    found, _ = search(answers)
    assert found.outcome == "failed"
    assert reason in found.response["error"]
    assert "opening" not in found.response["error"]
    assert found.queries == ("opening hours",)


def test_one_search_that_fails_does_not_cost_the_other() -> None:
    async def answers(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(result(1)) if "q=one" in path else reply(status="500 Oh"))

    found, _ = search(answers, {"queries": ["two", "one"]})
    assert (found.outcome, len(found.sources)) == ("ok", 1)


@pytest.mark.parametrize("args", [{}, {"query": " "}, {"query": 5}, {"queries": [None, {}]}, {"q": "x"}])
def test_nonsense_is_told(args: dict[str, Any]) -> None:
    found, here = search(answer(), args)
    assert (found.outcome, here.requests) == ("failed", [])
    assert "Say what to search for" in found.response["error"]


def test_nobody_there() -> None:
    tool = load_engine("google_search", "searxng:http://127.0.0.1:9", resources())
    found = asyncio.run(tool.run({"query": "x"}))
    assert "http://127.0.0.1:9/search does not answer" in found.response["error"]


async def endless(path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


def test_slow_server_ends_with_the_time_of_the_call() -> None:
    started = time.monotonic()
    found, here = search(endless, {"queries": ["one", "two"]}, timeout=0.3)
    assert 0.3 <= time.monotonic() - started < 5
    assert found.outcome == "deadline"
    assert "longer than 0.3 seconds" in found.response["error"]
    assert here.left.is_set() or here.requests


def test_cancelling_stops_at_once() -> None:
    async def run() -> None:
        async with site(endless) as here:
            tool = load_engine("google_search", f"searxng:{here.url()}", resources())
            task = asyncio.ensure_future(tool.run({"query": "x"}))
            while not here.requests:  # noqa: ASYNC110 the site has no event for it
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(here.left.wait(), 2)
            await tool.close()

    asyncio.run(run())


def test_proxies_of_the_environment_are_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    found, _ = search(answer(result(1)))
    assert found.outcome == "ok"


@pytest.mark.parametrize(
    ("spec", "settings", "reason"),
    [
        ("searxng", {}, "'' is no URL. Write searxng:http://127.0.0.1:8888"),
        ("searxng:127.0.0.1:8888", {}, "is no URL"),
        ("searxng:http://", {}, "is no URL"),
        ("searxng:http://a", {"results": 0}, r"at `\$.results`"),
        ("searxng:http://a", {"safesearch": 3}, r"at `\$.safesearch`"),
        ("searxng:http://a", {"colour": 1}, "There are results, timeout, language, categories and safesearch"),
    ],
)
def test_wrong_settings_are_told(spec: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        load_engine("google_search", spec, resources(**settings))


def test_declaration() -> None:
    declaration = load_engine("google_search", "searxng:http://a", resources()).declaration
    assert declaration.name == "google_search"
    assert len(json.dumps(declaration.parameters)) < 250
