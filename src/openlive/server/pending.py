"""Sockets that nobody has vouched for yet: counted, timed, and the first to go when there are too many.

Anyone can open a socket; only the app can tell who is behind it. Until it calls `Pending.admit`, a socket lives under
deadlines and shares a bounded number of places with all others like it. When the places are taken, the socket that has
been waiting longest makes room: a flood of idle sockets thus costs a well-behaved client nothing, since a client needs
milliseconds of that place, while turning newcomers away would lock everybody out for as long as the flood lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct


class Limits(Struct, frozen=True):
    """What a socket may take before, and after, it is admitted. Seconds and bytes."""

    first_byte: float = 5.0
    handshake: float = 5.0
    """For the TLS handshake."""
    request: float = 10.0
    """For an HTTP request to arrive in full, from the connection or from the previous response on."""
    setup: float = 10.0
    """From the upgrade to the admission. The app closes with a reason by then; the socket is cut `grace` later."""
    grace: float = 5.0
    sockets: int = 256
    """Sockets that may wait for their admission at a time."""
    header_bytes: int = 16 * 1024
    setup_bytes: int = 1024 * 1024
    """Of the first WebSocket message."""
    message_bytes: int = 16 * 1024 * 1024
    backlog_bytes: int = 32 * 1024 * 1024
    """Of messages that the app has not taken yet. It should take them at once and keep an inbox of its own, which
    closes the session with its reason; this is the backstop for an app that does not."""


class Pending:
    """One socket until the app vouches for it. The app finds it in `scope["state"]["pending"]`."""

    def __init__(self, sockets: PendingSockets) -> None:
        self.limits = sockets.limits
        self.admitted = False
        self.handed_over = False
        """The event loop has the socket, and closes it."""
        self.connected = False
        """A protocol has the socket, and will tell when it is gone."""
        self.cut: Callable[[], object] = lambda: None
        """Ends the socket at once. Set by whoever holds it."""
        self.on_admit: Callable[[], None] = lambda: None
        self._sockets = sockets
        self._timer: asyncio.TimerHandle | None = None

    def admit(self) -> None:
        """The app knows who this is: the place is given back, and no deadline applies any more."""
        if self.admitted:
            return
        self.admitted = True
        self.expect(None)
        self._sockets.waiting.pop(self, None)
        self.on_admit()

    def expect(self, seconds: float | None) -> None:
        """Sets the deadline of the next step; None: there is none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and not self.admitted and self in self._sockets.open:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._late)

    def left(self) -> None:
        """The socket is gone."""
        self.expect(None)
        self.cut = lambda: None
        self.on_admit = lambda: None
        self._sockets.forget(self)

    def _late(self) -> None:
        self._sockets.cut_late += 1
        self.cut()


class PendingSockets:
    """All sockets of a listener, and which of them are waiting for their admission, the oldest first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.waiting: dict[Pending, None] = {}
        self.open: set[Pending] = set()
        self.empty = asyncio.Event()
        self.empty.set()
        self.cut_late = 0
        """How many sockets missed a deadline."""
        self.cut_for_room = 0
        """How many made room for newer ones."""

    def arrived(self) -> Pending:
        """A place for a new socket."""
        while len(self.waiting) >= self.limits.sockets:
            self.make_room()
        pending = Pending(self)
        self.waiting[pending] = None
        self.open.add(pending)
        self.empty.clear()
        return pending

    def make_room(self) -> None:
        """Cuts the socket that has been waiting longest, if any."""
        oldest = next(iter(self.waiting), None)
        if oldest is not None:
            del self.waiting[oldest]
            self.cut_for_room += 1
            oldest.cut()

    def forget(self, pending: Pending) -> None:
        self.waiting.pop(pending, None)
        self.open.discard(pending)
        if not self.open:
            self.empty.set()
