"""One turn of the model: its output, held or sent, and the clock of its playback."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from openlive.core.commands import Command, Mark, Prepared, Send, Step
from openlive.core.memory import tokens
from openlive.core.memory.snapshot import Spent
from openlive.core.messages import TRANSCRIPT_END
from openlive.core.replying import playout
from openlive.core.replying.output_limit import Allowance
from openlive.types import OUTPUT_RATE, FunctionCall, Output, Progress, Request, Speech, Text, Thought, Usage, Word
from openlive.wire.content import Blob, Content, Part
from openlive.wire.server import (
    MediaModality,
    ServerContent,
    ServerMessage,
    Transcription,
    TurnCompleteReason,
    UsageMetadata,
    WordInfo,
    duration,
)

CHUNK = OUTPUT_RATE // 5
"""Samples of audio in one message: 200 ms. The original sends 50 to 250 ms (docs/protocol.md#sound)."""
AUDIO_MIME = f"audio/pcm;rate={OUTPUT_RATE}"


class Shown(Struct, frozen=True):
    """What the client is told of a reply beside its content: the transcript of the speech, its end, the offsets of its
    words and its language (BCP-47); thoughts."""

    transcript: bool = False
    end: bool = True
    words: bool = False
    language: str | None = None
    thoughts: bool = False


class Reply:
    """The output is held while the end of the user's turn is undecided; `release` gives it back to be sent."""

    def __init__(
        self,
        turn: int,
        request: Request,
        shown: Shown,
        *,
        held: bool,
        now: float,
        limit: int,
        spent: Spent | None = None,
    ) -> None:
        self.turn = turn
        self.request = request
        self.held = held
        self.reason: TurnCompleteReason | None = None
        self._begun_at = self.progress_at = now
        """When the responder was last heard of."""
        self.generated = False
        self.calls: list[FunctionCall] = []
        """The function calls that were made in it."""
        self.usage: Usage | None = None
        """By the engine's own count, where it told."""
        self._spent = spent or Spent(plays_until=now)
        self._allowance = Allowance(limit, self._spent, spoken=request.voice is not None)
        self._shown = shown
        self._transcribing = self._spent.transcribing
        self._waiting: list[Output] = []
        self._pieces: list[playout.Piece] = []
        self._written: list[str] = []
        self._samples = 0
        self._thoughts = 0
        self._plays_until = max(now, self._spent.plays_until)
        self._steps: dict[Step, float] = {}
        self._prompt: tokens.Counts | None = None

    @classmethod
    def resumed(cls, turn: int, request: Request, spent: Spent, prompt: tokens.Counts) -> Reply:
        """A part that an earlier connection asked for, whose request is not there any more."""
        reply = cls(turn, request, Shown(), held=False, now=0.0, limit=0, spent=spent)
        reply.generated, reply._prompt = True, prompt
        return reply

    # What comes in.

    def note(self, output: Output, now: float) -> list[Command]:
        """The responder is at work: keeps its clock and its waterfall."""
        self.progress_at = now
        match output:
            case Text() | Thought() | FunctionCall():
                return self.mark("first_token", now)
            case Speech(pcm) if pcm:
                return self.mark("first_audio", now)
            case Usage() | Speech() | Progress():
                return []

    def take(self, output: Output) -> Output | None:
        """What the limit of the turn leaves of it."""
        return self._allowance.take(output)

    @property
    def exceeded(self) -> bool:
        """The responder gave more than the turn may come to."""
        return self._allowance.exceeded

    def hold(self, output: Output) -> None:
        self._waiting.append(output)

    def release(self) -> tuple[list[Output], list[Command]]:
        """What was held, and the waterfall so far."""
        self.held = False
        waiting, self._waiting = self._waiting, []
        return waiting, [Mark(self.turn, step, at) for step, at in self._steps.items()]

    def prepared(self, now: float, *, used: bool) -> Prepared:
        """What the work on it has come to, now that the turn is decided or goes on."""
        return Prepared(self.turn, used, (self.progress_at if self.generated else now) - self._begun_at)

    def fail(self, reason: TurnCompleteReason) -> None:
        """The responder broke: what was sent is played out, then the turn ends and says why."""
        self.generated, self.reason = True, reason

    # How it ends.

    @property
    def plays_until(self) -> float:
        """When the client's playback ends if it began at once and never paused."""
        return self._plays_until

    def complete(self) -> Command:
        content = ServerContent(turn_complete=True, turn_complete_reason=self.reason)
        return Send(ServerMessage(server_content=content, usage_metadata=self._usage()))

    def usage_alone(self) -> Command:
        """Of a sentence after which the turn goes on."""
        return Send(ServerMessage(usage_metadata=self._usage()))

    def spent(self) -> Spent:
        """What a next part of the same turn begins with."""
        return Spent(
            plays_until=self._plays_until,
            samples=self._spent.samples + self._samples,
            text=self._spent.text + self._text_tokens(),
            thoughts=self._spent.thoughts + self._thoughts,
            transcribing=self._transcribing,
        )

    @property
    def asks(self) -> bool:
        """It is all there, and its last sentence is a question."""
        return self.generated and not self.held and self.text.rstrip(' \n"»”)*').endswith(("?", "？", "؟"))

    def heard(self, now: float) -> str:
        """The words whose playback had ended by `now`; of a text reply what was sent."""
        if self.request.voice is None:
            return "".join(self._written)
        return "".join(playout.heard(piece, now) for piece in self._pieces)

    @property
    def text(self) -> str:
        """Everything that was sent: the text, or the words of the audio."""
        if self.request.voice is None:
            return "".join(self._written)
        return "".join(piece.text for piece in self._pieces)

    def _text_tokens(self) -> int:
        """Text that was sent, and the calls: they are text, too (docs/protocol.md#recorded-turns, T4)."""
        written = tokens.of_text("".join(self._written))
        return written + sum(tokens.of_call(call) for call in self.calls)

    @property
    def prompt(self) -> tokens.Counts:
        """What its request counts."""
        return tokens.of_request(self.request) if self._prompt is None else self._prompt

    def _usage(self) -> UsageMetadata:
        spent = self.spent()
        spoken = self.request.voice is not None
        response = Counter({MediaModality.AUDIO: tokens.of_speech(spent.samples)} if spoken else {})
        response[MediaModality.TEXT] += spent.text
        return tokens.usage(self.prompt, response, spent.thoughts)

    # What goes out.

    def send(self, output: Output, now: float) -> list[Command]:
        """Text, thoughts and speech; calls are the dialogue's."""
        match output:
            case Text("") | Thought(""):
                return []
            case Text(text) if self.request.voice is None:
                self._written.append(text)
                return [self._content(Part(text=text))]
            case Speech() if self.request.voice is not None:
                return self._speak(output, now)
            case Thought(text):
                self._thoughts += tokens.of_text(text)
                return [self._content(Part(text=text, thought=True))] if self._shown.thoughts else []
        return []

    def _speak(self, speech: Speech, now: float) -> list[Command]:
        samples = len(speech.pcm) // 2
        start = max(self._plays_until, now)
        self._plays_until = end = start + samples / OUTPUT_RATE
        offset = self._spent.samples + self._samples
        self._samples += samples
        ends = tuple(start + word.end / OUTPUT_RATE for word in speech.words)
        if speech.text:
            self._pieces.append(playout.Piece(speech.text, start, end, ends))
        out: list[Command] = []
        if speech.text and self._shown.transcript:
            words = tuple(_timed(word, offset) for word in (speech.words if self._shown.words else ()))
            transcript = Transcription(text=speech.text, words=words, language_code=self._shown.language)
            out.append(self._transcript(transcript))
            self._transcribing = True
        for begin in range(0, samples * 2, CHUNK * 2):
            blob = Blob(mime_type=AUDIO_MIME, data=speech.pcm[begin : begin + CHUNK * 2])
            out.append(self._content(Part(inline_data=blob)))
        return out

    def generation_complete(self) -> list[Command]:
        """Of a reply without any output there is nothing to be told (docs/protocol.md#native-audio)."""
        if self.silent:
            return []
        out = self.end_transcript()
        out.append(Send(ServerMessage(server_content=ServerContent(generation_complete=True)), self.turn))
        return out

    @property
    def silent(self) -> bool:
        """Nothing of it was told, not even a text without a sound ("👍")."""
        spent = self.spent()
        return not (spent.samples or spent.text or spent.thoughts or self.calls or self._pieces)

    def end_transcript(self) -> list[Command]:
        """Once, if there is any."""
        told, self._transcribing = self._transcribing and self._shown.end, False
        return [Send(ServerMessage(server_content=ServerContent(output_transcription=TRANSCRIPT_END)))] if told else []

    def _content(self, part: Part) -> Send:
        content = ServerContent(model_turn=Content(role="model", parts=(part,)))
        return Send(ServerMessage(server_content=content), self.turn)

    def _transcript(self, transcription: Transcription) -> Send:
        return Send(ServerMessage(server_content=ServerContent(output_transcription=transcription)), self.turn)

    # The waterfall.

    def mark(self, step: Step, at: float) -> list[Command]:
        """Notes the first time of a step; told at once, or when the reply is released."""
        if step in self._steps:
            return []
        self._steps[step] = at
        return [] if self.held else [Mark(self.turn, step, at)]


def _timed(word: Word, offset: int) -> WordInfo:
    """`offset`: samples of the turn's audio before the piece of the word."""
    start, end = (duration((offset + at) / OUTPUT_RATE) for at in (word.start, word.end))
    return WordInfo(word=word.text, start_offset=start, end_offset=end)
