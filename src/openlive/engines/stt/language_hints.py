"""What the `languages` of `STT.transcribe` ask of a recogniser that knows several languages.

()            any language: detect it
("en",)       exactly this one; regions don't matter ("en-US", "en-GB" is one language)
("en", "de")  one of these; the first is the likeliest
("en", "")    any language, but "en" was spoken last and is the likeliest
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from openlive.engines.text.languages import bare_language

ENOUGH = 1.5
"""Seconds of speech that show which language it is (design, decision 10)."""
PREFERENCE, HASTY_PREFERENCE = 4.0, 20.0
"""How much likelier the expected language is than the others, before and where there is not enough speech to tell."""


class LanguageConstraint(Struct, frozen=True):
    """`first` is the expected language, '' for none; `allowed` all that may come, empty for any."""

    first: str
    allowed: frozenset[str]

    @property
    def only_language(self) -> str:
        """The language, if only one may come."""
        return self.first if len(self.allowed) == 1 else ""

    def allows_language(self, language: str) -> bool:
        return not self.allowed or language in self.allowed


def parse_language_hints(hints: Sequence[str], known: Collection[str]) -> LanguageConstraint:
    """Reads the hints. Languages that aren't known are left out, as the best guess is better than a refusal."""
    codes = [bare_language(hint) for hint in hints]
    usable = [code for code in codes if code in known]
    everything = "" in codes or not usable
    return LanguageConstraint(usable[0] if usable else "", frozenset() if everything else frozenset(usable))


def choose_language(probabilities: Mapping[str, float], wish: LanguageConstraint, seconds: float) -> str:
    """The language to settle on for `seconds` of speech."""
    preference = PREFERENCE if seconds >= ENOUGH else HASTY_PREFERENCE
    weighed = {
        code: p * (preference if code == wish.first else 1)
        for code, p in probabilities.items()
        if wish.allows_language(code)
    }
    return max(weighed, key=weighed.__getitem__) if weighed else wish.first
