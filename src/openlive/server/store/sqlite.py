"""The store in a file, which several processes of one machine may share.

What was stored survives the end of the process in whatever way it ends. Conversations stand there, so only the owner of
the file may read it, and what is deleted is overwritten.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from openlive.private import PrivacyError, make_private, restrict_permissions
from openlive.server.store import BOUNDS, Bounds, Change, StoreError

BUSY = 5.0
"""Seconds that another process may keep the file to itself."""
VERSION = 2
"""Of the schema."""
AT_ONCE = 500
"""Values that are purged, and pages that are given back to the file system, between two other calls."""

T = TypeVar("T")

# Rows are only ever inserted and deleted; their numbers grow in the order of writing.
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY, namespace TEXT NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL, value BLOB NOT NULL,
    expires_at REAL NOT NULL, size INTEGER NOT NULL, UNIQUE (namespace, key)
);
CREATE INDEX IF NOT EXISTS items_expire ON items (expires_at);
CREATE INDEX IF NOT EXISTS items_owned ON items (namespace, owner, number);
CREATE TABLE IF NOT EXISTS accounts (
    namespace TEXT NOT NULL, owner TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (namespace, owner)
);
CREATE TRIGGER IF NOT EXISTS items_come AFTER INSERT ON items BEGIN
    INSERT INTO accounts VALUES (new.namespace, new.owner, new.size)
        ON CONFLICT DO UPDATE SET size = size + excluded.size;
END;
CREATE TRIGGER IF NOT EXISTS items_go AFTER DELETE ON items BEGIN
    UPDATE accounts SET size = size - old.size WHERE namespace = old.namespace AND owner = old.owner;
    DELETE FROM accounts WHERE namespace = old.namespace AND owner = old.owner AND size = 0;
END;
"""
_PUT = "INSERT INTO items (namespace, key, owner, value, expires_at, size) VALUES (?, ?, ?, ?, ?, ?)"
_GET = "SELECT value, expires_at, owner FROM items WHERE namespace = ? AND key = ? AND expires_at > ?"
_DELETE = "DELETE FROM items WHERE namespace = ? AND key = ?"
_PURGE = "DELETE FROM items WHERE number IN (SELECT number FROM items WHERE expires_at <= ? LIMIT ?)"
_PURGE_ACCOUNT = "DELETE FROM items WHERE namespace = ? AND owner = ? AND expires_at <= ?"
_DROP_OLDEST = "DELETE FROM items WHERE number = (SELECT min(number) FROM items WHERE namespace = ? AND owner = ?)"
_HELD = "SELECT coalesce(sum(size), 0) FROM accounts WHERE namespace = ? AND owner = ?"
_HELD_IN_ALL = "SELECT coalesce(sum(size), 0) FROM accounts"
_LARGEST = "SELECT namespace, owner FROM accounts ORDER BY size DESC LIMIT 1"


class SQLiteStore:
    """Raises `StoreError` where the file cannot be used, or kept from others."""

    def __init__(self, path: Path, bounds: Bounds = BOUNDS, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._bounds = bounds
        self._clock = clock
        self._one = anyio.CapacityLimiter(1)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            make_private(path)
            for beside in (f"{path}-wal", f"{path}-shm"):  # of a process that was killed
                restrict_permissions(Path(beside))
            self._database = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error, PrivacyError) as error:
            raise StoreError(f"The store {path} cannot be opened: {error}") from error
        try:
            self._set_up()
        except (sqlite3.Error, StoreError) as error:
            self._database.close()
            raise StoreError(f"The store {path} cannot be opened: {error}") from error

    def _set_up(self) -> None:
        if self._value(
            "SELECT user_version <> ? AND EXISTS (SELECT * FROM sqlite_master) FROM pragma_user_version", VERSION
        ):
            raise StoreError("it was made by another version, or by another program; name another file or remove it.")
        self._execute("PRAGMA auto_vacuum = INCREMENTAL")  # before anything is written
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("PRAGMA synchronous = NORMAL")
        self._execute("PRAGMA secure_delete = ON")
        self._database.executescript(f"{_SCHEMA}PRAGMA user_version = {VERSION}; COMMIT;").close()

    async def put(self, namespace: str, key: str, value: bytes, expires_at: float, owner: str) -> None:
        await self._run(self._change, namespace, key, lambda _: value, expires_at, owner)

    async def get(self, namespace: str, key: str) -> bytes | None:
        found = await self._run(self._find, namespace, key)
        return None if found is None else found[0]

    async def delete(self, namespace: str, key: str) -> None:
        await self._run(self._execute, _DELETE, namespace, key)

    async def change(
        self, namespace: str, key: str, function: Change, expires_at: float | None = None, owner: str | None = None
    ) -> bytes | None:
        return await self._run(self._change, namespace, key, function, expires_at, owner)

    async def purge(self) -> None:
        while await self._run(self._execute, _PURGE, self._clock(), AT_ONCE):
            pass
        while await self._run(self._give_back):
            pass
        await self._run(self._execute, "PRAGMA wal_checkpoint(TRUNCATE)")  # what was deleted stands in the log, too

    async def close(self) -> None:
        await self._run(self._database.close)

    async def _run(self, function: Callable[..., T], *arguments: object) -> T:
        """In a thread, one call at a time; one that has begun is carried through."""
        try:
            return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=self._one)
        except sqlite3.Error as error:
            raise StoreError(f"The store {self._path} failed: {error}") from error

    def _execute(self, statement: str, *values: object) -> int:
        """The number of rows that it changed."""
        with closing(self._database.execute(statement, values)) as rows:
            rows.fetchall()
            return rows.rowcount

    def _value(self, statement: str, *values: object) -> Any:
        with closing(self._database.execute(statement, values)) as rows:
            return rows.fetchone()[0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._execute("ROLLBACK")
            raise

    def _find(self, namespace: str, key: str) -> tuple[bytes, float, str] | None:
        with closing(self._database.execute(_GET, (namespace, key, self._clock()))) as rows:
            found: tuple[bytes, float, str] | None = rows.fetchone()
        return found

    def _change(
        self, namespace: str, key: str, function: Change, expires_at: float | None, owner: str | None
    ) -> bytes | None:
        with self._transaction():
            found = self._find(namespace, key)
            value = function(None if found is None else found[0])
            size = 0 if value is None else self._bounds.size(key, value)
            self._execute(_DELETE, namespace, key)
            if value is not None:
                _, kept, kept_by = found or (b"", math.inf, "")
                owner = kept_by if owner is None else owner
                self._make_room(namespace, owner, size)
                self._execute(_PUT, namespace, key, owner, value, kept if expires_at is None else expires_at, size)
        return value

    def _make_room(self, namespace: str, owner: str, size: int) -> None:
        over = self._bounds.account - size
        if self._value(_HELD, namespace, owner) > over:
            self._execute(_PURGE_ACCOUNT, namespace, owner, self._clock())
        while self._value(_HELD, namespace, owner) > over:
            self._execute(_DROP_OLDEST, namespace, owner)
        while self._value(_HELD_IN_ALL) > self._bounds.total - size:
            with closing(self._database.execute(_LARGEST)) as rows:
                largest = rows.fetchone()
            if not self._execute(_PURGE_ACCOUNT, *largest, self._clock()):
                self._execute(_DROP_OLDEST, *largest)

    def _give_back(self) -> bool:
        """Pages that hold nothing, to the file system. Whether there are more of them."""
        before = self._value("PRAGMA freelist_count")
        self._execute(f"PRAGMA incremental_vacuum({AT_ONCE})")
        left = self._value("PRAGMA freelist_count")
        return bool(0 < left < before)
