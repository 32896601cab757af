"""What Prometheus gets of a server."""

from __future__ import annotations

import anyio
import httpx
import pytest

from openlive.config.keys import Key
from openlive.config.model import LimitSettings, ServerSettings
from openlive.testing.scripted import ScriptedLLM
from tests.raw import TALK, client
from tests.serving import SECONDS, Scripted, Server, serving, silence, tone, trust

pytestmark = pytest.mark.anyio

KEY = "0123456789abcdef"


async def scraped(server: Server, query: str = "") -> dict[str, float]:
    async with httpx.AsyncClient(verify=trust()) as web:
        answer = await web.get(f"{server.url}/metrics{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


async def test_turns_and_sessions() -> None:
    with serving() as server:
        async with client(server, TALK) as raw:
            await raw.speak(tone(0.5) + silence(1))
            await raw.turn()
            during = await scraped(server)
            assert during["openlive_sessions"] == 1
        assert await server.comes_to(lambda: server.connections() == 0)
        after = await scraped(server)
    assert after["openlive_sessions"] == 0
    assert after['openlive_sessions_ended_total{code="1000"}'] == 1
    for step in ("decision", "transcript", "first_token", "first_audio", "first_byte"):
        assert after[f'openlive_turn_seconds_count{{step="{step}"}}'] == 1
    assert 0 < after['openlive_turn_seconds_sum{step="first_byte"}'] < 10
    assert raw.session not in str(after)


async def test_calls_that_get_no_answer() -> None:
    llm = ScriptedLLM(replies=("call:weather", "There is no answer."))
    setup = {**TALK, "tools": [{"functionDeclarations": [{"name": "weather"}]}]}
    with serving(Scripted(llm=llm).engines, limits=LimitSettings(call_seconds=0.2)) as server:
        async with client(server, setup) as raw:
            await raw.ask("the weather?")
            await raw.turn()
        found = await scraped(server)
    assert found['openlive_calls_total{step="asked"}'] == 1
    assert found['openlive_calls_total{step="unanswered"}'] == 1


async def test_are_for_those_whom_the_operator_names() -> None:
    keys = (Key("me", KEY), Key("you", "another key of 16"))
    with serving(server=ServerSettings(port=0, keys=keys, admin_keys=("me",))) as server:
        async with httpx.AsyncClient(verify=trust()) as web:
            for query in ("", "?key=another%20key%20of%2016"):
                assert (await web.get(f"{server.url}/metrics{query}")).status_code == 403
        assert (await scraped(server, f"?key={KEY}"))["openlive_sessions"] == 0


async def test_the_lag_of_the_event_loop() -> None:
    with serving() as server:
        with anyio.fail_after(SECONDS):
            while not (found := await scraped(server))["openlive_event_loop_lag_seconds_count"]:  # noqa: ASYNC110
                await anyio.sleep(0.05)
    assert found["openlive_event_loop_lag_seconds_sum"] >= 0


@pytest.mark.parametrize("stage", ["stt", "reply"])
async def test_failures(stage: str) -> None:
    scripted = Scripted(llm=ScriptedLLM(faults={1: "raise"})) if stage == "reply" else Scripted()
    if stage == "stt":
        scripted.stt.faults = {1: "raise"}
    with serving(scripted.engines, fails=["failed"]) as server:
        async with client(server, TALK) as raw:
            await raw.speak(tone(0.5) + silence(1))
            await raw.turn()
        found = await scraped(server)
    assert found[f'openlive_failures_total{{stage="{stage}"}}'] >= 1
