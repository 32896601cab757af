"""The store that is lost with the process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from msgspec import Struct

from openlive.server.store import BOUNDS, Bounds, Change

Place = tuple[str, str]
"""A namespace and a key, or a namespace and an owner."""


class _Item(Struct, gc=False):
    """It holds nothing that could hold it. A collection that looked at a full store's items would hold up the loop."""

    value: bytes
    expires_at: float
    account: Place
    size: int


class _Account(Struct):
    items: dict[Place, _Item]
    """In the order of writing."""
    size: int = 0
    written: int = 0
    """Values since it was last searched for what has expired."""


class MemoryStore:
    def __init__(self, bounds: Bounds = BOUNDS, clock: Callable[[], float] = time.time) -> None:
        self._bounds = bounds
        self._clock = clock
        self._items: dict[Place, _Item] = {}
        self._accounts: dict[Place, _Account] = {}
        """Those that hold anything."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size(self) -> int:
        return sum(account.size for account in self._accounts.values())

    async def put(self, namespace: str, key: str, value: bytes, expires_at: float, owner: str) -> None:
        self._put((namespace, key), value, expires_at, owner)

    async def get(self, namespace: str, key: str) -> bytes | None:
        item = self._find((namespace, key))
        return None if item is None else item.value

    async def delete(self, namespace: str, key: str) -> None:
        self._drop((namespace, key))

    async def change(
        self, namespace: str, key: str, function: Change, expires_at: float | None = None, owner: str | None = None
    ) -> bytes | None:
        place = namespace, key
        item = self._find(place)
        value = function(None if item is None else item.value)
        if value is None:
            self._drop(place)
            return None
        kept, kept_by = (math.inf, "") if item is None else (item.expires_at, item.account[1])
        self._put(place, value, kept if expires_at is None else expires_at, kept_by if owner is None else owner)
        return value

    async def purge(self) -> None:
        for account in list(self._accounts.values()):
            self._drop_expired(account)

    async def close(self) -> None:
        self._items.clear()
        self._accounts.clear()

    def _find(self, place: Place) -> _Item | None:
        item = self._items.get(place)
        return item if item is not None and item.expires_at > self._clock() else None

    def _put(self, place: Place, value: bytes, expires_at: float, owner: str) -> None:
        size = self._bounds.size(place[1], value)
        self._drop(place)
        name = place[0], owner
        self._make_room(name, size)
        account = self._accounts.setdefault(name, _Account({}))
        value = bytes(memoryview(value))  # encoders leave up to half as much again behind what they made
        self._items[place] = account.items[place] = _Item(value, expires_at, name, size)
        account.size += size
        account.written += 1

    def _make_room(self, name: Place, size: int) -> None:
        while (account := self._accounts.get(name)) is not None and account.size + size > self._bounds.account:
            self._shrink(account)
        while self.size + size > self._bounds.total:
            self._shrink(max(self._accounts.values(), key=lambda account: account.size))

    def _shrink(self, account: _Account) -> None:
        """What has expired goes first. It is looked for only once as much was written as there is to look through."""
        if account.written >= len(account.items):
            account.written = 0
            if self._drop_expired(account):
                return
        self._drop(next(iter(account.items)))

    def _drop_expired(self, account: _Account) -> bool:
        now = self._clock()
        expired = [place for place, item in account.items.items() if item.expires_at <= now]
        for place in expired:
            self._drop(place)
        return bool(expired)

    def _drop(self, place: Place) -> None:
        item = self._items.pop(place, None)
        if item is None:
            return
        account = self._accounts[item.account]
        del account.items[place]
        account.size -= item.size
        if not account.items:
            del self._accounts[item.account]
