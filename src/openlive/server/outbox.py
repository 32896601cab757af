"""What is to be sent to one client, bounded by the bytes that wait for it.

Content of a turn waits here for a client that reads slowly, and is dropped when the turn is stopped. So who makes it
waits while it is full (`server/flow.py`), and the interruption goes through all the same. What is no content of a turn
(transcripts, the ends of turns) follows from what the client itself sends: more of it than may wait is no client that
will ever catch up.
"""

from __future__ import annotations

import asyncio
from collections import deque

from openlive.core.commands import CloseConnection, Send
from openlive.server.mailbox import Mailbox
from openlive.wire.server import ServerMessage, encode

OVERHEAD = 1024
"""Bytes that any message takes, about, besides its media and text (560 measured of one with audio)."""


class Outbox(Mailbox[Send | CloseConnection]):
    """`most`: bytes that may wait."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._bytes = 0
        self._own = 0
        """Bytes of what is no content of a turn."""
        self._room = asyncio.Event()
        self._room.set()

    @property
    def bytes(self) -> int:
        """That wait, about."""
        return self._bytes

    @property
    def overflows(self) -> bool:
        """More waits than the client can have made up for."""
        return self._own > self._most

    def put(self, item: Send | CloseConnection) -> None:
        super().put(item)
        self._count(item, 1)

    def take(self) -> Send | CloseConnection:
        item = super().take()
        self._count(item, -1)
        return item

    def drop(self, turn: int) -> None:
        """What is still there of the content of `turn`."""
        kept: deque[Send | CloseConnection] = deque()
        for item in self._items:
            if isinstance(item, Send) and item.turn == turn:
                self._count(item, -1)
            else:
                kept.append(item)
        self._items = kept

    async def room(self) -> None:
        """Waits until less than what may wait does."""
        await self._room.wait()

    @property
    def full(self) -> bool:
        return self._bytes >= self._most

    def _count(self, item: Send | CloseConnection, sign: int) -> None:
        if isinstance(item, CloseConnection):
            return
        size = sign * weight(item.message)
        self._bytes += size
        if not item.turn:
            self._own += size
        if self._bytes < self._most:
            self._room.set()
        else:
            self._room.clear()


def weight(message: ServerMessage) -> int:
    """Bytes that it takes while it waits, about; the same whenever it is asked."""
    content = message.server_content
    if content is None:
        return OVERHEAD if message.tool_call is None else OVERHEAD + len(encode(message))
    if content.grounding_metadata is not None or content.url_context_metadata is not None:
        return OVERHEAD + len(encode(message))
    size = OVERHEAD
    for told in (content.input_transcription, content.output_transcription, content.interim_input_transcription):
        if told is not None:
            size += len(told.text or "") + OVERHEAD * len(told.words) // 4
    for part in content.model_turn.parts if content.model_turn is not None else ():
        size += len(part.text or "")
        if part.inline_data is not None:
            size += len(part.inline_data.data or b"")
        if part.executable_code is not None:
            size += len(part.executable_code.code or "")
        if part.code_execution_result is not None:
            size += len(part.code_execution_result.output or "")
    return size
