"""A server that is killed (`kill -9`) in the middle of turns, and what its sessions remember afterwards.

`python -m tests.hostile.kill`: 36 sessions on a database, each in the middle of something else, in three rounds. All of
them go on where they last rested, under another server, with everything that was said and answered by then.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.hostile.kinds import ATTACKER
from tests.hostile.server import Host, hosted
from tests.hostile.sockets import TALK, TEXT, Socket, message, spoken, turns, websocket
from tests.serving import tone

STATES = ("speaks", "is answered", "is spoken to", "types", "calls", "rests")
FUNCTIONS = [{"functionDeclarations": [{"name": "f"}]}]


class Sitting:
    """One session over all of its connections. `lost` says what it did not remember."""

    def __init__(self, number: int) -> None:
        self.state = STATES[number % len(STATES)]
        self.said: list[str] = []
        self.lost: list[str] = []
        self._number = number
        self._handle = ""
        self._id = ""
        self._call: dict[str, Any] = {}
        """The answer to a call that was pending when the server was killed."""
        self._socket: Socket

    async def begin(self, port: int, stack: AsyncExitStack, number: int) -> None:
        """A turn that is answered and stored, then the middle of another one."""
        words = TALK if self.state in ("speaks", "is spoken to") else TEXT
        setup: dict[str, Any] = {**words, "sessionResumption": {"handle": self._handle} if self._handle else {}}
        if self.state == "calls":
            setup["tools"] = FUNCTIONS
        self._socket = await stack.enter_async_context(websocket(port, ATTACKER))
        told = (await self._socket.set_up(setup))["setupComplete"].get("sessionId", "")
        if self._id and told != self._id:
            self.lost.append(f"another session: {told}")
        self._id = told
        await self._rest()
        if self._call:
            await self._socket.say({"toolResponse": {"functionResponses": [self._call]}})
            await self._socket.until("turnComplete")
            await self._rest()
        await self._recall()
        await self._turn(f"I am number {self._number}, round {number}.")
        await self._middle()

    async def _turn(self, text: str) -> None:
        await self._socket.say(turns(text))
        await self._socket.until("turnComplete")
        self.said.append(text)
        await self._rest()

    async def _recall(self) -> None:
        """Everything that was typed and answered before is there."""
        if not self.said:
            return
        await self._socket.say(turns("recall"))
        told = ""
        while True:
            content = (await self._socket.until("serverContent"))["serverContent"]
            parts = content.get("modelTurn", {}).get("parts", [])
            told += "".join(part.get("text", "") for part in parts)
            told += content.get("outputTranscription", {}).get("text", "")
            if content.get("turnComplete"):
                break
        self.lost += [text for text in self.said if text not in told]
        await self._rest()

    async def _rest(self) -> None:
        update = await self._socket.until("sessionResumptionUpdate")
        self._handle = update["sessionResumptionUpdate"]["newHandle"]

    async def _middle(self) -> None:
        match self.state:
            case "speaks":
                await self._socket.write(message(spoken(tone(0.5))))
            case "is answered":
                await self._socket.say(turns("model: endless"))
                await self._socket.until("modelTurn")
            case "is spoken to":
                await self._socket.say(turns("voice: pour"))
                await self._socket.until("modelTurn")
            case "types":
                await self._socket.say(turns("This is lost.", complete=False))
            case "calls":
                await self._socket.say(turns("model: call"))
                call = (await self._socket.until("toolCall"))["toolCall"]["functionCalls"][0]
                self._call = {"id": call["id"], "name": "f", "response": {"result": "done"}}
                await self._rest()


async def killed(count: int, rounds: int, folder: Path) -> list[Sitting]:
    sittings = [Sitting(number) for number in range(count)]
    for number in range(rounds + 1):
        with hosted(store="sqlite", folder=folder) as host:
            await _round(host, sittings, number)
    return sittings


async def _round(host: Host, sittings: list[Sitting], number: int) -> None:
    async with AsyncExitStack() as stack:
        begun = (sitting.begin(host.port, stack, number) for sitting in sittings)
        for sitting, outcome in zip(sittings, await asyncio.gather(*begun, return_exceptions=True), strict=True):
            if isinstance(outcome, BaseException):
                sitting.lost.append(f"round {number}, {sitting.state}: {outcome!r}")
        host.kill()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.kill")
    parser.add_argument("--sessions", type=int, default=36)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sittings = asyncio.run(killed(options.sessions, options.rounds, Path(folder)))
    lost = [f"{number}: {what}" for number, sitting in enumerate(sittings) for what in sitting.lost]
    whole = sum(not sitting.lost for sitting in sittings)
    print(f"{whole} of {len(sittings)} sessions went on after each of {options.rounds} kills, and remember everything.")
    for line in lost:
        print(f"  {line}")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
