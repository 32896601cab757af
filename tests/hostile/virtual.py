"""Two hours of many sessions in virtual time: the core alone, whose clock is an argument."""

from __future__ import annotations

import gc
import time
from typing import Any

import psutil

from tests.core.world import TALK, World, words

WINDOW: dict[str, Any] = {
    **TALK,
    "sessionResumption": {},
    "contextWindowCompression": {"triggerTokens": 4000, "slidingWindow": {"targetTokens": 2000}},
}
CYCLE = 10.0
"""Seconds from one question to the next: a second and a half of speech, its answer, and silence."""
MICROPHONE = 0.1
"""Seconds of audio in a message."""
LATEST = 8
"""Utterances and turns of which the world of a test keeps its notes: those of all would grow with the talk."""
LOOK = 600.0
"""Seconds of virtual time between two looks at the memory; less where it is not to run for four of them."""
MEMORY = 1.15
"""How much more there may be at the end than after the first quarter."""


class Talker(World):
    """Speaks in every cycle. What a test would look at later is dropped, so that memory is the session's own."""

    def cycle(self, number: int) -> None:
        begin = number * CYCLE + 0.5
        self.plan = [*self.plan[-8:], *words(f"this is question {number} of many", begin, 0.2)]
        self.stream(CYCLE, chunk=MICROPHONE)
        for kept in (self.log, self.commands, self.steps, self.requests):
            kept.clear()
        for noted in (self._over, self._listening, self._timing, self._measured, self._guesses):
            for old in list(noted)[:-LATEST]:
                del noted[old]


def soaked(hours: float, talking: int, idle: int) -> tuple[list[tuple[float, float]], int]:
    """Megabytes of this process by hours of virtual time, and how many turns there were."""
    talkers = [Talker(WINDOW) for _ in range(talking)]
    waiting = [World(WINDOW) for _ in range(idle)]
    process = psutil.Process()
    found: list[tuple[float, float]] = []
    turns = 0
    cycles = round(hours * 3600 / CYCLE)
    look = max(1, min(round(LOOK / CYCLE), cycles // 4))
    for number in range(cycles):
        for talker in talkers:
            talker.cycle(number)
            turns += 1
        for world in waiting:
            world.run(CYCLE)
        if (number + 1) % look == 0:
            gc.collect()
            found.append(((number + 1) * CYCLE / 3600, process.memory_info().rss / 1e6))
            print(f"{found[-1][0]:.2f} h  {found[-1][1]:.0f} MB", flush=True)
    answered = min(len(talker.history) for talker in talkers)
    assert answered > 4, "nobody was answered"
    assert all(talker.closed is None for talker in (*talkers, *waiting))
    return found, turns


def told(hours: float, talking: int, idle: int) -> int:
    begin = time.monotonic()
    found, turns = soaked(hours, talking, idle)
    early, late = found[len(found) // 4][1], found[-1][1]
    print(
        f"{hours:g} hours of {talking + idle} sessions, {turns} spoken turns, in {time.monotonic() - begin:.0f} s: "
        f"{early:.0f} MB after {found[len(found) // 4][0]:.2f} h, {late:.0f} MB at the end."
    )
    return int(late > MEMORY * early)
