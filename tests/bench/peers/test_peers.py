"""The endpoints that the systems share, over a real socket, and what the comparison computes. The peers themselves have
environments of their own and are run by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

import httpx
import msgspec
import pytest
import uvicorn
from websockets.asyncio.server import ServerConnection, serve

from openlive.audio import read_wav
from openlive.cli.bench.client import BenchError
from openlive.cli.bench.clips import clip
from openlive.cli.bench.figures import Spread
from openlive.engines.api import Resources
from openlive.engines.registry import load_engine
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS
from openlive.types import INPUT_RATE, Message, Request, Text, Transcript, Voice
from tests.bench.peers.client import Bare, Realtime, connected, translated
from tests.bench.peers.endpoints import Endpoints, conversation
from tests.bench.peers.verdict import Turn, orders, ratios, table
from tests.serving import tone


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, Endpoints, ScriptedLLM]]:
    llm = ScriptedLLM(replies=("It is in Rome.",))
    endpoints = Endpoints(ScriptedSTT(transcripts=("Where is it?",)), llm, ScriptedTTS())
    config = uvicorn.Config(endpoints.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1", endpoints, llm
    finally:
        server.should_exit = True
        await running


class TestEndpoints:
    def test_our_own_engines_find_what_they_ask_for(self) -> None:
        async def run() -> None:
            async with serving() as (url, _, llm):
                resources = Resources(pytest.fail, threads=1, memory=0, settings={"model": "any"})
                engines = [
                    await asyncio.to_thread(load_engine, kind, f"openai:{url}", resources)
                    for kind in ("stt", "llm", "tts")
                ]
                stt, model, tts = engines

                async def audio() -> AsyncIterator[bytes]:
                    yield tone(0.5)
                    yield b""

                async def text() -> AsyncIterator[str]:
                    yield "Hello."

                heard = [t async for t in stt.transcribe(audio())]
                assert heard == [Transcript("Where is it?", INPUT_RATE // 2, final=True)]
                asked = Request("c", (Message("user", (Text("Where is it?"),)),), "Be brief.")
                assert "".join([p.text async for p in model.generate(asked)]) == "It is in Rome."
                assert llm.requests[0].instructions == "Be brief."
                spoken = b"".join([p.pcm async for p in tts.speak(text(), Voice("Puck"))])
                assert spoken == ScriptedTTS().render_clause("Hello.").pcm
                for engine in engines:
                    await engine.close()

        asyncio.run(run())

    def test_a_completion_in_one_piece(self) -> None:
        async def run() -> None:
            async with serving() as (url, _, _), httpx.AsyncClient(trust_env=False) as client:
                asked = {"messages": [{"role": "user", "content": "Where?"}]}
                answer = (await client.post(f"{url}/chat/completions", json=asked)).json()
                assert answer["choices"][0]["message"]["content"] == "It is in Rome."

        asyncio.run(run())

    def test_what_they_cannot_do_is_refused(self) -> None:
        async def run() -> None:
            async with serving() as (url, _, _), httpx.AsyncClient(trust_env=False) as client:
                mp3 = await client.post(f"{url}/audio/speech", json={"input": "Hello."})
                assert (mp3.status_code, "pcm" in mp3.text) == (400, True)
                none = await client.post(f"{url}/audio/transcriptions", files={"file": ("a.mp3", b"ID3")})
                assert (none.status_code, "WAV" in none.text) == (400, True)

        asyncio.run(run())

    def test_the_model_waits_while_a_voice_is_rendered(self) -> None:
        async def run() -> None:
            async with serving() as (_, endpoints, _):
                written = endpoints._written(conversation({"messages": [{"role": "user", "content": "Where?"}]}))
                assert await anext(written) == "It"
                with endpoints._renders():
                    waiting = asyncio.create_task(anext(written))
                    await asyncio.sleep(0.05)
                    assert not waiting.done()
                assert await waiting == " is"
                await written.aclose()

        asyncio.run(run())

    def test_a_conversation(self) -> None:
        asked = {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": "Hello."},
            ],
            "max_tokens": 9,
        }
        request = conversation(asked)
        assert (request.instructions, request.sampling.max_tokens) == ("Be brief.", 9)
        assert request.messages == (Message("user", (Text("Hi"),)), Message("model", (Text("Hello."),)))


class TestClient:
    def test_speaks_and_hears_in_bare_samples(self) -> None:
        async def run() -> None:
            got: list[bytes] = []

            async def peer(socket: ServerConnection) -> None:
                await socket.send("ready")
                async for message in socket:
                    assert isinstance(message, bytes)
                    if any(message):
                        got.append(message)
                    elif got:  # it has been said
                        await socket.send(b"\1\0" * 240)
                        return

            said = clip("tone", tone(0.1))
            async with serve(peer, "127.0.0.1", 0) as server:
                url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
                async with connected(url, Bare()) as session:
                    begins = session.say(translated(said, Bare()))
                    answer = await session.finished(5)
                    assert answer.audio[0][0] >= begins + 0.1
                    assert answer.pcm == b"\1\0" * 240
                    assert session.lateness
                    with pytest.raises(BenchError, match="ended the session"):
                        await session.speaking(5)
            assert b"".join(got) == tone(0.1)

        asyncio.run(run())

    def test_the_realtime_dialect(self) -> None:
        dialect = Realtime("Be brief.")
        assert dialect.ready('{"type": "session.created"}')
        assert json.loads(dialect.opening()[0])["session"]["instructions"] == "Be brief."
        sent = json.loads(dialect.message(b"\1\0"))
        assert sent == {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"\1\0").decode()}
        delta = {"type": "response.output_audio.delta", "delta": sent["audio"]}
        assert dialect.audio(msgspec.json.encode(delta)) == b"\1\0"
        assert dialect.audio('{"type": "response.created"}') == b""
        with pytest.raises(BenchError, match="no model"):
            dialect.audio('{"type": "error", "error": {"message": "no model"}}')


class TestVerdict:
    def test_who_begins_changes(self) -> None:
        assert list(islice(orders(3), 4)) == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]

    def test_ratios_are_ours_to_theirs(self) -> None:
        found = {"openlive": Spread(10, 600, 800, 1, 1), "pipecat": Spread(10, 1500, 1600, 1, 1), "silent": None}
        assert ratios(found) == {"pipecat": {"p50": 0.4, "p95": 0.5}}
        assert ratios(found, 500) == {"pipecat": {"p50": 0.1, "p95": 0.273}}
        assert ratios({"pipecat": found["pipecat"]}) == {}

    def test_a_table(self) -> None:
        turns = {
            "openlive": [Turn("a", 600.0, 610.0, {})],
            "pipecat": [Turn("a", 1200.0, None, {}), Turn("b", 1200.0, None, {})],
        }
        made = table(turns)
        assert [list(column.cells) for column in made.columns[1:]] == [
            ["1", "2"],
            ["600", "1,200"],
            ["600", "1,200"],
            ["610", ""],
            ["", "0.50 / 0.50"],
            ["", "0.14 / 0.14"],
        ]


def test_the_wav_file_that_endpoints_take_is_what_ours_send() -> None:
    from openlive.audio import to_wav
    from tests.bench.peers.endpoints import form

    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + to_wav(tone(0.1), 16000)
    assert read_wav(form("multipart/form-data; boundary=x", body + b"\r\n--x--\r\n")["file"]) == tone(0.1)
