"""Whose turn it is: what the user said, what the model answers, and what waits for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from openlive.core.commands import CancelReply, Prefill, Step
from openlive.core.listening.pending_turn import is_same_turn
from openlive.core.memory.history import ContextFullError
from openlive.core.replying.answering import Answering, to_model_message
from openlive.types import (
    FunctionDeclaration,
    Heard,
    Image,
    Message,
    Part,
    Request,
    Text,
)

NO_STEPS: Mapping[Step, float] = {}


class Dialogue(Answering):
    """What the user says, and what becomes of the model's turn by it."""

    _answer_requested = False
    """The client wants an answer once what it sent before was judged: to what is said there, if anything is."""

    # What the user says.

    def take_content(self, messages: Sequence[Message], *, complete: bool) -> None:
        """`clientContent`: interrupts always (docs/protocol.md#contents), unless the model waits for a function's
        result."""
        if self.loading_history:
            self.loading_history = not complete
            self._context.load_history(messages)
            self.prefill_request()
            return
        if self._calls.waits_for_client and self.settings.profile.queues_during_calls:
            for message in messages or [Message("user", ())]:
                self._pending_turn.queue_message(message, answered=complete)
            return
        self.interrupt()
        unanswered = self._context.take_waiting()
        for message in messages:
            self.history.add(message)
        if complete or unanswered:
            self._answer_history()
        else:
            self._context.slide_window()
            self.prefill_request()

    def take_text(self, text: str, *, speaking: bool) -> None:
        """Realtime text counts as activity; while the user speaks it joins that turn. One without a word only asks for
        the answer that is due (docs/protocol.md#contents: clients wake the model by it)."""
        if not text.strip() and (speaking or self.is_answering):
            return
        last = self.history.messages[-1:]
        if not text.strip() and last and last[0].role == "user" and not self._pending_turn.waiting_messages:
            self.loading_history = False
            self._answer_history()
        elif speaking:
            self._pending_turn.add_typed_text(text)
        else:
            self.commit_turn((Text(text),))

    def take_frame(self, image: Image, *, speaking: bool) -> None:
        """A frame. What is in it is looked at while the user still speaks."""
        self._pending_turn.add_frame(image, speaking=speaking)
        self.prefill_request()

    @property
    def waiting_frames(self) -> tuple[Image, ...]:
        """The frames that wait for a turn."""
        return tuple(self._pending_turn.frames)

    def scene_request(self) -> Request | None:
        return self._context.scene_request()

    def start_scene_reply(self, images: tuple[Image, ...]) -> None:
        """A turn in which nobody says anything: the model speaks up about what it sees."""
        self.history.add(self._pending_turn.build_scene_turn(images))
        self._answer_history()

    def commit_turn(self, parts: tuple[Part, ...], steps: Mapping[Step, float] = NO_STEPS) -> None:
        """A turn of the user is complete: it is answered now, or when what may not be interrupted is over."""
        self._speculation.confirm_guess()
        message = self._pending_turn.build_turn(parts)
        self.loading_history = self._answer_requested = False
        held = self._reply if self._reply is not None and self._reply.held else None
        if (
            held is not None
            and not self._pending_turn.has_unanswered_message
            and is_same_turn(held.request.messages[-1], message)
        ):
            self._pending_turn.end_turn(held.request.messages[-1])
            self.history.add(held.request.messages[-1])
            self._mark_steps(held, steps)
            self._release_held_output(held)
            return
        self._pending_turn.end_turn(message)
        self.drop_held_reply()
        if not message.parts:
            return
        if not self.settings.interruptible and (self._reply is not None or self._is_blocked):
            self._pending_turn.queue_message(message, answered=True)
            return
        self.interrupt()
        self._context.take_waiting()
        self.history.add(message)
        self._mark_steps(self._answer_history(), steps)

    def addressee_request(self, heard: Heard) -> Request:
        reply = self._reply if self._reply is not None and not self._reply.held else None
        return self._context.addressee_request(
            heard, None if reply is None else to_model_message(reply.played_text(self.now), ())
        )

    def remember_overheard(self, heard: Heard) -> None:
        """What is not meant for the model is remembered as such; its turn ends without an answer."""
        self.drop_held_reply()
        message = Message("user", (replace(heard, overheard=True),))
        if self._reply is not None or self._suspended_reply is not None or self._is_blocked:
            self._pending_turn.queue_message(message, answered=False)
        else:
            self.history.add(message)
            self._context.slide_window()
            self.prefill_request()
        if self._reply is None and self._suspended_reply is None:
            self._send_turn_complete(None)
            self.turn_ended = True

    @property
    def has_open_turn(self) -> bool:
        """There is a turn, even if nothing more is said."""
        return bool(self._pending_turn.typed_parts) or self._pending_turn.resumed_utterance is not None

    def start_speculative_reply(self, heard: Heard) -> None:
        """The user may have finished: the reply is prepared, and held until that is decided. Not where something waits
        that the next request has to hold."""
        self.drop_held_reply()
        worth = self._speculation.register_guess()
        if self._reply is not None or self._is_blocked or self._pending_turn.has_unanswered_message or not worth:
            return
        try:
            self._context.slide_window()
        except ContextFullError:
            return  # told once the turn is decided
        self._begin_reply(self._context.request_with_turn(heard), held=True)

    def prefill_request(self, text: str = "") -> None:
        """The next request will begin like this."""
        if self._reply is None and not self._is_blocked and self._context.preamble_fits:
            self.out.append(Prefill(self._context.request_with_turn(*((Text(text),) if text else ()))))

    def cancel_speculation(self) -> None:
        """The user goes on after what looked like the end."""
        self._speculation.refute_guess()
        self.drop_held_reply()

    @property
    def is_floor_free(self) -> bool:
        """Nobody has the floor, and no answer is due."""
        return not (self.loading_history or self.user_speaking or self.is_answering)

    def end_user_speech(self) -> None:
        """The user has stopped speaking."""
        self.user_speaking = False
        self._answer_if_requested()
        self.settle_turn()

    def answer_after_speech(self) -> None:
        """The client's turn is complete with what it has said so far (docs/protocol.md#contents): one answer, to all of
        it."""
        self._answer_requested = True

    def _answer_if_requested(self) -> None:
        if self._answer_requested and not self.user_speaking:
            self._answer_requested = False
            self.take_content((), complete=True)

    def begin_stream(self) -> None:
        """The user speaks into a microphone that is on."""
        self._is_interpreting = self.settings.translation is not None and self.settings.activity.automatic

    def end_stream(self) -> None:
        self._is_interpreting = False
        self._answer_if_requested()
        self.settle_turn()

    def resume_turn(self) -> bool:
        """The user speaks again: where nothing was told of an answer to what they had said, that was not all of it.
        Returns whether it is so."""
        reply, messages = self._reply, self.history.messages
        if (
            reply is None
            or reply.held
            or not reply.is_silent
            or reply.reason is not None
            or self._suspended_reply is not None
        ):
            return False
        last = messages[-1] if messages else None
        if last is None or last is not reply.request.messages[-1] or not all(map(_can_resume, last.parts)):
            return False
        self.out.append(CancelReply(reply.turn))
        self._reply = None
        self._pending_turn.resume_turn(self.history.pop_last_message())
        return True

    # What may change during the session.

    def update_setup(
        self,
        instructions: str | None,
        functions: tuple[FunctionDeclaration, ...] | None,
        missing_tools: tuple[str, ...] = (),
    ) -> None:
        self.drop_held_reply()
        self._context.update_setup(instructions, functions, missing_tools)
        self.prefill_request()


def _can_resume(part: Part) -> bool:
    """It may be part of a turn that goes on: speech, and what was seen with it."""
    return isinstance(part, Heard | Image)
