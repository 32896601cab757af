"""Stopping on a signal: once for an orderly end, twice for an end at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from types import FrameType


class Stop:
    """Set by SIGINT, SIGTERM or `set`, from any thread. The second signal ends the process where it stands.

    It is what `openlive.server.run.run` waits for, and what the thread that loads engines looks at.
    """

    def __init__(self) -> None:
        self._flag = threading.Event()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def install(self, *, interrupts: bool = True) -> None:
        """From now on signals set it; SIGINT is passed over without `interrupts`. Main thread only."""
        signal.signal(signal.SIGTERM, self._signalled)
        signal.signal(signal.SIGINT, self._signalled if interrupts else signal.SIG_IGN)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        if self._flag.is_set():
            leave(128 + number)
        self.set()

    def set(self) -> None:
        self._flag.set()
        for event, loop in list(self._waiting.items()):
            loop.call_soon_threadsafe(event.set)

    def is_set(self) -> bool:
        return self._flag.is_set()

    async def wait(self) -> None:
        event = asyncio.Event()
        self._waiting[event] = asyncio.get_running_loop()
        try:
            if not self._flag.is_set():
                await event.wait()
        finally:
            del self._waiting[event]


def leave(code: int) -> None:
    """Ends the process now. Threads inside a model's native code cannot be interrupted, and an interpreter that shuts
    down would wait for them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
