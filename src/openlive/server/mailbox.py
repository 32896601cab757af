"""A queue between tasks of one event loop: putting never waits, taking does.

Every audio message passes through three of these, so this is asyncio itself: a future per wait, and a timer that is set
anew only where it would be late. An event and a cancel scope per wait cost ten times as much.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

T = TypeVar("T")


class Mailbox(AsyncIterator[T]):
    """Unbounded: who puts into it keeps the bound. One task takes. After `close`, what is left can still be taken.

    What was put behind waits for everything else; each of the two keeps its order.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._behind: deque[T] = deque()
        self._news: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._items) + len(self._behind)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: T) -> None:
        if not self._closed:
            self._items.append(item)
            if self._news is not None:
                self._wake()

    def put_behind(self, item: T) -> None:
        if not self._closed:
            self._behind.append(item)
            if self._news is not None:
                self._wake()

    def close(self) -> None:
        self._closed = True
        self._wake()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def items(self) -> deque[T]:
        """What goes first."""
        return self._items

    @property
    def behind(self) -> deque[T]:
        return self._behind

    def batch(self, most: int) -> Iterator[T]:
        """Takes what is there, `most` of it: what goes first, and of what waits behind that one item at least."""
        first = min(len(self._items), most)
        last = min(len(self._behind), max(1, most - first))
        for _ in range(first):
            yield self._items.popleft()
        for _ in range(last):
            yield self._behind.popleft()

    async def wait(self, deadline: float | None = None) -> bool:
        """Waits for an item, no longer than `deadline` (on the loop's clock). Tells whether there is one."""
        loop = asyncio.get_running_loop()
        while (
            not self._items and not self._behind and not self._closed and (deadline is None or loop.time() < deadline)
        ):
            if deadline is not None and (self._timer is None or self._timer.when() > deadline):
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = loop.call_at(deadline, self._late)
            self._news = loop.create_future()
            try:
                await self._news
            finally:
                self._news = None
        return bool(self._items or self._behind)

    async def taken(self, queue: deque[T], most: int) -> None:
        """Waits until fewer than `most` are left in `queue` (`items`, `behind`). Whoever takes them is at work, so it
        is asked again in the next turn of the loop."""
        while len(queue) >= most and not self._closed:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def take(self) -> T:
        return self._items.popleft() if self._items else self._behind.popleft()

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
            return self.take()
        raise StopAsyncIteration
