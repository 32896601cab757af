"""The session: one gate for all events, and the couplings between hearing and dialogue."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from msgspec.structs import replace

from openlive.core import messages
from openlive.core.commands import Close, Command, Restore, Save
from openlive.core.events import (
    AddresseeJudged,
    AudioArrived,
    BadRequest,
    ClientSaid,
    Detected,
    Draining,
    Event,
    Failed,
    Finished,
    Left,
    Opened,
    Produced,
    Ran,
    RecogniserMoved,
    Restored,
    Saved,
    SceneJudged,
    TakenOver,
    Transcribed,
    TurnJudged,
)
from openlive.core.lifetime import Lifetime, earliest
from openlive.core.listening.activity import MS
from openlive.core.listening.signals import Overrun, Signal
from openlive.core.listening.user_turn import Hearing
from openlive.core.memory import history
from openlive.core.memory.history import ContextFullError
from openlive.core.memory.resumption import Kept
from openlive.core.memory.snapshot import Snapshot
from openlive.core.replying.dialogue import Dialogue
from openlive.core.replying.proactive_video import Watching
from openlive.core.setup import masks
from openlive.core.setup.declarations import functions, missing
from openlive.core.setup.limits import Limits
from openlive.core.setup.profile import Profile
from openlive.core.setup.settings import Settings, from_setup, instructions
from openlive.core.turn_taking import Floor
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
_ANSWERS = (Produced, Finished, RecogniserMoved, Transcribed, Ran, Detected)
"""Of engines and tools: they are in time if they are there when the time is up, even where they are read later."""


class Session:
    """`handle` takes what happened and returns what to do; call it with None no later than `deadline`.

    Total and atomic: any event in any state, no waiting, no exceptions for what a client or an engine does.
    """

    def __init__(self, profiles: Mapping[str, Profile], limits: Limits | None = None) -> None:
        self._profiles = profiles
        self._limits = limits or Limits()
        self._opened = Opened("")
        self._opened_at: float | None = None
        self._setup: Setup | None = None
        self._early: list[Event] = []
        """What arrived while the state of a resumed session was being fetched."""
        self._hearing: Hearing | None = None
        self._dialogue: Kept | None = None
        self._floor: Floor | None = None
        self._watching: Watching | None = None
        self._first: tuple[str, tuple[FunctionDeclaration, ...]] = ("", ())
        """Instructions and functions as the setup has them."""
        self._consumed = 0
        """Messages of the client on this connection."""
        self._unsettled: deque[tuple[int, int]] = deque()
        """Of those with audio that may still matter: number, and the samples received with it."""
        self._noted = 0
        """Samples received before the last of these."""
        self._lifetime = Lifetime(self._limits)
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
                self._take(event)
                event = None
            if due and not self._closed:
                self._expire()
            if event is not None and not self._closed:
                self._take(event)
            self._pump()
        except ProtocolError as error:
            self._close(error.code, error.reason, error.about)
        except ContextFullError as error:
            self._close(errors.INVALID_ARGUMENT.code, str(error))
        self.deadline = self._next_deadline()
        out, self._out = self._out, []
        return out

    def _next_deadline(self) -> float | None:
        if self._closed:
            return None
        end = self._lifetime.end
        limits = None if end is None else end[0], self._opened.constraints.until
        if self._dialogue is None or self._hearing is None:
            return earliest(*limits, None if self._opened_at is None else self._opened_at + self._limits.setup)
        return earliest(*limits, self._lifetime.goodbye_at, self._dialogue.deadline, self._hearing.deadline)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, as the next request will begin."""
        return self._dialogue.history.messages if self._dialogue is not None else ()

    # The gate: what is stale or comes before the setup goes no further.

    def _take(self, event: Event) -> None:
        match event:
            case AudioArrived() | Detected() if self._hearing is not None and self._dialogue is not None:
                self._happened(event, self._hearing, self._dialogue)  # first, because almost all events are these
            case Opened():
                self._opened = event
                self._opened_at = self._now if self._opened_at is None else self._opened_at
            case BadRequest(code, reason):
                self._close(code, reason, errors.about(reason))
            case Restored():
                self._restored(event)
            case Draining(seconds):
                self._lifetime.drain(self._now, seconds)
                self._say_goodbye()
            case Left() | TakenOver():
                self._leave(event)
            case Saved(handle, consumed):
                index = consumed if self._dialogue and self._dialogue.settings.transparent else None
                self._out.append(messages.resumable(handle, index))
                self._go_away()
            case Failed("store"):
                self._go_away()
            case _ if self._setup is not None and self._dialogue is None:
                if len(self._early) >= EARLY:
                    raise ProtocolError(f"{EARLY} messages came before the session was there; wait for setupComplete.")
                self._early.append(event)
            case ClientSaid(message, more):
                self._consumed += not more
                self._client_said(message)
            case _ if self._hearing is None or self._dialogue is None:
                raise errors.SETUP_FIRST.error()
            case _:
                self._happened(event, self._hearing, self._dialogue)

    def _happened(self, event: Event, hearing: Hearing, dialogue: Dialogue) -> None:
        """The audio, and what the engines answer."""
        match event:
            case AudioArrived(samples, more):
                hearing.arrived(samples, self._now)
                if dialogue.settings.transparent:
                    self._note(samples, hearing)
                self._consumed += not more
            case Detected(stream, frames):
                hearing.beside = dialogue.settings.by_words and dialogue.answering
                hearing.detected(stream, frames, self._now)
            case TurnJudged(utterance, end, finished):
                hearing.judged(utterance, end, finished, self._now)
            case AddresseeJudged(utterance, number, meant):
                hearing.addressed(utterance, number, meant, self._now)
            case SceneJudged() | Failed("scene") if self._watching is not None:
                self._watching.judged(event)
            case Failed("addressee", utterance):
                hearing.addressee_failed(utterance, self._now)
            case RecogniserMoved() | Transcribed() | Failed("stt"):
                hearing.recognised(event, self._now)
            case Failed("vad", number):
                hearing.detector_failed(number, self._now)
            case Produced(turn, output) if dialogue.works_on(turn):
                dialogue.produced(output)
            case Finished(turn) if dialogue.works_on(turn):
                dialogue.finished()
            case Failed("reply", turn) if dialogue.works_on(turn):
                dialogue.failed()
            case Failed("call", turn) if dialogue.works_on(turn):
                dialogue.failed(TurnCompleteReason.MALFORMED_FUNCTION_CALL)
            case Ran(call, result):
                dialogue.ran(call, result)

    # The setup.

    def _client_said(self, message: ClientMessage) -> None:
        if self._setup is None:
            if message.setup is None:
                raise errors.SETUP_FIRST.error()
            self._set_up(message.setup)
        elif message.setup is not None:
            raise errors.SETUP_FIRST.error()
        elif message.client_content is not None:
            self._content(message.client_content)
        elif message.realtime_input is not None:
            self._realtime(message.realtime_input)
        elif message.tool_response is not None:
            self._tool_response(message.tool_response)
        elif message.context_update is not None:
            self._context_update(message.context_update)

    def _set_up(self, setup: Setup) -> None:
        if self._opened.refusal is not None:
            raise self._opened.refusal.error()
        if self._lifetime.draining:
            raise errors.UNAVAILABLE.error()
        constraints = self._opened.constraints
        self._setup = setup = masks.locked(setup, constraints.setup, constraints.mask)
        handle = setup.session_resumption.handle if setup.session_resumption else None
        if handle:
            self._settings(setup)  # refuses before anything is taken over
            self._out.append(Restore(handle))
        else:
            self._begin(setup, None)

    def _restored(self, event: Restored) -> None:
        if self._setup is None or self._dialogue is not None:
            return
        if event.snapshot is None:
            raise (event.refusal or errors.ENTITY_NOT_FOUND).error()
        self._begin(self._setup, event.snapshot)
        early, self._early = self._early, []
        for waiting in early:
            if not self._closed:
                self._take(waiting)
                self._pump()

    def _begin(self, setup: Setup, snapshot: Snapshot | None) -> None:
        settings = self._settings(setup)
        self._first = (settings.instructions, settings.functions)
        limits = self._limits
        session = snapshot.session if snapshot else self._opened.session
        age, video_since = (snapshot.age, snapshot.video_since) if snapshot else (0.0, None)
        self._lifetime.begin(self._now, age, video_since, bounded=settings.window.trigger is None)
        self._hearing = Hearing(
            settings.activity,
            limits,
            settings.languages,
            settings.expected,
            words=settings.words,
            prosody=settings.affective,
        )
        dialogue = self._dialogue = Kept(settings, session, limits)
        self._floor, self._watching = Floor(dialogue), Watching(dialogue)
        dialogue.now = self._now
        self._out.append(messages.setup_complete(session))
        if snapshot is not None:
            self._hearing.remember(snapshot.ears)
            dialogue.restore(snapshot, self._first)
            self._hearing.phrases = dialogue.settings.expected
        dialogue.prepare()
        dialogue.rested = True
        dialogue.settle()

    def _settings(self, setup: Setup) -> Settings:
        known = self._opened.settings
        if known is not None:
            return known
        return from_setup(setup, self._profiles, self._opened.version, vertex=self._opened.vertex)

    # What the client says.

    def _content(self, content: ClientContent) -> None:
        assert self._dialogue is not None
        assert self._hearing is not None
        if content.turn_complete and not content.turns and (self._hearing.speaking or self._hearing.catching_up):
            self._dialogue.ask_after_speech()
            self._hearing.stream_ended(self._now)
            return
        if content.turn_complete and not content.turns and self._dialogue.unheard:
            return  # everything that was said is being answered
        rest = self._answers_apart(content)
        if rest is None:
            return
        content, pictures = rest, self._dialogue.settings.pictures
        turns = history.from_contents(content.turns, "client_content.turns", pictures)
        system = [instructions(c) for c, message in zip(content.turns, turns, strict=True) if message.role == "system"]
        if system:  # replaces the instructions, on every model (docs/protocol.md#contents)
            self._refuse_if_locked("system_instruction", "client_content.turns")
            self._update("\n\n".join(system), None)
        said = [message for message in turns if message.role != "system"]
        if content.turn_complete:
            said = history.with_wishes(said)
        if said or not system or (content.turn_complete and self._dialogue.history.messages):
            self._dialogue.content(said, complete=bool(content.turn_complete))

    def _answers_apart(self, content: ClientContent) -> ClientContent | None:
        """Results of calls that are awaited answer them wherever they stand (docs/protocol.md#contents); None: that was
        all."""
        assert self._dialogue is not None
        turns = []
        for i, turn in enumerate(content.turns):
            found = [part.function_response for part in turn.parts if part.function_response is not None]
            answers = self._dialogue.awaited(found)
            taken = {id(response) for response in answers}
            rest = tuple(part for part in turn.parts if id(part.function_response) not in taken)
            if answers:
                self._dialogue.respond(answers, f"client_content.turns[{i}].parts")
            if rest or not answers:
                turns.append(replace(turn, parts=rest) if answers else turn)
        if content.turns and not turns:
            return None
        return replace(content, turns=tuple(turns))

    def _realtime(self, said: RealtimeInput) -> None:
        hearing, dialogue, floor, watching = self._hearing, self._dialogue, self._floor, self._watching
        assert hearing is not None
        assert dialogue is not None
        assert floor is not None
        assert watching is not None
        manual = said.activity_start is not None or said.activity_end is not None
        if manual and dialogue.settings.activity.automatic:
            raise errors.EXPLICIT_ACTIVITY.error()
        if said.activity_start is not None:
            hearing.begin()
            self._pump()
        images = [(chunk, "realtime_input.media_chunks") for chunk in said.media_chunks]
        for blob, path in [*images, *([(said.video, "realtime_input.video")] if said.video is not None else [])]:
            self._lifetime.saw(self._now)
            seen = history.image(blob, path, dialogue.settings.pictures)
            dialogue.see(seen, speaking=hearing.speaking)
            watching.saw()
        if said.text:
            dialogue.text(said.text, speaking=hearing.speaking and not floor.beside)
        if said.audio_stream_end:
            hearing.stream_ended(self._now)
        if said.activity_end is not None:
            hearing.end(self._now)

    def _tool_response(self, said: ToolResponse) -> None:
        assert self._dialogue is not None
        self._dialogue.respond(said.function_responses)

    def _refuse_if_locked(self, field: str, path: str) -> None:
        """What a token locks is not the client's to change later either. Raises `ProtocolError`."""
        constraints = self._opened.constraints
        if masks.locks(field, constraints.setup, constraints.mask):
            raise ProtocolError(f"Invalid value at '{path}': the token of this session locks setup.{field}.")

    def _context_update(self, update: ContextUpdate) -> None:
        assert self._dialogue is not None
        if update.system_instruction is not None:
            self._refuse_if_locked("system_instruction", "context_update.system_instruction")
        if update.tools is not None:
            self._refuse_if_locked("tools", "context_update.tools")
        told = None if update.system_instruction is None else instructions(update.system_instruction)
        if update.tools is None:
            self._update(told)
            return
        asked, profile = update.tools.tools, self._dialogue.settings.profile
        tools = functions(asked, "context_update.tools.tools", profile.tools, refuses=profile.refuses_tools)
        self._update(told, tools, missing(asked, profile.tools))

    def _update(
        self,
        told: str | None,
        tools: tuple[FunctionDeclaration, ...] | None = None,
        missing_tools: tuple[str, ...] = (),
    ) -> None:
        """Other instructions may give the model another name, which the recogniser is told to expect."""
        assert self._dialogue is not None
        assert self._hearing is not None
        self._dialogue.update(told, tools, missing_tools)
        self._hearing.phrases = self._dialogue.settings.expected

    # What hearing tells.

    def _pump(self) -> None:
        """Passes on what hearing and dialogue want done, and couples what the one notices with the other."""
        dialogue, floor, watching = self._dialogue, self._floor, self._watching
        if dialogue is None or floor is None or watching is None or self._hearing is None or self._closed:
            return
        while True:
            self._out += dialogue.out
            dialogue.out.clear()
            items = self._hearing.drain()
            if not items or self._closed:
                break
            for item in items:
                if isinstance(item, Overrun):
                    wait = f"More than {self._limits.backlog:.0f} s of audio wait to be processed"
                    self._close(1008, f"{wait}; send it more slowly.")
                    return
                if isinstance(item, Signal):
                    floor.noticed(item)
                    self._out += [*floor.out, *dialogue.out]
                    floor.out.clear()
                    dialogue.out.clear()
                else:
                    self._out.append(item)
        if not self._closed:
            self._out += watching.look()
        if dialogue.rested and not self._closed:
            dialogue.rested = False
            self._save()

    # The session's state outlives its connection.

    def _save(self, *, leaving: bool = False) -> bool:
        """Tells whether there is anything to be saved."""
        dialogue, hearing = self._dialogue, self._hearing
        if dialogue is None or hearing is None or not dialogue.settings.resumable:
            return False
        life = self._lifetime
        snapshot = replace(
            dialogue.snapshot(self._first, hearing.memory), age=life.age(self._now), video_since=life.video_since
        )
        self._out.append(Save(snapshot, tell=not leaving, consumed=self._consumed_before(hearing.settled)))
        return True

    def _consumed_before(self, settled: int) -> int:
        """The client's messages up to the first one whose audio is not settled."""
        while self._unsettled and self._unsettled[0][1] <= settled:
            self._unsettled.popleft()
        return self._unsettled[0][0] if self._unsettled else self._consumed

    def _note(self, samples: int, hearing: Hearing) -> None:
        """Notes a message with audio. Short ones share a note, so that there are few; of these the first one counts."""
        self._consumed_before(hearing.settled)
        if self._unsettled and hearing.received - self._noted <= NOTED:
            self._unsettled[-1] = (self._unsettled[-1][0], hearing.received)
        else:
            self._noted = hearing.received - samples
            self._unsettled.append((self._consumed, hearing.received))

    def _leave(self, event: Left | TakenOver) -> None:
        refusal = errors.RESUMED_ELSEWHERE if isinstance(event, TakenOver) else Refusal(1000, "")
        self._close(refusal.code, refusal.reason)

    # Time and the end.

    def _expire(self) -> None:
        end = self._lifetime.end
        if end is not None and self._now >= end[0]:
            self._close(end[1].code, end[1].reason)
            return
        if self._dialogue is None or self._hearing is None:
            self._expire_setup()
            return
        self._hearing.expire(self._now)
        self._pump()
        self._dialogue.expire()
        until = self._opened.constraints.until
        if until is not None and self._now >= until:
            self._close(errors.TOKEN_EXPIRED_IN_SESSION.code, errors.TOKEN_EXPIRED_IN_SESSION.reason)
        self._say_goodbye()

    def _expire_setup(self) -> None:
        if self._opened_at is None or self._now < self._opened_at + self._limits.setup:
            return
        if self._setup is None:
            late = errors.setup_late(round(self._limits.setup))
            self._close(late.code, late.reason)
        else:
            self._close(errors.UNAVAILABLE.code, errors.UNAVAILABLE.reason)

    def _say_goodbye(self) -> None:
        at = self._lifetime.goodbye_at
        if self._closed or self._dialogue is None or at is None or self._now < at:
            return
        self._lifetime.announced = self._goodbye_waits = True
        if not self._save():
            self._go_away()

    def _go_away(self) -> None:
        """The end is told once there is a handle to go on with, or when there can be none."""
        end = self._lifetime.end
        if self._goodbye_waits and end is not None:
            self._goodbye_waits = False
            self._out.append(messages.go_away(end[0] - self._now))

    def _close(self, code: int, reason: str, about: str | None = None) -> None:
        """What was said so far is kept; of an answer in progress what was heard. Happens once."""
        if self._closed:
            return
        self._save(leaving=True)
        if self._dialogue is not None:
            self._out += self._dialogue.out
            self._dialogue.out.clear()
            self._dialogue.stop()
            self._out += self._dialogue.out
        self._out.append(Close(code, close_reason(reason), about))
        self._closed = True
