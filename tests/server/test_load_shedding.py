"""Who is let in is answered: what the engines are measured to do, and what waits in their queue."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from openlive.core.commands import FlushRecognition, StartRecognition, StartReply
from openlive.core.events import Event, OutputProduced, RecogniserProgressed, ReplyFinished, Transcribed
from openlive.core.setup.limits import SessionLimits
from openlive.engines.api import Emit
from openlive.server.admission import Places
from openlive.server.auth import Principal
from openlive.server.buffer import Audio
from openlive.server.engines import Engines
from openlive.server.load_shedding import ASSUMED, ELSEWHERE, FRESH, PATIENCE, Waits
from openlive.server.mailbox import Mailbox
from openlive.server.metrics import Metrics
from openlive.server.outbox import Outbox
from openlive.server.work import BOUNDS, Work
from openlive.testing.scripted import ScriptedSTT, ScriptedVAD
from openlive.types import Message, Progress, Request, Speech, Text, Transcript, Voice
from openlive.wire.errors import server_booked
from openlive.wire.server import TurnCompleteReason
from tests.core.world import TALK, World, words

ANNA = Principal("anna")
WAIT = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Machine:
    """Engines that begin `lanes` answers at once and take `seconds` for each, in virtual time. Its clients ask as soon
    as they are let in."""

    def __init__(self, seconds: float, lanes: int) -> None:
        self.clock = Clock()
        self.waits = Waits(clock=self.clock)
        self.places = Places(0, self.waits, WAIT, self.clock)
        self.waited: list[float] = []
        """Of those that were answered."""
        self.refused = 0
        self._seconds = seconds
        self._free = [0.0] * lanes
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, when: float, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._agenda, (when, self._number, act))

    def come(self, asks_after: float = 0.1) -> None:
        self._number += 1
        session = f"session-{self._number}"
        if self.places.take(ANNA, (0, 0)) is not None:
            self.refused += 1
            return
        self.waits.came(session)
        self.at(self.clock.now + asks_after, lambda: self._ask(session))

    def _ask(self, session: str) -> None:
        wait, asked = self.waits.begin(session), self.clock.now
        done = max(asked, heapq.heappop(self._free)) + self._seconds
        heapq.heappush(self._free, done)

        def answered() -> None:
            self.waits.produced(wait)
            self.waits.end(wait)
            self.waited.append(self.clock.now - asked)

        self.at(done, answered)

    def run(self) -> None:
        while self._agenda:
            self.clock.now, _, act = heapq.heappop(self._agenda)
            act()


@pytest.mark.parametrize(("seconds", "lanes"), [(2.0, 1), (3.0, 1), (0.5, 1), (6.0, 4), (0.4, 16)])
def test_fifty_at_once_wait_no_longer_than_the_door_says_once_the_engines_are_measured(
    seconds: float, lanes: int
) -> None:
    machine = Machine(seconds, lanes)
    for _ in range(8):
        machine.come()
    machine.run()
    before = len(machine.waited)
    machine.clock.now += 10
    for _ in range(50):
        machine.come()
    machine.run()
    first = machine.waited[before:]
    assert len(first) + machine.refused == 50, "whoever is let in is answered"
    assert max(first) <= WAIT + 2 * seconds
    share = min(50, WAIT / seconds * lanes)
    assert len(first) >= 0.5 * share, "and no fewer are let in than the engines can answer"


def test_a_crowd_on_a_machine_that_answered_nobody_yet_is_small() -> None:
    machine = Machine(2.0, 1)
    for _ in range(50):
        machine.come()
    machine.run()
    assert len(machine.waited) == WAIT / ASSUMED + 1
    assert max(machine.waited) <= WAIT + 2 * ASSUMED


def test_engines_that_answer_many_at_once_turn_away_nobody_for_long() -> None:
    """Each answer takes a second, and a hundred are made at a time."""
    machine = Machine(1.0, 1000)
    for number in range(10):
        machine.at(10.0 * number, machine.come)
    machine.run()
    machine.clock.now = 200.0
    for number in range(3000):
        machine.at(200 + number / 100, machine.come)
    machine.run()
    assert machine.refused < 100, "nobody but in the first second, before there was anything to be seen of it"
    assert machine.waits.pace < 0.05


def test_one_slow_answer_after_another_says_nothing_of_how_many_there_could_be() -> None:
    machine = Machine(40.0, 1)
    for number in range(5):
        machine.at(100.0 * number, machine.come)
    machine.run()
    assert machine.refused == 0
    assert machine.waits.pace == ASSUMED


def test_with_nobody_before_it_a_session_comes_in_however_slow_the_engines_are() -> None:
    machine = Machine(50.0, 1)
    for _ in range(4):
        machine.come()
    machine.run()
    assert machine.waits.pace > 20
    machine.come()
    assert machine.refused == 0
    machine.come()
    machine.come()
    assert machine.places.take(ANNA, (0, 0)) == server_booked(round(machine.waits.expected))
    assert machine.places.take(ANNA, (0, 0), resumes=True) is None
    machine.clock.now += FRESH + 1
    assert machine.places.take(ANNA, (0, 0)) is None, "who says nothing is not waited for"


def test_who_leaves_is_not_waited_for() -> None:
    waits = Waits(clock=Clock())
    for name in "abc":
        waits.came(name)
    assert waits.expected == 3 * ASSUMED
    waits.left("a")
    asked = waits.begin("b")
    assert waits.expected == 2 * ASSUMED
    waits.end(asked)
    assert waits.expected == ASSUMED


def test_a_queue_that_moves_is_told_to_those_behind_and_is_finite() -> None:
    waits, moved = Waits(clock=Clock()), [0, 0, 0]

    def count(number: int) -> Callable[[], None]:
        def add() -> None:
            moved[number] += 1

        return add

    first, second, third = (waits.begin(f"{number}", count(number)) for number in range(3))
    waits.produced(first)
    assert moved == [0, 1, 1]
    waits.end(second)
    assert moved == [1, 1, 2], "what follows the first words of an answer waits behind the first words of others"
    for number in range(3, 9):
        waits.produced(waits.begin(f"{number}"))
    assert moved == [1, 1, 2], "who came later is no reason to wait"
    waits.end(third)
    assert moved == [2, 1, 2]


def test_behind_a_dead_engine_nobody_waits_longer_because_others_gave_up() -> None:
    clock = Clock()
    waits, signs = Waits(clock=clock), [0, 0]

    def sign(number: int) -> None:
        signs[number] += 1

    stopped, first, _ = (waits.begin("a"), waits.begin("b", lambda: sign(0)), waits.begin("c", lambda: sign(1)))
    clock.now = 10.0
    waits.end(stopped)
    assert signs == [1, 1], "somebody who wants no answer any more makes room, and all may wait from then on"
    clock.now = 10.0 + PATIENCE
    waits.end(first)
    assert signs == [1, 1]
    at_work = waits.begin("d")
    behind = waits.begin("e", lambda: sign(0))
    clock.now += PATIENCE - 1
    waits.progressed(at_work)
    waits.progressed(behind)
    clock.now += PATIENCE - 1
    waits.end(at_work)
    assert signs == [2, 1], "an engine that shows that it works is not dead"


class Gated:
    """A responder that answers a conversation once its gate is open: first with a script, then with a sound."""

    def __init__(self) -> None:
        self.gates = {name: asyncio.Event() for name in ("a script", "a sound")}

    async def reply(self, request: Request, emit: Emit) -> None:
        del request
        await self.gates["a script"].wait()
        await emit(Text("Well."))
        await self.gates["a sound"].wait()
        await emit(Speech(bytes(2), "Well."))

    async def prefill(self, request: Request) -> None:
        del request

    def forget(self, conversation: str) -> None:
        del conversation


def start_work(
    tasks: TaskGroup, session: str, engines: Engines, *, waits: Waits, recognitions: Waits
) -> tuple[Work, Mailbox[Event]]:
    """The engines' work of one session, and what its core gets of it."""
    inbox = Mailbox[Event]()
    work = Work(
        engines,
        Audio(),
        inbox,
        Outbox(BOUNDS.unsent),
        waits=waits,
        recognitions=recognitions,
        metrics=Metrics(),
        bounds=BOUNDS,
        session=session,
    )
    work.begin(tasks)
    return work, inbox


def test_whoever_waits_is_told_when_somebody_before_it_is_heard() -> None:
    async def test() -> None:
        waits, served = Waits(), []
        async with anyio.create_task_group() as tasks:
            for name in ("first", "second"):
                responder = Gated()
                engines = Engines(vad=ScriptedVAD(), stt=ScriptedSTT(), responder=responder)
                work, inbox = start_work(tasks, name, engines, waits=waits, recognitions=Waits())
                work.do(StartReply(1, Request(name, (Message("user", (Text("hello"),)),), voice=Voice("Puck"))))
                await asyncio.sleep(0)
                served.append((responder, inbox))
            (first, its_inbox), (_, inbox) = served
            first.gates["a script"].set()
            assert await its_inbox.wait()
            assert its_inbox.take() == OutputProduced(1, Text("Well."))
            assert not len(inbox), "the voice has a queue of its own: nothing is heard yet"
            assert waits.longest > 0
            first.gates["a sound"].set()
            assert await inbox.wait()
            assert inbox.take() == OutputProduced(1, Progress())
            tasks.cancel_scope.cancel()

    asyncio.run(test())


def test_whoever_waits_for_a_transcript_is_told_when_somebody_before_has_one() -> None:
    async def test() -> None:
        stt = ScriptedSTT(faults={2: "hang"})
        engines = Engines(vad=ScriptedVAD(), stt=stt, responder=Gated())
        recognitions, inboxes = Waits(), []
        async with anyio.create_task_group() as tasks:
            for name in ("first", "second"):
                work, inbox = start_work(tasks, name, engines, waits=Waits(), recognitions=recognitions)
                work.do(StartRecognition(1, (), ()))
                work.do(FlushRecognition(1))
                inboxes.append(inbox)
            first, second = inboxes
            assert await first.wait()
            assert first.take() == Transcribed(1, Transcript("", 0, final=True, language="en"))
            assert await second.wait()
            assert second.take() == RecogniserProgressed(1)
            tasks.cancel_scope.cancel()

    asyncio.run(test())


def test_a_transcript_is_not_given_up_while_its_queue_moves() -> None:
    world = World(
        TALK, plan=words("what is the capital of France"), stt_delay=None, limits=SessionLimits(recogniser=30)
    )
    world.stream(3)
    [flush] = world.of(FlushRecognition)
    for _ in range(4):
        world.stream(25)
        world.event(RecogniserProgressed(flush.utterance))
    assert "turnComplete" not in world.kinds()
    world.stream(31)
    assert world.kinds()[-1] == "turnComplete", "and is when it does not"
    assert world.event(RecogniserProgressed(flush.utterance)) == []


def reasons(world: World) -> list[Any]:
    contents = [message.server_content for _, message in world.log if message.server_content is not None]
    return [content.turn_complete_reason for content in contents if content.turn_complete]


def asked() -> World:
    world = World(
        {**TALK, "generationConfig": {"responseModalities": ["TEXT"]}}, limits=SessionLimits(reply=60), replies=[None]
    )
    world.text("hello")
    return world


def test_an_answer_is_not_given_up_while_its_queue_moves() -> None:
    world = asked()
    for _ in range(6):
        world.run(50)
        world.event(OutputProduced(1, Progress()))
    world.event(OutputProduced(1, Text("Late, but here.")))
    world.event(ReplyFinished(1))
    assert reasons(world) == [None]


def test_an_answer_that_cannot_come_is_told_as_such() -> None:
    world = asked()
    world.run(50)
    world.event(OutputProduced(1, Progress()))
    world.run(61)
    assert reasons(world) == [TurnCompleteReason.RESPONSE_REJECTED]


def test_a_crowd_comes_back_to_endpoints_after_a_restart() -> None:
    clock = Clock()
    waits = Waits(clock=clock, assumed=ELSEWHERE)
    places = Places(0, waits, WAIT, clock)
    for number in range(100):
        assert places.take(ANNA, (0, 0)) is None
        waits.came(f"session-{number}")
