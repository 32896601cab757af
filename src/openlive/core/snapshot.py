"""A session's state, as it is stored and restored. Holds what was said, never audio.

Clocks differ between connections: times in here are counted from the moment of the snapshot.
"""

from __future__ import annotations

from msgspec import Struct

from openlive.core.affect import NOBODY, Usual
from openlive.core.pending import Pending
from openlive.types import FunctionDeclaration, Image, Message, Page, Part, Source


class Spent(Struct, frozen=True):
    """What earlier parts of the same turn produced: before a function call the model may have spoken already."""

    plays_until: float = 0.0
    samples: int = 0
    text: int = 0
    thoughts: int = 0
    transcribing: bool = False
    """Words of it were told that no `finished` has followed yet."""


class Asking(Struct, frozen=True):
    """A turn that waits for the results of its calls. `prompt`: what its request counts, by modality."""

    spent: Spent
    prompt: dict[str, int]


class Found(Struct, frozen=True):
    """What the tools of a turn brought: what was searched for, what was found, which pages were read."""

    queries: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    pages: tuple[Page, ...] = ()


class Ears(Struct, frozen=True):
    """What of hearing outlives a connection. `received`: samples; `turn_floor`: where the latest turn ended; `usual`:
    how the user mostly sounds, where that was asked for."""

    received: int = 0
    spoken: str = ""
    contradictions: int = 0
    turn_floor: int = 0
    usual: Usual = NOBODY


class Snapshot(Struct, frozen=True):
    """`session` is the id that the session keeps over all its connections.

    `instructions` and `functions` are (what the setup said, what is in force): they differ after a `contextUpdate`, and
    the difference lives on where the resuming setup says the same again.
    """

    session: str
    messages: tuple[Message, ...]
    kept: int
    engine_ratio: float
    waiting: tuple[tuple[Message, bool], ...]
    loading: bool
    seen: tuple[Image, ...]
    calls: tuple[Pending, ...]
    call_number: int
    turn: int
    first: int
    asking: Asking | None
    instructions: tuple[str, str]
    functions: tuple[tuple[FunctionDeclaration, ...], tuple[FunctionDeclaration, ...]]
    results: tuple[Part, ...]
    """Of a turn with several calls, those that have come in."""
    found: Found
    ears: Ears
    age: float = 0.0
    """Seconds that it was connected."""
    video_since: float | None = None
    """Its age when the first image came by `realtimeInput`."""
