"""The grammar, for llguidance, within which a model writes its calls."""

from __future__ import annotations

import json
from collections.abc import Sequence

from openlive.engines.llm.functions import schemas
from openlive.engines.llm.functions.stubs import normalise_parameters, read_signature
from openlive.types import FunctionDeclaration

MAX_CALLS = 8


ARGUMENT = 32
"""Characters of room that an argument takes in a grammar, beside its schema."""


IN_ORDER = 64
"""Optional arguments of a function up to which a grammar has them in their order, each once at most. The rule of each
refers to that of the next, and llguidance follows such references on the stack of its thread: 8000 end the process."""


def build_grammar(functions: Sequence[FunctionDeclaration]) -> str:
    """What may follow the prompt, for llguidance: calls with arguments that their declarations allow. Rules: `f0` is a
    call of the first function, `v0` the first kind of value, whosever argument it is."""
    room = schemas.GrammarBudget()
    values: dict[str, str] = {_BOOLEAN: "v0", "%json {}": "v1"}
    calls = " | ".join(f"f{i}" for i in range(len(functions)))
    rules = [f'start: call (", " call){{0,{MAX_CALLS - 1}}} "]\\n"', f"call: {calls}"]
    for i, function in enumerate(functions):
        rules += _function_rules(f"f{i}", function, values, room)
    rules += ['any: (one (", " one)*)?', "one: /[^ =()]{1,64}=/ v1"]
    rules += [f"{name}: {value}" for value, name in values.items()]
    return "%llguidance {}\n" + "\n".join(rules) + "\n"


_BOOLEAN = '"True" | "False"'


_COMMA = ' ", " '


def _function_rules(
    rule: str, function: FunctionDeclaration, values: dict[str, str], room: schemas.GrammarBudget
) -> list[str]:
    """Those of one function. What its arguments may be is added to `values`, by the names of their rules."""
    whole = normalise_parameters(function)
    properties, required = read_signature(whole)
    start = f"{rule}: {_quote_json(function.name + '(')}"
    if not room.take_characters(ARGUMENT * len(properties)):
        return [f'{start} any ")"']
    held = schemas.ArgumentSchemas(whole, room)
    named = []
    for name, schema in properties.items():
        value = _BOOLEAN if schema.get("type") == "boolean" else f"%json {json.dumps(held.build_schema(schema))}"
        named.append(f"{_quote_json(name + '=')} {values.setdefault(value, f'v{len(values)}')}")
    must, may = named[: len(required)], named[len(required) :]
    arguments, rules = _optional_rules(rule, may, first=not must)
    return [f'{start} {_COMMA.join(must)} {arguments} ")"', *rules]


def _optional_rules(rule: str, named: Sequence[str], *, first: bool) -> tuple[str, list[str]]:
    """What may follow the required arguments, or where there are none (`first`) stand in their place; and the rules for
    it: `f0_m1` for the arguments from the first one on behind another, `f0_o1` where there is none before."""
    if not named:
        return "", []
    if len(named) > IN_ORDER:
        more = f'(", " {rule}_m)*'
        return f"({rule}_m {more})?" if first else more, [f"{rule}_m: {' | '.join(named)}"]
    rules = []
    for i, one in enumerate(named):
        more = f" {rule}_m{i + 1}" if i + 1 < len(named) else ""
        rules.append(f'{rule}_m{i}: (", " {one})?{more}')
        if first:
            other = f" | {rule}_o{i + 1}" if i + 1 < len(named) else ""
            rules.append(f"{rule}_o{i}: {one}{more}{other}")
    return f"{rule}_o0?" if first else f"{rule}_m0", rules


def _quote_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
