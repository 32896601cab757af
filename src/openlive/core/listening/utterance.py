"""One utterance of the user: its transcripts, and the words of them that may be told to the client already."""

from __future__ import annotations

from openlive.types import Transcript

PUNCTUATION = ".,;:!?…¿¡。、，！？؟،।\"'“”‘’«»()-–—"


def normalised(text: str) -> str:
    """The words alone: two transcripts that agree on them mean the same."""
    return " ".join(w for w in (_word(w) for w in text.split()) if w)


def _word(word: str) -> str:
    return word.strip(PUNCTUATION).casefold()


class Told:
    """Append-only transcript: clients concatenate, so nothing that was told can be taken back (design, decision 7)."""

    def __init__(self) -> None:
        self.text = ""
        self._words = 0
        self._previous: list[str] = []

    def partial(self, text: str) -> str:
        """What can be told after one more hypothesis: words that two in a row agree on, the last of them held back."""
        words = text.split()
        agreed = 0
        for new, old in zip(words, self._previous, strict=False):
            if _word(new) != _word(old):
                break
            agreed += 1
        self._previous = words
        return self._tell(words, agreed - 1, final=False) if agreed - 1 > self._words else ""

    def final(self, text: str) -> str:
        """The rest. Words that were told in another form stay as they are; the text goes on after them."""
        words = text.split()
        return self._tell(words, len(words), final=True)

    def _tell(self, words: list[str], until: int, *, final: bool) -> str:
        fresh = words[self._words : until]
        if self._words and self._words <= len(words):
            # The last word was told without its punctuation, which may have changed since.
            last = words[self._words - 1]
            tail = last[len(last.rstrip(PUNCTUATION)) :]
        else:
            tail = ""
        told = tail + "".join(" " + w for w in fresh)
        if not self._words and not self.text:
            told = told[1:]
        if not final:
            told = told.rstrip(PUNCTUATION)
        self._words = max(self._words, until)
        self.text += told
        return told


class Utterance:
    """`start` and `end` are samples of the session's audio; `end` moves until the utterance is over."""

    def __init__(self, number: int, start: int) -> None:
        self.number = number
        self.start = start
        self.end = start
        self.heard = start
        """Up to where the recogniser was given audio."""
        self.told = Told()
        self.language = ""
        self.flushed_at = 0.0
        self.horizon: int | None = None
        """Set when the end of the turn was reached: everything up to here is judged before it counts."""
        self.committed = False
        self.flushed = False
        """A final transcript was asked for and nothing has been said since."""
        self.question = 0
        """Of those whom it was meant for, the number of the latest..."""
        self.asked_at = 0.0
        self.meant: float | None = None
        """... and its answer, how likely that was the model."""
        self._asked: str | None = None
        self._wanted = 0
        self._answered = 0
        self._last: Transcript | None = None

    @property
    def awaiting(self) -> bool:
        """A flush has not been answered yet."""
        return self._wanted > self._answered

    @property
    def final(self) -> Transcript | None:
        """The transcript of everything said so far; None while it is awaited or the user speaks."""
        return self._last if self.flushed and not self.awaiting else None

    def wonder(self, text: str, now: float) -> bool:
        """Whether there is something new to ask."""
        words = normalised(text)
        if not words or words == self._asked:
            return False
        self._asked, self.asked_at, self.meant = words, now, None
        self.question += 1
        return True

    @property
    def wondering(self) -> bool:
        return self._asked is not None and self.meant is None

    def flush(self, now: float) -> None:
        self._wanted += 1
        self.flushed, self.flushed_at = True, now

    def take(self, transcript: Transcript) -> None:
        self.language = transcript.language or self.language
        if transcript.final and self.awaiting:
            self._answered += 1
            self._last = transcript

    def resume(self) -> None:
        """The user goes on: what was final is not any more, and the end has to be reached again."""
        self.flushed = False
        self.horizon = None
        self.committed = False
