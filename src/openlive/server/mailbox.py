"""A queue between tasks of one event loop: putting never waits, taking does."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import TypeVar

import anyio

T = TypeVar("T")


class Mailbox(AsyncIterator[T]):
    """Unbounded: who puts into it keeps the bound. After `close`, what is left can still be taken."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._news = anyio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: T) -> None:
        if not self._closed:
            self._items.append(item)
            self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    def keep(self, items: deque[T]) -> None:
        """Replaces what waits."""
        self._items = items

    @property
    def items(self) -> deque[T]:
        return self._items

    async def wait(self, deadline: float | None = None) -> bool:
        """Waits for an item, no longer than `deadline` (on `anyio.current_time`). Tells whether there is one."""
        if not self._items and not self._closed:
            self._news = anyio.Event()
            with anyio.CancelScope(deadline=float("inf") if deadline is None else deadline):
                await self._news.wait()
        return bool(self._items)

    def take(self) -> T:
        return self._items.popleft()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if await self.wait():
            return self.take()
        raise StopAsyncIteration
