"""A session that is in the middle of a turn while somebody else does something bad, and must not notice."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from openlive.engines.api import Emit
from openlive.engines.responder.cascade import Cascade
from openlive.types import OUTPUT_RATE, Request, Speech
from tests.raw import TALK, Raw, client, contents, kind, reason
from tests.serving import SECONDS, Scripted, Server

PIECE = 0.02
"""Seconds of audio in each piece, and between two."""
GAP = 5.0
"""Seconds without audio that no listener would put up with; a loaded test machine makes shorter ones."""


class Talkative(Cascade):
    """Who says `talk` is talked to until `enough` is set, who says `much` gets ten minutes of audio at once; everybody
    else is answered as scripted."""

    def __init__(self, scripted: Scripted) -> None:
        super().__init__(scripted.llm, scripted.tts)
        self.enough = False
        self.talking = 0
        self.pieces: Counter[str] = Counter()
        """Of audio, by session."""

    async def reply(self, request: Request, emit: Emit) -> None:
        if request.messages[-1].text == "much":
            for _ in range(60):
                await emit(Speech(bytes(2 * 10 * OUTPUT_RATE), "la "))
            return
        if request.messages[-1].text != "talk":
            await super().reply(request, emit)
            return
        self.talking += 1
        try:
            while not self.enough:
                await emit(Speech(bytes(2 * round(PIECE * OUTPUT_RATE)), "la "))
                self.pieces[request.conversation] += 1
                await anyio.sleep(PIECE)
        finally:
            self.talking -= 1


@asynccontextmanager
async def undisturbed(server: Server, talkative: Talkative) -> AsyncIterator[None]:
    """A neighbour is talked to for as long as the block lasts, without a gap, and its turn ends as it should. A server
    whose `reply_seconds` are shorter than what a busy machine may stand still gives up the neighbour's answer too."""
    talkative.enough = False
    async with client(server, TALK) as listener:
        await listener.ask("talk")
        flowing = asyncio.Event()
        log: list[tuple[float, str]] = []
        ends: list[str | None] = []
        task = asyncio.create_task(_listen(listener, log, ends, flowing))
        try:
            async with asyncio.timeout(SECONDS):
                await flowing.wait()
            yield
            over = time.monotonic()
            talkative.enough = True
            async with asyncio.timeout(SECONDS):
                await task
        finally:
            talkative.enough = True
            task.cancel()
        audio = [at for at, what in log if what == "audio"]
        gaps = [later - sooner for sooner, later in itertools.pairwise(audio)]
        assert max(gaps, default=0.0) < GAP
        assert audio[-1] > over - GAP
        assert ends == [None], f"the neighbour's turn ended with {ends}, the last that it heard: {log[-5:]}"
        assert len(audio) == talkative.pieces[listener.session]
        assert [what for _, what in log][-3:] == ["saidFinished", "generationComplete", "turnComplete"]


async def _listen(listener: Raw, log: list[tuple[float, str]], ends: list[str | None], flowing: asyncio.Event) -> None:
    while not log or log[-1][1] != "turnComplete":
        message = await listener.hear()
        log.append((time.monotonic(), kind(contents([message])[0])))
        if log[-1][1] == "audio":
            flowing.set()
    ends.append(reason([message]))
