"""What surrounds a session: certificates, addresses, profiles, the waterfall, requests without a socket."""

from __future__ import annotations

import asyncio
import ssl
import threading
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from msgspec.structs import replace

from openlive.config.keys import Key, KeysError
from openlive.config.model import Config, ServerSettings, ToolSettings
from openlive.server.app import profiles
from openlive.server.net import tls
from openlive.server.paths import door
from openlive.server.run import Running, run
from openlive.wire.setup import Modality
from tests.raw import TALK, TEXT, client, text
from tests.serving import SECONDS, Scripted, Server, serving, silence, tone, trust

KEY = "the-right-key-0123456789"


@pytest.mark.parametrize(
    ("path", "version", "method"),
    [
        ("/ws/google.ai.generativelanguage.v1.GenerativeService.BidiGenerateContent", "v1", "BidiGenerateContent"),
        ("//ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", "v1beta", None),
        ("/ws//google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContent/", "v1alpha", None),
        ("///ws///google.ai.generativelanguage.v1.GenerativeService.BidiGenerateMusic//", "v1", "BidiGenerateMusic"),
        ("/ws/google.ai.generativelanguage.v2.GenerativeService.BidiGenerateContent", None, None),
        ("/google.ai.generativelanguage.v1.GenerativeService.BidiGenerateContent", None, None),
        ("/ws/google.ai.generativelanguage.v1.GenerativeService.Bidi/Generate", None, None),
    ],
)
def test_paths(path: str, version: str | None, method: str | None) -> None:
    found = door(path)
    assert (found and found.version) == version
    assert method is None or (found and found.method) == method


def test_every_name_and_alias_has_its_profile() -> None:
    found = profiles(Config(), Scripted().engines)
    for name, settings in Config().models.items():
        for alias in (name, *settings.aliases):
            assert found[alias].name == alias
            assert found[alias].default_modality is Modality[settings.modalities[0]]


def get(server: Server, path: str, headers: dict[str, str] | None = None, *, secure: bool = True) -> httpx.Response:
    base = f"{'https' if secure else 'http'}://localhost:{server.port}"
    with httpx.Client(verify=trust() if secure else ssl.create_default_context(), trust_env=False) as http:
        return http.get(base + path, headers=headers, timeout=SECONDS)


def through(work: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SECONDS):
            await work

    asyncio.run(bounded())


@pytest.mark.parametrize("secure", [True, False])
def test_health(secure: bool) -> None:
    with serving() as server:
        assert get(server, "/healthz", secure=secure).text == "ok\n"
        assert get(server, "/nothing", secure=secure).status_code == 404


def test_the_waterfall_of_a_turn() -> None:
    async def talk(server: Server) -> str:
        async with client(server, TALK) as raw:
            await raw.speak(tone(0.5) + silence(1))
            await raw.turn()
            await raw.ask("hello")
            await raw.turn()
            return raw.session

    with serving() as server:
        session = ""

        async def both() -> None:
            nonlocal session
            session = await talk(server)
            await talk(server)

        through(both())
        table = get(server, "/openlive/turns", secure=True).json()["turns"]
        own = get(server, f"/openlive/turns?session={session}").json()["turns"]
        assert len(table) == 4
        assert [row["session"] for row in own] == [session] * 2
        spoken, written = own
        times = list(spoken["ms"].values())
        assert list(spoken["ms"]) == [
            *("speech_end", "decision", "transcript", "first_token", "first_audio", "first_byte"),
        ]
        assert times[0] == 0
        assert spoken["ms"]["first_token"] <= spoken["ms"]["first_audio"] <= spoken["ms"]["first_byte"]
        assert list(written["ms"]) == ["first_token", "first_audio", "first_byte"]
        assert "hello" not in str(table)


def test_the_waterfall_is_for_those_with_a_key() -> None:
    with serving(server=ServerSettings(keys=(Key("me", KEY),))) as server:
        assert get(server, "/openlive/turns").status_code == 403
        wrong = get(server, "/openlive/turns", {"x-goog-api-key": "wrong"})
        assert wrong.status_code == 400
        assert wrong.json()["error"]["message"] == "API key not valid. Please pass a valid API key."
        assert get(server, f"/openlive/turns?key={KEY}").json() == {"turns": []}
        assert get(server, "/healthz", {"Host": "example.com"}).status_code == 200


def test_a_key_sees_its_own_turns_and_an_admin_all() -> None:
    keys = (Key("anna", "a" * 16), Key("bert", "b" * 16), Key("ops", KEY))
    with serving(server=ServerSettings(keys=keys, admin_keys=("ops",))) as server:
        sessions: dict[str, str] = {}

        async def both() -> None:
            for key in keys[:2]:
                async with client(server, TEXT, headers={"x-goog-api-key": key.key}) as raw:
                    sessions[key.name] = raw.session
                    await raw.ask("Hello")
                    await raw.turn()

        asyncio.run(both())

        def seen(key: str, query: str = "") -> list[tuple[str, str]]:
            rows = get(server, f"/openlive/turns?key={key}{query}").json()["turns"]
            return [(row["key"], row["session"]) for row in rows]

        every = list(sessions.items())
        assert seen("a" * 16) == every[:1]
        assert seen("b" * 16) == every[1:]
        assert seen("b" * 16, f"&session={sessions['anna']}") == []
        assert seen(KEY) == every
        assert seen(KEY, f"&session={sessions['anna']}") == every[:1]
        refused = get(server, f"/metrics?key={'a' * 16}")
        assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
        assert "server.admin_keys" in refused.json()["error"]["message"]
        told = get(server, f"/metrics?key={KEY}").text
        assert 'openlive_sessions_ended_total{code="1000"} 2.0' in told
        assert not any(word in told for word in ("anna", "bert", "ops", *sessions.values()))


def test_without_keys_the_door_is_for_this_machine() -> None:
    with serving() as server:
        assert get(server, "/openlive/turns", {"Host": "example.com"}).status_code == 403
        assert get(server, "/openlive/turns", {"Origin": "https://example.com"}).status_code == 403
        assert get(server, "/openlive/turns", {"Origin": "http://localhost:3000"}).status_code == 200


# --- starting ---------------------------------------------------------------------------------------------------------


async def started(config: Config) -> Running:
    """Starts a server and stops it again as soon as it listens."""
    shutdown = anyio.Event()
    told: list[Running] = []

    def ready(running: Running) -> None:
        told.append(running)
        shutdown.set()

    async with asyncio.timeout(SECONDS):
        await run(config, Scripted().engines, shutdown=shutdown, ready=ready)
    return told[0]


def test_makes_certificates_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(tls, "default_folder", lambda: tmp_path / "tls")
    running = asyncio.run(started(Config(server=ServerSettings(port=0))))
    assert running.url == f"https://localhost:{running.port}"
    assert running.ca == tmp_path / "tls" / "ca.pem"
    assert running.bundle == tmp_path / "tls" / "bundle.pem"
    assert running.bundle.is_file()


def test_uses_the_operators_certificate(tmp_path: Path) -> None:
    own = tls.ensure((), tmp_path)
    running = asyncio.run(started(Config(server=ServerSettings(port=0, certificate=str(own.server)))))
    assert (running.ca, running.bundle) == (None, None)


def test_elsewhere_than_on_loopback_it_wants_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "default_folder", lambda: tmp_path)
    open_to_all = Config(server=ServerSettings(host="0.0.0.0", port=0))
    with pytest.raises(KeysError, match="without any key"):
        asyncio.run(started(open_to_all))
    assert not list(tmp_path.iterdir())
    locked = replace(open_to_all, server=replace(open_to_all.server, keys=(Key("me", KEY),)))
    assert asyncio.run(started(locked)).port


def test_starts_quickly() -> None:
    """The servers of these tests come and go in a moment, and leave no thread."""
    before = threading.active_count()
    clock = asyncio.new_event_loop()
    try:
        begun = clock.time()
        with serving() as server:
            assert clock.time() - begun < 1.0
            through(_one_turn(server))
    finally:
        clock.close()
    assert threading.active_count() == before


async def _one_turn(server: Server) -> None:
    async with client(server, TEXT) as raw:
        await raw.ask("hello")
        assert text(await raw.turn()) == "You said: hello"


@pytest.mark.parametrize("missing", ["accept", "refuse"])
def test_a_tool_that_is_not_here_is_left_out_or_refused(missing: Any, caplog: pytest.LogCaptureFixture) -> None:
    keys = (Key("anna", "a" * 16), Key("ops", KEY))
    setup = {**TEXT, "tools": [{"googleSearch": {}}]}
    config = Config(tools=ToolSettings(missing=missing))
    with serving(server=ServerSettings(keys=keys, admin_keys=("ops",)), config=config) as server:

        async def ask() -> str:
            async with client(server, headers={"x-goog-api-key": "a" * 16}) as raw:
                await raw.say({"setup": setup})
                if missing == "refuse":
                    return (await raw.closed())[1]
                await raw.hear()
                await raw.ask("Hello")
                return text(await raw.turn())

        told = asyncio.run(ask())
        assert ("tools[0].google_search" in told) == (missing == "refuse")
        status = get(server, f"/openlive?key={KEY}").json()
        assert get(server, f"/openlive?key={'a' * 16}").status_code == 403
    assert bool(status["warnings"]) == (missing == "accept")
    if missing == "accept":
        assert status["warnings"][0].startswith("1 sessions asked for google_search")
        assert "asks for google_search, which is not configured (tools.google_search)" in caplog.text
