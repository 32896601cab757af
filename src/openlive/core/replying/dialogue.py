"""Whose turn it is: what the user said, what the model answers, and what waits for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from openlive.core.commands import Prefill, Step, Stop
from openlive.core.listening.pending_turn import same
from openlive.core.memory.history import ContextFullError
from openlive.core.replying.answering import Answering, as_said
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

    _asked_for = False
    """The client wants an answer once what it sent before was judged: to what is said there, if anything is."""

    # What the user says.

    def content(self, messages: Sequence[Message], *, complete: bool) -> None:
        """`clientContent`: interrupts always (docs/protocol.md#contents), unless the model waits for a function's
        result."""
        if self.loading:
            self.loading = not complete
            self._context.load(messages)
            self.prepare()
            return
        if self._calls.waits_for_client and self.settings.profile.queues_during_calls:
            for message in messages or [Message("user", ())]:
                self._unsaid.wait(message, answered=complete)
            return
        self.interrupt()
        unanswered = self._context.take_waiting()
        for message in messages:
            self.history.add(message)
        if complete or unanswered:
            self._respond()
        else:
            self._context.slide()
            self.prepare()

    def text(self, text: str, *, speaking: bool) -> None:
        """Realtime text counts as activity; while the user speaks it joins that turn. One without a word only asks for
        the answer that is due (docs/protocol.md#contents: clients wake the model by it)."""
        if not text.strip() and (speaking or self.answering):
            return
        last = self.history.messages[-1:]
        if not text.strip() and last and last[0].role == "user" and not self._unsaid.waiting:
            self.loading = False
            self._respond()
        elif speaking:
            self._unsaid.type(text)
        else:
            self.said((Text(text),))

    def see(self, image: Image, *, speaking: bool) -> None:
        """A frame. What is in it is looked at while the user still speaks."""
        self._unsaid.see(image, speaking=speaking)
        self.prepare()

    @property
    def seen(self) -> tuple[Image, ...]:
        """The frames that wait for a turn."""
        return tuple(self._unsaid.seen)

    def scene(self) -> Request | None:
        return self._context.scene()

    def show(self, images: tuple[Image, ...]) -> None:
        """A turn in which nobody says anything: the model speaks up about what it sees."""
        self.history.add(self._unsaid.shown(images))
        self._respond()

    def said(self, parts: tuple[Part, ...], steps: Mapping[Step, float] = NO_STEPS) -> None:
        """A turn of the user is complete: it is answered now, or when what may not be interrupted is over."""
        self._guesses.confirm()
        message = self._unsaid.turn(parts)
        self.loading = self._asked_for = False
        held = self._reply if self._reply is not None and self._reply.held else None
        if held is not None and not self._unsaid.silent and same(held.request.messages[-1], message):
            self._unsaid.end_turn(held.request.messages[-1])
            self.history.add(held.request.messages[-1])
            self._mark(held, steps)
            self._release(held)
            return
        self._unsaid.end_turn(message)
        self.drop_held()
        if not message.parts:
            return
        if not self.settings.interruptible and (self._reply is not None or self._blocked):
            self._unsaid.wait(message, answered=True)
            return
        self.interrupt()
        self._context.take_waiting()
        self.history.add(message)
        self._mark(self._respond(), steps)

    def asked(self, heard: Heard) -> Request:
        reply = self._reply if self._reply is not None and not self._reply.held else None
        return self._context.question(heard, None if reply is None else as_said(reply.heard(self.now), ()))

    def overheard(self, heard: Heard) -> None:
        """What is not meant for the model is remembered as such; its turn ends without an answer."""
        self.drop_held()
        message = Message("user", (replace(heard, overheard=True),))
        if self._reply is not None or self._asking is not None or self._blocked:
            self._unsaid.wait(message, answered=False)
        else:
            self.history.add(message)
            self._context.slide()
            self.prepare()
        if self._reply is None and self._asking is None:
            self._end(None)
            self.rested = True

    @property
    def joining(self) -> bool:
        """There is a turn, even if nothing more is said."""
        return bool(self._unsaid.typed) or self._unsaid.begun is not None

    def speculate(self, heard: Heard) -> None:
        """The user may have finished: the reply is prepared, and held until that is decided. Not where something waits
        that the next request has to hold."""
        self.drop_held()
        worth = self._guesses.guess()
        if self._reply is not None or self._blocked or self._unsaid.silent or not worth:
            return
        try:
            self._context.slide()
        except ContextFullError:
            return  # told once the turn is decided
        self._begin(self._context.with_turn(heard), held=True)

    def prepare(self, text: str = "") -> None:
        """The next request will begin like this."""
        if self._reply is None and not self._blocked and self._context.fits:
            self.out.append(Prefill(self._context.with_turn(*((Text(text),) if text else ()))))

    def resumed(self) -> None:
        """The user goes on after what looked like the end."""
        self._guesses.refute()
        self.drop_held()

    @property
    def free(self) -> bool:
        """Nobody has the floor, and no answer is due."""
        return not (self.loading or self.speaking or self.answering)

    def silent(self) -> None:
        """The user has stopped speaking."""
        self.speaking = False
        self._answer_if_asked()
        self.settle()

    def ask_after_speech(self) -> None:
        """The client's turn is complete with what it has said so far (docs/protocol.md#contents): one answer, to all of
        it."""
        self._asked_for = True

    def _answer_if_asked(self) -> None:
        if self._asked_for and not self.speaking:
            self._asked_for = False
            self.content((), complete=True)

    def stream_begun(self) -> None:
        """The user speaks into a microphone that is on."""
        self._streaming = self.settings.translation is not None and self.settings.activity.automatic

    def stream_ended(self) -> None:
        self._streaming = False
        self._answer_if_asked()
        self.settle()

    def go_on(self) -> bool:
        """The user speaks again: where nothing was told of an answer to what they had said, that was not all of it.
        Returns whether it is so."""
        reply, messages = self._reply, self.history.messages
        if reply is None or reply.held or not reply.silent or reply.reason is not None or self._asking is not None:
            return False
        last = messages[-1] if messages else None
        if last is None or last is not reply.request.messages[-1] or not all(map(_joins, last.parts)):
            return False
        self.out.append(Stop(reply.turn))
        self._reply = None
        self._unsaid.go_on(self.history.take_back())
        return True

    # What may change during the session.

    def update(
        self,
        instructions: str | None,
        functions: tuple[FunctionDeclaration, ...] | None,
        missing_tools: tuple[str, ...] = (),
    ) -> None:
        self.drop_held()
        self._context.update(instructions, functions, missing_tools)
        self.prepare()


def _joins(part: Part) -> bool:
    """It may be part of a turn that goes on: speech, and what was seen with it."""
    return isinstance(part, Heard | Image)
