"""Who is there while somebody attacks: speakers who ask, hear the answer and ask again, and newcomers."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from openlive.cli.bench.client import SILENCE_MS, BenchError, Session, connected, said_at, setup
from openlive.cli.bench.clips import Clip, clip
from openlive.cli.conversation import Address
from tests.hostile.kinds import NEIGHBOUR
from tests.hostile.sockets import TEXT, handshake, message
from tests.hostile.sockets import connected as opened
from tests.serving import silence, tone

LOST = 5.0
"""Seconds after which an answer counts as lost."""
LINE = 0.05
"""Seconds of delay of a newcomer's line."""
PATIENCE = 5.0
"""Seconds for a newcomer to come in."""


class Neighbours:
    """Holds spoken conversations until `stop`. `delays`: when the turn ended and seconds from then to the first audio;
    of an answer that did not come, `LOST`."""

    def __init__(self, port: int, count: int) -> None:
        self.delays: list[tuple[float, float]] = []
        self.newcomers: list[bool] = []
        self.lateness: list[float] = []
        self._address = Address(f"http://127.0.0.1:{port}", NEIGHBOUR, None)
        self._port = port
        self._clip = clip("tone", tone(0.3) + silence(0.02))
        self._tasks = [asyncio.create_task(self._stay(number / count)) for number in range(count)]
        self._tasks.append(asyncio.create_task(self._come()))

    def between(self, begin: float, end: float) -> list[float]:
        """Delays of the turns that ended then."""
        return [delay for ended, delay in self.delays if begin <= ended < end]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _stay(self, begin: float) -> None:
        await asyncio.sleep(begin)
        while True:
            ended = asyncio.get_running_loop().time()
            with suppress(BenchError, OSError):
                async with connected(self._address, setup()) as session:
                    await self._talk(session, self._clip)
            self.delays.append((ended, LOST))
            await asyncio.sleep(0.5)

    async def _talk(self, session: Session, said: Clip) -> None:
        while True:
            ended = said_at(session.say(said), said.end) + SILENCE_MS / 1000
            begun = await session.speaking(LOST)
            self.delays.append((ended, begun.audio[0][0] - ended))
            self.lateness += session.lateness
            session.lateness.clear()
            await session.finished(played=True)

    async def _come(self) -> None:
        """Somebody new from another address, on a slow line, again and again."""
        while True:
            self.newcomers.append(await self._comes_in())
            await asyncio.sleep(0.1)

    async def _comes_in(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE), opened(self._port, source="127.0.0.7") as socket:
                await asyncio.sleep(LINE)
                await socket.write(handshake(self._port, NEIGHBOUR))
                await socket.reader.readuntil(b"\r\n\r\n")
                socket.reads()
                await asyncio.sleep(LINE)
                await socket.write(message({"setup": TEXT}))
                await socket.until("setupComplete", PATIENCE)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        return True
