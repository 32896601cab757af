"""The body of `POST auth_tokens`, and the field masks that say what a token locks
(docs/protocol.md#ephemeral-tokens)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, get_args, get_type_hints

from openlive.wire.errors import ProtocolError
from openlive.wire.proto import Int32, Message, Timestamp
from openlive.wire.setup import GenerationConfig, Setup


class AuthToken(Message, frozen=True, kw_only=True):
    """A token that is asked for, or (its `name` alone) one that was made. The body of the call is this itself."""

    name: str | None = None
    expire_time: Timestamp | None = None
    new_session_expire_time: Timestamp | None = None
    uses: Int32 | None = None
    bidi_generate_content_setup: Setup | None = None
    field_mask: str | None = None


MAX_PATHS = 1000
"""Of one field mask; the setup has some two hundred fields."""
_MAX_LEVELS = 32
"""Names in one path that are looked at; the setup's deepest has seven."""
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


def mask_paths(text: str | None) -> tuple[str, ...] | None:
    """The fields of the setup that a mask names, as snake_case paths; None where it names none.

    Both spellings are read, and a path that goes into a list or a map (`tools.0`, as JavaScript writes it) names the
    whole of it. SDKs that lock fields without giving a setup leave `generationConfig.` out. Raises `ProtocolError`.
    """
    if text and text.count(",") >= MAX_PATHS:
        raise ProtocolError(f"Invalid value at 'field_mask': more than {MAX_PATHS} paths.", field="field_mask")
    paths = [path.strip() for path in (text or "").split(",") if path.strip()]
    return tuple(dict.fromkeys(map(_parse_path, paths))) or None


def _parse_path(text: str) -> str:
    names = [_HUMP.sub(lambda hump: f"_{hump[1].lower()}", name) for name in text.split(".", _MAX_LEVELS)]
    if names[0] not in Setup.__struct_fields__ and names[0] in GenerationConfig.__struct_fields__:
        names.insert(0, "generation_config")
    kind: type[Message] | None = Setup
    found: list[str] = []
    for name in names:
        if kind is None:
            break
        if name not in kind.__struct_fields__:
            reason = f"Invalid value at 'field_mask': \"{text[:100]}\" names no field of the setup."
            raise ProtocolError(reason, field="field_mask")
        found.append(name)
        kind = _singular_message_type(_hints(kind)[name])
    return ".".join(found)


_hints = cache(get_type_hints)


def _singular_message_type(annotation: Any) -> type[Message] | None:
    """The message that a singular field holds; None for lists, maps and scalars."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Message):
            return None if getattr(annotation, "__origin__", None) is tuple else kind
    return None
