"""Who may open a session, on what terms, and how many there may be.

The key or token is judged at the handshake, so that nothing a stranger says has to be read (`entry`), and again with
all the rest when the setup has been read: resuming a session costs no use of a token and begins no session.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import anyio
from msgspec.structs import replace

from openlive.core.events import ConnectionOpened, Constraints
from openlive.core.setup import masks
from openlive.core.setup.profile import ModelProfile
from openlive.core.setup.settings import SessionSettings, settings_from_setup
from openlive.server.auth import LOCAL, Credential, Keyring, Principal
from openlive.server.load_shedding import Waits
from openlive.server.paths import Door
from openlive.server.store import StoreError
from openlive.server.tokens import Token, Tokens
from openlive.wire.errors import (
    API_KEY_EXPIRED,
    NOT_IMPLEMENTED,
    UNAVAILABLE,
    UNREGISTERED_CALLER,
    ProtocolError,
    Refusal,
    quota_exceeded,
    server_booked,
    server_busy,
    server_full,
)
from openlive.wire.setup import Setup

MINUTE = 60.0
READ_AT_ONCE = 2
"""Large messages, setups among them, that are read at a time: each takes some forty times its size meanwhile."""
_LOG = logging.getLogger(__name__)


class Places:
    """How many sessions are open in this process, in all and by key, and how many each key began within a minute.

    A client that comes back may find the connection that it takes over still counted, so there are as many places
    again for those who resume. Nobody new comes in while an answer has waited for longer than `wait` seconds, since
    those who are in would only wait longer, nor where the first answer would have to.
    """

    def __init__(
        self,
        sessions: int,
        waits: Waits | None = None,
        wait: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        """In all; 0 is no limit."""
        self.waits = waits or Waits(clock=clock)
        self._wait = wait
        """0 is no limit."""
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._begun: dict[str, deque[float]] = {}

    def __len__(self) -> int:
        return self._open.total()

    def take(self, principal: Principal, limits: tuple[int, int], *, resumes: bool = False) -> Refusal | None:
        """Why there is no place, or None where one was taken."""
        sessions, per_minute = limits
        factor = 2 if resumes else 1
        if self._sessions and len(self) >= factor * self._sessions:
            return server_full(self._sessions)
        if self._wait and not resumes and (refusal := self._too_long()):
            return refusal
        if sessions and self._open[principal.name] >= factor * sessions:
            return quota_exceeded(f"sessions at once with this key: {sessions}.")
        if not resumes and (refusal := self.count(principal.name, per_minute, "new sessions")):
            return refusal
        self._open[principal.name] += 1
        return None

    def _too_long(self) -> Refusal | None:
        longest, expected = self.waits.longest, self.waits.expected
        if longest > self._wait:
            return server_busy(round(longest))
        return server_booked(round(expected)) if expected > self._wait else None

    def leave(self, principal: Principal) -> None:
        self._open[principal.name] -= 1
        self._open += Counter()  # drops those without any

    def count(self, what: str, per_minute: int, words: str) -> Refusal | None:
        """Counts one more of `what`; the refusal says `words`."""
        if not per_minute:
            return None
        now, begun = self._clock(), self._begun.setdefault(what, deque())
        while begun and begun[0] <= now - MINUTE:
            begun.popleft()
        if len(begun) >= per_minute:
            return quota_exceeded(f"{words} a minute with this key: {per_minute}.")
        begun.append(now)
        return None


class Admission:
    """Of one server: its keys, its tokens and its places."""

    def __init__(self, keys: Keyring, tokens: Tokens, profiles: Mapping[str, ModelProfile], places: Places) -> None:
        self.keys = keys
        self.tokens = tokens
        self.profiles = profiles
        self.places = places
        self.missing_tools: Counter[str] = Counter()
        """Of the built-in tools that are not here, how many sessions have asked for each."""
        self.reading = anyio.CapacityLimiter(READ_AT_ONCE)

    def caller(self, shown: Sequence[Credential]) -> Principal | Refusal:
        """Who calls with a key."""
        self.keys.refresh()
        return self.keys.admit(shown)

    def token_wanted(self, principal: Principal) -> Refusal | None:
        """Why the caller may not have another token. As many a minute as sessions, so that nobody fills the store."""
        _, per_minute = self.keys.limits(principal)
        return self.places.count(f"{principal.name}\0tokens", per_minute, "tokens")


class Visit:
    """One connection, from the handshake until it ends."""

    def __init__(self, admission: Admission, door: Door, shown: Sequence[Credential]) -> None:
        self.opened = ConnectionOpened(secrets.token_hex(16), door.version, vertex=door.vertex)
        """What the core is told at the handshake."""
        self.principal = LOCAL
        """Once it has entered: on whose behalf."""
        self._admission = admission
        self._door = door
        self._shown = shown
        self._placed = False
        self._settings: SessionSettings | None = None

    @property
    def reading(self) -> anyio.CapacityLimiter:
        """Whose turn it is to have a large message read."""
        return self._admission.reading

    async def judge(self) -> Refusal | None:
        """Why the caller may not come in, whatever it is about to say; None: it may, by its key or token."""
        try:
            caller = await self._caller()
        except StoreError:
            _LOG.exception("session %s: the store failed", self.opened.session)
            return UNAVAILABLE
        return caller if isinstance(caller, Refusal) else None

    async def enter(self, setup: Setup) -> ConnectionOpened:
        """What the core is told before the setup: the refusal, or what a token locks."""
        try:
            verdict = await self._decide(setup)
        except StoreError:
            _LOG.exception("session %s: the store failed", self.opened.session)
            verdict = UNAVAILABLE
        if isinstance(verdict, Refusal):
            return replace(self.opened, refusal=verdict)
        return replace(self.opened, constraints=verdict, settings=self._settings)

    def leave(self) -> None:
        """The connection has ended: its place is free."""
        if self._placed:
            self._placed = False
            self._admission.places.leave(self.principal)
            self._admission.places.waits.left(self.opened.session)

    async def _decide(self, setup: Setup) -> Refusal | Constraints:
        caller = await self._caller()
        if isinstance(caller, Refusal):
            return caller
        principal, token, name = caller
        return await self._begin(principal, setup, self._constraints(token), name)

    async def _caller(self) -> tuple[Principal, Token | None, str] | Refusal:
        """Who calls, and with which token (and its name, else '')."""
        if not self._door.implemented:
            return NOT_IMPLEMENTED
        if not self._door.constrained:
            principal = self._admission.caller(self._shown)
            return principal if isinstance(principal, Refusal) else (principal, None, "")
        self._admission.keys.refresh()
        name = next((shown.value for shown in self._shown if shown.ephemeral), "")
        token = await self._admission.tokens.find(name) if name else UNREGISTERED_CALLER
        if isinstance(token, Refusal):
            return token
        issuer = self._admission.keys.named(token.principal)
        if issuer is None:
            return API_KEY_EXPIRED
        return issuer, token, name

    def _constraints(self, token: Token | None) -> Constraints:
        if token is None:
            return Constraints()
        until = anyio.current_time() + self._admission.tokens.seconds_left(token)
        return Constraints(token.locked, token.mask, until)

    async def _begin(
        self, principal: Principal, setup: Setup, constraints: Constraints, token: str
    ) -> Refusal | Constraints:
        """Takes a place, and one of the token's uses, for a session that will begin."""
        self.principal = principal
        effective = masks.apply_token_locks(setup, constraints.setup, constraints.mask)
        work = partial(
            settings_from_setup, effective, self._admission.profiles, self._door.version, vertex=self._door.vertex
        )
        try:  # the schemas of many functions would hold up the loop
            self._settings = await anyio.to_thread.run_sync(work) if effective.tools else work()
        except ProtocolError as error:  # nothing begins, nothing is counted
            return Refusal(error.code, error.reason, about=error.about)
        resumes = bool(effective.session_resumption and effective.session_resumption.handle)
        admission = self._admission
        refusal = admission.places.take(principal, admission.keys.limits(principal), resumes=resumes)
        if refusal is not None:
            return refusal
        self._placed = True
        if not resumes:
            admission.places.waits.came(self.opened.session)
        for tool in self._settings.missing_tools:
            admission.missing_tools[tool] += 1
            told = "session %s: it asks for %s, which is not configured (tools.%s): the model has to do without"
            _LOG.warning(told, self.opened.session, tool, tool)
        return (None if resumes or not token else await admission.tokens.use(token)) or constraints
