"""JSON schemas of functions: what a grammar can hold of them, and whether arguments keep to them.

Schemas are the client's and may be anything. What cannot be used is left out: a model without a grammar still writes
arguments, and they are checked before they leave.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from llguidance import LLMatcher

from openlive.engines.llm.functions import validation
from openlive.schema import (
    DEFINITIONS,
    LISTS,
    MAPS,
    SINGLE,
    Schema,
    SchemaSize,
    iterate_subschemas,
    map_subschemas,
    resolve_reference,
)

MAX_ITEMS = 32
"""Items of an array where its schema sets no limit: small models do not always find the end."""

_LAYOUT = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": True}}
"""Written as `json.dumps` does, so that the history, in tokens, is what was generated (llguidance's own keyword)."""
LONG, ROOM = 16_384, 131_072
"""Characters of the schemas that a grammar is made of: of one argument, and of all. llguidance takes time with the
square of the members of an object: 50 ms for 500."""
TRIAL = 64
"""Characters that one more schema to be tried counts beside its own."""
PRODUCT = 4096
"""What the sizes of schemas that hold at once (`allOf`) may come to, multiplied: so many alternatives there may be."""
_STRUCTURE = ("properties", *DEFINITIONS, *LISTS, "items", "additionalProperties")
_GRAMMAR = {
    *("type", "enum", "const", "required", "minItems", "maxItems", "minLength", "maxLength"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
"""What llguidance takes as it is. It gives up on a schema with a single keyword that it does not know."""
_FORMATS = {"date", "time", "date-time", "email", "uuid", "ipv4", "ipv6", "uri"}
_UNUSED = {"pattern", "patternProperties", "$schema", "$id", "$dynamicRef"}
"""Not taken as they are: expressions are for the grammar alone, where they are tried first. Nor does a schema choose
its dialect or its base."""
_TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_KINDS: dict[str, Any] = {
    **dict.fromkeys(MAPS, dict),
    **dict.fromkeys((*LISTS, "enum", "required"), list),
    **dict.fromkeys(SINGLE, (dict, bool)),
    **dict.fromkeys(("$ref", "format"), str),
    **dict.fromkeys(_COUNTS, int),
    **dict.fromkeys(_BOUNDS, (int, float)),
}


class GrammarBudget:
    """How much more a grammar may hold; what finds no room is held by its type alone."""

    def __init__(self, left: int = ROOM) -> None:
        self._left = left
        self._tried: set[str] = set()

    def can_take_schema(self, schema: Schema) -> bool:
        """Whether llguidance makes a grammar of it, and there is room for it. To ask again costs nothing."""
        text = json.dumps(schema)
        room = text in self._tried or self.take_characters(len(text) + TRIAL)
        self._tried.add(text)
        return room and len(text) <= LONG and _is_valid_grammar(text)

    def take_characters(self, characters: int) -> bool:
        self._left -= characters
        return self._left >= 0


class ArgumentSchemas:
    """What a grammar can hold of the arguments of one function. `whole`: the schema of all of them, normalised."""

    def __init__(self, whole: Schema, room: GrammarBudget | None = None) -> None:
        self._whole = whole
        self._room = room or GrammarBudget()
        self._sizes = SchemaSize(lambda reference: resolve_reference(reference, whole))

    def build_schema(self, schema: Any) -> Schema:
        """Of the schema of one argument, at the least its type or nothing."""
        if not isinstance(schema, dict):
            return _LAYOUT
        if self._room.take_characters(0):
            converted = self._to_grammar_schema(schema, inside_all=False)
            held = {**_LAYOUT, **self._collect_definitions(converted), **converted}
            if self._room.can_take_schema(held):
                return held
        return {**_LAYOUT, "type": schema["type"]} if "type" in schema else _LAYOUT

    def _collect_definitions(self, converted: Schema) -> Schema:
        """Those that it refers to, and that these refer to: each argument has its own. No more than a grammar holds."""
        found: Schema = {}
        todo = [converted]
        left = LONG
        while todo and left > 0:
            one = todo.pop()
            if "$ref" in one:
                _, keyword, name = one["$ref"].split("/")[:3]
                definitions = found.setdefault(keyword, {})
                place = self._whole[keyword][_unescape_pointer(name)]
                if _unescape_pointer(name) not in definitions and isinstance(place, dict):
                    held = definitions[_unescape_pointer(name)] = self._to_grammar_schema(place, inside_all=False)
                    left -= len(json.dumps(held))
                    todo.append(held)
            todo += (inner for _, _, inner in iterate_subschemas(one) if isinstance(inner, dict))
        return found

    def _to_grammar_schema(self, schema: Schema, *, inside_all: bool) -> Schema:
        """What of `schema` a grammar can hold. `inside_all`: other schemas may allow more properties."""
        if "$ref" in schema and resolve_reference(schema["$ref"], self._whole) is not None:
            # What stands beside it would be multiplied with what it leads to; llguidance knows definitions only.
            kept = {"$ref": schema["$ref"]}
            return kept if schema["$ref"].startswith(("#/$defs/", "#/definitions/")) else {}
        kept = {k: v for k, v in schema.items() if k in _GRAMMAR}
        structure = {k: v for k, v in schema.items() if k in _STRUCTURE}
        if "allOf" in structure and self._count_alternatives(structure["allOf"]) > PRODUCT:
            del structure["allOf"]
        for key, held in structure.items():
            within = inside_all or key == "allOf"

            def convert_inner(inner: Any, within: bool = within) -> Any:
                return self._to_grammar_schema(inner, inside_all=within) if isinstance(inner, dict) else inner

            kept |= map_subschemas({key: held}, convert_inner)
        if "oneOf" in kept:
            kept["anyOf"] = [*kept.pop("oneOf"), *kept.get("anyOf", ())]
        if schema.get("format") in _FORMATS:
            kept["format"] = schema["format"]
        pattern = schema.get("x-pattern")
        if pattern and self._room.can_take_schema({"type": "string", "pattern": pattern}):
            kept["pattern"] = pattern
        if schema.get("type") == "array":
            kept.setdefault("maxItems", max(MAX_ITEMS, kept.get("minItems", 0)))
        properties = kept.get("properties")
        if isinstance(properties, dict):
            for name in kept.get("required", ()):
                properties.setdefault(name, {})
            if properties and not inside_all:
                kept.setdefault("additionalProperties", False)
        return kept

    def _count_alternatives(self, schemas: list[Any]) -> int:
        product = 1
        for schema in schemas:
            product *= self._sizes.measure_schema(schema, PRODUCT)[0]
            if product > PRODUCT:
                break
        return product


def _unescape_pointer(name: str) -> str:
    return name.replace("~1", "/").replace("~0", "~")


@lru_cache(1024)
def _is_valid_grammar(schema: str) -> bool:
    """Whether llguidance makes a grammar of it. llama.cpp does not say when it makes none, and then holds the model to
    nothing at all."""
    return not LLMatcher.validate_grammar(f"%llguidance {{}}\nstart: %json {schema}\n")


def find_argument_violation(args: Any, parameters: Schema) -> str:
    """What is wrong with the arguments, '' where nothing is or the schema is none that anything could be held to."""
    if not isinstance(args, dict):
        return "the arguments are no object"
    return validation.find_violation(args, parameters)


def normalise_schema(schema: Any) -> Any:
    """JSON Schema as OpenAPI's dialect means it: types in lower case, `nullable` as a type. Keywords whose values make
    no sense are left out, as if nobody had written them."""
    if not isinstance(schema, dict):
        return schema if isinstance(schema, bool) else {}
    sound = {key: found for key, given in schema.items() if (found := _usable_value(key, given)) is not None}
    walked = map_subschemas(sound, normalise_schema)
    if walked.pop("nullable", False) is True:
        if isinstance(walked.get("type"), str):
            walked["type"] = [walked["type"], "null"]
        if isinstance(walked.get("enum"), list) and None not in walked["enum"]:
            walked["enum"] = [*walked["enum"], None]
    if isinstance(schema.get("pattern"), str):
        walked["x-pattern"] = schema["pattern"]  # for the grammar
    return walked


def _usable_value(key: str, given: Any) -> Any:
    """What a keyword says, None where that is nothing."""
    if key in _UNUSED:
        return None
    if key == "type":
        kinds = [k.lower() for k in (given if isinstance(given, list) else [given]) if isinstance(k, str)]
        known = [k for k in dict.fromkeys(kinds) if k in _TYPES]
        return (known if isinstance(given, list) else known[0]) if known else None
    if key == "required" and isinstance(given, list):
        return list(dict.fromkeys(name for name in given if isinstance(name, str)))
    if key in (*LISTS, "enum") and not given:
        return None
    if key in _COUNTS and (isinstance(given, bool) or (isinstance(given, int) and given < 0)):
        return None
    return given if isinstance(given, _KINDS.get(key, object)) else None
