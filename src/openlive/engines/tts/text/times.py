"""Dates, times of day, years and ordinals in words; part of `verbalise.py`."""

from __future__ import annotations

import re
from functools import cache
from typing import Protocol

from babel.dates import get_day_names, get_month_names

from openlive.engines.tts.text.words import LANGUAGES


class SayNumber(Protocol):
    def __call__(self, number: int, kind: str = "numbering", /) -> str:
        """A number in words; `kind` as CLDR's rules are called."""
        ...


DAY_FIRST = frozenset({"GB", "AU", "IN", "IE", "NZ", "ZA"})
ISO = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
NUMERIC = re.compile(r"(?<![\w./-])(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d\d(?!\.\d))(?![\w/-])")
SHORT_DATE = {
    "de": re.compile(
        r"\b(am|vom|zum|bis|der|den|dem|seit|ab|und|oder|-|–) (\d{1,2})\.(\d{1,2})\.(?![\w/]|[.,]\d)", re.IGNORECASE
    ),
    "en": re.compile(
        r"\b(on|by|until|till|since|from|to|before|after) (\d{1,2})/(\d{1,2})(?![\w/]|[.,]\d)", re.IGNORECASE
    ),
}
"""A day and a month, told from fractions and versions by the word before them."""
HOURS = re.compile(
    r"(?<![\w.,:/-])(\d{1,2}(?:[:h.]\d\d|\s?h)?(?:\s?[ap]\.?m\b\.?)?)\s?[-–]\s?"
    r"(?=\d{1,2}(?:[:h]\d\d(?!\d)|\.\d\d\sUhr|\s?h\b|\sUhr\b|\s?[ap]\.?m\b))",
    re.IGNORECASE,
)
"""From when until when."""
CLOCK = {
    "en": re.compile(r"(?<![\w.,:])([01]?\d|2[0-4]):([0-5]\d)(?:\s?([ap])\.?\s?m\b\.?|(?![\w:]))", re.IGNORECASE),
    "de": re.compile(
        r"(?<![\w.,:])([01]?\d|2[0-4])(?::([0-5]\d)(?![\w:])(?:\s(?:Uhr|h)\b)?|\.([0-5]\d)\sUhr\b|\sUhr\b)"
    ),
    "es": re.compile(
        r"(?<![\w.,:])([01]?\d|2[0-4])(?::|\s?h\s?)([0-5]\d)(?![\w:])(?:\s([ap])\.?\s?m\b\.?|\s?h(?:oras|rs)?\b\.?)?"
        r"|(?<![\w.,:])(1[0-2]|[1-9])\s([ap])\.?\s?m\b\.?"
    ),
    "": re.compile(r"(?<![\w.,:])([01]?\d|2[0-4])(?::|\s?h\s?)([0-5]\d)(?![\w:])(?:\s?h(?:oras|rs)?\b\.?)?"),
}
DOTTED = {
    "en": re.compile(r"(?<![\w.,:])([01]?\d)\.([0-5]\d)(?=\s?[ap]\.?\s?m\b)", re.IGNORECASE),
    "es": re.compile(r"(?<=\blas )([01]?\d|2[0-4])\.([0-5]\d)(?![\w%]|[.,]\d)"),
    "it": re.compile(
        r"(?:(?<=\balle )|(?<=\bdalle )|(?<=\bdelle )|(?<=\bore ))([01]?\d|2[0-4])\.([0-5]\d)(?![\w%]|[.,]\d)",
        re.IGNORECASE,
    ),
}
"""A time of day with a full stop, told from a decimal by the word beside it; German has its "Uhr" (`CLOCK`)."""
HOUR = re.compile(r"(?<![\w.,:])([1-9]|1[0-2])\s?([ap])\.?\s?m\b\.?", re.IGNORECASE)
YEARS_AFTER = {
    "en": r"in|since|from|until|till|by|of|before|after|around|circa|year|between|and|to|during|late|early|mid",
    "de": r"in|Jahr|Jahre|Jahres|Jahren|seit|von|bis|ab|vor|nach|um|zwischen|und|Anfang|Ende|Mitte|Sommer|Winter",
}
DECADE = {
    "en": re.compile(r"(?<![\w.,])['’]?(1[1-9]|20)?(\d0)['’]?s\b"),
    "de": re.compile(r"(?<![\w.,])(1[1-9])?(\d0)er\b"),
}
ORDINAL = {
    "es": re.compile(r"\b(\d{1,3})\.?(º|ª|er|o|a)(?!\w)"),
    "fr": re.compile(r"\b(\d{1,3}|[IVX]{1,6})(er|re|ère|ème|e|nde?)\b"),
    "it": re.compile(r"\b(\d{1,3})\.?(º|ª|°(?= (?:piano|posto|secolo|giorno|anno|capitolo|turno|livello)\b))(?!\w)"),
    "pt": re.compile(r"\b(\d{1,3})\.?(º|ª)(?!\w)"),
}
OBLIQUE = frozenset(
    {
        *("am", "vom", "zum", "den", "dem", "des", "im", "beim", "bis", "seit", "ab", "nach", "vor", "ihrem", "seinem"),
    }
)
FIRST = {"fr": "premier", "it": "primo", "pt": "primeiro", "es": "uno"}


def spell_times(text: str, language: str, region: str, say: SayNumber) -> str:
    """Raises nothing: what is no date or time stays as it is."""
    text = _spell_weekdays(text, language)
    if not any(c.isdigit() for c in text) and language != "fr":
        return text
    if language in DOTTED:
        text = DOTTED[language].sub(r"\1:\2", text)
    text = HOURS.sub(rf"\1 {LANGUAGES[language].to} ", text)
    text = re.sub(r"(?<=\d[/.]\d{4})\s?[-–]\s?(?=\d{1,2}[/.]\d)", f" {LANGUAGES[language].to} ", text)
    text = ISO.sub(lambda m: _spell_date(m[0], (int(m[3]), int(m[2]), int(m[1])), language, say), text)
    text = NUMERIC.sub(lambda m: _spell_numeric_date(m, language, region, say), text)
    if language in SHORT_DATE:
        text = SHORT_DATE[language].sub(lambda m: _spell_short_date(m, language, region, say), text)
    text = _spell_written_dates(text, language, say)
    text = CLOCK.get(language, CLOCK[""]).sub(lambda m: _spell_clock(m, language, say), text)
    if language == "en":
        text = HOUR.sub(lambda m: f"{say(int(m[1]))} {_half_of_day(m[2])}", text)
    if language in DECADE:
        text = DECADE[language].sub(lambda m: _spell_decade(m, language, say), text)
        text = _spell_years(text, language, say)
    if language in ORDINAL:
        text = ORDINAL[language].sub(lambda m: _spell_ordinal(m, language, say), text)
    return text


def spell_year(number: int, say: SayNumber) -> str:
    return say(number, "numbering-year")


@cache
def month_numbers(language: str) -> dict[str, int]:
    """Full names, as they are written in a date, and those that English cuts short."""
    names = {name: n for n, name in get_month_names("wide", locale=language).items()}
    if language == "en":
        names |= {name[:3]: n for name, n in names.items()} | {"Sept": 9}
    return names


def _spell_date(written: str, numbers: tuple[int, int, int], language: str, say: SayNumber) -> str:
    """Day, month and year in words; as it was written where there is no such day."""
    day, month, in_year = numbers
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return written
    name = get_month_names("wide", locale=language)[month]
    spelled = say(day)
    if day == 1:
        spelled = FIRST.get(language, spelled)
    ordinal = _german_ordinal(day, "", say) if language == "de" else say(day, "ordinal") if language == "en" else ""
    return LANGUAGES[language].date.format(month=name, ordinal=ordinal, day=spelled, year=spell_year(in_year, say))


def _spell_short_date(found: re.Match[str], language: str, region: str, say: SayNumber) -> str:
    before, first, second = found.groups()
    day, month = (int(first), int(second))
    if language == "en" and region not in DAY_FIRST:
        day, month = month, day
    if not (1 <= month <= 12 and 1 <= day <= 31) or (
        language == "en" and before.lower() != "on" and max(day, month) < 10
    ):
        return found[0]
    name = get_month_names("wide", locale=language)[month]
    if language == "en":
        return f"{before} {name} {say(day, 'ordinal')}"
    last = "" if found.string[found.end() :].strip() else "."
    return f"{before} {_german_ordinal(day, 'am' if before in {'und', 'oder', '-', '–'} else before, say)} {name}{last}"


def full_year(written: str) -> int:
    """`26` is 2026, `84` 1984."""
    return int(written) if len(written) == 4 else int(written) + (2000 if int(written) < 70 else 1900)


@cache
def _weekday_pattern(language: str) -> tuple[re.Pattern[str], dict[str, str]]:
    """Runs of weekdays cut short, and their full names."""
    full = get_day_names("wide", locale=language)
    days = {short.strip("."): full[n] for n, short in get_day_names("abbreviated", locale=language).items()}
    if language == "en":
        days |= {"Tues": "Tuesday", "Thur": "Thursday", "Thurs": "Thursday"}
    one = rf"(?:{'|'.join(sorted(days, key=len, reverse=True))})(?:\.|\b)"
    between = rf"\s?(?:[-–/&,]|,?\s(?:{AND_TO}))\s?"
    flags = re.RegexFlag(0) if language in {"en", "de"} else re.IGNORECASE
    lone = (
        rf"|(?<=\b[oO]n ){one}(?<=\.)|(?<=\b(?:[aA]m|ab) ){one}(?<=\.)|(?<=\b(?:bis|von) ){one}(?<=\.)"
        if language in {"en", "de"}
        else ""
    )
    return re.compile(rf"(?<!\w){one}(?:{between}{one})+(?!\w){lone}", flags), days


AND_TO = "and|or|to|through|und|oder|bis|y|o|a|et|ou|à|au|e|al"


def _spell_weekdays(text: str, language: str) -> str:
    """`Mo.-Fr.`, `Sat. and Sun.`: two and more of them; a single one is a word too often."""
    runs, days = _weekday_pattern(language)

    def spell_run(found: re.Match[str]) -> str:
        written = re.sub(r"\s?[-–]\s?", f" {LANGUAGES[language].to} ", found[0])
        names = {short.lower(): name for short, name in days.items()}
        spelled = re.sub(r"([^\W\d_]+)\.?", lambda m: names.get(m[1].lower(), m[0].rstrip(".")), written)
        return spelled + ("." if found[0].endswith(".") and not found.string[found.end() :].strip("*_ ") else "")

    return runs.sub(spell_run, text)


def _spell_numeric_date(found: re.Match[str], language: str, region: str, say: SayNumber) -> str:
    first, mark, second, written = found.groups()
    day, month, in_year = int(first), int(second), full_year(written)
    if len(written) == 2 and not (mark == "/" or language == "de"):
        return found[0]
    if (language == "en" and mark in "/-" and region not in DAY_FIRST and day <= 12) or month > 12:
        day, month = month, day
    if language == "de":
        before = found.string[: found.start()].split()
        name = get_month_names("wide", locale=language).get(month)
        return (
            f"{_german_ordinal(day, before[-1] if before else '', say)} {name} {spell_year(in_year, say)}"
            if name
            else found[0]
        )
    return _spell_date(found[0], (day, month, in_year), language, say)


def _spell_written_dates(text: str, language: str, say: SayNumber) -> str:
    """Dates with the month's name."""
    names = "|".join(sorted(month_numbers(language), key=len, reverse=True))
    if language == "en":
        text = re.sub(
            rf"\b({names})\.? (\d{{1,2}})(?:st|nd|rd|th)?(?!\d|[.,:]\d|%)(?:,? (\d{{4}})\b)?",
            lambda m: _english_date(m[0], (int(m[2]), m[1], m[3]), "{month} {ordinal}", say),
            text,
        )
        return re.sub(
            rf"(?<![\w.,])(?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({names})\b\.?(?:,? (\d{{4}})\b)?",
            lambda m: _english_date(m[0], (int(m[1]), m[2], m[3]), "the {ordinal} of {month}", say),
            text,
        )
    if language == "de":
        days = rf"(?:(\w+) )?(\d{{1,2}})\.(?:\s?[-–]\s?|\s(bis|und|oder)\s)(zum )?(\d{{1,2}})\. (?=(?:{names})\b)"
        text = re.sub(rf"(?<![\w.,]){days}", lambda m: _german_days(m, say), text)
        following = rf"(?={names}\b|Jahrhundert|Mal\b|Platz|Stock|Kapitel|Tag\b|Klasse)"
        text = re.sub(
            rf"(?<![\w.,])(?:(\w+) )?(\d{{1,3}})\. {following}",
            lambda m: (m[1] + " " if m[1] else "") + _german_ordinal(int(m[2]), m[1] or "", say) + " ",
            text,
        )
        return re.sub(rf"\b({names}) (1[1-9]\d\d|20\d\d)\b", lambda m: f"{m[1]} {spell_year(int(m[2]), say)}", text)
    first = FIRST[language]
    return re.sub(rf"(?<![\w.,])1(?= (?:de )?(?:{names})\b)", first, text, flags=re.IGNORECASE)


def _english_date(written: str, parts: tuple[int, str, str | None], form: str, say: SayNumber) -> str:
    day, name, in_year = parts
    if not 1 <= day <= 31:
        return written
    month = get_month_names("wide", locale="en")[month_numbers("en")[name]]
    date = form.format(month=month, ordinal=say(day, "ordinal"))
    return f"{date}, {spell_year(int(in_year), say)}" if in_year else date


def _german_days(found: re.Match[str], say: SayNumber) -> str:
    """`vom 3.-5. `, `am 3. und 4. `."""
    before, first, joint, to, last = found.groups()
    days = (
        _german_ordinal(int(first), before or "", say),
        _german_ordinal(int(last), to.strip() if to else before or "bis", say),
    )
    return f"{before} " * bool(before) + f"{days[0]} {joint or 'bis'} {to or ''}{days[1]} "


def _german_ordinal(number: int, before: str, say: SayNumber) -> str:
    """`3.` as the word before it has it: der dritte, am dritten, dritter."""
    if before.lower() in {"der", "die", "das"}:
        return say(number, "ordinal")
    return say(number, "ordinal-n" if before.lower() in OBLIQUE else "ordinal-r")


def _spell_clock(found: re.Match[str], language: str, say: SayNumber) -> str:
    hour, minute = int(found[1] or found[4]), int(found[2] or (found[3] if language == "de" else None) or 0)
    if language == "en":
        half = f" {_half_of_day(found[3])}" if found[3] else ""
        if not minute:
            return say(hour) + (half or (" o'clock" if 0 < hour <= 12 else " hundred"))
        return f"{say(hour)} {'oh ' if minute < 10 else ''}{say(minute)}{half}"
    after = f" {say(minute)}" if minute else ""
    if language == "de":
        return f"{say(hour, 'cardinal-masculine')} Uhr{after}"
    spelled = say(hour, "cardinal-feminine")
    match language:
        case "fr":
            return f"{spelled} heure{'s' if hour > 1 else ''}{after}"
        case "es":
            quarter = {30: " y media", 15: " y cuarto"}.get(minute, f" y{after}" if minute else "")
            half = {"a": " de la mañana", "p": " de la tarde"}.get((found[3] or found[5] or "").lower(), "")
            return spelled + (quarter if hour <= 12 else after) + half
        case "it":
            return spelled + (f" e{after}" if minute else "")
    return f"{spelled} e{after}" if minute else f"{spelled} hora{'s' if hour > 1 else ''}"


def _half_of_day(letter: str) -> str:
    """Spelled as espeak-ng spells it."""
    return f"{letter.upper()}.M."


def _spell_decade(found: re.Match[str], language: str, say: SayNumber) -> str:
    century, tens = found[1], int(found[2])
    if language == "de":
        return (spell_year(int(found[1] + found[2]), say) if century else say(tens)) + "er"
    if century == "20" and tens == 0:
        return "two thousands"
    plural = "hundreds" if tens == 0 else f"{say(tens)[:-1]}ies" if tens > 10 else f"{say(tens)}s"
    return f"{say(int(century))} {plural}" if century else plural


def _spell_years(text: str, language: str, say: SayNumber) -> str:
    """Numbers that are years by the word before them, or because nothing else stands in the clause before them."""
    before = rf"(^[\s\"'(]*|\b(?:{YEARS_AFTER[language]}) |\()"
    after = r"(?!\w|[.,]\d|\s?[%€$£°/:+*=<>-]| (?!was|is|has)(?:[a-z]+s|km|kg)\b)"
    text = re.sub(
        r"\b(1[1-9]\d\d|20\d\d)\s?[-–]\s?(1[1-9]\d\d|20\d\d)\b",
        lambda m: f"{spell_year(int(m[1]), say)} {LANGUAGES[language].to} {spell_year(int(m[2]), say)}",
        text,
    )
    return re.sub(rf"{before}(1[1-9]\d\d|20\d\d){after}", lambda m: m[1] + spell_year(int(m[2]), say), text)


def parse_roman(written: str) -> int:
    """A Roman numeral of I, V and X."""
    values = [{"I": 1, "V": 5, "X": 10}[c] for c in written]
    return sum(-v if any(v < w for w in values[i + 1 :]) else v for i, v in enumerate(values))


def _spell_ordinal(found: re.Match[str], language: str, say: SayNumber) -> str:
    written, ending = found.groups()
    if not written.isdigit() and ending not in {"e", "ème", "er"}:
        return found[0]
    number = int(written) if written.isdigit() else parse_roman(written)
    if language == "es" and ending == "er":
        return say(number, "ordinal-masculine-adjective")
    feminine = ending in {"ª", "a", "re", "ère", "nde"}
    return say(number, "ordinal-feminine" if feminine else "ordinal-masculine")
