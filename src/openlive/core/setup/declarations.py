"""The functions that a client declares: their names, and their schemas as the model is shown them.

`parameters` are OpenAPI's subset and held to the original's rules, since its clients know them; `parametersJsonSchema`
is JSON Schema, of which everything is taken that is well-formed. What is wrong is told with its path, in the original's
words where they are known (docs/protocol.md#function-calling, #close-codes-and-reasons).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, NoReturn

from openlive.schema import LISTS, MAPS, SINGLE, Schema, SchemaSize, copy_json, iterate_subschemas, resolve_reference
from openlive.types import FunctionDeclaration
from openlive.wire import tools as wire
from openlive.wire.errors import ProtocolError

SERVER_TOOLS = {
    "google_search": "You cannot search the web: answer from what you know.",
    "url_context": "You cannot open web pages: ask for what stands there.",
    "code_execution": "You cannot run programs.",
}
"""Those that an operator may configure, and what a model is told that has to do without."""
MAX_FUNCTIONS = 512
"""The SDKs' reference names this number."""
MAX_TOOLS = 512
"""Of one list, with functions or without; ours. A tool for each function is the most that has a use."""
MAX_LEVELS = 32
"""Schemas within schemas; ours. Nobody can name an argument that lies deeper, and walks end."""
MAX_SCHEMAS = 8192
"""Of all functions together; ours. 512 functions with 15 arguments each, looked at within 50 ms."""
MAX_SIZE = 8192
"""Schemas that the parameters of one function come to once every reference is followed (`schema.SchemaSize`); ours."""
MAX_REFERENCES = 2048
"""Of all functions together; ours."""
MAX_HOPS = 100
"""References that lead to references; ours."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_NAME_RULE = (
    "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), "
    "underscores (_), dots (.), colons (:) or dashes (-), with a maximum length of 128."
)


def find_missing_tools(tools: Sequence[wire.Tool], offered: Sequence[FunctionDeclaration]) -> tuple[str, ...]:
    """The built-in tools that are asked for and not offered."""
    asked = dict.fromkeys(_current_tool_name(name) for tool in tools for name in _built_in_tools(tool))
    return tuple(name for name in asked if _find_offered(name, offered) is None)


def missing_tools_notice(missing_tools: Iterable[str]) -> str:
    """What a model is told that has to do without them."""
    return " ".join(SERVER_TOOLS[name] for name in missing_tools if name in SERVER_TOOLS)


def parse_functions(
    tools: Sequence[wire.Tool], path: str, offered: Sequence[FunctionDeclaration] = (), *, refuses: bool = True
) -> tuple[FunctionDeclaration, ...]:
    """What the model may call: the functions that `tools` declare, and those of `offered`, the server's own, that they
    ask for. Raises `ProtocolError` for what is badly declared, and, where it `refuses`, for what is not offered; else
    that is left out, since many programs ask for Google's search whether they need it or not
    (docs/protocol.md#function-calling).
    """
    if len(tools) > MAX_TOOLS:
        _refuse_field(path, f"{len(tools)} tools; at most {MAX_TOOLS} can be given. Put functions into one of them.")
    found: dict[str, FunctionDeclaration] = {}
    schemas = _SchemaCount()
    for i, tool in enumerate(tools):
        for name in _built_in_tools(tool):
            where = f"{path}[{i}].{name}"
            if (own := _find_offered(_current_tool_name(name), offered)) is not None:
                _add_function(found, own, where)
            elif refuses:
                _refuse_tool(_current_tool_name(name), where)
        for j, declared in enumerate(tool.function_declarations):
            where = f"{path}[{i}].function_declarations[{j}]"
            _add_function(found, _parse_declaration(declared, where, schemas), f"{where}.name")
    return tuple(found.values())


def _add_function(found: dict[str, FunctionDeclaration], function: FunctionDeclaration, path: str) -> None:
    if found.setdefault(function.name, function) is not function:
        _refuse_field(path, f"Duplicate function declaration found: {function.name}")
    if len(found) > MAX_FUNCTIONS:
        _refuse_field(path, f"at most {MAX_FUNCTIONS} functions can be declared")


def _built_in_tools(tool: wire.Tool) -> Iterator[str]:
    """Which of Google's tools it names."""
    for name in tool.__struct_fields__:
        if name != "function_declarations" and getattr(tool, name) not in (None, ()):
            yield name


def _find_offered(tool: str, offered: Sequence[FunctionDeclaration]) -> FunctionDeclaration | None:
    return next((declared for declared in offered if declared.tool == tool), None)


def _current_tool_name(name: str) -> str:
    return "google_search" if name == "google_search_retrieval" else name


def _refuse_tool(tool: str, where: str) -> NoReturn:
    if tool in SERVER_TOOLS:
        raise ProtocolError(f"Invalid value at '{where}': the operator of this server has not configured tools.{tool}.")
    raise ProtocolError(f"Invalid value at '{where}': this server has no such tool; leave it out.")


def _parse_declaration(declared: wire.FunctionDeclaration, path: str, schemas: _SchemaCount) -> FunctionDeclaration:
    if not _NAME.fullmatch(declared.name or ""):
        _refuse_field(f"{path}.name", _NAME_RULE)
    free = declared.parameters_json_schema
    if declared.parameters is not None and free is not None:
        _refuse_field(f"{path}.parameters_json_schema", "parameters are set too; leave one of the two out")
    parameters: Schema = {}
    if declared.parameters is not None:
        parameters = _SchemaChecker(f"{path}.parameters", schemas, openapi=True).check_schema(declared.json_schema)
    elif free is not None:
        parameters = _SchemaChecker(f"{path}.parameters_json_schema", schemas, openapi=False).check_schema(
            copy_json(free)
        )
    return FunctionDeclaration(
        name=declared.name or "",
        description=declared.description or "",
        parameters=parameters,
        blocking=declared.behavior is not wire.Behavior.NON_BLOCKING,
    )


def _refuse_field(path: str, why: str) -> NoReturn:
    raise ProtocolError(f"* BidiGenerateContentRequest.{path}: {why}", field=path)


# Schemas


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
    **dict.fromkeys(MAPS, ("an object", lambda v: isinstance(v, dict))),
    **dict.fromkeys(LISTS, ("a list of schemas", lambda v: isinstance(v, list) and bool(v))),
    **dict.fromkeys(SINGLE, ("a schema", lambda v: isinstance(v, dict | bool))),
    "enum": ("a list of values", lambda v: isinstance(v, list) and bool(v)),
    "required": ("a list of names", lambda v: isinstance(v, list) and all(isinstance(name, str) for name in v)),
}
"""What the value of a keyword has to be. Keywords that are not here are taken as they are."""


class _SchemaCount:
    """Of what all functions have so far."""

    schemas = 0
    references = 0


class _SchemaError(Exception):
    """What is wrong with a schema, and where in it."""

    def __init__(self, where: str, why: str) -> None:
        self.where = where
        self.why = why


class _SchemaPlace(NamedTuple):
    """Where a schema stands: put into words only where something is wrong with it."""

    outer: _SchemaPlace | None
    keyword: str
    name: str | int | None
    level: int
    """Of schemas within schemas; what is referred to begins anew."""


_ROOT = _SchemaPlace(None, "", None, 1)


class _SchemaChecker:
    """Checks a schema and all that it holds or refers to, one by one: they may be nested as deeply as JSON may be."""

    def __init__(self, path: str, count: _SchemaCount, *, openapi: bool) -> None:
        self._path = path
        self._count = count
        self._openapi = openapi
        self._root: Schema = {}
        self._todo: list[tuple[Any, _SchemaPlace]] = []
        self._referred: list[tuple[Any, _SchemaPlace]] = []
        self._found: dict[str, tuple[Any, int]] = {}
        """Where references lead in the end, and over how many others."""

    def check_schema(self, root: Any) -> Schema:
        """The schema with its types in lower case, as `types.FunctionDeclaration` has it: `root` itself, changed.
        Raises `ProtocolError`."""
        if not isinstance(root, dict):
            _refuse_field(self._path, "must be a schema of an object")
        self._root = root
        self._todo.append((self._root, _ROOT))
        seen: set[int] = set()
        while self._todo or self._referred:
            schema, at = (self._todo or self._referred).pop()
            if isinstance(schema, bool) or id(schema) in seen:
                continue
            seen.add(id(schema))
            try:
                self._check_one(schema, at)
            except _SchemaError as wrong:
                _refuse_field(self._path_of(at) + wrong.where, wrong.why)
        if self._count.schemas > MAX_SCHEMAS:
            _refuse_field(self._path, f"all functions together can have {MAX_SCHEMAS} schemas")
        if self._found:
            self._check_size()
        if "object" not in _type_names(self._root, "object"):
            _refuse_field(f"{self._path}.type", "must be OBJECT")
        if self._root and not self._root.keys() & {"type", "$ref", *LISTS}:
            self._root["type"] = "object"
        return self._root

    def _path_of(self, at: _SchemaPlace) -> str:
        steps = []
        while at.outer is not None:
            steps.append(_path_step(at.keyword, at.name))
            at = at.outer
        return self._path + "".join(reversed(steps))

    def _check_one(self, schema: Any, at: _SchemaPlace) -> None:
        if not isinstance(schema, dict):
            raise _SchemaError("", "must be a schema")
        if at.level > MAX_LEVELS:
            raise _SchemaError("", f"schemas can be nested {MAX_LEVELS} levels deep")
        self._count.schemas += 1
        if self._count.schemas > MAX_SCHEMAS:
            raise _SchemaError("", f"all functions together can have {MAX_SCHEMAS} schemas")
        if isinstance(schema.get("items"), list):  # of a tuple, before JSON Schema 2020
            schema["prefixItems"] = schema.pop("items")
            schema["items"] = schema.pop("additionalItems", True)
        _check_keywords(schema)
        if self._openapi:
            _check_openapi(schema)
        if "$ref" in schema:
            self._referred.append((self._follow_reference(schema["$ref"]), _SchemaPlace(at, "$ref", None, 1)))
        within = []
        for keyword, name, inner in iterate_subschemas(schema):
            if inner or type(inner) is not dict:
                within.append((inner, _SchemaPlace(at, keyword, name, at.level + 1)))
            else:
                self._count.schemas += 1  # nothing in it can be wrong
        self._todo += reversed(within)  # the first one is looked at next

    def _check_size(self) -> None:
        """Without references a schema comes to what it is, and that is counted already."""
        size, steps = SchemaSize(lambda reference: self._found[reference][0]).measure_schema(self._root, MAX_SIZE)
        if size > MAX_SIZE:
            path = self._path + "".join(_path_step(*step) for step in steps)
            _refuse_field(path[:200], f"comes to more than {MAX_SIZE} schemas with what it refers to")

    def _follow_reference(self, reference: str) -> Any:
        """What it refers to in the end. Each reference is followed once."""
        self._count.references += 1
        if self._count.references > MAX_REFERENCES:
            raise _SchemaError(".ref", f"all functions together can have {MAX_REFERENCES} references")
        hops: dict[str, None] = {}
        while reference not in self._found:
            if reference in hops:
                raise _SchemaError(".ref", "refers to itself")
            hops[reference] = None
            target = self._find_target(reference)
            if not isinstance(target, dict) or not isinstance(target.get("$ref"), str):
                self._found[reference] = target, 0
            else:
                reference = target["$ref"]
        target, distance = self._found[reference]
        for hop in reversed(hops):
            if hop != reference:
                distance += 1
                self._found[hop] = target, distance
        if distance > MAX_HOPS:
            raise _SchemaError(".ref", f"leads over more than {MAX_HOPS} references")
        return target

    def _find_target(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise _SchemaError(".ref", "only what is in this schema can be referred to, as #/$defs/NAME")
        place = resolve_reference(reference, self._root)
        if place is None:
            raise _SchemaError(".ref", f"there is no {reference[:64]} in this schema")
        return place


def _check_keywords(schema: Schema) -> None:
    for key, value in schema.items():
        if key in _WANTED and not _WANTED[key][1](value):
            raise _SchemaError(f".{_to_snake_case(key)}", f"must be {_WANTED[key][0]}")
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        lower = [kind.lower() if isinstance(kind, str) else kind for kind in kinds]
        if not lower or any(kind not in _TYPES for kind in lower):
            raise _SchemaError(".type", f"must be one of {', '.join(_TYPES)}")
        schema["type"] = lower if isinstance(schema["type"], list) else lower[0]
    for least, most in _RANGES:
        if least in schema and most in schema and schema[least] > schema[most]:
            raise _SchemaError(f".{_to_snake_case(most)}", f"is less than {_to_snake_case(least)}")


def _check_openapi(schema: Schema) -> None:
    """What the original refuses in `parameters`, but for what a model can make sense of: an object without properties,
    properties without a type, an enum of numbers."""
    kinds = _type_names(schema)
    typed = "type" in schema
    for key, kind in _ONLY_FOR.items():
        if key in schema and typed and kind not in kinds:
            raise _SchemaError(f".{key}", f"only allowed for {kind.upper()} type")
    if "array" in kinds and "items" not in schema:
        raise _SchemaError(".items", "missing field.")
    if "required" in schema:
        properties = schema.get("properties", ())
        for i, name in enumerate(schema["required"]):
            if name not in properties:
                raise _SchemaError(f".required[{i}]", "property is not defined")
    if "enum" not in schema or not typed or "string" in kinds:
        return
    if not {"integer", "number"} & set(kinds):
        raise _SchemaError(".enum", "only allowed for STRING type")
    for i, value in enumerate(schema["enum"]):
        if isinstance(value, str):
            raise _SchemaError(f".enum[{i}]", "must be a number")


def _type_names(schema: Schema, otherwise: str = "") -> list[Any]:
    kinds = schema.get("type", otherwise)
    return kinds if isinstance(kinds, list) else [kinds]


def _path_step(keyword: str, name: str | int | None) -> str:
    """To a schema within another."""
    within = f".{_to_snake_case(keyword)}"
    return within if name is None else f"{within}[{name if isinstance(name, int) else name[:64]}]"


@cache
def _to_snake_case(keyword: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), keyword.lstrip("$"))
