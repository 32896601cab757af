"""A session at rest, as it is stored and restored. Holds what was said, never audio."""

from __future__ import annotations

from msgspec import Struct

from openlive.core.calls import Pending
from openlive.types import FunctionDeclaration, FunctionResponse, Image, Message

VERSION = 1


class Snapshot(Struct, frozen=True):
    """`session` is the id that the session keeps over all its connections.

    `instructions` and `functions` are (what the setup said, what is in force): they differ after a `contextUpdate`, and
    the difference lives on where the resuming setup says the same again.
    """

    session: str
    messages: tuple[Message, ...]
    kept: int
    waiting: tuple[tuple[Message, bool], ...]
    loading: bool
    seen: tuple[Image, ...]
    calls: tuple[Pending, ...]
    call_number: int
    turn: int
    instructions: tuple[str, str]
    functions: tuple[tuple[FunctionDeclaration, ...], tuple[FunctionDeclaration, ...]]
    answers: tuple[FunctionResponse | Image, ...]
    """Of a turn with several calls, those that have come in."""
    hearing: tuple[int, str, int]
    version: int = VERSION
