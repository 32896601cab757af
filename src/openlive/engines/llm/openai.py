"""Any endpoint that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp's own server, a hosted one.

Settings: `model` (default: the first one that the endpoint lists), `api_key` (default: the environment variable
OPENLIVE_OPENAI_API_KEY) and `images` (default true; false for a model that cannot see: it is told in words that there
was one). What a request leaves open is left to the endpoint.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import Any, Literal, get_args

import httpx
import msgspec
from msgspec.structs import replace

from openlive.engines.api import EngineError, Resources
from openlive.engines.llm.functions.schemas import find_argument_violation
from openlive.engines.llm.openai_stream import CallAssembler, StreamChunk, parse_event
from openlive.engines.llm.prompt import conversation
from openlive.engines.llm.prompt.conversation import LLMError, MalformedCallError
from openlive.engines.llm.think_tags import ThoughtSplitter
from openlive.engines.runtime.http_endpoint import (
    Endpoint,
    EndpointError,
    find_key_and_model,
    loggable_url,
    parse_base_url,
    read_lines,
)
from openlive.engines.runtime.workers import WorkerPool
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
    Written,
)

Thinking = Literal["", "reasoning_effort", "enable_thinking"]
"""The field by which an endpoint is told how much to think; '': it is not told."""
_EFFORTS = {"minimal": 64, "low": 256, "medium": 1024, "high": math.inf}
"""Up to how many tokens a level is meant. OpenAI's names; those that are not known everywhere are left out."""


NOTICED = (
    "(This is what the camera shows now; nobody has said anything. Does it show something that you were asked to speak"
    " up about by yourself, and have not spoken about yet? Give the reason in one short sentence, and then in a line of"
    " its own the verdict: SPEAK: yes, or SPEAK: no.)"
)
"""Follows the image."""
VERDICT = 1024
"""Tokens of the answer to it: some models cannot be kept from thinking first."""
LONGEST = 1 << 20
"""Characters of a reply with its thoughts, whatever limit of tokens it has."""
PART = 4096
"""Characters that are handed on at once: some endpoints send a whole reply in one piece."""
_CONVERTING = threading.Lock()
_CONVERTED: dict[tuple[int, int], bytes] = {}
CONVERTED = 64
"""Pictures in HEIC of which the JPEG is kept, of all sessions together; some 0.3 MB each."""
UNREADABLE = "(I am showing you a picture, but it is broken, so that you cannot see anything of it.)"
_VERDICTS = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


class OpenAILLM:
    def __init__(
        self, url: str, model: str, api_key: str = "", *, images: bool = True, thinking: Thinking = ""
    ) -> None:
        self.model = model
        self.sees = images
        self._thinking = thinking
        self._url = f"{url}/chat/completions"
        self._endpoint = Endpoint(url, api_key)
        self._workers = WorkerPool(1, "openlive-openai")

    async def generate(self, request: Request) -> AsyncIterator[Written]:
        calls, answer = CallAssembler(), ThoughtSplitter()
        usage: Usage | None = None
        written = 0
        try:
            async with aclosing(
                self._stream_events(await self._workers.run(lambda _: self._encode_request(request)))
            ) as events:
                async for chunk in events:
                    usage = chunk.valid_usage or usage
                    for delta in chunk.deltas:
                        written += len(delta.content or "") + len(delta.reasoning_content or delta.reasoning or "")
                        if written > LONGEST:
                            raise LLMError(f"The endpoint writes without end: more than {LONGEST} characters")
                        for thought in _split_text(delta.reasoning_content or delta.reasoning or ""):
                            yield Thought(thought)
                        for part in _split_text(delta.content or ""):
                            for piece in answer.feed(part):
                                yield piece
                            await asyncio.sleep(0)
                        calls.add_fragments(delta.tool_calls or ())
        except EndpointError as error:
            raise LLMError(error.plain, error.words) from error
        for piece in answer.flush():
            yield piece
        for call in await self._workers.run(lambda _: [_check_call(c, request.functions) for c in calls.build_calls()]):
            yield call
        if usage:
            yield usage

    def _encode_request(self, request: Request) -> bytes:
        """In a thread: images and long conversations take a while."""
        asked = build_body(request, self.model, images=self.sees) | thinking_options(request.thinking, self._thinking)
        return msgspec.json.encode(asked)

    async def _stream_events(self, content: bytes) -> AsyncGenerator[StreamChunk, None]:
        """The events of the stream. Raises `LLMError` where one reports an error, is broken, or the end is missing, and
        `EndpointError`."""
        complete = False
        async with (
            self._endpoint.post(self._url, content=content, headers={"Content-Type": "application/json"}) as response,
            aclosing(read_lines(response)) as received,
        ):
            async for line in received:
                if line.removeprefix(b"data:").strip() == b"[DONE]":
                    return
                if chunk := parse_event(line):
                    complete = complete or chunk.is_finished
                    yield chunk
        if not complete:
            raise LLMError(f"{loggable_url(httpx.URL(self._url))}: the stream ended in the middle of the reply.")

    async def prefill(self, request: Request) -> None:
        """Once somebody speaks, sees to a connection. The endpoint keeps its own caches, and a request only for them
        would cost a reply."""
        if request.messages:
            await self._endpoint.warm_connection()

    async def notices(self, request: Request) -> float:
        """What the model itself says to that, with the conversation and its images before it."""
        last = request.messages[-1]
        asked = replace(
            request,
            messages=(*request.messages[:-1], replace(last, parts=(*last.parts, Text(NOTICED)))),
            functions=(),
            sampling=Sampling(temperature=0.0, max_tokens=VERDICT),
            thinking=0,
        )
        async with aclosing(self.generate(asked)) as pieces:  # type: ignore[type-var]
            return parse_verdict("".join([piece.text async for piece in pieces if isinstance(piece, Text)]))

    def forget(self, conversation: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        await self._endpoint.close()
        self._workers.close()


def create(argument: str, resources: Resources) -> OpenAILLM:
    """`argument` is the endpoint's base URL, with its `/v1`."""
    url = parse_base_url(argument)
    api_key, model = find_key_and_model(url, resources)
    images = resources.settings.get("images", True)
    if not isinstance(images, bool):
        raise EngineError(f"openai: images = {images!r} is neither true nor false.")
    thinking = resources.settings.get("thinking", "")
    if thinking not in get_args(Thinking):
        raise EngineError(f"openai: thinking = {thinking!r} is none of reasoning_effort, enable_thinking and ''.")
    return OpenAILLM(url, model, api_key, images=images, thinking=thinking)


def build_body(request: Request, model: str, *, images: bool = True) -> dict[str, Any]:
    """The request as the endpoint takes it, with the images themselves or what can be said of them."""
    system = [{"role": "system", "content": request.instructions}] if request.instructions else []
    messages = [entry for message in request.messages for entry in _to_entries(message, images=images)]
    sampling = request.sampling
    options = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
        "tools": [_to_tool(function) for function in request.functions] or None,
    }
    return {
        "model": model,
        "messages": system + messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in options.items() if value is not None},
    }


def _split_text(text: str) -> Iterator[str]:
    return (text[i : i + PART] for i in range(0, len(text), PART))


def parse_verdict(answer: str) -> float:
    """1 where the answer comes to yes: after the last "speak" in it, else by its last yes or no."""
    found = _VERDICTS.findall(answer.lower().rpartition("speak")[2]) or _VERDICTS.findall(answer)
    return float(bool(found) and found[-1].lower() == "yes")


def thinking_options(tokens: int, field: Thinking) -> dict[str, Any]:
    """How an endpoint is told to think for so many tokens: `reasoning_effort` (OpenAI's, and gpt-oss elsewhere) knows
    levels, `enable_thinking` (templates of Qwen3 and others on vLLM, SGLang and llama.cpp) only yes and no."""
    match field:
        case "reasoning_effort":
            return {"reasoning_effort": next(level for level, most in _EFFORTS.items() if tokens <= most)}
        case "enable_thinking":
            return {"chat_template_kwargs": {"enable_thinking": tokens > 0}}
        case "":
            return {}


def _to_tool(function: FunctionDeclaration) -> dict[str, Any]:
    described = {
        "name": function.name,
        "description": function.description,
        "parameters": function.parameters or {"type": "object", "properties": {}},
    }
    return {"type": "function", "function": described}


def _to_entries(message: Message, *, images: bool) -> list[dict[str, Any]]:
    """One of our messages as theirs: results of functions are messages of their own and come first."""
    results = [
        {"role": "tool", "tool_call_id": p.id or p.name, "content": json.dumps(p.response, ensure_ascii=False)}
        for p in message.parts
        if isinstance(p, FunctionResponse)
    ]
    calls = [_to_tool_call(p) for p in message.parts if isinstance(p, FunctionCall)]
    content = _to_content(message, images=images)
    if not (content or calls):
        return results
    if message.role == "system" and isinstance(content, str):  # templates take one system message, at the front
        content = f"({conversation.WISH.format(content)})"
    entry: dict[str, Any] = {"role": "assistant" if message.role == "model" else "user", "content": content}
    if calls:
        entry["tool_calls"] = calls
    return [*results, entry]


def _to_tool_call(part: FunctionCall) -> dict[str, Any]:
    function = {"name": part.name, "arguments": json.dumps(part.args, ensure_ascii=False)}
    return {"id": part.id or part.name, "type": "function", "function": function}


def _to_image_part(image: Image) -> dict[str, Any]:
    """As it was sent, but for HEIC, which hardly an endpoint reads."""
    mime, data = image.mime, image.data
    if mime in ("image/heic", "image/heif"):
        mime, data = "image/jpeg", _heic_to_jpeg(data)
    if not data:
        return {"type": "text", "text": UNREADABLE}
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{base64.b64encode(data).decode()}"}}


def _heic_to_jpeg(data: bytes) -> bytes:
    """The image as a JPEG, b"" if it cannot be read. It comes again with each request of the conversation."""
    from openlive.engines.images import to_jpeg

    key = len(data), hash(data)
    with _CONVERTING:  # one at a time: a picture may take 200 MB
        if key not in _CONVERTED:
            try:
                _CONVERTED[key] = to_jpeg(data)
            except ValueError:
                _CONVERTED[key] = b""
            if len(_CONVERTED) > CONVERTED:
                del _CONVERTED[next(iter(_CONVERTED))]
        return _CONVERTED[key]


def _to_content(message: Message, *, images: bool) -> str | list[dict[str, Any]]:
    """A plain string where there is nothing but text: not every endpoint takes parts."""
    if not any(isinstance(part, Image) for part in message.parts):
        return "".join(p.text + conversation.mood_remark(p) for p in message.parts if isinstance(p, Text | Heard))
    if not images:
        said = tuple(part for part in message.parts if isinstance(part, Text | Heard | Image))
        return conversation.render_message(Message(message.role, said))
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case Image():
                parts.append(_to_image_part(part))
            case Text() | Heard():
                parts.append({"type": "text", "text": part.text + conversation.mood_remark(part)})
    return parts


def _check_call(call: FunctionCall, functions: Iterable[FunctionDeclaration]) -> FunctionCall:
    """Raises `MalformedCallError` for arguments that the function's declaration does not allow."""
    for function in functions:
        if function.name == call.name and (wrong := find_argument_violation(call.args, function.parameters)):
            raise MalformedCallError(f"The endpoint called {call.name} with arguments that it does not take", wrong)
    return call
