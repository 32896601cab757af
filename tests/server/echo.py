"""An echo server on the listener and the WebSocket protocol of ours, for Autobahn's test suite.

    python -m tests.server.echo --port 9001      then      wstest -m fuzzingclient -s fuzzingclient.json

Whoever comes is let in. Its limits are wide enough for what the suite sends: messages of 16 MiB, in frames of 64 bytes.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from openlive.server.net.listener import serve
from openlive.server.net.pending import Limits

LIMITS = Limits(
    setup_bytes=16 * 1024 * 1024,
    setup_frames=300_000,
    message_fragments=300_000,
    control_frames=10_000,
)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for name in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{name}.complete"})
        return
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    scope["state"]["pending"].admit()
    while (message := await receive())["type"] == "websocket.receive":
        try:
            await send({**message, "type": "websocket.send"})
        except OSError:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9001)
    options = parser.parse_args()

    async def run() -> None:
        await serve(
            echo,
            shutdown=asyncio.Event(),
            host=options.host,
            port=options.port,
            limits=LIMITS,
            on_started=lambda listener: print(f"listening on port {listener.port}", flush=True),
        )

    asyncio.run(run())


if __name__ == "__main__":
    main()
