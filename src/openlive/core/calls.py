"""Function calls that the client was asked to make, until they are answered or cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from openlive.core.history import image
from openlive.types import FunctionCall, FunctionDeclaration, FunctionResponse, Image
from openlive.wire import content as wire
from openlive.wire.content import FunctionResponseScheduling as Scheduling
from openlive.wire.errors import ProtocolError


class Pending(Struct, frozen=True):
    """A call under way, made in the turn `turn`. `asked_at` is the session's clock."""

    call: FunctionCall
    blocking: bool
    turn: int
    asked_at: float


class Answer(Struct, frozen=True):
    """What the client says a call came to. `last`: nothing more will follow."""

    parts: tuple[FunctionResponse | Image, ...]
    """The result, and images that came with it."""
    blocking: bool
    scheduling: Scheduling
    last: bool


class Calls:
    def __init__(self, number: int = 0, pending: Iterable[Pending] = ()) -> None:
        self.number = number
        """Calls made so far: ids are given by it."""
        self._pending = {p.call.id: p for p in pending}

    @property
    def pending(self) -> tuple[Pending, ...]:
        return tuple(self._pending.values())

    @property
    def blocking(self) -> bool:
        """The model waits for an answer."""
        return any(p.blocking for p in self._pending.values())

    def ask(self, call: FunctionCall, functions: Sequence[FunctionDeclaration], turn: int, now: float) -> FunctionCall:
        """Notes a call; gives it an id of its own where the engine gave none or one that is in use."""
        self.number += 1
        if not call.id or call.id in self._pending:
            call = replace(call, id=f"function-call-{self.number}")
        blocking = next((f.blocking for f in functions if f.name == call.name), True)
        self._pending[call.id] = Pending(call, blocking, turn, now)
        return call

    def answer(self, responses: Sequence[wire.FunctionResponse], image_tokens: int) -> list[Answer]:
        """Matches answers by id, or by name where they have none (Vertex leaves it out, protocol.md 2.3).

        Answers to calls that are not pending (cancelled, answered before) are dropped. Raises `ProtocolError` for an
        answer that names no call at all.
        """
        answers = []
        for i, response in enumerate(responses):
            pending = self._find(response, f"tool_response.function_responses[{i}]")
            if pending is None:
                continue
            last = not (response.will_continue and not pending.blocking)
            if last:
                del self._pending[pending.call.id]
            result = FunctionResponse(pending.call.id, pending.call.name, response.response or {})
            media = _images(response, f"tool_response.function_responses[{i}]", image_tokens)
            scheduling = response.effective_scheduling or Scheduling.WHEN_IDLE
            if scheduling is Scheduling.SCHEDULING_UNSPECIFIED:
                scheduling = Scheduling.WHEN_IDLE
            answers.append(Answer((result, *media), pending.blocking, scheduling, last))
        return answers

    def _find(self, response: wire.FunctionResponse, path: str) -> Pending | None:
        if response.id:
            return self._pending.get(response.id)
        if not response.name:
            raise ProtocolError(f"Invalid value at '{path}.id': a function response needs the id of its call.")
        return next((p for p in self._pending.values() if p.call.name == response.name), None)

    def drop(self, calls: Iterable[FunctionCall]) -> None:
        """What was never sent is not asked for after all."""
        for call in calls:
            del self._pending[call.id]

    def cancel(self, turn: int) -> list[FunctionCall]:
        """What that turn is still waiting for is over."""
        cancelled = [p.call for p in self._pending.values() if p.turn == turn]
        for call in cancelled:
            del self._pending[call.id]
        return cancelled

    def overdue(self, before: float) -> list[Pending]:
        """Takes out the calls asked at or before `before`."""
        late = [p for p in self._pending.values() if p.asked_at <= before]
        for pending in late:
            del self._pending[pending.call.id]
        return late


def _images(response: wire.FunctionResponse, path: str, price: int) -> tuple[Image, ...]:
    """Media of a result. Raises `ProtocolError` for what is no image."""
    found = []
    for i, part in enumerate(response.parts):
        if part.file_data is not None:
            where = f"{path}.parts[{i}].file_data"
            raise ProtocolError(f"Invalid value at '{where}': files are not served here; send inline_data instead.")
        if part.inline_data is not None:
            blob = wire.Blob(mime_type=part.inline_data.mime_type, data=part.inline_data.data)
            found.append(image(blob, f"{path}.parts[{i}].inline_data", price))
    return tuple(found)
