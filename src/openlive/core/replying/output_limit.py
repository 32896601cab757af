"""How much a turn may come to (`output_token_limit`, `maxOutputTokens`), in tokens as usage counts them."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from openlive.core.memory import tokens
from openlive.core.memory.snapshot import TurnOutput
from openlive.core.replying import playout
from openlive.types import OUTPUT_RATE, FunctionCall, Output, Speech, Text, Thought

SAMPLES = OUTPUT_RATE // tokens.AUDIO_PER_SECOND
"""Of a token of speech."""
Words = TypeVar("Words", Text, Thought)


class OutputLimit:
    """Of one reply. `limit`: tokens of its turn, of which earlier parts have `spent` some. The script of a spoken reply
    and the words of its audio are no output of their own, and each may come to as much: no model writes without end."""

    def __init__(self, limit: int, spent: TurnOutput, *, spoken: bool) -> None:
        self.exceeded = False
        """There was more; nothing of what follows is taken."""
        self._limit = limit
        self._spoken = spoken
        self._samples = spent.samples
        self._tokens = spent.text + spent.thoughts
        """Of all but the speech and the text of this reply."""
        self._script_characters = self._spoken_characters = 0
        """Characters of the text, or the script, and of the words of the audio."""

    def admit_output(self, output: Output) -> Output | None:
        """What may be of it; None: nothing."""
        if self.exceeded:
            return None
        match output:
            case Text(text):
                left = self._limit if self._spoken else self._limit - self._tokens
                kept = self._cut_text(output, tokens.CHARACTERS * left - self._script_characters)
                self._script_characters += len(text)
                return kept
            case Thought(text):
                thought = self._cut_text(output, tokens.CHARACTERS * self._tokens_left())
                self._tokens += tokens.of_text(text)
                return thought
            case FunctionCall():
                count = tokens.of_call(output)
                self.exceeded = count > self._tokens_left()
                self._tokens += count
                return None if self.exceeded else output
            case Speech() if self._spoken:
                return self._admit_speech(output)
        return output

    def _tokens_left(self) -> int:
        written = tokens.of_speech(self._samples) if self._spoken else -(-self._script_characters // tokens.CHARACTERS)
        return self._limit - self._tokens - written

    def _cut_text(self, said: Words, room: int) -> Words | None:
        if len(said.text) <= room:
            return said
        self.exceeded = True
        return replace(said, text=said.text[:room]) if room > 0 else None

    def _admit_speech(self, speech: Speech) -> Speech | None:
        samples = len(speech.pcm) // 2
        room = max(0, SAMPLES * (self._limit - self._tokens) - self._samples)
        words = max(0, tokens.CHARACTERS * self._limit - self._spoken_characters)
        self._samples += samples
        self._spoken_characters += len(speech.text)
        if samples <= room and len(speech.text) <= words:
            return speech
        self.exceeded = True
        end = min(samples, room)
        piece = playout.PlayoutPiece(speech.text, 0, samples, tuple(word.end for word in speech.words))
        text = (speech.text if end == samples else playout.played_text(piece, end))[:words]
        timed = tuple(word for word in speech.words if word.end <= end)
        return Speech(speech.pcm[: 2 * end], text, timed) if end or text else None
