"""Sockets that nobody has vouched for yet: counted, timed, and the first to go when there are too many.

Anyone can open a socket; only the app can tell who is behind it. Until it calls `Pending.admit`, a socket lives under
deadlines and shares a bounded number of places with all others like it. When the places are taken, one of the address
that has most of them makes room, the one that has been waiting longest: a flood costs whoever comes from elsewhere
nothing, while turning newcomers away would lock everybody out for as long as the flood lasts.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable
from math import inf

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
    begun: float = 100.0
    """Sockets of one origin whose TLS or HTTP begins in a second, beyond the first `sockets` of a crowd."""
    header_bytes: int = 16 * 1024
    header_lines: int = 100
    """Of the head of a request. SDKs and the proxies before a server send some twenty."""
    setup_bytes: int = 1024 * 1024
    """Of the first WebSocket message."""
    setup_frames: int = 300
    """Frames before the end of the first message, control frames among them. SDKs send one; 256 are a setup of
    `setup_bytes` from a library that cuts messages at 4 KiB."""
    message_bytes: int = 16 * 1024 * 1024
    message_fragments: int = 4096
    """Frames of one message: 16 MiB in pieces of 4 KiB. SDKs send one."""
    control_frames: int = 200
    """Pings, pongs and the like within a second. SDKs send a ping in 20 seconds, or none."""
    ping: float = 20.0
    """Seconds of silence after which a client is sent a ping; 0: never."""
    silence: float = 600.0
    """Seconds without any frame after which a client that is sent pings counts as gone; 0: never. A program that waits
    in `input()` answers none."""
    keepalive: float = 60.0
    """Seconds that the other end's system may leave unacknowledged what it was sent; 0: what this system does."""
    backlog_bytes: int = 32 * 1024 * 1024
    """Of messages that the app has not taken yet. It should take them at once and keep an inbox of its own, which
    closes the session with its reason; this is the backstop for an app that does not."""


class Pending:
    """One socket until the app vouches for it. The app finds it in `scope["state"]["pending"]`."""

    def __init__(self, sockets: PendingSockets, origin: str = "") -> None:
        self.limits = sockets.limits
        self.origin = origin
        """Whom it counts for (`origin`)."""
        self.admitted = False
        self.refused = False
        """The app will send it away: what it says is of no interest."""
        self.handed_over = False
        """The event loop has the socket, and closes it."""
        self.connected = False
        """A protocol has the socket, and will tell when it is gone."""
        self.cut: Callable[[], object] = lambda: None
        """Ends the socket at once. Set by whoever holds it."""
        self.on_admit: Callable[[], None] = lambda: None
        self.on_refuse: Callable[[], None] = lambda: None
        self._sockets = sockets
        self._timer: asyncio.TimerHandle | None = None

    def admit(self) -> None:
        """The app knows who this is: the place is given back, and no deadline applies any more."""
        if self.admitted:
            return
        self.admitted = True
        self.expect(None)
        self._sockets.leave(self)
        self.on_admit()

    def refuse(self) -> None:
        """The app knows that this one may not come in, and waits for its first message only to say so: that message
        arrives as soon as it begins, and empty."""
        self.refused = True
        self.on_refuse()

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
        self.on_refuse = lambda: None
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
        self._counts: Counter[str] = Counter()
        self.empty = asyncio.Event()
        self.empty.set()
        self.cut_late = 0
        """How many sockets missed a deadline."""
        self.cut_for_room = 0
        """How many made room for newer ones."""

    def arrived(self, address: str = "") -> Pending:
        """A place for a new socket from an IP address."""
        while len(self.waiting) >= self.limits.sockets:
            self.make_room()
        pending = Pending(self, origin(address))
        self.waiting[pending] = None
        self._counts[pending.origin] += 1
        self.open.add(pending)
        self.empty.clear()
        return pending

    def make_room(self) -> None:
        """Cuts a socket of the origin that has most of them waiting, the one that has waited longest; if any."""
        most = max(self._counts.values(), default=0)
        oldest = next((p for p in self.waiting if self._counts[p.origin] == most), None)
        if oldest is not None:
            self.leave(oldest)
            self.cut_for_room += 1
            oldest.cut()

    def leave(self, pending: Pending) -> None:
        """It waits no more."""
        if pending in self.waiting:
            del self.waiting[pending]
            self._counts[pending.origin] -= 1
            if not self._counts[pending.origin]:
                del self._counts[pending.origin]

    def forget(self, pending: Pending) -> None:
        self.leave(pending)
        self.open.discard(pending)
        if not self.open:
            self.empty.set()


class Pace:
    """How often sockets of one origin begin: `burst` at once, then `rate` in a second, in the order in which they came.

    A handshake costs a hundred times what a socket costs that waits for it, and who waits is bounded by the places.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._ahead = burst / rate
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        """By origin, who began longest ago first."""

    def __len__(self) -> int:
        return len(self._lines)

    async def turn(self, origin: str) -> None:
        """Waits until one more of that origin may begin. Who is cancelled takes no turn."""
        loop = asyncio.get_running_loop()
        line = self._lines.setdefault(origin, _Line())
        line.waiting += 1
        try:
            async with line.lock:
                early = line.at - loop.time()
                if early > 0:
                    await asyncio.sleep(early)
                line.at = max(line.at, loop.time() - self._ahead) + 1 / self._rate
        finally:
            line.waiting -= 1
            self._lines.move_to_end(origin)
            self._forget(loop.time() - self._ahead)

    def _forget(self, before: float) -> None:
        """Those who have their whole burst again."""
        while self._lines:
            origin, line = next(iter(self._lines.items()))
            if line.waiting or line.at > before:
                return
            del self._lines[origin]


class _Line:
    """Those of one origin. `at`: when the next may begin, on the loop's clock."""

    def __init__(self) -> None:
        self.at = -inf
        self.waiting = 0
        self.lock = asyncio.Lock()


def origin(address: str) -> str:
    """Whom a socket from an address counts for: an IPv4 address, or the /64 of an IPv6 one, which is what one customer
    gets. On loopback every address is one of its own."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.is_loopback:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
