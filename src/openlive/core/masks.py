"""What a token locks, laid over what its client asks for (protocol.md 1.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from openlive.wire.setup import Setup


def locked(client: Setup, token: Setup | None, mask: Sequence[str] | None) -> Setup:
    """The setup in force. `mask`: the fields that come from the token, as snake_case paths; None: all, if any."""
    if mask is None:
        if token is None:
            return client
        return replace(token, session_resumption=client.session_resumption or token.session_resumption)
    for path in mask:
        client = _copy(client, token or Setup(), path.split("."))
    return client


def _copy(into: Any, source: Any, path: Sequence[str]) -> Any:
    """`into` with the field at `path` as it is in `source`."""
    name, *rest = path
    if not isinstance(into, Struct) or name not in into.__struct_fields__:
        return into
    value = getattr(source, name)
    if rest:
        inner = getattr(into, name)
        if inner is None and value is None:
            return into
        kind = type(inner if inner is not None else value)
        value = _copy(kind() if inner is None else inner, kind() if value is None else value, rest)
    return replace(into, **{name: value})
