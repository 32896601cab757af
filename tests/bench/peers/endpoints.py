"""openlive's own engines behind OpenAI's API, so that every system under test has the same ones.

`python -m tests.bench.peers.endpoints --core 1` serves Moonshine, Qwen2.5 1.5B and Kokoro on one core; with
`--engines scripted` engines that answer after fixed times, with `--engines paced` ones that take as long as the real
ones do on one core of a machine of today. Prints its base URL, and ends when its standard input does.

The model's answers are greedy. While a voice is being rendered the model waits: they share a core, and whoever asks
needs the first sound first.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from email.parser import BytesParser
from typing import Any

import click
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from openlive.audio import AudioError, read_wav
from openlive.cli.bench.server import CHARACTER, DELAYS, REPLY
from openlive.engines.api import LLM, STT, TTS, Resources
from openlive.engines.llm.llamacpp import engine as llamacpp
from openlive.engines.stt import moonshine
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.models import ensure
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS
from openlive.types import Message, Request, Role, Sampling, Speech, Text, Usage, Voice

MODELS = ("model", "ears", "voice")
"""What `GET models` lists; any name is taken."""
ROLES: dict[str, Role] = {"user": "user", "assistant": "model", "system": "system", "developer": "system"}
VOICE = Voice("Puck", "en-US")
ANSWER = "The capital of France is Paris, which is also its largest city."
"""What paced engines say: a sentence of a spoken answer, which all systems can cut as they like."""


class Endpoints:
    """The application. `voice` speaks everything, whatever voice is asked for."""

    def __init__(self, stt: STT, llm: LLM, tts: TTS) -> None:
        self._stt, self._llm, self._tts = stt, llm, tts
        self._rendering = 0
        self._silent = asyncio.Event()
        self._silent.set()
        self.app = Starlette(
            routes=[
                Route("/v1/models", self.models),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/audio/transcriptions", self.transcriptions, methods=["POST"]),
                Route("/v1/audio/speech", self.speech, methods=["POST"]),
            ]
        )

    async def models(self, _: HTTPRequest) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    async def chat(self, http: HTTPRequest) -> Response:
        asked = await http.json()
        request = conversation(asked)
        if not asked.get("stream"):
            return JSONResponse(completion("".join([text async for text in self._written(request)])))
        return StreamingResponse(self._events(request), media_type="text/event-stream")

    async def _events(self, request: Request) -> AsyncIterator[str]:
        yield event({"role": "assistant", "content": ""})
        async with aclosing(self._written(request)) as written:
            async for text in written:
                yield event({"content": text})
        yield event({}, "stop")
        yield "data: [DONE]\n\n"

    async def _written(self, request: Request) -> AsyncGenerator[str]:
        async for piece in self._llm.generate(request):
            if isinstance(piece, Text):
                yield piece.text
            elif isinstance(piece, Usage):
                continue
            await self._silent.wait()

    async def transcriptions(self, http: HTTPRequest) -> Response:
        try:
            pcm = read_wav(form(http.headers["content-type"], await http.body())["file"])
        except (AudioError, KeyError) as error:
            return JSONResponse({"error": {"message": f"There is no WAV file in the field `file`: {error}"}}, 400)

        async def audio() -> AsyncIterator[bytes]:
            yield pcm
            yield b""

        heard = [t async for t in self._stt.transcribe(audio(), languages=("en",)) if t.final]
        return JSONResponse({"text": heard[-1].text})

    async def speech(self, http: HTTPRequest) -> Response:
        asked = await http.json()
        if asked.get("response_format", "mp3") != "pcm":
            return JSONResponse({"error": {"message": "The only response_format here is pcm."}}, 400)
        return StreamingResponse(self._spoken(asked["input"]), media_type="audio/pcm")

    async def _spoken(self, text: str) -> AsyncIterator[bytes]:
        async def clauses() -> AsyncIterator[str]:
            yield text

        with self._renders():
            async for piece in self._tts.speak(clauses(), VOICE):
                yield piece.pcm

    @contextmanager
    def _renders(self) -> Iterator[None]:
        self._rendering += 1
        self._silent.clear()
        try:
            yield
        finally:
            self._rendering -= 1
            if not self._rendering:
                self._silent.set()


def conversation(asked: dict[str, Any]) -> Request:
    """The body of a chat completion as a request of ours. All conversations share one cache, which goes on from what
    they have in common."""
    said = [(entry["role"], written(entry["content"])) for entry in asked["messages"]]
    instructions = "\n\n".join(text for role, text in said if ROLES[role] == "system")
    messages = tuple(Message(ROLES[role], (Text(text),)) for role, text in said if ROLES[role] != "system")
    most = asked.get("max_completion_tokens") or asked.get("max_tokens")
    return Request("endpoint", messages, instructions, sampling=Sampling(temperature=0.0, max_tokens=most))


def written(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def event(delta: dict[str, str], finish: str | None = None) -> str:
    chunk = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps(_document('chat.completion.chunk', chunk))}\n\n"


def completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return _document("chat.completion", {"index": 0, "message": message, "finish_reason": "stop"})


def _document(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "object": kind, "created": int(time.time()), "model": MODELS[0], "choices": [choice]}


def form(kind: str, body: bytes) -> dict[str, bytes]:
    """The fields of multipart/form-data."""
    parsed: Any = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    parts = parsed.get_payload() if parsed.is_multipart() else []
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


def real() -> Endpoints:
    resources = Resources(ensure, threads=1, memory=0)
    model = Resources(ensure, threads=1, memory=0, settings={"threads": 1})
    return Endpoints(
        moonshine.create("", resources), llamacpp.create_qwen_1_5b("", model), kokoro.create("", resources)
    )


def scripted() -> Endpoints:
    return Endpoints(
        ScriptedSTT(delay=DELAYS["stt"], transcripts=("Where is it?",)),
        ScriptedLLM(delay=DELAYS["llm"], replies=(REPLY,)),
        ScriptedTTS(delay=DELAYS["tts"], character=CHARACTER),
    )


class PacedTTS(ScriptedTTS):
    """As long as Kokoro takes for the text: 0.31 s for "Hello there,", 0.84 s for ten words."""

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        async for clause in text:
            await asyncio.sleep(0.17 + 0.012 * len(clause))
            yield self.render_clause(clause)


def paced() -> Endpoints:
    """One thread on a core with AVX-512, on which the engines were chosen: 50 ms for a transcript, 175 for the first
    token of the 1.5B and 50 for each word after it."""
    return Endpoints(
        ScriptedSTT(delay=0.05, transcripts=("What is the capital of France?",)),
        ScriptedLLM(delay=0.175, token=0.05, replies=(ANSWER,)),
        PacedTTS(character=CHARACTER),
    )


ENGINES = {"real": real, "scripted": scripted, "paced": paced}


@click.command()
@click.option("--core", type=click.IntRange(0), help="The only core that it may use.")
@click.option("--engines", default="real", type=click.Choice([*ENGINES]))
def main(core: int | None, engines: str) -> None:
    """Serve the engines until the standard input ends."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    asyncio.run(_serve(ENGINES[engines]))


async def _serve(make: Any) -> None:
    config = uvicorn.Config(
        make().app, host="127.0.0.1", port=0, log_level="warning", timeout_keep_alive=60, lifespan="off"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    click.echo(f"http://127.0.0.1:{port}/v1")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.should_exit = server.force_exit = True
    await serving


if __name__ == "__main__":
    main()
