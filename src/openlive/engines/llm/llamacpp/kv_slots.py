"""Who may use which slot of the model's KV cache, and when. Pure bookkeeping: time is an argument.

All slots draw on one pool of cells (tokens). A conversation keeps its slot between turns, so that only what is new
has to be computed. Slots and cells of others are taken least recently used first, and by speculative work only where
nobody will miss them (design: "speculation never evicts one").
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from msgspec import Struct

RECENT = 60.0
"""Seconds after its last use for which a conversation counts as going on: longer than most pauses between turns."""

ALIKE = 16
"""Tokens in common from which a forgotten conversation's slot is worth more than an empty one."""

_NEVER = float("-inf")


class SlotLease(Struct, frozen=True):
    """The right to run on `slot` until released. The slots in `clear` must be emptied first: their cells are needed.
    `own`: what the slot holds was computed for the same conversation."""

    slot: int
    clear: tuple[int, ...] = ()
    own: bool = False


class _Slot(Struct):
    owner: str | None = None
    busy: bool = False
    tokens: int = 0
    """Cells that it fills; while busy, those that it may come to fill."""
    used: float = _NEVER
    prompt: Sequence[int] = ()
    """What it was last used for, as far as that came: a conversation that begins alike finds its beginning computed."""


class KVSlots:
    """Thread-safe: leases are released by the threads that did the work."""

    def __init__(self, count: int, pool: int) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._pool = pool
        self._lock = Lock()

    def claim_slot(
        self, conversation: str, tokens: int, now: float, *, prompt: Sequence[int] = (), speculative: bool = False
    ) -> SlotLease | None:
        """A slot for a run of at most `tokens` cells, or None: try again after the next release.

        A new conversation gets the slot of a forgotten one whose `prompt` began like its own: sessions of one program
        share their instructions.

        None while the conversation's own slot is busy, or all others are, or the cells don't suffice. Speculative
        work gets None, too, where it would cost another conversation what is kept for it.
        """
        with self._lock:
            index = self._choose_slot(conversation, prompt, now, speculative)
            if index is None:
                return None
            clear = self._find_slots_to_clear(index, tokens, now, speculative)
            if clear is None:
                return None
            own = self._slots[index].owner == conversation
            for i in clear:
                self._slots[i] = _Slot()
            self._slots[index] = _Slot(conversation, True, tokens, now, prompt)
            return SlotLease(index, tuple(clear), own)

    def release_slot(self, lease: SlotLease, tokens: int, now: float) -> None:
        """The run is over and left `tokens` in the slot."""
        with self._lock:
            slot = self._slots[lease.slot]
            slot.busy, slot.tokens = False, tokens
            slot.used = now if slot.owner is not None else _NEVER

    def is_busy(self, conversation: str) -> bool:
        with self._lock:
            return any(slot.busy and slot.owner == conversation for slot in self._slots)

    def forget_conversation(self, conversation: str) -> None:
        """Its slot is the next to be taken. A run that is still going on keeps it until it is released."""
        with self._lock:
            for slot in self._slots:
                if slot.owner == conversation:
                    slot.owner, slot.used = None, _NEVER

    def _choose_slot(self, conversation: str, prompt: Sequence[int], now: float, speculative: bool) -> int | None:
        for i, slot in enumerate(self._slots):
            if slot.owner == conversation:
                return None if slot.busy else i
        free = self._find_takeable(now, speculative)
        alike = {i: _common_prefix_length(self._slots[i].prompt, prompt) for i in free if self._slots[i].owner is None}
        best = max(alike, key=alike.__getitem__, default=None)
        if best is not None and alike[best] >= ALIKE:
            return best
        return min(free, key=lambda i: (self._slots[i].used, self._slots[i].tokens), default=None)

    def _find_takeable(self, now: float, speculative: bool) -> list[int]:
        return [
            i
            for i, slot in enumerate(self._slots)
            if not slot.busy and (slot.owner is None or not speculative or slot.used < now - RECENT)
        ]

    def _find_slots_to_clear(self, index: int, tokens: int, now: float, speculative: bool) -> list[int] | None:
        """The slots to empty so that `tokens` fit beside the rest; None if that cannot be had."""
        missing = sum(s.tokens for i, s in enumerate(self._slots) if i != index) + tokens - self._pool
        clear: list[int] = []
        for i in sorted(self._find_takeable(now, speculative), key=lambda i: self._slots[i].used):
            if missing <= 0:
                break
            if i != index and self._slots[i].tokens:
                clear.append(i)
                missing -= self._slots[i].tokens
        return clear if missing <= 0 else None


def _common_prefix_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens at the beginning are the same."""
    for count, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return count
    return min(len(one), len(other))
