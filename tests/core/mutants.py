"""Machines of tests have to notice faults: each mutant is one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

Mutate = Callable[[pytest.MonkeyPatch], None]


def run_machine(machine: type[RuleBasedStateMachine], examples: int) -> None:
    """The same examples each time, up to the first that fails, which is raised as it came."""
    quick = settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=quick)
