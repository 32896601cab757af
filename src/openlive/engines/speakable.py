"""What of a text is spoken, and in which language: markup and symbols out, by its script and words."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, pairwise

from openlive.engines import markup
from openlive.engines.identifying import identified
from openlive.engines.languages import NAMES, bare
from openlive.engines.spoken import spoken
from openlive.engines.spoken_signs import SIGNS
from openlive.types import Word

SAMPLE = 1000
"""Characters of a text that tell its language: users may type a hundred thousand."""
_PIECE = re.compile(r".{1,600}(?!\S)|.{1,600}", re.DOTALL)
"""What is looked through at once, with patterns that take quadratic time for some texts; it ends at a space if there is
one. A clause is shorter, but for a block of code."""


def speakable(text: str, language: str = "", hint: str = "") -> str:
    """`text` without what would be read out as a symbol: markup, emoji, the paths of links. '' if nothing is left.
    With a language (a bare code; `hint` may tell the region), what signs stand for is written out, and a block of code
    is called one instead of being read."""
    known = SIGNS.get(language)
    text = markup.without_code(text, known.code if known else "")
    text = " ".join(filter(None, (_written_out(piece, language, hint) for piece in _PIECE.findall(text))))
    return text if any(c.isalnum() for c in text) else ""


def _written_out(text: str, language: str, hint: str) -> str:
    text = markup.plain(text)
    text = markup.bare(spoken(text, language, hint) if language else text)
    return " ".join("".join(c for c in text if not is_picture(c)).split())


def is_picture(c: str) -> bool:
    """Emoji, arrows, boxes and what joins them; signs of Latin-1 such as ° and © are words."""
    if c < "\u2000":
        return False
    category = unicodedata.category(c)
    return category in {"So", "Sk", "Cf", "Co", "Cs", "Cn"} or "\ufe00" <= c <= "\ufe0f" or "\u2190" <= c <= "\u21ff"


# Ranges of characters, the language to assume for them, and all that write with them.
SCRIPTS: tuple[tuple[str, str, str, frozenset[str]], ...] = (
    ("\u3040", "\u30ff", "ja", frozenset({"ja"})),
    ("\u4e00", "\u9fff", "zh", frozenset({"zh", "ja"})),
    ("\uac00", "\ud7af", "ko", frozenset({"ko"})),
    ("\u0400", "\u04ff", "ru", frozenset({"ru", "uk", "bg"})),
    ("\u0600", "\u06ff", "ar", frozenset({"ar", "fa", "ur"})),
    ("\u0900", "\u097f", "hi", frozenset({"hi", "mr", "ne"})),
    ("\u0980", "\u09ff", "bn", frozenset({"bn"})),
    ("\u0a80", "\u0aff", "gu", frozenset({"gu"})),
    ("\u0b80", "\u0bff", "ta", frozenset({"ta"})),
    ("\u0c00", "\u0c7f", "te", frozenset({"te"})),
    ("\u0c80", "\u0cff", "kn", frozenset({"kn"})),
    ("\u0d00", "\u0d7f", "ml", frozenset({"ml"})),
    ("\u0e00", "\u0e7f", "th", frozenset({"th"})),
)

_RANGES = sorted((ord(low), ord(high), place) for place, (low, high, _, _) in enumerate(SCRIPTS))
_STARTS = [low for low, _, _ in _RANGES]

LATIN = ("en", "de", "es", "fr", "it", "pt", "nl", "pl", "id", "tr", "vi")
"""The guide's languages that are written in Latin letters."""


def language_of(text: str, hint: str = "", otherwise: str = "") -> str:
    """The language to speak `text` in, a bare code. A script that `hint` is not written with outweighs it, if most of
    the text is in it; among languages in Latin letters it decides, and without it the words do. `otherwise`, the
    language that is expected, stands unless the text is clearly in another one. Its first `SAMPLE` characters tell.
    """
    text = text[:SAMPLE]
    hint = bare(hint)
    if script := script_of(text):
        language, writers = script
        if hint in writers or otherwise in writers:
            return hint if hint in writers else otherwise
        return identified(text, writers & NAMES.keys(), language)
    return hint or identified(text, LATIN, otherwise)


def script_of(text: str) -> tuple[str, frozenset[str]] | None:
    """The script that most of `text` is in: the language to assume and all that it may be; None where it is another
    one than those of `SCRIPTS`, or none. A sign that is a syllable or a word counts as two letters; kana anywhere make
    Han Japanese."""
    counts, others = [0] * len(SCRIPTS), 0
    for c in filter(str.isalpha, text):
        _, high, place = _RANGES[bisect_right(_STARTS, ord(c)) - 1] if ord(c) >= _STARTS[0] else (0, 0, 0)
        counts[place] += ord(c) <= high
        others += ord(c) > high
    kana, han, hangul, *_ = counts
    counts[:3] = (2 * (kana + han), 0, 2 * hangul) if kana else (0, 2 * han, 2 * hangul)
    most = max(counts)
    return SCRIPTS[counts.index(most)][2:] if most > others else None


def timed(clause: str, start: int, end: int) -> Iterator[Word]:
    """One per word of the clause, its share of the voice by its length: an estimate."""
    words = clause.split()
    weights = [len(w) + 1 if any(c.isalnum() for c in w) else 0 for w in words]
    step = (end - start) / max(1, sum(weights))
    edges = [int(start + step * weight) for weight in accumulate(weights, initial=0)]
    for word, (begin, stop) in zip(words, pairwise(edges), strict=True):
        yield Word(word, begin, stop)
