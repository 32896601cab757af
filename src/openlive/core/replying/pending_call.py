"""A function call under way, as the session knows it and as it is stored."""

from __future__ import annotations

from msgspec import Struct

from openlive.types import FunctionCall


class PendingCall(Struct, frozen=True):
    """Made in the turn `turn`. `asked_at` is the session's clock. `tool`: the server's that runs for it, '' where the
    client is asked. `announced`: the operator knows that it takes long. `told`: the model knows that it runs."""

    call: FunctionCall
    blocking: bool
    turn: int
    asked_at: float
    tool: str = ""
    announced: bool = False
    told: bool = False
