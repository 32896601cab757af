"""What hearing notices, in the order of the audio."""

from __future__ import annotations

from msgspec import Struct

from openlive.types import Mood, Word


class SpeechStarted(Struct, frozen=True):
    """The user speaks: the start of the activity, at the sample `at`, is committed."""

    at: int


class SpeechEnded(Struct, frozen=True):
    """The end of the activity, at the sample `at`, is committed."""

    at: int


class SpeechResumed(Struct, frozen=True):
    """The user goes on after what looked like the end."""


class PartialTranscript(Struct, frozen=True):
    """`stable_addition` is to be appended to the transcript that the client has; that makes it `stable_text`.

    `hypothesis` is all that was heard, its end still uncertain.
    """

    stable_text: str
    stable_addition: str
    hypothesis: str
    language: str = ""


class AddresseeQuestion(Struct, frozen=True):
    """Was this meant for the model? Question `number` on the utterance."""

    utterance: int
    number: int
    text: str
    start: int
    end: int


class AddresseeDecided(Struct, frozen=True):
    """The utterance, as far as it goes, was meant for the model, or was not."""

    meant: bool


class EndOfTurnGuess(Struct, frozen=True):
    """If this is the end of the turn, then `text` is what was said."""

    text: str
    start: int
    end: int
    language: str
    mood: Mood = ""
    strong: bool = False


class UtteranceEnded(Struct, frozen=True):
    """The turn is over. `transcript_rest` is what is still missing from the client's transcript, `text` may be ''.

    `meant`: for the model. `ended_at` is when the last sound of it arrived, `decided_at` when its end was decided.
    """

    text: str
    transcript_rest: str
    start: int
    end: int
    manual: bool
    ended_at: float
    decided_at: float
    transcribed_at: float
    words: tuple[Word, ...] = ()
    language: str = ""
    mood: Mood = ""
    strong: bool = False
    meant: bool = True

    @classmethod
    def create_empty(cls, at: int, now: float) -> UtteranceEnded:
        """An activity of the client's that never began."""
        return cls("", "", at, at, manual=True, ended_at=now, decided_at=now, transcribed_at=now)


class UtteranceLost(Struct, frozen=True):
    """The utterance cannot be recognised."""


class StreamEnded(Struct, frozen=True):
    """The microphone is off, and everything that it sent was judged."""


class AudioOverrun(Struct, frozen=True):
    """More audio waits than `SessionLimits.backlog`."""


Signal = (
    SpeechStarted
    | SpeechEnded
    | SpeechResumed
    | PartialTranscript
    | AddresseeQuestion
    | AddresseeDecided
    | EndOfTurnGuess
    | UtteranceEnded
    | UtteranceLost
    | StreamEnded
)
