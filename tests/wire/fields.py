"""The names of all fields, for tests that make messages up."""

from __future__ import annotations

from typing import get_args, get_type_hints

from openlive.wire.proto import Message


def names(struct: type[Message], seen: set[type[Message]]) -> set[str]:
    """Every field name that is reachable from a message, in both spellings. `seen` gathers the messages."""
    if struct in seen:
        return set()
    seen.add(struct)
    found = {*struct.__struct_fields__, *struct.__struct_encode_fields__}
    pending = list(get_type_hints(struct).values())
    while pending:
        hint = pending.pop()
        pending += get_args(hint)
        if isinstance(hint, type) and issubclass(hint, Message):
            found |= names(hint, seen)
    return found
