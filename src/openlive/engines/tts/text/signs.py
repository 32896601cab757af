"""Slashes, fractions, paths and what is left of signs, in words; part of `verbalise.py`."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from openlive.engines.tts.text.genders import is_feminine
from openlive.engines.tts.text.words import LANGUAGES

SpellNumber = Callable[[int], str]
"""A number in words, as fractions are counted."""


class SignWords(Struct, frozen=True):
    """One language. `parts` are a half to a ninth, as many as are counted; `half` follows a number (`2 1/2`), other
    fractions follow it after `joint`."""

    code: str
    per: str
    slash: str
    out_of: str
    over: str
    power: str
    half: str
    joint: str
    parts: tuple[str, ...]
    signs: dict[str, str]


def _parse_signs(text: str) -> dict[str, str]:
    """² ³ √ ± ≥ ≤ ≠ ≈."""
    return dict(zip("²³√±≥≤≠≈", (f" {words.strip()} " for words in text.split(",")), strict=True))


def _parse_parts(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SIGNS = {
    "en": SignWords(
        *("code", "per", "slash", "out of", "over", "to the power of", "and a half", "and"),
        _parse_parts("halves thirds quarters fifths sixths sevenths eighths ninths"),
        _parse_signs(
            "squared, cubed, square root of, plus or minus, greater than or equal to, less than or equal to,"
            "not equal to, approximately"
        ),
    ),
    "de": SignWords(
        *("Code", "pro", "Slash", "von", "zu", "hoch", "einhalb", ""),
        _parse_parts("Halbe Drittel Viertel Fünftel Sechstel Siebtel Achtel Neuntel"),
        _parse_signs(
            "Quadrat, hoch drei, Wurzel aus, plus minus, größer oder gleich, kleiner oder gleich, ungleich, ungefähr"
        ),
    ),
    "es": SignWords(
        *("código", "por", "barra", "de", "sobre", "elevado a", "y medio", "y"),
        _parse_parts("medios tercios cuartos quintos sextos séptimos octavos novenos"),
        _parse_signs(
            "al cuadrado, al cubo, raíz cuadrada de, más menos, mayor o igual que, menor o igual que, distinto de,"
            "aproximadamente"
        ),
    ),
    "fr": SignWords(
        *("code", "par", "slash", "sur", "sur", "puissance", "et demi", "et"),
        _parse_parts("demis tiers quarts cinquièmes sixièmes septièmes huitièmes neuvièmes"),
        _parse_signs(
            "au carré, au cube, racine carrée de, plus ou moins, supérieur ou égal à, inférieur ou égal à,"
            "différent de, environ"
        ),
    ),
    "it": SignWords(
        *("codice", "per", "barra", "su", "su", "elevato a", "e mezzo", "e"),
        _parse_parts("mezzi terzi quarti quinti sesti settimi ottavi noni"),
        _parse_signs(
            "al quadrato, al cubo, radice quadrata di, più o meno, maggiore o uguale a, minore o uguale a, diverso da,"
            "circa"
        ),
    ),
    "pt": SignWords(
        *("código", "por", "barra", "de", "por", "elevado a", "e meio", "e"),
        _parse_parts("meios terços quartos quintos sextos sétimos oitavos nonos"),
        _parse_signs(
            "ao quadrado, ao cubo, raiz quadrada de, mais ou menos, maior ou igual a, menor ou igual a, diferente de,"
            "aproximadamente"
        ),
    ),
}

ONES = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"}
MIXED = re.compile(rf"(?<![\w.,/])(\d+)(?:\s([1-9])/([2-9])(?![\w/])|\s?([{''.join(ONES)}]))")
RATIO = re.compile(r"(?<![\w./,])(\d{1,3})/(\d{1,3})(?![\w/]|[.,]\d)")
PAIRS = frozenset({"24/7", "9/11"})
"""Said without a word between."""

PATH = re.compile(r"(?<![\w/:.~<€$£¥₹%])(?:~|\.{1,2})?((?:/\.?[\w+-]+(?:\.[\w+-]+)*)+)/?(?!\w)")
FILE = re.compile(
    r"(?<![\w@])((?:[\w-]+/)*[\w-]+)\.(py|txt|pdf|md|js|ts|json|csv|html|css|jpe?g|png|docx?|xlsx?|zip|sh|toml|ya?ml"
    r"|cfg|ini|exe|mp[34]|wav|log|cpp|java)\b"
)


def spell_paths(text: str, language: str) -> str:
    """Names of files and folders, with a word for every slash and dot."""
    slash, dot = SIGNS[language].slash, LANGUAGES[language].dot

    def spell_path(found: re.Match[str]) -> str:
        name = found[1][1:] if found[0][0] in "~." else found[1]
        return " ".join(re.sub(r"\.(?=\w)", f" {dot} ", name.replace("/", f" {slash} ")).split())

    def spell_file(found: re.Match[str]) -> str:
        ending = found[2] if re.search(r"[aeiou]", found[2]) and len(found[2]) > 2 else " ".join(found[2].upper())
        return f"{found[1].replace('/', f' {slash} ')} {dot} {ending}"

    return PATH.sub(spell_path, FILE.sub(spell_file, text))


def spell_fractions(text: str, language: str, say: SpellNumber) -> str:
    """Fractions, mixed numbers and scores such as `8/10`."""
    signs = SIGNS[language]

    def spell_fraction(above: int, below: int) -> str:
        parts = signs.parts[below - 2]
        one = parts.replace("halves", "half").removesuffix("s" if language not in {"de", "fr"} else "\0")
        one = one[:-1] + "o" if language == "it" else one
        return f"{say(above)} {one if above == 1 else parts}"

    def spell_mixed_number(found: re.Match[str]) -> str:
        above, below = (int(n) for n in (ONES[found[4]].split("/") if found[4] else found.groups()[1:3]))
        whole = say(int(found[1]))
        if (above, below) == (1, 2):
            half = signs.half
            if (noun := re.match(r"\s([^\W\d_]+?)s?\b", text[found.end() :])) and language in {"es", "pt"}:
                feminine = is_feminine(noun[1].lower(), language)
                half = half.replace("medio", "media").replace("meio", "meia") if feminine else half
            return whole + half if language == "de" else f"{whole} {half}"
        return " ".join(filter(None, (whole, signs.joint, spell_fraction(above, below))))

    def spell_ratio(found: re.Match[str]) -> str:
        above, below = int(found[1]), int(found[2])
        if found[0] == "1/2":
            return "½"  # espeak-ng and `LanguageWords.signs` have it with its article
        if found[0] in PAIRS:
            return f"{above} {below}"
        if below in range(2, 10) and 0 < above < 10 and above != below and found[1][0] != "0":
            return spell_fraction(above, below)
        return f"{found[1]} {signs.out_of if above <= below else signs.over} {found[2]}"

    text = MIXED.sub(spell_mixed_number, text)
    return RATIO.sub(spell_ratio, text)


def spell_signs(text: str, language: str) -> str:
    """What is left of arithmetic, comparisons and code."""
    words, signs = LANGUAGES[language], SIGNS[language]
    rules: tuple[tuple[str, str], ...] = (
        (r"(?<=\d)\s*\*\s*(?=\d)|(?<=[\w)²³])\s+\*\s+(?=[\w(√])", words.times),
        (r"(?<=[\w)²³])\s*×\s*(?=[\w(√])", words.times),
        (r"(?<=\d)\s+x\s+(?=\d)", words.times),
        (r"(?<=[\w)²³])\s*÷\s*(?=[\w(√])", words.divided),
        (r"(?<=[\w)²³])\s+-\s+(?=[\d√]|[a-z](?!\w))", words.minus),
        (r"(?<![\w)-])-(?=\d|[a-z](?!\w))", words.minus),
        (r"\s*(?<![=!<>+*/-])={1,3}(?![>=])\s*", words.equals),
        (r"(?<=[\w)²³])\s*\+\s*(?=[\w(√])", words.plus),
        (r"(?:^|(?<=[\w)²³])\s)\s*<\s+(?=[\w(-])", words.less),
        (r"(?:^|(?<=[\w)²³])\s)\s*>\s+(?=[\w(-])", words.more),
        (r"(?<=[\w)])\^(?=[\w(-])", signs.power),
        (r"(?<=[^\W\d_]{2})/(?=[^\W\d_]{2})", words.either),
    )
    text = re.sub(r"\b(and|und|y|et|e)/(?=(?:or|oder|o|ou)\b)", r"\1 ", text)
    for pattern, word in rules:
        text = re.sub(pattern, f" {word} ", text)
    for sign, word in (words.signs | signs.signs).items():
        text = text.replace(sign, word)
    return re.sub(r"[$_]+", " ", text)
