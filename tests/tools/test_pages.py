"""Pages are read from a real web site, over real sockets; what is in the way, and what takes too much."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import httpx
import psutil
import pytest

from openlive.engines.api import EngineError, Resources
from openlive.engines.registry import load_engine
from openlive.tools.addresses import Allowed
from openlive.tools.web import MOST_BYTES, Web
from openlive.types import Page, ToolResult
from tests.tools.site import HTML, PRIVATE, PUBLIC, redirect, reply, site, status, text

SLOW_MARKUP = "<a " * (1 << 15)
"""The standard library's parser needs minutes for it."""


def resources(**settings: Any) -> Resources:
    return Resources(pytest.fail, threads=1, memory=0, settings=settings)


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


async def until(true: Callable[[], Any]) -> None:
    while not true():  # noqa: ASYNC110 nobody tells when a child process is there
        await asyncio.sleep(0.01)


# What a page is read as.


def test_page_is_read() -> None:
    async def read() -> None:
        async with site(HTML) as here:
            url = here.url(path="/a%20b?c=d#part")
            result = await here.pages().run({"url": url})
        assert result == ToolResult({url: "Hours\n\nOpen from nine to six."}, pages=(Page(url),))
        (head,) = here.requests
        lines = head.strip().lower().split("\r\n")
        assert lines[0] == "get /a%20b?c=d http/1.1"
        assert f"host: {PUBLIC}:{here.port}" in lines
        assert "accept-encoding: gzip" in lines
        assert not re.search("cookie|authorization|referer", head.lower())

    run(read())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(b'{"a": [1]}', "application/json"), '{"a": [1]}'),
        (reply(b"<rss>", "application/rss+xml; charset=utf-8"), "<rss>"),
        (reply(b"one\n two", "text/plain"), "one\n two"),
        (reply("Grüße".encode("cp1252"), "TEXT/Plain; Charset=ISO-8859-1"), "Grüße"),
        (reply("Grüße".encode("cp1252"), 'text/plain; a="b"; charset="no such"'), "Grüße"),
        (reply(b"<meta charset=koi8-r><p>" + "Привет".encode("koi8-r"), "text/html"), "Привет"),
        (reply(b"<p>Hello", "text/html; charset=LONG").replace(b"LONG", b"\xfc" * 90_000), "Hello"),
        (reply(b"<p>a\xff\xfeb"), "a\ufffd\ufffdb"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\n<p>Hello", "Hello"),
        (reply(gzip.compress(b"packed"), "text/plain", Content_Encoding="gzip"), "packed"),
        (reply(gzip.compress(b"packed") + b"rubbish", "text/plain", Content_Encoding="x-gzip"), "packed"),
        (reply(b"x" * 9000, "text/plain"), "x" * 5998 + " …"),
        (reply(b"<p>" + b"word " * 9000), re.compile(r"(word ){1199}…")),
    ],
)
def test_kinds_of_pages(answer: bytes, expected: str | re.Pattern[str]) -> None:
    async def read() -> ToolResult:
        async with site(answer) as here:
            return await here.pages().run({"url": here.url()})

    found = text(run(read()))
    assert expected.fullmatch(found) if isinstance(expected, re.Pattern) else found == expected


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(b"%PDF", "application/pdf"), "it is application/pdf, which cannot be read"),
        (reply(b"x", "image/svg+xml"), "it is image/svg+xml"),
        (reply(b"x", "application/octet-stream"), "which cannot be read"),
        (reply(status="404 Not Found"), "the server answered 404"),
        (reply(status="304 Not Modified"), "the server answered 304"),
        (reply(b"<script>render()</script>"), "there is no text on it"),
        (reply(b"no gzip", Content_Encoding="gzip"), "cannot be decompressed"),
        (reply(b"?", Content_Encoding="br"), "compressed with br"),
        (reply(b"?", Content_Encoding="gzip, gzip"), "compressed with gzip, gzip"),
        (b"what is this?\r\n\r\n", "does not answer properly"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "does not answer properly"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000, "does not answer properly"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "does not answer properly"),
        (redirect("http://a:x/", 301), "it redirects to what is no valid URL"),
    ],
)
def test_pages_that_cannot_be_read(answer: bytes, reason: str) -> None:
    async def read() -> ToolResult:
        async with site(answer) as here:
            return await here.pages().run({"url": here.url()})

    result = run(read())
    assert reason in result.response["error"]
    assert (result.outcome, status(result)) == ("failed", "error")


def test_several_pages_share_the_characters() -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(status="500 Oh") if path == "/bad" else reply(path.encode() * 1000, "text/plain"))

    async def read() -> None:
        async with site(answer) as here:
            good, bad, unsafe = here.url(path="/good"), here.url(path="/bad"), here.url(PRIVATE)
            result = await here.pages(characters=600).run({"urls": [good, bad, good, unsafe]})
        assert len(result.response[good]) == 200
        assert result.response[bad] == "Error: the server answered 500."
        assert [page.status for page in result.pages] == ["success", "error", "unsafe"]
        assert result.outcome == "ok"
        assert sorted(here.paths) == ["/bad", "/good"]

    run(read())


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({}, "Say which page"),
        ({"url": ""}, "Say which page"),
        ({"url": 5, "urls": None}, "Say which page"),
        ({"urls": [{"url": "x"}]}, "Say which page"),
        ({"urls": [f"http://a.test/{n}" for n in range(21)]}, "at most 20"),
        ({"url": "http://["}, "there is no host"),
        ({"url": "http://a b/"}, "there is no host"),
        ({"url": "http://a:x/"}, "no valid URL"),
        ({"url": "http://" + "a" * 70_000}, "no valid URL"),
        ({"url": "http://a\r\nHost: b/"}, "no valid URL"),
        ({"url": f"http://{'a' * 64}.test/"}, "there is no host|no valid URL"),
        ({"url": "no-such-host.invalid"}, "there is no host no-such-host.invalid"),
    ],
)
def test_nonsense_is_told(args: dict[str, Any], reason: str) -> None:
    result = run(load_engine("url_context", "fetch", resources()).run(args))
    assert re.search(reason, result.response["error"])
    assert result.outcome == "failed"


def test_scheme_may_be_left_out() -> None:
    result = run(load_engine("url_context", "fetch", resources()).run({"url": "page.invalid/x"}))
    assert [page.uri for page in result.pages] == ["https://page.invalid/x"]


# What takes too much.


@pytest.mark.parametrize("packed", [False, True])
def test_endless_body_is_cut(packed: bool) -> None:
    sent = 0

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        encoding = "Content-Encoding: gzip\r\n" if packed else ""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{encoding}\r\n".encode())
        chunk = gzip.compress(b"x" * (64 << 20)) if packed else b"x" * 65536
        while True:
            sent += len(chunk)
            writer.write(chunk)
            await writer.drain()

    async def read() -> None:
        async with site(answer) as here:
            web = Web(allowed=Allowed([PUBLIC]), ports=[here.port], tls=httpx.create_ssl_context())
            page = await web.fetch(here.url(), lambda media: True)
            assert len(page.body) == MOST_BYTES
            await asyncio.wait_for(here.left.wait(), 5)
        assert sent < 16 * MOST_BYTES  # the rest is in the sockets' buffers

    run(read())


def test_compressed_nothing_is_cut() -> None:
    """Empty blocks of deflate: a stream without end that decompresses to nothing."""

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: deflate\r\n\r\n\x78\x9c")
        while True:
            writer.write(b"\x00\x00\x00\xff\xff" * 10_000)
            await writer.drain()

    async def read() -> None:
        async with site(answer) as here:
            result = await here.pages(timeout=5).run({"url": here.url()})
        assert "there is no text on it" in result.response["error"]  # and not: it took too long

    run(read())


def dripping(head: bytes, drop: bytes) -> Any:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b""),
    ],
)
def test_slow_pages_end_with_the_time_of_the_call(head: bytes, drop: bytes) -> None:
    async def read() -> ToolResult:
        async with site(dripping(head, drop)) as here:
            result = await here.pages(timeout=0.5).run({"url": here.url()})
            await asyncio.wait_for(here.left.wait(), 2)
            return result

    started = time.monotonic()
    result = run(read())
    assert 0.5 <= time.monotonic() - started < 5
    assert (result.outcome, status(result)) == ("deadline", "error")
    assert "longer than 0.5 seconds" in result.response["error"]


def test_slow_name_server_ends_with_the_time_of_the_call() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def read() -> ToolResult:
        async with site(HTML) as here:
            pages = here.pages(timeout=0.2)
            pages._web._network._resolve = never
            return await pages.run({"url": here.url()})

    assert run(read()).outcome == "deadline"


def test_one_slow_page_does_not_cost_the_others() -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/slow":
            await asyncio.Event().wait()
        writer.write(HTML)

    async def read() -> None:
        async with site(answer) as here:
            urls = [here.url(path=path) for path in ("/slow", "/fast")]
            result = await here.pages(timeout=2).run({"urls": urls})
        assert "longer than" in result.response[urls[0]]
        assert "Open" in result.response[urls[1]]
        assert result.outcome == "ok"

    run(read())


def readers() -> list[psutil.Process]:
    """The children that take HTML apart; other tests of this process have children of their own."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            found += [child] if any("extract" in word for word in child.cmdline()) else []
    return found


def test_markup_made_to_be_slow_stops_nothing() -> None:
    """The loop goes on while the page is taken apart, and the child is ended with the call."""

    async def read() -> None:
        async with site(reply(SLOW_MARKUP.encode())) as here:
            task = asyncio.ensure_future(here.pages(timeout=1.5).run({"url": here.url()}))
            gap = 0.0
            while not task.done():
                then = time.monotonic()
                await asyncio.sleep(0.01)
                gap = max(gap, time.monotonic() - then)
        assert (await task).outcome == "deadline"
        assert gap < 1
        assert readers() == []

    run(read())


def test_child_ends_itself_after_its_processor_time() -> None:
    async def read() -> ToolResult:
        async with site(reply(SLOW_MARKUP.encode())) as here:
            return await here.pages(timeout=60).run({"url": here.url()})

    assert "its text cannot be told from its markup" in run(read()).response["error"]


@pytest.mark.parametrize("body", [b"", SLOW_MARKUP.encode()])
def test_cancelling_stops_at_once(body: bytes) -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(body) if body else b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nx")

    async def read() -> None:
        async with site(answer) as here:
            task = asyncio.ensure_future(here.pages(timeout=60).run({"url": here.url()}))
            await until(lambda: here.requests and (not body or readers()))
            started = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - started < 2
            await asyncio.wait_for(here.left.wait(), 2)
            assert readers() == []
            assert len(asyncio.all_tasks()) <= 2  # this one, and the site's connection that is ending

    run(read())


# How it is made.


@pytest.mark.parametrize(
    ("spec", "settings", "reason"),
    [
        ("fetch:x", {}, "Write fetch instead of fetch:x"),
        ("fetch", {"allow": "wiki.lan"}, r"Expected `array`.*Write allow = \["),
        ("fetch", {"allow": ["http://wiki.lan"]}, "'http://wiki.lan' is no host name, address or network"),
        ("fetch", {"characters": 5}, r"`int` >= 200 - at `\$.characters`"),
        ("fetch", {"timeout": 0}, r"at `\$.timeout`"),
        ("fetch", {"ports": [0]}, r"at `\$.ports"),
        ("fetch", {"colour": 1}, "unknown field `colour`"),
    ],
)
def test_wrong_settings_are_told(spec: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        load_engine("url_context", spec, resources(**settings))


def test_declaration() -> None:
    declaration = load_engine("url_context", "fetch", resources()).declaration
    assert declaration.name == "read_page"
    assert len(json.dumps(declaration.parameters)) < 250
