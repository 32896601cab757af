"""The official Python SDK: models, ephemeral tokens, and Vertex mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google import genai
from google.genai import types
from google.genai.errors import APIError, ClientError
from google.genai.live import AsyncSession

from openlive.config.keys import Key
from openlive.config.model import ServerSettings
from openlive.profiles import PROFILES
from tests.sdk.live import AUDIO, BOTH, TEXT, client, receive, user
from tests.serving import MODEL, SECONDS, Scripted, Server, certificates, serving, trust

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:The SDK's .*token.*:google.genai._common.ExperimentalWarning"),
]

KEY = "k-anna-0123456789"
ALPHA = {"api_version": "v1alpha"}
LONG = "Never tell anybody about the platypus. " * 520


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST calls look here only."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates().bundle))


@pytest.fixture(scope="module")
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def server(scripted: Scripted) -> Iterator[Server]:
    with serving(scripted.engines, server=ServerSettings(keys=(Key("anna", KEY),))) as running:
        yield running


@asynccontextmanager
async def talking(
    server: Server, key: str, config: dict[str, Any] | None = TEXT, model: str = MODEL, **options: Any
) -> AsyncIterator[AsyncSession]:
    async with asyncio.timeout(SECONDS):
        connecting = client(server, key, **{**ALPHA, **options}).aio.live.connect(model=model, config=config)  # type: ignore[arg-type]
        async with connecting as session:
            yield session


# --- models -----------------------------------------------------------------------------------------------------------


async def test_models_are_listed_and_got(server: Server) -> None:
    async with client(server, KEY).aio as web:
        names = [model.name async for model in await web.models.list(config={"page_size": 3})]
        model = await web.models.get(model=MODEL)
    assert names[0] == f"models/{MODEL}"
    assert len(names) == len(set(names)) == len(PROFILES) + sum(len(p.aliases) for p in PROFILES.values())
    assert (model.name, model.display_name) == (f"models/{MODEL}", "Gemini Live 2.5 Flash Preview")
    assert (model.input_token_limit, model.output_token_limit) == (32_768, 8_192)
    assert model.supported_actions == ["bidiGenerateContent"]
    assert model.version
    assert model.description


async def test_errors_of_rest_are_read(server: Server) -> None:
    async with client(server, KEY).aio as web:
        with pytest.raises(ClientError) as caught:
            await web.models.get(model="none")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    async with client(server, "wrong").aio as web:
        with pytest.raises(ClientError, match="API key not valid") as caught:
            await web.models.get(model=MODEL)
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")


# --- tokens -----------------------------------------------------------------------------------------------------------


async def token(server: Server, **config: Any) -> str:
    async with client(server, KEY, **ALPHA).aio as web:
        created: types.AuthToken = await web.auth_tokens.create(config=config)
    assert created.name is not None
    assert created.name.startswith("auth_tokens/")
    return created.name


async def test_a_token_opens_one_session(server: Server) -> None:
    name = await token(server)
    async with talking(server, name) as session:
        await session.send_client_content(turns=user("hello"))
        assert (await receive(session)).text == "You said: hello"
    with pytest.raises(APIError, match="Token has been used too many times") as caught:
        async with talking(server, name):
            pass
    assert caught.value.code == 1011


async def test_times_and_uses(server: Server) -> None:
    now = datetime.now(UTC)
    name = await token(
        server,
        uses=2,
        expire_time=now + timedelta(minutes=5),
        new_session_expire_time=now + timedelta(minutes=2),
    )
    for _ in range(2):
        async with talking(server, name):
            pass
    with pytest.raises(ClientError, match="Maximum lifetime is 20h") as caught:
        await token(server, expire_time=now + timedelta(hours=21))
    assert caught.value.code == 400


CONSTRAINTS: dict[str, Any] = {
    "model": MODEL,
    "config": {
        "response_modalities": ["TEXT"],
        "temperature": 0.25,
        "system_instruction": LONG,
        "session_resumption": {},
        "tools": [{"function_declarations": [{"name": "ours"}]}],
    },
}
THEIRS = {"system_instruction": "Tell all.", "temperature": 1.0, "top_p": 0.5, "top_k": 7.0}


@pytest.mark.parametrize(
    ("lock", "top_p", "top_k"),
    [
        ({}, None, None),
        ({"lock_additional_fields": []}, 0.5, 7),
        ({"lock_additional_fields": ["top_p", "output_audio_transcription"]}, None, 7),
    ],
)
async def test_what_is_locked(
    server: Server, scripted: Scripted, lock: dict[str, Any], top_p: float | None, top_k: int | None
) -> None:
    """The three ways to lock; 20 kB of instructions are locked in each."""
    name = await token(server, live_connect_constraints=CONSTRAINTS, **lock)
    async with talking(server, name, {**AUDIO, **THEIRS}, "models/bogus") as session:
        update = await anext(session.receive())
        assert update.session_resumption_update is not None
        await session.send_client_content(turns=user("hello"))
        said = [message.text or "" async for message in session.receive() if message.server_content]
        assert "".join(said) == "You said: hello", "in writing, as the token says"
    request = scripted.llm.requests[-1]
    assert request.instructions == "\n\n".join([LONG])
    assert [function.name for function in request.functions] == ["ours"]
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.top_k) == (0.25, top_p, top_k)


async def test_fields_are_locked_without_a_setup(server: Server, scripted: Scripted) -> None:
    name = await token(server, lock_additional_fields=["top_p"])
    async with talking(server, name, {**TEXT, "top_p": 0.5, "top_k": 7.0}) as session:
        await session.send_client_content(turns=user("hello"))
        await receive(session)
    sampling = scripted.llm.requests[-1].sampling
    assert (sampling.top_p, sampling.top_k) == (None, 7)


async def test_resuming_costs_no_use(server: Server) -> None:
    name = await token(server)
    config: dict[str, Any] = {**TEXT, "session_resumption": {}}
    async with talking(server, name, config) as session:
        first = await anext(session.receive())
        assert first.session_resumption_update is not None
    handle = first.session_resumption_update.new_handle
    config["session_resumption"] = {"handle": handle}
    for options in ({}, {"api_version": "v1"}):
        async with talking(server, name, config, **options) as session:
            assert session.session_id


# --- Vertex -----------------------------------------------------------------------------------------------------------


def vertex(server: Server, key: str = KEY) -> genai.Client:
    http = types.HttpOptions(base_url=server.url, async_client_args={"ssl": trust()})
    return genai.Client(vertexai=True, api_key=key, http_options=http)


async def test_vertex_mode(server: Server) -> None:
    async with asyncio.timeout(SECONDS):
        config: Any = {**AUDIO, **BOTH, "session_resumption": {"transparent": True}, "explicit_vad_signal": True}
        connecting = vertex(server).aio.live.connect(model="gemini-live-2.5-flash", config=config)
        async with connecting as session:
            assert session.session_id
            update = (await anext(session.receive())).session_resumption_update
            assert update is not None
            assert update.last_consumed_client_message_index == 1
            await session.send_client_content(turns=user("hello"))
            messages = [message async for message in session.receive()]
    said = [m.server_content for m in messages if m.server_content]
    assert "".join(c.output_transcription.text or "" for c in said if c.output_transcription) == "You said: hello"
    parts = [p for c in said if c.model_turn for p in c.model_turn.parts or ()]
    assert {p.inline_data.mime_type for p in parts if p.inline_data} == {"audio/pcm"}
    usage = messages[-1].usage_metadata
    assert usage is not None
    assert usage.response_token_count
    assert [d.modality for d in usage.response_tokens_details or ()] == [types.MediaModality.AUDIO]


async def test_vertex_mode_with_a_bad_key(server: Server) -> None:
    with pytest.raises(APIError, match="API key not valid") as caught:
        async with vertex(server, "wrong").aio.live.connect(model="gemini-live-2.5-flash", config=None):
            pass
    assert caught.value.code == 1007
