"""What an endpoint of OpenAI's chat completions streams, read and checked: nothing in it is taken for granted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from openlive.engines.llm.prompt.conversation import LLMError, MalformedCallError
from openlive.engines.runtime.http_endpoint import EXCERPT, error_kind, error_message
from openlive.types import FunctionCall, Usage

CALLS = 128
"""Functions that one reply may call."""
CALL_BYTES = 256 << 10
"""Characters of the names and arguments of all calls of a reply."""


class _FunctionFragment(Struct):
    name: str | None = None
    arguments: str | None = None


class CallFragment(Struct):
    """Of a call."""

    index: int | None = None
    id: str | None = None
    function: _FunctionFragment | None = None


class Delta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallFragment] | None = None


class _StreamChoice(Struct):
    delta: Delta | None = None
    finish_reason: Any = None


class StreamChunk(Struct):
    choices: list[_StreamChoice] | None = None
    usage: Any = None
    error: Any = None

    @property
    def deltas(self) -> list[Delta]:
        return [choice.delta for choice in self.choices or () if choice.delta]

    @property
    def is_finished(self) -> bool:
        return any(choice.finish_reason for choice in self.choices or ())

    @property
    def valid_usage(self) -> Usage | None:
        """The reply's usage; None where there is none, or one that is no count."""
        if not isinstance(self.usage, dict):
            return None
        details = self.usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        counts = [
            0 if count is None else count
            for count in (self.usage.get("prompt_tokens"), self.usage.get("completion_tokens"), cached)
        ]
        return Usage(*counts) if all(map(_is_count, counts)) else None


def parse_event(line: bytes) -> StreamChunk | None:
    """A line of the stream; None where it holds no event. Raises `LLMError` where it reports an error or makes no
    sense."""
    field, _, value = line.partition(b":")
    if field not in {b"data", b"error"} or not (value := value.strip()):
        return None
    words = value[: 4 * EXCERPT].decode(errors="replace")[:EXCERPT]
    try:
        if field == b"error":
            error = msgspec.json.decode(value)
        else:
            chunk = msgspec.json.decode(value, type=StreamChunk)
            error = {"error": chunk.error} if chunk.error else None
    except msgspec.ValidationError as wrong:
        raise LLMError("The endpoint sent what is no chunk of a completion", f"{wrong}: {words}") from wrong
    except (ValueError, RecursionError) as wrong:
        raise LLMError("The endpoint sent what is no JSON", words) from wrong
    if error is not None:
        raise LLMError(f"The endpoint reports an error{error_kind(error)}", error_message(error)[:EXCERPT])
    return chunk


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


class CallAssembler:
    """Function calls arrive in fragments, several at once, told apart by their index."""

    def __init__(self) -> None:
        self._calls: dict[int, _PartialCall] = {}
        self._length = 0

    def add_fragments(self, fragments: Iterable[CallFragment]) -> None:
        """Raises `MalformedCallError` for too much."""
        for fragment in fragments:
            call = self._calls.setdefault(fragment.index or 0, _PartialCall())
            function = fragment.function or _FunctionFragment()
            call.id = (fragment.id or call.id)[:CALL_BYTES]
            for pieces, piece in ((call.name, function.name), (call.arguments, function.arguments)):
                if piece:
                    pieces.append(piece)
                    self._length += len(piece)
            if len(self._calls) > CALLS or self._length > CALL_BYTES:
                raise MalformedCallError(
                    f"The model calls functions without end: more than {CALLS} calls or {CALL_BYTES} characters"
                )

    def build_calls(self) -> list[FunctionCall]:
        """Raises `MalformedCallError`."""
        return [
            FunctionCall(c.id, "".join(c.name), _parse_arguments("".join(c.arguments))) for c in self._calls.values()
        ]


class _PartialCall(Struct):
    id: str = ""
    name: list[str] = []
    arguments: list[str] = []


def _parse_arguments(text: str) -> dict[str, Any]:
    """Raises `MalformedCallError`."""
    try:
        arguments = msgspec.json.decode(text or "{}")
    except (ValueError, RecursionError) as error:
        raise MalformedCallError("The model called a function with broken arguments", text[:EXCERPT]) from error
    if not isinstance(arguments, dict):
        raise MalformedCallError("The model called a function with arguments that are no object", text[:EXCERPT])
    return arguments
