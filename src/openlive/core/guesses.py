"""Which silences are worth a reply that may come to nothing.

At each first silence it is guessed that the turn ends there. How often the user went on instead is known of every
guess, whether a reply was prepared for it or not; so a hesitant speaker is recognised, and forgotten, by the same rule.
"""

from __future__ import annotations

RATE = 0.2
"""What the latest guess weighs: a share of 0.8 is passed after eight wrong ones in a row."""


class Guesses:
    """`bound`: the share of wrong guesses, 0 to 1, from which on no reply is prepared; 0: never, 1: always."""

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._wrong = 0.0
        self._open = False

    def guess(self) -> bool:
        """The turn may end here; whether it is worth preparing the reply."""
        self._open = True
        return self._wrong < self._bound

    def refute(self) -> None:
        """The user went on."""
        self._settle(1.0)

    def confirm(self) -> None:
        """The turn was over."""
        self._settle(0.0)

    def _settle(self, wrong: float) -> None:
        if self._open:
            self._open = False
            self._wrong += RATE * (wrong - self._wrong)
