"""How much of a reply may be under way: whoever makes it waits for the core, for the client, and for the playback."""

from __future__ import annotations

import asyncio

from openlive.core.events import Event
from openlive.engines.runtime.speculation import Hold
from openlive.server.mailbox import Mailbox
from openlive.server.outbox import OVERHEAD, Outbox
from openlive.types import OUTPUT_RATE, Output, Speech, Text, Thought

PIECES = 16
"""Of one reply, that the core has not taken yet."""


class Flow:
    """Of one reply. `ahead`: seconds by which its audio may be ahead of a playback that began with its first piece and
    never paused; `held`: bytes of it that may be prepared before the turn is decided."""

    def __init__(self, inbox: Mailbox[Event], outbox: Outbox, hold: Hold | None, *, ahead: float, held: int) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._hold = hold
        self._ahead = ahead
        self._held_most = held
        self._held = 0
        self._plays_until = 0.0

    async def passed(self, output: Output) -> None:
        """Waits while too much is under way after `output`."""
        if isinstance(output, Speech) and output.pcm:
            now = asyncio.get_running_loop().time()
            self._plays_until = max(self._plays_until, now) + len(output.pcm) / (2 * OUTPUT_RATE)
        await self._inbox.taken(self._inbox.behind, 1 if isinstance(output, Speech) else PIECES)  # audio weighs much
        if self._hold is not None:
            await self._prepared(output, self._hold)
        while True:
            if self._outbox.full:
                await self._outbox.room()
            early = self._plays_until - self._ahead - asyncio.get_running_loop().time()
            if early > 0:
                await asyncio.sleep(early)
            elif not self._outbox.full:
                return

    async def _prepared(self, output: Output, hold: Hold) -> None:
        """What is held is kept by the core, whatever it is worth."""
        if hold.released:
            self._hold = None
            return
        self._held += OVERHEAD + size(output)
        if self._held < self._held_most:
            return
        released = asyncio.Event()
        with hold.calling_on_release(released.set):
            await released.wait()


def size(output: Output) -> int:
    match output:
        case Speech(pcm, text):
            return len(pcm) + len(text)
        case Text(text) | Thought(text):
            return len(text)
    return 0
