"""Mutated messages over sockets, against a server on scripted engines in a process of its own (`host.py`).

    PYTHONPATH=src python -m tests.hostile.fuzz_sockets --messages 20000 --seed 1

Eight clients at a time; each says a setup (sound, or mutated too) and up to thirty messages, and asks for a pong or is
told a code and a reason. Told are the seed, what became of the sessions, the longest callback of the server's loop in
CPU time, its memory before and after, and the tracebacks in its log, of which there may be none.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.hostile.fuzz import MOST
from tests.hostile.kinds import ATTACKER
from tests.hostile.mutations import SAID, SETUPS, mutated
from tests.hostile.server import Figures, Host, hosted
from tests.serving import PATH

CLIENTS = 8
SECONDS = 30.0
"""For one client, whatever it says."""
PAUSE = 0.2
"""Seconds for the last messages to be looked at."""
SLOW = 50.0
"""Milliseconds of CPU that no callback of the loop may take."""


class Run:
    def __init__(self, seed: int, messages: int) -> None:
        self.seed = seed
        self.left = messages
        self.sent = 0
        self.ends: Counter[str] = Counter()

    async def all(self, port: int) -> None:
        await asyncio.gather(*(self._clients(port, random.Random(f"{self.seed}-{i}")) for i in range(CLIENTS)))

    async def _clients(self, port: int, rng: random.Random) -> None:
        while self.left > 0:
            async with asyncio.timeout(SECONDS):
                self.ends[await self._client(port, rng)] += 1

    async def _client(self, port: int, rng: random.Random) -> str:
        """How it ended."""
        url = f"ws://127.0.0.1:{port}{PATH}?key={ATTACKER}"
        async with connect(url, compression=None, max_size=None, ping_interval=None, proxy=None) as ws:
            reading = asyncio.create_task(_read(ws))
            try:
                await self._talk(ws, rng)
            except ConnectionClosed as end:
                return _ended(end)
            finally:
                reading.cancel()
        return "went on"

    async def _talk(self, ws: ClientConnection, rng: random.Random) -> None:
        for number in range(rng.randrange(1, 31)):
            message = {"setup": rng.choice(SETUPS)} if number == 0 else rng.choice(SAID)
            frame = mutated(message, rng, MOST, sound=rng.random() < 0.85)
            try:
                await ws.send(frame.decode())
            except UnicodeDecodeError:
                await ws.send(frame)
            self.sent += 1
            self.left -= 1
        await (await ws.ping())
        with suppress(TimeoutError):  # the door answers a ping, what was said may still be on its way
            async with asyncio.timeout(PAUSE):
                await ws.wait_closed()
        await ws.ping()


async def _read(ws: ClientConnection) -> None:
    try:
        async for _ in ws:
            pass
    except ConnectionClosed:
        pass


def _ended(end: ConnectionClosed) -> str:
    if end.rcvd is None:
        return "broken"
    told = "" if end.rcvd.reason else " without a reason"
    return f"{end.rcvd.code}{told}"


def run(seed: int, messages: int, host: Host) -> tuple[Run, Figures, Figures]:
    fuzz = Run(seed, messages)
    asyncio.run(Run(seed, 200).all(host.port))  # what is loaded at first stays
    host.clear()
    before = host.figures()
    asyncio.run(fuzz.all(host.port))
    return fuzz, before, host.figures()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(random.randbytes(4)))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with hosted() as host:
        fuzz, before, after = run(arguments.seed, arguments.messages, host)
        tracebacks = host.log().count("Traceback")
    print(f"{fuzz.sent} messages; sessions: {dict(sorted(fuzz.ends.items()))}; tracebacks in the log: {tracebacks}")
    print(f"longest callback {after.callback_ms:.1f} ms ({after.callback})")
    print(f"memory {before.resident / 1e6:.0f} MB before, {after.resident / 1e6:.0f} after; {after.tasks} tasks")
    bad = [end for end in fuzz.ends if end not in ("went on", "1007", "1008")]
    if bad or tracebacks or after.callback_ms > SLOW:
        sys.exit("something is wrong")


if __name__ == "__main__":
    main()
