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


class Guesses:
    """`bound`: the share of wrong guesses, 0 to 1, from which on no reply is prepared, and the share of dropped replies
    among these and the turns, but for the first `AHEAD`; 0: never, 1: always."""

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._wrong = 0.0
        self._open = False
        self._pays = bound / (1 - bound) if bound < 1 else math.inf
        self._most = AHEAD if bound < 1 else math.inf
        self._left = self._most

    def guess(self) -> bool:
        """The turn may end here; whether it is worth preparing the reply."""
        self._open = True
        return self._wrong < self._bound and self._left >= 1

    def refute(self) -> None:
        """The user went on."""
        self._settle(1.0)

    def confirm(self) -> None:
        """The turn was over."""
        self._settle(0.0)
        self._left = min(self._most, self._left + self._pays)

    def dropped(self) -> None:
        """A reply that had been prepared was thrown away, for whatever reason."""
        self._left -= 1

    def _settle(self, wrong: float) -> None:
        if self._open:
            self._open = False
            self._wrong += RATE * (wrong - self._wrong)
