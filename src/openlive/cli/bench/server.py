"""Which server is measured: one that runs somewhere, or one of our own, and on which cores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
from msgspec import Struct

from openlive.cli.conversation import Address
from openlive.cli.environment import ANY_KEY
from openlive.cli.private import private_server
from openlive.cli.run import key_for

DELAYS = {"stt": 0.05, "llm": 0.2, "tts": 0.35}
"""Seconds that scripted engines take: what the embedded default takes on two idle cores (1.5B, Kokoro), so that an
answer is not there before the turn is decided."""
CHARACTER = 0.06
"""Seconds of speech per character."""
REPLY = "It is in the middle of the country."
SCRIPTED = """
[limits]
wait_seconds = 0
[engines]
vad = "{vad}"
turn = ""
stt = "scripted"
llm = "scripted"
tts = "scripted"
eyes = ""
[engines.settings.scripted]
transcripts = ["Where is it?"]
replies = [{replies}]
character = {character}
{delays}"""


class Measured(Struct, frozen=True):
    """A server under measurement. `pid` is None where its process is not on this machine; `engines` in words."""

    address: Address
    engines: str
    pid: int | None = None

    def process(self) -> psutil.Process | None:
        return None if self.pid is None else psutil.Process(self.pid)


def cpu_seconds(process: psutil.Process) -> float:
    """Of the process and its children so far, user and system."""
    return sum(t.user + t.system for t in (p.cpu_times() for p in family(process)))


def resident(process: psutil.Process) -> int:
    """Bytes in memory, of the process and its children."""
    return sum(p.memory_info().rss for p in family(process))


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def scripted(vad: str = "silero", replies: tuple[str, ...] = (REPLY,)) -> str:
    """The configuration of a server whose engines take fixed times; only the detector of speech is a real one."""
    return SCRIPTED.format(
        vad=vad,
        replies=", ".join(f'"{reply}"' for reply in replies),
        character=CHARACTER,
        delays="".join(f"[engines.settings.scripted.{kind}]\ndelay = {seconds}\n" for kind, seconds in DELAYS.items()),
    )


@contextmanager
def own(config: str | Path | None, engines: str, *, apart: bool = False) -> Iterator[Measured]:
    """A server for this command, spoken to in plain text. `config` is a file, or what stands in one. `apart`: it gets
    the last core and this process the others, where the system can do that."""
    with tempfile.TemporaryDirectory(prefix="openlive-bench-") as folder:
        file = config if isinstance(config, Path) else None
        if isinstance(config, str):
            file = Path(folder) / "bench.toml"
            file.write_text(config, "utf-8")
        with _cores(apart) as pin, private_server(file) as server:
            pin()
            address = Address(urlunsplit(("http", urlsplit(server.url).netloc, "", "", "")), key_for(file), server.ca)
            yield Measured(address, engines, server.pid)


@contextmanager
def elsewhere(url: str, key: str | None, ca: Path | None, pid: int | None) -> Iterator[Measured]:
    yield Measured(Address(url.rstrip("/"), key or ANY_KEY, ca), "those of the server", pid)


class _Pin:
    """This process's cores: the last one while the server starts (it inherits it), the others afterwards."""

    def __init__(self, *, apart: bool) -> None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
        self.cores = cores if apart and len(cores) > 1 else []
        self._set(self.cores[-1:])

    def __call__(self) -> None:
        self._set(self.cores[:-1])

    def end(self) -> None:
        self._set(self.cores)

    @staticmethod
    def _set(cores: list[int]) -> None:
        if cores:
            os.sched_setaffinity(0, cores)


@contextmanager
def _cores(apart: bool) -> Iterator[_Pin]:
    pin = _Pin(apart=apart)
    try:
        yield pin
    finally:
        pin.end()
