"""A server in a process of its own, on scripted engines some of which misbehave where they are asked to (`engines.py`),
that can be asked how it is: `python -m tests.hostile.host openlive.toml`.

Questions come on standard input, a word a line; answers go to standard output, a line of JSON each. The first one says
on which port it listens. What it logs goes to standard error.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import sys
import threading
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import anyio
import psutil

from openlive.cli.log import set_up_log
from openlive.config.load import load_config
from openlive.config.model import Config
from openlive.engines import registry
from openlive.server.auth import build_keyring
from openlive.server.engines import load_engines
from openlive.server.run import Running, run
from tests.callbacks import Callbacks, measured_callbacks

PATIENCE = 3.0
"""Seconds that the loop may take to count its tasks; one that is held up cannot."""


class Inspector:
    """Answers questions from a thread of its own, whatever the loop is at."""

    def __init__(self, callbacks: Callbacks) -> None:
        self.callbacks = callbacks
        self.thread = threading.get_ident()
        self.loop: asyncio.AbstractEventLoop
        self.shutdown: anyio.Event
        self._process = psutil.Process()

    def listens(self, running: Running) -> None:
        self.loop = asyncio.get_running_loop()
        say({"port": running.port})
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        for line in sys.stdin:
            word = line.strip()
            if word == "clear":
                self.callbacks.clear()
                Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
                say({})
            elif word == "figures":
                gc.collect()
                trim()
                say(self._figures())
        self.loop.call_soon_threadsafe(self.shutdown.set)

    def _figures(self) -> dict[str, Any]:
        held = self.callbacks.longest(self.thread)
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return {
            "resident": int(status["VmRSS"].split()[0]) * 1024,
            "peak": int(status["VmHWM"].split()[0]) * 1024,
            "callback_ms": round(1000 * held.seconds, 1),
            "callback": f"{held.place or held.callback}",
            "tasks": self._tasks(),
            "threads": threading.active_count(),
            "files": self._process.num_fds(),
            "cpu": sum(self._process.cpu_times()[:2]),
        }

    def _tasks(self) -> int | None:
        async def count() -> int:
            return len(asyncio.all_tasks()) - 1

        try:
            return asyncio.run_coroutine_threadsafe(count(), self.loop).result(PATIENCE)
        except TimeoutError:
            return None


def trim() -> None:
    """Gives back what the allocator has and nobody uses, so that what is measured is what is kept."""
    with suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL(None).malloc_trim(0)


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def offer_engines() -> None:
    """Makes `hostile` the name of an engine of each kind."""
    found = registry.find_entry_point

    def find(kind: registry.Kind, name: str) -> EntryPoint:
        if name == "hostile":
            return EntryPoint(name, f"tests.hostile.engines:create_{kind}", f"openlive.{kind}")
        return found(kind, name)

    registry.find_entry_point = find


async def serve(config: Config, path: Path, callbacks: Callbacks) -> None:
    inspector = Inspector(callbacks)
    inspector.shutdown = anyio.Event()
    engines = await anyio.to_thread.run_sync(load_engines, config, Path, lambda _: None)
    gc.collect()
    gc.freeze()  # as `openlive serve` does
    await run(config, engines, shutdown=inspector.shutdown, ready=inspector.listens, keys=build_keyring(config, path))


def main() -> None:
    path = Path(sys.argv[1])
    set_up_log(logging.INFO)
    offer_engines()
    with measured_callbacks() as callbacks:
        anyio.run(serve, load_config(path), path, callbacks)


if __name__ == "__main__":
    main()
