"""The client of OpenAI-compatible endpoints, over real sockets: against a fake one, and llama.cpp's own server."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from openlive import models
from openlive.engines import images
from openlive.engines.api import EngineError, Resources
from openlive.engines.llm import openai
from openlive.engines.llm.openai import OpenAILLM
from openlive.engines.llm.prompt.conversation import LLMError, MalformedCallError
from openlive.engines.registry import load_engine
from openlive.types import (
    FunctionCall,
    FunctionDeclaration,
    FunctionResponse,
    Heard,
    Image,
    Message,
    Request,
    Sampling,
    Text,
    Thought,
    Usage,
)

HELLO = Request("c", (Message("user", (Text("Hello"),)),))
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def resources(**settings: Any) -> Resources:
    return Resources(pytest.fail, threads=1, memory=0, settings=settings)


def event(**delta: Any) -> bytes:
    finish = delta.pop("finish_reason", None)
    return f"data: {json.dumps({'choices': [{'delta': delta, 'finish_reason': finish}]})}\n\n".encode()


@asynccontextmanager
async def endpoint(
    answer: Answer, requests: list[dict[str, Any]] | None = None, **settings: Any
) -> AsyncIterator[OpenAILLM]:
    """An engine whose endpoint reads a request, notes it in `requests` and answers it with `answer`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            (requests if requests is not None else []).append(json.loads(await reader.readexactly(length)))
            await answer(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = load_engine("llm", f"openai:http://127.0.0.1:{port}/v1", resources(model="fake", **settings))
    try:
        yield engine
    finally:
        await engine.close()
        server.close()
        await server.wait_closed()


def ask(answer: bytes) -> list[object]:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async def run() -> list[object]:
        async with endpoint(write) as engine:
            return [piece async for piece in engine.generate(HELLO)]

    return asyncio.run(run())


class TestAnswers:
    def test_text_thoughts_and_usage(self) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
        pieces = ask(
            STREAM
            + b": keep-alive\n\n"
            + event(role="assistant", content="")
            + event(reasoning_content="Hm.")
            + event(content="Hi")
            + event(content=" there 🦄")
            + event(finish_reason="stop")
            + f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode()
            + b"data: [DONE]\n\n"
        )
        assert pieces == [Thought("Hm."), Text("Hi"), Text(" there 🦄"), Usage(9, 3, 4)]

    def test_calls_in_fragments(self) -> None:
        def call(index: int, **fragment: Any) -> bytes:
            return event(tool_calls=[{"index": index, **fragment}])

        pieces = ask(
            STREAM
            + call(0, id="a", function={"name": "light", "arguments": ""})
            + call(0, function={"arguments": '{"on":'})
            + call(1, id="b", function={"name": "time", "arguments": ""})
            + call(0, function={"arguments": " true}"})
            + event(finish_reason="tool_calls")
            + b"data: [DONE]\n\n"
        )
        assert pieces == [FunctionCall("a", "light", {"on": True}), FunctionCall("b", "time", {})]

    def test_a_stream_without_done_is_complete_after_its_last_choice(self) -> None:
        assert ask(STREAM + event(content="Hi") + event(finish_reason="stop")) == [Text("Hi")]


SEEN = Message("user", (Image("image/png", b"\x89PNG"), Heard("What is ", 0, 9), Text("this?")))
TOLD = "[image: image/png, which you cannot see]\nWhat is this?"
SHOWN = [
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
    {"type": "text", "text": "What is "},
    {"type": "text", "text": "this?"},
]


class TestThinking:
    @pytest.mark.parametrize(
        ("field", "tokens", "sent"),
        [
            ("", 512, {}),
            ("reasoning_effort", 0, {"reasoning_effort": "minimal"}),
            ("reasoning_effort", 512, {"reasoning_effort": "medium"}),
            ("reasoning_effort", 8192, {"reasoning_effort": "high"}),
            ("enable_thinking", 0, {"chat_template_kwargs": {"enable_thinking": False}}),
            ("enable_thinking", 1, {"chat_template_kwargs": {"enable_thinking": True}}),
        ],
    )
    def test_is_asked_for_by_the_endpoints_own_field(
        self, field: openai.Thinking, tokens: int, sent: dict[str, Any]
    ) -> None:
        assert openai.thinking_options(tokens, field) == sent

    def test_is_told_apart_where_the_endpoint_does_not(self) -> None:
        answer = (
            STREAM
            + event(content="<thi")
            + event(content="nk>Hm.</think>\n\nYes")
            + event(content=".")
            + b"data: [DONE]\n\n"
        )
        assert ask(answer) == [Thought("Hm."), Text("Yes"), Text(".")]

    def test_another_field_is_refused(self) -> None:
        with pytest.raises(EngineError, match="thinking = 'much' is none of"):
            load_engine("llm", "openai:http://127.0.0.1:9/v1", resources(model="mine", thinking="much"))


class TestCallsAreHeldToTheirDeclaration:
    def test_arguments_that_it_does_not_allow_are_malformed(self) -> None:
        declared = FunctionDeclaration(
            "light", parameters={"type": "object", "properties": {"on": {"type": "boolean"}}}
        )
        call = FunctionCall("", "light", {"on": "yes"})
        with pytest.raises(MalformedCallError, match="light with arguments that it does not take"):
            openai._check_call(call, [declared])
        assert openai._check_call(FunctionCall("", "light", {"on": True}), [declared]).args == {"on": True}


class TestWatching:
    @pytest.mark.parametrize(
        ("answer", "likely"),
        [
            ("It is the exit.\nSPEAK: yes", 1.0),
            ("There is no exit, so no need to speak. SPEAK: No.", 0.0),
            ("**SPEAK:** Yes", 1.0),
            ("Yes", 1.0),
            ("No, I was asked for an exit. Yes, I was.", 1.0),
            ("No.", 0.0),
            ("Yesterday I saw it.", 0.0),
            ("I should speak up: it is the exit.", 0.0),
            ("", 0.0),
        ],
    )
    def test_a_verdict_is_found_however_it_is_written(self, answer: str, likely: float) -> None:
        assert openai.parse_verdict(answer) == likely

    def test_the_model_is_asked_with_the_conversation_and_the_image(self) -> None:
        requests: list[dict[str, Any]] = []

        async def write(writer: asyncio.StreamWriter) -> None:
            answer = "<think>Is it? No.</think>It is the exit.\nSPEAK: yes"
            writer.write(STREAM + event(content=answer, finish_reason="stop") + b"data: [DONE]\n\n")

        async def run() -> float:
            shown = Message("user", (Image("image/png", b"\x89PNG"),))
            said = Message("user", (Text("Look out for an exit."),))
            request = Request("c", (said, shown), "Be brief.", functions=(FunctionDeclaration("f"),), thinking=512)
            async with endpoint(write, requests) as engine:
                return await engine.notices(request)

        assert asyncio.run(run()) == 1.0
        [request] = requests
        assert [m["content"] for m in request["messages"][:-1]] == ["Be brief.", "Look out for an exit."]
        [image, asked] = request["messages"][-1]["content"]
        assert image["image_url"]["url"].startswith("data:image/png")
        assert asked["text"] == openai.NOTICED
        assert (request["temperature"], "tools" in request) == (0.0, False)


class TestImages:
    @pytest.mark.parametrize(
        ("settings", "content"), [({}, SHOWN), ({"images": True}, SHOWN), ({"images": False}, TOLD)]
    )
    def test_are_shown_or_told(self, settings: dict[str, Any], content: Any) -> None:
        requests: list[dict[str, Any]] = []

        async def write(writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM + event(content="A cat.", finish_reason="stop"))

        async def run() -> list[object]:
            async with endpoint(write, requests, **settings) as engine:
                return [piece async for piece in engine.generate(Request("c", (SEEN,)))]

        assert asyncio.run(run()) == [Text("A cat.")]
        assert [request["messages"] for request in requests] == [[{"role": "user", "content": content}]]

    def test_of_a_result_are_told_beside_it(self) -> None:
        result = Message("user", (FunctionResponse("1", "look", {"at": "it"}), Image("image/jpeg", b"\xff\xd8")))
        assert openai.build_body(Request("c", (result,)), "m", images=False)["messages"] == [
            {"role": "tool", "tool_call_id": "1", "content": '{"at": "it"}'},
            {"role": "user", "content": "[image: image/jpeg, which you cannot see]"},
        ]

    def test_is_yes_or_no(self) -> None:
        with pytest.raises(EngineError, match="images = 'no' is neither true nor false"):
            load_engine("llm", "openai:http://127.0.0.1:9/v1", resources(model="mine", images="no"))


class TestFailures:
    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (
                b'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 35\r\n\r\n{"error": {"message": "no memory"}} ',
                r"answered 500: no memory",
            ),
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404: Not Found"),
            (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 900\r\n\r\n" + b"x" * 900, r"answered 502: x{300}$"),
            (STREAM + event(content="Hi"), "ended in the middle"),
            (STREAM, "ended in the middle"),
            (STREAM + b"data: {broken\n\n", r"no JSON: {broken"),
            (STREAM + b"data: [1]\n\n", "no chunk of a completion"),
            (STREAM + b'data: {"error": {"message": "overloaded"}}\n\n', "reports an error: overloaded"),
            (STREAM + b'error: {"message": "overloaded"}\n\n', "reports an error: overloaded"),
            (STREAM.replace(b"Connection", b"Content-Length: 999\r\nConnection") + event(content="Hi"), "Protocol"),
            (b"garbage\r\n\r\n", "Protocol"),
            (b"", "Protocol"),
        ],
    )
    def test_what_went_wrong_is_said(self, answer: bytes, message: str) -> None:
        with pytest.raises(LLMError, match=message):
            ask(answer)

    @pytest.mark.parametrize(("arguments", "message"), [("{", "broken arguments: {"), ("[1]", r"no object: \[1\]")])
    def test_arguments_that_cannot_be_read_are_the_models_fault(self, arguments: str, message: str) -> None:
        call = event(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": arguments}}])
        with pytest.raises(MalformedCallError, match=message):
            ask(STREAM + call + event(finish_reason="tool_calls"))

    def test_nobody_there(self) -> None:
        async def run() -> None:
            async with endpoint(lambda writer: asyncio.sleep(0)) as engine:
                pass
            engine = OpenAILLM(engine._url.removesuffix("/chat/completions"), "fake")
            with pytest.raises(LLMError, match="ConnectError"):
                await anext(engine.generate(HELLO))
            await engine.close()

        asyncio.run(run())

    @pytest.mark.parametrize("begin", [b"", STREAM, STREAM + event(content="Hi")])
    def test_cancelling_closes_the_connection(self, begin: bytes) -> None:
        async def run() -> None:
            begun, closed = asyncio.Event(), asyncio.Event()

            async def hang(writer: asyncio.StreamWriter) -> None:
                writer.write(begin)
                await writer.drain()
                begun.set()
                while not writer.is_closing():
                    writer.write(b": still here\n\n" if begin else b"")
                    await asyncio.sleep(0.01)
                closed.set()

            async def read(engine: OpenAILLM) -> None:
                async for _ in engine.generate(HELLO):
                    pass

            async with endpoint(hang) as engine:
                task = asyncio.create_task(read(engine))
                await begun.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                if begin:
                    await asyncio.wait_for(closed.wait(), 5)
                assert not engine._endpoint.client._transport._pool.connections  # type: ignore[attr-defined]

        asyncio.run(run())

    def test_leaving_early_closes_the_connection(self) -> None:
        async def endless(writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM)
            while not writer.is_closing():
                writer.write(event(content="more "))
                await asyncio.sleep(0)

        async def run() -> None:
            async with endpoint(endless) as engine, aclosing(engine.generate(HELLO)) as reply:  # type: ignore[type-var]
                assert await anext(reply) == Text("more ")

        asyncio.run(run())


class TestFactory:
    @pytest.mark.parametrize("spec", ["openai", "openai:", "openai:127.0.0.1:8000"])
    def test_no_url(self, spec: str) -> None:
        with pytest.raises(EngineError, match="is no URL"):
            load_engine("llm", spec, resources())

    def test_no_server(self) -> None:
        with pytest.raises(EngineError, match="does not answer"):
            load_engine("llm", "openai:http://127.0.0.1:9/v1", resources())

    def test_a_named_model_needs_no_server_yet(self) -> None:
        engine = load_engine("llm", "openai:http://127.0.0.1:9/v1/", resources(model="mine", api_key="secret"))
        assert engine.model == "mine"
        assert engine._url == "http://127.0.0.1:9/v1/chat/completions"
        assert engine._endpoint.client.headers["authorization"] == "Bearer secret"

    def test_the_key_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENLIVE_OPENAI_API_KEY", "from outside")
        engine = load_engine("llm", "openai:http://127.0.0.1:9/v1", resources(model="mine"))
        assert engine._endpoint.client.headers["authorization"] == "Bearer from outside"


class TestBody:
    def test_what_is_open_is_left_open(self) -> None:
        assert openai.build_body(HELLO, "m") == {
            "model": "m",
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    @pytest.mark.parametrize("images", [True, False])
    def test_how_it_was_said_comes_behind_the_words(self, images: bool) -> None:
        glad, seen = Heard("I got the job.", 0, 9, "en", "excited"), Image("image/png", b"\x89PNG")
        alone, beside = Request("c", (Message("user", (glad,)),)), Request("c", (Message("user", (seen, glad)),))
        [message] = openai.build_body(alone, "m", images=images)["messages"]
        assert message["content"] == "I got the job. (My voice is lively.)"
        assert "I got the job. (My voice is lively.)" in str(openai.build_body(beside, "m", images=images)["messages"])

    def test_sampling_and_functions(self) -> None:
        request = Request(
            "c", (), "Be brief.", (FunctionDeclaration("f", "does"),), Sampling(0.0, 0.9, 5, 7, 0.1, 0.2, 3)
        )
        body = openai.build_body(request, "m")
        assert body["messages"] == [{"role": "system", "content": "Be brief."}]
        assert (body["temperature"], body["top_p"], body["top_k"], body["max_tokens"], body["seed"]) == (
            0.0,
            0.9,
            5,
            7,
            3,
        )
        function = {"name": "f", "description": "does", "parameters": {"type": "object", "properties": {}}}
        assert body["tools"] == [{"type": "function", "function": function}]

    def test_parts(self) -> None:
        messages = (
            Message("user", (Heard("What is ", 0, 9), Text("this?"), Image("image/png", b"\x89PNG"))),
            Message("model", (Thought("Hm."), FunctionCall("1", "look", {"at": "it"}))),
            Message("user", (FunctionResponse("1", "look", {"seen": "Straße"}), Text("And?"))),
            Message("model", (Text("A street."),)),
            Message("system", (Text("Hurry."),)),
        )
        assert openai.build_body(Request("c", messages), "m")["messages"] == [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is "},
                    {"type": "text", "text": "this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                ],
            },
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": '{"seen": "Straße"}'},
            {"role": "user", "content": "And?"},
            {"role": "assistant", "content": "A street."},
            {"role": "user", "content": "(Told what to say: Hurry.)"},
        ]


@pytest.fixture(scope="module")
def llamacpp_server() -> Iterator[tuple[str, str]]:
    """URL and key of llama.cpp's own HTTP server."""
    folder = models.path("smollm2-135m")
    if folder is None:
        pytest.skip("openlive models fetch smollm2-135m")
    import xllamacpp

    params = xllamacpp.CommonParams()
    [path] = folder.glob("*.gguf")
    params.model.path = str(path)
    params.n_ctx = 1024
    params.port = 0
    params.verbosity = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    key = secrets.token_urlsafe(16)
    params.api_keys = [key]
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1", key
    del server


@pytest.mark.weights
class TestLlamaCppServer:
    def test_a_reply(self, llamacpp_server: tuple[str, str]) -> None:
        url, key = llamacpp_server
        engine = load_engine("llm", f"openai:{url}", resources(api_key=key))
        request = Request("c", HELLO.messages, "Be brief.", sampling=Sampling(temperature=0, max_tokens=12))

        async def run() -> None:
            *texts, usage = [piece async for piece in engine.generate(request)]
            assert len(texts) > 3
            assert all(isinstance(piece, Text) for piece in texts)
            assert isinstance(usage, Usage)
            assert 0 < usage.completion <= 12
            await engine.prefill(request)
            engine.forget("c")
            await engine.close()

        asyncio.run(run())

    def test_a_wrong_key(self, llamacpp_server: tuple[str, str]) -> None:
        url, _ = llamacpp_server
        engine = load_engine("llm", f"openai:{url}", resources(api_key="wrong", model="any"))

        async def run() -> None:
            with pytest.raises(LLMError, match=r"answered 401 \(authentication_error\): Invalid API Key"):
                await anext(engine.generate(HELLO))
            await engine.close()

        asyncio.run(run())

    def test_a_prompt_that_is_too_long(self, llamacpp_server: tuple[str, str]) -> None:
        url, key = llamacpp_server
        engine = load_engine("llm", f"openai:{url}", resources(api_key=key))
        request = Request("c", (Message("user", (Text("word " * 2000),)),))

        async def run() -> None:
            with pytest.raises(LLMError, match="exceeds the available context size"):
                await anext(engine.generate(request))
            await engine.close()

        asyncio.run(run())

    def test_cancelling_stops_the_work(self, llamacpp_server: tuple[str, str]) -> None:
        url, key = llamacpp_server
        engine = load_engine("llm", f"openai:{url}", resources(api_key=key))
        endless = Request("c", (Message("user", (Text("Write a long story."),)),), sampling=Sampling(max_tokens=900))

        async def run() -> float:
            async with aclosing(engine.generate(endless)) as reply:
                await anext(reply)
            begun = time.perf_counter()
            # The server has one slot: it answers when the cancelled reply no longer holds it.
            async for _ in engine.generate(Request("d", HELLO.messages, sampling=Sampling(max_tokens=1))):
                pass
            await engine.close()
            return time.perf_counter() - begun

        assert asyncio.run(run()) < 5


def test_heic_is_converted_once_and_what_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[bytes] = []

    def convert(data: bytes) -> bytes:
        converted.append(data)
        if b"broken" in data:
            raise ValueError
        return b"\xff\xd8"

    monkeypatch.setattr(images, "to_jpeg", convert)
    monkeypatch.setattr(openai, "CONVERTED", 2)
    monkeypatch.setattr(openai, "_CONVERTED", {})
    shown = tuple(Image("image/heic", f"....ftyp {name}".encode()) for name in ("one", "broken"))
    for _ in range(3):
        [told] = openai.build_body(Request("c", (Message("user", shown),)), "m")["messages"]
        assert told["content"] == [
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9g="}},
            {"type": "text", "text": openai.UNREADABLE},
        ]
    assert converted == [image.data for image in shown]
    openai.build_body(Request("c", (Message("user", (Image("image/heif", b"....ftyp another"),)),)), "m")
    assert len(openai._CONVERTED) == 2
