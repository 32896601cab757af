"""Both stores keep one protocol; each has its own bounds."""

from __future__ import annotations

import math
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from openlive.server.store import MemoryStore, SQLiteStore, Store, StoreError, open_store

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    made: Store = MemoryStore(clock=clock) if request.param == "memory" else SQLiteStore(tmp_path / "s.db", clock)
    yield made
    await made.close()


async def test_values_by_namespace_and_key(store: Store) -> None:
    await store.put("a", "k", b"1", 2000)
    await store.put("b", "k", b"2", 2000)
    assert (await store.get("a", "k"), await store.get("b", "k"), await store.get("a", "l")) == (b"1", b"2", None)
    await store.put("a", "k", b"3", 2000)
    await store.delete("b", "k")
    await store.delete("b", "never there")
    assert (await store.get("a", "k"), await store.get("b", "k")) == (b"3", None)


async def test_values_expire(store: Store, clock: Clock) -> None:
    await store.put("a", "soon", b"1", 1010)
    await store.put("a", "never", b"2", math.inf)
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
    await store.put("a", "k", b"1", 1020)
    await store.change("a", "k", lambda old: old, 1050)
    clock.now = 1049
    assert await store.get("a", "k") == b"1"
    assert await store.change("a", "k", lambda old: None) is None
    assert await store.get("a", "k") is None


async def test_a_change_that_raises_changes_nothing(store: Store) -> None:
    await store.put("a", "k", b"1", 2000)

    def fail(old: bytes | None) -> bytes | None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        await store.change("a", "k", fail)
    assert await store.get("a", "k") == b"1"
    await store.put("a", "k", b"2", 2000)
    assert await store.get("a", "k") == b"2"


def count_down(old: bytes | None) -> bytes | None:
    """As for the uses of a token."""
    left = int(old or b"0") - 1
    if left < 0:
        raise ValueError("used up")
    return b"%d" % left


async def test_changes_at_once_come_one_after_the_other(store: Store) -> None:
    await store.put("uses", "k", b"20", 2000)
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


class TestMemory:
    async def test_is_bounded_expired_values_go_first_then_the_oldest(self, clock: Clock) -> None:
        store = MemoryStore(1000, clock)
        await store.put("n", "old", bytes(300), 5000)
        await store.put("n", "dead", bytes(300), 1005)
        await store.put("n", "new", bytes(300), 5000)
        clock.now = 1006
        await store.put("n", "more", bytes(300), 5000)
        assert await store.get("n", "old") is not None
        await store.put("n", "old", bytes(290), 5000)  # written anew, so it is the newest
        await store.put("n", "last", bytes(300), 5000)
        assert [await store.get("n", k) is not None for k in ("old", "new", "more", "last")] == [
            *(True, False, True, True),
        ]
        assert store.size <= 1000
        with pytest.raises(StoreError, match="more than the store may hold"):
            await store.put("n", "huge", bytes(1001), 5000)
        assert await store.get("n", "last") is not None

    async def test_forgets_what_expired_without_being_asked_for_it(self, clock: Clock) -> None:
        store = MemoryStore(clock=clock)
        for i in range(100):
            await store.put("n", str(i), b"x", 1001 + i)
        clock.now += 70
        await store.put("n", "next", b"x", 9000)
        assert len(store) == 100 - 70 + 1


class TestSQLite:
    async def test_survives_a_restart(self, tmp_path: Path) -> None:
        path = tmp_path / "folder" / "s.db"
        first = SQLiteStore(path)
        await first.put("a", "k", b"\0value", math.inf)
        await first.close()
        second = SQLiteStore(path)
        assert await second.get("a", "k") == b"\0value"
        await second.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    async def test_several_processes_share_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "s.db"
        store = SQLiteStore(path)
        await store.put("uses", "k", b"1000", math.inf)
        program = (
            "import sys, anyio; from pathlib import Path; from openlive.server.store import SQLiteStore\n"
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

    async def test_purges_its_file(self, tmp_path: Path, clock: Clock) -> None:
        store = SQLiteStore(tmp_path / "s.db", clock)
        for i in range(10):
            await store.put("n", str(i), b"a secret zebra", 1001)
        clock.now += 70
        await store.put("n", "next", b"x", 9000)
        await store.close()
        with sqlite3.connect(tmp_path / "s.db") as database:
            assert database.execute("SELECT count(*) FROM items").fetchone() == (1,)
        database.close()
        assert b"zebra" not in (tmp_path / "s.db").read_bytes()

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
            "import sys, math, anyio; from pathlib import Path; from openlive.server.store import SQLiteStore\n"
            "async def main():\n"
            "    store, i = SQLiteStore(Path(sys.argv[1])), 0\n"
            "    while True:\n"
            "        await store.put('n', 'k', b'%d' % i + bytes(100_000), math.inf); print(i, flush=True); i += 1\n"
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


def test_stores_by_their_names(tmp_path: Path) -> None:
    assert isinstance(open_store("memory", 10), MemoryStore)
    assert isinstance(open_store(f"sqlite:{tmp_path}/s.db", 10), SQLiteStore)
    for wrong in ("", "redis://x", "sqlite:", "memory:x"):
        with pytest.raises(StoreError, match="There is no store"):
            open_store(wrong, 10)
