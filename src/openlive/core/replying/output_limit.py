"""How much a turn may come to (`output_token_limit`, `maxOutputTokens`), in tokens as usage counts them."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from openlive.core.memory import tokens
from openlive.core.memory.snapshot import Spent
from openlive.core.replying import playout
from openlive.types import OUTPUT_RATE, FunctionCall, Output, Speech, Text, Thought

SAMPLES = OUTPUT_RATE // tokens.AUDIO_PER_SECOND
"""Of a token of speech."""
Words = TypeVar("Words", Text, Thought)


class Allowance:
    """Of one reply. `limit`: tokens of its turn, of which earlier parts have `spent` some. The script of a spoken reply
    and the words of its audio are no output of their own, and each may come to as much: no model writes without end."""

    def __init__(self, limit: int, spent: Spent, *, spoken: bool) -> None:
        self.exceeded = False
        """There was more; nothing of what follows is taken."""
        self._limit = limit
        self._spoken = spoken
        self._samples = spent.samples
        self._tokens = spent.text + spent.thoughts
        """Of all but the speech and the text of this reply."""
        self._written = self._told = 0
        """Characters of the text, or the script, and of the words of the audio."""

    def take(self, output: Output) -> Output | None:
        """What may be of it; None: nothing."""
        if self.exceeded:
            return None
        match output:
            case Text(text):
                left = self._limit if self._spoken else self._limit - self._tokens
                kept = self._cut(output, tokens.CHARACTERS * left - self._written)
                self._written += len(text)
                return kept
            case Thought(text):
                thought = self._cut(output, tokens.CHARACTERS * self._left())
                self._tokens += tokens.of_text(text)
                return thought
            case FunctionCall():
                count = tokens.of_call(output)
                self.exceeded = count > self._left()
                self._tokens += count
                return None if self.exceeded else output
            case Speech() if self._spoken:
                return self._speak(output)
        return output

    def _left(self) -> int:
        written = tokens.of_speech(self._samples) if self._spoken else -(-self._written // tokens.CHARACTERS)
        return self._limit - self._tokens - written

    def _cut(self, said: Words, room: int) -> Words | None:
        if len(said.text) <= room:
            return said
        self.exceeded = True
        return replace(said, text=said.text[:room]) if room > 0 else None

    def _speak(self, speech: Speech) -> Speech | None:
        samples = len(speech.pcm) // 2
        room = max(0, SAMPLES * (self._limit - self._tokens) - self._samples)
        words = max(0, tokens.CHARACTERS * self._limit - self._told)
        self._samples += samples
        self._told += len(speech.text)
        if samples <= room and len(speech.text) <= words:
            return speech
        self.exceeded = True
        end = min(samples, room)
        piece = playout.Piece(speech.text, 0, samples, tuple(word.end for word in speech.words))
        text = (speech.text if end == samples else playout.heard(piece, end))[:words]
        timed = tuple(word for word in speech.words if word.end <= end)
        return Speech(speech.pcm[: 2 * end], text, timed) if end or text else None
