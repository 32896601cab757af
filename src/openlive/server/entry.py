"""Sending away whoever may not come in, without a look at what they say.

The key or token is in the handshake, so it is judged there; SDKs show no reason that comes before their setup has
(docs/protocol.md#connecting), so what is said next is awaited, and thrown away as it comes.
"""

from __future__ import annotations

from contextlib import suppress

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from openlive.server.net.pending import Pending
from openlive.wire.errors import Refusal, close_reason, setup_late


async def send_away(socket: WebSocket, refusal: Refusal, pending: Pending | None, seconds: float) -> Refusal | None:
    """Closes with the refusal once the first message has begun, or because none came for `seconds`. Returns what was
    said; None: the client left."""
    if pending is not None:
        pending.refuse()
    said = setup_late(round(seconds))
    with suppress(OSError, WebSocketDisconnect):
        with anyio.move_on_after(seconds):
            if (await socket.receive())["type"] == "websocket.disconnect":
                return None
            said = refusal
        await socket.close(said.code, close_reason(said.reason))
    return said
