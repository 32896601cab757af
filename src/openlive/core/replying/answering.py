"""The model's side of a conversation: its replies, the functions that it calls, and how its turns end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openlive.core import messages
from openlive.core.commands import Command, Enough, Overdue, Respond, Send, Step, Stop
from openlive.core.lifetime import earliest
from openlive.core.memory import tokens
from openlive.core.memory.context import Context
from openlive.core.memory.history import History
from openlive.core.memory.snapshot import Found
from openlive.core.replying.function_calls import Beside, Calls
from openlive.core.replying.reply import Reply, Shown
from openlive.core.replying.speculation import Guesses
from openlive.core.setup.limits import Limits
from openlive.core.setup.settings import Settings
from openlive.types import (
    FunctionCall,
    Message,
    Output,
    Part,
    Progress,
    Request,
    Text,
    ToolResult,
    Usage,
)
from openlive.wire import content as wire
from openlive.wire import errors
from openlive.wire.content import FunctionResponseScheduling as Scheduling
from openlive.wire.server import ServerContent, ServerMessage, TurnCompleteReason

ASKED = 1.0
"""Seconds before the end of a question from which on it is answered: people do not wait for its last syllable, and they
hear it later than it is sent."""
RESPONSES = "tool_response.function_responses"


class Answering:
    """`now` is set before each call. Commands gather in `out`; `rested` tells that a turn has come to its end."""

    def __init__(self, settings: Settings, conversation: str, limits: Limits) -> None:
        self.now = 0.0
        self.out: list[Command] = []
        self._context = Context(settings, conversation, limits.images)
        self._unsaid = self._context.unsaid
        self._calls = Calls(self.out, limits, settings.window)
        self.loading = settings.loads_history
        """The client sends the history of an earlier conversation: nothing is answered yet."""
        self.rested = False
        self.speaking = False
        """The user has the floor."""
        self._limits = limits
        self._guesses = Guesses(limits.waste)
        self._turn = 0
        self._reply: Reply | None = None
        self._asking: Reply | None = None
        """The part of the present turn that ended with function calls, until the turn goes on."""
        self._first = 0
        """The number of the first part of the present turn."""
        self._unanswered: TurnCompleteReason | None = None
        self._streaming = False
        """An interpreter's turn goes on from sentence to sentence, as long as the microphone is on (decision 29)."""
        self._unended = False
        """Sentences of it were translated."""

    @property
    def settings(self) -> Settings:
        return self._context.settings

    @property
    def history(self) -> History:
        return self._context.history

    # The reply.

    def _respond(self, *, goes_on: bool = False) -> Reply:
        """Answers the history. Where the turn goes on after a call, what it spent so far is carried along."""
        self._context.slide()
        return self._begin(self._context.so_far(), held=False, goes_on=goes_on)

    def _begin(self, request: Request, *, held: bool, goes_on: bool = False) -> Reply:
        if not request.messages:
            raise errors.NO_TURN.error()
        self._turn += 1
        spent = self._asking.spent() if goes_on and self._asking is not None else None
        if spent is None:
            self._first = self._turn
        self._asking = None
        shown, limit = _shown(self.settings), self.settings.output_tokens
        self._reply = Reply(self._turn, request, shown, held=held, now=self.now, limit=limit, spent=spent)
        self.out.append(Respond(self._turn, request, held))
        return self._reply

    def _mark(self, reply: Reply, steps: Mapping[Step, float]) -> None:
        for step, at in steps.items():
            self.out += reply.mark(step, at)

    @property
    def answering(self) -> bool:
        """There is something for `interrupt` to end: an answer, or a call that it waits for."""
        return (self._reply is not None and not self._reply.held) or self._asking is not None or self._blocked

    @property
    def unheard(self) -> bool:
        """An answer is under way of which nobody has heard (or read) a word."""
        return self._reply is not None and not self._reply.held and not self._reply.heard(self.now).strip()

    @property
    def asks(self) -> bool:
        """The answer under way ends with a question, of which at most the last words are still to be heard."""
        reply = self._reply
        return reply is not None and reply.asks and reply.plays_until - self.now <= ASKED

    def works_on(self, turn: int) -> bool:
        """Whether a responder's output for `turn` is still wanted."""
        return self._reply is not None and self._reply.turn == turn and not self._reply.generated

    def produced(self, output: Output) -> None:
        reply = self._reply
        assert reply is not None
        self.out += reply.note(output, self.now)
        kept = None if isinstance(output, Progress) else reply.take(output)
        if kept is not None and reply.held:
            reply.hold(kept)
        elif kept is not None:
            self._send(reply, kept)
        if reply.exceeded and not reply.generated:  # the turn ends as if that had been all
            self.out.append(Enough(reply.turn))
            self.finished()

    def finished(self) -> None:
        reply = self._reply
        assert reply is not None
        reply.generated, reply.progress_at = True, self.now
        if not reply.held:
            self._generated(reply)
            self.settle()

    def failed(self, reason: TurnCompleteReason = TurnCompleteReason.RESPONSE_REJECTED) -> None:
        """A held reply is simply not there: the turn is answered anew once it is decided."""
        reply = self._reply
        assert reply is not None
        if reply.held:
            self.drop_held()
            return
        self.out.append(Stop(reply.turn))
        self._ask()
        if reply.calls:
            self.history.add(as_said(reply.text, reply.calls))
        self.out += reply.end_transcript()
        reply.fail(reason)
        self.settle()

    def _release(self, reply: Reply) -> None:
        waiting, steps = reply.release()
        self.out += [*steps, reply.prepared(self.now, used=True)]
        for output in waiting:
            if reply.reason is None:
                self._send(reply, output)
        if reply.generated and reply.reason is None:
            self._generated(reply)
        self.settle()

    def _send(self, reply: Reply, output: Output) -> None:
        if isinstance(output, FunctionCall):
            declared = next((f for f in reply.request.functions if f.name == output.name), None)
            if declared is None or self._calls.full:
                if declared is not None:
                    self._calls.refuse(output)
                self.failed(TurnCompleteReason.MALFORMED_FUNCTION_CALL)
            else:
                reply.calls.append(self._calls.add(output, declared, self._first, self.now))
            return
        if isinstance(output, Usage):
            reply.usage = output
            return
        self._ask()
        self.out += reply.send(output, self.now)

    def _ask(self) -> None:
        """Asks for the calls that were made."""
        self.rested = self._calls.ask(self.now) or self.rested

    def _generated(self, reply: Reply) -> None:
        """The responder is done. With calls the turn is not over, unless the profile ends it there."""
        self._ask()
        if reply.usage is not None:
            self.history.measured(reply.usage.prompt + reply.usage.completion, reply.request)
        if not reply.calls:
            self.out += messages.found(self._calls.found)
            self._calls.found = Found()
            self.out += reply.generation_complete()
            return
        self.history.add(as_said(reply.text, reply.calls))
        if self.settings.profile.turn_complete_after_call and not all(map(self._is_tool, reply.calls)):
            self.out += reply.generation_complete()
            return
        self._reply, self._asking = None, reply
        if not self._blocked:
            self.history.add(self._calls.outcome(self._first))
            self._respond(goes_on=True)

    # Function calls.

    @property
    def _blocked(self) -> bool:
        """The model waits for a function's result."""
        return self._calls.blocking

    def _is_tool(self, call: FunctionCall) -> bool:
        return any(f.tool for f in self.settings.functions if f.name == call.name)

    def respond(self, responses: Sequence[wire.FunctionResponse], path: str = RESPONSES) -> None:
        """The client's results, `path` is where they stood. Raises `ProtocolError`."""
        self._answered(self._calls.answer(responses, self.settings.pictures, self.now, path))

    def awaited(self, responses: Sequence[wire.FunctionResponse]) -> list[wire.FunctionResponse]:
        """Those of `responses` that answer a pending call."""
        return self._calls.awaited(responses)

    def ran(self, call: str, result: ToolResult) -> None:
        """A tool of the server's is done."""
        self._calls.ran(call, result, self.now)
        self._answered(())

    def _answered(self, beside: Sequence[Beside]) -> None:
        for answer in beside:
            self._answered_beside(answer)
        if self._reply is None:
            outcome = self._calls.outcome(self._first)
            if outcome is not None:
                self.history.add(outcome)
                self._respond(goes_on=True)
        self.settle()

    def _answered_beside(self, answer: Beside) -> None:
        """The result of a call that did not hold up the conversation (docs/protocol.md#function-calling)."""
        if answer.scheduling is Scheduling.INTERRUPT:
            self.interrupt(keep_calls=True)
            self.history.add(answer.message)
            self._respond()
        else:
            self._unsaid.wait(answer.message, answered=answer.scheduling is not Scheduling.SILENT)

    # Ends of turns.

    def settle(self) -> None:
        """Ends a turn whose playback is over, and goes on with what waited for that."""
        reply = self._reply
        if reply is not None:
            if reply.held or not reply.generated or self.now < reply.plays_until:
                return
            self._unended = self._streaming
            self.out.append(reply.usage_alone() if self._streaming else reply.complete())
            self.rested = True
            self._reply, unanswered, self._unanswered = None, self._unanswered, None
            if unanswered is not None:
                self.end_without_reply(unanswered)
            if not reply.calls:
                self.history.add(as_said(reply.text, ()))
            outcome = self._calls.outcome(self._first)
            if outcome is not None:
                self._unsaid.wait(outcome, answered=True, first=True)
        if not self._blocked and not self.speaking and self._context.take_waiting():
            self._respond(goes_on=True)
        elif self._unended and not self._streaming and not self.speaking:
            self._unended = False
            self._end(None)

    def interrupt(self, *, keep_calls: bool = False) -> None:
        """Ends the present turn, if there is one: what nobody has seen yet is dropped without a word.

        `interrupted` is alone in its message, then come the cancelled calls, then the end of the turn
        (docs/protocol.md#the-end-of-a-transcript, #recorded-turns).
        """
        self.drop_held()
        reply = self._reply or self._asking
        if reply is None:
            if self._blocked and not keep_calls:  # a turn that ended with its calls
                self.history.add(self._calls.cancel(self._first, self.now, blocking=True))
            return
        self.out += reply.end_transcript()
        if self._reply is not None and reply.reason is None:
            self.out.append(Stop(reply.turn))
        self.out.append(Send(ServerMessage(server_content=ServerContent(interrupted=True))))
        if self._reply is not None:
            self.history.add(self._cut(reply))
        self._calls.drop_unsent()
        if not keep_calls:
            self.history.add(self._calls.cancel(self._first, self.now))
        self.out.append(reply.complete())
        self._reply = self._asking = self._unanswered = None
        self._calls.found = Found()
        self.rested = True

    def _cut(self, reply: Reply) -> Message | None:
        """What is remembered of an answer that ends here: the words that were heard, the calls that were sent."""
        if reply.generated and reply.calls:
            return None  # it is in the history already
        text = reply.text if self.settings.profile.history == "sent" else reply.heard(self.now)
        return as_said(text, self._sent_calls(reply))

    def _sent_calls(self, reply: Reply) -> list[FunctionCall]:
        return [call for call in reply.calls if not self._calls.unsent(call)]

    def end_without_reply(self, reason: TurnCompleteReason) -> None:
        """The user's turn ends in nothing that could be answered; a client that waits is told so, where an answer may
        not be interrupted after that one."""
        if self._reply is not None or self._asking is not None:
            self._unanswered = None if self.settings.interruptible else reason
            return
        self._end(reason)

    def _end(self, reason: TurnCompleteReason | None) -> None:
        content = ServerContent(turn_complete=True, turn_complete_reason=reason)
        usage = tokens.usage(tokens.of_request(self._context.so_far()), {})
        self.out.append(Send(ServerMessage(server_content=content, usage_metadata=usage)))

    def stop(self) -> None:
        """The session is over."""
        if self._reply is not None:
            self.out.append(Stop(self._reply.turn))
            self._reply = None

    def drop_held(self) -> None:
        if self._reply is not None and self._reply.held:
            self._guesses.dropped()
            self.out += [Stop(self._reply.turn), self._reply.prepared(self.now, used=False)]
            self._reply = None

    # Time.

    @property
    def deadline(self) -> float | None:
        answered = None
        if self._reply is not None and not self._reply.generated:
            answered = self._overdue_at(self._reply)
        elif self._reply is not None and not self._reply.held:
            answered = self._reply.plays_until
        return earliest(self._calls.deadline, answered)

    def _overdue_at(self, reply: Reply) -> float:
        """While its audio is far ahead of the playback, the responder is made to wait."""
        return max(reply.progress_at, reply.plays_until - self._limits.ahead) + self._limits.reply

    def expire(self) -> None:
        reply = self._reply
        if reply is not None and not reply.generated and self.now >= self._overdue_at(reply):
            self.out.append(Overdue(reply.turn, self._limits.reply))
            self.failed()
        self._answered(self._calls.expire(self.now))


def as_said(text: str, calls: Sequence[FunctionCall]) -> Message:
    parts: list[Part] = [Text(text)] if text.strip() else []
    return Message("model", (*parts, *calls))


def _shown(settings: Settings) -> Shown:
    return Shown(
        transcript=settings.transcribe_output,
        end=settings.profile.transcript_end != "never",
        words=settings.output_words,
        language=settings.translation.language if settings.translation else None,
        thoughts=settings.thoughts,
    )
