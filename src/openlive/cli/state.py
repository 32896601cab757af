"""Which servers this user has running: a small file for each, so that `run` and `talk` find them.

    <data folder of openlive>/servers/PID.json      url, process, certificate; no key

A file outlives a server that was killed; `find` tells by the process and by asking the server itself.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import platformdirs
import psutil
from msgspec import Struct

PATIENCE = 2.0
"""Seconds that a server of this machine may take to answer /healthz."""


class Server(Struct, frozen=True):
    """A server as clients on this machine reach it. `ca` and `bundle` are None where the operator has a certificate of
    their own. `started` is the process's own start, so that a process number that was given again is told apart."""

    url: str
    port: int
    pid: int
    started: float
    ca: Path | None = None
    bundle: Path | None = None


def folder() -> Path:
    return Path(platformdirs.user_data_dir("openlive", appauthor=False)) / "servers"


@contextmanager
def announced(url: str, port: int, ca: Path | None, bundle: Path | None) -> Iterator[Server]:
    """Lets this user's other programs find the server of this process."""
    pid = os.getpid()
    server = Server(url, port, pid, psutil.Process(pid).create_time(), ca, bundle)
    path = folder() / f"{pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(server, enc_hook=str))
    fresh.replace(path)
    try:
        yield server
    finally:
        path.unlink(missing_ok=True)


def find() -> Server | None:
    """The server that was started last and answers. Files of processes that are gone are removed."""
    found = []
    for path in folder().glob("*.json"):
        try:
            server = msgspec.json.decode(path.read_bytes(), type=Server, dec_hook=lambda kind, value: kind(value))
        except (OSError, msgspec.DecodeError):
            continue
        if _alive(server):
            found.append(server)
        else:
            path.unlink(missing_ok=True)
    return next((s for s in sorted(found, key=lambda s: s.started, reverse=True) if answers(s.url)), None)


def _alive(server: Server) -> bool:
    try:
        return abs(psutil.Process(server.pid).create_time() - server.started) < 1
    except psutil.Error:
        return False


def answers(url: str) -> bool:
    """An openlive server answers there. Asked in plain text, which needs no certificate."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{urlsplit(url).netloc}/healthz", timeout=PATIENCE) as reply:
            return bool(reply.read(16) == b"ok\n")
    except (OSError, ValueError):
        return False
