"""The model's side of a conversation: its replies, the functions that it calls, and how its turns end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from openlive.core import messages
from openlive.core.commands import CancelReply, Command, EndGeneration, ReplyOverdue, Send, StartReply, Step
from openlive.core.lifetime import earliest_time
from openlive.core.memory import tokens
from openlive.core.memory.context import Context
from openlive.core.memory.history import History
from openlive.core.memory.snapshot import ToolFindings
from openlive.core.replying.function_calls import FunctionCalls, NonBlockingResult
from openlive.core.replying.reply import Reply, ReplyExtras
from openlive.core.replying.speculation import SpeculationPolicy
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.settings import SessionSettings
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

QUESTION_TAIL = 1.0
"""Seconds before the end of a question from which on it is answered: people do not wait for its last syllable, and they
hear it later than it is sent."""
RESPONSES = "tool_response.function_responses"


class Answering:
    """`now` is set before each call. Commands gather in `out`; `turn_ended` tells that a turn has come to its end."""

    def __init__(self, settings: SessionSettings, conversation: str, limits: SessionLimits) -> None:
        self.now = 0.0
        self.out: list[Command] = []
        self._context = Context(settings, conversation, limits.images)
        self._pending_turn = self._context.pending_turn
        self._calls = FunctionCalls(self.out, limits, settings.window)
        self.loading_history = settings.loads_history
        """The client sends the history of an earlier conversation: nothing is answered yet."""
        self.turn_ended = False
        self.user_speaking = False
        """The user has the floor."""
        self._limits = limits
        self._speculation = SpeculationPolicy(limits.waste)
        self._turn = 0
        self._reply: Reply | None = None
        self._suspended_reply: Reply | None = None
        """The part of the present turn that ended with function calls, until the turn goes on."""
        self._first_part = 0
        """The number of the first part of the present turn."""
        self._deferred_end_reason: TurnCompleteReason | None = None
        self._is_interpreting = False
        """An interpreter's turn goes on from sentence to sentence, as long as the microphone is on (decision 29)."""
        self._has_open_translation = False
        """Sentences of it were translated."""

    @property
    def settings(self) -> SessionSettings:
        return self._context.settings

    @property
    def history(self) -> History:
        return self._context.history

    # The reply.

    def _answer_history(self, *, goes_on: bool = False) -> Reply:
        """Answers the history. Where the turn goes on after a call, what it spent so far is carried along."""
        self._context.slide_window()
        return self._begin_reply(self._context.request_so_far(), held=False, goes_on=goes_on)

    def _begin_reply(self, request: Request, *, held: bool, goes_on: bool = False) -> Reply:
        if not request.messages:
            raise errors.NO_TURN.to_error()
        self._turn += 1
        spent = self._suspended_reply.output_so_far() if goes_on and self._suspended_reply is not None else None
        if spent is None:
            self._first_part = self._turn
        self._suspended_reply = None
        shown, limit = _build_reply_extras(self.settings), self.settings.output_tokens
        self._reply = Reply(self._turn, request, shown, held=held, now=self.now, limit=limit, spent=spent)
        self.out.append(StartReply(self._turn, request, held))
        return self._reply

    def _mark_steps(self, reply: Reply, steps: Mapping[Step, float]) -> None:
        for step, at in steps.items():
            self.out += reply.mark_step(step, at)

    @property
    def is_answering(self) -> bool:
        """There is something for `interrupt` to end: an answer, or a call that it waits for."""
        return (
            (self._reply is not None and not self._reply.held) or self._suspended_reply is not None or self._is_blocked
        )

    @property
    def is_reply_unheard(self) -> bool:
        """An answer is under way of which nobody has heard (or read) a word."""
        return self._reply is not None and not self._reply.held and not self._reply.played_text(self.now).strip()

    @property
    def ends_with_question(self) -> bool:
        """The answer under way ends with a question, of which at most the last words are still to be heard."""
        reply = self._reply
        return reply is not None and reply.ends_with_question and reply.plays_until - self.now <= QUESTION_TAIL

    def wants_output_of(self, turn: int) -> bool:
        """Whether a responder's output for `turn` is still wanted."""
        return self._reply is not None and self._reply.turn == turn and not self._reply.generated

    def take_output(self, output: Output) -> None:
        reply = self._reply
        assert reply is not None
        self.out += reply.note_progress(output, self.now)
        kept = None if isinstance(output, Progress) else reply.admit_output(output)
        if kept is not None and reply.held:
            reply.hold_output(kept)
        elif kept is not None:
            self._send_output(reply, kept)
        if reply.has_exceeded_limit and not reply.generated:  # the turn ends as if that had been all
            self.out.append(EndGeneration(reply.turn))
            self.finish_generation()

    def finish_generation(self) -> None:
        reply = self._reply
        assert reply is not None
        reply.generated, reply.progress_at = True, self.now
        if not reply.held:
            self._conclude_generation(reply)
            self.settle_turn()

    def fail_reply(self, reason: TurnCompleteReason = TurnCompleteReason.RESPONSE_REJECTED) -> None:
        """A held reply is simply not there: the turn is answered anew once it is decided."""
        reply = self._reply
        assert reply is not None
        if reply.held:
            self.drop_held_reply()
            return
        self.out.append(CancelReply(reply.turn))
        self._send_calls()
        if reply.calls:
            self.history.add(to_model_message(reply.text, reply.calls))
        self.out += reply.end_transcript()
        reply.mark_failed(reason)
        self.settle_turn()

    def _release_held_output(self, reply: Reply) -> None:
        waiting, steps = reply.release_output()
        self.out += [*steps, reply.speculation_outcome(self.now, used=True)]
        for output in waiting:
            if reply.reason is None:
                self._send_output(reply, output)
        if reply.generated and reply.reason is None:
            self._conclude_generation(reply)
        self.settle_turn()

    def _send_output(self, reply: Reply, output: Output) -> None:
        if isinstance(output, FunctionCall):
            declared = next((f for f in reply.request.functions if f.name == output.name), None)
            if declared is None or self._calls.is_full:
                if declared is not None:
                    self._calls.report_refused(output)
                self.fail_reply(TurnCompleteReason.MALFORMED_FUNCTION_CALL)
            else:
                reply.calls.append(self._calls.add(output, declared, self._first_part, self.now))
            return
        if isinstance(output, Usage):
            reply.usage = output
            return
        self._send_calls()
        self.out += reply.send_output(output, self.now)

    def _send_calls(self) -> None:
        """Asks for the calls that were made."""
        self.turn_ended = self._calls.send_unsent(self.now) or self.turn_ended

    def _conclude_generation(self, reply: Reply) -> None:
        """The responder is done. With calls the turn is not over, unless the profile ends it there."""
        self._send_calls()
        if reply.usage is not None:
            self.history.calibrate_to_engine(reply.usage.prompt + reply.usage.completion, reply.request)
        if not reply.calls:
            self.out += messages.grounding_messages(self._calls.findings)
            self._calls.findings = ToolFindings()
            self.out += reply.complete_generation()
            return
        self.history.add(to_model_message(reply.text, reply.calls))
        if self.settings.profile.turn_complete_after_call and not all(map(self._is_tool, reply.calls)):
            self.out += reply.complete_generation()
            return
        self._reply, self._suspended_reply = None, reply
        if not self._is_blocked:
            self.history.add(self._calls.take_results_message(self._first_part))
            self._answer_history(goes_on=True)

    # Function calls.

    @property
    def _is_blocked(self) -> bool:
        """The model waits for a function's result."""
        return self._calls.has_blocking_call

    def _is_tool(self, call: FunctionCall) -> bool:
        return any(f.tool for f in self.settings.functions if f.name == call.name)

    def take_function_responses(self, responses: Sequence[wire.FunctionResponse], path: str = RESPONSES) -> None:
        """The client's results, `path` is where they stood. Raises `ProtocolError`."""
        self._resume_after_results(self._calls.take_responses(responses, self.settings.pictures, self.now, path))

    def select_awaited(self, responses: Sequence[wire.FunctionResponse]) -> list[wire.FunctionResponse]:
        """Those of `responses` that answer a pending call."""
        return self._calls.select_awaited(responses)

    def take_tool_result(self, call: str, result: ToolResult) -> None:
        """A tool of the server's is done."""
        self._calls.take_tool_result(call, result, self.now)
        self._resume_after_results(())

    def _resume_after_results(self, beside: Sequence[NonBlockingResult]) -> None:
        for answer in beside:
            self._take_non_blocking_result(answer)
        if self._reply is None:
            outcome = self._calls.take_results_message(self._first_part)
            if outcome is not None:
                self.history.add(outcome)
                self._answer_history(goes_on=True)
        self.settle_turn()

    def _take_non_blocking_result(self, answer: NonBlockingResult) -> None:
        """The result of a call that did not hold up the conversation (docs/protocol.md#function-calling)."""
        if answer.scheduling is Scheduling.INTERRUPT:
            self.interrupt(keep_calls=True)
            self.history.add(answer.message)
            self._answer_history()
        else:
            self._pending_turn.queue_message(answer.message, answered=answer.scheduling is not Scheduling.SILENT)

    # Ends of turns.

    def settle_turn(self) -> None:
        """Ends a turn whose playback is over, and goes on with what waited for that."""
        reply = self._reply
        if reply is not None:
            if reply.held or not reply.generated or self.now < reply.plays_until:
                return
            self._has_open_translation = self._is_interpreting
            self.out.append(reply.build_usage_only() if self._is_interpreting else reply.build_turn_complete())
            self.turn_ended = True
            self._reply, unanswered, self._deferred_end_reason = None, self._deferred_end_reason, None
            if unanswered is not None:
                self.end_without_reply(unanswered)
            if not reply.calls:
                self.history.add(to_model_message(reply.text, ()))
            outcome = self._calls.take_results_message(self._first_part)
            if outcome is not None:
                self._pending_turn.queue_message(outcome, answered=True, first=True)
        if not self._is_blocked and not self.user_speaking and self._context.take_waiting():
            self._answer_history(goes_on=True)
        elif self._has_open_translation and not self._is_interpreting and not self.user_speaking:
            self._has_open_translation = False
            self._send_turn_complete(None)

    def interrupt(self, *, keep_calls: bool = False) -> None:
        """Ends the present turn, if there is one: what nobody has seen yet is dropped without a word.

        `interrupted` is alone in its message, then come the cancelled calls, then the end of the turn
        (docs/protocol.md#the-end-of-a-transcript, #recorded-turns).
        """
        self.drop_held_reply()
        reply = self._reply or self._suspended_reply
        if reply is None:
            if self._is_blocked and not keep_calls:  # a turn that ended with its calls
                self.history.add(self._calls.cancel_calls(self._first_part, self.now, blocking=True))
            return
        self.out += reply.end_transcript()
        if self._reply is not None and reply.reason is None:
            self.out.append(CancelReply(reply.turn))
        self.out.append(Send(ServerMessage(server_content=ServerContent(interrupted=True))))
        if self._reply is not None:
            self.history.add(self._build_interrupted_message(reply))
        self._calls.drop_unsent()
        if not keep_calls:
            self.history.add(self._calls.cancel_calls(self._first_part, self.now))
        self.out.append(reply.build_turn_complete())
        self._reply = self._suspended_reply = self._deferred_end_reason = None
        self._calls.findings = ToolFindings()
        self.turn_ended = True

    def _build_interrupted_message(self, reply: Reply) -> Message | None:
        """What is remembered of an answer that ends here: the words that were heard, the calls that were sent."""
        if reply.generated and reply.calls:
            return None  # it is in the history already
        text = reply.text if self.settings.profile.history == "sent" else reply.played_text(self.now)
        return to_model_message(text, self._sent_calls(reply))

    def _sent_calls(self, reply: Reply) -> list[FunctionCall]:
        return [call for call in reply.calls if not self._calls.is_unsent(call)]

    def end_without_reply(self, reason: TurnCompleteReason) -> None:
        """The user's turn ends in nothing that could be answered; a client that waits is told so, where an answer may
        not be interrupted after that one."""
        if self._reply is not None or self._suspended_reply is not None:
            self._deferred_end_reason = None if self.settings.interruptible else reason
            return
        self._send_turn_complete(reason)

    def _send_turn_complete(self, reason: TurnCompleteReason | None) -> None:
        content = ServerContent(turn_complete=True, turn_complete_reason=reason)
        usage = tokens.build_usage(tokens.of_request(self._context.request_so_far()), {})
        self.out.append(Send(ServerMessage(server_content=content, usage_metadata=usage)))

    def cancel_reply(self) -> None:
        """The session is over."""
        if self._reply is not None:
            self.out.append(CancelReply(self._reply.turn))
            self._reply = None

    def drop_held_reply(self) -> None:
        if self._reply is not None and self._reply.held:
            self._speculation.note_dropped_reply()
            self.out += [CancelReply(self._reply.turn), self._reply.speculation_outcome(self.now, used=False)]
            self._reply = None

    # Time.

    @property
    def deadline(self) -> float | None:
        answered = None
        if self._reply is not None and not self._reply.generated:
            answered = self._overdue_at(self._reply)
        elif self._reply is not None and not self._reply.held:
            answered = self._reply.plays_until
        return earliest_time(self._calls.deadline, answered)

    def _overdue_at(self, reply: Reply) -> float:
        """While its audio is far ahead of the playback, the responder is made to wait."""
        return max(reply.progress_at, reply.plays_until - self._limits.ahead) + self._limits.reply

    def expire_waits(self) -> None:
        reply = self._reply
        if reply is not None and not reply.generated and self.now >= self._overdue_at(reply):
            self.out.append(ReplyOverdue(reply.turn, self._limits.reply))
            self.fail_reply()
        self._resume_after_results(self._calls.expire_calls(self.now))


def to_model_message(text: str, calls: Sequence[FunctionCall]) -> Message:
    parts: list[Part] = [Text(text)] if text.strip() else []
    return Message("model", (*parts, *calls))


def _build_reply_extras(settings: SessionSettings) -> ReplyExtras:
    return ReplyExtras(
        transcript=settings.transcribe_output,
        end=settings.profile.transcript_end != "never",
        words=settings.output_words,
        language=settings.translation.language if settings.translation else None,
        thoughts=settings.thoughts,
    )
