"""The waterfall of each turn: when the user stopped, and when each stage of the answer was there.

Kept for the latest turns only, in memory; holds times and ids, never what was said.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

STEPS = ("speech_end", "decision", "transcript", "first_token", "first_audio", "first_byte")


class Turns:
    """`observe` is told the seconds from the end of speech to each step, once."""

    def __init__(self, keep: int = 1000, observe: Callable[[str, float], None] = lambda *_: None) -> None:
        self._keep = keep
        self._observe = observe
        self._turns: OrderedDict[tuple[str, int], dict[str, float]] = OrderedDict()

    def mark(self, session: str, turn: int, step: str, at: float) -> None:
        """Notes the first time that a step was reached."""
        steps = self._turns.setdefault((session, turn), {})
        if step in steps:
            return
        steps[step] = at
        if step != "speech_end" and "speech_end" in steps:
            self._observe(step, at - steps["speech_end"])
        while len(self._turns) > self._keep:
            self._turns.popitem(last=False)

    def table(self, session: str | None = None) -> list[dict[str, Any]]:
        """Milliseconds from the end of the user's speech; of turns without speech, from the first step known."""
        rows = []
        for (owner, turn), steps in self._turns.items():
            if session not in (None, owner):
                continue
            zero = steps.get("speech_end", min(steps.values()))
            times = {step: round((steps[step] - zero) * 1000, 1) for step in STEPS if step in steps}
            rows.append({"session": owner, "turn": turn, "ms": times})
        return rows
