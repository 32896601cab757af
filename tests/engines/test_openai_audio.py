"""Transcriptions and speech of OpenAI-compatible endpoints, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from email.parser import BytesParser
from typing import Any

import numpy as np
import pytest
from msgspec import Struct

from openlive.audio import read_wav
from openlive.engines.api import EngineError, Resources
from openlive.engines.registry import load_engine
from openlive.engines.runtime import http_endpoint
from openlive.engines.runtime.http_endpoint import EndpointError
from openlive.engines.stt.incremental import FIRST
from openlive.engines.tts.openai import PIECE
from openlive.types import INPUT_RATE, OUTPUT_RATE, Message, Request, Speech, Text, Transcript, Voice

PCM = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nConnection: close\r\n\r\n"


class Asked(Struct):
    path: str
    body: bytes
    headers: dict[str, str]
    connection: int

    @property
    def fields(self) -> dict[str, Any]:
        """Of a form, the file among them; else of JSON."""
        kind = self.headers["content-type"]
        if kind == "application/json":
            return dict(json.loads(self.body))
        form: Any = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + self.body)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
        contents = {name: part.get_payload(decode=True) for name, part in parts.items()}
        return {name: content if name == "file" else content.decode() for name, content in contents.items()}


Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Notes what it is asked in `asked` and answers with `answer`; lists one model."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *rest = head.decode().strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in rest)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                asked = Asked(line.split()[1], body, headers, connection)
                self.asked.append(asked)
                if asked.path == "/v1/models":
                    writer.write(reply({"data": [{"id": "listed"}]}))
                else:
                    await self._answer(asked, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def of(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]


def reply(data: object, status: str = "200 OK") -> bytes:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def serving(kind: Any, answer: Answer | bytes, **settings: Any) -> AsyncIterator[tuple[Any, Server]]:
    """An engine of a kind, and the server that it asks."""

    async def write(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)  # type: ignore[arg-type]
        if b"Connection: close" in answer:  # type: ignore[operator]
            writer.close()

    server = Server(write if isinstance(answer, bytes) else answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    spec = f"openai:http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    resources = Resources(pytest.fail, threads=1, memory=0, settings={"model": "named", **settings})
    engine = load_engine(kind, spec, resources)
    try:
        yield engine, server
    finally:
        await engine.close()
        listening.close()
        await listening.wait_closed()


def loud(seconds: float) -> bytes:
    wave = 8000 * np.sin(np.arange(round(seconds * INPUT_RATE)) / 9)
    return bytes(wave.astype("<i2").tobytes())


async def parts(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def hear(engine: Any, *chunks: bytes, **hints: Any) -> list[Transcript]:
    return [transcript async for transcript in engine.transcribe(parts(chunks), **hints)]


class TestTranscriptions:
    def test_a_flush_uploads_what_was_said_as_a_wav_file(self) -> None:
        async def run() -> None:
            async with serving("stt", reply({"text": " Hello there. "}), api_key="secret") as (engine, server):
                heard = await hear(engine, loud(0.3), loud(0.2), b"")
                assert heard == [Transcript("Hello there.", INPUT_RATE // 2, final=True)]
                [asked] = server.of("/v1/audio/transcriptions")
                assert asked.headers["authorization"] == "Bearer secret"
                file = asked.fields.pop("file")
                assert {k: v for k, v in asked.fields.items() if k != "file"} == {
                    "model": "named",
                    "response_format": "json",
                }
                assert read_wav(file) == loud(0.3) + loud(0.2)

        asyncio.run(run())

    @pytest.mark.parametrize(
        ("languages", "sent"), [((), None), (("de-DE",), "de"), (("en", "de"), None), (("en", ""), None)]
    )
    def test_the_language_is_told_where_there_is_one(self, languages: tuple[str, ...], sent: str | None) -> None:
        async def run() -> None:
            async with serving("stt", reply({"text": "Ja.", "language": "de"})) as (engine, server):
                heard = await hear(engine, loud(0.5), b"", languages=languages, phrases=("Erna", "Max"))
                assert [t.language for t in heard] == ["de"]
                fields = server.of("/v1/audio/transcriptions")[0].fields
                assert fields.get("language") == sent
                assert fields["prompt"] == "Erna, Max"

        asyncio.run(run())

    def test_partial_transcripts_come_while_the_user_speaks(self) -> None:
        async def run() -> None:
            async def count(asked: Asked, writer: asyncio.StreamWriter) -> None:
                writer.write(reply({"text": f"{len(read_wav(asked.fields['file'])) // 2} samples."}))

            async with serving("stt", count) as (engine, server):
                go = asyncio.Event()

                async def audio() -> AsyncIterator[bytes]:
                    yield loud(FIRST / INPUT_RATE)
                    await go.wait()
                    yield loud(0.1)
                    yield b""

                heard = []
                async with aclosing(engine.transcribe(audio())) as transcripts:
                    async for transcript in transcripts:
                        heard.append(transcript)
                        go.set()
                assert [(t.text, t.final) for t in heard] == [("12800 samples", False), ("14400 samples.", True)]
                assert len({asked.connection for asked in server.asked}) <= 2

        asyncio.run(run())

    def test_an_upload_that_nobody_waits_for_is_broken_off(self) -> None:
        async def run() -> None:
            begun, closed = asyncio.Event(), asyncio.Event()

            async def hang(asked: Asked, writer: asyncio.StreamWriter) -> None:
                if begun.is_set():  # the flush, which tells more
                    writer.write(reply({"text": "all"}))
                    return
                begun.set()
                while not writer.is_closing():
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    await asyncio.sleep(0.01)
                closed.set()

            async with serving("stt", hang) as (engine, _):

                async def audio() -> AsyncIterator[bytes]:
                    yield loud(1)
                    await begun.wait()
                    yield loud(0.5)
                    yield b""

                heard = [t async for t in engine.transcribe(audio())]
                assert heard == [Transcript("all", INPUT_RATE * 3 // 2, final=True)]
                await asyncio.wait_for(closed.wait(), 5)

        asyncio.run(run())

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (reply({"error": {"message": "no such model"}}, "404 Not Found"), "answered 404: no such model"),
            (reply(b"<html>"), "no transcription: <html>"),
            (reply({"words": []}), "no transcription"),
            (reply({"text": None}), "no transcription"),
            (reply([]), "no transcription"),
            (b"garbage\r\n\r\n", "Protocol"),
        ],
    )
    def test_what_went_wrong_is_said(self, answer: bytes, message: str) -> None:
        async def run() -> None:
            async with serving("stt", answer) as (engine, _):
                with pytest.raises(EndpointError, match=message):
                    await hear(engine, loud(0.5), b"")

        asyncio.run(run())


async def say(engine: Any, *clauses: str, voice: Voice | None = None) -> list[Speech]:
    async def text() -> AsyncIterator[str]:
        for clause in clauses:
            yield clause

    return [speech async for speech in engine.speak(text(), voice or Voice("Puck"))]


class TestSpeech:
    def test_clauses_are_asked_for_one_by_one(self) -> None:
        async def run() -> None:
            async with serving("tts", PCM + b"\1\0\2\0", voices={"Puck": "am_puck"}) as (engine, server):
                said = await say(engine, "**Hello.** ", "It costs $5.", voice=Voice("Puck", "en-US", 1.2))
                assert b"".join(s.pcm for s in said) == b"\1\0\2\0" * 2
                assert "".join(s.text for s in said) == "**Hello.** It costs $5."
                asked = [a.fields for a in server.of("/v1/audio/speech")]
                assert [a["input"] for a in asked] == ["Hello.", "It costs five dollars."]
                assert {k: v for k, v in asked[0].items() if k != "input"} == {
                    "model": "named",
                    "voice": "am_puck",
                    "response_format": "pcm",
                    "speed": 1.2,
                }

        asyncio.run(run())

    @pytest.mark.parametrize(
        ("settings", "voice"),
        [({}, "Kore"), ({"voices": {"Puck": "a"}}, "Kore"), ({"voices": {"Puck": "a"}, "voice": "b"}, "b")],
    )
    def test_a_name_without_a_voice(self, settings: dict[str, Any], voice: str) -> None:
        async def run() -> None:
            async with serving("tts", PCM, **settings) as (engine, server):
                await say(engine, "Yes.", voice=Voice("Kore"))
                fields = server.of("/v1/audio/speech")[0].fields
                assert fields["voice"] == voice
                assert "speed" not in fields

        asyncio.run(run())

    def test_what_has_nothing_to_be_spoken_is_not_asked_for(self) -> None:
        async def run() -> None:
            async with serving("tts", PCM) as (engine, server):
                assert await say(engine, " 🦄 ") == [Speech(b"", " 🦄 ")]
                assert not server.of("/v1/audio/speech")

        asyncio.run(run())

    def test_the_first_samples_are_passed_on_at_once_the_rest_in_pieces(self) -> None:
        async def run() -> None:
            first = asyncio.Event()

            async def stream(_: Asked, writer: asyncio.StreamWriter) -> None:
                writer.write(PCM + b"\1\0\2")  # one and a half
                await writer.drain()
                await asyncio.wait_for(first.wait(), 5)
                for _piece in range(2 * PIECE // 100):
                    writer.write(b"\3\0" * 50)
                    await writer.drain()
                writer.write(b"\4")
                writer.close()

            async with serving("tts", stream) as (engine, _):

                async def text() -> AsyncIterator[str]:
                    yield "One two."

                said = []
                async for speech in engine.speak(text(), Voice("Puck")):
                    said.append(speech)
                    first.set()
                assert said[0] == Speech(b"\1\0", "One ")
                assert b"".join(s.pcm for s in said) == b"\1\0\2" + b"\3\0" * PIECE + b"\4"
                assert all(len(s.pcm) >= PIECE for s in said[1:-2])

        asyncio.run(run())

    def test_the_words_follow_the_audio(self) -> None:
        async def run() -> None:
            async def second(_: Asked, writer: asyncio.StreamWriter) -> None:
                writer.write(PCM)
                for _piece in range(10):
                    writer.write(bytes(OUTPUT_RATE // 5))
                    await writer.drain()
                    await asyncio.sleep(0.01)
                writer.close()

            async with serving("tts", second) as (engine, _):
                said = await say(engine, "One two three four five six seven.")
                assert [s.text for s in said if s.text][:2] == ["One ", "two "]
                assert "".join(s.text for s in said) == "One two three four five six seven."
                assert said[-1].text.endswith("seven.")
                assert len([s for s in said if s.text]) > 3

        asyncio.run(run())

    def test_stopping_closes_the_connection(self) -> None:
        async def run() -> None:
            closed = asyncio.Event()

            async def endless(_: Asked, writer: asyncio.StreamWriter) -> None:
                writer.write(PCM)
                while not writer.is_closing():
                    writer.write(bytes(4800))
                    await asyncio.sleep(0.01)
                closed.set()

            async with serving("tts", endless) as (engine, _):

                async def text() -> AsyncIterator[str]:
                    yield "For ever."

                async with aclosing(engine.speak(text(), Voice("Puck"))) as speaking:
                    assert (await anext(speaking)).pcm
                await asyncio.wait_for(closed.wait(), 5)

        asyncio.run(run())

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (reply({"error": "no voice Puck"}, "400 Bad Request"), "answered 400: no voice Puck"),
            (reply({"detail": "?"}), "application/json, not the pcm"),
            (PCM.replace(b"audio/pcm", b"audio/mpeg") + b"ID3", "audio/mpeg, not the pcm"),
            (PCM + b"RIFF....WAVE", "audio/pcm, not the pcm|WAV"),
            (b"garbage\r\n\r\n", "Protocol"),
        ],
    )
    def test_what_went_wrong_is_said(self, answer: bytes, message: str) -> None:
        async def run() -> None:
            async with serving("tts", answer) as (engine, _):
                with pytest.raises(EndpointError, match=message):
                    await say(engine, "Hello.")

        asyncio.run(run())


class TestFactories:
    @pytest.mark.parametrize("kind", ["stt", "tts"])
    def test_no_url_and_no_server(self, kind: Any) -> None:
        resources = Resources(pytest.fail, threads=1, memory=0)
        with pytest.raises(EngineError, match="is no URL"):
            load_engine(kind, "openai:127.0.0.1", resources)
        with pytest.raises(EngineError, match="does not answer"):
            load_engine(kind, "openai:http://127.0.0.1:9/v1", resources)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"voices": "am_puck"}, "voices = 'am_puck' is no table"),
            ({"voices": {"Puck": 1}}, "is no table"),
            ({"voice": 1}, "voice = 1"),
        ],
    )
    def test_settings_that_are_wrong(self, settings: dict[str, Any], message: str) -> None:
        resources = Resources(pytest.fail, threads=1, memory=0, settings={"model": "m", **settings})
        with pytest.raises(EngineError, match=message):
            load_engine("tts", "openai:http://127.0.0.1:9/v1", resources)


class TestConnections:
    def test_one_is_opened_before_it_is_needed_and_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def run() -> None:
            async def answer(_: Asked, writer: asyncio.StreamWriter) -> None:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nContent-Length: 2\r\n\r\n\1\0")

            async with serving("tts", answer) as (engine, server):

                async def text(*clauses: str, after: int) -> AsyncIterator[str]:
                    while len(server.asked) < after:  # noqa: ASYNC110 - the server is asked while the model writes
                        await asyncio.sleep(0.01)
                    for clause in clauses:
                        yield clause

                assert [s.pcm async for s in engine.speak(text("One.", "Two.", after=1), Voice("Puck"))] == [
                    b"\1\0"
                ] * 2
                await say(engine, "Three.")
                paths = [asked.path for asked in server.asked]
                assert paths == ["/v1/models"] + ["/v1/audio/speech"] * 3
                assert server.connections == 1
                monkeypatch.setattr(http_endpoint, "_FRESH", 0.0)  # as if some seconds had passed
                assert [s.pcm async for s in engine.speak(text("Four.", after=5), Voice("Puck"))]
                assert len(server.of("/v1/models")) == 2

        asyncio.run(run())

    def test_the_language_model_opens_one_when_somebody_speaks(self) -> None:
        async def run() -> None:
            async with serving("llm", reply({})) as (engine, server):
                await engine.prefill(Request("c", ()))  # at the start, in a loop that ends
                assert not server.asked
                await engine.prefill(Request("c", (Message("user", (Text("What"),)),)))
                await engine.prefill(Request("c", (Message("user", (Text("What is"),)),)))
                assert [asked.path for asked in server.asked] == ["/v1/models"]

        asyncio.run(run())
