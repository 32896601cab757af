"""How engines learn that nobody waits for a reply yet: it is prepared while the user may still go on.

Such work comes after all that somebody waits for, and takes its place among it once the reply is released. The `Hold`
of a reply is in the context of its task, and so of every task that works on it: engines without a queue need not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Hold:
    """Of one reply, in one event loop."""

    def __init__(self) -> None:
        self.released = False
        self._calls: list[Callable[[], None]] = []

    def release(self) -> None:
        """The turn is decided: the user waits for the reply from now on."""
        self.released = True
        for call in tuple(self._calls):
            call()

    @contextmanager
    def calling_on_release(self, call: Callable[[], None]) -> Iterator[None]:
        """`call` is called if it is released inside the block."""
        self._calls.append(call)
        try:
            yield
        finally:
            self._calls.remove(call)


_hold: ContextVar[Hold | None] = ContextVar("hold", default=None)


def enter_hold(hold: Hold | None) -> None:
    """What the present task does from now on, and the tasks that it starts, is done for a reply with this hold."""
    _hold.set(hold)


def current_hold() -> Hold | None:
    """That of the reply which the present task works on; None where it is released, or was wanted from the start."""
    hold = _hold.get()
    return None if hold is None or hold.released else hold
