"""Audio on the playout clock, and which of its words have been heard."""

from __future__ import annotations

from msgspec import Struct


class PlayoutPiece(Struct):
    """Audio on the playout clock, and the text spoken in it. Times in seconds."""

    text: str
    start: float
    end: float
    ends: tuple[float, ...]
    """When each word of `text` has been played; () where the engine does not tell."""


def played_text(piece: PlayoutPiece, now: float) -> str:
    if now >= piece.end:
        return piece.text
    if now <= piece.start:
        return ""
    words = piece.text.split()
    if piece.ends and len(piece.ends) == len(words):
        count = sum(end <= now for end in piece.ends)
    else:
        count = int(len(words) * (now - piece.start) / (piece.end - piece.start))
    return first_words(piece.text, count)


def first_words(text: str, count: int) -> str:
    """The text up to the end of its word number `count`, spaces as they are."""
    end = 0
    for word in text.split()[:count]:
        end = text.index(word, end) + len(word)
    return text[:end]
