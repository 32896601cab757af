"""Ephemeral tokens: what a server of the operator's asks for with its key and hands to a browser
(docs/protocol.md#ephemeral-tokens).

A token is an opaque random name. What it locks stays in the store, under the digest of the name: the token reveals
nothing of it, and the store nothing of the token.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from openlive.config.keys import TOKEN_PREFIX
from openlive.server.auth import Principal
from openlive.server.store import Store
from openlive.wire.auth import AuthToken, mask_paths
from openlive.wire.errors import (
    API_KEY_INVALID,
    TOKEN_EXPIRED,
    TOKEN_USED_UP,
    ProtocolError,
    Refusal,
    time_passed,
    time_too_far,
)
from openlive.wire.json import parse
from openlive.wire.setup import Setup

NAMESPACE = "auth_tokens"
LIFETIME, NEW_SESSION, MAXIMUM = 30 * 60.0, 60.0, 20 * 60 * 60.0
"""Seconds: how long a token lasts, how long sessions may begin with it, and what may be asked for at most."""
REMEMBERED = 24 * 60 * 60.0
"""Seconds for which an expired token is told from one that never was."""


class Token(Struct, frozen=True):
    """What is known of a token. Times are wall-clock seconds; `uses` are those left, None without a limit; `setup` is
    JSON, `mask` as in `core.events.Constraints`."""

    principal: str
    expires: float
    new_sessions_until: float
    uses: int | None = 1
    setup: bytes | None = None
    mask: tuple[str, ...] | None = None

    @property
    def locked(self) -> Setup | None:
        return None if self.setup is None else parse(Setup, self.setup)


class Tokens:
    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def create(self, principal: Principal, wanted: AuthToken) -> AuthToken:
        """The new token, its name alone: the rest is for this server to know. Raises `ProtocolError`, `StoreError`."""
        now = self._clock()
        expires = self._time("expire_time", wanted.expire_time, now, LIFETIME)
        uses = 1 if wanted.uses is None else wanted.uses
        if uses < 0:
            raise ProtocolError(f"Invalid value at 'uses': {uses} is negative.", field="uses")
        setup = wanted.bidi_generate_content_setup
        token = Token(
            principal=principal.name,
            expires=expires,
            new_sessions_until=self._time("new_session_expire_time", wanted.new_session_expire_time, now, NEW_SESSION),
            uses=uses or None,
            setup=None if setup is None else msgspec.json.encode(setup),
            mask=mask_paths(wanted.field_mask),
        )
        name = TOKEN_PREFIX + secrets.token_urlsafe(32)
        value = msgspec.json.encode(token)
        await self._store.put(NAMESPACE, _digest(name), value, expires + REMEMBERED, owner=principal.name)
        return AuthToken(name=name)

    async def find(self, name: str) -> Token | Refusal:
        """The token of that name, unless it has expired. Raises `StoreError`."""
        found = await self._store.get(NAMESPACE, _digest(name))
        if found is None:
            return API_KEY_INVALID
        token = _decoder.decode(found)
        return TOKEN_EXPIRED if token.expires <= self._clock() else token

    async def use(self, name: str) -> Refusal | None:
        """Counts a new session, or says why there can be none. Raises `StoreError`."""

        def used(value: bytes | None) -> bytes | None:
            token = None if value is None else _decoder.decode(value)
            if token is None or min(token.expires, token.new_sessions_until) <= self._clock():
                raise _RefusedError(TOKEN_EXPIRED)
            if token.uses is None:
                return value
            if token.uses == 0:
                raise _RefusedError(TOKEN_USED_UP)
            return msgspec.json.encode(replace(token, uses=token.uses - 1))

        try:
            await self._store.change(NAMESPACE, _digest(name), used)
        except _RefusedError as refused:
            return refused.refusal
        return None

    def seconds_left(self, token: Token) -> float:
        return token.expires - self._clock()

    @staticmethod
    def _time(field: str, asked: datetime | None, now: float, default: float) -> float:
        if asked is None:
            return now + default
        at = asked.timestamp()
        if at >= now + MAXIMUM:
            raise time_too_far(field)
        if at <= now:
            raise time_passed(field)
        return at


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


_decoder = msgspec.json.Decoder(Token)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
