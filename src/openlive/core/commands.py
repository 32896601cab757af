"""What to do. The shell is the only interpreter; nothing here waits, every answer is a later event."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from openlive.core.memory.snapshot import Snapshot
from openlive.types import FunctionCall, Request
from openlive.wire.server import ServerMessage

Step = Literal["speech_end", "decision", "transcript", "first_token", "first_audio"]
CallStep = Literal["asked", "answered", "cancelled", "waiting", "unanswered", "refused"]
"""`waiting`: it has taken remarkably long already. `unanswered`: the limit ended it. `refused`: too many wait for their
answers for it to be asked."""


class Send(Struct, frozen=True, tag=True):
    """To the client. `turn` > 0 marks content of that turn, which is dropped unsent once the turn is stopped."""

    message: ServerMessage
    turn: int = 0


class DetectSpeech(Struct, frozen=True, tag=True):
    """Judge the session's audio from sample `start` to `end`. A new `stream` number begins with a fresh detector."""

    stream: int
    start: int
    end: int


class StartRecognition(Struct, frozen=True, tag=True):
    """Begin to recognise an utterance. For what else is said see `engines.protocols.STT`. With `prosody`, final
    transcripts tell how it was said."""

    utterance: int
    languages: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    words: bool = False
    prosody: bool = False


class FeedRecognition(Struct, frozen=True, tag=True):
    """The utterance goes on with the session's audio from sample `start` to `end`."""

    utterance: int
    start: int
    end: int


class FlushRecognition(Struct, frozen=True, tag=True):
    """A final transcript of what the utterance has heard is wanted now."""

    utterance: int


class EndRecognition(Struct, frozen=True, tag=True):
    """The utterance is over, its recogniser may go."""

    utterance: int


class JudgeTurn(Struct, frozen=True, tag=True):
    """Has the user finished? The utterance lies in the session's audio from sample `start` to `end`, where it pauses;
    `TurnJudged` may answer."""

    utterance: int
    start: int
    end: int


class JudgeAddressee(Struct, frozen=True, tag=True):
    """Are the last words of `request` meant for the model? They are question `number` on the utterance, and replace an
    earlier one; `AddresseeJudged` may answer."""

    utterance: int
    number: int
    request: Request


class JudgeScene(Struct, frozen=True, tag=True):
    """Does the image that `request` ends with show what the model is to speak up about by itself? `SceneJudged` may
    answer. One at a time."""

    number: int
    request: Request


class CancelSceneJudgement(Struct, frozen=True, tag=True):
    """The answer to `JudgeScene` is not wanted any more: somebody has the floor."""

    number: int


class TrimAudio(Struct, frozen=True, tag=True):
    """The session's audio before sample `before` will not be asked for again."""

    before: int


class Prefill(Struct, frozen=True, tag=True):
    """A reply to something that begins like this will be asked for soon. Replaces an earlier one."""

    request: Request


class StartReply(Struct, frozen=True, tag=True):
    """A reply to `request` is wanted. `held`: it is prepared, and nobody waits for it before `SpeculationOutcome` says
    `used`."""

    turn: int
    request: Request
    held: bool = False


class CancelReply(Struct, frozen=True, tag=True):
    """End the work on the reply of `turn` and drop what is still unsent of it."""

    turn: int


class EndGeneration(Struct, frozen=True, tag=True):
    """End the work on the reply of `turn`: it has come to all that it may. What is still unsent of it is sent."""

    turn: int


class RunTool(Struct, frozen=True, tag=True):
    """Run the server's `tool` for a call of the model's; `ToolFinished` is the answer."""

    tool: str
    call: FunctionCall


class StopTool(Struct, frozen=True, tag=True):
    """What the call with that id comes to is not wanted any more."""

    call: str


class RestoreState(Struct, frozen=True, tag=True):
    """The state behind `handle` is wanted; a connection that still holds the session loses it."""

    handle: str


class SaveState(Struct, frozen=True, tag=True):
    """Store the latest state of the session. Where `wants_handle` is set, `StateSaved` is wanted with a fresh handle.

    `consumed` counts the client's messages of this connection whose effect is in it.
    """

    snapshot: Snapshot
    wants_handle: bool
    consumed: int = 0


class TurnMark(Struct, frozen=True, tag=True):
    """A step of the turn's waterfall was reached at the time `at`."""

    turn: int
    step: Step
    at: float


class SpeculationOutcome(Struct, frozen=True, tag=True):
    """What became of a reply that was prepared before the turn was decided, and the seconds of work on it by then."""

    turn: int
    used: bool
    seconds: float


class ReplyOverdue(Struct, frozen=True, tag=True):
    """The responder gave nothing for `turn` for that many seconds, and is not waited for any longer."""

    turn: int
    seconds: float


class CallMark(Struct, frozen=True, tag=True):
    """A step in the life of a function call, `after` seconds after it was asked for."""

    call: str
    name: str
    step: CallStep
    after: float


class CloseConnection(Struct, frozen=True, tag=True):
    """Close the socket with `code` and `reason` (at most 123 bytes) after everything that was sent before. `about` is
    for logs where the reason may quote what the client sent (`wire.errors.describe_for_logs`), None where it does
    not."""

    code: int
    reason: str
    about: str | None = None


Command = (
    Send
    | DetectSpeech
    | StartRecognition
    | FeedRecognition
    | FlushRecognition
    | EndRecognition
    | JudgeTurn
    | JudgeAddressee
    | JudgeScene
    | CancelSceneJudgement
    | TrimAudio
    | Prefill
    | StartReply
    | CancelReply
    | EndGeneration
    | RunTool
    | StopTool
    | RestoreState
    | SaveState
    | TurnMark
    | SpeculationOutcome
    | ReplyOverdue
    | CallMark
    | CloseConnection
)
