"""What of a text is spoken: markup and symbols out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate, pairwise

from openlive.engines.tts.text import markup
from openlive.engines.tts.text.signs import SIGNS
from openlive.engines.tts.text.verbalise import spell_out_text
from openlive.types import Word

_PIECE = re.compile(r".{1,600}(?!\S)|.{1,600}", re.DOTALL)
"""What is looked through at once, with patterns that take quadratic time for some texts; it ends at a space if there is
one. A clause is shorter, but for a block of code."""


def normalise_text(text: str, language: str = "", hint: str = "", before: str = "") -> str:
    """`text` without what would be read out as a symbol: markup, emoji, the paths of links. '' if nothing is left.
    With a language (a bare code; `hint` may tell the region), what signs stand for is written out, and a block of code
    is called one instead of being read. `before` is the text in front of it, which may tell what a number is."""
    known = SIGNS.get(language)
    text = markup.replace_code_blocks(text, known.code if known else "")
    pieces = pairwise([before, *_PIECE.findall(text)])
    text = " ".join(filter(None, (_normalise_piece(piece, language, hint, ahead) for ahead, piece in pieces)))
    return text if any(c.isalnum() for c in text) else ""


def _normalise_piece(text: str, language: str, hint: str, before: str) -> str:
    text = markup.strip_markup(text)
    text = markup.strip_marks(spell_out_text(text, language, hint, before) if language else text)
    return " ".join("".join(c for c in text if not is_pictograph(c)).split())


def is_pictograph(c: str) -> bool:
    """Emoji, arrows, boxes and what joins them; signs of Latin-1 such as ° and © are words."""
    if c < "\u2000":
        return False
    category = unicodedata.category(c)
    return category in {"So", "Sk", "Cf", "Co", "Cs", "Cn"} or "\ufe00" <= c <= "\ufe0f" or "\u2190" <= c <= "\u21ff"


def estimate_word_times(clause: str, start: int, end: int) -> Iterator[Word]:
    """One per word of the clause, its share of the voice by its length: an estimate."""
    words = clause.split()
    weights = [len(w) + 1 if any(c.isalnum() for c in w) else 0 for w in words]
    step = (end - start) / max(1, sum(weights))
    edges = [int(start + step * weight) for weight in accumulate(weights, initial=0)]
    for word, (begin, stop) in zip(words, pairwise(edges), strict=True):
        yield Word(word, begin, stop)
