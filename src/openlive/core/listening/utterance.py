"""One utterance of the user: its transcripts, and the words of them that may be told to the client already."""

from __future__ import annotations

from openlive.types import Transcript

PUNCTUATION = ".,;:!?…¿¡。、，！？؟،।\"'“”‘’«»()-–—"


def normalise_words(text: str) -> str:
    """The words alone: two transcripts that agree on them mean the same."""
    return " ".join(w for w in (_normalise_word(w) for w in text.split()) if w)


def _normalise_word(word: str) -> str:
    return word.strip(PUNCTUATION).casefold()


class StableTranscript:
    """Append-only transcript: clients concatenate, so nothing that was told can be taken back (design, decision 7)."""

    def __init__(self) -> None:
        self.text = ""
        self._word_count = 0
        self._previous: list[str] = []

    def add_partial(self, text: str) -> str:
        """What can be told after one more hypothesis: words that two in a row agree on, the last of them held back."""
        words = text.split()
        agreed = 0
        for new, old in zip(words, self._previous, strict=False):
            if _normalise_word(new) != _normalise_word(old):
                break
            agreed += 1
        self._previous = words
        return self._append_words(words, agreed - 1, final=False) if agreed - 1 > self._word_count else ""

    def add_final(self, text: str) -> str:
        """The rest. Words that were told in another form stay as they are; the text goes on after them."""
        words = text.split()
        return self._append_words(words, len(words), final=True)

    def _append_words(self, words: list[str], until: int, *, final: bool) -> str:
        fresh = words[self._word_count : until]
        if self._word_count and self._word_count <= len(words):
            # The last word was told without its punctuation, which may have changed since.
            last = words[self._word_count - 1]
            tail = last[len(last.rstrip(PUNCTUATION)) :]
        else:
            tail = ""
        told = tail + "".join(" " + w for w in fresh)
        if not self._word_count and not self.text:
            told = told[1:]
        if not final:
            told = told.rstrip(PUNCTUATION)
        self._word_count = max(self._word_count, until)
        self.text += told
        return told


class Utterance:
    """`start` and `end` are samples of the session's audio; `end` moves until the utterance is over."""

    def __init__(self, number: int, start: int) -> None:
        self.number = number
        self.start = start
        self.end = start
        self.fed_until = start
        """Up to where the recogniser was given audio."""
        self.stable_transcript = StableTranscript()
        self.language = ""
        self.flushed_at = 0.0
        self.horizon: int | None = None
        """Set when the end of the turn was reached: everything up to here is judged before it counts."""
        self.committed = False
        self.flushed = False
        """A final transcript was asked for and nothing has been said since."""
        self.question_number = 0
        """Of those whom it was meant for, the number of the latest..."""
        self.asked_at = 0.0
        self.addressee_probability: float | None = None
        """... and its answer, how likely that was the model."""
        self._asked_words: str | None = None
        self._finals_requested = 0
        self._finals_received = 0
        self._last_final: Transcript | None = None

    @property
    def is_awaiting_final(self) -> bool:
        """A flush has not been answered yet."""
        return self._finals_requested > self._finals_received

    @property
    def final_transcript(self) -> Transcript | None:
        """The transcript of everything said so far; None while it is awaited or the user speaks."""
        return self._last_final if self.flushed and not self.is_awaiting_final else None

    def open_question(self, text: str, now: float) -> bool:
        """Whether there is something new to ask."""
        words = normalise_words(text)
        if not words or words == self._asked_words:
            return False
        self._asked_words, self.asked_at, self.addressee_probability = words, now, None
        self.question_number += 1
        return True

    @property
    def is_awaiting_addressee(self) -> bool:
        return self._asked_words is not None and self.addressee_probability is None

    def request_final(self, now: float) -> None:
        self._finals_requested += 1
        self.flushed, self.flushed_at = True, now

    def take_transcript(self, transcript: Transcript) -> None:
        self.language = transcript.language or self.language
        if transcript.final and self.is_awaiting_final:
            self._finals_received += 1
            self._last_final = transcript

    def resume(self) -> None:
        """The user goes on: what was final is not any more, and the end has to be reached again."""
        self.flushed = False
        self.horizon = None
        self.committed = False
