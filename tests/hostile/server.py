"""The server under attack, as whoever measures it sees it: `host.py` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tests.hostile.kinds import ATTACKER, NEIGHBOUR

CONFIG = """
[server]
port = 0
drain_seconds = 0.0
keys = [{{ name = "neighbour", key = "{neighbour}" }}, {{ name = "attacker", key = "{attacker}" }}]
[store]
location = "{store}"
total_bytes = 67_108_864
key_bytes = 33_554_432
[engines]
vad = "hostile"
turn = ""
stt = "hostile"
llm = "hostile"
tts = "hostile"
eyes = ""
addressee = ""
[engines.settings.hostile]
[engines.settings.hostile.stt]
delay = 0.05
transcripts = ["Where is it?"]
[engines.settings.hostile.llm]
delay = 0.2
replies = ["It is in the middle."]
[engines.settings.hostile.tts]
delay = 0.35
character = 0.01
"""
ANSWER, START = 10.0, 60.0
"""Seconds for the server to say how it is, and to come up on a busy machine."""


class Figures(Struct, frozen=True):
    """Bytes, milliseconds of CPU, seconds of CPU. `tasks` is None where the loop did not answer."""

    resident: int
    peak: int
    callback_ms: float
    callback: str
    tasks: int | None
    threads: int
    files: int
    cpu: float


class Host:
    """A server that runs. It is told to stop, or killed, at the end of `hosted`."""

    def __init__(self, process: subprocess.Popen[str], log: Path, port: int) -> None:
        self.process = process
        self.port = port
        self.pid = process.pid
        self._log = log

    def figures(self) -> Figures:
        """How it is now (blocking). Raises `OSError` where it does not say."""
        return msgspec.convert(self._ask("figures"), Figures)

    def clear(self) -> None:
        """The longest callback and the peak of memory begin anew."""
        self._ask("clear")

    def log(self, begin: int = 0) -> str:
        return self._log.read_bytes()[begin:].decode(errors="replace")

    def _ask(self, word: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return _line(self.process)

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.wait()


def _line(process: subprocess.Popen[str], seconds: float = ANSWER) -> Any:
    import select

    assert process.stdout is not None
    if not select.select([process.stdout], [], [], seconds)[0]:
        raise TimeoutError("the server does not answer")
    return json.loads(process.stdout.readline() or "{}")


@contextmanager
def hosted(
    *, store: str = "memory", core: int | None = None, endpoints: str = "", folder: Path | None = None
) -> Iterator[Host]:
    """`core`: the one that it has to itself. `folder`: where its database is; else it goes with the server."""
    with tempfile.TemporaryDirectory(prefix="openlive-hostile-") as name:
        folder = folder or Path(name)
        config, log = folder / "openlive.toml", folder / "log"
        location = f"sqlite:{folder}/sessions.db" if store == "sqlite" else store
        config.write_text(CONFIG.format(store=location, neighbour=NEIGHBOUR, attacker=ATTACKER))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENLIVE_")}
        environ = {
            **inherited,
            "HOSTILE_ENDPOINTS": endpoints,
            "XDG_DATA_HOME": str(folder),
            "OPENLIVE_CACHE": str(folder),
        }
        cores = os.sched_getaffinity(0)
        with log.open("wb") as errors:
            if core is not None:
                os.sched_setaffinity(0, {core})
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.hostile.host", str(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environ,
            )
            os.sched_setaffinity(0, cores)
            try:
                told = _line(process, START)
                if "port" not in told:
                    raise RuntimeError(f"the server does not start: {log.read_text()}")
                yield Host(process, log, told["port"])
            finally:
                _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()
