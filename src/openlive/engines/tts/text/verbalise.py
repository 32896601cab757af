"""Writes out what a voice would read as signs: sums of money, dates, times, years, ordinals, units, addresses.

Digits that stand for themselves stay: espeak-ng reads cardinals, decimals and percentages rightly in every language.
What else it does was listened to; only what it gets wrong is here. English, German, Spanish, French, Italian and
Portuguese are spelled out, with CLDR's rules for numbers (unicode-rbnf); in other languages units, currencies and dates
get CLDR's names (Babel) and keep their digits.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cache, partial
from typing import NamedTuple

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import get_currency_name, get_decimal_symbol
from babel.units import UnknownUnitError, format_unit
from unicode_rbnf import RbnfEngine

from openlive.engines.tts.text import signs, times
from openlive.engines.tts.text.digits import spell_digits
from openlive.engines.tts.text.genders import spell_counted_nouns
from openlive.engines.tts.text.roman import spell_roman_numerals
from openlive.engines.tts.text.words import CURRENCIES, LANGUAGES, UNITS, LanguageWords

NUMBER = r"\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+(?![\d])(?:[.,]\d+)?|\d+(?:[.,]\d+)?"
SIGN = "|".join(re.escape(sign) for sign in sorted(CURRENCIES, key=len, reverse=True))
SCALE = (
    r"(?:thousand|million|billion|trillion|[Mm]illion(?:en)?|Milliarden?|Tausend|Mio\.?|Mrd\.?|mil(?:l[oó]n(?:es)?)?"
    r"|millions?|milliards?|mila|milion[ei]|miliard[oi]|milh(?:ão|ões)|bilh(?:ão|ões))\b"
)
BEFORE = re.compile(rf"(?<![\w$])({SIGN})\s?({NUMBER})(?:\s?(k|K|M|m|bn|B|T)\b|\s({SCALE}))?")
AFTER = re.compile(rf"(?<![\w.,])({NUMBER})(?:\s({SCALE})(?:\sde|\sdi|\sd')?)?\s?({SIGN})(?!\w)")
SHORT = {
    "k": "thousand", "K": "thousand", "M": "million", "m": "million", "bn": "billion", "B": "billion", "T": "trillion",
}  # fmt: skip
UNIT = re.compile(
    rf"(?<![\w.,])(-?)({NUMBER})\s?({'|'.join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True))})(?![\w/²³])"
)
EMAIL = re.compile(r"\b[\w+-]+(?:\.[\w+-]+)*@(?:[\w-]+\.)+[A-Za-z]{2,}\b")
DOMAIN = re.compile(
    r"\b(?:[A-Za-z0-9-]+\.)+(?:com|org|net|edu|gov|info|dev|app|io|ai|co|eu|uk|de|es|fr|it|br|pt)\b(?:[:/?#]\S*?(?=[.,;:!?)\]]*(?:\s|$)))?",
    re.IGNORECASE,
)
"""With its path, which is not spoken."""
RANGE = re.compile(
    rf"(?<![\w.,:/–-])(?:({SIGN})\s?)?(\d{{1,9}}(?:[.,]\d{{1,3}}){{0,3}})(?:-|\s?–\s?)(?:\1\s?)?(\d{{1,9}}(?:[.,]\d{{1,3}}){{0,3}})"
    r"(?![\d:/–-]|[.,]\d)"
)
"""Of numbers and of sums; the sign of a sum goes with the second number."""
MINUS = re.compile(rf"(?<![\w)–-])(?:[-–]\s?(?=(?:{SIGN})\s?\d)|({SIGN})-(?=\d))")
EACH = "|".join(re.escape(u) for u in sorted(UNITS, key=len, reverse=True) if "/" not in u and u.isalpha())
PER = re.compile(
    rf"((?:{SIGN})\s?(?:{NUMBER})|(?<![\w.,])(?:{NUMBER})\s?(?:{SIGN}|{EACH}))\s?/\s?({EACH}|[^\W\d_]{{2,}})(?!\w)"
)
MURMUR = re.compile(r"(?<![\w'’-])(?:([Mm]+-?[Hh]m+)|[Hh]m+|[Mm]mm+|^[Mm]m)(?![\w'’-])")
"""Two letters alone may be millimetres, too, which begin no clause."""
LONG = re.compile(r"(?<=\d[.,])(\d{15})\d+|\d{16,}|(?<!\d)\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3}){5,}(?!\d)")
"""Numbers that have no words (CLDR's end before 10^18, exact floats at 10^15): their digits are read one by one, and of
decimals no more than these."""
BY_DIGITS = frozenset({"en", "de"})
"""Where digits after the point are read one by one."""


class WrittenNumber(NamedTuple):
    """As it was written: its digits before and after the point, nothing between them."""

    whole: int
    digits: str

    @property
    def value(self) -> int | float:
        return float(f"{self.whole}.{self.digits}") if self.digits else self.whole


def spell_out_text(text: str, language: str, hint: str = "", before: str = "") -> str:
    """`text` as it is spoken in `language` (a bare code), after the text `before`; `hint` (BCP-47) may tell a region,
    where 3/4 is a day in March or one in April."""
    region = hint.partition("-")[2].upper()
    words = partial(say_number, language=language)
    text = text.replace("\u2212", "-")
    if known := LANGUAGES.get(language):
        text = MURMUR.sub(lambda m: known.murmurs[m[1] is not None], text)
        text = _expand_abbreviations(signs.spell_paths(_spell_addresses(text, known), language), language)
    if any(c.isdigit() for c in text):
        text = spell_digits(text, language, words if known else _say_digits, before)
        text = LONG.sub(lambda m: m[1] or " ".join(re.findall(r"\d", m[0])), text)
    if known:
        text = times.spell_times(spell_roman_numerals(text, language, words), language, region, words)
    if any(c.isdigit() for c in text):
        text = _spell_quantities(text, language, known)
    return signs.spell_signs(text, language) if known else text


def _say_digits(number: int, _: str = "") -> str:
    return str(number)


def say_number(number: int, kind: str = "numbering", *, language: str) -> str:
    """A whole number in words; `kind` is a rule of CLDR's: `cardinal-feminine`, `ordinal`, …"""
    text = _number_rules(language).format_number(number, ruleset_names=[f"spellout-{kind}"]).text
    return text.replace("\u00ad", "")


@cache
def _number_rules(language: str) -> RbnfEngine:
    return RbnfEngine.for_language(language)


@cache
def _find_locale(language: str) -> Locale | None:
    try:
        return Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        return None


def parse_number(text: str, language: str) -> WrittenNumber:
    """A written number. One mark that could part thousands and is the language's own for that does."""
    text = re.sub(r"[\s'’]", "", text)
    locale = _find_locale(language)
    point = get_decimal_symbol(locale) if locale else "."
    groups = "." if point == "," else ","
    marks = [c for c in text if c in ".,"]
    if len(set(marks)) == 2:
        point = marks[-1]
    elif marks and not (len(marks) > 1 or (marks[0] == groups and re.search(r"[.,]\d{3}$", text))):
        point = marks[0]
    elif marks:
        point = " "
    whole, _, digits = text.rpartition(point) if point in text else (text, "", "")
    return WrittenNumber(int(re.sub(r"\D", "", whole)), digits)


def spell_number(n: WrittenNumber, language: str, gender: str = "") -> str:
    """In words: gendered where something is counted."""
    kinds = {"m": "cardinal-masculine", "n": "cardinal-neuter", "f": "cardinal-feminine"}
    kind = "numbering" if n.digits or not gender else kinds[gender]
    kind = "cardinal" if language == "en" and kind.startswith("cardinal") else kind
    words = say_number(n.whole, kind, language=language)
    if not n.digits:
        return words
    rest = n.digits.rstrip("0") or "0"
    zeros = len(n.digits) - len(n.digits.lstrip("0"))
    if language in BY_DIGITS or not rest.strip("0"):
        said = [say_number(int(d), language=language) for d in (n.digits if language in BY_DIGITS else rest)]
    else:
        said = [say_number(0, language=language)] * zeros + [say_number(int(n.digits), language=language)]
    return " ".join([words, LANGUAGES[language].point, *said])


def _spell_addresses(text: str, words: LanguageWords) -> str:
    def spell_domain(name: str) -> str:
        *parts, last = re.split(r"[:/?#]", name)[0].split(".")
        return f" {words.dot} ".join([*parts, " ".join(last.upper()) if len(last) == 2 else last])

    def spell_email(found: re.Match[str]) -> str:
        user, _, host = found[0].partition("@")
        user = re.sub(r"[._+-]", lambda c: {".": f" {words.dot} ", "+": f" {words.plus} "}.get(c[0], " "), user)
        return f"{user} {words.at} {spell_domain(host)}"

    return DOMAIN.sub(lambda found: spell_domain(found[0]), EMAIL.sub(spell_email, text))


@cache
def _abbreviation_pattern(language: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """All abbreviations of a language, a group for each, and what they mean; the spaces inside them may be missing, or
    not break the line, and those of small letters may begin a sentence."""
    shorts = sorted(LANGUAGES[language].abbreviations.items(), key=lambda item: len(item[0]), reverse=True)
    groups: list[str] = []
    for short, _ in shorts:
        bare = short.removeprefix("1 ").removesuffix(" 1").removesuffix(" A")
        one = re.escape(bare).replace(r"\ ", r"\s?")
        if bare[0].islower() and not short.startswith("1 "):
            one = f"[{bare[0]}{bare[0].upper()}]{one[1:]}"
        before = (
            r"(?<=[\dIVX]\s)" if short.startswith("1 ") else r"(?<!\w)(?<!\d\s)" if short.endswith(" A") else r"(?<!\w)"
        )
        after = r"(?=\s?\d)" if short.endswith(" 1") else r"(?=\s[^\W\d_a-zà-ÿ])" if short.endswith(" A") else ""
        groups.append(f"{before}({one})(?!\\w){after}")
    return re.compile("|".join(groups)), tuple(long for _, long in shorts)


def _expand_abbreviations(text: str, language: str) -> str:
    pattern, meant = _abbreviation_pattern(language)

    def expand_match(found: re.Match[str]) -> str:
        word = meant[(found.lastindex or 1) - 1]
        word = word[0].upper() + word[1:] if found[0][0].isupper() and language == "de" else word
        last = found[0].endswith(".") and not text[found.end() :].strip("\"'”’»)* ")
        return word + ("." if last else "")

    return pattern.sub(expand_match, text)


def _spell_quantities(text: str, language: str, known: LanguageWords | None) -> str:
    if known:
        if language == "fr":  # where espeak-ng would read two numbers
            text = re.sub(r"(?<![\d.,])(?<!\d\s)\d{1,3}(?: \d{3})+(?!\s?\d)", lambda m: m[0].replace(" ", ""), text)
        text = signs.spell_fractions(
            text, language, lambda n: spell_number(WrittenNumber(n, ""), language, "m" if n == 1 else "")
        )
        text = MINUS.sub(lambda m: f" {known.minus} {m[1] or ''}", text)
        text = RANGE.sub(lambda m: f"{m[2]} {known.to} {m[1] or ''}{m[3]}", text)
        text = re.sub(r"(?<=\d%)\s?[-–]\s?(?=\d[\d.,]*%)", f" {known.to} ", text)
        text = PER.sub(lambda m: _spell_rate(m, language), text)
    text = BEFORE.sub(lambda m: _spell_money(m[1], m[2], SHORT.get(m[3] or "", m[4] or ""), language, known), text)
    text = AFTER.sub(lambda m: _spell_money(m[3], m[1], m[2] or "", language, known), text)
    text = UNIT.sub(lambda m: _spell_unit(m, language, known), text)
    text = re.sub(r"\b(\d{4})-(\d\d)-(\d\d)\b", lambda m: _spell_day(m, language), text) if not known else text
    if known:
        text = spell_counted_nouns(
            text, language, lambda n, gender: spell_number(WrittenNumber(n, ""), language, gender)
        )
    return text


def _spell_rate(found: re.Match[str], language: str) -> str:
    """`5 €/kg`, `10 MB/s`, `10 €/month`: what comes after the slash, by its name."""
    amount, each = found[1], found[2]
    if re.search(r"[^\W\d_]+$", amount) and f"{re.split(r'[^A-Za-z]', amount)[-1]}/{each}" in UNITS:
        return found[0]
    if each in UNITS:
        each = re.sub(r"[\d\s]+|^una? |^une? ", "", format_unit(1, UNITS[each], "long", locale=language))
    return f"{amount} {signs.SIGNS[language].per} {each}"


def _spell_money(sign: str, amount: str, scale: str, language: str, known: LanguageWords | None) -> str:
    code, n = CURRENCIES[sign], parse_number(amount, language)
    if known is None:
        name = get_currency_name(code, n.value, locale=language) if _find_locale(language) else code
        return " ".join(part for part in (amount, scale, name) if part)
    money = known.money[code]
    if scale:
        of = _money_joint(known, code, language) if scale not in {"mil", "mila"} else ""
        return f"{spell_number(n, language)} {scale} {of}{money.many}"
    if len(n.digits) != 2:
        of = _money_joint(known, code, language) if n.whole and n.whole % 1_000_000 == 0 else ""
        return f"{spell_number(n, language, money.gender)} {of}{money.one if n == (1, '') else money.many}"
    cents = int(n.digits)
    small = spell_number(WrittenNumber(cents, ""), language, "m"), money.cent if cents == 1 else money.cents
    if not n.whole and cents:
        return " ".join(small)
    large = spell_number(WrittenNumber(n.whole, ""), language, money.gender), money.one if n.whole == 1 else money.many
    if "{} {}" not in known.cents[5:]:  # the hundredths go without their name
        small = (say_number(cents, language=language), "")
    return known.cents.format(*large, *small).strip() if cents else " ".join(large)


def _money_joint(words: LanguageWords, code: str, language: str) -> str:
    """What stands between a million and its currency."""
    if language == "fr" and code == "EUR":
        return "d'"
    return f"{words.of} " if words.of else ""


def _spell_unit(found: re.Match[str], language: str, known: LanguageWords | None) -> str:
    minus, amount, sign = found.groups()
    n = parse_number(amount, language)
    try:
        named = format_unit(n.value, UNITS[sign], "long", locale=_find_locale(language) or "en")
    except (UnknownUnitError, UnknownLocaleError):
        return found[0]
    words = amount
    if known:
        feminine = UNITS[sign] in known.feminine
        words = spell_number(n, language, "f" if feminine else "m")
        words = f"{known.minus} {words}" if minus else words
    else:
        words = minus + words
    return re.sub(r"\d[\d.,\u00a0\u202f]*(?<=\d)", lambda _: words, named, count=1).replace("\u00a0", " ")


def _spell_day(found: re.Match[str], language: str) -> str:
    try:
        return format_date(
            date(int(found[1]), int(found[2]), int(found[3])), "long", locale=_find_locale(language) or "en"
        )
    except ValueError:
        return found[0]
