"""The session: one gate for all events, and the couplings between hearing, reply and history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from openlive.core import history, tokens
from openlive.core.commands import Close, Command, Prefill, Respond, Send, Step, Stop
from openlive.core.events import (
    AudioArrived,
    BadRequest,
    ClientSaid,
    Detected,
    Event,
    Failed,
    Finished,
    Opened,
    Produced,
    Transcribed,
)
from openlive.core.hearing import (
    Guessed,
    Hearing,
    Limits,
    Lost,
    Overrun,
    Partial,
    Signal,
    SpeechResumed,
    SpeechStarted,
    Uttered,
)
from openlive.core.profile import Profile
from openlive.core.reply import Reply
from openlive.core.settings import Settings, from_setup
from openlive.core.utterance import normalised
from openlive.types import Heard, Image, Message, Part, Request, Text
from openlive.wire import errors
from openlive.wire.client import ClientContent, ClientMessage, RealtimeInput
from openlive.wire.errors import ProtocolError, close_reason
from openlive.wire.server import (
    ServerContent,
    ServerMessage,
    SetupComplete,
    Transcription,
    TurnCompleteReason,
)
from openlive.wire.setup import Setup

NO_STEPS: Mapping[Step, float] = {}


class Session:
    """`handle` takes what happened and returns what to do; call it with None no later than `deadline`.

    Total and atomic: any event in any state, no waiting, no exceptions for what a client or an engine does.
    """

    def __init__(self, profiles: Mapping[str, Profile], limits: Limits | None = None) -> None:
        self._profiles = profiles
        self._limits = limits or Limits()
        self._opened = Opened("")
        self._opened_at: float | None = None
        self._settings: Settings | None = None
        self._hearing: Hearing | None = None
        self._history = history.History()
        self._reply: Reply | None = None
        self._turn = 0
        self._joining: list[Part] = []
        """Realtime text that belongs to the turn that is being spoken."""
        self._waiting: list[Message] = []
        """What is answered after the present reply."""
        self._frame: Image | None = None
        self._closed = False
        self._out: list[Command] = []
        self._now = 0.0

    def handle(self, event: Event | None, now: float) -> list[Command]:
        if self._closed:
            return []
        self._now = now
        self._expire()
        if event is not None and not self._closed:
            try:
                self._take(event)
            except ProtocolError as error:
                self._close(error.code, error.reason)
        self._pump()
        out, self._out = self._out, []
        return out

    @property
    def deadline(self) -> float | None:
        if self._closed:
            return None
        candidates = []
        if self._settings is None and self._opened_at is not None:
            candidates.append(self._opened_at + self._limits.setup)
        if self._hearing is not None and self._hearing.deadline is not None:
            candidates.append(self._hearing.deadline)
        if self._reply is not None and not self._reply.generated:
            candidates.append(self._reply.progress_at + self._limits.reply)
        elif self._reply is not None and not self._reply.held:
            candidates.append(self._reply.plays_until)
        return min(candidates, default=None)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, as the next request will begin."""
        return self._history.messages

    # The gate: what is stale or comes before the setup goes no further.

    def _take(self, event: Event) -> None:
        match event:
            case Opened():
                self._opened, self._opened_at = event, self._now
            case BadRequest(code, reason):
                self._close(code, reason)
            case ClientSaid(message):
                self._client_said(message)
            case _ if self._hearing is None:
                raise errors.SETUP_FIRST.error()
            case AudioArrived(samples):
                self._hearing.arrived(samples, self._now)
            case Detected(stream, frames):
                self._hearing.detected(stream, frames, self._now)
            case Transcribed(utterance, transcript):
                self._hearing.transcribed(utterance, transcript, self._now)
            case Failed("vad", number):
                self._hearing.detector_failed(number, self._now)
            case Failed("stt", number):
                self._hearing.recogniser_failed(number)
            case Produced(turn) | Finished(turn) | Failed("reply", turn):
                if self._reply is not None and self._reply.turn == turn and not self._reply.generated:
                    self._replied(self._reply, event)
            case Failed():
                pass
            case _:
                assert_never(event)

    def _client_said(self, message: ClientMessage) -> None:
        if self._settings is None:
            if message.setup is None:
                raise errors.SETUP_FIRST.error()
            self._set_up(message.setup)
        elif message.setup is not None:
            raise errors.SETUP_FIRST.error()
        elif message.client_content is not None:
            self._content(message.client_content)
        elif message.realtime_input is not None:
            self._realtime(message.realtime_input)

    # What the client says.

    def _set_up(self, setup: Setup) -> None:
        if self._opened.refusal is not None:
            raise self._opened.refusal.error()
        settings = from_setup(setup, self._profiles, self._opened.version)
        self._settings = settings
        self._hearing = Hearing(settings.activity, self._limits, settings.languages, settings.phrases)
        self._out.append(Send(ServerMessage(setup_complete=SetupComplete(session_id=self._opened.session))))
        self._out.append(Prefill(self._request(())))

    def _content(self, content: ClientContent) -> None:
        """Interrupts always (protocol.md 2.4), whatever `activityHandling` says."""
        turns = [history.from_content(c, f"client_content.turns[{i}]") for i, c in enumerate(content.turns)]
        self._interrupt()
        unanswered = self._take_waiting()
        for message in turns:
            self._history.add(message)
        if content.turn_complete or unanswered:
            if not self._history.messages:
                raise errors.NO_TURN.error()
            self._respond()

    def _realtime(self, said: RealtimeInput) -> None:
        assert self._hearing is not None
        assert self._settings is not None
        if said.video is not None:
            self._frame = history.image(said.video, "realtime_input.video")
        if (said.activity_start is not None or said.activity_end is not None) and self._settings.activity.automatic:
            raise errors.EXPLICIT_ACTIVITY.error()
        if said.activity_start is not None:
            self._hearing.begin()
            self._pump()
        if said.text is not None:
            self._text(said.text)
        if said.audio_stream_end:
            self._hearing.stream_ended(self._now)
        if said.activity_end is not None:
            self._hearing.end(self._now)

    def _text(self, text: str) -> None:
        """Realtime text counts as activity."""
        assert self._hearing is not None
        if self._hearing.speaking:
            self._joining.append(Text(text))
        else:
            self._user_said((Text(text),))

    # What hearing tells.

    def _pump(self) -> None:
        """Passes on what hearing wants done, and couples what it noticed with the reply."""
        while self._hearing is not None and not self._closed and (items := self._hearing.drain()):
            for item in items:
                if isinstance(item, Signal):
                    self._noticed(item)
                else:
                    self._out.append(item)

    def _noticed(self, signal: Signal) -> None:
        match signal:
            case SpeechStarted():
                if self._interruptible:
                    self._interrupt()
            case SpeechResumed():
                self._drop_held()
            case Partial(text, told):
                self._tell(told)
                if self._reply is None:
                    self._out.append(Prefill(self._request((*self._history.messages, Message("user", (Text(text),))))))
            case Guessed(text, start, end):
                self._speculate(Heard(text, start, end))
            case Uttered():
                self._uttered(signal)
            case Lost():
                self._drop_held()
                if self._joining:
                    self._user_said(())
                else:
                    self._end_turn_without_reply(TurnCompleteReason.INPUT_OTHER)
            case Overrun():
                reason = f"More than {self._limits.backlog:.0f} s of audio wait to be processed; send it more slowly."
                self._close(1008, reason)
            case _:
                assert_never(signal)

    def _tell(self, text: str, *, finished: bool = False) -> None:
        assert self._settings is not None
        if not self._settings.transcribe_input:
            return
        for transcription in (Transcription(text=text) if text else None, Transcription(finished=True)):
            if transcription is not None and (finished or transcription.text):
                content = ServerContent(input_transcription=transcription)
                self._out.append(Send(ServerMessage(server_content=content)))

    def _speculate(self, heard: Heard) -> None:
        """The user may have finished: the reply is prepared, and held until that is decided."""
        self._drop_held()
        if self._reply is None:
            self._begin(self._request((*self._history.messages, self._user_message((heard,)))), held=True)

    def _uttered(self, said: Uttered) -> None:
        if not said.text and not self._joining:
            self._drop_held()
            if said.manual:
                self._end_turn_without_reply(TurnCompleteReason.NEED_MORE_INPUT)
            return
        if said.text:
            self._tell(said.told, finished=True)
        steps: dict[Step, float] = {
            "speech_end": said.ended_at,
            "decision": said.decided_at,
            "transcript": said.transcribed_at,
        }
        self._user_said((Heard(said.text, said.start, said.end),) if said.text else (), steps)

    def _user_said(self, parts: tuple[Part, ...], steps: Mapping[Step, float] = NO_STEPS) -> None:
        """A turn of the user is complete: it is answered now, or after a reply that may not be interrupted."""
        message = self._user_message(parts)
        self._joining.clear()
        self._frame = None
        held = self._reply if self._reply is not None and self._reply.held else None
        if held is not None and _same(held.request.messages[-1], message):
            self._history.add(held.request.messages[-1])
            self._mark(held, steps)
            self._out += held.release(self._now)
            self._settle()
            return
        self._drop_held()
        if self._reply is not None and not self._interruptible:
            self._waiting.append(message)
            return
        self._interrupt()
        self._history.add(message)
        self._mark(self._respond(), steps)

    def _mark(self, reply: Reply, steps: Mapping[Step, float]) -> None:
        for step, at in steps.items():
            self._out += reply.mark(step, at)

    def _user_message(self, parts: tuple[Part, ...]) -> Message:
        seen = (self._frame,) if self._frame is not None else ()
        return Message("user", (*seen, *parts, *self._joining))

    # The reply.

    @property
    def _interruptible(self) -> bool:
        return self._settings is not None and self._settings.interruptible

    def _request(self, messages: tuple[Message, ...]) -> Request:
        settings = self._settings
        assert settings is not None
        return Request(
            conversation=self._opened.session,
            messages=messages,
            instructions=settings.instructions,
            sampling=settings.sampling,
            voice=settings.voice,
            language=settings.language,
        )

    def _respond(self) -> Reply:
        return self._begin(self._request(self._history.messages), held=False)

    def _begin(self, request: Request, *, held: bool) -> Reply:
        assert self._settings is not None
        self._turn += 1
        transcribe = self._settings.transcribe_output
        self._reply = reply = Reply(self._turn, request, held=held, transcribe=transcribe, now=self._now)
        self._out.append(Respond(self._turn, request))
        return reply

    def _replied(self, reply: Reply, event: Produced | Finished | Failed) -> None:
        match event:
            case Produced(_, output):
                self._out += reply.produce(output, self._now)
            case Finished():
                self._out += reply.finish(self._now)
            case Failed():
                self._reply_failed(reply)
        self._settle()

    def _reply_failed(self, reply: Reply) -> None:
        """A held reply is simply not there: the turn is answered anew once it is decided."""
        if reply.held:
            self._drop_held()
        else:
            self._out.append(Stop(reply.turn))
            reply.fail(TurnCompleteReason.RESPONSE_REJECTED)

    def _settle(self) -> None:
        """Ends a turn whose playback is over, and goes on with what waited for that."""
        reply = self._reply
        if reply is None or reply.held or not reply.generated or self._now < reply.plays_until:
            return
        self._out.append(reply.complete())
        self._reply = None
        self._remember(reply, reply.text)
        if self._take_waiting():
            self._respond()

    def _take_waiting(self) -> bool:
        """Moves what waited for the end of a reply into the history."""
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self._history.add(message)
        return bool(waiting)

    def _interrupt(self) -> None:
        """Ends the present reply, if there is one: what nobody has seen yet is dropped without a word."""
        reply = self._reply
        if reply is None or reply.held:
            self._drop_held()
            return
        self._out.append(Stop(reply.turn))
        self._out += reply.interrupt()
        self._reply = None
        keep_all = self._settings is not None and self._settings.profile.history == "sent"
        self._remember(reply, reply.text if keep_all else reply.heard(self._now))

    def _drop_held(self) -> None:
        if self._reply is not None and self._reply.held:
            self._out.append(Stop(self._reply.turn))
            self._reply = None

    def _remember(self, reply: Reply, text: str) -> None:
        self._history.add(reply.message(text))

    def _end_turn_without_reply(self, reason: TurnCompleteReason) -> None:
        if self._reply is not None:
            return
        content = ServerContent(turn_complete=True, turn_complete_reason=reason)
        prompt = tokens.of_messages(self._history.messages)
        self._out.append(Send(ServerMessage(server_content=content, usage_metadata=tokens.usage(prompt, {}))))

    # Time and the end.

    def _expire(self) -> None:
        if self._settings is None:
            if self._opened_at is not None and self._now >= self._opened_at + self._limits.setup:
                self._close(1008, f"No setup message within {self._limits.setup:.0f} s.")
            return
        assert self._hearing is not None
        self._hearing.expire(self._now)
        self._pump()
        reply = self._reply
        if reply is not None and not reply.generated and self._now >= reply.progress_at + self._limits.reply:
            self._reply_failed(reply)
        self._settle()

    def _close(self, code: int, reason: str) -> None:
        if self._reply is not None:
            self._out.append(Stop(self._reply.turn))
            self._reply = None
        self._out.append(Close(code, close_reason(reason)))
        self._closed = True


def _same(guess: Message, said: Message) -> bool:
    """The guess was answered; does the answer fit what was said in the end?"""
    others = [p for p in guess.parts if not isinstance(p, Heard)], [p for p in said.parts if not isinstance(p, Heard)]
    return others[0] == others[1] and normalised(guess.text) == normalised(said.text)
