"""Downloads from a hub that behaves, misbehaves or stays away."""

from __future__ import annotations

import socket
import time
from contextlib import closing

import pytest

from openlive.models import ModelError, Update, cache, ensure, hub, path
from tests.models.conftest import FakeHub, Put, content, entry, file, folder_of

DATA = content(3 << 20)


def test_download_ends_in_the_cache_and_is_not_repeated(fake_hub: FakeHub, put: Put) -> None:
    tiny = put(entry((file("a.bin", DATA, (fake_hub.url("a"),)), file("b.bin", b"b", (fake_hub.url("b"),)))))
    fake_hub.files = {"a": DATA, "b": b"b"}
    assert path("tiny") is None
    updates: list[Update] = []
    folder = ensure("tiny", updates.append)
    assert folder == path("tiny") == cache.folder(tiny)
    assert folder_of(tiny) == {"a.bin": DATA, "b.bin": b"b"}
    assert not cache.staging(tiny).exists()
    ensure("tiny")
    assert len(fake_hub.asked) == 2

    assert [update.done for update in updates] == sorted(update.done for update in updates)
    assert updates[-1] == Update("tiny", "ready", "", "", len(DATA) + 1, len(DATA) + 1)
    assert ("downloading", "a.bin") in {(update.step, update.file) for update in updates}


def test_broken_connections_are_resumed_where_they_broke(fake_hub: FakeHub, put: Put) -> None:
    tiny = put(entry((file("a.bin", DATA, (fake_hub.url("a"),)),)))
    fake_hub.files = {"a": DATA}
    fake_hub.break_after = [1000, 2000]
    ensure("tiny")
    assert folder_of(tiny) == {"a.bin": DATA}
    assert fake_hub.asked == [("a", ""), ("a", "bytes=1000-"), ("a", "bytes=3000-")]


def test_a_server_that_cannot_resume_starts_again(fake_hub: FakeHub, put: Put) -> None:
    tiny = put(entry((file("a.bin", DATA, (fake_hub.url("a"),)),)))
    fake_hub.files = {"a": DATA}
    fake_hub.break_after = [1000]
    fake_hub.ranges = False
    ensure("tiny")
    assert folder_of(tiny) == {"a.bin": DATA}


def test_a_server_that_always_breaks_off_is_given_up_and_what_came_is_kept(fake_hub: FakeHub, put: Put) -> None:
    tiny = put(entry((file("a.bin", DATA, (fake_hub.url("a"),)),)))
    fake_hub.files = {"a": DATA}
    fake_hub.break_after = [1000] * 3
    with pytest.raises(ModelError, match="RemoteProtocolError"):
        ensure("tiny")
    (kept,) = cache.staging(tiny).glob("*.partial")
    assert kept.stat().st_size == 3000


def test_the_error_names_each_source_what_it_said_and_the_way_by_hand(fake_hub: FakeHub, put: Put) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}/a"
    tiny = put(entry((file("a.bin", DATA, (fake_hub.url("a"), closed)),)))
    with pytest.raises(ModelError) as caught:
        ensure("tiny")
    message = str(caught.value)
    assert f"{fake_hub.url('a')}: HTTP 404 Not Found" in message
    assert f"{closed}: ConnectError" in message
    assert str(cache.folder(tiny) / "a.bin") in message
    assert tiny.variants[0][0].sha256 in message
    assert path("tiny") is None


def test_another_file_is_refused_and_the_next_source_asked(fake_hub: FakeHub, put: Put) -> None:
    wrong = content(len(DATA), b"other")
    urls = (fake_hub.url("short"), fake_hub.url("wrong"), fake_hub.url("right"))
    tiny = put(entry((file("a.bin", DATA, urls),)))
    fake_hub.files = {"short": DATA[:-1], "wrong": wrong, "right": DATA}
    ensure("tiny")
    assert folder_of(tiny) == {"a.bin": DATA}
    assert [asked for asked, _ in fake_hub.asked] == ["short", "wrong", "right"]


def test_wrong_bytes_never_appear_in_the_cache(fake_hub: FakeHub, put: Put) -> None:
    tiny = put(entry((file("a.bin", DATA, (fake_hub.url("wrong"),)),)))
    fake_hub.files = {"wrong": content(len(DATA), b"other")}
    with pytest.raises(ModelError, match="sent another file"):
        ensure("tiny")
    assert folder_of(tiny) == {}


def test_a_wrong_beginning_from_an_earlier_run_costs_a_second_try(fake_hub: FakeHub, put: Put) -> None:
    tiny = put(entry((file("a.bin", DATA, (fake_hub.url("a"),)),)))
    fake_hub.files = {"a": content(len(DATA), b"other")}
    fake_hub.break_after = [1000] * 3
    with pytest.raises(ModelError):
        ensure("tiny")
    fake_hub.files = {"a": DATA}
    hub._silent.clear()
    ensure("tiny")
    assert folder_of(tiny) == {"a.bin": DATA}


def test_a_silent_host_is_given_up_soon_and_asked_once(fake_hub: FakeHub, put: Put) -> None:
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
        # Fill the backlog, so that the next connection hangs as behind a firewall that drops packets.
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        hanging = f"http://127.0.0.1:{full.getsockname()[1]}"
        put(entry(tuple(file(f"{n}.bin", DATA, (f"{hanging}/{n}", fake_hub.url("a"))) for n in range(8))))
        fake_hub.files = {"a": DATA}
        began = time.monotonic()
        ensure("tiny")
        assert time.monotonic() - began < 3
        for client in waiting:
            client.close()


def test_a_host_that_accepts_and_says_nothing_is_given_up(fake_hub: FakeHub, put: Put) -> None:
    put(entry((file("a.bin", DATA, (fake_hub.url("a"), fake_hub.url("b"))),)))
    fake_hub.silent = True
    with pytest.raises(ModelError, match=r"ReadTimeout[^$]*not asked again: ReadTimeout"):
        ensure("tiny")
    assert len(fake_hub.asked) == 1
