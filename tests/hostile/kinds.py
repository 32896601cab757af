"""What a kind of hostile input is, and what all of them are made with. The kinds themselves are in `door.py` (section 1
of the list that they were taken from, and what belongs to it), `messages.py` (2), `memory.py` (3), `answers.py` (4) and
`told.py` (5)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any

from msgspec import Struct

from tests.hostile.sockets import Socket, websocket

ATTACKER, WRONG = "attackers-key-0123456789", "a-wrong-key-0123456789"
NEIGHBOUR = "neighbours-key-0123456789"
CHUNK = 200_000
"""Bytes of small frames that are written at once."""


class Attack:
    """One attack under way. `scale`: how much of it there is to be, 1 is all; `until` is a time of the loop."""

    def __init__(self, port: int, key: str, scale: float, until: float) -> None:
        self.port = port
        self.key = key
        self.scale = scale
        self.until = until
        self.told: Counter[str] = Counter()
        """What the attacker was told, and how often."""
        self.faults: list[str] = []
        """What the server should not have done."""

    def share(self, count: int) -> int:
        return max(1, round(count * self.scale))

    def patience(self, seconds: float) -> float:
        """How long to wait for what may not come."""
        return seconds * max(0.15, min(1.0, self.scale))

    @property
    def over(self) -> bool:
        return asyncio.get_running_loop().time() > self.until

    @asynccontextmanager
    async def client(self, setup: dict[str, Any] | None = None, **more: Any) -> AsyncIterator[Socket]:
        """A WebSocket with the attacker's key. What it was told in the end is counted. Raises `ConnectionError` where
        there is none, or where it does not come to the setup."""
        entered = False
        try:
            async with websocket(self.port, self.key, setup, **more) as socket:
                entered = True
                try:
                    yield socket
                except ConnectionError:
                    await socket.ended(3)
                self.told[socket.end or "open"] += 1
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            why = str(error) if isinstance(error, ConnectionError) else ""
            self.told[why or type(error).__name__] += 1
            if not entered:
                raise ConnectionRefusedError(why) from error

    async def together(self, count: int, one: Callable[[int], Awaitable[None]], at_once: int = 100) -> None:
        slots = asyncio.Semaphore(at_once)

        async def turn(number: int) -> None:
            async with slots:
                if not self.over:
                    with suppress(ConnectionError):
                        await one(number)

        await asyncio.gather(*(turn(number) for number in range(count)))

    async def flood(
        self, setup: dict[str, Any] | None, small: bytes, total: int, clients: int = 1, *, before: bytes = b""
    ) -> None:
        """Each client writes the same frame again and again, `total` bytes of it all together."""
        piece = small * max(1, CHUNK // len(small))

        async def one(_: int) -> None:
            async with self.client(setup) as socket:
                await socket.write(before)
                for _ in range(max(1, self.share(total) // clients // len(piece))):
                    if self.over:
                        break
                    await socket.write(piece)
                await socket.ended(self.patience(1.0))

        await self.together(clients, one)

    async def send(self, setup: dict[str, Any] | None, *messages: bytes, wait: float = 2.0) -> Socket | None:
        """One client that says that, and waits for what it is told."""
        found: list[Socket] = []
        with suppress(ConnectionError):
            async with self.client(setup) as socket:
                found.append(socket)
                await socket.write(messages)
                await socket.ended(self.patience(wait))
        return found[0] if found else None

    async def ask(
        self, setup: dict[str, Any], question: dict[str, Any], wait: float = 4.0, *, lives: bool = True
    ) -> None:
        """Asks, and hears the turn to its end; `lives`: it is a fault where the session does not go on after that."""
        try:
            async with self.client(setup) as socket:
                with suppress(TimeoutError, ConnectionError):
                    await socket.say(question)
                    await socket.until("turnComplete", wait)
                    self.told["turnComplete"] += 1
                if lives and await socket.ended(0.1) != "open":
                    self.faults.append(f"the session ended: {socket.end}")
        except ConnectionError as error:
            if lives:
                self.faults.append(f"no session: {error}")


class Kind(Struct, frozen=True):
    """`name` tells whether it has a key; `log_lacks` is what no line of the log may hold, `store` where the server
    keeps sessions."""

    name: str
    section: int
    keyed: bool
    attack: Callable[[Attack], Awaitable[None]]
    seconds: float = 5.0
    log_lacks: tuple[str, ...] = ()
    store: str = "memory"
    keeps: int = 0
    """Bytes of it that the server may keep on purpose."""
    sample: bool = True
    """It is in the part that runs with the unit tests."""

    @property
    def key(self) -> str:
        return ATTACKER if self.keyed else WRONG

    @property
    def what(self) -> str:
        return " ".join((self.attack.__doc__ or "").split())


KINDS: dict[str, Kind] = {}
Attacker = Callable[[Attack], Awaitable[None]]


def kind(name: str, section: int, *, keys: Sequence[bool] = (True,), **more: Any) -> Callable[[Attacker], Attacker]:
    """Registers an attack, with a key, without one, or both."""

    def register(attack: Attacker) -> Attacker:
        for keyed in keys:
            full = name if keyed else f"{name}, no key"
            assert full not in KINDS, full
            KINDS[full] = Kind(full, section, keyed, attack, **more)
        return attack

    return register


def all_kinds() -> dict[str, Kind]:
    for module in ("door", "messages", "memory", "answers", "told"):
        import_module(f"tests.hostile.{module}")
    return KINDS
