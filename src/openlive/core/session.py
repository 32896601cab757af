"""The session: one gate for all events, and the couplings between hearing and dialogue."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from msgspec.structs import replace

from openlive.core import messages
from openlive.core.commands import CloseConnection, Command, RestoreState, SaveState
from openlive.core.events import (
    AddresseeJudged,
    AudioArrived,
    BadRequest,
    ClientLeft,
    ConnectionOpened,
    Event,
    FramesJudged,
    MessageReceived,
    OutputProduced,
    RecogniserProgressed,
    ReplyFinished,
    SceneJudged,
    ServerDraining,
    StageFailed,
    StateRestored,
    StateSaved,
    TakenOver,
    ToolFinished,
    Transcribed,
    TurnJudged,
)
from openlive.core.lifetime import SessionLifetime, earliest_time
from openlive.core.listening.activity import MS
from openlive.core.listening.signals import AudioOverrun, Signal
from openlive.core.listening.user_turn import UserTurnTracker
from openlive.core.memory import history
from openlive.core.memory.history import ContextFullError
from openlive.core.memory.resumption import ResumableDialogue
from openlive.core.memory.snapshot import Snapshot
from openlive.core.replying.dialogue import Dialogue
from openlive.core.replying.proactive_video import ProactiveVideo
from openlive.core.setup import masks
from openlive.core.setup.declarations import find_missing_tools, parse_functions
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.core.setup.settings import SessionSettings, instructions_text, settings_from_setup
from openlive.core.turn_taking import TurnTaking
from openlive.types import FunctionDeclaration, Message
from openlive.wire import errors
from openlive.wire.client import ClientContent, ClientMessage, ContextUpdate, RealtimeInput, ToolResponse
from openlive.wire.errors import ProtocolError, Refusal, close_reason
from openlive.wire.server import TurnCompleteReason
from openlive.wire.setup import Setup

EARLY = 64
"""Events while the state of a resumed session is being fetched. The shell reads one or two, not more, meanwhile."""
NOTED = 20 * MS
"""Samples of audio that messages share a note of: what one message of an ordinary client has."""
_ANSWERS = (OutputProduced, ReplyFinished, RecogniserProgressed, Transcribed, ToolFinished, FramesJudged)
"""Of engines and tools: they are in time if they are there when the time is up, even where they are read later."""


class Session:
    """`handle` takes what happened and returns what to do; call it with None no later than `deadline`.

    Total and atomic: any event in any state, no waiting, no exceptions for what a client or an engine does.
    """

    def __init__(self, profiles: Mapping[str, ModelProfile], limits: SessionLimits | None = None) -> None:
        self._profiles = profiles
        self._limits = limits or SessionLimits()
        self._opened = ConnectionOpened("")
        self._opened_at: float | None = None
        self._setup: Setup | None = None
        self._early_events: list[Event] = []
        """What arrived while the state of a resumed session was being fetched."""
        self._hearing: UserTurnTracker | None = None
        self._dialogue: ResumableDialogue | None = None
        self._turn_taking: TurnTaking | None = None
        self._proactive_video: ProactiveVideo | None = None
        self._setup_context: tuple[str, tuple[FunctionDeclaration, ...]] = ("", ())
        """Instructions and functions as the setup has them."""
        self._consumed = 0
        """Messages of the client on this connection."""
        self._unsettled: deque[tuple[int, int]] = deque()
        """Of those with audio that may still matter: number, and the samples received with it."""
        self._last_note_start = 0
        """Samples received before the last of these."""
        self._lifetime = SessionLifetime(self._limits)
        self._goodbye_waits = False
        """A handle comes before the goodbye: clients reconnect at once (docs/protocol.md#limits-and-compression)."""
        self._closed = False
        self._out: list[Command] = []
        self._now = 0.0
        self.deadline: float | None = None
        """When something is due without an event; known anew after each one, and nothing is due before it."""

    def handle(self, event: Event | None, now: float) -> list[Command]:
        if self._closed:
            return []
        self._now = now
        if self._dialogue is not None:
            self._dialogue.now = now
        due = self.deadline is not None and now >= self.deadline
        try:
            if isinstance(event, _ANSWERS):
                self._dispatch_event(event)
                event = None
            if due and not self._closed:
                self._handle_timeouts()
            if event is not None and not self._closed:
                self._dispatch_event(event)
            self._relay_signals()
        except ProtocolError as error:
            self._close_session(error.code, error.reason, error.about)
        except ContextFullError as error:
            self._close_session(errors.INVALID_ARGUMENT.code, str(error))
        self.deadline = self._next_deadline()
        out, self._out = self._out, []
        return out

    def _next_deadline(self) -> float | None:
        if self._closed:
            return None
        end = self._lifetime.end
        limits = None if end is None else end[0], self._opened.constraints.until
        if self._dialogue is None or self._hearing is None:
            return earliest_time(*limits, None if self._opened_at is None else self._opened_at + self._limits.setup)
        return earliest_time(*limits, self._lifetime.goodbye_at, self._dialogue.deadline, self._hearing.deadline)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, as the next request will begin."""
        return self._dialogue.history.messages if self._dialogue is not None else ()

    # The gate: what is stale or comes before the setup goes no further.

    def _dispatch_event(self, event: Event) -> None:
        match event:
            case AudioArrived() | FramesJudged() if self._hearing is not None and self._dialogue is not None:
                self._handle_session_event(
                    event, self._hearing, self._dialogue
                )  # first, because almost all events are these
            case ConnectionOpened():
                self._opened = event
                self._opened_at = self._now if self._opened_at is None else self._opened_at
            case BadRequest(code, reason):
                self._close_session(code, reason, errors.describe_for_logs(reason))
            case StateRestored():
                self._handle_restored_state(event)
            case ServerDraining(seconds):
                self._lifetime.start_draining(self._now, seconds)
                self._announce_end()
            case ClientLeft() | TakenOver():
                self._handle_departure(event)
            case StateSaved(handle, consumed):
                index = consumed if self._dialogue and self._dialogue.settings.transparent else None
                self._out.append(messages.resumption_update(handle, index))
                self._send_go_away()
            case StageFailed("store"):
                self._send_go_away()
            case _ if self._setup is not None and self._dialogue is None:
                if len(self._early_events) >= EARLY:
                    raise ProtocolError(f"{EARLY} messages came before the session was there; wait for setupComplete.")
                self._early_events.append(event)
            case MessageReceived(message, more):
                self._consumed += not more
                self._handle_client_message(message)
            case _ if self._hearing is None or self._dialogue is None:
                raise errors.SETUP_FIRST.to_error()
            case _:
                self._handle_session_event(event, self._hearing, self._dialogue)

    def _handle_session_event(self, event: Event, hearing: UserTurnTracker, dialogue: Dialogue) -> None:
        """The audio, and what the engines answer."""
        match event:
            case AudioArrived(samples, more):
                hearing.take_audio(samples, self._now)
                if dialogue.settings.transparent:
                    self._note_audio_message(samples, hearing)
                self._consumed += not more
            case FramesJudged(stream, frames):
                hearing.overlaps_reply = dialogue.settings.by_words and dialogue.is_answering
                hearing.take_frames(stream, frames, self._now)
            case TurnJudged(utterance, end, finished):
                hearing.take_turn_judgement(utterance, end, finished, self._now)
            case AddresseeJudged(utterance, number, meant):
                hearing.take_addressee_answer(utterance, number, meant, self._now)
            case SceneJudged() | StageFailed("scene") if self._proactive_video is not None:
                self._proactive_video.take_judgement(event)
            case StageFailed("addressee", utterance):
                hearing.take_addressee_failure(utterance, self._now)
            case RecogniserProgressed() | Transcribed() | StageFailed("stt"):
                hearing.take_recogniser_event(event, self._now)
            case StageFailed("vad", number):
                hearing.restart_detector(number, self._now)
            case OutputProduced(turn, output) if dialogue.wants_output_of(turn):
                dialogue.take_output(output)
            case ReplyFinished(turn) if dialogue.wants_output_of(turn):
                dialogue.finish_generation()
            case StageFailed("reply", turn) if dialogue.wants_output_of(turn):
                dialogue.fail_reply()
            case StageFailed("call", turn) if dialogue.wants_output_of(turn):
                dialogue.fail_reply(TurnCompleteReason.MALFORMED_FUNCTION_CALL)
            case ToolFinished(call, result):
                dialogue.take_tool_result(call, result)

    # The setup.

    def _handle_client_message(self, message: ClientMessage) -> None:
        if self._setup is None:
            if message.setup is None:
                raise errors.SETUP_FIRST.to_error()
            self._handle_setup(message.setup)
        elif message.setup is not None:
            raise errors.SETUP_FIRST.to_error()
        elif message.client_content is not None:
            self._handle_client_content(message.client_content)
        elif message.realtime_input is not None:
            self._handle_realtime_input(message.realtime_input)
        elif message.tool_response is not None:
            self._handle_tool_response(message.tool_response)
        elif message.context_update is not None:
            self._handle_context_update(message.context_update)

    def _handle_setup(self, setup: Setup) -> None:
        if self._opened.refusal is not None:
            raise self._opened.refusal.to_error()
        if self._lifetime.is_draining:
            raise errors.UNAVAILABLE.to_error()
        constraints = self._opened.constraints
        self._setup = setup = masks.apply_token_locks(setup, constraints.setup, constraints.mask)
        handle = setup.session_resumption.handle if setup.session_resumption else None
        if handle:
            self._resolve_settings(setup)  # refuses before anything is taken over
            self._out.append(RestoreState(handle))
        else:
            self._begin_session(setup, None)

    def _handle_restored_state(self, event: StateRestored) -> None:
        if self._setup is None or self._dialogue is not None:
            return
        if event.snapshot is None:
            raise (event.refusal or errors.ENTITY_NOT_FOUND).to_error()
        self._begin_session(self._setup, event.snapshot)
        early, self._early_events = self._early_events, []
        for waiting in early:
            if not self._closed:
                self._dispatch_event(waiting)
                self._relay_signals()

    def _begin_session(self, setup: Setup, snapshot: Snapshot | None) -> None:
        settings = self._resolve_settings(setup)
        self._setup_context = (settings.instructions, settings.functions)
        limits = self._limits
        session = snapshot.session if snapshot else self._opened.session
        age, video_since = (snapshot.age, snapshot.video_since) if snapshot else (0.0, None)
        self._lifetime.begin_connection(self._now, age, video_since, bounded=settings.window.trigger is None)
        self._hearing = UserTurnTracker(
            settings.activity,
            limits,
            settings.languages,
            settings.expected_phrases,
            words=settings.words,
            prosody=settings.affective,
        )
        dialogue = self._dialogue = ResumableDialogue(settings, session, limits)
        self._turn_taking, self._proactive_video = TurnTaking(dialogue), ProactiveVideo(dialogue)
        dialogue.now = self._now
        self._out.append(messages.setup_complete_message(session))
        if snapshot is not None:
            self._hearing.restore_state(snapshot.ears)
            dialogue.restore_snapshot(snapshot, self._setup_context)
            self._hearing.phrases = dialogue.settings.expected_phrases
        dialogue.prefill_request()
        dialogue.turn_ended = True
        dialogue.settle_turn()

    def _resolve_settings(self, setup: Setup) -> SessionSettings:
        known = self._opened.settings
        if known is not None:
            return known
        return settings_from_setup(setup, self._profiles, self._opened.version, vertex=self._opened.vertex)

    # What the client says.

    def _handle_client_content(self, content: ClientContent) -> None:
        assert self._dialogue is not None
        assert self._hearing is not None
        if (
            content.turn_complete
            and not content.turns
            and (self._hearing.has_open_utterance or self._hearing.is_catching_up)
        ):
            self._dialogue.answer_after_speech()
            self._hearing.end_stream(self._now)
            return
        if content.turn_complete and not content.turns and self._dialogue.is_reply_unheard:
            return  # everything that was said is being answered
        rest = self._split_off_answers(content)
        if rest is None:
            return
        content, pictures = rest, self._dialogue.settings.pictures
        turns = history.messages_from_contents(content.turns, "client_content.turns", pictures)
        system = [
            instructions_text(c) for c, message in zip(content.turns, turns, strict=True) if message.role == "system"
        ]
        if system:  # replaces the instructions, on every model (docs/protocol.md#contents)
            self._refuse_if_locked("system_instruction", "client_content.turns")
            self._update_dialogue("\n\n".join(system), None)
        said = [message for message in turns if message.role != "system"]
        if content.turn_complete:
            said = history.with_instruction_turn(said)
        if said or not system or (content.turn_complete and self._dialogue.history.messages):
            self._dialogue.take_content(said, complete=bool(content.turn_complete))

    def _split_off_answers(self, content: ClientContent) -> ClientContent | None:
        """Results of calls that are awaited answer them wherever they stand (docs/protocol.md#contents); None: that was
        all."""
        assert self._dialogue is not None
        turns = []
        for i, turn in enumerate(content.turns):
            found = [part.function_response for part in turn.parts if part.function_response is not None]
            answers = self._dialogue.select_awaited(found)
            taken = {id(response) for response in answers}
            rest = tuple(part for part in turn.parts if id(part.function_response) not in taken)
            if answers:
                self._dialogue.take_function_responses(answers, f"client_content.turns[{i}].parts")
            if rest or not answers:
                turns.append(replace(turn, parts=rest) if answers else turn)
        if content.turns and not turns:
            return None
        return replace(content, turns=tuple(turns))

    def _handle_realtime_input(self, said: RealtimeInput) -> None:
        hearing, dialogue, floor, watching = self._hearing, self._dialogue, self._turn_taking, self._proactive_video
        assert hearing is not None
        assert dialogue is not None
        assert floor is not None
        assert watching is not None
        manual = said.activity_start is not None or said.activity_end is not None
        if manual and dialogue.settings.activity.automatic:
            raise errors.EXPLICIT_ACTIVITY.to_error()
        if said.activity_start is not None:
            hearing.begin_activity()
            self._relay_signals()
        images = [(chunk, "realtime_input.media_chunks") for chunk in said.media_chunks]
        for blob, path in [*images, *([(said.video, "realtime_input.video")] if said.video is not None else [])]:
            self._lifetime.note_image(self._now)
            seen = history.parse_image(blob, path, dialogue.settings.pictures)
            dialogue.take_frame(seen, speaking=hearing.has_open_utterance)
            watching.note_frame()
        if said.text:
            dialogue.take_text(said.text, speaking=hearing.has_open_utterance and not floor.overlaps_reply)
        if said.audio_stream_end:
            hearing.end_stream(self._now)
        if said.activity_end is not None:
            hearing.end_activity(self._now)

    def _handle_tool_response(self, said: ToolResponse) -> None:
        assert self._dialogue is not None
        self._dialogue.take_function_responses(said.function_responses)

    def _refuse_if_locked(self, field: str, path: str) -> None:
        """What a token locks is not the client's to change later either. Raises `ProtocolError`."""
        constraints = self._opened.constraints
        if masks.is_locked(field, constraints.setup, constraints.mask):
            raise ProtocolError(f"Invalid value at '{path}': the token of this session locks setup.{field}.")

    def _handle_context_update(self, update: ContextUpdate) -> None:
        assert self._dialogue is not None
        if update.system_instruction is not None:
            self._refuse_if_locked("system_instruction", "context_update.system_instruction")
        if update.tools is not None:
            self._refuse_if_locked("tools", "context_update.tools")
        told = None if update.system_instruction is None else instructions_text(update.system_instruction)
        if update.tools is None:
            self._update_dialogue(told)
            return
        asked, profile = update.tools.tools, self._dialogue.settings.profile
        tools = parse_functions(asked, "context_update.tools.tools", profile.tools, refuses=profile.refuses_tools)
        self._update_dialogue(told, tools, find_missing_tools(asked, profile.tools))

    def _update_dialogue(
        self,
        told: str | None,
        tools: tuple[FunctionDeclaration, ...] | None = None,
        missing_tools: tuple[str, ...] = (),
    ) -> None:
        """Other instructions may give the model another name, which the recogniser is told to expect."""
        assert self._dialogue is not None
        assert self._hearing is not None
        self._dialogue.update_setup(told, tools, missing_tools)
        self._hearing.phrases = self._dialogue.settings.expected_phrases

    # What hearing tells.

    def _relay_signals(self) -> None:
        """Passes on what hearing and dialogue want done, and couples what the one notices with the other."""
        dialogue, floor, watching = self._dialogue, self._turn_taking, self._proactive_video
        if dialogue is None or floor is None or watching is None or self._hearing is None or self._closed:
            return
        while True:
            self._out += dialogue.out
            dialogue.out.clear()
            items = self._hearing.drain_output()
            if not items or self._closed:
                break
            for item in items:
                if isinstance(item, AudioOverrun):
                    wait = f"More than {self._limits.backlog:.0f} s of audio wait to be processed"
                    self._close_session(1008, f"{wait}; send it more slowly.")
                    return
                if isinstance(item, Signal):
                    floor.handle_signal(item)
                    self._out += [*floor.out, *dialogue.out]
                    floor.out.clear()
                    dialogue.out.clear()
                else:
                    self._out.append(item)
        if not self._closed:
            self._out += watching.next_commands()
        if dialogue.turn_ended and not self._closed:
            dialogue.turn_ended = False
            self._save_state()

    # The session's state outlives its connection.

    def _save_state(self, *, leaving: bool = False) -> bool:
        """Tells whether there is anything to be saved."""
        dialogue, hearing = self._dialogue, self._hearing
        if dialogue is None or hearing is None or not dialogue.settings.resumable:
            return False
        life = self._lifetime
        snapshot = replace(
            dialogue.take_snapshot(self._setup_context, hearing.resumable_state),
            age=life.session_age(self._now),
            video_since=life.video_since,
        )
        self._out.append(
            SaveState(snapshot, wants_handle=not leaving, consumed=self._count_consumed(hearing.settled_until))
        )
        return True

    def _count_consumed(self, settled: int) -> int:
        """The client's messages up to the first one whose audio is not settled."""
        while self._unsettled and self._unsettled[0][1] <= settled:
            self._unsettled.popleft()
        return self._unsettled[0][0] if self._unsettled else self._consumed

    def _note_audio_message(self, samples: int, hearing: UserTurnTracker) -> None:
        """Notes a message with audio. Short ones share a note, so that there are few; of these the first one counts."""
        self._count_consumed(hearing.settled_until)
        if self._unsettled and hearing.received_samples - self._last_note_start <= NOTED:
            self._unsettled[-1] = (self._unsettled[-1][0], hearing.received_samples)
        else:
            self._last_note_start = hearing.received_samples - samples
            self._unsettled.append((self._consumed, hearing.received_samples))

    def _handle_departure(self, event: ClientLeft | TakenOver) -> None:
        refusal = errors.RESUMED_ELSEWHERE if isinstance(event, TakenOver) else Refusal(1000, "")
        self._close_session(refusal.code, refusal.reason)

    # Time and the end.

    def _handle_timeouts(self) -> None:
        end = self._lifetime.end
        if end is not None and self._now >= end[0]:
            self._close_session(end[1].code, end[1].reason)
            return
        if self._dialogue is None or self._hearing is None:
            self._expire_setup()
            return
        self._hearing.run_due_timers(self._now)
        self._relay_signals()
        self._dialogue.expire_waits()
        until = self._opened.constraints.until
        if until is not None and self._now >= until:
            self._close_session(errors.TOKEN_EXPIRED_IN_SESSION.code, errors.TOKEN_EXPIRED_IN_SESSION.reason)
        self._announce_end()

    def _expire_setup(self) -> None:
        if self._opened_at is None or self._now < self._opened_at + self._limits.setup:
            return
        if self._setup is None:
            late = errors.setup_late(round(self._limits.setup))
            self._close_session(late.code, late.reason)
        else:
            self._close_session(errors.UNAVAILABLE.code, errors.UNAVAILABLE.reason)

    def _announce_end(self) -> None:
        at = self._lifetime.goodbye_at
        if self._closed or self._dialogue is None or at is None or self._now < at:
            return
        self._lifetime.announced = self._goodbye_waits = True
        if not self._save_state():
            self._send_go_away()

    def _send_go_away(self) -> None:
        """The end is told once there is a handle to go on with, or when there can be none."""
        end = self._lifetime.end
        if self._goodbye_waits and end is not None:
            self._goodbye_waits = False
            self._out.append(messages.go_away_message(end[0] - self._now))

    def _close_session(self, code: int, reason: str, about: str | None = None) -> None:
        """What was said so far is kept; of an answer in progress what was heard. Happens once."""
        if self._closed:
            return
        self._save_state(leaving=True)
        if self._dialogue is not None:
            self._out += self._dialogue.out
            self._dialogue.out.clear()
            self._dialogue.cancel_reply()
            self._out += self._dialogue.out
        self._out.append(CloseConnection(code, close_reason(reason), about))
        self._closed = True
