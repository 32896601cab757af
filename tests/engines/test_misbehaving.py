"""Endpoints that send too much, too slowly, or what is no answer: the turn fails with a reason, and nothing is held."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from openlive.engines.api import EngineError, Resources
from openlive.engines.llm import openai, openai_stream
from openlive.engines.llm.prompt.conversation import LLMError, MalformedCallError
from openlive.engines.registry import load_engine
from openlive.engines.runtime import http_endpoint
from openlive.engines.runtime.http_endpoint import EndpointError
from openlive.engines.stt import openai as openai_stt
from openlive.engines.tts import openai as openai_tts
from openlive.types import FunctionCall, Message, Request, Text, Thought, Usage

from .test_openai_audio import Asked, hear, loud, reply, say, serving

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n%s\r\n"
EVENTS, JSON, PCM = b"text/event-stream", b"application/json", b"audio/pcm"
KINDS = {"llm": EVENTS, "stt": JSON, "tts": PCM}


async def use(kind: str, engine: Any) -> list[Any]:
    if kind == "stt":
        return list(await hear(engine, loud(0.5), b""))
    if kind == "tts":
        return list(await say(engine, "Hello."))
    return [piece async for piece in engine.generate(Request("c", (Message("user", (Text("Hi"),)),)))]


def asked(kind: str, answer: Any) -> list[Any]:
    async def run() -> list[Any]:
        async with serving(kind, answer) as (engine, server):
            out = await use(kind, engine)
            assert all(one.headers["accept-encoding"] == "identity" for one in server.asked)
            return out

    return asyncio.run(run())


def endless(head: bytes, piece: bytes, pause: float = 0.0) -> Callable[[Asked, asyncio.StreamWriter], Any]:
    async def answer(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)

    return answer


def event(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n"


DONE = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def stream(*events: bytes) -> bytes:
    return HEAD % (EVENTS, b"") + b"".join(events)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_of_gzip_is_not_decompressed(kind: str) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises((LLMError, EndpointError), match="compresses its answer, which it was asked not to do"):
            asked(kind, HEAD % (KINDS[kind], b"Content-Encoding: gzip\r\n") + bomb)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [b"200 OK", b"500 Oh", b"302 Found"])
def test_a_body_without_end(kind: str, status: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_endpoint, "STREAM_BYTES", 4 << 20)
    head = (HEAD % (KINDS[kind], b"Location: /there\r\n")).replace(b"200 OK", status)
    message = "sent (a line of )?more than" if status == b"200 OK" else f"answered {status[:3].decode()}"
    with pytest.raises((LLMError, EndpointError), match=message):
        asked(kind, endless(head, b"x" * 60_000))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [b"200 OK", b"500 Oh"])
def test_a_body_that_drips(kind: str, status: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_endpoint, "STREAM_SECONDS", 0.3)
    monkeypatch.setattr(http_endpoint, "_BODY", 0.3)
    monkeypatch.setattr(openai_tts, "LONGEST", 0.3)
    monkeypatch.setattr(openai_tts, "SLOWEST", 0.0)
    monkeypatch.setattr(openai_tts, "PATIENCE", 0.0)
    head = (HEAD % (KINDS[kind], b"")).replace(b"200 OK", status)
    message = "no end of its answer within 0.3 s" if status == b"200 OK" else "answered 500"
    with pytest.raises((LLMError, EndpointError), match=message):
        asked(kind, endless(head, b": \n", 0.02))


def test_an_upload_that_is_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_stt, "SECONDS", 0.3)

    async def silent(_: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.close()

    with pytest.raises(EndpointError, match="took longer than"):
        asked("stt", silent)


def test_events_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_endpoint, "STREAM_BYTES", 1 << 20)
    with pytest.raises(LLMError, match="sent more than"):
        asked("llm", endless(HEAD % (EVENTS, b""), b": ping\n\n" * 1000))
    for delta in ({"content": "word " * 1000}, {"reasoning": "word " * 1000}):
        monkeypatch.setattr(openai, "LONGEST", 100_000)
        with pytest.raises(LLMError, match="writes without end: more than 100000 characters"):
            asked("llm", endless(HEAD % (EVENTS, b""), event(**delta)))


def test_a_reply_in_one_piece_is_handed_on_in_several() -> None:
    text = "word " * 4000
    out = asked("llm", stream(event(content=text), DONE))
    assert "".join(piece.text for piece in out) == text
    assert max(len(piece.text) for piece in out) <= openai.PART
    thought = asked("llm", stream(event(reasoning=text, content="So."), DONE))
    assert "".join(piece.text for piece in thought if isinstance(piece, Thought)) == text


@pytest.mark.parametrize("fragment", [{"arguments": "x" * 10_000}, {"name": "x" * 10_000}])
def test_calls_without_end(fragment: dict[str, str]) -> None:
    with pytest.raises(MalformedCallError, match="calls functions without end"):
        asked("llm", stream(*[event(tool_calls=[{"index": 0, "function": fragment}])] * 30, DONE))
    many = [event(tool_calls=[{"index": i, "function": {"name": "f"}}]) for i in range(openai_stream.CALLS + 1)]
    with pytest.raises(MalformedCallError, match="calls functions without end"):
        asked("llm", stream(*many, DONE))


@pytest.mark.parametrize(
    "sent",
    [
        b"data: 5",
        b'data: "text"',
        b'data: {"choices": 5}',
        b'data: {"choices": [5]}',
        b'data: {"choices": [{"delta": []}]}',
        b'data: {"choices": [{"delta": {"content": 5}}]}',
        b'data: {"choices": [{"delta": {"content": ["a"]}}]}',
        b'data: {"choices": [{"delta": {"tool_calls": {}}}]}',
        b'data: {"choices": [{"delta": {"tool_calls": [{"index": "a"}]}}]}',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": {}}}]}}]}',
        b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}',
        b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}',
        b"data: " + b"[" * 100_000,
        b'data: {"error": ' + b"[" * 100_000,
        b'data: {"choices": ' + b'{"a":' * 100_000,
        b"error: " + b"[" * 100_000,
        b"error: 5",
        b"error: {}",
        b"error: [[]]",
        b"data: {",
        b"data: \xff",
        b"data: \x00",
    ],
)
def test_events_that_are_none(sent: bytes) -> None:
    with pytest.raises(LLMError, match=r"The endpoint (sent what is no|reports an error)"):
        asked("llm", stream(event(content="Hi"), sent + b"\n\n", DONE))


@pytest.mark.parametrize("arguments", ["[" * 100_000, '{"a": ' * 50_000, '{"a": "\\ud800"}', "5", '"a"', "NaN"])
def test_arguments_that_are_none(arguments: str) -> None:
    call = event(tool_calls=[{"function": {"name": "f", "arguments": arguments}}])
    with pytest.raises(MalformedCallError, match=r"broken arguments|no object|without end"):
        asked("llm", stream(call, DONE))


@pytest.mark.parametrize(
    "usage",
    [
        '"many"',
        "[]",
        "5",
        '{"prompt_tokens": "5"}',
        '{"prompt_tokens": 1.5}',
        '{"prompt_tokens": true}',
        '{"prompt_tokens": -1}',
        '{"prompt_tokens": 1e300}',
        '{"completion_tokens": 99999999999999999999}',
        '{"completion_tokens": []}',
        '{"prompt_tokens_details": {"cached_tokens": "x"}}',
    ],
)
def test_a_usage_that_is_no_count_is_none(usage: str) -> None:
    told = b'data: {"choices": [], "usage": %s}\n\n' % usage.encode()
    assert asked("llm", stream(event(content="Hi"), told, DONE)) == [Text("Hi")]


def test_what_an_endpoint_may_leave_out() -> None:
    told = (
        b'data: {"choices": null, "usage": {"prompt_tokens": 2, "completion_tokens": null}}',
        b'data: {"choices": [{"delta": null}]}\r\n\r\ndata: {"choices": [{"index": 0}]}',
        b'data: {"choices": [{"delta": {"content": null, "tool_calls": null}}], "more": {"a": [1]}}',
        b'data: {"choices": [{"delta": {"tool_calls": [{"function": null}, {"function": {"name": "f"}}]}}]}',
    )
    assert asked("llm", stream(b"\n\n".join(told), b"\n\n", DONE)) == [FunctionCall("", "f", {}), Usage(2, 0, 0)]


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "%s"}' % (b"word " * 4000),
        b'{"text": 5}',
        b'{"text": ["a"]}',
        b'{"text": "a", "language": 5}',
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b'{"text": ' + b"[" * 100_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_transcripts_that_are_none(content: bytes) -> None:
    with pytest.raises(EndpointError, match=r"what is no transcription|heard more than can be said: 19999|characters"):
        asked("stt", reply(content))


def test_an_odd_byte_of_audio_is_left_out() -> None:
    out = asked("tts", HEAD % (PCM, b"") + bytes(4801))
    assert all(len(piece.pcm) % 2 == 0 for piece in out)
    assert sum(len(piece.pcm) for piece in out) == 4800
    assert "".join(piece.text for piece in out) == "Hello."


def test_audio_without_end_ends_where_no_clause_is_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_tts, "LONGEST", 1.0)
    monkeypatch.setattr(openai_tts, "SLOWEST", 0.1)
    with pytest.raises(EndpointError, match=r"sent more than 7\d\d\d\d bytes"):
        asked("tts", endless(HEAD % (PCM, b""), bytes(4800)))


@pytest.mark.parametrize(
    "content", [b"{}", b'{"data": []}', b'{"data": [{"id": 5}]}', b"[" * 100_000, b"\xff", b'{"data": "x"}']
)
def test_models_that_are_none(content: bytes) -> None:
    async def models(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(content))
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(models, "127.0.0.1", 0)
        url = f"openai:http://user:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        with pytest.raises(EngineError, match="lists no model"):
            await asyncio.to_thread(load_engine, "llm", url, Resources(pytest.fail, threads=1, memory=0))
        server.close()

    asyncio.run(run())


def test_a_password_in_the_address_is_in_no_message() -> None:
    async def run() -> None:
        engine = openai.OpenAILLM("http://user:secret@127.0.0.1:9/v1", "m")
        with pytest.raises(LLMError) as raised:
            await use("llm", engine)
        assert "secret" not in str(raised.value)
        assert "127.0.0.1:9" in str(raised.value)

    asyncio.run(run())
