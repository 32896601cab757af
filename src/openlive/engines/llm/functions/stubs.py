"""Functions as stubs of Python: how a model is shown them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openlive.engines.llm.functions import schemas
from openlive.engines.llm.prompt.conversation import to_python_literal
from openlive.types import FunctionDeclaration


def build_stub(function: FunctionDeclaration) -> str:
    properties, listed = read_signature(normalise_parameters(function))
    required = set(listed)
    arguments = ", ".join(
        f"{name}: {_type_hint(schema)}" + ("" if name in required else " = None") for name, schema in properties.items()
    )
    told = [f"    {name}: {s['description']}" for name, s in properties.items() if s.get("description")]
    more = "\n".join(["", *told, "    "]) if told else ""
    return f'def {function.name}({arguments}):\n    """{function.description}{more}"""\n'


def read_signature(schema: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    """The properties of a function's parameters, the required ones first, and the names of these."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    properties = properties if isinstance(properties, dict) else {}
    listed = schema.get("required") if properties else None
    listed = listed if isinstance(listed, list) else []
    required = list(dict.fromkeys(name for name in listed if isinstance(name, str) and name in properties))
    ordered = dict.fromkeys([*required, *properties])
    return {name: properties[name] if isinstance(properties[name], dict) else {} for name in ordered}, required


def normalise_parameters(function: FunctionDeclaration) -> dict[str, Any]:
    schema = schemas.normalise_schema(function.parameters)
    return schema if isinstance(schema, dict) else {}


_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "dict", "null": "None"}


def _type_hint(schema: Any) -> str:
    """A type hint, as near as it comes."""
    if not isinstance(schema, dict):
        return "Any"
    if schema.get("enum"):
        return f"Literal[{', '.join(map(to_python_literal, schema['enum']))}]"
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type_hint({**schema, "type": k}) for k in kind) or "Any"
    if kind == "array":
        return f"list[{_type_hint(schema.get('items', {}))}]"
    if kind == "object" and isinstance(schema.get("properties"), dict):
        return "{" + ", ".join(f'"{n}": {_type_hint(s)}' for n, s in schema["properties"].items()) + "}"
    return _TYPES.get(str(kind), "Any")
