"""Speakers at once, each of whom asks, hears the answer to its end, pauses and asks again."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

from msgspec import Struct

from openlive.cli.bench.client import SILENCE_MS, Session, SilentError, said_at
from openlive.cli.bench.clips import Clip
from openlive.cli.bench.server import CHARACTER, DELAYS, REPLY

PAUSE = 1.0
"""Seconds at most, drawn at random, between an answer and the next question."""
LOST = 10.0
"""Seconds after which an answer counts as lost."""


class Turn(Struct, frozen=True):
    """Times of the event loop: when the turn ended (the last voiced sample and the silence set), when audio came."""

    ended: float
    answered: float

    @property
    def delay(self) -> float:
        """Milliseconds."""
        return round(1000 * (self.answered - self.ended), 1)


class Crowd:
    """`turns` are those whose answer has begun; `lost` counts the speakers who waited in vain and gave up."""

    def __init__(self, clip: Clip) -> None:
        self.sessions: list[Session] = []
        self.turns: list[Turn] = []
        self.lost = 0
        self._clip = clip
        self._speakers: list[asyncio.Task[None]] = []

    @property
    def cycle(self) -> float:
        """About the seconds from one question to the next, with scripted engines."""
        return self._clip.seconds + sum(DELAYS.values()) + len(REPLY) * CHARACTER + PAUSE

    def join(self, session: Session, stack: AsyncExitStack) -> None:
        """Lets somebody talk until `stack` is left."""
        self.sessions.append(session)
        speaker = asyncio.create_task(self._talk(session, random.Random(len(self.sessions))))
        self._speakers.append(speaker)
        stack.push_async_callback(_end, speaker)

    async def talk(self, seconds: float) -> None:
        """Raises `BenchError` as soon as something goes wrong for one of them."""
        done, _ = await asyncio.wait(self._speakers, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for speaker in done:
            speaker.result()

    async def _talk(self, session: Session, chance: random.Random) -> None:
        while True:
            ended = said_at(session.say(self._clip), self._clip.end) + SILENCE_MS / 1000
            try:
                answer = await session.speaking(self._clip.seconds + LOST)
            except SilentError:
                self.lost += 1
                return
            self.turns.append(Turn(ended, answer.audio[0][0]))
            await session.finished(played=True)
            await asyncio.sleep(chance.random() * PAUSE)


async def _end(speaker: asyncio.Task[None]) -> None:
    speaker.cancel()
    await asyncio.gather(speaker, return_exceptions=True)
