"""A short part of the fuzzers; the long ones are run by hand (`python -m tests.hostile.fuzz`, `….fuzz_sockets`)."""

from __future__ import annotations

import json
import random

import pytest

from tests.hostile import fuzz, fuzz_sockets
from tests.hostile.mutations import MESSAGES, RECORDED, mutated
from tests.hostile.server import hosted

GENEROUS = 10
"""Times what a message may take: machines of CI are slow and busy."""


@pytest.mark.parametrize("seed", range(3))
def test_nothing_fails_and_nothing_is_dear(seed: int) -> None:
    report = fuzz.run(seed, 500)
    assert report.worst < GENEROUS * fuzz.DEAR, report
    assert report.closed[0]  # not all of it is refused
    assert report.closed[1007]


def test_over_sockets() -> None:
    with hosted() as host:
        run, _, _ = fuzz_sockets.run(1, 150, host)
        assert run.sent >= 150
        assert set(run.ends) <= {"went on", "1007", "1008"}
        assert "Traceback" not in host.log()


def test_messages_are_those_of_the_seed_and_not_longer_than_asked() -> None:
    assert len(RECORDED) > 30
    frames = [[mutated(message, random.Random(seed), 5000) for message in MESSAGES] for seed in (1, 1, 2)]
    assert frames[0] == frames[1] != frames[2]
    assert max(map(len, frames[0])) <= 5000
    assert mutated(MESSAGES[0], random.Random(1), 5000, sound=True) == json.dumps(MESSAGES[0]).encode()
