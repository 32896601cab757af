"""The sessions that are live here, what is stored of the others, and who may go on with one.

A handle is a UUID. Its first 28 characters are a session's secret, the rest is fresh each time: so all handles of a
session name its latest state, and none has to be stored. The key of a state in the store is the principal's name and
that secret: a handle is worth nothing in the hands of another.

A state has an owner: the connection that resumed the session last. Only the owner may store a newer one, wherever the
connections are, so a connection that lost its session cannot overwrite what became of it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import uuid
from collections.abc import Callable

import anyio
import msgspec

from openlive.core.commands import SaveState
from openlive.core.events import Event, ServerDraining, StageFailed, StateRestored, StateSaved, TakenOver
from openlive.core.memory.snapshot import Snapshot, with_newest_images
from openlive.server.mailbox import Mailbox
from openlive.server.store import Change, Store, StoreError
from openlive.wire.errors import ENTITY_NOT_FOUND, UNAVAILABLE, Refusal

NAMESPACE = "sessions"
VERSION = b"\x02"
"""Of what stands in the store; to be raised with every change of `Snapshot` that older states do not fit."""
OTHER_VERSION = Refusal(1008, "The session was stored by another version of this server and cannot be resumed by it.")
PARTED = 256
"""Sessions without a connection of which engines keep what they have, some 300 kB of tokens for a full context of 8192.
Of more, those that parted first are forgotten there, and cost what a new conversation costs when they go on: the
embedded model's cache has room for 12, so others have long taken theirs."""
KEEP = 2 * 60 * 60.0
"""Seconds that a session can be resumed after its connection has ended (docs/protocol.md#resumption)."""
TAKE_OVER = 5.0
"""Seconds for the connection that holds a session to store its latest state."""
IMAGES = 16 * 1024 * 1024
"""Bytes of images that are stored of a session, the newest: to write all that it may hold would hold up the loop."""
LARGE, RATE = 1024 * 1024, 16 * 1024 * 1024
"""Bytes of a state after which its session stores nothing for a while, and those in a second that it comes to then."""
OWNER = 16
SECRET = 28
_JSON = b"\xc1"
"""A byte that begins no msgpack."""
_HANDLE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOG = logging.getLogger(__name__)


# --- what is stored ---------------------------------------------------------------------------------------------------


def encode(owner: bytes, snapshot: Snapshot) -> bytes:
    snapshot = with_newest_images(snapshot, IMAGES)
    try:
        return VERSION + owner + msgspec.msgpack.encode(snapshot)
    except OverflowError:  # arguments of a function are JSON, where integers have no bounds
        return VERSION + owner + _JSON + msgspec.json.encode(snapshot)


def decode(value: bytes) -> Snapshot | Refusal:
    if not value.startswith(VERSION):
        return OTHER_VERSION
    try:
        state = value[1 + OWNER :]
        return _json_decoder.decode(state[1:]) if state.startswith(_JSON) else _decoder.decode(state)
    except msgspec.DecodeError:
        _LOG.exception("A stored session cannot be read")
        return OTHER_VERSION


_decoder = msgspec.msgpack.Decoder(Snapshot)
_json_decoder = msgspec.json.Decoder(Snapshot)


def _owner(value: bytes) -> bytes:
    return value[1 : 1 + OWNER]


# --- the sessions -----------------------------------------------------------------------------------------------------


class Live:
    """Of one server. `forget` is told the id of a session that cannot go on any more; `keep` are seconds."""

    def __init__(self, store: Store, forget: Callable[[str], None], keep: float = KEEP) -> None:
        self.store = store
        self.keep = keep
        self._forget = forget
        self._seats: set[Seat] = set()
        self._owners: dict[str, Seat] = {}
        self._parted: dict[str, tuple[asyncio.TimerHandle, str]] = {}
        """Sessions without a connection, until they are forgotten; by their keys, in the order of parting."""
        self._draining_until: float | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._seats)

    @property
    def draining(self) -> bool:
        return self._draining_until is not None

    def enter(self, session: str, post: Callable[[Event], None]) -> Seat:
        """A connection has begun, with the fresh id `session`; `post` takes events for its core."""
        seat = Seat(self, session, post)
        self._seats.add(seat)
        self._empty.clear()
        if self._draining_until is not None:
            post(ServerDraining(max(0.0, self._draining_until - anyio.current_time())))
        return seat

    def leave(self, seat: Seat) -> None:
        """Its socket is closed and no engine works for it any more."""
        self._seats.discard(seat)
        if not self._seats:
            self._empty.set()
        if not seat.stored:
            self._forget(seat.session)
        elif seat.key not in self._owners and seat.key not in self._parted:
            timer = asyncio.get_running_loop().call_later(self.keep, self._expired, seat.key)
            self._parted[seat.key] = timer, seat.session
            if len(self._parted) > PARTED:
                self._expired(next(iter(self._parted)))

    async def drain(self, seconds: float) -> None:
        """No session begins any more; those that are there are told, and have ended when this returns."""
        self._draining_until = anyio.current_time() + seconds
        if self._seats:
            _LOG.info("%d sessions are open; they end within %.0f s", len(self._seats), seconds)
        for seat in list(self._seats):
            seat.post(ServerDraining(seconds))
        await self._empty.wait()

    def close(self) -> None:
        for timer, _ in self._parted.values():
            timer.cancel()
        self._parted.clear()

    # Who has which session. Keys are those of the store.

    async def claim(self, key: str, seat: Seat) -> None:
        """Gives the session to `seat`: whoever has it here loses it, with its latest state stored. Of several that
        want it at once each gets it in turn, the last one keeps it."""
        with anyio.move_on_after(TAKE_OVER):
            while (other := self._owners.get(key)) is not None and other is not seat:
                other.post(TakenOver())
                await other.parted.wait()
        self._owners[key] = seat
        if key in self._parted:
            self._parted.pop(key)[0].cancel()

    def part(self, key: str, seat: Seat) -> None:
        """The session may go on with another connection."""
        if self._owners.get(key) is seat:
            del self._owners[key]

    def _expired(self, key: str) -> None:
        timer, session = self._parted.pop(key)
        timer.cancel()
        self._forget(session)


class Seat:
    """One connection's hold on its session. `run` stores what `save` is given; `close` ends it."""

    def __init__(self, live: Live, session: str, post: Callable[[Event], None]) -> None:
        self.post = post
        self.session = session
        """The session's id, which a resumed one keeps."""
        self.principal = ""
        """On whose behalf. To be set before anything is restored or saved."""
        self.parted = anyio.Event()
        """The latest state is stored and nothing more will be."""
        self._live = live
        self._owner = secrets.token_bytes(OWNER)
        self._secret = ""
        self.stored = False
        """There is a state in the store that this connection left or found there."""
        self._saves: Mailbox[SaveState] = Mailbox()
        self._ending = anyio.Event()

    @property
    def key(self) -> str:
        """Of its state in the store."""
        return f"{self.principal}/{self._secret}"

    async def restore(self, handle: str) -> StateRestored:
        """The session behind a handle; from now on it belongs to this connection."""
        if not _HANDLE.fullmatch(handle):
            return StateRestored(None, ENTITY_NOT_FOUND)
        self._secret = handle[:SECRET]
        try:
            await self._live.claim(self.key, self)
            found = await self._change(self._take)
        except StoreError:
            _LOG.exception("session %s: the store failed", self.session)
            return StateRestored(None, UNAVAILABLE)
        if found is None:
            return StateRestored(None, ENTITY_NOT_FOUND)
        snapshot = decode(found)
        if isinstance(snapshot, Refusal):
            return StateRestored(None, snapshot)
        self.stored = True
        _LOG.info("session %s goes on with session %s", self.session, snapshot.session)
        self.session = snapshot.session
        return StateRestored(snapshot)

    def save(self, save: SaveState) -> None:
        """Never waits; answered by an event. Of what waits for a slow store only the newest is kept."""
        waiting = self._saves.items
        if waiting and not self._saves.closed:
            save = msgspec.structs.replace(save, wants_handle=waiting.pop().wants_handle or save.wants_handle)
        self._saves.put(save)

    def close(self) -> None:
        """The core has ended: what was given last is stored, then the session may go on elsewhere."""
        self._saves.close()
        self._ending.set()

    async def run(self) -> None:
        """Stores the newest state whenever there is one. While it is connected a session does not expire."""
        try:
            while True:
                if await self._saves.wait(anyio.current_time() + self._live.keep):
                    await self._store(self._saves.take())
                elif self._saves.closed:
                    break
                else:
                    await self._touch()
            await self._touch()
        finally:
            self._live.part(self.key, self)
            self.parted.set()

    async def _store(self, save: SaveState) -> None:
        if not self._secret:
            self._secret = str(uuid.uuid4())[:SECRET]
            await self._live.claim(self.key, self)
        try:
            value = encode(self._owner, save.snapshot)
            stored = await self._change(lambda old: self._keep(old, value))
        except Exception as error:
            _LOG.exception("session %s: its state could not be stored", self.session)
            self.post(StageFailed("store", 0, str(error)))
            return
        if stored is not value:
            self.post(TakenOver())
            return
        self.stored = True
        if save.wants_handle:
            self.post(StateSaved(self._secret + secrets.token_hex(4), save.consumed))
        if len(value) > LARGE:
            with anyio.move_on_after(len(value) / RATE):
                await self._ending.wait()

    async def _touch(self) -> None:
        if not self.stored:
            return
        try:
            await self._change(lambda old: old)
        except StoreError:
            _LOG.exception("session %s: the store failed", self.session)

    async def _change(self, function: Change) -> bytes | None:
        """Its time begins anew: while it is connected twice as much as afterwards, renewed in between, so that it lasts
        long enough where the process dies."""
        expires_at = time.time() + self._live.keep * (1 if self._saves.closed else 2)
        return await self._live.store.change(NAMESPACE, self.key, function, expires_at, self.principal)

    def _take(self, old: bytes | None) -> bytes | None:
        return old if old is None or not old.startswith(VERSION) else VERSION + self._owner + old[1 + OWNER :]

    def _keep(self, old: bytes | None, new: bytes) -> bytes:
        return new if old is None or _owner(old) == self._owner else old
