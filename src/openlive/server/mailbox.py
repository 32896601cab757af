"""A queue between tasks of one event loop: putting never waits, taking does.

Every audio message passes through three of these, so this is asyncio itself: a future per wait, and a timer that is set
anew only where it would be late. An event and a cancel scope per wait cost ten times as much.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


class Mailbox(AsyncIterator[T]):
    """Unbounded: who puts into it keeps the bound. One task takes. After `close`, what is left can still be taken."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._news: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: T) -> None:
        if not self._closed:
            self._items.append(item)
            if self._news is not None:
                self._wake()

    def close(self) -> None:
        self._closed = True
        self._wake()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def keep(self, items: deque[T]) -> None:
        """Replaces what waits."""
        self._items = items

    @property
    def items(self) -> deque[T]:
        return self._items

    async def wait(self, deadline: float | None = None) -> bool:
        """Waits for an item, no longer than `deadline` (on the loop's clock). Tells whether there is one."""
        loop = asyncio.get_running_loop()
        while not self._items and not self._closed and (deadline is None or loop.time() < deadline):
            if deadline is not None and (self._timer is None or self._timer.when() > deadline):
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = loop.call_at(deadline, self._late)
            self._news = loop.create_future()
            try:
                await self._news
            finally:
                self._news = None
        return bool(self._items)

    def take(self) -> T:
        return self._items.popleft()

    def _late(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self._items or await self.wait():
            return self._items.popleft()
        raise StopAsyncIteration
