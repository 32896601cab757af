"""Mutated messages in process: the reader of the wire and the core of a session. Nothing fails, and nothing is dear.

    PYTHONPATH=src python -m tests.hostile.fuzz --messages 250000 --seed 1

Each session has a setup (as it should be, or mutated too) and up to eight messages; the engines answer at once. Told
are the seed, what became of the sessions, and the CPU time of a message (read and handled; the least of three times
where it is more than `DEAR`, as machines have pauses of their own) by powers of two, with the dearest of 64 kB at most.
"""

from __future__ import annotations

import argparse
import base64
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from openlive.core.commands import CloseConnection, Command, JudgeTurn, StartReply
from openlive.core.events import AudioArrived, ConnectionOpened, Event, OutputProduced, ReplyFinished, TurnJudged
from openlive.core.session import Session
from openlive.core.setup.profile import ModelProfile
from openlive.server.inbound import Frames
from openlive.types import FunctionCall, Text, Usage
from tests.hostile.mutations import MODEL, SAID, SETUPS, mutated

PROFILES = {MODEL.removeprefix("models/"): ModelProfile(MODEL.removeprefix("models/"), thinking=False)}
MOST = 64 * 1024
"""Bytes of a message."""
DEAR = 0.010
"""Seconds of CPU that no such message may take."""


@dataclass
class Report:
    seed: int
    messages: int = 0
    closed: Counter[int] = field(default_factory=Counter)
    costs: Counter[int] = field(default_factory=Counter)
    """By the power of two above their microseconds."""
    worst: float = 0.0
    worst_frames: list[bytes] = field(default_factory=list)

    def took(self, spent: float, frames: list[bytes]) -> None:
        self.messages += 1
        self.costs[int(1e6 * spent).bit_length()] += 1
        if spent > self.worst:
            self.worst, self.worst_frames = spent, list(frames)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.messages} messages; sessions closed: {dict(sorted(self.closed.items()))}"]
        lines += [f"  below {2**power:>7} us: {count}" for power, count in sorted(self.costs.items())]
        lines.append(f"the dearest took {1000 * self.worst:.2f} ms, after {len(self.worst_frames) - 1} others:")
        lines.append(base64.b64encode(self.worst_frames[-1][:600]).decode() if self.worst_frames else "")
        return "\n".join(lines)


class Client:
    """One session, and the engines behind it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.session = Session(PROFILES)
        self.frames = Frames()
        self.closed: CloseConnection | None = None
        self.received = 0
        self._do(self.session.handle(ConnectionOpened("s"), self.now))

    def say(self, frame: bytes) -> None:
        self.now += 0.05
        for item in self.frames.read(frame):
            self.handle(self._event(item))

    def _event(self, item: Event | bytes) -> Event:
        return AudioArrived(len(item) // 2) if isinstance(item, bytes) else item

    def handle(self, event: Event | None) -> None:
        if self.closed is None:
            self._do(self.session.handle(event, self.now))

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, CloseConnection):
                assert command.code in (1007, 1008), command
                assert command.reason, command
                self.closed = command
            elif isinstance(command, StartReply):
                self._answer(command)
            elif isinstance(command, JudgeTurn):
                self.handle(TurnJudged(command.utterance, command.end, 0.5))

    def _answer(self, asked: StartReply) -> None:
        functions = asked.request.functions
        said: Any = FunctionCall("", functions[0].name, {}) if functions and asked.turn % 3 == 0 else Text("Yes.")
        for event in (
            OutputProduced(asked.turn, said),
            OutputProduced(asked.turn, Usage(10, 2)),
            ReplyFinished(asked.turn),
        ):
            self.handle(event)


def timed(client: Client, frame: bytes) -> float:
    begun = time.thread_time()
    client.say(frame)
    return time.thread_time() - begun


def spent_again(frames: list[bytes]) -> float:
    client = Client()
    for frame in frames[:-1]:
        client.say(frame)
    return timed(client, frames[-1])


def run(seed: int, messages: int) -> Report:
    rng = random.Random(seed)
    report = Report(seed)
    while report.messages < messages:
        client, frames = Client(), []
        setup = {"setup": rng.choice(SETUPS)}
        count = rng.randrange(1, 9)
        for number in range(count):
            sound = rng.random() < (0.7 if number == 0 else 0.4)
            frame = mutated(setup if number == 0 else rng.choice(SAID), rng, MOST, sound=sound)
            frames.append(frame)
            try:
                spent = timed(client, frame)
            except BaseException:
                sys.stderr.write(f"seed {seed}, message {report.messages}: {[f[:2000] for f in frames]}\n")
                raise
            if spent > DEAR:
                spent = min(spent, spent_again(frames), spent_again(frames))
            report.took(spent, frames)
            if client.closed is not None:
                break
        report.closed[client.closed.code if client.closed else 0] += 1
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=250_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(random.randbytes(4)))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    report = run(arguments.seed, arguments.messages)
    print(report)
    if report.worst > DEAR:
        sys.exit(f"a message of less than {MOST} bytes took more than {1000 * DEAR:.0f} ms")


if __name__ == "__main__":
    main()
