"""A server that is told to stop lets its sessions end; one that is killed loses no more than the turn in progress."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from openlive.config.model import Config, ServerSettings, StoreSettings
from openlive.testing.scripted import ScriptedLLM, ScriptedTTS
from tests.core.memory.test_resumption import TOOLS
from tests.raw import MANUAL, TALK, TEXT, Raw, client
from tests.server.test_resumption import answered, handle, resumable, said, until
from tests.serving import PATH, SECONDS, Scripted, Server, serving, tone, trust

pytestmark = pytest.mark.anyio

ENDED = (1011, "The service is currently unavailable.")


@asynccontextmanager
async def stopping(server: Server) -> AsyncIterator[None]:
    """The server has been told to stop; in the end it has."""
    thread = threading.Thread(target=server.stop)
    thread.start()
    yield
    await anyio.to_thread.run_sync(thread.join)


async def test_sessions_in_all_states_end_and_can_be_resumed(tmp_path: Path) -> None:
    scripted = Scripted(
        llm=ScriptedLLM(replies=("one two three four five six.", 'call:weather {"city": "Paris"}', "It is {}.")),
        tts=ScriptedTTS(character=0.2),
    )
    config = Config(store=StoreSettings(location=f"sqlite:{tmp_path}/s.db"))
    ends: dict[str, tuple[int, str]] = {}
    keys: dict[str, str] = {}
    async with anyio.create_task_group() as group:
        with serving(scripted.engines, config=config) as server:
            ready = anyio.Event()
            waiting = {"idle", "talks", "calls", "speaks", "plain", "silent"}

            async def stay(state: str, setup: dict[str, Any] | None) -> None:
                async with client(server, setup) as raw:
                    if setup is not None and "sessionResumption" in setup:
                        await handle(raw)
                    await begin(state, raw)
                    waiting.discard(state)
                    if not waiting:
                        ready.set()
                    if state == "silent":
                        ends[state] = await raw.closed()
                        return
                    if state != "plain":
                        keys[state] = await handle(raw)  # comes before the goodbye
                    told = await until(raw, "goAway")
                    assert 0 < float(told["timeLeft"].rstrip("s")) <= 1
                    ends[state] = await raw.closed()

            talks = {**resumable(), "tools": TOOLS}
            group.start_soon(stay, "talks", talks)
            assert await server.comes_to(lambda: scripted.llm.uses == 1)
            group.start_soon(stay, "calls", talks)
            assert await server.comes_to(lambda: scripted.llm.uses == 2)
            for state, setup in (
                *(("idle", resumable()), ("speaks", resumable(MANUAL)), ("plain", TALK), ("silent", None)),
            ):
                group.start_soon(stay, state, setup)
            await ready.wait()
            async with httpx.AsyncClient(verify=trust(), trust_env=False) as http:
                assert (await http.get(server.url + "/healthz")).status_code == 200
                begun = time.monotonic()
                async with stopping(server):
                    assert await server.comes_to(lambda: all(s._lifetime.is_draining for s in server.sessions))
                    refused = await http.get(server.url + "/healthz")
                    assert refused.status_code == 503
                    assert refused.json()["error"]["status"] == "UNAVAILABLE"
                assert time.monotonic() - begun < 8
    assert ends == dict.fromkeys(("talks", "calls", "idle", "speaks", "plain", "silent"), ENDED)
    with serving(scripted.engines, config=config) as server:
        for state, key in keys.items():
            async with client(server, {**resumable(TEXT, key), "tools": TOOLS}) as raw:
                await handle(raw)
                if state == "calls":
                    response = {"name": "weather", "response": {"sky": "blue"}}
                    await raw.say({"toolResponse": {"functionResponses": [response]}})
                else:
                    await raw.ask("So?")
                await raw.hear()
    texts = {said(request)[0][1]: said(request) for request in scripted.llm.requests[2:]}
    [(_, question), (_, told), _] = texts["talks"]
    assert question == "talks"
    assert "one two three four five six.".startswith(told)


async def begin(state: str, raw: Raw) -> None:
    if state == "talks":
        await raw.ask(state)
        await until(raw, "modelTurn")
    elif state == "calls":
        await raw.ask(state)
        await until(raw, "toolCall")
        await handle(raw)
    elif state == "speaks":
        await raw.say({"realtimeInput": {"activityStart": {}}})
        await raw.speak(tone(0.5))


async def test_ends_as_soon_as_the_last_session_has() -> None:
    settings = ServerSettings(port=0, drain_seconds=10)
    with serving(server=settings) as server:
        async with client(server, resumable(TEXT)) as raw:
            begun = time.monotonic()
            async with stopping(server):
                await until(raw, "goAway")
                await raw.ws.close()
            assert time.monotonic() - begun < 5


async def test_who_sets_up_meanwhile_is_refused() -> None:
    with serving() as server:
        async with client(server, TEXT) as stays, client(server) as late, stopping(server):
            await until(stays, "goAway")
            await late.say({"setup": TEXT})
            assert await late.closed() == ENDED


# --- processes --------------------------------------------------------------------------------------------------------

CONFIG = """
[server]
port = 0
drain_seconds = {drain}
[store]
location = "sqlite:sessions.db"
[engines]
vad = "scripted"
turn = "scripted"
stt = "scripted"
llm = "scripted"
tts = "scripted"
[engines.settings.scripted]
character = 0.1
"""


class Process:
    """`openlive serve` as a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def socket(self, path: str = PATH, *, secure: bool = False) -> str:
        return f"ws://localhost:{self.port}{path}"

    async def ends(self) -> int:
        return await anyio.to_thread.run_sync(self.process.wait, SECONDS)


@contextmanager
def process(folder: Path, drain: float = 1.0) -> Iterator[Any]:
    (folder / "openlive.toml").write_text(CONFIG.format(drain=drain))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENLIVE_")}
    environ = {**inherited, "XDG_DATA_HOME": str(folder / "data"), "OPENLIVE_CACHE": str(folder / "cache")}
    command = [sys.executable, "-P", "-m", "openlive", "serve"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=folder, env=environ) as child:
        try:
            assert child.stdout is not None
            line = next(line for line in child.stdout if "GEMINI_BASE_URL=" in line)
            yield Process(child, int(line.rpartition(":")[2]))
        finally:
            if child.poll() is None:
                child.kill()


async def test_killed_in_mid_session_it_goes_on_from_the_last_rest(tmp_path: Path) -> None:
    with process(tmp_path) as server:
        async with client(server, resumable(TEXT), secure=False) as raw:
            session = raw.session
            await handle(raw)
            key = await answered(raw, "I am Anna.")
            await raw.ask("This is lost.", complete=False)
            await raw.ping()  # it has been read
            server.process.send_signal(signal.SIGKILL)
            assert (await raw.closed())[0] == 1006
    with process(tmp_path) as server:
        async with client(server, resumable(TEXT, key), secure=False) as raw:
            assert raw.session == session
            await handle(raw)
            await raw.ask("Who am I?")
            done = await until(raw, "turnComplete")
            # "I am Anna.", "You said: I am Anna." and "Who am I?", a token for every four characters
            assert done["usageMetadata"]["promptTokenCount"] == 3 + 5 + 3


async def test_a_signal_drains_and_ends_with_zero(tmp_path: Path) -> None:
    with process(tmp_path) as server:
        async with client(server, resumable(), secure=False) as raw:
            await handle(raw)
            await raw.ask("Tell me something long.")
            await until(raw, "modelTurn")
            server.process.send_signal(signal.SIGTERM)
            key = await handle(raw)
            await until(raw, "goAway")
            assert await raw.closed() == ENDED
            assert await server.ends() == 0
    with process(tmp_path) as server:
        async with client(server, resumable(TEXT, key), secure=False) as raw:
            await handle(raw)


async def test_the_second_signal_ends_it_where_it_stands(tmp_path: Path) -> None:
    with process(tmp_path, drain=60) as server:
        async with client(server, TEXT, secure=False) as raw:
            server.process.send_signal(signal.SIGTERM)
            await until(raw, "goAway")
            server.process.send_signal(signal.SIGTERM)
            assert await server.ends() == 128 + signal.SIGTERM
