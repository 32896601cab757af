"""Any endpoint that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp's own server, a hosted one.

Settings: `model` (default: the first one that the endpoint lists), `api_key` (default: the environment variable
OPENLIVE_OPENAI_API_KEY) and `images` (default true; false for a model that cannot see: it is told in words that there
was one). What a request leaves open is left to the endpoint.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, suppress
from typing import Any, Literal, get_args

import httpx

from openlive.engines import prompt
from openlive.engines.prompt import LLMError, MalformedCallError
from openlive.engines.proxies import takes_proxy
from openlive.engines.registry import EngineError, Resources
from openlive.engines.schemas import complaint
from openlive.engines.thoughts import Splitter
from openlive.types import (
    FunctionCall,
    FunctionDeclaration,
    FunctionResponse,
    Heard,
    Image,
    Message,
    Request,
    Text,
    Thought,
    Usage,
)

_TIMEOUT = httpx.Timeout(60, connect=5)
"""A silence of a minute is taken for a dead connection; how long a first token may take is up to the caller."""
Thinking = Literal["", "reasoning_effort", "enable_thinking"]
"""The field by which an endpoint is told how much to think; '': it is not told."""
_EFFORTS = {"minimal": 64, "low": 256, "medium": 1024, "high": math.inf}
"""Up to how many tokens a level is meant. OpenAI's names; those that are not known everywhere are left out."""
_EXCERPT = 300
"""Characters of somebody else's error message that are passed on."""


class OpenAI:
    def __init__(
        self, url: str, model: str, api_key: str = "", *, images: bool = True, thinking: Thinking = ""
    ) -> None:
        self.model = model
        self.sees = images
        self._thinking = thinking
        self._url = f"{url}/chat/completions"
        self._client = httpx.AsyncClient(**_client_options(url, api_key))

    async def generate(self, request: Request) -> AsyncIterator[Thought | Text | FunctionCall | Usage]:
        calls, answer = _Calls(), Splitter()
        usage: Usage | None = None
        asked = body(request, self.model, images=self.sees) | thinking(request.thinking, self._thinking)
        try:
            async with aclosing(self._events(asked)) as events:
                async for data in events:
                    usage = _usage(data) or usage
                    for choice in data.get("choices") or ():
                        delta = choice.get("delta") or {}
                        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
                            yield Thought(thought)
                        for piece in answer.feed(delta.get("content") or ""):
                            yield piece
                        calls.add(delta.get("tool_calls") or ())
        except httpx.HTTPError as error:
            raise LLMError(f"{self._url}: {type(error).__name__} {error}".rstrip()) from error
        for piece in answer.rest():
            yield piece
        for call in calls.complete():
            yield _checked(call, request.functions)
        if usage:
            yield usage

    async def _events(self, content: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The events of the stream. Raises `LLMError` where one reports an error, is broken, or the end is missing."""
        complete = False
        async with self._client.stream("POST", self._url, json=content) as response:
            if response.is_error:
                raise LLMError(_refusal(response, await response.aread()))
            async for line in response.aiter_lines():
                if line.removeprefix("data:").strip() == "[DONE]":
                    return
                if data := _event(line):
                    complete = complete or any(choice.get("finish_reason") for choice in data.get("choices") or ())
                    yield data
        if not complete:
            raise LLMError(f"{self._url}: the stream ended in the middle of the reply.")

    async def prefill(self, request: Request) -> None:
        """Nothing: the endpoint keeps its own caches, and a request only for them would cost a reply."""

    def forget(self, conversation: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        await self._client.aclose()


def create(argument: str, resources: Resources) -> OpenAI:
    """`argument` is the endpoint's base URL, with its `/v1`."""
    url = argument.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise EngineError(f"{argument!r} is no URL. Write openai:http://127.0.0.1:8000/v1, for example.")
    api_key = str(resources.settings.get("api_key") or os.environ.get("OPENLIVE_OPENAI_API_KEY", ""))
    model = str(resources.settings.get("model") or _first_model(url, api_key))
    images = resources.settings.get("images", True)
    if not isinstance(images, bool):
        raise EngineError(f"openai: images = {images!r} is neither true nor false.")
    thinking = resources.settings.get("thinking", "")
    if thinking not in get_args(Thinking):
        raise EngineError(f"openai: thinking = {thinking!r} is none of reasoning_effort, enable_thinking and ''.")
    return OpenAI(url, model, api_key, images=images, thinking=thinking)


def _first_model(url: str, api_key: str) -> str:
    try:
        with httpx.Client(**_client_options(url, api_key)) as client:
            response = client.get(f"{url}/models")
        if response.is_error:
            raise EngineError(_refusal(response, response.content))
        return str(response.json()["data"][0]["id"])
    except httpx.HTTPError as error:
        raise EngineError(f"{url} does not answer ({error}). Is the server running?") from error
    except (ValueError, LookupError, TypeError) as error:
        raise EngineError(f"{url}/models lists no model; set `model` in the engine's settings.") from error


def _client_options(url: str, api_key: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return {"headers": headers, "timeout": _TIMEOUT, "trust_env": takes_proxy(url)}


def body(request: Request, model: str, *, images: bool = True) -> dict[str, Any]:
    """The request as the endpoint takes it, with the images themselves or what can be said of them."""
    system = [{"role": "system", "content": request.instructions}] if request.instructions else []
    messages = [entry for message in request.messages for entry in _entries(message, images=images)]
    sampling = request.sampling
    options = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": sampling.seed,
        "tools": [_tool(function) for function in request.functions] or None,
    }
    return {
        "model": model,
        "messages": system + messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in options.items() if value is not None},
    }


def thinking(tokens: int, field: Thinking) -> dict[str, Any]:
    """How an endpoint is told to think for so many tokens: `reasoning_effort` (OpenAI's, and gpt-oss elsewhere) knows
    levels, `enable_thinking` (templates of Qwen3 and others on vLLM, SGLang and llama.cpp) only yes and no."""
    match field:
        case "reasoning_effort":
            return {"reasoning_effort": next(level for level, most in _EFFORTS.items() if tokens <= most)}
        case "enable_thinking":
            return {"chat_template_kwargs": {"enable_thinking": tokens > 0}}
        case "":
            return {}


def _tool(function: FunctionDeclaration) -> dict[str, Any]:
    described = {
        "name": function.name,
        "description": function.description,
        "parameters": function.parameters or {"type": "object", "properties": {}},
    }
    return {"type": "function", "function": described}


def _entries(message: Message, *, images: bool) -> list[dict[str, Any]]:
    """One of our messages as theirs: results of functions are messages of their own and come first."""
    results = [
        {"role": "tool", "tool_call_id": p.id or p.name, "content": json.dumps(p.response, ensure_ascii=False)}
        for p in message.parts
        if isinstance(p, FunctionResponse)
    ]
    calls = [_call(p) for p in message.parts if isinstance(p, FunctionCall)]
    content = _content(message, images=images)
    if not (content or calls):
        return results
    entry: dict[str, Any] = {"role": "assistant" if message.role == "model" else message.role, "content": content}
    if calls:
        entry["tool_calls"] = calls
    return [*results, entry]


def _call(part: FunctionCall) -> dict[str, Any]:
    function = {"name": part.name, "arguments": json.dumps(part.args, ensure_ascii=False)}
    return {"id": part.id or part.name, "type": "function", "function": function}


def _content(message: Message, *, images: bool) -> str | list[dict[str, Any]]:
    """A plain string where there is nothing but text: not every endpoint takes parts."""
    if not any(isinstance(part, Image) for part in message.parts):
        return message.text
    if not images:
        said = tuple(part for part in message.parts if isinstance(part, Text | Heard | Image))
        return prompt.content(Message(message.role, said))
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case Image():
                url = f"data:{part.mime};base64,{base64.b64encode(part.data).decode()}"
                parts.append({"type": "image_url", "image_url": {"url": url}})
            case Text() | Heard():
                parts.append({"type": "text", "text": part.text})
    return parts


def _event(line: str) -> dict[str, Any] | None:
    field, _, value = line.partition(":")
    if field not in {"data", "error"} or not (value := value.strip()):
        return None
    try:
        data = json.loads(value)
    except ValueError as error:
        raise LLMError(f"The endpoint sent what is no JSON: {value[:_EXCERPT]}") from error
    if not isinstance(data, dict):
        raise LLMError(f"The endpoint sent what is no chunk of a completion: {value[:_EXCERPT]}")
    if field == "error" or data.get("error"):
        raise LLMError(f"The endpoint reports an error: {_message(data)[:_EXCERPT]}")
    return data


def _usage(data: dict[str, Any]) -> Usage | None:
    usage = data.get("usage")
    if not usage:
        return None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0, cached)


def _refusal(response: httpx.Response, content: bytes) -> str:
    text = content.decode(errors="replace").strip()
    with suppress(ValueError):
        text = _message(json.loads(text))
    return f"{response.request.url} answered {response.status_code}: {text[:_EXCERPT] or response.reason_phrase}"


def _message(data: Any) -> str:
    """What an error body says, in the dialects that there are."""
    error = data.get("error", data) if isinstance(data, dict) else data
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def _checked(call: FunctionCall, functions: Iterable[FunctionDeclaration]) -> FunctionCall:
    """Raises `MalformedCallError` for arguments that the function's declaration does not allow."""
    for function in functions:
        if function.name == call.name and (wrong := complaint(call.args, function.parameters)):
            raise MalformedCallError(f"The endpoint called {call.name} with arguments that it does not take: {wrong}")
    return call


class _Calls:
    """Function calls arrive in fragments, several at once, told apart by their index."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, str]] = {}

    def add(self, fragments: Iterable[dict[str, Any]]) -> None:
        for fragment in fragments:
            call = self._calls.setdefault(fragment.get("index", 0), {"id": "", "name": "", "arguments": ""})
            function = fragment.get("function") or {}
            call["id"] = fragment.get("id") or call["id"]
            call["name"] += function.get("name") or ""
            call["arguments"] += function.get("arguments") or ""

    def complete(self) -> list[FunctionCall]:
        return [FunctionCall(c["id"], c["name"], _arguments(c["arguments"])) for c in self._calls.values()]


def _arguments(text: str) -> dict[str, Any]:
    """Raises `MalformedCallError`."""
    try:
        arguments = json.loads(text or "{}")
    except ValueError as error:
        raise MalformedCallError(f"The model called a function with broken arguments: {text[:_EXCERPT]}") from error
    if not isinstance(arguments, dict):
        raise MalformedCallError(f"The model called a function with arguments that are no object: {text[:_EXCERPT]}")
    return arguments
