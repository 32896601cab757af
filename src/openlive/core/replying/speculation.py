"""Which silences are worth a reply that may come to nothing.

At each first silence it is guessed that the turn ends there. How often the user went on instead is known of every
guess, whether a reply was prepared for it or not; so a hesitant speaker is recognised, and forgotten, by the same rule.
What is thrown away is bounded besides, whatever the speaker does: each turn that ends pays for so many dropped replies
that they are no larger a share of all than was set.
"""

from __future__ import annotations

import math

RATE = 0.2
"""What the latest guess weighs: a share of 0.8 is passed after eight wrong ones in a row."""
AHEAD = 4
"""Replies that may be dropped before a turn has paid for them, and no more are ever saved up."""


class SpeculationPolicy:
    """`bound`: the share of wrong guesses, 0 to 1, from which on no reply is prepared, and the share of dropped replies
    among these and the turns, but for the first `AHEAD`; 0: never, 1: always."""

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._wrong_share = 0.0
        self._has_open_guess = False
        self._credit_per_turn = bound / (1 - bound) if bound < 1 else math.inf
        self._max_credit = AHEAD if bound < 1 else math.inf
        self._credit = self._max_credit

    def register_guess(self) -> bool:
        """The turn may end here; whether it is worth preparing the reply."""
        self._has_open_guess = True
        return self._wrong_share < self._bound and self._credit >= 1

    def refute_guess(self) -> None:
        """The user went on."""
        self._settle_guess(1.0)

    def confirm_guess(self) -> None:
        """The turn was over."""
        self._settle_guess(0.0)
        self._credit = min(self._max_credit, self._credit + self._credit_per_turn)

    def note_dropped_reply(self) -> None:
        """A reply that had been prepared was thrown away, for whatever reason."""
        self._credit -= 1

    def _settle_guess(self, wrong: float) -> None:
        if self._has_open_guess:
            self._has_open_guess = False
            self._wrong_share += RATE * (wrong - self._wrong_share)
