"""Roman numerals behind a name or a noun, in words; part of `verbalise.py`."""

from __future__ import annotations

import re

from openlive.engines.tts.text.times import SayNumber, parse_roman

ROMAN = r"(?=[IVX]{2,}\b|[VX]\b)X{0,3}(?:IX|IV|V?I{0,3})"
"""Two to 39. A single I is a word in English, and more often so than a numeral."""
NAMED = re.compile(rf"\b([^\W\d_a-zà-ÿ][a-zà-ÿ]{{2,}}) ({ROMAN})\b(\.(?=\s+[a-zà-ÿ]))?")
"""The full stop is a German ordinal's."""
COUNTED = re.compile(rf"\b([a-zà-ÿ]{{3,}}) (?=[IVX]{{2}})({ROMAN})\b")
CENTURY = re.compile(rf"\b(siglo|secolo|século|[Ss]igli|siècle) ({ROMAN})\b|\b({ROMAN}) (secolo)\b")


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


RULERS = _word_set(
    """
    Albert Alexander Benedict Catherine Charles Christian Clement Constantine Edward Elizabeth Francis Frederick George
    Gregory Gustav Harald Haakon Henry Innocent Ivan James John Joseph Julius Leo Leopold Louis Mary Napoleon Nicholas
    Paul Peter Philip Pius Ptolemy Ramesses Ramses Richard Rudolf Urban Victor William Willem
    Alexander Benedikt Elisabeth Franz Friedrich Gustav Heinrich Jakob Johannes Karl Katharina Konrad Konstantin Leopold
    Ludwig Nikolaus Otto Philipp Wilhelm
    """
)
"""Names that rulers and popes have in English and German, unlike things that are counted (World War, Part)."""


def spell_roman_numerals(text: str, language: str, say: SayNumber) -> str:
    """As it is said: Louis the fourteenth, World War two; Alfonso trece, Felipe sexto; Louis quatorze."""
    text = CENTURY.sub(lambda m: _spell_century(m, language, say), text)
    text = COUNTED.sub(lambda m: f"{m[1]} {say(parse_roman(m[2]))}", text)
    return NAMED.sub(
        lambda m: f"{m[1]} {_spell_numeral(m[1], parse_roman(m[2]), m[3] is not None, language, say)}", text
    )


def _spell_century(found: re.Match[str], language: str, say: SayNumber) -> str:
    if found[4]:
        return f"{say(parse_roman(found[3]), 'ordinal-masculine')} {found[4]}"
    number = parse_roman(found[2])
    ordinal = language == "it" or (language == "pt" and number <= 10)
    return f"{found[1]} {say(number, 'ordinal-masculine' if ordinal else 'numbering')}"


def _spell_numeral(name: str, number: int, dotted: bool, language: str, say: SayNumber) -> str:
    if language == "en":
        return f"the {say(number, 'ordinal')}" if name in RULERS else say(number)
    if language == "de":
        article = "die" if name in {"Elisabeth", "Katharina"} else "der"
        return f"{article} {say(number, 'ordinal')}" if dotted or name in RULERS else say(number)
    if language == "fr" or (language != "it" and number > 10):
        return say(number)
    feminine = name.endswith("a") or name in {"Isabel", "Beatriz"}
    return say(number, "ordinal-feminine" if feminine else "ordinal-masculine")
