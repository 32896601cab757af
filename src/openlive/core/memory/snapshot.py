"""A session's state, as it is stored and restored. Holds what was said, never audio.

Clocks differ between connections: times in here are counted from the moment of the snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from openlive.core.listening.affect import UNKNOWN_SPEAKER, SpeakerBaseline
from openlive.core.memory.history import GONE
from openlive.core.replying.pending_call import PendingCall
from openlive.types import FunctionDeclaration, Image, Message, Page, Part, Source


class TurnOutput(Struct, frozen=True):
    """What earlier parts of the same turn produced: before a function call the model may have spoken already."""

    plays_until: float = 0.0
    samples: int = 0
    text: int = 0
    thoughts: int = 0
    transcribing: bool = False
    """Words of it were told that no `finished` has followed yet."""


class SuspendedTurn(Struct, frozen=True):
    """A turn that waits for the results of its calls. `prompt`: what its request counts, by modality."""

    spent: TurnOutput
    prompt: dict[str, int]


class ToolFindings(Struct, frozen=True):
    """What the tools of a turn brought: what was searched for, what was found, which pages were read."""

    queries: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    pages: tuple[Page, ...] = ()


class HearingState(Struct, frozen=True):
    """What of hearing outlives a connection. `received`: samples; `turn_floor`: where the latest turn ended; `usual`:
    how the user mostly sounds, where that was asked for."""

    received: int = 0
    spoken: str = ""
    contradictions: int = 0
    turn_floor: int = 0
    usual: SpeakerBaseline = UNKNOWN_SPEAKER


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
    calls: tuple[PendingCall, ...]
    call_number: int
    turn: int
    first: int
    asking: SuspendedTurn | None
    instructions: tuple[str, str]
    functions: tuple[tuple[FunctionDeclaration, ...], tuple[FunctionDeclaration, ...]]
    results: tuple[Part, ...]
    """Of a turn with several calls, those that have come in."""
    found: ToolFindings
    ears: HearingState
    age: float = 0.0
    """Seconds that it was connected."""
    video_since: float | None = None
    """Its age when the first image came by `realtimeInput`."""


def with_newest_images(snapshot: Snapshot, most: int) -> Snapshot:
    """The same with no more than the newest images that come to `most` bytes together."""
    left = most

    def keep_newest(parts: Sequence[Part]) -> tuple[Part, ...]:
        nonlocal left
        newest: list[Part] = []
        for part in reversed(parts):
            left -= len(part.data) if isinstance(part, Image) else 0
            if left >= 0 or not isinstance(part, Image):
                newest.append(part)
        return tuple(reversed(newest))

    def lighten_message(message: Message) -> Message:
        if not any(isinstance(part, Image) for part in message.parts):
            return message
        return Message(message.role, keep_newest(message.parts) or (GONE,))

    seen = tuple(image for image in keep_newest(snapshot.seen) if isinstance(image, Image))
    results = keep_newest(snapshot.results)
    waiting = [(lighten_message(message), complete) for message, complete in reversed(snapshot.waiting)]
    messages = [lighten_message(message) for message in reversed(snapshot.messages)]
    if left >= 0:
        return snapshot
    return replace(
        snapshot,
        messages=tuple(reversed(messages)),
        waiting=tuple(reversed(waiting)),
        seen=seen,
        results=results,
    )
