"""Where the words of a transcript lie in their audio.

Whisper's attention tells in which frame it heard each token (`WhisperModel.align_words` in whisper.py). That parts
words well and pauses badly: the silence between two words is given to one of them, and all that comes before the first
word to that. So the edges of words next to a pause are moved to where loudness says that it begins and ends.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from msgspec import Struct

from openlive.engines.stt.segment import Samples
from openlive.engines.text.scripts import is_unspaced
from openlive.types import INPUT_RATE, Word

FRAME = INPUT_RATE // 50
"""Samples of one frame of Whisper's encoder: 20 ms."""
LATE = 3
"""Frames from where the attention turns to a token to where it begins to sound: of 98 words spoken by espeak-ng in four
languages half began within 50 ms of the sum, all within 200 ms."""
PAUSE = 8
"""The least frames of quiet that are a pause; the closure of a `t` or a `k` is shorter."""
CLICK = 3
"""Fewer loud frames than that in the midst of quiet are no word."""
REACH = 15
"""Frames that the attention may be wrong by: a pause further from an edge of a word lies inside the word."""
QUIET = 0.08
"""Quiet is what is below this part (-22 dB) of the loudness that a twentieth of the frames exceed. Of 25 recordings,
with and without noise and silence around them, nine in ten begin within 50 ms and end within 160 ms of what Silero
says. In louder noise there are no pauses, and the attention alone decides."""

Span = tuple[int, int]


class AlignedToken(Struct, frozen=True):
    """The characters of the text that a token stands for, and the frame in which the attention turned to it."""

    begin: int
    end: int
    frame: int


def align_words(text: str, tokens: Sequence[AlignedToken], samples: Samples) -> tuple[Word, ...]:
    """The words of `text`, their punctuation on them, in order and without overlap; () where there is none.

    `tokens` are those of the text and one without characters, which ends it; `samples` are what they were heard in.
    Where a script has no spaces, tokens are taken for words. A word that was read where nothing is heard may have no
    length.
    """
    spans = _find_word_spans(text, frozenset(token.begin for token in tokens))
    if not spans:
        return ()
    loud = _find_loud_frames(samples)
    edges = _snap_to_pauses(_find_word_edges(text, spans, tokens, len(loud)), _find_pauses(loud), len(loud))
    words: list[Word] = []
    at = 0
    for (begin, end), ((_, first), (last, _)) in zip(spans, pairwise(edges), strict=True):
        start = max(at, first)
        at = max(start, last)
        words.append(Word(text[begin:end], start * FRAME, at * FRAME))
    return tuple(words)


def _find_word_spans(text: str, beginnings: frozenset[int]) -> list[Span]:
    """Where words begin and end: at spaces, and at the beginnings of tokens in scripts without spaces."""
    spans: list[Span] = []
    for word in re.finditer(r"\S+", text):
        cuts = [
            i
            for i in range(word.start() + 1, word.end())
            if i in beginnings and _can_split_between(text[i - 1], text[i])
        ]
        spans += pairwise([word.start(), *cuts, word.end()])
    return [(a, b) for a, b in spans if not all(map(_is_punctuation, text[a:b]))]


def _can_split_between(before: str, after: str) -> bool:
    """Whether a word may end between two letters of which one is of a script without spaces."""
    if not (is_unspaced(before) or is_unspaced(after)) or unicodedata.combining(after):
        return False
    opening = unicodedata.category(before) in {"Ps", "Pi"}
    return not opening and (not _is_punctuation(after) or unicodedata.category(after) in {"Ps", "Pi"})


def _is_punctuation(c: str) -> bool:
    return unicodedata.category(c)[0] in "PS"


def _find_word_edges(text: str, spans: Sequence[Span], tokens: Sequence[AlignedToken], frames: int) -> list[Span]:
    """The frames between words: before the first one, from the end of each to the beginning of the next, after all."""
    ends, starts = [0], []
    for begin, end in spans:
        first, until = begin, end
        while _is_punctuation(text[first]):
            first += 1
        while _is_punctuation(text[until - 1]):
            until -= 1
        starts.append(next(token.frame for token in tokens if token.end > first))
        ends.append(next(token.frame for token in tokens if token.begin >= until))
    starts.append(tokens[-1].frame)
    return [(min(end + LATE, frames), min(start + LATE, frames)) for end, start in zip(ends, starts, strict=True)]


def _find_loud_frames(samples: Samples) -> list[bool]:
    """Whether each frame is louder than what is between words."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    if not len(frames):
        return []
    levels = np.sqrt(np.mean(np.square(frames), axis=1))
    threshold = QUIET * np.percentile(levels, 95)
    return [bool(level > threshold) for level in levels]


def _find_pauses(loud: Sequence[bool]) -> list[Span]:
    """Runs of quiet frames; at both ends they may be short."""
    sounds = [(a, b) for a, b in _find_runs(loud) if loud[a] and b - a >= CLICK]
    ends = [0, *(end for _, end in sounds)]
    starts = [*(start for start, _ in sounds), len(loud)]
    quiet = [(a, b) for a, b in zip(ends, starts, strict=True) if a < b]
    return [(a, b) for a, b in quiet if b - a >= PAUSE or a == 0 or b == len(loud)]


def _find_runs(values: Sequence[bool]) -> list[Span]:
    """Where equal values stand in a row."""
    changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    return [(a, b) for a, b in pairwise([0, *changes, len(values)]) if a < b]


def _snap_to_pauses(edges: Sequence[Span], pauses: Sequence[Span], frames: int) -> list[Span]:
    """The edges, those nearest to a pause moved to it; one that several are nearest to spans them all."""
    taken: dict[int, Span] = {}
    for pause in pauses:
        nearest = min(
            range(len(edges)), key=lambda i: (_frames_apart(edges[i], pause), abs(sum(edges[i]) - sum(pause)))
        )
        if pause[0] == 0:
            nearest = 0
        elif pause[1] == frames:
            nearest = len(edges) - 1
        if _frames_apart(edges[nearest], pause) <= REACH:
            taken[nearest] = taken.get(nearest, pause)[0], pause[1]
    return [taken.get(i, edge) for i, edge in enumerate(edges)]


def _frames_apart(edge: Span, pause: Span) -> int:
    """Frames between them, 0 where they touch."""
    return max(0, edge[0] - pause[1], pause[0] - edge[1])
