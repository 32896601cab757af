"""JSON schemas of functions: what a grammar can hold of them, and whether arguments keep to them.

Schemas are the client's and may be anything. What cannot be used is left out: a model without a grammar still writes
arguments, and they are checked before they leave.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from llguidance import LLMatcher
from referencing import Registry

Schema = dict[str, Any]

MAX_ITEMS = 32
"""Items of an array where its schema sets no limit: small models do not always find the end."""

_LAYOUT = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": True}}
"""Written as `json.dumps` does, so that the history, in tokens, is what was generated (llguidance's own keyword)."""
_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")
_GRAMMAR = {
    *("type", "enum", "const", "required", "minItems", "maxItems", "minLength", "maxLength"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
"""What llguidance takes as it is. It gives up on a schema with a single keyword that it does not know."""
_FORMATS = {"date", "time", "date-time", "email", "uuid", "ipv4", "ipv6", "uri"}
_UNCHECKED = {"pattern", "patternProperties", "$schema", "$id", "$dynamicRef"}
"""Left out of the check: an expression of the client's could keep Python busy for ever; the grammar, which is linear,
holds patterns. Nor does a schema choose its dialect or its base."""
_TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_KINDS: dict[str, Any] = {
    **dict.fromkeys(_MAPS, dict),
    **dict.fromkeys((*_LISTS, "enum", "required"), list),
    **dict.fromkeys(_SINGLE, (dict, bool)),
    **dict.fromkeys(("$ref", "format"), str),
    **dict.fromkeys(_COUNTS, int),
    **dict.fromkeys(_BOUNDS, (int, float)),
}


def value(schema: Any, whole: Schema) -> Schema:
    """What a grammar can hold of the schema of one argument, at the least its type or nothing. `whole` is that of all
    of them, normalised."""
    converted = _grammar(schema, "#", whole, inside_all=False) if isinstance(schema, dict) else {}
    defined: Schema = {
        key: {
            name: _grammar(inner, "#", whole, inside_all=False)
            for name, inner in whole[key].items()
            if isinstance(inner, dict)
        }
        for key in ("$defs", "definitions")
        if key in whole
    }
    held = {**_LAYOUT, **defined, **converted}
    kinds = {"type": converted["type"]} if "type" in converted else {}
    return next(one for one in (held, {**_LAYOUT, **kinds}, _LAYOUT) if one is _LAYOUT or _is_taken(json.dumps(one)))


@lru_cache(1024)
def _is_taken(schema: str) -> bool:
    """Whether llguidance makes a grammar of it. llama.cpp does not say when it makes none, and then holds the model to
    nothing at all."""
    return not LLMatcher.validate_grammar(f"%llguidance {{}}\nstart: %json {schema}\n")


def complaint(args: Any, parameters: Schema) -> str:
    """What is wrong with the arguments, '' where nothing is or the schema is none that anything could be held to."""
    if not isinstance(args, dict):
        return "the arguments are no object"
    schema = normal(parameters)
    try:
        Draft202012Validator.check_schema(schema)
        # The registry knows no other documents: nothing is fetched for a schema.
        Draft202012Validator(schema, registry=Registry()).validate(args)
    except ValidationError as error:
        return f"{error.json_path}: {error.message}"
    except Exception:
        return ""
    return ""


def normal(schema: Any) -> Any:
    """JSON Schema as OpenAPI's dialect means it: types in lower case, `nullable` as a type. Keywords whose values make
    no sense are left out, as if nobody had written them."""
    if not isinstance(schema, dict):
        return schema if isinstance(schema, bool) else {}
    sound = {key: found for key, given in schema.items() if (found := _sound(key, given)) is not None}
    walked = _walk(sound, normal)
    if walked.pop("nullable", False) is True:
        if isinstance(walked.get("type"), str):
            walked["type"] = [walked["type"], "null"]
        if isinstance(walked.get("enum"), list) and None not in walked["enum"]:
            walked["enum"] = [*walked["enum"], None]
    if isinstance(schema.get("pattern"), str):
        walked["x-pattern"] = schema["pattern"]  # for the grammar
    return walked


def _sound(key: str, given: Any) -> Any:
    """What a keyword says, None where that is nothing."""
    if key in _UNCHECKED:
        return None
    if key == "type":
        kinds = [k.lower() for k in (given if isinstance(given, list) else [given]) if isinstance(k, str)]
        known = [k for k in dict.fromkeys(kinds) if k in _TYPES]
        return (known if isinstance(given, list) else known[0]) if known else None
    if key == "required" and isinstance(given, list):
        return list(dict.fromkeys(name for name in given if isinstance(name, str)))
    if key in (*_LISTS, "enum") and not given:
        return None
    if key in _COUNTS and (isinstance(given, bool) or (isinstance(given, int) and given < 0)):
        return None
    return given if isinstance(given, _KINDS.get(key, object)) else None


def _grammar(schema: Schema, root: str, whole: Schema, *, inside_all: bool) -> Schema:
    """What of `schema` a grammar can hold. `inside_all`: other schemas may allow more properties."""
    if "$ref" in schema and not _resolves(schema["$ref"], whole):
        schema = {k: v for k, v in schema.items() if k != "$ref"}
    kept: Schema = {k: v for k, v in schema.items() if k in _GRAMMAR}
    structure = {k: v for k, v in schema.items() if k in (*_MAPS, *_LISTS, *_SINGLE)}
    for key, value in structure.items():
        within = inside_all or key == "allOf"

        def converted(inner: Any, within: bool = within) -> Any:
            return _grammar(inner, root, whole, inside_all=within) if isinstance(inner, dict) else inner

        kept |= _walk({key: value}, converted)
    if "oneOf" in kept:
        kept["anyOf"] = [*kept.pop("oneOf"), *kept.get("anyOf", ())]
    if "$ref" in schema:
        kept["$ref"] = root + schema["$ref"][1:]
    if schema.get("format") in _FORMATS:
        kept["format"] = schema["format"]
    if (pattern := schema.get("x-pattern")) and _is_taken(json.dumps({"type": "string", "pattern": pattern})):
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


def _walk(schema: Schema, change: Callable[[Any], Any]) -> Schema:
    """A copy with each schema inside changed; what is not where a schema may be stays as it is."""
    copy: Schema = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            copy[key] = {name: change(inner) for name, inner in value.items()}
        elif key in _LISTS and isinstance(value, list | tuple):
            copy[key] = [change(inner) for inner in value]
        elif key in _SINGLE and isinstance(value, dict):
            copy[key] = change(value)
        else:
            copy[key] = value
    return copy


def _resolves(ref: Any, whole: Schema) -> bool:
    """Whether it points to something inside the schema."""
    if ref == "#":
        return True
    if not isinstance(ref, str) or not ref.startswith("#/"):
        return False
    place: Any = whole
    for step in ref[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or name not in place:
            return False
        place = place[name]
    return True
