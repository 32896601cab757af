"""Words that are expected (names above all) in what Moonshine reads: it takes no prompt, so it is asked afterwards.

Where the beginning of a text sounds like an expected word, the recogniser tells how likely the text is with that word
in its place, in the same audio. A name that is known beforehand needs less evidence than any other word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from openlive.engines.stt.common_words import normalise_words

MOST = 8
"""Expected words that are looked for, and texts that are tried. Of more, such as all back-channels of a language, one
would sound like anything."""
REACH = 3
"""Words of the text of which an expected one may take the place of one to three: who is called is called first."""
LONGEST = 60
"""Words of a text that are looked at."""
ALIKE = 0.7
"""Share of the sounds that have to be the same."""
_SOUNDS = (
    *(
        (r"ph", "f"),
        (r"gh", ""),
        (r"[cg](?=[eiy])", "s"),
        (r"ck|[cqg]", "k"),
        (r"x", "ks"),
        (r"j", "s"),
        (r"sh|z", "s"),
    ),
    *((r"b", "p"), (r"d", "t"), (r"v", "f"), (r"n", "m"), (r"[aeiouyw]+", "e"), (r"h", ""), (r"(.)\1+", r"\1")),
)
"""Spellings to classes of sounds: vowels are one, and so are voiced and voiceless consonants."""


def to_sound_key(text: str) -> str:
    key = normalise_words(text).replace(" ", "")
    for spelling, sound in _SOUNDS:
        key = re.sub(spelling, sound, key)
    return key


def sounds_like_any(text: str, expected: Sequence[str]) -> bool:
    """Whether something in the text may be an expected word that is not there yet; taken for granted of many."""
    return len(expected) > MOST or next(_find_matches(text, expected, len(text.split())), None) is not None


def find_alternatives(text: str, expected: Sequence[str]) -> list[str]:
    """The text with an expected word where it sounds like it near its beginning, at most `MOST`, the likest first."""
    words, given = text.split(), []
    if len(expected) > MOST:
        return []
    for likeness, phrase, at, count in _find_matches(text, expected, REACH):
        end = re.search(r"[^\w]*$", words[at + count - 1])
        assert end
        given.append((likeness, " ".join((*words[:at], phrase + end[0], *words[at + count :]))))
    return [text for _, text in sorted(given, reverse=True)[:MOST]]


def _find_matches(text: str, expected: Sequence[str], reach: int) -> Iterator[tuple[float, str, int, int]]:
    """How alike, which expected word, and the first word and the number of those that sound like it. None where an
    expected word is there already, or in scripts that have no sounds here."""
    words, heard = text.split()[:LONGEST], f" {normalise_words(text)} "
    if any(f" {normalise_words(phrase)} " in heard for phrase in expected):
        return
    for phrase in expected:
        wanted = to_sound_key(phrase)
        for at in range(min(reach, len(words))):
            for count in range(1, min(REACH, len(words) - at) + 1):
                likeness = SequenceMatcher(
                    None, to_sound_key("".join(words[at : at + count])), wanted, autojunk=False
                ).ratio()
                if likeness >= ALIKE:
                    yield likeness, phrase, at, count
