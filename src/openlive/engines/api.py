"""What an engine is: small protocols, no base class.

An engine measures or generates; it decides nothing about the session. It is created once per process, shared by all
sessions, and never blocks the event loop: heavy work runs in a thread or a process of the engine's own. It raises what
went wrong; the shell turns that into a failure of one turn, and checks what is handed over (`output_checks.py`).
Cancelling the task that iterates (or awaits) stops the work behind it as fast as the runtime can. Nothing here needs
the network once the engine exists, except engines that say so in their name (`openai:http://…`).

One that holds threads, processes, connections or weights has `async def close(self) -> None`, too: it is called when
the server stops, or does not start after all, and nothing is asked of it then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from openlive.types import (
    FunctionDeclaration,
    Image,
    Output,
    Request,
    Speech,
    ToolResult,
    Transcript,
    Voice,
    Written,
)

Emit = Callable[[Output], Awaitable[None]]
"""Takes a piece of a reply, and waits where too much of it is under way (`server/flow.py`): for a client that does not
take it, or for its playback. Raises `HandoverError` for what no engine may hand over."""

Judged = Sequence[tuple[float, int]] | Exception
"""What a detector finds: the probability of speech and the samples of each frame, in order; an error ends it."""


class VADStream(Protocol):
    """The detector's state for one session."""

    def push(self, audio: bytes) -> None:
        """Takes s16le mono 16 kHz of any even length. What does not fill a frame waits for the next push."""
        ...

    def close(self) -> None:
        """Nothing more is told."""
        ...


class VAD(Protocol):
    def stream(self, tell: Callable[[Judged], None]) -> VADStream:
        """`tell` is called in the event loop once frames are judged, never by `push` itself: three of eight messages of
        20 ms fill no frame and wake nobody. Frames of many sessions are computed in one batch."""
        ...


class TurnDetector(Protocol):
    """Tells a user who has finished from one who thinks about the next word."""

    async def finished(self, audio: bytes) -> float:
        """How likely it is (0 to 1) that the turn is over. `audio` is the turn so far, with the pause that it ends in:
        s16le mono 16 kHz."""
        ...


class Addressee(Protocol):
    """Tells what is said to the model from what people around it say to each other, or a television to nobody."""

    async def meant(self, request: Request) -> float:
        """How likely (0 to 1) the last message of `request` is meant for the model. Soon: what is said next waits."""
        ...


class Watcher(Protocol):
    """Tells when a camera shows what is worth a word unasked. An `LLM` may be one, too."""

    async def notices(self, request: Request) -> float:
        """How likely (0 to 1) the image that the last message of `request` ends with shows what the model was asked to
        speak up about, by its instructions or in the conversation. Nobody waits for it: it makes way for any reply."""
        ...


class STT(Protocol):
    def transcribe(
        self,
        audio: AsyncIterator[bytes],
        *,
        languages: Sequence[str] = (),
        phrases: Sequence[str] = (),
        words: bool = False,
    ) -> AsyncIterator[Transcript]:
        """Hears one utterance: chunks of s16le mono 16 kHz as they arrive, a pre-roll first.

        Yields partial transcripts when it has something new, each the whole text so far. An empty chunk (b"") is a
        flush: it is answered by exactly one `Transcript(final=True)` for everything before it, as soon as possible;
        more audio may follow and belongs to the same utterance. The iterator ends after the audio's end; no final
        transcript is owed then. Speech-free audio gives the text "". `languages` are BCP-47 hints (one: that language;
        several: one of them; none: detect), `phrases` words to expect. With `words`, a final transcript tells where the
        words of its text lie, in order and without overlap, if the engine can find out; without, nobody needs them.
        """
        ...


class LLM(Protocol):
    """One that knows may also say what it can hold, `context: int` (in its own tokens), and what it does where a
    request leaves the sampling open, `defaults: Sampling`; `GET models` tells both. One that takes images as they are
    says `sees = True`; to any other the words of an `Image` are all that there is. What it is to be told of itself is
    `about: str`. One that has work to do before it is quick does it in `async def prepare(told)`, behind all sessions;
    `told(done, total)` shows in `/readyz` how far that is."""

    def generate(self, request: Request) -> AsyncIterator[Written]:
        """One reply to `request`, in pieces as they are generated; a last `Usage` where the engine knows it.
        `Progress` shows that it is at work where it has nothing to give for long: silence breaks the reply off."""
        ...

    async def prefill(self, request: Request) -> None:
        """Prepares for a `generate` whose messages begin with these (the last one may grow). May do nothing."""
        ...

    def forget(self, conversation: str) -> None:
        """The conversation is over: what was kept for it may go."""
        ...


class Eyes(Protocol):
    async def describe(self, image: Image) -> str:
        """What can be told of the image to a model that cannot see (`Its text reads: "EXIT 24B"`), some hundred
        characters at most; '' where nothing can. Raises `ValueError` for data that is no image, or too large a one."""
        ...


class TTS(Protocol):
    def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        """Speaks text that arrives in clauses, each ready to be spoken as it is; yields audio as early as it exists.

        The texts of the yielded pieces, joined, are the texts that came in, joined. What an engine cannot change of its
        manner (`Voice.speed`, `pitch`, `gain`) it leaves as it is.
        """
        ...

    @property
    def voices(self) -> Sequence[str]:
        """The API voice names that it can speak with."""
        ...


class Responder(Protocol):
    """A model as a session sees it: `Cascade(llm, tts)`, or a model that speaks by itself."""

    async def reply(self, request: Request, emit: Emit) -> None:
        """Awaits `emit` for each piece of the reply; returns when it is complete."""
        ...

    async def prefill(self, request: Request) -> None: ...

    def forget(self, conversation: str) -> None: ...


class Tool(Protocol):
    """What the model may do on the server in the middle of an answer: search, read a page, run a program."""

    @property
    def declaration(self) -> FunctionDeclaration:
        """What the model is told of it. Its name must not be one that clients would give a function of theirs."""
        ...

    async def run(self, args: dict[str, Any]) -> ToolResult:
        """Does it, within a time limit of its own. `args` are the model's and may be nonsense: what is wrong with them,
        and whatever fails in the world outside, is told in the result, so that the model can make up for it.
        """
        ...

    async def close(self) -> None:
        """The server stops."""
        ...


class EngineError(Exception):
    """An engine cannot be had; the message says which, why, and what to do."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class Resources(Struct, frozen=True):
    """What a factory may use.

    `weights(name)` returns the folder of a catalogue entry and fetches it first where it is absent (blocking, with
    progress shown by whoever made it). `threads` is how many cores one engine may use at once, `memory` the bytes that
    this process may fill with weights. `settings` are the free keys of the engine's table in the configuration.
    `computed` is a folder for what an engine computes once and may find again after a restart; None: there is none.
    """

    weights: Callable[[str], Path]
    threads: int
    memory: int
    settings: dict[str, Any] = {}
    computed: Path | None = None


def parse_voices(settings: Mapping[str, Any], engine: str, example: str) -> dict[str, str]:
    """The setting `voices` of an engine, which says what voice of its own each name is. Raises `EngineError`."""
    value = settings.get("voices", {})
    if not isinstance(value, dict) or not all(isinstance(voice, str) for voice in value.values()):
        raise EngineError(
            f'{engine}: voices = {value!r} is no table of names. Write voices = {{ Puck = "{example}" }}.'
        )
    return value
