"""What outlives a connection: small values with an expiry, in memory or in a file.

A store knows nothing of what it holds: resumption snapshots, ephemeral tokens. Keys live in namespaces; whoever binds a
value to a principal has the principal's name in the key. Times are wall-clock seconds, because they have to mean the
same after a restart and in another process.

A store is bounded, and so is what each owner (a principal, by its name) has in it. What one namespace holds of one
owner is an account. Where a value would bring its account over the bound, the account's own make room: what has
expired, then what was written longest ago. Where it would bring the whole store over its bound, those of the account
that holds most do. So nobody's values go because another one writes many, and an owner's sessions and tokens do not
push out each other. Another store (Redis, …) has to keep `Store` and these rules, no more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from openlive.config.model import StoreSettings

ITEM = 512
"""Bytes that a value counts beside its own and its key's: keeping one costs as much, so tiny ones are bounded too."""
PURGE = 60.0
"""Seconds between two searches for what has expired."""

Change = Callable[[bytes | None], bytes | None]


class StoreError(Exception):
    """Something could not be stored or fetched; the message says what and why."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class Bounds(Struct, frozen=True):
    """Bytes of keys and values, and `ITEM` more for each of them."""

    total: int = 256 * 1024 * 1024
    account: int = 128 * 1024 * 1024

    def size(self, key: str, value: bytes) -> int:
        """What a value counts. Raises `StoreError` where no room can be made for it."""
        size, most = size_of(key, value), min(self.total, self.account)
        if size > most:
            raise StoreError(f"A value of {size} bytes is more than the store may hold ({most}).")
        return size


BOUNDS = Bounds()


def configured_bounds(settings: StoreSettings) -> Bounds:
    return Bounds(settings.total_bytes, settings.key_bytes)


def size_of(key: str, value: bytes) -> int:
    return ITEM + len(key.encode()) + len(value)


class Store(Protocol):
    """Every method raises `StoreError` where the store cannot be reached, or a value alone is over a bound."""

    async def put(self, namespace: str, key: str, value: bytes, expires_at: float, owner: str) -> None:
        """Keeps `value` until the time `expires_at` (may be `math.inf`), in the place of what was there. It counts for
        `owner`."""
        ...

    async def get(self, namespace: str, key: str) -> bytes | None: ...

    async def delete(self, namespace: str, key: str) -> None: ...

    async def change(
        self, namespace: str, key: str, function: Change, expires_at: float | None = None, owner: str | None = None
    ) -> bytes | None:
        """Replaces what is there by what `function` makes of it, as one step that no other change comes between.

        `function` gets None where there is nothing, and returns None for nothing. It must be quick and free of effects;
        what it raises goes to the caller and nothing is changed. Without `expires_at` and `owner` those of what is
        there stay; what is new then never expires, and counts for nobody (''). Returns what `function` returned.
        """
        ...

    async def purge(self) -> None:
        """Deletes what has expired. To be called every `PURGE` seconds."""
        ...

    async def close(self) -> None: ...


def open_store(location: str, bounds: Bounds) -> Store:
    """`memory`, or `sqlite:` and a path. Raises `StoreError`."""
    from openlive.server.store.memory import MemoryStore
    from openlive.server.store.sqlite import SQLiteStore

    kind, _, path = location.partition(":")
    if kind == "memory" and not path:
        return MemoryStore(bounds)
    if kind == "sqlite" and path:
        return SQLiteStore(Path(path), bounds)
    raise StoreError(f"There is no store {location!r}; there are memory and sqlite:/path/to/file.")
