"""One client: a reader, the loop that owns the session, a writer, and the engines' work beside them.

Only the loop touches the core, and `_do` is the only interpreter of its commands. The reader never stops, because a
paused WebSocket answers no ping and clients hang up after 20 s (protocol.md 1.4).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from starlette.websockets import WebSocket, WebSocketDisconnect

from openlive.core.commands import (
    CallMark,
    Close,
    Command,
    Detect,
    DropScene,
    Flush,
    Forget,
    HangUp,
    Hear,
    JudgeAddressee,
    JudgeScene,
    JudgeTurn,
    Listen,
    Mark,
    Overdue,
    Prefill,
    Prepared,
    Respond,
    Restore,
    RunTool,
    Save,
    Send,
    Stop,
    StopTool,
)
from openlive.core.events import (
    AddresseeJudged,
    AudioArrived,
    ClientSaid,
    Detected,
    Event,
    Failed,
    Finished,
    Left,
    Produced,
    Ran,
    SceneJudged,
    Transcribed,
    TurnJudged,
)
from openlive.core.session import Session
from openlive.engines.hold import Hold, enter
from openlive.engines.prompt import MalformedCallError
from openlive.engines.prosody import measured
from openlive.engines.protocols import Judged, VADStream
from openlive.server.admission import Visit
from openlive.server.buffer import Audio
from openlive.server.engines import Engines
from openlive.server.frames import Frames, is_dear
from openlive.server.live import Live
from openlive.server.mailbox import Mailbox
from openlive.server.metrics import Metrics
from openlive.server.scenes import Scenes
from openlive.server.turns import Turns
from openlive.server.waits import Waits
from openlive.types import FunctionCall, Output, Progress, Request, ToolResult
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
        visit: Visit,
        live: Live,
        admitted: Callable[[], None],
        values: int = MAX_VALUES,
    ) -> None:
        self._socket = socket
        self._session = session
        self._engines = engines
        self._turns = turns
        self._metrics = metrics
        self._waits = waits
        self._visit = visit
        self._live = live
        self._entered = False
        self._admitted = admitted
        self._id = visit.opened.session
        self._encode = vertex.encode if visit.opened.vertex else encode
        self._frames = Frames(values)
        self._audio = Audio()
        self._inbox: Mailbox[Event] = Mailbox()
        self._outbox: Mailbox[Send | Close] = Mailbox()
        self._stream = 0
        self._detector: VADStream | None = None
        self._utterances: dict[int, tuple[Mailbox[bytes], anyio.CancelScope]] = {}
        self._replies: dict[int, anyio.CancelScope] = {}
        self._hold: Hold | None = None
        """Of the latest reply, where that began before the turn was decided."""
        self._runs: dict[str, anyio.CancelScope] = {}
        """The tools that run, by the id of the call."""
        self._prefill = anyio.CancelScope()
        self._judging = anyio.CancelScope()
        self._wondering = anyio.CancelScope()
        self._watching = anyio.CancelScope()
        self._scenes: Scenes | None = None
        self._closing = False
        self._written = anyio.Event()
        """The socket is closed, or takes nothing any more."""
        self._tasks: TaskGroup
        self._seat = live.enter(self._id, self._inbox.put)

    async def serve(self) -> None:
        self._inbox.put(self._visit.opened)
        try:
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(self._seat.run)
                try:
                    async with anyio.create_task_group() as self._tasks:
                        self._tasks.start_soon(self._read)
                        self._tasks.start_soon(self._write)
                        await self._run()
                        await self._written.wait()
                        self._tasks.cancel_scope.cancel()
                finally:
                    self._end_detector()
                    self._inbox.close()
                    self._seat.close()
        finally:
            self._live.leave(self._seat)

    # The loop.

    async def _run(self) -> None:
        while True:
            if self._inbox.items:
                await asyncio.sleep(0)  # a flood from one client lets the others through
            else:
                await self._inbox.wait(self._session.deadline)
            for _ in range(max(1, min(len(self._inbox), BATCH))):
                self._handle(self._inbox.take() if len(self._inbox) else None)
                if self._closing:
                    return

    def _handle(self, event: Event | None) -> None:
        try:
            commands = self._session.handle(event, asyncio.get_running_loop().time())
        except Exception:
            _LOG.exception("session %s: the core failed", self._id)
            commands = [Close(INTERNAL.code, close_reason(f"{INTERNAL.reason} (session {self._id})"))]
        for command in commands:
            self._do(command)
            if isinstance(command, Close):
                _LOG.info("session %s closed: %d %s", self._id, command.code, command.reason)
                self._metrics.ended(command.code)
                self._closing = True
                self._prefill.cancel()
                self._seat.close()  # what is to be stored is, however long the socket takes
                return

    def _do(self, command: Command) -> None:
        match command:
            case Send() | Close():
                self._outbox.put(command)
            case Detect():
                self._detect(command)
            case Listen() | Hear() | Flush() | HangUp():
                self._listen(command)
            case JudgeTurn() | JudgeAddressee() | JudgeScene() | DropScene():
                self._weigh(command)
            case Forget(before):
                self._audio.forget(before)
            case Prefill(request):
                self._prefill.cancel()
                self._prefill = self._start(self._prefilling, request)
            case Respond(turn, request, held):
                self._prefill.cancel()
                self._hold = Hold() if held else None
                self._replies[turn] = self._start(self._responding, turn, request, self._hold)
            case Stop(turn):
                if turn in self._replies:
                    self._replies.pop(turn).cancel()
                kept = (s for s in self._outbox.items if not (isinstance(s, Send) and s.turn == turn))
                self._outbox.keep(deque(kept))
            case RunTool() | StopTool() | CallMark():
                self._call(command)
            case Restore(handle):
                self._seat.principal = self._visit.principal.name
                self._start(self._restoring, handle)
            case Save():
                self._seat.principal = self._visit.principal.name
                self._seat.save(command)
            case Prepared() | Overdue() | Mark():
                self._note(command)

    def _note(self, command: Prepared | Overdue | Mark) -> None:
        match command:
            case Prepared():
                self._metrics.prepared(command)
                if command.used and self._hold is not None:
                    self._hold.release()
            case Overdue(turn, seconds):
                told = "nothing came from the model for %g s (limits.reply_seconds), so its answer is given up"
                _LOG.error(f"session %s: turn %d: {told}", self._id, turn, seconds)
            case Mark(turn, step, at):
                self._turns.mark(self._id, turn, step, at)

    def _start(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> anyio.CancelScope:
        """Starts `work` in a scope of its own, by which it can be stopped at any time, before it ran as well."""
        scope = anyio.CancelScope()

        async def run() -> None:
            with scope:
                await work(*arguments)

        self._tasks.start_soon(run)
        return scope

    # The socket.

    async def _read(self) -> None:
        while True:
            try:
                message = await self._socket.receive()
            except RuntimeError:  # Starlette's answer to a read after the end
                return
            if message["type"] == "websocket.disconnect":
                _LOG.info("session %s: the client left (%s)", self._id, message.get("code"))
                self._inbox.put(Left())
                return
            if self._closing:
                continue  # nobody takes it any more, and it must not pile up until the client is gone
            frame: str | bytes = message.get("text") or message.get("bytes") or b""
            if is_dear(frame):
                read = await anyio.to_thread.run_sync(self._frames.read, frame)
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
        return ClientSaid(item.message, more) if isinstance(item, ClientSaid) else item

    async def _enter(self, read: list[Event | bytes]) -> None:
        """At the setup it is decided who may come in (`admission`)."""
        for item in read:
            if isinstance(item, ClientSaid) and item.message.setup is not None:
                self._entered = True
                self._inbox.put(await self._visit.enter(item.message.setup))

    async def _write(self) -> None:
        try:
            await self._send_all()
        finally:
            self._written.set()

    async def _send_all(self) -> None:
        async for command in self._outbox:
            if isinstance(command, Close):
                await self._close(command)
                return
            try:
                with anyio.fail_after(SEND_TIMEOUT):
                    await self._socket.send_bytes(self._encode(command.message))
            except (OSError, WebSocketDisconnect, TimeoutError, RuntimeError) as error:
                _LOG.info("session %s: the client takes nothing any more (%r)", self._id, error)
                self._inbox.put(Left())
                return
            if command.turn:
                self._turns.mark(self._id, command.turn, "first_byte", anyio.current_time())
            elif command.message.setup_complete is not None:
                self._admitted()

    async def _close(self, command: Close) -> None:
        with anyio.move_on_after(SEND_TIMEOUT):
            with suppress(OSError, WebSocketDisconnect, RuntimeError):
                await self._socket.close(command.code, command.reason)

    async def _restoring(self, handle: str) -> None:
        restored = await self._seat.restore(handle)
        self._id = self._seat.session
        self._inbox.put(restored)

    # The engines.

    def _detect(self, asked: Detect) -> None:
        """A new stream ends the one before it; what is asked of one that failed is dropped."""
        stream = asked.stream
        try:
            if stream != self._stream:
                self._end_detector()
                self._stream = stream
                self._detector = self._engines.vad.stream(lambda found: self._judged(stream, found))
            if self._detector is not None:
                self._detector.push(self._audio.slice(asked.start, asked.end))
        except Exception as error:
            self._judged(stream, error)

    def _judged(self, stream: int, found: Judged) -> None:
        if not isinstance(found, Exception):
            self._inbox.put(Detected(stream, tuple(found)))
            return
        if stream == self._stream:
            self._end_detector()
        self._failed(Failed("vad", stream, str(found)), found)

    def _end_detector(self) -> None:
        detector, self._detector = self._detector, None
        try:
            if detector is not None:
                detector.close()
        except Exception as error:
            _LOG.warning("session %s: its detector cannot be closed: %r", self._id, error)

    def _listen(self, command: Listen | Hear | Flush | HangUp) -> None:
        match command:
            case Listen(utterance):
                chunks: Mailbox[bytes] = Mailbox()
                self._utterances[utterance] = chunks, self._start(self._recognising, command, chunks)
            case Hear(utterance, start, end):
                self._utterances[utterance][0].put(self._audio.slice(start, end))
            case Flush(utterance):
                self._utterances[utterance][0].put(b"")
            case HangUp(utterance):
                chunks, scope = self._utterances.pop(utterance)
                chunks.close()
                scope.cancel()

    async def _recognising(self, command: Listen, chunks: AsyncIterator[bytes]) -> None:
        try:
            hear = partial(
                self._engines.stt.transcribe,
                languages=command.languages,
                phrases=command.phrases,
                words=command.words,
            )
            heard = measured(hear, chunks) if command.prosody else hear(chunks)
            async for transcript in heard:
                self._inbox.put(Transcribed(command.utterance, transcript))
        except Exception as error:
            self._failed(Failed("stt", command.utterance, str(error)), error)

    def _weigh(self, command: JudgeTurn | JudgeAddressee | JudgeScene | DropScene) -> None:
        """A question replaces an earlier one of its kind."""
        match command:
            case JudgeTurn():
                self._judging.cancel()
                self._judging = self._start(self._judge, command)
            case JudgeAddressee():
                self._wondering.cancel()
                self._wondering = self._start(self._wonder, command)
            case JudgeScene():
                self._watching = self._start(self._watch, command)
            case DropScene():
                self._watching.cancel()

    async def _judge(self, asked: JudgeTurn) -> None:
        assert self._engines.turn is not None
        try:
            finished = await self._engines.turn.finished(self._audio.slice(asked.start, asked.end))
        except Exception as error:  # silence alone will tell
            self._failed(Failed("turn", asked.utterance, str(error)), error)
        else:
            self._inbox.put(TurnJudged(asked.utterance, asked.end, finished))

    async def _wonder(self, asked: JudgeAddressee) -> None:
        assert self._engines.addressee is not None
        begun = anyio.current_time()
        try:
            meant = await self._engines.addressee.meant(asked.request)
        except Exception as error:
            self._failed(Failed("addressee", asked.utterance, str(error)), error)
        else:
            took = anyio.current_time() - begun
            _LOG.info("session %s: meant for the model: %.2f (%.0f ms)", self._id, meant, 1000 * took)
            self._inbox.put(AddresseeJudged(asked.utterance, asked.number, meant))

    async def _watch(self, asked: JudgeScene) -> None:
        assert self._engines.watcher is not None
        self._scenes = self._scenes or Scenes(self._engines.watcher, self._id)
        try:
            likely = await self._scenes.notices(asked.request)
        except Exception as error:
            self._failed(Failed("scene", asked.number, str(error)), error)
        else:
            self._inbox.put(SceneJudged(asked.number, likely))

    async def _prefilling(self, request: Request) -> None:
        try:
            await self._engines.responder.prefill(request)
        except Exception as error:  # a preparation: the reply itself will tell
            _LOG.warning("session %s: prefill failed: %r", self._id, error)

    async def _responding(self, turn: int, request: Request, hold: Hold | None) -> None:
        session = self._id

        def produced(output: Output) -> None:
            if not isinstance(output, Progress):
                self._waits.end(session, turn)
            self._inbox.put(Produced(turn, output))

        enter(hold)
        self._waits.begin(session, turn)
        try:
            await self._engines.responder.reply(request, produced)
        except MalformedCallError as error:
            self._failed(Failed("call", turn, str(error)), error)
        except Exception as error:
            self._failed(Failed("reply", turn, str(error)), error)
        else:
            self._inbox.put(Finished(turn))
        finally:
            self._waits.end(session, turn)
            self._replies.pop(turn, None)

    def _call(self, command: RunTool | StopTool | CallMark) -> None:
        match command:
            case RunTool(tool, call):
                self._runs[call.id] = self._start(self._running, tool, call)
            case StopTool(call_id):
                if call_id in self._runs:
                    self._runs.pop(call_id).cancel()
            case CallMark(call_id, name, step, after):
                self._metrics.call(command)
                level = logging.WARNING if step in ("waiting", "unanswered") else logging.INFO
                _LOG.log(level, "session %s: call %s of %s: %s, %.1f s", self._id, call_id, name, step, after)

    async def _running(self, name: str, call: FunctionCall) -> None:
        tool = self._engines.tools.get(name)
        try:
            if tool is None:  # the session was resumed on a server that is configured otherwise
                result = ToolResult({"error": f"There is no {name} here."}, outcome="failed")
            else:
                result = await tool.run(call.args)
                _LOG.info("session %s: the tool %s came to %s", self._id, name, result.outcome)
        except Exception as error:
            _LOG.exception("session %s: the tool %s failed", self._id, name)
            result = ToolResult({"error": f"{name} failed: {error}"}, outcome="failed")
        finally:
            self._runs.pop(call.id, None)
        self._inbox.put(Ran(call.id, result))

    def _failed(self, event: Failed, error: Exception) -> None:
        _LOG.error("session %s: %s %d failed", self._id, event.stage, event.number, exc_info=error)
        self._metrics.failed(event)
        self._inbox.put(event)
