"""What a token locks, laid over what its client asks for (docs/protocol.md#ephemeral-tokens)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from openlive.wire.setup import SessionResumptionConfig, Setup


def apply_token_locks(client: Setup, token: Setup | None, mask: Sequence[str] | None) -> Setup:
    """The setup in force. `mask`: the fields that come from the token, as snake_case paths; None: all, if any.

    A token that locks `session_resumption` locks whether there is one, not which session is resumed: handles are born
    later than tokens. One that locks everything leaves that, and a model that it does not name, to the client.
    """
    if mask is None:
        if token is None:
            return client
        model = token.model if token.model is not None else client.model
        resumption = _with_client_handle(token.session_resumption, client) or client.session_resumption
        return replace(token, model=model, session_resumption=resumption)
    setup = client
    for path in mask:
        setup = _copy_field(setup, token or Setup(), path.split("."))
    if "session_resumption" in mask:
        setup = replace(setup, session_resumption=_with_client_handle(setup.session_resumption, client))
    return setup


def is_locked(field: str, token: Setup | None, mask: Sequence[str] | None) -> bool:
    """Whether a token has a say in `field` of the setup: it then stays as it is for the whole session."""
    if mask is None:
        return token is not None
    return any(path.split(".")[0] == field for path in mask)


def _with_client_handle(said: SessionResumptionConfig | None, client: Setup) -> SessionResumptionConfig | None:
    """What the token says, with the client's handle where it names none of its own."""
    asked = client.session_resumption
    if said is None or said.handle is not None or asked is None:
        return said
    return replace(said, handle=asked.handle)


def _copy_field(into: Any, source: Any, path: Sequence[str]) -> Any:
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
        value = _copy_field(kind() if inner is None else inner, kind() if value is None else value, rest)
    return replace(into, **{name: value})
