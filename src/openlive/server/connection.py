"""One client: a reader, the loop that owns the session, a writer, and the engines' work beside them.

Only the loop touches the core, and `_do` is the only interpreter of its commands. The reader never stops, because a
paused WebSocket answers no ping and clients hang up after 20 s (docs/protocol.md#pings).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup
from starlette.websockets import WebSocket, WebSocketDisconnect

from openlive.core.commands import (
    CallMark,
    CloseConnection,
    Command,
    DetectSpeech,
    ReplyOverdue,
    RestoreState,
    SaveState,
    Send,
    SpeculationOutcome,
    TrimAudio,
    TurnMark,
)
from openlive.core.events import AudioArrived, ClientLeft, Event, MessageReceived
from openlive.core.replying.function_calls import MAX_PENDING_CALLS
from openlive.core.session import Session
from openlive.server.admission import Visit
from openlive.server.buffer import Audio
from openlive.server.engines import Engines
from openlive.server.inbound import Frames, is_dear
from openlive.server.load_shedding import Waits
from openlive.server.mailbox import Mailbox
from openlive.server.metrics import Metrics
from openlive.server.outbox import Outbox
from openlive.server.session_registry import Live
from openlive.server.waterfall import Turns
from openlive.server.work import BOUNDS, Bounds, Work
from openlive.wire import vertex
from openlive.wire.errors import INTERNAL, close_reason
from openlive.wire.server import encode
from openlive.wire.size import MAX_VALUES

BATCH = 32
"""Events handled before the other tasks get their turn. More than a message makes, so that the loop outruns the reader
and a flood piles up in the listener, which bounds it."""
SEND_TIMEOUT = 30.0
"""Seconds that a client may refuse to take a message before it is cut."""
_LOG = logging.getLogger(__name__)


class Connection:
    """Serves one socket until either side closes it. `admitted` is called once the setup was accepted. `values`: how
    many one message may hold."""

    def __init__(
        self,
        socket: WebSocket,
        session: Session,
        engines: Engines,
        turns: Turns,
        metrics: Metrics,
        *,
        waits: Waits,
        recognitions: Waits,
        visit: Visit,
        live: Live,
        admitted: Callable[[], None],
        values: int = MAX_VALUES,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._socket = socket
        self._session = session
        self._turns = turns
        self._metrics = metrics
        self._visit = visit
        self._live = live
        self._entered = False
        self._admitted = admitted
        self._encode = vertex.encode if visit.opened.vertex else encode
        self._frames = Frames(values)
        self._audio = Audio()
        self._inbox: Mailbox[Event] = Mailbox()
        self._outbox = Outbox(bounds.unsent)
        self._work = Work(
            engines,
            self._audio,
            self._inbox,
            self._outbox,
            waits=waits,
            recognitions=recognitions,
            metrics=metrics,
            bounds=bounds,
            session=visit.opened.session,
        )
        self._settled = asyncio.Event()
        """No state of a session is being fetched: who resumes one is not read from before that is there."""
        self._settled.set()
        self._closing = False
        self._writing = anyio.CancelScope()
        self._written = anyio.Event()
        """The socket is closed, or takes nothing any more."""
        self._tasks: TaskGroup
        self._seat = live.enter(visit.opened.session, self._inbox.put)

    @property
    def _id(self) -> str:
        return self._work.session

    async def serve(self) -> None:
        self._inbox.put(self._visit.opened)
        try:
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(self._seat.run)
                try:
                    async with anyio.create_task_group() as self._tasks:
                        self._work.begin(self._tasks)
                        self._tasks.start_soon(self._read)
                        self._tasks.start_soon(self._write)
                        await self._run()
                        await self._written.wait()
                        self._tasks.cancel_scope.cancel()
                finally:
                    self._work.end()
                    self._inbox.close()
                    self._seat.close()
        finally:
            self._live.leave(self._seat)

    # The loop.

    async def _run(self) -> None:
        """What the client says goes before what is written for it: an interruption must not wait for the text that it
        interrupts. All other events keep their order, so audio and its judgements do."""
        while True:
            if len(self._inbox):
                await asyncio.sleep(0)  # a flood from one client lets the others through
            elif not await self._inbox.wait(self._session.deadline):
                self._handle(None)
            for event in self._inbox.batch(BATCH):
                self._handle(event)
                if self._closing:
                    break
            if self._closing:
                return

    def _handle(self, event: Event | None) -> None:
        try:
            commands = self._session.handle(event, asyncio.get_running_loop().time())
        except Exception:
            _LOG.exception("session %s: the core failed", self._id)
            commands = [CloseConnection(INTERNAL.code, close_reason(f"{INTERNAL.reason} (session {self._id})"))]
        for command in commands:
            self._do(command)
            if isinstance(command, CloseConnection):
                told = command.reason if command.about is None else command.about
                _LOG.info("session %s closed: %d %s", self._id, command.code, told)
                self._metrics.ended(command.code)
                self._closing = True
                self._work.end()
                self._settled.set()
                self._seat.close()  # what is to be stored is, however long the socket takes
                return

    def _do(self, command: Command) -> None:
        match command:
            case Send() | CloseConnection():
                self._outbox.put(command)
                if self._outbox.overflows:
                    self._writing.cancel()
            case DetectSpeech():  # the commonest
                self._work.do(command)
            case TrimAudio(before):
                self._audio.forget(before)
            case RestoreState(handle):
                self._settled.clear()
                self._seat.principal = self._visit.principal.name
                self._tasks.start_soon(self._restoring, handle)
            case SaveState():
                self._seat.principal = self._visit.principal.name
                self._seat.save(command)
            case SpeculationOutcome() | ReplyOverdue() | TurnMark() | CallMark():
                self._note(command)
            case _:
                self._work.do(command)

    def _note(self, command: SpeculationOutcome | ReplyOverdue | TurnMark | CallMark) -> None:
        match command:
            case SpeculationOutcome():
                self._metrics.prepared(command)
                if command.used:
                    self._work.release()
            case ReplyOverdue(turn, seconds):
                told = "nothing came from the model for %g s (limits.reply_seconds), so its answer is given up"
                _LOG.error(f"session %s: turn %d: {told}", self._id, turn, seconds)
            case TurnMark(turn, step, at):
                self._turns.mark(self._visit.principal.name, self._id, turn, step, at)
            case CallMark(step="refused"):
                self._metrics.call(command)
                told = "a call is not asked, and its turn ended: %d others wait for their answers (limits.call_seconds)"
                _LOG.warning(f"session %s: {told}", self._id, MAX_PENDING_CALLS)
            case CallMark(call_id, name, step, after):
                self._metrics.call(command)
                level = logging.WARNING if step in ("waiting", "unanswered") else logging.INFO
                _LOG.log(level, "session %s: call %s of %s: %s, %.1f s", self._id, call_id, name, step, after)

    # The socket.

    async def _read(self) -> None:
        while True:
            if not self._settled.is_set():
                await self._settled.wait()
            try:
                message = await self._socket.receive()
            except RuntimeError:  # Starlette's answer to a read after the end
                return
            if message["type"] == "websocket.disconnect":
                _LOG.info("session %s: the client left (%s)", self._id, message.get("code"))
                self._inbox.put(ClientLeft())
                return
            if self._closing:
                continue  # nobody takes it any more, and it must not pile up until the client is gone
            frame: str | bytes = message.get("text") or message.get("bytes") or b""
            if is_dear(frame):
                read = await anyio.to_thread.run_sync(self._frames.read, frame, limiter=self._visit.reading)
            else:
                read = self._frames.read(frame)
                if self._inbox.items:  # messages that wait already would be read without a pause
                    await asyncio.sleep(0)
            if not self._entered:
                await self._enter(read)
            for i, item in enumerate(read):
                self._inbox.put(self._event(item, more=i + 1 < len(read)))

    def _event(self, item: Event | bytes, *, more: bool) -> Event:
        if isinstance(item, bytes):
            return AudioArrived(self._audio.append(item), more)
        return MessageReceived(item.message, more) if isinstance(item, MessageReceived) else item

    async def _enter(self, read: list[Event | bytes]) -> None:
        """At the setup it is decided who may come in (`admission`)."""
        for item in read:
            if isinstance(item, MessageReceived) and item.message.setup is not None:
                self._entered = True
                self._inbox.put(await self._visit.enter(item.message.setup))

    async def _write(self) -> None:
        try:
            with self._writing:
                await self._send_all()
        finally:
            self._written.set()
        if self._writing.cancel_called:
            self._cut("more waits than it will ever make up for")

    async def _send_all(self) -> None:
        async for command in self._outbox:
            if isinstance(command, CloseConnection):
                await self._close(command)
                return
            try:
                frame = self._encode(command.message)
            except Exception:  # what engines give is checked where they give it, so this is a fault of ours
                _LOG.exception("session %s: a message cannot be sent, and is left out", self._id)
                continue
            try:
                with anyio.fail_after(SEND_TIMEOUT):
                    await self._socket.send_bytes(frame)
            except (OSError, WebSocketDisconnect, TimeoutError, RuntimeError) as error:
                self._cut(type(error).__name__)
                return
            if command.turn:
                principal = self._visit.principal.name
                self._turns.mark(principal, self._id, command.turn, "first_byte", anyio.current_time())
            elif command.message.setup_complete is not None:
                self._admitted()

    def _cut(self, why: str) -> None:
        _LOG.info("session %s: the client takes nothing any more (%s)", self._id, why)
        self._inbox.put(ClientLeft())

    async def _close(self, command: CloseConnection) -> None:
        with anyio.move_on_after(SEND_TIMEOUT):
            with suppress(OSError, WebSocketDisconnect, RuntimeError):
                await self._socket.close(command.code, command.reason)

    async def _restoring(self, handle: str) -> None:
        restored = await self._seat.restore(handle)
        self._work.session = self._seat.session
        self._inbox.put(restored)
        self._settled.set()
