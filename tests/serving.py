"""A real server for tests: TLS on a free port, in a thread with an event loop of its own, on engines that a test gives.

A test talks to it through sockets alone. What only the inside can tell (tasks, sessions, engines) it asks with `call`.
A server that logs an error which the test did not expect fails the test.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import shutil
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import numpy as np
import psutil
import pytest
from msgspec.structs import replace

from openlive.config.model import Config, LimitSettings, ServerSettings
from openlive.core.session import Session
from openlive.engines.responder.cascade import Cascade
from openlive.server import app
from openlive.server.auth import Keyring
from openlive.server.engines import Engines
from openlive.server.net import tls
from openlive.server.run import Running, run
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD
from openlive.types import INPUT_RATE, Output

MODEL = "gemini-live-2.5-flash-preview"
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SERVER = ServerSettings(port=0, drain_seconds=1.0)
LIMITS = LimitSettings()
SECONDS = 15.0
"""No wait of a test lasts longer than this."""

T = TypeVar("T")


@cache
def certificates() -> tls.Certificates:
    """One authority for all tests of this process."""
    folder = tempfile.mkdtemp(prefix="openlive-tls-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return tls.ensure((), Path(folder))


@cache
def trust() -> ssl.SSLContext:
    """What a client of these servers believes: their authority and nobody else."""
    return ssl.create_default_context(cafile=str(certificates().ca))


class Scripted:
    """The engines of a server, and handles to look at what they were asked."""

    def __init__(
        self,
        *,
        vad: Any = None,
        stt: Any = None,
        llm: Any = None,
        tts: Any = None,
    ) -> None:
        self.vad = vad or ScriptedVAD()
        self.stt = stt or ScriptedSTT()
        self.llm = llm or ScriptedLLM()
        self.tts = tts or ScriptedTTS(character=0.01)
        self.engines = Engines(vad=self.vad, stt=self.stt, responder=Cascade(self.llm, self.tts))


class Told(list[Output]):
    """An `Emit` that keeps what it is told."""

    async def __call__(self, output: Output) -> None:
        self.append(output)


class Server:
    """A server that runs. `call` runs a function in its event loop and gives the result."""

    def __init__(
        self,
        port: int,
        loop: asyncio.AbstractEventLoop,
        sessions: list[Session],
        errors: list[str],
        stop: Callable[[], None],
    ) -> None:
        self.port = port
        self.sessions = sessions
        """Those that were opened, in order."""
        self.errors = errors
        """What it has logged as an error."""
        self.stop = stop
        """Stops it before the block ends (blocking)."""
        self._loop = loop

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def socket(self, path: str = PATH, *, secure: bool = True) -> str:
        return f"{'wss' if secure else 'ws'}://localhost:{self.port}{path}"

    def call(self, function: Callable[[], T]) -> T:
        async def there() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(there(), self._loop).result(SECONDS)

    def tasks(self) -> int:
        """Tasks in the server's loop, the one that asks left out."""
        return self.call(self.tasks_now)

    @staticmethod
    def tasks_now() -> int:
        """The same, asked there (`comes_to`)."""
        return len(asyncio.all_tasks()) - 1

    def connections(self) -> int:
        """Sockets that clients have open, or that the server has not closed yet."""
        states = ("ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT1")
        found = psutil.Process().net_connections("tcp")
        return sum(c.laddr.port == self.port and c.status in states for c in found if c.laddr)

    async def comes_to(self, condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
        """Whether a condition on the server's inside holds within `seconds`."""
        with anyio.move_on_after(seconds):
            while not self.call(condition):  # noqa: ASYNC110 - the inside has no event for it
                await anyio.sleep(0.005)
            return True
        return self.call(condition)


class Errors(logging.Handler):
    """What a server logs as an error, or as something that failed on the side."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR and "failed" not in record.getMessage():
            return
        line = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            line += f": {record.exc_info[1]!r}"
        self.records.append(line)


@contextmanager
def serving(
    engines: Engines | None = None,
    *,
    server: ServerSettings = SERVER,
    limits: LimitSettings = LIMITS,
    fails: Sequence[str] = (),
    config: Config | None = None,
    keys: Keyring | None = None,
) -> Iterator[Server]:
    """A server for as long as the block lasts. `fails` are words of the errors that it may log."""
    settings = replace(
        config or Config(),
        server=replace(server, port=0, certificate=str(certificates().server)),
        limits=limits,
    )
    sessions: list[Session] = []
    errors = Errors()
    logger = logging.getLogger("openlive")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "Session", partial(_noted, sessions))
        logger.addHandler(errors)
        thread = _Thread(settings, engines or Scripted().engines, keys)
        thread.start()
        try:
            yield Server(thread.port(), thread.loop, sessions, errors.records, thread.stop)
        finally:
            thread.stop()
            logger.removeHandler(errors)
    unexpected = [line for line in errors.records if not any(fail in line for fail in fails)]
    assert not unexpected, unexpected


def _noted(sessions: list[Session], *arguments: Any) -> Session:
    sessions.append(Session(*arguments))
    return sessions[-1]


class _Thread:
    """The server's thread: `start`, `port` once it listens, `stop`."""

    def __init__(self, config: Config, engines: Engines, keys: Keyring | None) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._config = config
        self._keys = keys
        self._engines = engines
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._ready = threading.Event()
        self._shutdown: anyio.Event
        self._running: Running | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._shutdown = anyio.Event()
        await run(self._config, self._engines, shutdown=self._shutdown, ready=self._listens, keys=self._keys)

    def _listens(self, running: Running) -> None:
        self._running = running
        self._ready.set()

    def port(self) -> int:
        assert self._ready.wait(SECONDS), "the server does not start"
        if self._error is not None:
            raise self._error
        assert self._running is not None
        return self._running.port

    def stop(self) -> None:
        if self._thread.is_alive() and self._running is not None:
            self.loop.call_soon_threadsafe(self._shutdown.set)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the server does not stop"
        if self._error is not None:
            raise self._error


# --- sounds that the scripted engines know ----------------------------------------------------------------------------


def tone(seconds: float, hz: float = 440.0, rate: int = INPUT_RATE) -> bytes:
    """Speech to the scripted detector."""
    wave = 8000 * np.sin(2 * np.pi * hz / rate * np.arange(round(seconds * rate)))
    return bytes(wave.astype("<i2").tobytes())


def silence(seconds: float, rate: int = INPUT_RATE) -> bytes:
    return bytes(2 * round(seconds * rate))
