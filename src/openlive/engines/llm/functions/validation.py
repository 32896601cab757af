"""Whether arguments keep to a JSON Schema (draft 2020-12 and OpenAPI's `nullable`), in a bounded number of steps.

Schema and arguments are both the client's, or a model's that does what the client says, and alternatives within
alternatives take a validator exponential time: here each keyword that is looked at is a step, and so is each value that
it compares. What makes no sense counts as not written. Left out are expressions, which could keep Python busy for ever
(the grammar, which is linear, holds them), formats, `unevaluated…` and dynamic references.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from openlive.schema import Schema, resolve_reference

STEPS = 20_000
"""Some 10 ms. An object of 50 members takes some 200, a list of 500 such objects with five members each 15,000."""
MAX_LEVELS = 160
"""Schemas within schemas while one value is looked at."""
_SHOWN = 80
"""Characters of a value that are told."""


class _TooMuchError(Exception):
    """There are no steps left."""


def find_violation(value: Any, schema: Any, most: int = STEPS) -> str:
    """What is wrong with a value, '' where nothing is. What cannot be checked in so many steps is wrong."""
    try:
        return _Validator(schema, most).find_violation(value, schema, "$")
    except (_TooMuchError, RecursionError):
        return f"$: it takes more than {most} steps to check it"


class _Validator:
    def __init__(self, whole: Any, most: int) -> None:
        self._whole = whole
        self._left = most
        self._level = 0
        self._targets: dict[str, Any] = {}
        self._choices: dict[int, set[Any]] = {}

    def spend_steps(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise _TooMuchError

    def find_violation(self, value: Any, schema: Any, path: str) -> str:
        """What is wrong with the value at `path`, '' where nothing is."""
        self.spend_steps(1)
        if not isinstance(schema, dict):
            return f"{path}: nothing may be there" if schema is False else ""
        self._level += 1
        if self._level > MAX_LEVELS:
            raise _TooMuchError
        self.spend_steps(len(schema))
        for keyword, given in schema.items():
            check = _CHECKS.get(keyword)
            if check is not None and (found := check(self, value, given, schema, path)):
                return found
        self._level -= 1
        return ""

    def is_valid(self, value: Any, schema: Any) -> bool:
        level = self._level
        fitting = not self.find_violation(value, schema, "$")
        self._level = level
        return fitting

    def resolve_reference(self, reference: str) -> Any:
        if reference not in self._targets:
            self.spend_steps(reference.count("/"))
            self._targets[reference] = (
                resolve_reference(reference, self._whole) if isinstance(self._whole, dict) else None
            )
        return self._targets[reference]

    def freeze_choices(self, values: list[Any]) -> set[Any]:
        if id(values) not in self._choices:
            self._choices[id(values)] = {self.freeze_value(one) for one in values}
        return self._choices[id(values)]

    def freeze_value(self, value: Any) -> Any:
        """The same for what JSON takes for the same: 1 and 1.0, but not 1 and true."""
        self.spend_steps(1)
        if isinstance(value, bool):
            return bool, value
        if isinstance(value, list):
            return list, tuple([self.freeze_value(item) for item in value])
        if isinstance(value, dict):
            return dict, frozenset([(key, self.freeze_value(item)) for key, item in value.items()])
        return value


Keyword = Callable[[_Validator, Any, Any, Schema, str], str]
"""Takes the value, what the keyword says, the schema and the value's path; returns what is wrong."""


def _describe_value(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value[:_SHOWN] if isinstance(value, str) else value, ensure_ascii=False)
    return text if len(text) <= _SHOWN + 2 else f"{text[:_SHOWN]}…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_IS: dict[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str),
    "number": _is_number,
    "integer": lambda v: _is_number(v) and (isinstance(v, int) or v.is_integer()),
    "boolean": lambda v: isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
    "null": lambda v: v is None,
}


def _check_type(check: _Validator, value: Any, given: Any, schema: Schema, path: str) -> str:
    if value is None and schema.get("nullable") is True:
        return ""
    kinds = [kind.lower() for kind in (given if isinstance(given, list) else [given]) if isinstance(kind, str)]
    check.spend_steps(len(kinds))
    known = [kind for kind in kinds if kind in _IS]
    if not known or any(_IS[kind](value) for kind in known):
        return ""
    return f"{path}: {_describe_value(value)} is no {' or '.join(known)}"


def _check_enum(check: _Validator, value: Any, given: Any, schema: Schema, path: str) -> str:
    if not isinstance(given, list) or not given or (value is None and schema.get("nullable") is True):
        return ""
    return (
        ""
        if check.freeze_value(value) in check.freeze_choices(given)
        else f"{path}: {_describe_value(value)} is none of its values"
    )


def _check_const(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    return (
        ""
        if check.freeze_value(value) == check.freeze_value(given)
        else f"{path}: {_describe_value(value)} is not {_describe_value(given)}"
    )


def _check_ref(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    target = check.resolve_reference(given) if isinstance(given, str) else None
    return "" if target is None else check.find_violation(value, target, path)


# Alternatives


def _check_all_of(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    inner = given if isinstance(given, list) else ()
    return next(filter(None, (check.find_violation(value, one, path) for one in inner)), "")


def _check_any_of(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    if not isinstance(given, list) or not given or any(check.is_valid(value, one) for one in given):
        return ""
    return f"{path}: {_describe_value(value)} fits none of the alternatives"


def _check_one_of(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    if not isinstance(given, list) or not given:
        return ""
    fitting = sum(check.is_valid(value, one) for one in given)
    return "" if fitting == 1 else f"{path}: {_describe_value(value)} fits {fitting} of the alternatives, and not one"


def _check_not(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    if not isinstance(given, dict | bool) or not check.is_valid(value, given):
        return ""
    return f"{path}: {_describe_value(value)} is what it may not be"


def _check_if(check: _Validator, value: Any, given: Any, schema: Schema, path: str) -> str:
    if not isinstance(given, dict | bool):
        return ""
    return check.find_violation(value, schema.get("then" if check.is_valid(value, given) else "else"), path)


# Objects


def _check_properties(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    if not isinstance(value, dict) or not isinstance(given, dict):
        return ""
    for name in value:
        check.spend_steps(1)
        if name in given and (found := check.find_violation(value[name], given[name], f"{path}.{name[:_SHOWN]}")):
            return found
    return ""


def _check_additional(check: _Validator, value: Any, given: Any, schema: Schema, path: str) -> str:
    if not isinstance(value, dict) or not isinstance(given, dict | bool) or "patternProperties" in schema:
        return ""
    properties = schema.get("properties")
    for name, item in value.items():
        check.spend_steps(1)
        declared = isinstance(properties, dict) and name in properties
        if not declared and (found := check.find_violation(item, given, f"{path}.{name[:_SHOWN]}")):
            return found
    return ""


def _check_required(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    if not isinstance(value, dict) or not isinstance(given, list):
        return ""
    check.spend_steps(len(given))
    missing = next((name for name in given if isinstance(name, str) and name not in value), None)
    return "" if missing is None else f"{path}: {_describe_value(missing)} is missing"


def _check_property_names(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    names = value if isinstance(value, dict) else ()
    return next(filter(None, (check.find_violation(name, given, f"{path}.{name[:_SHOWN]}") for name in names)), "")


def _check_dependent_required(check: _Validator, value: Any, given: Any, schema: Schema, path: str) -> str:
    if not isinstance(value, dict) or not isinstance(given, dict):
        return ""
    check.spend_steps(len(given))
    needed = (_check_required(check, value, names, schema, path) for name, names in given.items() if name in value)
    return next(filter(None, needed), "")


def _check_dependent_schemas(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    if not isinstance(value, dict) or not isinstance(given, dict):
        return ""
    check.spend_steps(len(given))
    return next(
        filter(None, (check.find_violation(value, inner, path) for name, inner in given.items() if name in value)), ""
    )


# Lists


def _check_items(check: _Validator, value: Any, given: Any, schema: Schema, path: str) -> str:
    if not isinstance(value, list) or not isinstance(given, dict | bool):
        return ""
    prefix = schema.get("prefixItems")
    begin = len(prefix) if isinstance(prefix, list) else 0
    found = (check.find_violation(item, given, f"{path}[{i}]") for i, item in enumerate(value[begin:], begin))
    return next(filter(None, found), "")


def _check_prefix_items(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    if not isinstance(value, list) or not isinstance(given, list):
        return ""
    pairs = enumerate(zip(value, given, strict=False))
    return next(filter(None, (check.find_violation(item, inner, f"{path}[{i}]") for i, (item, inner) in pairs)), "")


def _check_unique(check: _Validator, value: Any, given: Any, _: Schema, path: str) -> str:
    if (
        given is not True
        or not isinstance(value, list)
        or len({check.freeze_value(item) for item in value}) == len(value)
    ):
        return ""
    return f"{path}: two of its items are the same"


def _check_contains(check: _Validator, value: Any, given: Any, schema: Schema, path: str) -> str:
    if not isinstance(value, list) or not isinstance(given, dict | bool):
        return ""
    fitting = sum(check.is_valid(item, given) for item in value)
    least, most = schema.get("minContains", 1), schema.get("maxContains")
    too_few = _is_count(least) and fitting < least
    if too_few or (most is not None and _is_count(most) and fitting > most):
        return f"{path}: {fitting} of its items are as some of them have to be"
    return ""


# Bounds


def _build_size_check(kind: type[str | list[Any] | dict[str, Any]], bound: int) -> Keyword:
    """`bound`: 1 for the least, -1 for the most."""

    def check_size(_: _Validator, value: Any, given: Any, __: Schema, path: str) -> str:
        if not isinstance(value, kind) or not _is_count(given) or bound * len(value) >= bound * given:
            return ""
        return f"{path}: its length is {len(value)}, and {given} is the {'least' if bound > 0 else 'most'}"

    return check_size


def _build_bound_check(allows: Callable[[Any, Any], bool], words: str) -> Keyword:
    def check_bound(_: _Validator, value: Any, given: Any, __: Schema, path: str) -> str:
        if not _is_number(value) or not _is_number(given) or allows(value, given):
            return ""
        return f"{path}: {_describe_value(value)} is not {words} {_describe_value(given)}"

    return check_bound


def _is_multiple(value: float, of: float) -> bool:
    if of <= 0:
        return True
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    try:
        return (value / of).is_integer()
    except OverflowError:
        return True


_CHECKS: dict[str, Keyword] = {
    "type": _check_type,
    "enum": _check_enum,
    "const": _check_const,
    "$ref": _check_ref,
    "allOf": _check_all_of,
    "anyOf": _check_any_of,
    "oneOf": _check_one_of,
    "not": _check_not,
    "if": _check_if,
    "properties": _check_properties,
    "additionalProperties": _check_additional,
    "required": _check_required,
    "propertyNames": _check_property_names,
    "dependentRequired": _check_dependent_required,
    "dependentSchemas": _check_dependent_schemas,
    "items": _check_items,
    "prefixItems": _check_prefix_items,
    "uniqueItems": _check_unique,
    "contains": _check_contains,
    "minItems": _build_size_check(list, 1),
    "maxItems": _build_size_check(list, -1),
    "minLength": _build_size_check(str, 1),
    "maxLength": _build_size_check(str, -1),
    "minProperties": _build_size_check(dict, 1),
    "maxProperties": _build_size_check(dict, -1),
    "minimum": _build_bound_check(lambda value, bound: value >= bound, "at least"),
    "maximum": _build_bound_check(lambda value, bound: value <= bound, "at most"),
    "exclusiveMinimum": _build_bound_check(lambda value, bound: value > bound, "more than"),
    "exclusiveMaximum": _build_bound_check(lambda value, bound: value < bound, "less than"),
    "multipleOf": _build_bound_check(_is_multiple, "a multiple of"),
}
