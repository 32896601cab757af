"""Sessions that outlive their connections, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest
from msgspec.structs import replace

from openlive.config.keys import Key
from openlive.config.model import Config, ServerSettings, StoreSettings
from openlive.core.commands import SaveState
from openlive.core.events import Event
from openlive.core.memory.snapshot import Snapshot
from openlive.server import session_registry
from openlive.server.store import StoreError
from openlive.server.store.memory import MemoryStore
from openlive.testing.scripted import ScriptedLLM, ScriptedTTS
from openlive.types import FunctionCall, FunctionResponse, Message, Request, Text
from tests.core.memory.test_resumption import TOOLS
from tests.core.memory.test_snapshot import EMPTY
from tests.raw import TALK, TEXT, Raw, client
from tests.serving import LIMITS, MODEL, Scripted, Server, serving, silence, trust

pytestmark = pytest.mark.anyio

VERTEX = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
TAKEN = (1008, "Session resumed on another connection.")
UNKNOWN = (1008, "Requested entity was not found.")


def resumable(setup: dict[str, Any] = TALK, handle: str | None = None, **more: Any) -> dict[str, Any]:
    return {**setup, "sessionResumption": {**({"handle": handle} if handle else {}), **more}}


async def until(raw: Raw, name: str) -> dict[str, Any]:
    """Hears on until a message, or a content, of that name."""
    while True:
        message = await raw.hear()
        content = message.get("serverContent", {})
        if name in message or name in content:
            found: dict[str, Any] = message.get(name, message)
            return found


async def handle(raw: Raw) -> str:
    """The next one that the server gives."""
    update = await until(raw, "sessionResumptionUpdate")
    assert update["resumable"] is True
    assert len(update["newHandle"]) == 36
    return str(update["newHandle"])


async def answered(raw: Raw, question: str) -> str:
    """Asks, and waits for the end of the turn and its handle."""
    await raw.ask(question)
    await until(raw, "turnComplete")
    return await handle(raw)


def said(request: Request) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in request.messages]


def slow() -> Scripted:
    """Says ten words in four seconds."""
    return Scripted(llm=ScriptedLLM(replies=("one two three four five six seven.",)), tts=ScriptedTTS(character=0.1))


def stored_in(path: Path) -> Config:
    return Config(store=StoreSettings(location=f"sqlite:{path}"))


def heard(server: Server, session: int = 0) -> str:
    """What of the answer in progress was played so far."""
    dialogue = server.sessions[session]._dialogue
    assert dialogue is not None
    reply = dialogue._reply
    return "" if reply is None else reply.played_text(anyio.current_time())


# --- coming back ------------------------------------------------------------------------------------------------------


async def test_after_the_client_vanished_in_mid_answer() -> None:
    scripted = slow()
    with serving(scripted.engines) as server:
        async with client(server, resumable()) as raw:
            session = raw.session
            key = await handle(raw)
            await raw.ask("Count.")
            assert await server.comes_to(lambda: heard(server).endswith("three"))
            raw.ws.transport.abort()
        async with client(server, resumable(handle=key)) as raw:
            assert raw.session == session
            assert await handle(raw) != key
            await raw.ask("Go on.")
            await until(raw, "modelTurn")
            user, model, question = said(scripted.llm.requests[-1])
            assert (user, question) == (("user", "Count."), ("user", "Go on."))
            assert model[0] == "model"
            assert model[1].startswith("one two three")
            assert "seven" not in model[1], "only what was heard is remembered"
            assert scripted.llm.requests[-1].conversation == session
            assert scripted.llm.forgotten == [], "the engine's cache survives"


async def test_after_an_orderly_end_any_handle_of_the_session_will_do() -> None:
    scripted = Scripted()
    with serving(scripted.engines) as server:
        keys = []
        async with client(server, resumable(TEXT)) as raw:
            keys.append(await handle(raw))
            keys.append(await answered(raw, "I am Anna."))
        for i, key in enumerate(keys):
            async with client(server, resumable(TEXT, key)) as raw:
                await answered(raw, f"Who am I? {i}")
        texts = [text for _, text in said(scripted.llm.requests[-1])]
        assert texts[::2] == ["I am Anna.", "Who am I? 0", "Who am I? 1"], "the latest state, whichever it is"


async def test_while_the_old_socket_lives() -> None:
    scripted = slow()
    with serving(scripted.engines) as server:
        async with client(server, resumable()) as old:
            key = await handle(old)
            await old.ask("Count.")
            assert await server.comes_to(lambda: heard(server).endswith("two"))
            async with client(server, resumable(handle=key)) as new:
                assert await old.closed() == TAKEN
                await new.ask("Go on.")
                await until(new, "modelTurn")
                roles = [role for role, _ in said(scripted.llm.requests[-1])]
                assert roles == ["user", "model", "user"]


async def test_while_the_old_socket_is_frozen() -> None:
    """Its client takes nothing, and megabytes wait for it: nobody waits for that."""
    scripted = Scripted(llm=ScriptedLLM(replies=("word " * 60,)), tts=ScriptedTTS(character=1.0))
    with serving(scripted.engines, fails=["takes nothing"]) as server:
        async with client(server, resumable(), max_size=None) as old:
            key = await handle(old)
            await old.ask("Talk.")
            await until(old, "modelTurn")
            old.ws.transport.pause_reading()
            with anyio.fail_after(5):
                async with client(server, resumable(handle=key)) as new:
                    await handle(new)
            old.ws.transport.abort()


async def test_many_at_once_get_it_in_turn_and_one_keeps_it() -> None:
    scripted = Scripted()
    with serving(scripted.engines) as server:
        async with client(server, resumable(TEXT)) as raw:
            key = await answered(raw, "I am Anna.")
        ends: list[tuple[int, str]] = []
        asked: list[str] = []

        async def resume(number: int) -> None:
            async with client(server) as raw:
                await raw.say({"setup": resumable(TEXT, key)})
                ends.append(await raw.closed())

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(resume, number)
            assert await server.comes_to(lambda: len(ends) == 7)
            assert ends == [TAKEN] * 7
            async with client(server, resumable(TEXT, key)) as raw:
                asked.append(await answered(raw, "Who am I?"))
        assert ends == [TAKEN] * 8
        assert [text for _, text in said(scripted.llm.requests[-1])][::2] == ["I am Anna.", "Who am I?"]


async def test_after_a_restart(tmp_path: Path) -> None:
    scripted = Scripted()
    with serving(scripted.engines, config=stored_in(tmp_path / "s.db")) as server:
        async with client(server, resumable(TEXT)) as raw:
            session = raw.session
            key = await answered(raw, "I am Anna.")
    with serving(scripted.engines, config=stored_in(tmp_path / "s.db")) as server:
        async with client(server, resumable(TEXT, key)) as raw:
            assert raw.session == session
            await answered(raw, "Who am I?")
    assert said(scripted.llm.requests[-1])[0] == ("user", "I am Anna.")


async def test_on_another_server_of_the_same_file(tmp_path: Path) -> None:
    """The one that lost the session finds out when it wants to store it, and does not overwrite it."""
    scripted = Scripted()
    config = stored_in(tmp_path / "s.db")
    with serving(scripted.engines, config=config) as first, serving(scripted.engines, config=config) as second:
        async with client(first, resumable(TEXT)) as old:
            key = await answered(old, "I am Anna.")
            async with client(second, resumable(TEXT, key)) as new:
                key = await answered(new, "And I am Ben.")
                await old.ask("Lost words.")
                assert await old.closed() == TAKEN
        async with client(second, resumable(TEXT, key)) as raw:
            await answered(raw, "Who am I?")
    texts = [text for role, text in said(scripted.llm.requests[-1]) if role == "user"]
    assert texts == ["I am Anna.", "And I am Ben.", "Who am I?"]


async def test_a_call_survives() -> None:
    scripted = Scripted(llm=ScriptedLLM(replies=('call:weather {"city": "Paris"}', "It is {}.")))
    setup = {**resumable(TEXT), "tools": TOOLS}
    with serving(scripted.engines) as server:
        async with client(server, setup) as raw:
            await handle(raw)
            await raw.ask("Weather?")
            [call] = (await until(raw, "toolCall"))["functionCalls"]
            key = await handle(raw)
            raw.ws.transport.abort()
        async with client(server, {**resumable(TEXT, key), "tools": TOOLS}) as raw:
            await handle(raw)
            response = {"id": call["id"], "name": "weather", "response": {"sky": "blue"}}
            await raw.say({"toolResponse": {"functionResponses": [response]}})
            done = await until(raw, "turnComplete")
            assert done["usageMetadata"]["promptTokenCount"] > 0
    parts = [part for m in scripted.llm.requests[-1].messages for part in m.parts]
    assert parts[-1] == FunctionResponse(call["id"], "weather", {"sky": "blue"})


async def test_transparent_resumption_counts_messages(tmp_path: Path) -> None:
    scripted = Scripted()
    with serving(scripted.engines) as server:
        model = f"projects/p/locations/l/publishers/google/models/{MODEL}"
        setup = resumable({**TEXT, "model": model}, transparent=True)
        async with client(server, path=VERTEX) as raw:
            await raw.say({"setup": setup})
            await until(raw, "setupComplete")
            update = await until(raw, "sessionResumptionUpdate")
            assert update["lastConsumedClientMessageIndex"] == "1"
            await raw.speak(silence(0.1))
            await raw.say({"realtimeInput": {}})
            await raw.say({"realtimeInput": {"audio": {"data": "", "mimeType": "audio/pcm"}, "audioStreamEnd": True}})
            await raw.ask("Hello")
            update = await until(raw, "sessionResumptionUpdate")
            assert update["lastConsumedClientMessageIndex"] == "5"


# --- handles that lead nowhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["x", "8f2b0f7e-1d2c-4a3b-9c4d-5e6f708192a3", "../../etc/passwd", "%" * 36])
async def test_an_unknown_handle(wrong: str) -> None:
    with serving() as server:
        async with client(server) as raw:
            await raw.say({"setup": resumable(TEXT, wrong)})
            assert await raw.closed() == UNKNOWN


async def test_a_handle_in_the_hands_of_another() -> None:
    keys = ServerSettings(port=0, keys=(Key("anna", "a" * 20), Key("ben", "b" * 20)))
    scripted = Scripted()
    with serving(scripted.engines, server=keys) as server:
        headers = [{"x-goog-api-key": letter * 20} for letter in "ab"]
        async with client(server, resumable(TEXT), headers=headers[0]) as raw:
            key = await answered(raw, "I am Anna.")
            async with client(server, headers=headers[1]) as other:
                await other.say({"setup": resumable(TEXT, key)})
                assert await other.closed() == UNKNOWN
            await answered(raw, "Nobody disturbs me.")
        async with client(server, resumable(TEXT, key), headers=headers[0]) as raw:
            await handle(raw)


async def test_an_expired_handle() -> None:
    scripted = Scripted()
    config = Config(store=StoreSettings(resumption_seconds=0.2))
    with serving(scripted.engines, config=config) as server:
        async with client(server, resumable(TEXT)) as raw:
            session = raw.session
            key = await answered(raw, "I am Anna.")
            await anyio.sleep(0.5)  # while it is connected it does not expire
            async with client(server, resumable(TEXT, key)) as again:
                await handle(again)
        assert await server.comes_to(lambda: session in scripted.llm.forgotten), "then its cache may go"
        async with client(server) as raw:
            await raw.say({"setup": resumable(TEXT, key)})
            assert await raw.closed() == UNKNOWN


async def test_what_another_version_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        idle = server.tasks()
        async with client(server, resumable(TEXT)) as raw:
            key = await answered(raw, "I am Anna.")
        assert await server.comes_to(lambda: server.tasks_now() == idle), "its last state is stored"
        monkeypatch.setattr(session_registry, "VERSION", b"\xff")
        async with client(server) as raw:
            await raw.say({"setup": resumable(TEXT, key)})
            code, reason = await raw.closed()
            assert (code, reason) == (1008, session_registry.OTHER_VERSION.reason)


async def test_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(fails=["cannot be read"]) as server:
        idle = server.tasks()
        async with client(server, resumable(TEXT)) as raw:
            key = await answered(raw, "I am Anna.")
        assert await server.comes_to(lambda: server.tasks_now() == idle), "its last state is stored"
        monkeypatch.setattr(session_registry, "_decoder", msgspec.msgpack.Decoder(int))
        async with client(server) as raw:
            await raw.say({"setup": resumable(TEXT, key)})
            assert (await raw.closed())[0] == 1008


@pytest.mark.parametrize("location", ["memory", "sqlite"])
async def test_no_key_pushes_out_the_sessions_of_another(location: str, tmp_path: Path) -> None:
    """However much it stores: here tokens of fifty times what it may have."""
    where = f"sqlite:{tmp_path}/s.db" if location == "sqlite" else location
    config = Config(store=StoreSettings(location=where, total_bytes=300_000, key_bytes=100_000))
    keys = (Key("anna", "a" * 16), Key("bert", "b" * 16))
    with serving(config=config, server=ServerSettings(keys=keys)) as server:
        async with client(server, resumable(TEXT), headers={"x-goog-api-key": "b" * 16}) as raw:
            key, session = await answered(raw, "I am Bert."), raw.session
        setup = {**TEXT, "systemInstruction": {"parts": [{"text": "x" * 50_000}]}}
        async with httpx.AsyncClient(verify=trust(), base_url=server.url) as web:
            for _ in range(100):
                body = {"uses": 1, "bidiGenerateContentSetup": setup}
                made = await web.post(f"/v1alpha/auth_tokens?key={'a' * 16}", json=body)
                assert made.status_code == 200
        async with client(server, resumable(TEXT, key), headers={"x-goog-api-key": "b" * 16}) as raw:
            assert raw.session == session


async def test_a_large_state_is_stored_less_often_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_registry, "LARGE", 100)
    monkeypatch.setattr(session_registry, "RATE", 0.001)  # the next one would be stored in days
    store, told = MemoryStore(), list[Event]()
    sessions = session_registry.Live(store, lambda _: None)
    seat = sessions.enter("s", told.append)
    seat.principal = "me"

    async def held() -> float:
        value = await store.get(session_registry.NAMESPACE, seat.key)
        state = None if value is None else session_registry.decode(value)
        return state.age if isinstance(state, Snapshot) else -1

    async with anyio.create_task_group() as group:
        group.start_soon(seat.run)
        for age in range(1, 4):
            seat.save(
                SaveState(replace(EMPTY, age=age, messages=(Message("user", (Text("x" * 200),)),)), wants_handle=True)
            )
            await anyio.wait_all_tasks_blocked()
            assert await held() == 1
        assert len(told) == 1
        seat.close()
    assert await held() == 3
    assert len(told) == 2
    sessions.leave(seat)
    sessions.close()


async def test_of_sessions_without_a_connection_only_so_many_are_kept_in_engines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_registry, "PARTED", 2)
    forgotten: list[str] = []
    sessions = session_registry.Live(MemoryStore(), forgotten.append)
    for name in "abcd":
        seat = sessions.enter(name, lambda _: None)
        seat.principal, seat.stored = name, True
        sessions.leave(seat)
    assert forgotten == ["a", "b"]
    again = sessions.enter("c", lambda _: None)
    again.principal, again.stored = "c", True
    await sessions.claim(again.key, again)  # has a connection again
    sessions.part(again.key, again)
    sessions.leave(again)
    assert forgotten == ["a", "b"]
    sessions.close()


# --- the store fails --------------------------------------------------------------------------------------------------


async def test_a_store_that_fails_ends_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    with serving(fails=["could not be stored", "the store failed"]) as server:
        async with client(server, resumable(TEXT)) as raw:
            key = await handle(raw)
            monkeypatch.setattr("openlive.server.store.memory.MemoryStore.change", fail)
            await raw.ask("Hello")
            await until(raw, "turnComplete")
            await raw.ask("Hello")
            await until(raw, "turnComplete")
        async with client(server) as raw:
            await raw.say({"setup": resumable(TEXT, key)})
            assert await raw.closed() == (1011, "The service is currently unavailable.")


async def test_numbers_without_bounds_are_stored_too() -> None:
    """JSON has them, msgpack has not."""
    scripted = Scripted(llm=ScriptedLLM(replies=('call:weather {"n": 123456789012345678901234567890}',)))
    with serving(scripted.engines) as server:
        async with client(server, {**resumable(TEXT), "tools": TOOLS}) as raw:
            await handle(raw)
            await raw.ask("Weather?")
            [call] = (await until(raw, "toolCall"))["functionCalls"]
            key = await handle(raw)
        async with client(server, {**resumable(TEXT, key), "tools": TOOLS}) as raw:
            await raw.say({"toolResponse": {"functionResponses": [{"id": call["id"], "response": {}}]}})
            await handle(raw)
            await until(raw, "toolCall")
    made = [part for m in scripted.llm.requests[-1].messages for part in m.parts if isinstance(part, FunctionCall)]
    assert made[0].args == {"n": 123456789012345678901234567890}


# --- ends of connections ----------------------------------------------------------------------------------------------


async def test_the_handle_comes_before_the_goodbye() -> None:
    limits = replace(LIMITS, connection_seconds=1.0)
    with serving(limits=limits) as server:
        async with client(server, resumable(TEXT)) as raw:
            key = await handle(raw)
            assert float((await until(raw, "goAway"))["timeLeft"].rstrip("s")) <= 1.0
            assert await raw.closed() == (1011, "Deadline expired before operation could complete.")
        async with client(server, resumable(TEXT, key)) as raw:
            await answered(raw, "Hello again.")


async def test_sessions_that_cannot_be_resumed_are_forgotten_at_once() -> None:
    scripted = Scripted()
    with serving(scripted.engines) as server:
        async with client(server, TEXT) as raw:
            session = raw.session
            await raw.ask("Hello")
            await raw.turn()
        assert await server.comes_to(lambda: scripted.llm.forgotten == [session])


# --- how long it takes ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    return Config() if request.param == "memory" else stored_in(tmp_path / "s.db")


async def test_coming_back_takes_milliseconds(config: Config) -> None:
    """A conversation of a hundred thousand characters, taken over from a connection that is open."""
    loop = asyncio.get_running_loop()
    scripted = Scripted(llm=ScriptedLLM(replies=("word " * 200,)))
    with serving(scripted.engines, config=config) as server:
        async with client(server, resumable(TEXT)) as raw:
            await raw.ask("x" * 100_000, complete=False)
            key = await answered(raw, "Hello")
            begin = loop.time()
            async with client(server) as again:
                connected = loop.time()
                await again.say({"setup": resumable(TEXT, key)})
                await until(again, "setupComplete")
                resumed = loop.time()
                await handle(again)
                print(
                    f"\n{config.store.location[:6]}: connect {1e3 * (connected - begin):.1f} ms, "
                    f"take over {1e3 * (resumed - connected):.1f} ms, "
                    f"next handle {1e3 * (loop.time() - resumed):.1f} ms"
                )
        assert resumed - connected < 1
