"""Function calls, until they are answered or cancelled: the client's functions, and the tools of the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, json
from msgspec.structs import replace

from openlive.core.commands import CallMark, CallStep, Command, RunTool, Send, StopTool
from openlive.core.memory import tokens
from openlive.core.memory.history import ContextWindow, ImagePolicy, count_image_bytes, message_weight, parse_image
from openlive.core.memory.snapshot import ToolFindings
from openlive.core.replying.pending_call import PendingCall
from openlive.core.setup.limits import SessionLimits
from openlive.types import (
    FunctionCall,
    FunctionDeclaration,
    FunctionResponse,
    Image,
    Message,
    Part,
    ToolResult,
)
from openlive.wire import content as wire
from openlive.wire.content import FunctionResponseScheduling as Scheduling
from openlive.wire.content import Outcome
from openlive.wire.errors import ProtocolError
from openlive.wire.server import ServerContent, ServerMessage, ToolCall, ToolCallCancellation

LONG_CALL_SECONDS = 30.0
"""Seconds after which a call that is not answered is announced to the operator."""
MAX_PENDING_CALLS = 128
"""Calls of a session that may wait for their answers. Agents ask for a handful at once."""
MAX_MESSAGE_CHARACTERS = 32_768
"""Characters of calls in one message, about: in escapes they fit in a frame."""
MAX_FINDINGS = 100
"""Of what the tools of a turn brought, queries, sources and pages that are told."""
TOO_LONG = {"error": "The result is too long to be read. Ask for less of it."}
STARTED = {"status": "The call is running; its result will follow. Go on without it."}
CANCELLED = {"error": "The call was cancelled: the user interrupted."}
UNANSWERED = {"error": "The call got no answer in time."}
_NOTHING = ToolFindings()
OUTCOMES = {
    "ok": Outcome.OUTCOME_OK,
    "failed": Outcome.OUTCOME_FAILED,
    "deadline": Outcome.OUTCOME_DEADLINE_EXCEEDED,
}


class NonBlockingResult(Struct, frozen=True):
    """The result of a call that the conversation did not wait for."""

    message: Message
    scheduling: Scheduling


class FunctionCalls:
    """What is to be done is appended to `out`. Of `limits` count the seconds that the client and a tool may take, and
    the bytes of images. `window`: what results may come to."""

    def __init__(
        self,
        out: list[Command],
        limits: SessionLimits,
        window: ContextWindow,
        *,
        number: int = 0,
        pending: Iterable[PendingCall] = (),
        results: Iterable[Part] = (),
        found: ToolFindings = _NOTHING,
    ) -> None:
        self.number = number
        """Calls made so far: ids are given by it."""
        self.results = list(results)
        """Of calls that the model waits for, those that have come in."""
        self.findings = found
        """What the tools brought in the present turn."""
        self._out = out
        self._call_timeout = limits.call
        self._tool_timeout = limits.tool
        self._image_bytes_limit = limits.images
        self._window = window
        self._pending = {p.call.id: p for p in pending}
        self._unsent: list[PendingCall] = []

    @property
    def pending_calls(self) -> tuple[PendingCall, ...]:
        """Those that have been asked for."""
        return tuple(p for p in self._pending.values() if p not in self._unsent)

    @property
    def is_full(self) -> bool:
        """No more can be asked for before some are answered."""
        return len(self._pending) >= MAX_PENDING_CALLS

    @property
    def has_blocking_call(self) -> bool:
        """The model waits for a result."""
        return any(p.blocking for p in self._pending.values())

    @property
    def waits_for_client(self) -> bool:
        return any(p.blocking and not p.tool for p in self._pending.values())

    # Asking.

    def add(self, call: FunctionCall, declared: FunctionDeclaration, turn: int, now: float) -> FunctionCall:
        """Notes a call; gives it an id of its own where the engine gave none or one that is in use."""
        self.number += 1
        if not call.id or call.id in self._pending:
            call = replace(call, id=f"function-call-{self.number}")
        pending = PendingCall(call, declared.blocking, turn, now, declared.tool)
        self._pending[call.id] = pending
        self._unsent.append(pending)
        return call

    def report_refused(self, call: FunctionCall) -> None:
        """Tells that it is not asked, because no more can be."""
        self._out.append(CallMark(call.id, call.name, "refused", 0.0))

    def is_unsent(self, call: FunctionCall) -> bool:
        return any(p.call is call for p in self._unsent)

    def drop_unsent(self) -> None:
        """What was never sent is not asked for after all."""
        for pending in self._unsent:
            del self._pending[pending.call.id]
        self._unsent.clear()

    def send_unsent(self, now: float) -> bool:
        """Asks for what was added: the client in one message, or some where they are large, the tools one by one. Tells
        whether there was any."""
        unsent, self._unsent = self._unsent, []
        calls = [p.call for p in unsent if not p.tool]
        while calls:
            count, size = 0, 0
            while count < len(calls) and (not count or size < MAX_MESSAGE_CHARACTERS):
                size += tokens.CHARACTERS * tokens.of_call(calls[count]) + len(calls[count].id)
                count += 1
            asked = tuple(wire.FunctionCall(id=c.id, name=c.name, args=c.args) for c in calls[:count])
            self._out.append(Send(ServerMessage(tool_call=ToolCall(function_calls=asked))))
            del calls[:count]
        for pending in unsent:
            if pending.tool in _SHOWN:
                code = wire.ExecutableCode(
                    language=wire.Language.PYTHON, code=_render_code(pending), id=pending.call.id
                )
                self._out.append(_content_message(wire.Part(executable_code=code)))
            if pending.tool:
                self._out.append(RunTool(pending.tool, pending.call))
            self._mark_call(pending, "asked", now)
        return bool(unsent)

    def rerun_tools(self) -> None:
        """Starts the tools that were running when the connection was lost."""
        self._out += [RunTool(p.tool, p.call) for p in self._pending.values() if p.tool]

    # Answers.

    def select_awaited(self, responses: Sequence[wire.FunctionResponse]) -> list[wire.FunctionResponse]:
        """Those of `responses` that answer a pending call."""
        waiting = [p.call for p in self.pending_calls if not p.tool] if responses else []
        ids, names = {call.id for call in waiting}, {call.name for call in waiting}
        return [r for r in responses if (r.id in ids if r.id else r.name in names)]

    def take_responses(
        self, responses: Sequence[wire.FunctionResponse], pictures: ImagePolicy, now: float, path: str
    ) -> list[NonBlockingResult]:
        """Matches the client's answers by id, or by name where they have none (Vertex leaves it out,
        docs/protocol.md#vertex).

        Answers to calls that are not pending (cancelled, answered before) are dropped. Raises `ProtocolError` for an
        answer that names no call at all, or holds media that is no image.
        """
        beside = []
        for i, response in enumerate(responses):
            where = f"{path}[{i}]"
            pending = self._find_call(response, where)
            if pending is None:
                continue
            result = FunctionResponse(pending.call.id, pending.call.name, response.response or {})
            parts: tuple[Part, ...] = (result, *_parse_images(response, where, pictures))
            self._check_room(parts, where)
            if pending.blocking:
                self.results += parts
            else:
                beside.append(
                    NonBlockingResult(Message("user", parts), response.effective_scheduling or Scheduling.WHEN_IDLE)
                )
            if pending.blocking or not response.will_continue:
                self._remove_call(pending, "answered", now)
        return beside

    def _check_room(self, parts: tuple[Part, ...], path: str) -> None:
        """What has come in and `parts` have to fit in the window. Raises `ProtocolError`."""
        both, limit = (*self.results, *parts), self._window.limit
        count, size = message_weight(Message("user", both)), count_image_bytes(both)
        if count > limit:
            where = f"{path}.response"
            raise ProtocolError(f"Invalid value at '{where}': {count} tokens of results, the window holds {limit}.")
        if size > self._image_bytes_limit:
            raise ProtocolError(
                f"Invalid value at '{path}.parts': images of {size} bytes; {self._image_bytes_limit} may be."
            )

    def take_tool_result(self, identity: str, result: ToolResult, now: float) -> None:
        """A tool is done. The client is shown what it did."""
        pending = self._pending.get(identity)
        if pending is None:
            return
        self._remove_call(pending, "answered", now)
        if pending.tool in _SHOWN:
            shown = wire.CodeExecutionResult(outcome=OUTCOMES[result.outcome], output=result.output, id=identity)
            self._out.append(_content_message(wire.Part(code_execution_result=shown)))
        answer = FunctionResponse(identity, pending.call.name, result.response)
        if message_weight(Message("user", (*self.results, answer))) > self._window.limit // 4:
            answer = FunctionResponse(identity, pending.call.name, TOO_LONG)
        self.results.append(answer)
        found = self.findings
        self.findings = ToolFindings(
            (*found.queries, *result.queries)[:MAX_FINDINGS],
            (*found.sources, *result.sources)[:MAX_FINDINGS],
            (*found.pages, *result.pages)[:MAX_FINDINGS],
        )

    def build_results_message(self, turn: int) -> Message | None:
        """What the model does not know of its calls in `turn`: results, and which ones run on."""
        running = [p.call for p in self.pending_calls if p.turn == turn and not p.blocking and not p.told]
        parts = (*self.results, *(FunctionResponse(call.id, call.name, STARTED) for call in running))
        return Message("user", parts) if parts else None

    def take_results_message(self, turn: int) -> Message | None:
        """The same, told; None while the model waits for a result."""
        if self.has_blocking_call:
            return None
        message = self.build_results_message(turn)
        self.results.clear()
        self._pending = {k: replace(p, told=p.told or p.turn == turn) for k, p in self._pending.items()}
        return message

    def _find_call(self, response: wire.FunctionResponse, path: str) -> PendingCall | None:
        """The client has no say in the server's tools."""
        if not response.id and not response.name:
            raise ProtocolError(f"Invalid value at '{path}.id': a function response needs the id of its call.")
        waiting = (p for p in self.pending_calls if not p.tool)
        if response.id:
            return next((p for p in waiting if p.call.id == response.id), None)
        return next((p for p in waiting if p.call.name == response.name), None)

    # Ends without an answer.

    def cancel_calls(self, turn: int, now: float, *, blocking: bool = False) -> Message | None:
        """What that turn is still waiting for is over, or only what holds up the conversation; the client is told of
        its own calls. What the model is to know of all this is returned."""
        cancelled = [p for p in self.pending_calls if p.turn == turn and (p.blocking or not blocking)]
        ids = tuple(p.call.id for p in cancelled if not p.tool)
        if ids:
            self._out.append(Send(ServerMessage(tool_call_cancellation=ToolCallCancellation(ids=ids))))
        for pending in cancelled:
            self.results.append(FunctionResponse(pending.call.id, pending.call.name, CANCELLED))
            self._remove_call(pending, "cancelled", now)
        message = Message("user", tuple(self.results))
        self.results.clear()
        return message if message.parts else None

    @property
    def deadline(self) -> float | None:
        if not self._pending:
            return None
        times = [end for p in self.pending_calls if (end := self._times_out_at(p)) is not None]
        times += [p.asked_at + LONG_CALL_SECONDS for p in self.pending_calls if not p.announced]
        return min(times, default=None)

    def expire_calls(self, now: float) -> list[NonBlockingResult]:
        """Answers the calls whose time is over with that; those that take long are announced."""
        beside = []
        for pending in self.pending_calls:
            ends_at = self._times_out_at(pending)
            if ends_at is not None and now >= ends_at:
                self._remove_call(pending, "unanswered", now)
                response = FunctionResponse(pending.call.id, pending.call.name, UNANSWERED)
                if pending.blocking:
                    self.results.append(response)
                else:
                    beside.append(NonBlockingResult(Message("user", (response,)), Scheduling.WHEN_IDLE))
            elif now >= pending.asked_at + LONG_CALL_SECONDS and not pending.announced:
                self._pending[pending.call.id] = replace(pending, announced=True)
                self._mark_call(pending, "waiting", now)
        return beside

    def _times_out_at(self, pending: PendingCall) -> float | None:
        patience = self._tool_timeout if pending.tool else self._call_timeout
        return pending.asked_at + patience if patience else None

    def _remove_call(self, pending: PendingCall, step: CallStep, now: float) -> None:
        del self._pending[pending.call.id]
        if pending.tool and step != "answered":
            self._out.append(StopTool(pending.call.id))
        self._mark_call(pending, step, now)

    def _mark_call(self, pending: PendingCall, step: CallStep, now: float) -> None:
        self._out.append(CallMark(pending.call.id, pending.call.name, step, now - pending.asked_at))


_SHOWN = ("code_execution", "google_search")
"""Tools whose work the client is shown as code and its result (docs/protocol.md#recorded-turns, T10)."""


def _render_code(pending: PendingCall) -> str:
    args = pending.call.args
    if pending.tool == "code_execution":
        return str(args.get("code", ""))
    return f"print({pending.tool}.search({', '.join(f'{name}={_to_literal(value)}' for name, value in args.items())}))"


def _to_literal(value: Any) -> str:
    return json.encode(value).decode()


def _content_message(part: wire.Part) -> Send:
    return Send(ServerMessage(server_content=ServerContent(model_turn=wire.Content(role="model", parts=(part,)))))


def _parse_images(response: wire.FunctionResponse, path: str, pictures: ImagePolicy) -> tuple[Image, ...]:
    """Media of a result. Raises `ProtocolError` for what is no image."""
    found = []
    for i, part in enumerate(response.parts):
        if part.file_data is not None:
            where = f"{path}.parts[{i}].file_data"
            raise ProtocolError(f"Invalid value at '{where}': files are not served here; send inline_data instead.")
        if part.inline_data is not None:
            blob = wire.Blob(mime_type=part.inline_data.mime_type, data=part.inline_data.data)
            found.append(parse_image(blob, f"{path}.parts[{i}].inline_data", pictures))
    return tuple(found)
