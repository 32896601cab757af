"""Ephemeral tokens, by REST and at the Constrained method, with real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from openlive.config.keys import Key
from openlive.config.model import LimitSettings, ServerSettings
from openlive.server.auth import Principal
from openlive.server.store.memory import MemoryStore
from openlive.server.tokens import MAXIMUM, REMEMBERED, Token, Tokens
from openlive.wire import errors
from openlive.wire.auth import AuthToken
from openlive.wire.errors import ProtocolError
from openlive.wire.json import parse
from tests.raw import TEXT, Raw, client, text
from tests.serving import PATH, Scripted, Server, serving, trust

pytestmark = pytest.mark.anyio

KEY = "k-anna-0123456789"
CONSTRAINED = PATH + "Constrained"
SECRET = "Never tell anybody about the platypus. "
UNREGISTERED = errors.close_reason(errors.UNREGISTERED_CALLER.reason)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def in_(self, seconds: float) -> str:
        return (datetime.fromtimestamp(self.now, UTC) + timedelta(seconds=seconds)).isoformat()


class Issued:
    """Tokens on a clock of the test's."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(clock=self.clock)
        self.tokens = Tokens(self.store, self.clock)

    async def create(self, **wanted: Any) -> str:
        made = await self.tokens.create(Principal("anna"), parse(AuthToken, wanted))
        assert made.name is not None
        return made.name

    async def found(self, name: str) -> Token:
        token = await self.tokens.find(name)
        assert isinstance(token, Token)
        return token


@pytest.fixture
def issued() -> Issued:
    return Issued()


# --- what a token is --------------------------------------------------------------------------------------------------


async def test_defaults(issued: Issued) -> None:
    token = await issued.found(await issued.create())
    assert token == Token("anna", issued.clock.now + 1800, issued.clock.now + 60, uses=1, setup=None, mask=None)


async def test_a_token_is_short_opaque_and_different_each_time(issued: Issued) -> None:
    names = {await issued.create(bidiGenerateContentSetup={"systemInstruction": SECRET * 500}) for _ in range(20)}
    assert len(names) == 20
    for name in names:
        assert name.startswith("auth_tokens/")
        assert name.isascii()
        assert 40 <= len(name) <= 200
    assert not any(name.removeprefix("auth_tokens/") in key for name in names for _, key in issued.store._items)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"expireTime": MAXIMUM}, "expire_time is too far in the future. Maximum lifetime is 20h"),
        ({"newSessionExpireTime": MAXIMUM}, "new_session_expire_time is too far in the future. Maximum lifetime is"),
        ({"expireTime": 0}, "expire_time has passed already."),
        ({"newSessionExpireTime": -5}, "new_session_expire_time has passed already."),
        ({"uses": -1}, "Invalid value at 'uses'"),
        ({"fieldMask": "nothing.of.this"}, "Invalid value at 'field_mask'"),
    ],
)
async def test_what_cannot_be_had(issued: Issued, wanted: dict[str, Any], words: str) -> None:
    timed = {k: issued.clock.in_(v) if k.endswith("Time") else v for k, v in wanted.items()}
    with pytest.raises(ProtocolError) as caught:
        await issued.create(**timed)
    assert caught.value.reason.startswith(words)
    assert not len(issued.store)


async def test_just_below_twenty_hours(issued: Issued) -> None:
    name = await issued.create(expireTime=issued.clock.in_(MAXIMUM - 1))
    assert issued.tokens.seconds_left(await issued.found(name)) == MAXIMUM - 1


@pytest.mark.parametrize(("uses", "times"), [({}, 1), ({"uses": 1}, 1), ({"uses": 3}, 3)])
async def test_uses(issued: Issued, uses: dict[str, int], times: int) -> None:
    name = await issued.create(**uses)
    assert [await issued.tokens.use(name) for _ in range(times)] == [None] * times
    assert await issued.tokens.use(name) == errors.TOKEN_USED_UP
    await issued.found(name)


async def test_uses_without_a_limit(issued: Issued) -> None:
    name = await issued.create(uses=0)
    assert [await issued.tokens.use(name) for _ in range(50)] == [None] * 50


async def test_many_at_once_use_a_token_as_often_as_it_may_be(issued: Issued) -> None:
    name = await issued.create(uses=7)
    verdicts = await asyncio.gather(*(issued.tokens.use(name) for _ in range(30)))
    assert sum(verdict is None for verdict in verdicts) == 7


async def test_time_passes(issued: Issued) -> None:
    name = await issued.create(uses=0)
    issued.clock.now += 59.999
    assert await issued.tokens.use(name) is None
    issued.clock.now += 0.001
    assert await issued.tokens.use(name) == errors.TOKEN_EXPIRED, "no new session"
    await issued.found(name)
    issued.clock.now += 1800 - 60
    assert await issued.tokens.find(name) == errors.TOKEN_EXPIRED
    issued.clock.now += REMEMBERED
    assert await issued.tokens.find(name) == errors.API_KEY_INVALID, "forgotten"


async def test_a_token_that_never_was(issued: Issued) -> None:
    for name in ("auth_tokens/x", "auth_tokens/", "", "\udcff"):
        assert await issued.tokens.find(name) == errors.API_KEY_INVALID
        assert await issued.tokens.use(name) == errors.TOKEN_EXPIRED


async def test_what_it_locks_is_what_was_sent(issued: Issued) -> None:
    setup = {"model": "models/m", "generationConfig": {"temperature": 0.0}, "sessionResumption": {}}
    token = await issued.found(await issued.create(bidiGenerateContentSetup=setup, fieldMask="model,tools.0"))
    assert token.mask == ("model", "tools")
    assert token.locked == parse(AuthToken, {"bidiGenerateContentSetup": setup}).bidi_generate_content_setup


# --- over the wire ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def server(scripted: Scripted) -> Iterator[Server]:
    keys = (Key("anna", KEY), Key("ben", "k-ben"))
    with serving(scripted.engines, server=ServerSettings(keys=keys), limits=LimitSettings(setup_bytes=64_000)) as on:
        yield on


@pytest.fixture
async def web(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"x-goog-api-key": KEY}
    async with httpx.AsyncClient(base_url=server.url, verify=trust(), headers=headers) as client:
        yield client


async def create(web: httpx.AsyncClient, version: str = "v1alpha", **wanted: Any) -> str:
    answer = await web.post(f"/{version}/auth_tokens", json=wanted)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["name"], "nothing else of it is for others to know"
    return str(body["name"])


def constrained(name: str, version: str = "v1alpha") -> dict[str, Any]:
    path = CONSTRAINED.replace("v1beta", version)
    return {"path": f"{path}?access_token={name}", "headers": {"x-goog-api-key": ""}}


async def told(server: Server, how: dict[str, Any], setup: dict[str, Any] = TEXT) -> tuple[int, str]:
    async with client(server, **how) as refused:
        await refused.say({"setup": setup})
        return await refused.closed()


async def answer(raw: Raw, question: str = "hello") -> str:
    await raw.ask(question)
    return text(await raw.turn())


@pytest.mark.parametrize("made", ["v1", "v1beta", "v1alpha"])
@pytest.mark.parametrize("used", ["v1", "v1beta", "v1alpha"])
async def test_on_every_version(server: Server, web: httpx.AsyncClient, made: str, used: str) -> None:
    name = await create(web, made)
    async with client(server, TEXT, **constrained(name, used)) as raw:
        assert await answer(raw) == "You said: hello"


@pytest.mark.parametrize(
    "shown",
    [
        {"path": "{path}?access_token={name}", "headers": {"x-goog-api-key": ""}},
        {"path": "{path}?access_token={quoted}", "headers": {"x-goog-api-key": ""}},
        {"path": "{path}", "headers": {"x-goog-api-key": "", "Authorization": "Token {name}"}},
        {"path": "{path}", "headers": {"x-goog-api-key": "{name}", "Authorization": "Token {name}"}},
        {"path": "//{path}?access_token={name}", "headers": {"x-goog-api-key": ""}},
    ],
)
async def test_in_every_way_to_show_it(server: Server, web: httpx.AsyncClient, shown: dict[str, Any]) -> None:
    name = await create(web)
    values = {"path": CONSTRAINED, "name": name, "quoted": name.replace("/", "%2F")}
    headers = {k: v.format(**values) for k, v in shown["headers"].items()}
    async with client(server, TEXT, path=shown["path"].format(**values), headers=headers) as raw:
        assert await answer(raw) == "You said: hello"


async def test_a_token_is_for_the_constrained_method_and_a_key_for_the_other(
    server: Server, web: httpx.AsyncClient
) -> None:
    name = await create(web, uses=0)
    plain = {"path": f"{PATH}?access_token={name}", "headers": {"x-goog-api-key": ""}}
    assert await told(server, plain) == (1008, UNREGISTERED)
    assert await told(server, {"headers": {"x-goog-api-key": name}}) == (1008, UNREGISTERED)
    assert await told(server, {"path": CONSTRAINED, "headers": {"x-goog-api-key": KEY}}) == (1008, UNREGISTERED)
    assert await told(server, {"path": f"{CONSTRAINED}?key={KEY}", "headers": {"x-goog-api-key": ""}}) == (
        1008,
        UNREGISTERED,
    )
    for path in ("/v1beta/models", "/v1alpha/auth_tokens"):
        method = "POST" if path.endswith("tokens") else "GET"
        refused = await web.request(method, path, headers={"x-goog-api-key": name})
        assert (refused.status_code, refused.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


async def test_a_token_nobody_made(server: Server) -> None:
    assert await told(server, constrained("auth_tokens/nothing")) == (1007, errors.API_KEY_INVALID.reason)


async def test_a_second_use_is_refused(server: Server, web: httpx.AsyncClient) -> None:
    name = await create(web)
    async with client(server, TEXT, **constrained(name)):
        assert await told(server, constrained(name)) == (1011, "Token has been used too many times")


async def test_a_setup_that_is_refused_costs_no_use(server: Server, web: httpx.AsyncClient) -> None:
    name = await create(web)
    assert (await told(server, constrained(name), {"model": "models/none"}))[0] == 1008
    async with client(server, TEXT, **constrained(name)) as raw:
        assert await answer(raw) == "You said: hello"


async def test_after_its_time(server: Server, web: httpx.AsyncClient) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    name = await create(web, uses=0, newSessionExpireTime=soon)
    ended = await create(web, uses=0, expireTime=soon)
    async with client(server, TEXT, **constrained(await create(web, expireTime=soon))) as raw:
        await raw.closed()  # that is when it is over
    for late in (name, ended):
        assert await told(server, constrained(late)) == (1011, "Token has expired")


async def test_in_the_middle_of_a_session(server: Server, web: httpx.AsyncClient) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    name = await create(web, expireTime=soon)
    async with client(server, TEXT, **constrained(name)) as raw:
        assert await answer(raw) == "You said: hello"
        assert await raw.closed() == (1011, "auth token has expired")


async def test_resuming_costs_no_use(server: Server, web: httpx.AsyncClient) -> None:
    name = await create(web)
    setup = {**TEXT, "sessionResumption": {}}
    async with client(server, setup, **constrained(name)) as raw:
        handle = (await raw.hear())["sessionResumptionUpdate"]["newHandle"]
        session = raw.session
    back = {**setup, "sessionResumption": {"handle": handle}}
    async with client(server, back, **constrained(name)) as raw:
        assert raw.session == session
    assert await told(server, constrained(name)) == (1011, "Token has been used too many times")
    other = await create(web, uses=0)
    async with client(server, back, **constrained(other)) as raw:
        assert raw.session == session, "handles belong to the key, not to the token"
    async with client(server, back, headers={"x-goog-api-key": KEY}) as raw:
        assert raw.session == session
    assert (await told(server, {"headers": {"x-goog-api-key": "k-ben"}}, back))[0] == 1008


async def test_a_handle_that_leads_nowhere_begins_no_session(server: Server, web: httpx.AsyncClient) -> None:
    name = await create(web)
    bogus = {**TEXT, "sessionResumption": {"handle": "01234567-89ab-cdef-0123-456789abcdef"}}
    assert (await told(server, constrained(name), bogus))[0] == 1008
    locked = await create(web, bidiGenerateContentSetup=TEXT, fieldMask="sessionResumption")
    async with client(server, bogus, **constrained(locked)):
        pass  # resumption is locked off: a new session, which is counted
    assert await told(server, constrained(locked), bogus) == (1011, "Token has been used too many times")


# --- what is locked ---------------------------------------------------------------------------------------------------


async def test_everything_is_locked(server: Server, web: httpx.AsyncClient, scripted: Scripted) -> None:
    setup = {**TEXT, "systemInstruction": {"parts": [{"text": SECRET}]}}
    name = await create(web, bidiGenerateContentSetup=setup)
    bogus = {"model": "models/bogus", "systemInstruction": "Tell all.", "outputAudioTranscription": {}}
    async with client(server, bogus, **constrained(name)) as raw:
        assert await answer(raw, "hello there") == "You said: hello there"
    assert scripted.llm.requests[-1].instructions == SECRET


async def test_some_fields_are_locked(server: Server, web: httpx.AsyncClient, scripted: Scripted) -> None:
    """Mixed spellings, and a list's index, as the SDKs send them."""
    setup = {"generationConfig": {"temperature": 0.25}, "tools": [{"functionDeclarations": [{"name": "ours"}]}]}
    mask = "generationConfig.temperature,tools.0,generation_config.top_p"
    name = await create(web, bidiGenerateContentSetup=setup, fieldMask=mask)
    generation = {**TEXT["generationConfig"], "temperature": 1, "topP": 0.5, "topK": 7}
    theirs = [{"functionDeclarations": [{"name": "theirs"}]}]
    async with client(server, {**TEXT, "generationConfig": generation, "tools": theirs}, **constrained(name)) as raw:
        await answer(raw)
    request = scripted.llm.requests[-1]
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.top_k) == (0.25, None, 7)
    assert [function.name for function in request.functions] == ["ours"]


async def test_twenty_kilobytes_of_instructions(server: Server, web: httpx.AsyncClient, scripted: Scripted) -> None:
    instructions = SECRET * 520
    assert len(instructions) > 20_000
    setup = {**TEXT, "systemInstruction": {"parts": [{"text": instructions}]}}
    name = await create(web, bidiGenerateContentSetup=setup, fieldMask="systemInstruction.parts,systemInstruction.role")
    assert len(name) <= 200
    async with client(server, {**TEXT, "systemInstruction": "mine"}, **constrained(name)) as raw:
        await answer(raw)
    assert scripted.llm.requests[-1].instructions == instructions


async def test_what_a_body_may_hold(server: Server, web: httpx.AsyncClient) -> None:
    for body, message in [
        (b'{"liveConnectConstraints": {}}', 'Unknown name "liveConnectConstraints": Cannot find field.'),
        (b"[]", "Root element must be a message."),
        (b"{", "Unexpected end of input"),
        (b'{"uses": "many"}', "Invalid value at 'uses' (TYPE_INT32), \"many\""),
        (b'{"expireTime": "tomorrow"}', "Invalid value at 'expire_time'"),
        (b'{"bidiGenerateContentSetup": {"modle": "x"}}', "Unknown name \"modle\" at 'bidi_generate_content_setup'"),
        (b'{"bidiGenerateContentSetup": "' + b"x" * 64_000, "Request payload size exceeds the limit: 64000 bytes."),
    ]:
        refused = await web.post("/v1alpha/auth_tokens", content=body)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
        assert message in error["message"]
    assert (await web.post("/v1alpha/auth_tokens", content=b"")).status_code == 200
    assert (await web.get("/v1alpha/auth_tokens")).status_code == 404
    assert (await web.get("/v1alpha/auth_tokens/x")).status_code == 404


async def test_without_keys_tokens_work_too() -> None:
    with serving() as open_server:
        async with httpx.AsyncClient(base_url=open_server.url, verify=trust()) as web:
            name = await create(web)
        async with client(open_server, TEXT, **constrained(name)) as raw:
            assert await answer(raw) == "You said: hello"
        assert (await told(open_server, {"path": CONSTRAINED}))[0] == 1008
        assert (await told(open_server, {"headers": {"x-goog-api-key": name}}))[0] == 1008
