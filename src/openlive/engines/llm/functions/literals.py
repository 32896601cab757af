"""JSON in strings: a model that writes its calls in Python writes what stands in their strings in Python, too.

A chart's specification that comes as `{'mark': 'bar', 'sort': None}` is no JSON to the program that asked for one.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

LONG = 65_536
"""Characters of a string that is looked at: more than a call has tokens for."""
_CODE = re.compile(r"python|\bcode\b", re.IGNORECASE)
_NAMES = {"true": True, "false": False, "null": None}
"""JSON's words between Python's quotes: small models mix them."""


def convert_python_strings(value: Any, described: str) -> Any:
    """`value` with its strings, at any depth, in JSON where they hold an object or a list in Python's words.
    `described` is what the argument is named and described as: code stays as it is."""
    return value if _CODE.search(described) else _convert_value(value)


def _convert_value(value: Any) -> Any:
    match value:
        case str():
            return _convert_string(value)
        case dict():
            return {key: _convert_value(inner) for key, inner in value.items()}
        case list():
            return [_convert_value(inner) for inner in value]
    return value


def _convert_string(text: str) -> str:
    """The text itself where it is JSON already, or nothing that can be read."""
    if not text.lstrip().startswith(("{", "[")) or len(text) > LONG:
        return text
    if _is_json(text):
        return text
    missing = _missing_brackets(text)
    try:
        value = _read_node(ast.parse(text.strip() + missing, mode="eval").body)
        if missing and not _holds_object(value):
            return text  # "[" is what somebody wrote, and no list that has lost its end
        converted = json.dumps(value, ensure_ascii=False, allow_nan=False)
        converted.encode()
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    return converted


_SIGN = re.compile(r"""\\.|["'{}\[\]]""", re.DOTALL)


def _missing_brackets(text: str) -> str:
    """The brackets that are missing at its end: small models lose count of them."""
    open_ones: list[str] = []
    quote = ""
    for found in _SIGN.finditer(text):
        sign = found[0]
        if quote or sign in "\"'":
            quote = sign if not quote else "" if sign == quote else quote
        elif sign in "{[":
            open_ones.append("}" if sign == "{" else "]")
        elif sign in "}]" and open_ones:
            open_ones.pop()
    return "".join(reversed(open_ones))


def _holds_object(value: Any) -> bool:
    """An object with something in it, at any depth."""
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and any(map(_holds_object, value))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _read_node(node: ast.expr) -> Any:
    """Raises `ValueError` for what is no plain value."""
    match node:
        case ast.Constant(value=str() | int() | float() | bool() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_read_node(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_read_key(key): _read_node(value) for key, value in zip(keys, values, strict=True)}
    raise ValueError("no plain value")


def _read_key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError("no key of an object")
