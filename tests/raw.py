"""A client without an SDK: one WebSocket that says what a test wants said, and waits no longer than a test may."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.serving import MODEL, PATH, SECONDS, Server, trust

TEXT: dict[str, Any] = {"model": f"models/{MODEL}", "generationConfig": {"responseModalities": ["TEXT"]}}
TALK: dict[str, Any] = {
    "model": f"models/{MODEL}",
    "generationConfig": {"responseModalities": ["AUDIO"]},
    "inputAudioTranscription": {},
    "outputAudioTranscription": {},
}
MANUAL = {**TALK, "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}


class Raw:
    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.session = ""

    async def say(self, message: object) -> None:
        await self.ws.send(json.dumps(message))

    async def ask(self, text: str, *, complete: bool = True) -> None:
        turns = [{"role": "user", "parts": [{"text": text}]}]
        await self.say({"clientContent": {"turns": turns, "turnComplete": complete}})

    async def speak(self, pcm: bytes, mime: str = "audio/pcm;rate=16000") -> None:
        data = base64.b64encode(pcm).decode()
        await self.say({"realtimeInput": {"audio": {"data": data, "mimeType": mime}}})

    async def set_up(self, setup: dict[str, Any]) -> None:
        await self.say({"setup": setup})
        self.session = (await self.hear())["setupComplete"]["sessionId"]

    async def hear(self, seconds: float = SECONDS) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            message: dict[str, Any] = json.loads(await self.ws.recv())
        return message

    async def turn(self, seconds: float = SECONDS) -> list[dict[str, Any]]:
        """Everything up to and with `turnComplete`."""
        heard = []
        async with asyncio.timeout(seconds):
            while True:
                heard.append(await self.hear(seconds))
                if heard[-1].get("serverContent", {}).get("turnComplete"):
                    return heard

    async def closed(self, seconds: float = SECONDS) -> tuple[int, str]:
        """How the server ends it; what it sends before is passed over."""
        async with asyncio.timeout(seconds):
            try:
                while True:
                    await self.ws.recv()
            except ConnectionClosed as end:
                frame = end.rcvd
        return (frame.code, frame.reason) if frame is not None else (1006, "")

    async def ping(self, seconds: float = SECONDS) -> float:
        """Seconds until the answer."""
        begin = time.perf_counter()
        async with asyncio.timeout(seconds):
            await (await self.ws.ping())
        return time.perf_counter() - begin


@asynccontextmanager
async def client(
    server: Server,
    setup: dict[str, Any] | None = None,
    *,
    path: str = PATH,
    headers: dict[str, str] | None = None,
    secure: bool = True,
    **more: Any,
) -> AsyncIterator[Raw]:
    """Connected, and set up where a setup is given. With `max_size` None it takes frames of any size, but tests of the
    SDKs hold the limit of 1 MiB."""
    async with connect(
        server.socket(path, secure=secure),
        ssl=trust() if secure else None,
        additional_headers={"x-goog-api-key": "any", **(headers or {})},
        proxy=None,
        open_timeout=SECONDS,
        close_timeout=2,
        ping_interval=None,
        **more,
    ) as ws:
        raw = Raw(ws)
        if setup is not None:
            await raw.set_up(setup)
        yield raw


# --- reading what was heard -------------------------------------------------------------------------------------------


def contents(turn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message["serverContent"] for message in turn]


def kinds(turn: list[dict[str, Any]]) -> list[str]:
    """Each message as a word; runs of one kind of content are told once."""
    named = [kind(content) for content in contents(turn)]
    return [k for i, k in enumerate(named) if i == 0 or k != named[i - 1]]


def kind(content: dict[str, Any]) -> str:
    for name in ("interrupted", "generationComplete", "turnComplete"):
        if content.get(name):
            return name
    for name, word in (("inputTranscription", "heard"), ("outputTranscription", "said")):
        if name in content:
            return word + ("Finished" if content[name].get("finished") else "")
    return "audio" if "inlineData" in content["modelTurn"]["parts"][0] else "text"


def text(turn: list[dict[str, Any]]) -> str:
    parts = [p for c in contents(turn) for p in c.get("modelTurn", {}).get("parts", [])]
    return "".join(p.get("text", "") for p in parts)


def audio(turn: list[dict[str, Any]]) -> bytes:
    parts = [p for c in contents(turn) for p in c.get("modelTurn", {}).get("parts", [])]
    return b"".join(base64.b64decode(p["inlineData"]["data"]) for p in parts if "inlineData" in p)


def transcript(turn: list[dict[str, Any]], of: str = "inputTranscription") -> str:
    return "".join(c[of].get("text", "") for c in contents(turn) if of in c)


def reason(turn: list[dict[str, Any]]) -> str | None:
    """Why the turn ended, where it ended badly."""
    why: str | None = contents(turn)[-1].get("turnCompleteReason")
    return why
