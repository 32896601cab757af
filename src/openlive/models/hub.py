"""Files from a hub over HTTP, resumed where an earlier download ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from openlive.models.entry import File
from openlive.models.errors import DamagedError, SourceError
from openlive.models.partial import Partial

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
"""A hub that is blocked often just stays silent; five seconds tell."""
SKIP_SECONDS = 300.0
"""How long a host that did not answer is left alone: once per run of a command, now and then in a server."""
FAILURES = 3
"""Broken connections in a row, each with less than `GAIN` bytes, until a source is given up."""
GAIN = 1 << 20
PAUSE = 0.5

_silent: dict[str, tuple[float, str]] = {}
"""Host -> until when it is skipped, and why."""


class Hub:
    """One HTTP client for the files of one fetch."""

    def __init__(self) -> None:
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._client is not None:
            self._client.close()

    def download(self, url: str, file: File, partial: Partial, tick: Callable[[int], None]) -> None:
        """Fills `partial` from `url`. Raises `SourceError`; what has arrived stays for the next source."""
        host = urlsplit(url).netloc
        until, reason = _silent.get(host, (0.0, ""))
        if time.monotonic() < until:
            raise SourceError(f"not asked again: {reason}")
        failures = 0
        while not partial.whole:
            before = partial.size
            try:
                self._stream(url, file, partial, tick)
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                failures = 1 if partial.size - before >= GAIN else failures + 1
                out_of_reach = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError))
                if out_of_reach or failures >= FAILURES or (not partial.size and isinstance(error, httpx.ReadTimeout)):
                    _silent[host] = (time.monotonic() + SKIP_SECONDS, reason)
                    raise SourceError(reason) from error
                time.sleep(PAUSE * failures)

    def _connected(self) -> httpx.Client:
        if self._client is None:
            try:
                self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=True)
            except (ImportError, ValueError) as error:  # a proxy setting that httpx cannot follow
                raise SourceError(f"no HTTP client could be made: {error}") from error
        return self._client

    def _stream(self, url: str, file: File, partial: Partial, tick: Callable[[int], None]) -> None:
        headers = {"Accept-Encoding": "identity"}
        if partial.size:
            headers["Range"] = f"bytes={partial.size}-"
        with self._connected().stream("GET", url, headers=headers) as response:
            if response.status_code == httpx.codes.PARTIAL_CONTENT:
                _expect_range(response, file, partial)
            elif response.status_code == httpx.codes.OK:
                length = response.headers.get("Content-Length", "")
                if length.isdigit() and int(length) != file.size:
                    raise DamagedError(f"has another file: {length} bytes instead of {file.size}")
                if partial.size:  # it cannot resume
                    partial.restart()
            else:
                raise SourceError(f"HTTP {response.status_code} {response.reason_phrase}".rstrip())
            for block in response.iter_raw():
                partial.write(block)
                tick(partial.size)
        if not partial.whole:
            raise httpx.RemoteProtocolError(f"the answer ended after {partial.size} of {file.size} bytes")


def _expect_range(response: httpx.Response, file: File, partial: Partial) -> None:
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    if unit != "bytes" or span.partition("-")[0] != str(partial.size):
        raise SourceError(f"answered with another range: {response.headers.get('Content-Range')!r}")
    if total.isdigit() and int(total) != file.size:
        raise DamagedError(f"has another file: {total} bytes instead of {file.size}")
