"""JSON Schemas as what they are, trees with references: where schemas stand in a schema, where references lead, and how
much all of it comes to. Nothing else walks through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
"""Keywords that hold schemas by their names,"""
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
"""in a list,"""
SINGLE = (
    *("items", "additionalProperties", "unevaluatedItems", "unevaluatedProperties", "propertyNames", "contains"),
    *("not", "if", "then", "else"),
)
"""or one."""
DEFINITIONS = ("$defs", "definitions")
_HOLDING = frozenset((*MAPS, *LISTS, *SINGLE))


def iterate_subschemas(schema: Schema) -> Iterator[tuple[str, str | int | None, Any]]:
    """What stands right within a schema where schemas may: the keyword, the name or number there, and the schema."""
    for keyword in _HOLDING & schema.keys() if len(schema) > len(_HOLDING) else schema:
        if keyword not in _HOLDING:
            continue
        held = schema[keyword]
        if keyword in MAPS:
            if isinstance(held, dict):
                for name, inner in held.items():
                    yield keyword, name, inner
        elif keyword in LISTS:
            if isinstance(held, list):
                for i, inner in enumerate(held):
                    yield keyword, i, inner
        else:
            yield keyword, None, held


def map_subschemas(schema: Schema, change: Callable[[Any], Any]) -> Schema:
    """A copy with each schema right within it changed; what is not where a schema may be stays as it is."""
    copy = dict(schema)
    for keyword in _HOLDING & schema.keys():
        held = schema[keyword]
        if keyword in MAPS and isinstance(held, dict):
            copy[keyword] = {name: change(inner) for name, inner in held.items()}
        elif keyword in LISTS and isinstance(held, list | tuple):
            copy[keyword] = [change(inner) for inner in held]
        elif keyword in SINGLE and isinstance(held, dict):
            copy[keyword] = change(held)
    return copy


def copy_json(value: Any) -> Any:
    """A copy of JSON, lists and objects anew; several times as fast as `deepcopy`."""
    if type(value) is dict:
        return {key: copy_json(item) if type(item) in _CONTAINERS else item for key, item in value.items()}
    if type(value) is list:
        return [copy_json(item) if type(item) in _CONTAINERS else item for item in value]
    return value


_CONTAINERS = (dict, list)


def resolve_reference(reference: str, whole: Schema) -> Any:
    """What a reference names in a schema (`#/$defs/NAME`, a JSON pointer), None where that is no schema."""
    if reference == "#":
        return whole
    if not reference.startswith("#/"):
        return None
    place: Any = whole
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict) and name in place:
            place = place[name]
        elif isinstance(place, list) and name.isdecimal() and int(name[:9]) < len(place):
            place = place[int(name[:9])]
        else:
            return None
    return place if isinstance(place, dict | bool) else None


class SchemaSize:
    """How many schemas one comes to with all that it refers to, where each reference is replaced by what it leads to,
    and one that leads back to where it stands counts as one. `refer`: where a reference leads.

    What branches (two references each to what has two) grows exponentially by that, and so does the work of whoever
    follows the references; here each schema is looked at once.
    """

    def __init__(self, refer: Callable[[str], Any]) -> None:
        self._refer = refer
        self._sizes: dict[int, int] = {}

    def measure_schema(self, schema: Any, most: int) -> tuple[int, list[Place]]:
        """The size, and where it comes to more than `most`: the steps to the innermost such schema."""
        if not isinstance(schema, dict):
            return 1, []
        if id(schema) in self._sizes:
            return self._sizes[id(schema)], []
        path = [_SizeStep(schema, ("", None), self._iterate_inner(schema))]
        open_ = {id(schema)}
        while True:
            step = path[-1]
            for place, inner in step.rest:
                if not isinstance(inner, dict) or id(inner) in open_:
                    step.size += 1
                elif id(inner) in self._sizes:
                    step.size += self._sizes[id(inner)]
                else:
                    path.append(_SizeStep(inner, place, self._iterate_inner(inner)))
                    open_.add(id(inner))
                    break
            else:
                self._sizes[id(step.schema)] = step.size
                if step.size > most:
                    return step.size, [one.place for one in path[1:]]
                open_.remove(id(step.schema))
                path.pop()
                if not path:
                    return step.size, []
                path[-1].size += step.size

    def _iterate_inner(self, schema: Schema) -> Iterator[tuple[Place, Any]]:
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield ("$ref", None), self._refer(reference)
        for keyword, name, inner in iterate_subschemas(schema):
            if keyword not in DEFINITIONS:  # what nobody refers to costs nobody anything
                yield (keyword, name), inner


Place = tuple[str, str | int | None]
"""A keyword, and the name or the number in what it holds."""


class _SizeStep:
    def __init__(self, schema: Schema, place: Place, rest: Iterator[tuple[Place, Any]]) -> None:
        self.schema = schema
        self.place = place
        self.rest = rest
        self.size = 1
