"""How many sessions there may be, and keys that change while the server runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from openlive.config.keys import Key, KeysError, parse_keys
from openlive.config.load import load_config
from openlive.config.model import Config, LimitSettings, ServerSettings
from openlive.core.commands import Send
from openlive.core.events import MessageReceived
from openlive.core.session import Session
from openlive.core.setup.profile import ModelProfile
from openlive.core.setup.settings import SessionSettings, settings_from_setup
from openlive.server.admission import MINUTE, Admission, Places, Visit
from openlive.server.auth import Credential, Keyring, Principal, Reread, build_keyring
from openlive.server.load_shedding import Waits
from openlive.server.paths import Door
from openlive.server.store.memory import MemoryStore
from openlive.server.tokens import Tokens
from openlive.testing.scripted import ScriptedLLM
from openlive.wire.client import ClientMessage
from openlive.wire.errors import (
    API_KEY_INVALID,
    Refusal,
    Status,
    quota_exceeded,
    server_booked,
    server_busy,
    server_full,
)
from openlive.wire.json import parse
from openlive.wire.setup import Setup
from tests.raw import TEXT, client, text
from tests.serving import SECONDS, Scripted, Server, serving, trust

pytestmark = pytest.mark.anyio

ANNA, BEN = Principal("anna"), Principal("ben")
SECRET = "k-anna-0123456789"
HER_KEY = Key("anna", SECRET)
BAD_KEY = (1007, "API key not valid. Please pass a valid API key.")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# --- places -----------------------------------------------------------------------------------------------------------


def test_without_limits_there_is_always_a_place() -> None:
    places = Places(0)
    assert all(places.take(ANNA, (0, 0)) is None for _ in range(1000))
    assert len(places) == 1000


def test_sessions_at_once_by_key() -> None:
    places = Places(0)
    assert places.take(ANNA, (2, 0)) is places.take(ANNA, (2, 0)) is None
    assert places.take(ANNA, (2, 0)) == quota_exceeded("sessions at once with this key: 2.")
    assert places.take(BEN, (2, 0)) is None
    places.leave(ANNA)
    assert places.take(ANNA, (2, 0)) is None
    assert len(places) == 3


def test_sessions_at_once_in_all() -> None:
    places = Places(2)
    assert places.take(ANNA, (0, 0)) is places.take(BEN, (0, 0)) is None
    assert places.take(BEN, (0, 0)) == server_full(2)
    places.leave(ANNA)
    assert places.take(BEN, (0, 0)) is None


def test_whoever_comes_back_finds_a_place_beside_the_connection_that_is_still_counted() -> None:
    places = Places(2)
    for limits in ((0, 0), (2, 1)):
        assert places.take(ANNA, limits, resumes=True) is None
    assert places.take(ANNA, (2, 1)) == server_full(2)
    assert places.take(ANNA, (2, 1), resumes=True) is places.take(ANNA, (2, 1), resumes=True) is None
    assert places.take(ANNA, (2, 1), resumes=True) is not None, "there is an end to it"


def test_new_sessions_within_a_minute() -> None:
    clock = Clock()
    places = Places(0, clock=clock)
    for at in (0.0, 10.0):
        clock.now = at
        assert places.take(ANNA, (0, 2)) is None
        places.leave(ANNA)
    refused = places.take(ANNA, (0, 2))
    assert refused == quota_exceeded("new sessions a minute with this key: 2.")
    assert places.take(ANNA, (0, 2), resumes=True) is None
    assert places.take(BEN, (0, 2)) is None
    clock.now = MINUTE - 0.001
    assert places.take(ANNA, (0, 2)) == refused
    clock.now = MINUTE
    assert places.take(ANNA, (0, 2)) is None
    assert places.take(ANNA, (0, 2)) == refused


def test_a_refusal_for_lack_of_room_counts_as_no_new_session() -> None:
    places = Places(0)
    assert places.take(ANNA, (1, 2)) is None
    assert all(places.take(ANNA, (1, 2)) is not None for _ in range(9))
    places.leave(ANNA)
    assert places.take(ANNA, (1, 2)) is None


def test_nobody_new_while_an_answer_waits_too_long() -> None:
    clock = Clock()
    waits = Waits(clock=clock)
    places = Places(0, waits, 30.0)
    first = waits.begin("a")
    clock.now = 20.0
    waits.begin("b")
    assert places.take(ANNA, (0, 0)) is None
    clock.now = 31.0
    assert places.take(ANNA, (0, 0)) == server_busy(31)
    assert places.take(ANNA, (0, 0), resumes=True) is None, "who is in stays in"
    waits.end(first)
    waits.end(first)
    assert waits.longest == 11.0
    assert places.take(ANNA, (0, 0)) is None


def test_refusals_are_clear_and_fit() -> None:
    for refusal in (
        server_full(100_000),
        server_busy(100_000),
        server_booked(100_000),
        quota_exceeded("new sessions a minute with this key: 100000."),
    ):
        assert (refusal.code, refusal.status) == (1011, Status.RESOURCE_EXHAUSTED)
        assert len(refusal.reason.encode()) <= 123


# --- keys with limits -------------------------------------------------------------------------------------------------


def test_limits_of_keys_in_text() -> None:
    keys = parse_keys("anna:k1 sessions=4 sessions_per_minute=10\nk2\tsessions=1, ben:k3", "keys")
    assert keys == (Key("anna", "k1", 4, 10), Key("key-2", "k2", 1), Key("ben", "k3"))
    ring = Keyring(keys)
    assert [ring.limits(Principal(name)) for name in ("anna", "key-2", "ben", "gone")] == [
        (4, 10),
        (1, 0),
        (0, 0),
        (0, 0),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a:s3cret session=1", "behind a key come"),
        ("a:s3cret sessions=-1", "behind a key come"),
        ("a:s3cret sessions", "behind a key come"),
        ("a:s3cret other s3cret", "behind a key come"),
        ("a:auth_tokens/s3cret", "begins with auth_tokens/"),
    ],
)
def test_limits_that_cannot_be_read(line: str, message: str) -> None:
    with pytest.raises(KeysError) as caught:
        parse_keys(line, "keys")
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


@contextmanager
def limited(sessions: int = 0, anna: Key = HER_KEY) -> Iterator[Server]:
    server = ServerSettings(keys=(anna, Key("ben", "k-ben")))
    with serving(server=server, limits=LimitSettings(sessions=sessions)) as running:
        yield running


HERS: dict[str, Any] = {"headers": {"x-goog-api-key": SECRET}}
HIS: dict[str, Any] = {"headers": {"x-goog-api-key": "k-ben"}}


async def refused(server: Server, who: dict[str, Any], setup: dict[str, Any] = TEXT) -> tuple[int, str]:
    async with client(server, **who) as late:
        await late.say({"setup": setup})
        return await late.closed()


async def test_a_key_with_a_limit_on_sessions_at_once() -> None:
    with limited(anna=Key("anna", SECRET, sessions=1)) as server:
        async with client(server, TEXT, **HERS) as first:
            told = await refused(server, HERS)
            assert told == (1011, "You exceeded your current quota, sessions at once with this key: 1.")
            async with client(server, TEXT, **HIS):
                await first.ask("hello")
                assert text(await first.turn()) == "You said: hello"
        async with client(server, TEXT, **HERS):
            pass


async def test_a_key_with_a_limit_on_new_sessions() -> None:
    with limited(anna=Key("anna", SECRET, sessions_per_minute=2)) as server:
        for _ in range(2):
            async with client(server, TEXT, **HERS):
                pass
        assert (await refused(server, HERS, {"model": "models/none"}))[0] == 1008, "no session, so nothing to count"
        code, reason = await refused(server, HERS)
        assert (code, reason.partition(",")[0]) == (1011, "You exceeded your current quota")
        async with client(server, TEXT, **HIS):
            pass


async def test_a_full_server() -> None:
    with limited(2) as server:
        async with client(server, TEXT, **HERS), client(server, TEXT, **HIS):
            code, reason = await refused(server, HIS)
            assert (code, reason) == (1011, server_full(2).reason)


async def test_a_server_whose_answers_wait() -> None:
    scripted = Scripted(llm=ScriptedLLM(delay=3600))
    with serving(scripted.engines, limits=LimitSettings(wait_seconds=0.2)) as server:
        async with client(server, TEXT) as first:
            await first.ask("hello")
            await anyio.sleep(0.3)
            code, reason = await refused(server, {})
            assert code == 1011
            assert reason in {server_busy(seconds).reason for seconds in range(round(SECONDS))}
        async with client(server, TEXT):
            pass  # nobody waits any more


async def test_too_many_tokens_are_refused_with_429() -> None:
    with limited(anna=Key("anna", SECRET, sessions_per_minute=2)) as server:
        async with httpx.AsyncClient(base_url=server.url, verify=trust(), headers=HERS["headers"]) as web:
            answers = [await web.post("/v1alpha/auth_tokens", json={}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].json()["error"]["status"] == "RESOURCE_EXHAUSTED"


# --- keys that change -------------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    """Written so that its time tells, however fast a test is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


def names(ring: Keyring) -> list[str]:
    ring.refresh()
    return sorted(name for name in ("anna", "ben", "carl") if ring.named(name) is not None)


def test_a_keyring_follows_its_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toml, keys = tmp_path / "my.toml", tmp_path / "keys"
    write(keys, "anna:k1\n")
    write(toml, "[server]\nkeys = [{ name = 'ben', key = 'k2' }]\nkey_file = 'keys'\n")
    ring = build_keyring(load_config(toml, {}), toml, {})
    assert names(ring) == ["anna", "ben"]
    write(keys, "carl:k3\n")
    assert names(ring) == ["ben", "carl"]
    assert ring.admit([Credential("k1", "key")]) == API_KEY_INVALID
    assert ring.admit([Credential("k3", "key")]) == Principal("carl")
    write(toml, "[server]\nkeys = [{ name = 'ben', key = 'k2', sessions = 7 }]\n")
    assert names(ring) == ["ben"]
    assert ring.limits(BEN) == (7, 0)
    assert not caplog.messages or "s3cret" not in caplog.text


def test_keys_that_cannot_be_read_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toml, keys = tmp_path / "my.toml", tmp_path / "keys"
    write(keys, "anna:s3cret\n")
    write(toml, "[server]\nkey_file = 'keys'\n")
    ring = build_keyring(load_config(toml, {}), toml, {})
    for broken in ("anna:s3cret\nanna:s3cret2\n", "# none\n", "s3cret:"):
        write(keys, broken)
        assert names(ring) == names(ring) == ["anna"]
        assert len(caplog.records) == 1, "once, not for each client"
        assert "s3cret" not in caplog.text
        caplog.clear()
    keys.unlink()
    assert names(ring) == ["anna"]
    write(toml, "[server")
    assert names(ring) == ["anna"]
    write(toml, "[server]\nkeys = [{ name = 'ben', key = 'k2' }]\n")
    assert names(ring) == ["ben"]


def test_what_had_keys_never_opens_to_everybody(tmp_path: Path) -> None:
    toml = tmp_path / "my.toml"
    write(toml, "[server]\nkeys = [{ name = 'anna', key = 'k1' }]\n")
    ring = build_keyring(load_config(toml, {}), toml, {})
    write(toml, "")
    ring.refresh()
    assert ring
    assert isinstance(ring.admit([Credential("k1", "key")]), Refusal)
    assert isinstance(ring.admit([]), Refusal)
    assert ring.named("local") is None


def test_a_server_without_keys_may_get_some(tmp_path: Path) -> None:
    toml = tmp_path / "my.toml"
    write(toml, "")
    ring = build_keyring(load_config(toml, {}), toml, {})
    assert not ring
    write(toml, "[server]\nkeys = [{ name = 'anna', key = 'k1' }]\n")
    ring.refresh()
    assert ring
    assert ring.admit([Credential("any", "key")]) == API_KEY_INVALID


def test_keys_without_a_file_do_not_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    ring = build_keyring(Config(), environ={})
    ring.refresh()
    assert not ring


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    keys, reads = tmp_path / "keys", 0
    write(keys, "x")

    def reread() -> Reread:
        nonlocal reads
        reads += 1
        return Reread([Key("anna", "k1")], [keys])

    ring = Keyring([], [keys], reread)
    for _ in range(5):
        ring.refresh()
    assert reads == 1


async def test_a_removed_key_begins_no_session_and_those_that_run_go_on(tmp_path: Path) -> None:
    toml = tmp_path / "my.toml"
    both = f"[server]\nkeys = [{{ name = 'anna', key = '{SECRET}' }}, {{ name = 'ben', key = 'k-ben' }}]\n"
    write(toml, both)
    config = load_config(toml, {})
    with serving(config=config, server=config.server, keys=build_keyring(config, toml, {})) as server:
        async with (
            httpx.AsyncClient(base_url=server.url, verify=trust(), headers=HERS["headers"]) as web,
            client(server, TEXT, **HERS) as running,
        ):
            token = (await web.post("/v1alpha/auth_tokens", json={"uses": 0})).json()["name"]
            write(toml, "[server]\nkeys = [{ name = 'ben', key = 'k-ben' }]\n")
            assert await refused(server, HERS) == BAD_KEY
            path = "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"
            with_token: dict[str, Any] = {"path": f"{path}?access_token={token}", "headers": {"x-goog-api-key": ""}}
            assert await refused(server, with_token) == (1007, "API key expired. Please renew the API key.")
            assert (await web.get("/v1beta/models")).status_code == 400
            await running.ask("still there?")
            assert text(await running.turn()) == "You said: still there?"
            async with client(server, TEXT, **HIS):
                pass
            write(toml, both)
            async with client(server, TEXT, **HERS):
                pass


async def test_a_setup_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was worked out by the admission and by the core; of many functions that takes a while."""
    worked: list[Setup] = []

    def counted(setup: Setup, *arguments: Any, **options: Any) -> SessionSettings:
        worked.append(setup)
        return settings_from_setup(setup, *arguments, **options)

    monkeypatch.setattr("openlive.server.admission.settings_from_setup", counted)
    monkeypatch.setattr("openlive.core.session.settings_from_setup", counted)
    profiles = {"m": ModelProfile("m")}
    setup = parse(Setup, {"model": "models/m", "tools": [{"functionDeclarations": [{"name": "f"}]}]})
    admission = Admission(Keyring(), Tokens(MemoryStore()), profiles, Places(0))
    opened = await Visit(admission, Door("v1beta"), ()).enter(setup)
    session = Session(profiles)
    session.handle(opened, 0.0)
    commands = session.handle(MessageReceived(ClientMessage(setup=setup)), 0.0)
    assert any(isinstance(c, Send) and c.message.setup_complete is not None for c in commands)
    assert len(worked) == 1
