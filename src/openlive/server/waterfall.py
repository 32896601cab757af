"""The waterfall of each turn: when the user stopped, and when each stage of the answer was there.

Kept for the latest turns only, in memory; holds times and ids, never what was said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec import Struct

STEPS = ("speech_end", "decision", "transcript", "first_token", "first_audio", "first_byte")
KEEP = 1000
"""Turns. Beyond them, the oldest of the key that has most goes."""


class _Row(Struct):
    principal: str
    steps: dict[str, float]


class Turns:
    """`observe` is told the seconds from the end of speech to each step, once. Principals by their names."""

    def __init__(self, keep: int = KEEP, observe: Callable[[str, float], None] = lambda *_: None) -> None:
        self._keep = keep
        self._observe = observe
        self._rows: dict[tuple[str, int], _Row] = {}
        """By session and turn, the oldest first."""
        self._counts: Counter[str] = Counter()

    def mark(self, principal: str, session: str, turn: int, step: str, at: float) -> None:
        """Notes the first time that a step was reached."""
        row = self._rows.get((session, turn))
        if row is None:
            row = self._rows[session, turn] = _Row(principal, {})
            self._counts[principal] += 1
        if step in row.steps:
            return
        row.steps[step] = at
        if step != "speech_end" and "speech_end" in row.steps:
            self._observe(step, at - row.steps["speech_end"])
        if len(self._rows) > self._keep:
            self._drop_one()

    def _drop_one(self) -> None:
        ((most, _),) = self._counts.most_common(1)
        del self._rows[next(place for place, row in self._rows.items() if row.principal == most)]
        self._counts[most] -= 1
        if not self._counts[most]:
            del self._counts[most]

    def table(self, principal: str | None = None, session: str | None = None) -> list[dict[str, Any]]:
        """Those of one principal, of one session, or all. Milliseconds from the end of the user's speech; of turns
        without speech, from the first step known."""
        rows = []
        for (owner, turn), row in self._rows.items():
            if principal not in (None, row.principal) or session not in (None, owner):
                continue
            zero = row.steps.get("speech_end", min(row.steps.values()))
            times = {step: round((row.steps[step] - zero) * 1000, 1) for step in STEPS if step in row.steps}
            rows.append({"key": row.principal, "session": owner, "turn": turn, "ms": times})
        return rows
