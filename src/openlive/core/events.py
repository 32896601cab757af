"""What happened. The shell turns sockets, clocks and engines into these and hands them to `Session.handle`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from openlive.core.memory.snapshot import Snapshot
from openlive.core.setup.settings import SessionSettings
from openlive.types import Output, ToolResult, Transcript
from openlive.wire.client import ClientMessage
from openlive.wire.errors import Refusal
from openlive.wire.setup import Setup

Stage = Literal["vad", "turn", "addressee", "scene", "stt", "reply", "call", "store"]
"""`call`: the model called a function in a way that nobody can make sense of."""


class Constraints(Struct, frozen=True):
    """What the client's token locks. `mask` names the fields (snake_case paths) that come from `setup` whatever the
    client says; None: all of it does, if there is a setup (docs/protocol.md#ephemeral-tokens). `until`: when the token
    ends a session.
    """

    setup: Setup | None = None
    mask: tuple[str, ...] | None = None
    until: float | None = None


class ConnectionOpened(Struct, frozen=True, tag=True):
    """A client is there. `session` is a fresh unguessable id; `version` that of its path (`v1beta`), and `vertex` says
    that it came by Vertex's, where more can be asked for.

    Told again just before the setup: only then is it known who may come in and on what terms. `refusal` is set where
    the client may not; it is told at the setup, because the SDKs understand a close only then
    (docs/protocol.md#connecting). `settings`: what the setup comes to, where that was worked out already.
    """

    session: str
    version: str = "v1beta"
    refusal: Refusal | None = None
    constraints: Constraints = Constraints()
    vertex: bool = False
    settings: SessionSettings | None = None


class StateRestored(Struct, frozen=True, tag=True):
    """The answer to `RestoreState`: the state behind the handle, or why there is none."""

    snapshot: Snapshot | None
    refusal: Refusal | None = None


class StateSaved(Struct, frozen=True, tag=True):
    """A state was stored: `handle` names the session from now on. `consumed` is that of its `SaveState`."""

    handle: str
    consumed: int = 0


class ClientLeft(Struct, frozen=True, tag=True):
    """The client is gone."""


class TakenOver(Struct, frozen=True, tag=True):
    """The session is resumed on another connection."""


class ServerDraining(Struct, frozen=True, tag=True):
    """The server ends; connections are closed after `seconds`."""

    seconds: float


class MessageReceived(Struct, frozen=True, tag=True):
    """A message of the client, its audio taken out: that has become `AudioArrived`.

    `more`: it is a part of a message, and another one follows.
    """

    message: ClientMessage
    more: bool = False


class BadRequest(Struct, frozen=True, tag=True):
    """The client sent what cannot be read; `code` and `reason` say what the session is closed with."""

    code: int
    reason: str


class AudioArrived(Struct, frozen=True, tag=True):
    """`samples` more of the user's audio (16 kHz) lie in the shell's buffer. `more` is that of `MessageReceived`."""

    samples: int
    more: bool = False


class FramesJudged(Struct, frozen=True, tag=True):
    """The next frames of a detection stream: (probability of speech, samples) each."""

    stream: int
    frames: tuple[tuple[float, int], ...]


class TurnJudged(Struct, frozen=True, tag=True):
    """How likely the utterance was over with its pause at the sample `end`."""

    utterance: int
    end: int
    finished: float


class AddresseeJudged(Struct, frozen=True, tag=True):
    """How likely the words of question `number` on the utterance were meant for the model."""

    utterance: int
    number: int
    meant: float


class SceneJudged(Struct, frozen=True, tag=True):
    """How likely the frame of question `number` shows what the model is to speak up about by itself."""

    number: int
    likely: float


class RecogniserProgressed(Struct, frozen=True, tag=True):
    """The final transcript of an utterance is asked for, and another one that waited before it is there: the recogniser
    is at work."""

    utterance: int


class Transcribed(Struct, frozen=True, tag=True):
    utterance: int
    transcript: Transcript


class OutputProduced(Struct, frozen=True, tag=True):
    """A piece of the reply of `turn`."""

    turn: int
    output: Output


class ReplyFinished(Struct, frozen=True, tag=True):
    """The reply of `turn` is complete."""

    turn: int


class ToolFinished(Struct, frozen=True, tag=True):
    """What the tool came to that ran for the call with that id."""

    call: str
    result: ToolResult


class StageFailed(Struct, frozen=True, tag=True):
    """An engine raised, or a state could not be stored. `number`: the stream, utterance or turn that it was for."""

    stage: Stage
    number: int
    reason: str


Event = (
    ConnectionOpened
    | StateRestored
    | StateSaved
    | ClientLeft
    | TakenOver
    | ServerDraining
    | MessageReceived
    | BadRequest
    | AudioArrived
    | FramesJudged
    | TurnJudged
    | AddresseeJudged
    | SceneJudged
    | RecogniserProgressed
    | Transcribed
    | OutputProduced
    | ReplyFinished
    | ToolFinished
    | StageFailed
)
