"""One turn of the model: its output, held or sent, and the clock of its playback."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from openlive.core.commands import Command, Send, SpeculationOutcome, Step, TurnMark
from openlive.core.memory import tokens
from openlive.core.memory.snapshot import TurnOutput
from openlive.core.messages import TRANSCRIPT_END
from openlive.core.replying import playout
from openlive.core.replying.output_limit import OutputLimit
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
    format_duration,
)

CHUNK = OUTPUT_RATE // 5
"""Samples of audio in one message: 200 ms. The original sends 50 to 250 ms (docs/protocol.md#sound)."""
AUDIO_MIME = f"audio/pcm;rate={OUTPUT_RATE}"


class ReplyExtras(Struct, frozen=True):
    """What the client is told of a reply beside its content: the transcript of the speech, its end, the offsets of its
    words and its language (BCP-47); thoughts."""

    transcript: bool = False
    end: bool = True
    words: bool = False
    language: str | None = None
    thoughts: bool = False


class Reply:
    """The output is held while the end of the user's turn is undecided; `release_output` gives it back to be sent."""

    def __init__(
        self,
        turn: int,
        request: Request,
        shown: ReplyExtras,
        *,
        held: bool,
        now: float,
        limit: int,
        spent: TurnOutput | None = None,
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
        self._earlier_output = spent or TurnOutput(plays_until=now)
        self._output_limit = OutputLimit(limit, self._earlier_output, spoken=request.voice is not None)
        self._extras = shown
        self._has_open_transcript = self._earlier_output.transcribing
        self._held_output: list[Output] = []
        self._playout_pieces: list[playout.PlayoutPiece] = []
        self._text_pieces: list[str] = []
        self._samples = 0
        self._thoughts = 0
        self._plays_until = max(now, self._earlier_output.plays_until)
        self._steps: dict[Step, float] = {}
        self._prompt_counts: tokens.Counts | None = None

    @classmethod
    def create_resumed(cls, turn: int, request: Request, spent: TurnOutput, prompt: tokens.Counts) -> Reply:
        """A part that an earlier connection asked for, whose request is not there any more."""
        reply = cls(turn, request, ReplyExtras(), held=False, now=0.0, limit=0, spent=spent)
        reply.generated, reply._prompt_counts = True, prompt
        return reply

    # What comes in.

    def note_progress(self, output: Output, now: float) -> list[Command]:
        """The responder is at work: keeps its clock and its waterfall."""
        self.progress_at = now
        match output:
            case Text() | Thought() | FunctionCall():
                return self.mark_step("first_token", now)
            case Speech(pcm) if pcm:
                return self.mark_step("first_audio", now)
            case Usage() | Speech() | Progress():
                return []

    def admit_output(self, output: Output) -> Output | None:
        """What the limit of the turn leaves of it."""
        return self._output_limit.admit_output(output)

    @property
    def has_exceeded_limit(self) -> bool:
        """The responder gave more than the turn may come to."""
        return self._output_limit.exceeded

    def hold_output(self, output: Output) -> None:
        self._held_output.append(output)

    def release_output(self) -> tuple[list[Output], list[Command]]:
        """What was held, and the waterfall so far."""
        self.held = False
        waiting, self._held_output = self._held_output, []
        return waiting, [TurnMark(self.turn, step, at) for step, at in self._steps.items()]

    def speculation_outcome(self, now: float, *, used: bool) -> SpeculationOutcome:
        """What the work on it has come to, now that the turn is decided or goes on."""
        return SpeculationOutcome(self.turn, used, (self.progress_at if self.generated else now) - self._begun_at)

    def mark_failed(self, reason: TurnCompleteReason) -> None:
        """The responder broke: what was sent is played out, then the turn ends and says why."""
        self.generated, self.reason = True, reason

    # How it ends.

    @property
    def plays_until(self) -> float:
        """When the client's playback ends if it began at once and never paused."""
        return self._plays_until

    def build_turn_complete(self) -> Command:
        content = ServerContent(turn_complete=True, turn_complete_reason=self.reason)
        return Send(ServerMessage(server_content=content, usage_metadata=self._usage_metadata()))

    def build_usage_only(self) -> Command:
        """Of a sentence after which the turn goes on."""
        return Send(ServerMessage(usage_metadata=self._usage_metadata()))

    def output_so_far(self) -> TurnOutput:
        """What a next part of the same turn begins with."""
        return TurnOutput(
            plays_until=self._plays_until,
            samples=self._earlier_output.samples + self._samples,
            text=self._earlier_output.text + self._text_tokens(),
            thoughts=self._earlier_output.thoughts + self._thoughts,
            transcribing=self._has_open_transcript,
        )

    @property
    def ends_with_question(self) -> bool:
        """It is all there, and its last sentence is a question."""
        return self.generated and not self.held and self.text.rstrip(' \n"»”)*').endswith(("?", "？", "؟"))

    def played_text(self, now: float) -> str:
        """The words whose playback had ended by `now`; of a text reply what was sent."""
        if self.request.voice is None:
            return "".join(self._text_pieces)
        return "".join(playout.played_text(piece, now) for piece in self._playout_pieces)

    @property
    def text(self) -> str:
        """Everything that was sent: the text, or the words of the audio."""
        if self.request.voice is None:
            return "".join(self._text_pieces)
        return "".join(piece.text for piece in self._playout_pieces)

    def _text_tokens(self) -> int:
        """Text that was sent, and the calls: they are text, too (docs/protocol.md#recorded-turns, T4)."""
        written = tokens.of_text("".join(self._text_pieces))
        return written + sum(tokens.of_call(call) for call in self.calls)

    @property
    def prompt_tokens(self) -> tokens.Counts:
        """What its request counts."""
        return tokens.of_request(self.request) if self._prompt_counts is None else self._prompt_counts

    def _usage_metadata(self) -> UsageMetadata:
        spent = self.output_so_far()
        spoken = self.request.voice is not None
        response = Counter({MediaModality.AUDIO: tokens.of_speech(spent.samples)} if spoken else {})
        response[MediaModality.TEXT] += spent.text
        return tokens.build_usage(self.prompt_tokens, response, spent.thoughts)

    # What goes out.

    def send_output(self, output: Output, now: float) -> list[Command]:
        """Text, thoughts and speech; calls are the dialogue's."""
        match output:
            case Text("") | Thought(""):
                return []
            case Text(text) if self.request.voice is None:
                self._text_pieces.append(text)
                return [self._content_message(Part(text=text))]
            case Speech() if self.request.voice is not None:
                return self._send_speech(output, now)
            case Thought(text):
                self._thoughts += tokens.of_text(text)
                return [self._content_message(Part(text=text, thought=True))] if self._extras.thoughts else []
        return []

    def _send_speech(self, speech: Speech, now: float) -> list[Command]:
        samples = len(speech.pcm) // 2
        start = max(self._plays_until, now)
        self._plays_until = end = start + samples / OUTPUT_RATE
        offset = self._earlier_output.samples + self._samples
        self._samples += samples
        ends = tuple(start + word.end / OUTPUT_RATE for word in speech.words)
        if speech.text:
            self._playout_pieces.append(playout.PlayoutPiece(speech.text, start, end, ends))
        out: list[Command] = []
        if speech.text and self._extras.transcript:
            words = tuple(_to_word_info(word, offset) for word in (speech.words if self._extras.words else ()))
            transcript = Transcription(text=speech.text, words=words, language_code=self._extras.language)
            out.append(self._transcript_message(transcript))
            self._has_open_transcript = True
        for begin in range(0, samples * 2, CHUNK * 2):
            blob = Blob(mime_type=AUDIO_MIME, data=speech.pcm[begin : begin + CHUNK * 2])
            out.append(self._content_message(Part(inline_data=blob)))
        return out

    def complete_generation(self) -> list[Command]:
        """Of a reply without any output there is nothing to be told (docs/protocol.md#native-audio)."""
        if self.is_silent:
            return []
        out = self.end_transcript()
        out.append(Send(ServerMessage(server_content=ServerContent(generation_complete=True)), self.turn))
        return out

    @property
    def is_silent(self) -> bool:
        """Nothing of it was told, not even a text without a sound ("👍")."""
        spent = self.output_so_far()
        return not (spent.samples or spent.text or spent.thoughts or self.calls or self._playout_pieces)

    def end_transcript(self) -> list[Command]:
        """Once, if there is any."""
        told, self._has_open_transcript = self._has_open_transcript and self._extras.end, False
        return [Send(ServerMessage(server_content=ServerContent(output_transcription=TRANSCRIPT_END)))] if told else []

    def _content_message(self, part: Part) -> Send:
        content = ServerContent(model_turn=Content(role="model", parts=(part,)))
        return Send(ServerMessage(server_content=content), self.turn)

    def _transcript_message(self, transcription: Transcription) -> Send:
        return Send(ServerMessage(server_content=ServerContent(output_transcription=transcription)), self.turn)

    # The waterfall.

    def mark_step(self, step: Step, at: float) -> list[Command]:
        """Notes the first time of a step; told at once, or when the reply is released."""
        if step in self._steps:
            return []
        self._steps[step] = at
        return [] if self.held else [TurnMark(self.turn, step, at)]


def _to_word_info(word: Word, offset: int) -> WordInfo:
    """`offset`: samples of the turn's audio before the piece of the word."""
    start, end = (format_duration((offset + at) / OUTPUT_RATE) for at in (word.start, word.end))
    return WordInfo(word=word.text, start_offset=start, end_offset=end)
