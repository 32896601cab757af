"""An event loop without waiting: where nothing is to be done, its clock goes on to what is due next."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def timeless(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a test of which nothing comes from outside the loop."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(test())
