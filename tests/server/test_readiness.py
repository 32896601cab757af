"""`/readyz`: whether what the language model computes in the background is there."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import httpx
import pytest
from msgspec.structs import replace

from openlive.config.model import Config
from openlive.engines.responder.cascade import Cascade
from openlive.server.app import App
from openlive.server.engines import Engines
from openlive.server.load_shedding import ASSUMED
from openlive.server.readiness import Readiness
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD
from tests.serving import SECONDS, Scripted, Server, serving, trust

Told = Callable[[int, int], None]


def get(server: Server, path: str) -> httpx.Response:
    with httpx.Client(verify=trust(), trust_env=False) as http:
        return http.get(f"{server.url}{path}", timeout=SECONDS)


def test_a_server_with_nothing_to_compute_is_ready() -> None:
    with serving() as server:
        assert get(server, "/readyz").text == "ok\n"


def test_it_says_what_is_missing_until_it_is_there() -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def prepare(told: Told) -> None:
        told(320, 860)
        begun.set()
        await asyncio.to_thread(go_on.wait, SECONDS)

    with serving(replace(Scripted().engines, prepare=prepare)) as server:
        assert begun.wait(SECONDS)
        waiting = get(server, "/readyz")
        assert waiting.status_code == 503
        assert "320 of 860 tokens" in waiting.text
        assert get(server, "/healthz").text == "ok\n", "sessions are served meanwhile"
        go_on.set()
        for _ in range(1000):
            if (ready := get(server, "/readyz")).status_code == 200:
                break
        assert ready.text == "ok\n"


def test_what_cannot_be_computed_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    async def prepare(told: Told) -> None:
        raise OSError("secret words")

    readiness = Readiness(prepare)
    assert readiness.missing
    asyncio.run(readiness.prepare())
    assert not readiness.missing
    assert "OSError" in caplog.text
    assert "secret" not in caplog.text


def test_the_log_tells_a_quarter_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    async def prepare(told: Told) -> None:
        for done in range(801):
            told(done, 800)

    caplog.set_level(logging.INFO)
    asyncio.run(Readiness(prepare).prepare())
    assert len(caplog.records) == 6


def test_an_answer_to_nobody_shows_how_long_one_takes() -> None:
    async def prepare(_: object) -> None:
        pass

    async def test() -> None:
        llm, tts = ScriptedLLM(replies=("I am fine, thanks.",)), ScriptedTTS()
        engines = Engines(vad=ScriptedVAD(), stt=ScriptedSTT(), responder=Cascade(llm, tts), prepare=prepare)
        app = App(Config(), engines)
        assert app.waits.pace == ASSUMED
        await app.prepare()
        assert app.waits.pace < ASSUMED
        assert [request.messages[-1].text for request in llm.requests] == ["Hello, how are you?"]

    asyncio.run(test())


def test_an_answer_to_nobody_keeps_nobody_out() -> None:
    """It comes behind everybody's: where it takes long, somebody else is being served."""

    async def prepare(_: object) -> None:
        pass

    async def test() -> None:
        responder = Cascade(ScriptedLLM(faults={1: "hang"}), ScriptedTTS())
        app = App(Config(), Engines(vad=ScriptedVAD(), stt=ScriptedSTT(), responder=responder, prepare=prepare))
        warming = asyncio.create_task(app.prepare())
        await asyncio.sleep(0.01)
        assert not warming.done()
        assert (app.waits.longest, app.waits.expected) == (0, 0)
        warming.cancel()
        await asyncio.wait([warming])

    asyncio.run(test())
