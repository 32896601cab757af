"""The engines' work for one client: commands of the core that an engine answers, and the answers as events.

Whatever an engine does costs one turn: what it hands over is checked (`engines/output_checks.py`), what it raises is a
`StageFailed`, be it an `Exception` or not, and what it writes waits until there is room (`server/flow.py`).
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct

from openlive.core.commands import (
    CancelReply,
    CancelSceneJudgement,
    Command,
    DetectSpeech,
    EndGeneration,
    EndRecognition,
    FeedRecognition,
    FlushRecognition,
    JudgeAddressee,
    JudgeScene,
    JudgeTurn,
    Prefill,
    RunTool,
    StartRecognition,
    StartReply,
    StopTool,
)
from openlive.core.events import (
    AddresseeJudged,
    Event,
    FramesJudged,
    OutputProduced,
    RecogniserProgressed,
    ReplyFinished,
    SceneJudged,
    Stage,
    StageFailed,
    ToolFinished,
    Transcribed,
    TurnJudged,
)
from openlive.engines import output_checks
from openlive.engines.api import Judged, VADStream
from openlive.engines.llm.prompt.conversation import MalformedCallError
from openlive.engines.output_checks import HandoverError, closing_iterator
from openlive.engines.runtime.speculation import Hold, enter_hold
from openlive.engines.stt.prosody import transcribe_with_prosody
from openlive.server.buffer import SAMPLE, Audio
from openlive.server.engines import Engines
from openlive.server.flow import PIECES, Flow
from openlive.server.load_shedding import Wait, Waits
from openlive.server.mailbox import Mailbox
from openlive.server.metrics import Metrics
from openlive.server.outbox import Outbox
from openlive.server.scenes import Scenes
from openlive.types import FunctionCall, Output, Progress, Request, Speech, ToolResult, Usage

_LOG = logging.getLogger(__name__)


class Bounds(Struct, frozen=True):
    """Of what is made for one client and not taken by it yet. `unsent`: bytes that wait to be sent; `ahead`: seconds by
    which an answer's audio may be ahead of its playback."""

    unsent: int = 8 * 1024 * 1024
    ahead: float = 120.0


BOUNDS = Bounds()


class Work:
    """Of one connection. `begin` before anything is asked for; nothing is told after `end`."""

    def __init__(
        self,
        engines: Engines,
        audio: Audio,
        inbox: Mailbox[Event],
        outbox: Outbox,
        *,
        waits: Waits,
        recognitions: Waits,
        metrics: Metrics,
        bounds: Bounds,
        session: str,
    ) -> None:
        self.session = session
        """Its id; a resumed one gets that of the session that goes on."""
        self._engines = engines
        self._audio = audio
        self._inbox = inbox
        self._outbox = outbox
        self._waits = waits
        self._recognitions = recognitions
        self._metrics = metrics
        self._bounds = bounds
        self._tasks: TaskGroup
        self._stream = 0
        self._detector: VADStream | None = None
        self._unjudged = 0
        """Samples that the detector was given and has said nothing of."""
        self._utterances: dict[int, tuple[Mailbox[bytes], anyio.CancelScope]] = {}
        self._replies: dict[int, anyio.CancelScope] = {}
        self._hold: Hold | None = None
        """Of the latest reply, where that began before the turn was decided."""
        self._runs: dict[str, anyio.CancelScope] = {}
        """The tools that run, by the id of the call."""
        self._flushed: dict[int, Wait] = {}
        """Utterances whose final transcript is asked for."""
        self._prefill = anyio.CancelScope()
        self._judging = anyio.CancelScope()
        self._wondering = anyio.CancelScope()
        self._watching = anyio.CancelScope()
        self._scenes: Scenes | None = None

    def begin(self, tasks: TaskGroup) -> None:
        self._tasks = tasks

    def end(self) -> None:
        """Stops all of it."""
        self._end_detector()
        for utterance in tuple(self._flushed):
            self._end_recognition(utterance)
        heard = (scope for _, scope in self._utterances.values())
        for scope in (*heard, *self._replies.values(), *self._runs.values()):
            scope.cancel()
        for scope in (self._prefill, self._judging, self._wondering, self._watching):
            scope.cancel()

    def do(self, command: Command) -> None:
        match command:
            case DetectSpeech():
                self._detect(command)
            case StartRecognition() | FeedRecognition() | FlushRecognition() | EndRecognition():
                self._listen(command)
            case JudgeTurn() | JudgeAddressee() | JudgeScene() | CancelSceneJudgement():
                self._weigh(command)
            case Prefill(request):
                self._prefill.cancel()
                self._prefill = self._start(self._prefilling, request)
            case StartReply(turn, request, held):
                self._prefill.cancel()
                self._hold = Hold() if held else None
                self._replies[turn] = self._start(self._responding, turn, request, self._hold)
            case CancelReply(turn):
                if turn in self._replies:
                    self._replies.pop(turn).cancel()
                self._outbox.drop(turn)
            case EndGeneration(turn):
                if turn in self._replies:
                    self._replies.pop(turn).cancel()
            case RunTool(tool, call):
                self._runs[call.id] = self._start(self._running, tool, call)
            case StopTool(call_id):
                if call_id in self._runs:
                    self._runs.pop(call_id).cancel()

    def release(self) -> None:
        """The reply that was prepared is waited for now."""
        if self._hold is not None:
            self._hold.release()

    def _start(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> anyio.CancelScope:
        """Starts `work` in a scope of its own, by which it can be stopped at any time, before it ran as well."""
        scope = anyio.CancelScope()

        async def run() -> None:
            with scope:
                await work(*arguments)

        self._tasks.start_soon(run)
        return scope

    def _failed(self, stage: Stage, number: int, error: BaseException) -> None:
        """Raises what is no failure, but a stop that was asked for."""
        if isinstance(error, CancelledError) and output_checks.is_cancelled():
            raise error
        failed = StageFailed(stage, number, output_checks.error_text(error))
        _LOG.error("session %s: %s %d failed", self.session, stage, number, exc_info=error)
        self._metrics.failed(failed)
        self._inbox.put_behind(failed) if stage in ("reply", "call") else self._inbox.put(failed)

    # The detector of speech.

    def _detect(self, asked: DetectSpeech) -> None:
        """A new stream ends the one before it; what is asked of one that failed is dropped."""
        stream = asked.stream
        try:
            if stream != self._stream:
                self._end_detector()
                self._stream, self._unjudged = stream, 0
                self._detector = self._engines.vad.stream(lambda found: self._judged(stream, found))
                if self._detector is None:
                    raise HandoverError("a detector gave no stream")
            if self._detector is not None:
                audio = self._audio.slice(asked.start, asked.end)
                self._unjudged += len(audio) // SAMPLE
                self._detector.push(audio)
        except BaseException as error:
            self._lost_detector(stream, error)

    def _judged(self, stream: int, found: Judged) -> None:
        if stream != self._stream:
            return
        if isinstance(found, BaseException):
            self._lost_detector(stream, found)
            return
        try:
            frames = output_checks.check_frames(found, self._unjudged)
        except HandoverError as error:
            self._lost_detector(stream, error)
            return
        self._unjudged -= sum([samples for _, samples in frames])
        if frames:
            self._inbox.put(FramesJudged(stream, frames))

    def _lost_detector(self, stream: int, error: BaseException) -> None:
        if stream == self._stream and self._detector is not None:
            self._end_detector()
        self._failed("vad", stream, error)

    def _end_detector(self) -> None:
        detector, self._detector = self._detector, None
        try:
            if detector is not None:
                detector.close()
        except BaseException as error:
            _LOG.warning("session %s: its detector cannot be closed: %s", self.session, type(error).__name__)

    # The recogniser.

    def _listen(self, command: StartRecognition | FeedRecognition | FlushRecognition | EndRecognition) -> None:
        match command:
            case StartRecognition(utterance):
                chunks: Mailbox[bytes] = Mailbox()
                self._utterances[utterance] = chunks, self._start(self._recognising, command, chunks)
            case FeedRecognition(utterance, start, end):
                self._utterances[utterance][0].put(self._audio.slice(start, end))
            case FlushRecognition(utterance):
                self._utterances[utterance][0].put(b"")
                self._end_recognition(utterance)
                moved = partial(self._inbox.put, RecogniserProgressed(utterance))
                self._flushed[utterance] = self._recognitions.begin(self.session, moved)
            case EndRecognition(utterance):
                self._end_recognition(utterance)
                chunks, scope = self._utterances.pop(utterance)
                chunks.close()
                scope.cancel()

    async def _recognising(self, command: StartRecognition, chunks: AsyncIterator[bytes]) -> None:
        try:
            hear = partial(
                self._engines.stt.transcribe,
                languages=command.languages,
                phrases=command.phrases,
                words=command.words,
            )
            heard = transcribe_with_prosody(hear, chunks) if command.prosody else hear(chunks)
            async with closing_iterator(heard):
                async for given in heard:
                    transcript = output_checks.check_transcript(given)
                    if transcript.final:
                        self._end_recognition(command.utterance)
                    self._inbox.put(Transcribed(command.utterance, transcript))
                    await self._inbox.taken(self._inbox.items, PIECES)
        except BaseException as error:
            self._failed("stt", command.utterance, error)

    def _end_recognition(self, utterance: int) -> None:
        if utterance in self._flushed:
            self._recognitions.end(self._flushed.pop(utterance))

    # Judgements.

    def _weigh(self, command: JudgeTurn | JudgeAddressee | JudgeScene | CancelSceneJudgement) -> None:
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
            case CancelSceneJudgement():
                self._watching.cancel()

    async def _judge(self, asked: JudgeTurn) -> None:
        assert self._engines.turn is not None
        try:
            found = await self._engines.turn.finished(self._audio.slice(asked.start, asked.end))
            finished = output_checks.check_probability(found, "how likely the turn is over")
        except BaseException as error:  # silence alone will tell
            self._failed("turn", asked.utterance, error)
        else:
            self._inbox.put(TurnJudged(asked.utterance, asked.end, finished))

    async def _wonder(self, asked: JudgeAddressee) -> None:
        assert self._engines.addressee is not None
        begun = anyio.current_time()
        try:
            found = await self._engines.addressee.meant(asked.request)
            meant = output_checks.check_probability(found, "how likely the model is meant")
        except BaseException as error:
            self._failed("addressee", asked.utterance, error)
        else:
            took = anyio.current_time() - begun
            _LOG.info("session %s: meant for the model: %.2f (%.0f ms)", self.session, meant, 1000 * took)
            self._inbox.put(AddresseeJudged(asked.utterance, asked.number, meant))

    async def _watch(self, asked: JudgeScene) -> None:
        assert self._engines.watcher is not None
        self._scenes = self._scenes or Scenes(self._engines.watcher, self.session)
        try:
            likely = output_checks.check_probability(
                await self._scenes.notices(asked.request), "how likely a frame is of note"
            )
        except BaseException as error:
            self._failed("scene", asked.number, error)
        else:
            self._inbox.put(SceneJudged(asked.number, likely))

    # Replies, and the tools that they call.

    async def _prefilling(self, request: Request) -> None:
        try:
            await self._engines.responder.prefill(request)
        except BaseException as error:  # a preparation: the reply itself will tell
            if isinstance(error, CancelledError) and output_checks.is_cancelled():
                raise
            _LOG.warning("session %s: prefill failed: %s", self.session, type(error).__name__)

    async def _responding(self, turn: int, request: Request, hold: Hold | None) -> None:
        flow = Flow(self._inbox, self._outbox, hold, ahead=self._bounds.ahead, held=self._bounds.unsent)

        def moved() -> None:
            self._inbox.put_behind(OutputProduced(turn, Progress()))

        async def emit(output: Output) -> None:
            output = output_checks.check_output(output)
            self._waits.progressed(wait)
            if _is_perceived(output, spoken=request.voice is not None):
                self._waits.produced(wait)
            self._inbox.put_behind(OutputProduced(turn, output))
            await flow.passed(output)

        enter_hold(hold)
        wait = self._waits.begin(self.session, moved)
        try:
            await self._engines.responder.reply(request, emit)
        except MalformedCallError as error:
            self._failed("call", turn, error)
        except BaseException as error:
            self._failed("reply", turn, error)
        else:
            self._inbox.put_behind(ReplyFinished(turn))
        finally:
            self._waits.end(wait)
            self._replies.pop(turn, None)

    async def _running(self, name: str, call: FunctionCall) -> None:
        tool = self._engines.tools.get(name)
        try:
            if tool is None:  # the session was resumed on a server that is configured otherwise
                result = ToolResult({"error": f"There is no {name} here."}, outcome="failed")
            else:
                result = output_checks.check_tool_result(await tool.run(call.args))
                _LOG.info("session %s: the tool %s came to %s", self.session, name, result.outcome)
        except BaseException as error:
            if isinstance(error, CancelledError) and output_checks.is_cancelled():
                raise
            _LOG.error("session %s: the tool %s failed", self.session, name, exc_info=error)
            result = ToolResult({"error": f"{name} failed: {output_checks.error_text(error)[:1000]}"}, outcome="failed")
        finally:
            self._runs.pop(call.id, None)
        self._inbox.put(ToolFinished(call.id, result))


def _is_perceived(output: Output, *, spoken: bool) -> bool:
    """The client gets it. The script of a spoken reply is no answer yet: the voice may have a queue of its own."""
    return isinstance(output, Speech | FunctionCall) or not (spoken or isinstance(output, Progress | Usage))
