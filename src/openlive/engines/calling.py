"""Function calls of models that only write text: how functions are declared, and how a call is told from an answer.

The format is the one that Qwen2.5 was trained on. The embedded models keep to it loosely: they leave out the tags,
write fenced JSON or `<tools>` instead, and talk about a call instead of making it. So any beginning of a call counts,
and what follows is written anew, from `OPEN`, within a grammar (`schemas`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from openlive.engines import schemas
from openlive.engines.prompt import CLOSE, OPEN, MalformedCallError, Piece, starts, written
from openlive.engines.tokens import Tokenize
from openlive.types import FunctionCall, FunctionDeclaration, FunctionResponse, Message

OTHERWISE = (
    "Unless the user asks for what a function does, answer in plain words and short sentences: no JSON, no code, no"
    " lists."
)
"""The last thing that is said before the conversation: without it, the embedded model greets with calls."""
MAX_CALLS = 8
"""Calls in one reply."""
_EXCERPT = 200
"""Characters of a broken call that an error tells."""


def system(functions: Sequence[FunctionDeclaration], instructions: str) -> list[Piece]:
    """The system turn: the functions, then the instructions of the session. Empty where there are neither."""
    instructions = instructions.strip()
    if not functions:
        return [Piece(instructions, "text")] if instructions else []
    last = f"\n\n{instructions}\n\n{OTHERWISE}" if instructions else f"\n\n{OTHERWISE}"
    return [Piece(_declared(functions), "text"), Piece(last, "text")]


def _declared(functions: Sequence[FunctionDeclaration]) -> str:
    lines = "\n".join(_line(function) for function in functions)
    return (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        f"You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{lines}\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments within <tool_call></tool_call>"
        f' XML tags:\n{OPEN}{{"name": <function-name>, "arguments": <args-json-object>}}{CLOSE}\n\n'
        "If several things are asked for, make a call for each of them, one after the other. If no function fits, just"
        " answer normally."
    )


def _line(function: FunctionDeclaration) -> str:
    described: dict[str, Any] = {"name": function.name, "description": function.description}
    described["parameters"] = function.parameters or {"type": "object", "properties": {}}
    return json.dumps(described, ensure_ascii=False)


def is_start(text: str) -> bool:
    """Whether a call may begin with this token."""
    return text.lstrip()[:1] in tuple("`{[<") and not text.startswith("<|")


class Finder:
    """Splits what a model writes into text to be passed on and the beginning of a call.

    Holds back only what may still become one: `<tool_call>`, `<tools>`, or JSON with the name of a declared function,
    bare or fenced. JSON that calls a function which was never declared is found, too, as `unknown`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._held = ""
        self.found = False
        self.unknown = False

    def feed(self, text: str) -> str:
        """The text that is certainly none of a call. Once `found`, nothing more is wanted."""
        self._held += text
        at = 0
        while (start := _FIRST.search(self._held, at)) is not None:
            at = start.start()
            match self._judge(at):
                case True:
                    self.found = True
                    passed, self._held = self._held[:at], ""
                    return passed
                case None:
                    break
                case False:
                    at += 1
        else:
            at = len(self._held)
        passed, self._held = self._held[:at], self._held[at:]
        return passed

    def rest(self) -> str:
        """What was held when the reply ended: no call after all."""
        held, self._held = self._held, ""
        return held

    def _judge(self, at: int) -> bool | None:
        """Whether a call begins there; None: it may."""
        if match := _TAG.match(self._held, at):
            self.unknown = match[0].startswith("</")  # the end of a call that never began
            return True
        if (match := _JSON.match(self._held, at)) is not None:
            if match["name"] in self._names:
                return True
            self.unknown = _ARGUMENTS.match(self._held, match.end()) is not None
            return self.unknown or (None if _ARGUMENTS_BEGUN.fullmatch(self._held, match.end()) else False)
        return None if _TAG_BEGUN.fullmatch(self._held, at) or _JSON_BEGUN.fullmatch(self._held, at) else False


_FIRST = re.compile(r"[`{\[<]")
_TAG = re.compile("</?tool_call>|<tools>")


def _begun(steps: Sequence[str]) -> re.Pattern[str]:
    """Matches every beginning of what the steps match in sequence."""
    pattern = ""
    for step in reversed(steps):
        pattern = f"(?:{step}{pattern})?"
    return re.compile(pattern)


_OPENING = [r"(?:`{1,3}[a-z_]*\s*)?", r"(?:\[\s*)?", r"\{", r"\s*(?:\{\s*)?"]
_KEY = [*'"name"', r"\s*", ":", r"\s*", '"']
_NEXT = [r"\s*", ",", r"\s*", '"', "(?:a|p)", "(?:r|a)", "(?:g|r)"]
_TAG_BEGUN = re.compile("|".join(_begun(tag).pattern for tag in ("<tool_call>", "</tool_call>", "<tools>")))
_JSON = re.compile("".join([*_OPENING, *_KEY, r'(?P<name>[^"\\]*)"']))
_JSON_BEGUN = _begun([*_OPENING, *_KEY, r'[^"\\]*'])
_ARGUMENTS = re.compile("".join(_NEXT))
_ARGUMENTS_BEGUN = _begun(_NEXT)


class Caller(Struct, frozen=True):
    """What a reply needs to make calls: made for each, from its request."""

    functions: tuple[FunctionDeclaration, ...]
    tokenize: Tokenize
    made: frozenset[str] = frozenset()
    """Calls, as `written`, that were made since the user spoke last, or still run: they are not made again."""

    def finder(self) -> Finder:
        return Finder(f.name for f in self.functions)

    def grammar(self, *, loose: bool) -> dict[str, Any]:
        """How llama.cpp draws a call: the likeliest one that is valid. `loose`: with any arguments."""
        return {"temperature": 0, "json_schema": schemas.calls(self.functions, loose=loose)}

    def read(self, text: str) -> FunctionCall:
        """The call that was written. Raises `MalformedCallError` where it is no valid one."""
        try:
            data = json.loads(text)
            name, args = data["name"], data["arguments"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise MalformedCallError(
                f"The model wrote a function call that cannot be read: {text[:_EXCERPT]}"
            ) from None
        function = next((f for f in self.functions if f.name == name), None)
        if function is None:
            raise MalformedCallError(f"The model called {str(name)[:_EXCERPT]!r}, which is no function that it has.")
        if wrong := schemas.complaint(args, function.parameters):
            raise MalformedCallError(f"The model called {name} with arguments that are not valid: {wrong[:_EXCERPT]}")
        return FunctionCall("", name, args)


def made(messages: Sequence[Message], functions: Sequence[FunctionDeclaration]) -> frozenset[str]:
    """The calls, as `written`, that are not made again: those made or answered since the user spoke last, and those
    that still run beside the conversation."""
    recent: set[str] = set()
    running: set[str] = set()
    calls: dict[str, str] = {}
    for message in messages:
        if message.role == "user" and message.text:
            recent.clear()
        starts(message, running, beside(functions))
        for part in message.parts:
            if isinstance(part, FunctionCall):
                calls[part.id] = written(part)
            if isinstance(part, FunctionCall | FunctionResponse):
                recent.add(part.id)
    return frozenset(calls[i] for i in recent | running if i in calls)


def beside(functions: Sequence[FunctionDeclaration]) -> frozenset[str]:
    """The names of those that run while the conversation goes on."""
    return frozenset(f.name for f in functions if not f.blocking)
