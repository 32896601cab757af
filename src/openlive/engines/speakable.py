"""What of a text is spoken, and in which language: markup and symbols out, by its script and words."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import accumulate, pairwise

from openlive.engines import markup
from openlive.engines.identifying import identified
from openlive.engines.languages import NAMES, bare
from openlive.engines.spoken import spoken
from openlive.engines.spoken_signs import SIGNS
from openlive.types import Word


def speakable(text: str, language: str = "", hint: str = "") -> str:
    """`text` without what would be read out as a symbol: markup, emoji, the paths of links. '' if nothing is left.
    With a language (a bare code; `hint` may tell the region), what signs stand for is written out, and a block of code
    is called one instead of being read."""
    known = SIGNS.get(language)
    text = markup.plain(text, known.code if known else "")
    text = markup.bare(spoken(text, language, hint) if language else text)
    text = " ".join("".join(c for c in text if not is_picture(c)).split())
    return text if any(c.isalnum() for c in text) else ""


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

LATIN = ("en", "de", "es", "fr", "it", "pt", "nl", "pl", "id", "tr", "vi")
"""The guide's languages that are written in Latin letters."""


def language_of(text: str, hint: str = "", otherwise: str = "") -> str:
    """The language to speak `text` in, a bare code. A script that `hint` is not written with outweighs it, if most of
    the text is in it; among languages in Latin letters it decides, and without it the words do. `otherwise`, the
    language that is expected, stands unless the text is clearly in another one.
    """
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
    letters = [c for c in text if c.isalpha()]
    counts = [sum(low <= c <= high for c in letters) for low, high, _, _ in SCRIPTS]
    others = len(letters) - sum(counts)
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
