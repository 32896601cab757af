"""The calls that a model has written, read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from openlive.engines.llm.functions import schemas
from openlive.engines.llm.functions.literals import convert_python_strings
from openlive.engines.llm.functions.stubs import read_signature
from openlive.engines.llm.prompt.conversation import MalformedCallError
from openlive.types import FunctionCall, FunctionDeclaration

_EXCERPT = 200
"""Characters of a broken call that its error shows."""


def parse_calls(text: str, functions: Sequence[FunctionDeclaration]) -> list[FunctionCall]:
    """The calls that were written up to the closing bracket. Raises `MalformedCallError`."""
    calls: list[FunctionCall] = []
    at = 0
    try:
        while text[at] != "]":
            call, at = _parse_call(text, at, functions)
            calls.append(call)
            at += 2 * text.startswith(", ", at)
    except (IndexError, ValueError, StopIteration, RecursionError):
        raise MalformedCallError("The model wrote a function call that cannot be read", text[:_EXCERPT]) from None
    calls = [_convert_arguments(call, functions) for call in calls]
    for call in calls:
        parameters = next(f.parameters for f in functions if f.name == call.name)
        if wrong := schemas.find_argument_violation(call.args, parameters):
            raise MalformedCallError(f"The model called {call.name} with arguments that are not valid", wrong)
    return [call for i, call in enumerate(calls) if call not in calls[:i]]


def _convert_arguments(call: FunctionCall, functions: Sequence[FunctionDeclaration]) -> FunctionCall:
    properties, _ = read_signature(next(f.parameters for f in functions if f.name == call.name))
    described = {name: f"{name} {schema.get('description', '')}" for name, schema in properties.items()}
    args = {name: convert_python_strings(value, described.get(name, name)) for name, value in call.args.items()}
    return FunctionCall(call.id, call.name, args)


def _parse_call(text: str, at: int, functions: Sequence[FunctionDeclaration]) -> tuple[FunctionCall, int]:
    name = next(f.name for f in functions if text.startswith(f.name + "(", at))
    at += len(name) + 1
    args: dict[str, Any] = {}
    while text[at] != ")":
        equals = text.index("=", at)
        key = text[at:equals]
        args[key], at = _parse_value(text, equals + 1)
        at += 2 * text.startswith(", ", at)
    return FunctionCall("", name, args), at + 1


def _parse_value(text: str, at: int) -> tuple[Any, int]:
    for word, value in (("True", True), ("False", False), ("None", None)):
        if text.startswith(word, at):
            return value, at + len(word)
    return json.JSONDecoder().raw_decode(text, at)
