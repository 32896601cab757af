"""The functions that a client declares: their names, and their schemas as the model is shown them.

`parameters` are OpenAPI's subset and held to the original's rules, since its clients know them; `parametersJsonSchema`
is JSON Schema, of which everything is taken that is well-formed. What is wrong is told with its path, in the original's
words where they are known (protocol.md 4.9 and 5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, NoReturn

from openlive.types import FunctionDeclaration
from openlive.wire import tools as wire
from openlive.wire.errors import ProtocolError

SERVER_TOOLS = ("google_search", "url_context", "code_execution")
MAX_FUNCTIONS = 512
"""The SDKs' reference names this number."""
MAX_LEVELS = 32
"""Schemas within schemas; ours. Nobody can name an argument that lies deeper, and walks end."""
MAX_HOPS = 100
"""References that lead to references; ours."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_NAME_RULE = (
    "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), "
    "underscores (_), dots (.), colons (:) or dashes (-), with a maximum length of 128."
)

Schema = dict[str, Any]


def functions(
    tools: Sequence[wire.Tool], path: str, offered: Sequence[FunctionDeclaration] = ()
) -> tuple[FunctionDeclaration, ...]:
    """What the model may call: the functions that `tools` declare, and those of `offered`, the server's own, that they
    ask for. Raises `ProtocolError` for what is not offered or badly declared.
    """
    found: dict[str, FunctionDeclaration] = {}
    for i, tool in enumerate(tools):
        for name in tool.__struct_fields__:
            if name != "function_declarations" and getattr(tool, name) not in (None, ()):
                where = f"{path}[{i}].{name}"
                _add(found, _offered(name, where, offered), where)
        for j, declared in enumerate(tool.function_declarations):
            where = f"{path}[{i}].function_declarations[{j}]"
            _add(found, _declared(declared, where), f"{where}.name")
    return tuple(found.values())


def _add(found: dict[str, FunctionDeclaration], function: FunctionDeclaration, path: str) -> None:
    if found.setdefault(function.name, function) is not function:
        _refuse(path, f"Duplicate function declaration found: {function.name}")
    if len(found) > MAX_FUNCTIONS:
        _refuse(path, f"at most {MAX_FUNCTIONS} functions can be declared")


def _offered(name: str, where: str, offered: Sequence[FunctionDeclaration]) -> FunctionDeclaration:
    tool = "google_search" if name == "google_search_retrieval" else name
    for declared in offered:
        if declared.tool == tool:
            return declared
    if tool in SERVER_TOOLS:
        raise ProtocolError(f"Invalid value at '{where}': the operator of this server has not configured tools.{tool}.")
    raise ProtocolError(f"Invalid value at '{where}': this server has no such tool; leave it out.")


def _declared(declared: wire.FunctionDeclaration, path: str) -> FunctionDeclaration:
    if not _NAME.fullmatch(declared.name or ""):
        _refuse(f"{path}.name", _NAME_RULE)
    free = declared.parameters_json_schema
    if declared.parameters is not None and free is not None:
        _refuse(f"{path}.parameters_json_schema", "parameters are set too; leave one of the two out")
    parameters: Schema = {}
    if declared.parameters is not None:
        parameters = _Schemas(f"{path}.parameters", openapi=True).checked(declared.json_schema)
    elif free is not None:
        parameters = _Schemas(f"{path}.parameters_json_schema", openapi=False).checked(free)
    return FunctionDeclaration(
        name=declared.name or "",
        description=declared.description or "",
        parameters=parameters,
        blocking=declared.behavior is not wire.Behavior.NON_BLOCKING,
    )


def _refuse(path: str, why: str) -> NoReturn:
    raise ProtocolError(f"* BidiGenerateContentRequest.{path}: {why}", field=path)


# Schemas


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = (
    *("items", "additionalProperties", "unevaluatedItems", "unevaluatedProperties", "propertyNames", "contains"),
    *("not", "if", "then", "else"),
)
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
_ONLY_FOR = {"properties": "object", "required": "object", "items": "array"}
_RANGES = (*zip(_COUNTS[::2], _COUNTS[1::2], strict=True), ("minimum", "maximum"))

Wanted = tuple[str, Callable[[Any], bool]]
_WANTED: dict[str, Wanted] = {
    **dict.fromkeys(("title", "description", "format", "pattern", "$ref"), ("a string", lambda v: isinstance(v, str))),
    **dict.fromkeys(_NUMBERS, ("a number", _is_number)),
    **dict.fromkeys(_COUNTS, ("a whole number, 0 or more", lambda v: _is_number(v) and v >= 0 and v % 1 == 0)),
    **dict.fromkeys(_MAPS, ("an object", lambda v: isinstance(v, dict))),
    **dict.fromkeys(_LISTS, ("a list of schemas", lambda v: isinstance(v, list) and bool(v))),
    **dict.fromkeys(_SINGLE, ("a schema", lambda v: isinstance(v, dict | bool))),
    "enum": ("a list of values", lambda v: isinstance(v, list) and bool(v)),
    "required": ("a list of names", lambda v: isinstance(v, list) and all(isinstance(name, str) for name in v)),
}
"""What the value of a keyword has to be. Keywords that are not here are taken as they are."""


class _Schemas:
    """Checks a schema and all that it holds or refers to, one by one: they may be nested as deeply as JSON may be."""

    def __init__(self, path: str, *, openapi: bool) -> None:
        self._path = path
        self._openapi = openapi
        self._root: Schema = {}
        self._todo: list[tuple[Any, str, int]] = []
        self._referred: list[tuple[Any, str, int]] = []

    def checked(self, sent: Any) -> Schema:
        """The schema with its types in lower case, as `types.FunctionDeclaration` has it. Raises `ProtocolError`."""
        if not isinstance(sent, dict):
            _refuse(self._path, "must be a schema of an object")
        self._root = deepcopy(sent)
        self._todo.append((self._root, self._path, 1))
        seen: set[int] = set()
        while self._todo or self._referred:
            schema, path, level = (self._todo or self._referred).pop()
            if isinstance(schema, bool) or id(schema) in seen:
                continue
            seen.add(id(schema))
            if not isinstance(schema, dict):
                _refuse(path, "must be a schema")
            if level > MAX_LEVELS:
                _refuse(path, f"schemas can be nested {MAX_LEVELS} levels deep")
            self._check(schema, path, level)
        if "object" not in _kinds(self._root, "object"):
            _refuse(f"{self._path}.type", "must be OBJECT")
        if self._root and not self._root.keys() & {"type", "$ref", *_LISTS}:
            self._root["type"] = "object"
        return self._root

    def _check(self, schema: Schema, path: str, level: int) -> None:
        if isinstance(schema.get("items"), list):  # of a tuple, before JSON Schema 2020
            schema["prefixItems"] = schema.pop("items")
            schema["items"] = schema.pop("additionalItems", True)
        for key, value in schema.items():
            if key in _WANTED and not _WANTED[key][1](value):
                _refuse(f"{path}.{_snake(key)}", f"must be {_WANTED[key][0]}")
        self._check_type(schema, path)
        for least, most in _RANGES:
            if least in schema and most in schema and schema[least] > schema[most]:
                _refuse(f"{path}.{_snake(most)}", f"is less than {_snake(least)}")
        if self._openapi:
            _check_openapi(schema, path)
        if "$ref" in schema:
            self._referred.append((self._follow(schema["$ref"], f"{path}.ref"), f"{path}.ref", 1))
        inside = [(inner, where, level + 1) for inner, where in _inside(schema, path)]
        self._todo += reversed(inside)  # the first one is looked at next

    def _check_type(self, schema: Schema, path: str) -> None:
        if "type" not in schema:
            return
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        lower = [kind.lower() if isinstance(kind, str) else kind for kind in kinds]
        if not lower or any(kind not in _TYPES for kind in lower):
            _refuse(f"{path}.type", f"must be one of {', '.join(_TYPES)}")
        schema["type"] = lower if isinstance(schema["type"], list) else lower[0]

    def _follow(self, reference: str, path: str) -> Any:
        """What it refers to in the end."""
        for _ in range(MAX_HOPS):
            target = self._find(reference, path)
            if not isinstance(target, dict) or not isinstance(target.get("$ref"), str):
                return target
            reference = target["$ref"]
        _refuse(path, "refers to itself")

    def _find(self, reference: str, path: str) -> Any:
        if not reference.startswith("#"):
            _refuse(path, "only what is in this schema can be referred to, as #/$defs/NAME")
        place: Any = self._root
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and name.isdecimal() and int(name[:9]) < len(place):
                place = place[int(name[:9])]
            elif isinstance(place, dict) and name in place:
                place = place[name]
            else:
                place = None
        if not isinstance(place, dict | bool) or reference[1:2] not in ("", "/"):
            _refuse(path, f"there is no {reference[:64]} in this schema")
        return place


def _check_openapi(schema: Schema, path: str) -> None:
    """What the original refuses in `parameters`, but for what a model can make sense of: an object without properties,
    properties without a type, an enum of numbers."""
    for key, kind in _ONLY_FOR.items():
        if key in schema and kind not in _kinds(schema, kind):
            _refuse(f"{path}.{key}", f"only allowed for {kind.upper()} type")
    if "array" in _kinds(schema) and "items" not in schema:
        _refuse(f"{path}.items", "missing field.")
    for i, name in enumerate(schema.get("required", ())):
        if name not in schema.get("properties", ()):
            _refuse(f"{path}.required[{i}]", "property is not defined")
    if "enum" not in schema:
        return
    if not {"string", "integer", "number"} & {*_kinds(schema, "string")}:
        _refuse(f"{path}.enum", "only allowed for STRING type")
    if not {"string"} & {*_kinds(schema, "string")}:
        for i, value in enumerate(schema["enum"]):
            if isinstance(value, str):
                _refuse(f"{path}.enum[{i}]", "must be a number")


def _kinds(schema: Schema, otherwise: str = "") -> list[Any]:
    kinds = schema.get("type", otherwise)
    return kinds if isinstance(kinds, list) else [kinds]


def _inside(schema: Schema, path: str) -> Iterable[tuple[Any, str]]:
    """The schemas right within a schema, and their paths."""
    for key, value in schema.items():
        where = f"{path}.{_snake(key)}"
        if key in _MAPS:
            yield from ((inner, f"{where}[{name[:64]}]") for name, inner in value.items())
        elif key in _LISTS:
            yield from ((inner, f"{where}[{i}]") for i, inner in enumerate(value))
        elif key in _SINGLE:
            yield value, where


def _snake(keyword: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), keyword.lstrip("$"))
