"""What outlives a connection: small values with an expiry, in memory or in a file.

A store knows nothing of what it holds: resumption snapshots, ephemeral tokens. Keys live in namespaces; whoever binds a
value to a principal has the principal's name in the key. Times are wall-clock seconds, because they have to mean the
same after a restart and in another process. Another store (Redis, …) has to keep `Store`, no more.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread
from msgspec import Struct

PURGE = 60.0
"""Seconds between two searches for what has expired."""
BUSY = 5.0
"""Seconds that another process may keep the file to itself."""

Change = Callable[[bytes | None], bytes | None]
T = TypeVar("T")


class StoreError(Exception):
    """Something could not be stored or fetched; the message says what and why."""


class Store(Protocol):
    """Every method raises `StoreError` where the store cannot be reached or is full."""

    async def put(self, namespace: str, key: str, value: bytes, expires_at: float) -> None:
        """Keeps `value` until the time `expires_at` (may be `math.inf`), in the place of what was there."""
        ...

    async def get(self, namespace: str, key: str) -> bytes | None: ...

    async def delete(self, namespace: str, key: str) -> None: ...

    async def change(self, namespace: str, key: str, function: Change, expires_at: float | None = None) -> bytes | None:
        """Replaces what is there by what `function` makes of it, as one step that no other change comes between.

        `function` gets None where there is nothing, and returns None for nothing. It must be quick and free of effects;
        what it raises goes to the caller and nothing is changed. Without `expires_at` the present expiry stays, and
        what is new never expires. Returns what `function` returned.
        """
        ...

    async def close(self) -> None: ...


def open_store(location: str, memory_bytes: int) -> Store:
    """`memory`, or `sqlite:` and a path. Raises `StoreError`."""
    kind, _, path = location.partition(":")
    if kind == "memory" and not path:
        return MemoryStore(memory_bytes)
    if kind == "sqlite" and path:
        return SQLiteStore(Path(path))
    raise StoreError(f"There is no store {location!r}; there are memory and sqlite:/path/to/file.")


# --- memory -----------------------------------------------------------------------------------------------------------


class _Item(Struct):
    value: bytes
    expires_at: float


class MemoryStore:
    """Lost with the process. Holds at most `bytes_` of keys and values: what has expired goes first, then what was
    written longest ago."""

    def __init__(self, bytes_: int = 256 * 1024 * 1024, clock: Callable[[], float] = time.time) -> None:
        self._limit = bytes_
        self._clock = clock
        self._items: dict[tuple[str, str], _Item] = {}
        """The order is that of writing."""
        self._size = 0
        self._purge_at = 0.0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size(self) -> int:
        return self._size

    async def put(self, namespace: str, key: str, value: bytes, expires_at: float) -> None:
        self._put((namespace, key), value, expires_at)

    async def get(self, namespace: str, key: str) -> bytes | None:
        item = self._find((namespace, key))
        return None if item is None else item.value

    async def delete(self, namespace: str, key: str) -> None:
        self._drop((namespace, key))

    async def change(self, namespace: str, key: str, function: Change, expires_at: float | None = None) -> bytes | None:
        item = self._find((namespace, key))
        value = function(None if item is None else item.value)
        if value is None:
            self._drop((namespace, key))
        else:
            kept = math.inf if item is None else item.expires_at
            self._put((namespace, key), value, kept if expires_at is None else expires_at)
        return value

    async def close(self) -> None:
        self._items.clear()
        self._size = 0

    def _find(self, key: tuple[str, str]) -> _Item | None:
        item = self._items.get(key)
        return item if item is not None and item.expires_at > self._clock() else None

    def _put(self, key: tuple[str, str], value: bytes, expires_at: float) -> None:
        size = _size(key, value)
        if size > self._limit:
            raise StoreError(f"A value of {size} bytes is more than the store may hold ({self._limit}).")
        self._drop(key)
        self._items[key] = _Item(value, expires_at)
        self._size += size
        now = self._clock()
        if now >= self._purge_at or self._size > self._limit:
            self._purge_at = now + PURGE
            for old in [k for k, item in self._items.items() if item.expires_at <= now]:
                self._drop(old)
        while self._size > self._limit:
            self._drop(next(iter(self._items)))

    def _drop(self, key: tuple[str, str]) -> None:
        item = self._items.pop(key, None)
        if item is not None:
            self._size -= _size(key, item.value)


def _size(key: tuple[str, str], value: bytes) -> int:
    return len(key[0]) + len(key[1]) + len(value)


# --- SQLite -----------------------------------------------------------------------------------------------------------

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    namespace TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, expires_at REAL NOT NULL,
    PRIMARY KEY (namespace, key)
);
CREATE INDEX IF NOT EXISTS items_expire ON items (expires_at);
"""
_PUT = "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)"
_GET = "SELECT value, expires_at FROM items WHERE namespace = ? AND key = ? AND expires_at > ?"
_DELETE = "DELETE FROM items WHERE namespace = ? AND key = ?"
_PURGE = "DELETE FROM items WHERE expires_at <= ?"


class SQLiteStore:
    """A file, which several processes of one machine may share. What was stored survives the end of the process in
    whatever way it ends. Only its owner may read it, and what is deleted is overwritten: conversations stand there."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._purge_at = 0.0
        self._one = anyio.CapacityLimiter(1)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"The store {path} cannot be opened: {error}") from error
        try:
            self._database.execute("PRAGMA journal_mode = WAL").close()
            self._database.execute("PRAGMA synchronous = NORMAL").close()
            self._database.execute("PRAGMA secure_delete = ON").close()
            self._database.executescript(_SCHEMA).close()
        except sqlite3.Error as error:
            self._database.close()
            raise StoreError(f"The store {path} cannot be opened: {error}") from error

    async def put(self, namespace: str, key: str, value: bytes, expires_at: float) -> None:
        await self._run(self._put, namespace, key, value, expires_at)

    async def get(self, namespace: str, key: str) -> bytes | None:
        found = await self._run(self._find, namespace, key)
        return None if found is None else found[0]

    async def delete(self, namespace: str, key: str) -> None:
        await self._run(self._execute, _DELETE, namespace, key)

    async def change(self, namespace: str, key: str, function: Change, expires_at: float | None = None) -> bytes | None:
        return await self._run(self._change, namespace, key, function, expires_at)

    async def close(self) -> None:
        await self._run(self._database.close)

    async def _run(self, function: Callable[..., T], *arguments: object) -> T:
        """In a thread, one call at a time; one that has begun is carried through."""
        try:
            return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=self._one)
        except sqlite3.Error as error:
            raise StoreError(f"The store {self._path} failed: {error}") from error

    def _execute(self, statement: str, *values: object) -> None:
        self._database.execute(statement, values).close()

    def _put(self, namespace: str, key: str, value: bytes, expires_at: float) -> None:
        self._execute(_PUT, namespace, key, value, expires_at)
        now = self._clock()
        if now >= self._purge_at:
            self._purge_at = now + PURGE
            self._execute(_PURGE, now)

    def _find(self, namespace: str, key: str) -> tuple[bytes, float] | None:
        with closing(self._database.execute(_GET, (namespace, key, self._clock()))) as rows:
            found: tuple[bytes, float] | None = rows.fetchone()
        return found

    def _change(self, namespace: str, key: str, function: Change, expires_at: float | None) -> bytes | None:
        self._execute("BEGIN IMMEDIATE")
        try:
            found = self._find(namespace, key)
            value = function(None if found is None else found[0])
            if value is None:
                self._execute(_DELETE, namespace, key)
            else:
                kept = math.inf if found is None else found[1]
                self._put(namespace, key, value, kept if expires_at is None else expires_at)
            self._execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._execute("ROLLBACK")
            raise
        return value
