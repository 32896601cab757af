"""Both stores keep one protocol; each has its own bounds."""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from openlive.server import run
from openlive.server.store import ITEM, Bounds, Store, StoreError, open_store, size_of
from openlive.server.store.memory import MemoryStore
from openlive.server.store.sqlite import AT_ONCE, SQLiteStore
from tests.serving import serving

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


BOUNDS = Bounds(total=20 * (ITEM + 101), account=10 * (ITEM + 101))
"""Twenty values of 100 bytes with a key of one character, ten of them an account's."""


def made(kind: str, folder: Path, clock: Clock) -> MemoryStore | SQLiteStore:
    return MemoryStore(BOUNDS, clock) if kind == "memory" else SQLiteStore(folder / "s.db", BOUNDS, clock)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    store = made(request.param, tmp_path, clock)
    yield store
    await store.close()


async def fill(store: Store, owner: str, keys: str, namespace: str = "n", expires_at: float = 5000) -> None:
    """Writes a value of 100 bytes for each character, in this order."""
    for key in keys:
        await store.put(namespace, key, bytes(100), expires_at, owner)


async def kept(store: Store, keys: str, namespace: str = "n") -> str:
    return "".join([key for key in keys if await store.get(namespace, key) is not None])


async def test_values_by_namespace_and_key(store: Store) -> None:
    await store.put("a", "k", b"1", 2000, "a")
    await store.put("b", "k", b"2", 2000, "a")
    assert (await store.get("a", "k"), await store.get("b", "k"), await store.get("a", "l")) == (b"1", b"2", None)
    await store.put("a", "k", b"3", 2000, "a")
    await store.delete("b", "k")
    await store.delete("b", "never there")
    assert (await store.get("a", "k"), await store.get("b", "k")) == (b"3", None)


async def test_values_expire(store: Store, clock: Clock) -> None:
    await store.put("a", "soon", b"1", 1010, "a")
    await store.put("a", "never", b"2", math.inf, "a")
    clock.now = 1009.9
    assert await store.get("a", "soon") == b"1"
    clock.now = 1010
    assert await store.get("a", "soon") is None
    assert await store.change("a", "soon", lambda old: old) is None
    clock.now = 1e12
    assert await store.get("a", "never") == b"2"


async def test_a_change_sees_what_is_there_and_keeps_its_expiry(store: Store, clock: Clock) -> None:
    assert await store.change("a", "k", lambda old: b"new" if old is None else b"old", 1010) == b"new"
    assert await store.change("a", "k", lambda old: (old or b"") + b"er") == b"newer"
    clock.now = 1010
    assert await store.get("a", "k") is None
    await store.put("a", "k", b"1", 1020, "a")
    await store.change("a", "k", lambda old: old, 1050)
    clock.now = 1049
    assert await store.get("a", "k") == b"1"
    assert await store.change("a", "k", lambda old: None) is None
    assert await store.get("a", "k") is None


async def test_a_change_that_raises_changes_nothing(store: Store) -> None:
    await store.put("a", "k", b"1", 2000, "a")

    def fail(old: bytes | None) -> bytes | None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        await store.change("a", "k", fail)
    assert await store.get("a", "k") == b"1"
    await store.put("a", "k", b"2", 2000, "a")
    assert await store.get("a", "k") == b"2"


def count_down(old: bytes | None) -> bytes | None:
    """As for the uses of a token."""
    left = int(old or b"0") - 1
    if left < 0:
        raise ValueError("used up")
    return b"%d" % left


async def test_changes_at_once_come_one_after_the_other(store: Store) -> None:
    await store.put("uses", "k", b"20", 2000, "a")
    refused: list[int] = []

    async def use(number: int) -> None:
        try:
            await store.change("uses", "k", count_down)
        except ValueError:
            refused.append(number)

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(use, number)
    assert (len(refused), await store.get("uses", "k")) == (10, b"0")


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_an_owner_over_its_bound_loses_its_oldest(store: Store) -> None:
    await fill(store, "anna", "0123456789")
    await fill(store, "anna", "0")  # written anew, so it is the newest
    await fill(store, "anna", "xyz")
    assert await kept(store, "0123456789xyz") == "0456789xyz"


async def test_what_has_expired_goes_first(store: Store, clock: Clock) -> None:
    await fill(store, "anna", "01234")
    await fill(store, "anna", "567", expires_at=1005)
    clock.now = 1006
    await fill(store, "anna", "89abc")
    assert await kept(store, "0123456789abc") == "0123489abc"


async def test_nobody_else_loses_anything_however_much_one_owner_writes(store: Store) -> None:
    await fill(store, "bert", "bcd")
    for _ in range(3):
        await fill(store, "anna", "0123456789ABCDEFGHIJ")
    await fill(store, "anna", "rs", "other")
    assert await kept(store, "bcd") == "bcd"
    assert await kept(store, "0123456789ABCDEFGHIJ") == "ABCDEFGHIJ"  # an account for each namespace
    assert await kept(store, "rs", "other") == "rs"


async def test_a_full_store_takes_from_whoever_has_most(store: Store) -> None:
    await fill(store, "anna", "0123456789")
    await fill(store, "bert", "abcdef")
    await fill(store, "carl", "ABCD")
    assert await kept(store, "0123456789abcdefABCD") == "0123456789abcdefABCD"
    await fill(store, "dora", "wxyz")
    assert await kept(store, "0123456789abcdefABCDwxyz") == "456789abcdefABCDwxyz"
    await fill(store, "bert", "gh")
    assert await kept(store, "456789abcdefghABCDwxyz") in ("6789abcdefghABCDwxyz", "56789bcdefghABCDwxyz")


async def test_a_change_keeps_the_owner(store: Store) -> None:
    await fill(store, "anna", "0123456789")
    await store.change("n", "0", lambda old: old)
    await fill(store, "anna", "x")
    assert await kept(store, "0123456789x") == "023456789x"
    await store.change("n", "0", lambda old: old, owner="bert")
    await fill(store, "anna", "y")
    assert await kept(store, "0123456789xy") == "023456789xy"


async def test_what_is_too_large_is_refused_and_changes_nothing(store: Store) -> None:
    await fill(store, "anna", "01")
    with pytest.raises(StoreError, match="more than the store may hold"):
        await store.put("n", "0", bytes(BOUNDS.account), 5000, "anna")
    with pytest.raises(StoreError, match="more than the store may hold"):
        await store.change("n", "0", lambda _: bytes(BOUNDS.account))
    assert await store.get("n", "0") == bytes(100)
    assert await kept(store, "01") == "01"


async def test_tiny_values_are_bounded_by_what_keeping_them_costs(store: Store) -> None:
    for i in range(1000):
        await store.put("n", str(i), b"", 5000, "anna")
    found = [i for i in range(1000) if await store.get("n", str(i)) is not None]
    assert len(found) == BOUNDS.account // size_of("999", b"")
    assert found[-1] == 999


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_purge_deletes_what_expired(kind: str, tmp_path: Path, clock: Clock) -> None:
    store = made(kind, tmp_path, clock)
    await fill(store, "anna", "01234", expires_at=1010)
    await fill(store, "anna", "56789")
    clock.now = 1010
    await store.purge()
    if isinstance(store, MemoryStore):
        assert (len(store), store.size) == (5, 5 * size_of("5", bytes(100)))
    else:
        with sqlite3.connect(tmp_path / "s.db") as database:
            assert database.execute("SELECT count(*), sum(size) FROM items").fetchone() == (5, 5 * (ITEM + 101))
            assert database.execute("SELECT owner, size FROM accounts").fetchall() == [("anna", 5 * (ITEM + 101))]
        database.close()
    await store.close()


async def test_the_search_for_what_expired_costs_no_more_than_the_writing() -> None:
    """A full account is looked through once for as many values as it holds, not for each of them."""
    looks = 0

    class Looked(dict[tuple[str, str], object]):
        def items(self) -> Any:
            nonlocal looks
            looks += len(self)
            return super().items()

    store = MemoryStore(Bounds(1000 * (ITEM + 4), 500 * (ITEM + 4)), lambda: 0.0)
    await store.put("n", "first", b"", math.inf, "anna")
    account = store._accounts["n", "anna"]
    account.items = Looked(account.items)  # type: ignore[assignment]
    for i in range(5000):
        await store.put("n", f"{i:04}", b"", math.inf, "anna")
    assert 0 < looks <= 5000 + 500


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


class TestSQLite:
    async def test_survives_a_restart(self, tmp_path: Path) -> None:
        path = tmp_path / "folder" / "s.db"
        first = SQLiteStore(path)
        await first.put("a", "k", b"\0value", math.inf, "a")
        await first.close()
        second = SQLiteStore(path)
        assert await second.get("a", "k") == b"\0value"
        await second.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    async def test_several_processes_share_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "s.db"
        store = SQLiteStore(path)
        await store.put("uses", "k", b"1000", math.inf, "a")
        program = (
            "import sys, anyio; from pathlib import Path; from openlive.server.store.sqlite import SQLiteStore\n"
            "async def main():\n"
            "    store = SQLiteStore(Path(sys.argv[1]))\n"
            "    for _ in range(100): await store.change('uses', 'k', lambda old: b'%d' % (int(old) - 1))\n"
            "    await store.close()\n"
            "anyio.run(main)"
        )
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(anyio.run_process, [sys.executable, "-c", program, str(path)])
            for _ in range(100):
                await store.change("uses", "k", count_down)
        assert await store.get("uses", "k") == b"500"
        await store.close()

    async def test_a_purge_leaves_nothing_in_the_files(self, tmp_path: Path, clock: Clock) -> None:
        store = SQLiteStore(tmp_path / "s.db", clock=clock)
        for i in range(2 * AT_ONCE):
            await store.put("n", str(i), b"a secret zebra " * 100, 1001, "a")
        await store.put("n", "next", b"x", 9000, "a")
        large = (tmp_path / "s.db").stat().st_size
        clock.now = 1070
        await store.purge()
        assert (tmp_path / "s.db").stat().st_size < large / 10
        for file in files(tmp_path):
            assert b"zebra" not in file.read_bytes()
        await store.close()

    async def test_its_file_is_bounded(self, tmp_path: Path) -> None:
        store = SQLiteStore(tmp_path / "s.db", Bounds(total=1_000_000, account=500_000))
        for i in range(400):
            for owner in ("anna", "bert", "carl"):
                await store.put("n", f"{owner}{i}", bytes(10_000), math.inf, owner)
        await store.purge()
        sizes = [file.stat().st_size for file in files(tmp_path)]
        assert sum(sizes) < 2_000_000
        await store.close()

    @pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no modes here")
    async def test_files_that_others_could_read_are_made_private(self, tmp_path: Path) -> None:
        path = tmp_path / "s.db"
        program = (  # ends without a word, so that its log stays
            "import os, sys, math, anyio; from pathlib import Path\n"
            "from openlive.server.store.sqlite import SQLiteStore\n"
            "async def main():\n"
            "    await SQLiteStore(Path(sys.argv[1])).put('n', 'k', b'1', math.inf, 'a'); os._exit(0)\n"
            "anyio.run(main)"
        )
        await anyio.run_process([sys.executable, "-c", program, str(path)])
        assert len(files(tmp_path)) == 3
        for file in files(tmp_path):
            file.chmod(0o644)
        store = SQLiteStore(path)
        assert await store.get("n", "k") == b"1"
        await store.put("n", "k", b"2", math.inf, "a")
        assert {stat.S_IMODE(file.stat().st_mode) for file in files(tmp_path)} == {0o600}
        await store.close()

    async def test_files_that_cannot_be_kept_from_others_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "s.db")
        with pytest.raises(StoreError, match="is a link"):
            SQLiteStore(tmp_path / "link")
        await SQLiteStore(tmp_path / "s.db").close()
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        with pytest.raises(StoreError, match="belongs to another user"):
            SQLiteStore(tmp_path / "s.db")

    async def test_a_file_of_something_else_is_refused(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "s.db") as database:
            database.execute("CREATE TABLE items (diary TEXT)")
        database.close()
        with pytest.raises(StoreError, match="another program; name another file or remove it"):
            SQLiteStore(tmp_path / "s.db")

    async def test_what_is_no_store_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("no database " * 100)
        with pytest.raises(StoreError, match="text cannot be opened"):
            SQLiteStore(tmp_path / "text")
        with pytest.raises(StoreError, match="cannot be opened"):
            SQLiteStore(tmp_path)

    def test_survives_a_killed_writer(self, tmp_path: Path) -> None:
        """Whatever a process that was killed had been told is stored is there, and the file is whole."""
        path = tmp_path / "s.db"
        program = (
            "import sys, math, anyio; from pathlib import Path; from openlive.server.store.sqlite import SQLiteStore\n"
            "async def main():\n"
            "    store, i = SQLiteStore(Path(sys.argv[1])), 0\n"
            "    while True:\n"
            "        await store.put('n', 'k', b'%d' % i + bytes(100_000), math.inf, 'a')\n"
            "        print(i, flush=True); i += 1\n"
            "anyio.run(main)"
        )
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = [next(process.stdout) for _ in range(20)]
            process.kill()

        async def stored() -> bytes | None:
            store = SQLiteStore(path)
            value = await store.get("n", "k")
            await store.close()
            return value

        assert int((anyio.run(stored) or b"-1").rstrip(b"\0")) >= int(told[-1])


async def test_a_server_purges_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    purged = threading.Event()

    async def purge(_: Store) -> None:
        purged.set()
        raise StoreError("it fails, and is tried again")

    monkeypatch.setattr(run, "PURGE", 0.01)
    monkeypatch.setattr(MemoryStore, "purge", purge)
    with serving(fails=["could not be deleted"]) as server:
        for _ in range(2):
            assert await server.comes_to(purged.is_set)
            purged.clear()


def test_stores_by_their_names(tmp_path: Path) -> None:
    assert isinstance(open_store("memory", BOUNDS), MemoryStore)
    assert isinstance(open_store(f"sqlite:{tmp_path}/s.db", BOUNDS), SQLiteStore)
    for wrong in ("", "redis://x", "sqlite:", "memory:x"):
        with pytest.raises(StoreError, match="There is no store"):
            open_store(wrong, BOUNDS)
