"""A hub and package mirrors on this machine: no test of this folder touches the network."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from openlive.models import Entry, File, Package, Part, cache, fetch, hub


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENLIVE_MODEL_SOURCE", raising=False)
    monkeypatch.setattr(hub, "PAUSE", 0.0)
    monkeypatch.setattr(hub, "TIMEOUT", httpx.Timeout(1.0))
    monkeypatch.setattr(hub, "_silent", {})
    (tmp_path / "links").mkdir()
    for name in [name for name in os.environ if name.lower().startswith(("pip_", "http_proxy", "npm_config_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))


Put = Callable[[Entry], Entry]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Put:
    """Makes an entry the only one of the catalogue."""

    def put(entry: Entry) -> Entry:
        monkeypatch.setattr(fetch, "catalogue", lambda: {entry.name: entry})
        return entry

    return put


def content(size: int, seed: bytes = b"weights") -> bytes:
    """Bytes that do not compress and do not repeat."""
    out = b"".join(hashlib.sha256(seed + str(n).encode()).digest() for n in range(size // 32 + 1))
    return out[:size]


def file(name: str, data: bytes, urls: tuple[str, ...] = (), parts: tuple[Part, ...] = ()) -> File:
    return File(name, len(data), hashlib.sha256(data).hexdigest(), urls, parts)


def entry(*variants: tuple[File, ...], name: str = "tiny") -> Entry:
    return Entry(name, "llm", "for tests", "CC0-1.0", variants)


class FakeHub(http.server.ThreadingHTTPServer):
    """Serves `files` by path, with the misbehaviour that a test asks for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.break_after: list[int] = []
        """Bytes after which one answer each breaks off."""
        self.silent = False
        self.throttle = 0.0
        """Seconds of sleep for each 64 KiB."""
        self.asked: list[tuple[str, str]] = []
        """Path and Range header of every request."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub, wanted = self.server, self.headers.get("Range", "")
        hub.asked.append((self.path[1:], wanted))
        if hub.silent:
            threading.Event().wait(5)
            return
        data = hub.files.get(self.path[1:])
        if data is None:
            self.send_error(404)
            return
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and hub.ranges else 0
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        body = data[first:]
        if hub.break_after:
            body = body[: hub.break_after.pop(0)]
            self.close_connection = True
        for start in range(0, len(body), 1 << 16):
            if hub.throttle:
                threading.Event().wait(hub.throttle)
            try:
                self.wfile.write(body[start : start + (1 << 16)])
            except OSError:
                return

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def fake_hub() -> Iterator[FakeHub]:
    with FakeHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


Wheel = Callable[..., Package]


@pytest.fixture
def wheel(tmp_path: Path) -> Wheel:
    """Builds a wheel that pip can find, and returns its package."""

    def build(name: str, members: Mapping[str, bytes], version: str = "1.0") -> Package:
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        files = {
            **members,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
        with zipfile.ZipFile(tmp_path / "links" / f"{module}-{version}-py3-none-any.whl", "w") as archive:
            for path, data in {**files, f"{info}/RECORD": record.encode()}.items():
                archive.writestr(path, data)
        return Package("pip", name, version)

    return build


def tarball(members: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def npm_registry(hub: FakeHub, package: Package, archive: bytes) -> dict[str, str]:
    """Serves the package like a registry; the environment that makes npm ask there."""
    path = f"{package.name}-{package.version}.tgz"
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    version = {"name": package.name, "version": package.version}
    version |= {"dist": {"tarball": hub.url(path), "integrity": integrity}}  # type: ignore[dict-item]
    latest = {"latest": package.version}
    hub.files[path] = archive
    hub.files[package.name] = json.dumps(
        {"name": package.name, "dist-tags": latest, "versions": {package.version: version}}
    ).encode()
    return {"npm_config_registry": hub.url(""), "npm_config_userconfig": os.devnull}


def folder_of(entry: Entry) -> dict[str, bytes]:
    folder = cache.folder(entry)
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}
