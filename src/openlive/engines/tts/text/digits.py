"""Digits that are told one by one, or without the word that stands between the ends of a range: telephone numbers,
cards, accounts, postal codes, serial numbers, versions, addresses in networks, results of matches; part of
`verbalise.py`.

What is one of them is told by its shape (how long its groups are, what parts them, zeros in front) and, where the shape
says too little, by the words beside it (`cues.py`). Every pattern passes over a text once: a run of digits is
matched whole and judged then, with at most `NEAR` characters of what is beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from openlive.engines.tts.text import cues
from openlive.engines.tts.text.signs import SIGNS
from openlive.engines.tts.text.times import SayNumber
from openlive.engines.tts.text.words import LANGUAGES

NEAR, AHEAD = 60, 25
"""Characters before and after a number that may tell what it is."""
MANY = 8
"""Digits without a gap that nobody counts with."""

RUN = re.compile(
    r"(?<![\dA-Za-zÀ-ɏ_.,:/$€£¥–-])(?:([+(])|([vV])(?=\d++\.\d))?"
    r"(\d++(?:(?:\)?(?:\s/\s|[ \u00a0\u202f./–-])\(?|[()])\d++)*+)(?![A-Za-zÀ-ɏ_])"
)
"""Groups of digits and what parts them."""
HEXADECIMAL = re.compile(r"(?<![\w:.-])[0-9A-Fa-f]{1,4}+(?:(?:::?|-)[0-9A-Fa-f]{1,4}+){2,7}(?![\w:-]|\.\w)")
"""The address of a network card, `00:1A:2B:3C:4D:5E`, or one of IPv6."""
IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
POSTAL = re.compile(
    r"(?<!\w)(?:[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|[A-Z]\d[A-Z] \d[A-Z]\d|[A-Z]{2} (?=\d{5}(?!\d))\d{5}(?:-\d{4})?)(?!\w)"
)
"""British, Canadian, American."""
TOKEN = re.compile(r"(?<![\w.@/:'’#&+-])[A-Z0-9]++(?:-[A-Z0-9]++)*+(?![\w@'’/-]|[.,:]\d)")
"""Capitals and digits: a serial number, a flight."""
HOST = re.compile(r"(?<![\w.:/-])((?:\d{1,3}\.){3}\d{1,3})(?:/(\d{1,2})|:(\d{2,5}))(?![\w:/]|\.\d)")
"""An address of IPv4 with the length of its network, or a port."""
RATIO = re.compile(r"(?<![\w.,:])(\d{1,3}):(\d{1,3})(?![\w:]|[.,]\d|[-–]\d)")
VERSES = re.compile(r"(?:(?<=\d:\d)|(?<=\d:\d\d))[-–](?=\d{1,3}(?![\d:]))")
SPACED = re.compile(r"(?<![\w.,:/$€£¥–-])(\d{1,3})\s([-–]|x)\s(\d{1,3})(?![\w:/]|[.,]\d|\s?[-–=+*/×<>])")
"""A result with room around its dash."""
YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
CARDS = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 4, 4, 4, 3)})
PHONES = frozenset(
    {
        *((3, 3, 4), (2, 3, 2, 2), (2, 2, 2, 2), (2, 2, 2, 2, 2), (3, 2, 2, 2), (2, 4, 4), (3, 3, 2, 2), (1, 3, 3, 4)),
    }
)
"""How long the groups are, with spaces between them."""
LETTERS = {
    "en": {"A": "ay"},
    "es": {"Y": "i griega"},
    "fr": {"Y": "i grec"},
    "pt": {"A": "á", "E": "é", "O": "ó"},
}
"""Letters that are words too when they stand alone, as espeak-ng has to be told them."""


class DigitRun(Struct, frozen=True):
    """Groups of digits, what parts them (one less), the sign before them and the text beside them."""

    sign: str
    groups: tuple[str, ...]
    marks: tuple[str, ...]
    before: str
    after: str
    language: str

    @property
    def digit_count(self) -> int:
        return sum(self.group_lengths)

    @property
    def group_lengths(self) -> tuple[int, ...]:
        return tuple(map(len, self.groups))

    @property
    def mark_kinds(self) -> frozenset[str]:
        """The kinds of marks. A dash is a dash."""
        return frozenset((mark.strip("( )\u00a0\u202f") or " ").replace("–", "-") for mark in self.marks)

    @property
    def dash_parts(self) -> Sequence[str]:
        """What stands between dashes, as it was written."""
        written = "".join(mark + group for mark, group in zip(("", *self.marks), self.groups, strict=True))
        return re.split("[–-]", written)

    @property
    def has_leading_zero(self) -> bool:
        """Whether a group has a zero in front, which counts nothing."""
        return any(len(group) > 1 and group[0] == "0" for group in self.groups)

    @property
    def may_be_thousands(self) -> bool:
        """Whether the groups may be those of one number."""
        return len(self.groups[0]) <= 3 and set(self.group_lengths[1:]) == {3} and self.groups[0][0] != "0"

    @property
    def is_round(self) -> bool:
        return self.groups[-1].endswith("00") and self.digit_count <= 15

    @property
    def has_phone_cue(self) -> bool:
        return bool(cues.CALLED.search(self.before))

    @property
    def is_version(self) -> bool:
        return self.sign in {"v", "V"} or bool(cues.VERSION.search(self.before))

    @property
    def has_code_cue(self) -> bool:
        return bool(cues.CODED.search(self.before))


def spell_digits(text: str, language: str, say: SayNumber, before: str = "") -> str:
    """`text`, which comes after `before`, with what is told digit by digit in words; ranges, dates, times and amounts
    stay. In languages that `verbalise.py` does not spell out, the digits stay digits with spaces between them."""
    before = f"{before[-NEAR:].rstrip()} "
    known = language in LANGUAGES
    if known:
        text = re.sub(r"(?<=\w)#(?=\d)", " #", text)
        text = re.sub(r"#(?=\d)", f"{LANGUAGES[language].number} ", text)
        text = HEXADECIMAL.sub(lambda m: _spell_hexadecimal(m, language, say), text)
    text = IBAN.sub(
        lambda m: _spell_characters(m[0], language, say) if sum(map(str.isalnum, m[0])) >= 15 else m[0], text
    )
    if known:
        text = POSTAL.sub(lambda m: _spell_postal_code(m, language, say), text)
        text = TOKEN.sub(lambda m: _spell_token(m, language, say, before), text)
        text = cues.EMERGENCY.sub(lambda m: _spell_digit_groups((m[0],), language, say), text)
        text = HOST.sub(lambda m: _spell_host(m, language, say), text)
    text = RUN.sub(lambda m: _spell_match(m, language, say, before), text)
    if known:
        text = RATIO.sub(lambda m: _spell_ratio(m, language, say, before), text)
        text = VERSES.sub(f" {LANGUAGES[language].to} ", text)
        text = SPACED.sub(lambda m: _spell_spaced_result(m, language, say, before), text)
    return text


def _text_before(found: re.Match[str], before: str) -> str:
    """What is in front of a number, in the clause and in the one before it."""
    start = found.start()
    return (before + found.string[:start].lstrip())[-NEAR:] if start < NEAR else found.string[start - NEAR : start]


def _spell_digit_groups(groups: tuple[str, ...], language: str, say: SayNumber) -> str:
    """Digit by digit, with a pause between groups; pairs as numbers where all are pairs, and in French."""
    paired = language in LANGUAGES and (language == "fr" or (len(groups) > 3 and max(map(len, groups)) == 2))

    def spell_group(digits: str) -> str:
        if paired and len(digits) == 2 and digits[0] != "0":
            return say(int(digits))
        return " ".join(say(int(d)) for d in digits)

    return ", ".join(map(spell_group, groups))


def _spell_as_numbers(groups: tuple[str, ...], word: str, say: SayNumber) -> str:
    """Each group a number, but for zeros in front."""

    def spell_group(digits: str) -> str:
        zeros = len(digits) - len(digits.lstrip("0")) if len(digits) > 1 else 0
        rest = digits[zeros:]
        numbers = [0] * zeros + ([int(rest)] if len(rest) < MANY else [int(d) for d in rest]) if rest else [0] * zeros
        return " ".join(say(n) for n in numbers)

    return word.join(map(spell_group, groups))


def _spell_characters(written: str, language: str, say: SayNumber, pairs: bool = False) -> str:
    """Letters by their names and digits by theirs (`pairs`: two without a zero in front as a number), a pause for each
    mark between them."""
    letters = LETTERS.get(language, {})
    groups: list[str] = []
    for part in re.split(r"[ -]", written):
        words: list[str] = []
        for piece in re.findall(r"\d+|[^\W\d_]+", part):
            if not piece.isdigit():
                words += [letters.get(c, c) for c in piece.upper()]
            elif pairs and len(piece) == 2 and piece[0] != "0":
                words.append(say(int(piece)))
            else:
                words += [say(int(d)) for d in piece]
        groups.append(" ".join(words))
    return ", ".join(filter(None, groups))


def _spell_match(found: re.Match[str], language: str, say: SayNumber, before: str) -> str:
    sign = found[1] or found[2] or ""
    groups = tuple(re.findall(r"\d+", found[3]))
    marks = tuple(re.findall(r"\D+", found[3]))
    lone = ""
    if sign == "(" and not (marks and ")" in marks[0]):
        sign, lone = "", "("
    before = _text_before(found, before) + lone
    after = found.string[found.end() : found.end() + AHEAD]
    run = DigitRun(sign, groups, marks, before, after, language)
    said = _spell_run(run, say)
    return found[0] if said is None else lone + said


def _spell_run(run: DigitRun, say: SayNumber) -> str | None:
    """How a run is told; None where it is no number of these kinds."""
    told = _spell_digit_groups(run.groups, run.language, say)
    if run.language == "fr" and run.group_lengths == (10,) and run.groups[0][0] == "0":
        (number,) = run.groups
        told = _spell_digit_groups(tuple(number[i : i + 2] for i in range(0, 10, 2)), "fr", say)
    if run.sign == "+":
        plus = f"{LANGUAGES[run.language].plus} " if run.language in LANGUAGES else "+"
        trunk = [i for i, mark in enumerate(run.marks, 1) if mark.endswith("(") and run.groups[i] == "0"]
        groups = tuple(group for i, group in enumerate(run.groups) if i not in trunk)  # +49 (0)171
        return plus + _spell_digit_groups(groups, run.language, say) if 7 <= run.digit_count <= 17 else None
    if _contains_date(run) and not (run.is_version and run.mark_kinds == {"."}):
        return None
    if run.sign == "(":
        return told if run.digit_count >= 6 and sum(run.group_lengths[1:]) >= 5 else None
    if not run.marks:
        return told if _is_unspaced_code(run) else None
    match sorted(run.mark_kinds):
        case ["."]:
            return _spell_dotted(run, say)
        case ["-"]:
            return _spell_dashed(run, say)
        case [" "]:
            return told if _is_spaced_code(run) else None
    return told if _is_mixed_code(run) else None


def _contains_date(run: DigitRun) -> bool:
    """Whether a day stands in it: `2024-03-15`, `15.03.2024`."""
    parts = zip(run.groups, run.groups[1:], run.groups[2:], run.marks, run.marks[1:], strict=False)
    for first, second, third, mark, other in parts:
        if mark == other and mark in {"-", ".", "/"} and len(second) <= 2:
            year, day = (first, third) if len(first) == 4 else (third, first)
            if len(year) == 4 and year[0] in "12" and len(day) <= 2 and _is_day(day, second):
                return True
    return False


def _is_day(day: str, month: str) -> bool:
    low, high = sorted((int(day), int(month)))
    return 1 <= low <= 12 and high <= 31


def _is_unspaced_code(run: DigitRun) -> bool:
    """Of digits without a gap."""
    (group,) = run.groups
    if len(group) < 3 or re.match(r"[:,.]\d|\s?[%€$£¥°]", run.after):
        return False
    counts = len(group) <= 15 and (run.is_round or not cues.ENDED.match(run.after))
    if group[0] == "0" or (len(group) >= MANY and not counts):
        return True
    if len(group) == 5 and not group.endswith("000") and cues.TOWN.match(run.after):
        return bool(cues.PLACE.search(run.before) or (group[-2:] != "00" and cues.IN.search(run.before)))
    coded = run.has_code_cue or cues.NAMED.search(run.before)
    return len(group) > 3 and bool(coded and cues.ENDED.match(run.after))


def _spell_dotted(run: DigitRun, say: SayNumber) -> str | None:
    """Addresses of IPv4, versions, telephone numbers; None for decimals and thousands."""
    lengths, version = run.group_lengths, run.is_version
    if lengths in {(3, 3, 4), (2, 2, 2, 2, 2)} or (
        run.has_leading_zero and run.digit_count >= 9 and not version and len(lengths) > 2
    ):
        return _spell_digit_groups(run.groups, run.language, say)
    if run.language not in LANGUAGES or (len(lengths) == 2 and not version):
        return None
    dot = LANGUAGES[run.language].dot
    if len(lengths) == 4 and not version and max(lengths) <= 3 and all(int(group) < 256 for group in run.groups):
        return _spell_as_numbers(run.groups, f" {dot} ", say)
    if not version and (
        run.may_be_thousands or (lengths[2:] == (2,) and max(lengths) == 2 and _is_day(*run.groups[:2]))
    ):
        return None  # 24.12.23
    name = f"{cues.VERSIONS[run.language]} " if run.sign and not cues.VERSION.search(run.before) else ""
    return name + _spell_as_numbers(run.groups, f" {'point' if run.language == 'en' else dot} ", say)


def _spell_dashed(run: DigitRun, say: SayNumber) -> str | None:
    """Codes, telephone numbers, results; None for ranges."""
    groups, lengths = run.groups, run.group_lengths
    told = _spell_digit_groups(groups, run.language, say)
    if len(groups) > 2:
        return (
            _spell_as_numbers(groups, ", ", say)
            if max(lengths) <= 2 and not run.has_leading_zero and run.digit_count < 7
            else told
        )
    if re.match(r"\s?[=+*×/^]", run.after):
        return " - ".join(groups)
    if re.match(r"\s?(?:%|€|\$|£|°|Uhr\b|h\b|[ap]\.?m\b)", run.after):
        return None
    if run.has_code_cue and run.digit_count >= 6:
        return told
    if max(lengths) <= 3 and not (run.has_leading_zero and max(lengths) == 3):
        return _spell_result(run, say)
    rises = len(groups[0]) < len(groups[1]) or (len(groups[0]) == len(groups[1]) and groups[0] < groups[1])
    if lengths == (3, 4):
        return None if rises and run.is_round and not run.has_phone_cue else told
    if run.has_leading_zero or run.has_phone_cue or run.has_code_cue or lengths[1] - lengths[0] > 2:
        return told
    season = lengths == (4, 2) and YEAR.fullmatch(groups[0]) and groups[0][2:] < groups[1]
    return None if rises or season else told


def _spell_result(run: DigitRun, say: SayNumber) -> str | None:
    """Of a match, or of what has no other word between. English may open 9-5, German von 9-5."""
    first, second = map(int, run.groups)
    if run.language in cues.RESULT and cues.MODEL.search(run.before):
        return f"{say(first)} {say(second)}"
    played = cues.PLAYED.search(run.before) or cues.PLAYED.search(run.after)
    falls = first >= second and not cues.OPEN.search(run.before)
    falls = falls and (run.language != "en" or first >= 24 or first == second)
    if not (played or falls) or run.language not in cues.RESULT:
        return None
    between = cues.RESULT[run.language] if run.language != "en" or (played and first >= 20) else ""
    return " ".join(filter(None, (say(first), between, say(second))))


def _is_spaced_code(run: DigitRun) -> bool:
    """With spaces between its groups."""
    lengths, size = run.group_lengths, run.digit_count
    if lengths in CARDS or (size >= 12 and set(lengths[:-1]) == {4} and lengths[-1] <= 4):
        return True
    if run.may_be_thousands and not run.has_code_cue:
        open_end = run.language in {"es", "it", "pt"} and cues.ENDED.match(run.after)
        return size == 9 and not run.is_round and bool(run.has_phone_cue or open_end)
    if run.has_leading_zero or (size == 13 and run.groups[0] in {"978", "979"}):
        return size >= 7
    if len(lengths) == 2:
        return (size >= 7 and run.has_phone_cue) or (size >= 6 and run.has_code_cue)
    return lengths in PHONES or (size >= 7 and (run.has_phone_cue or run.has_code_cue))


def _is_mixed_code(run: DigitRun) -> bool:
    """With marks of several kinds, or slashes."""
    lengths = run.group_lengths
    if "/" in "".join(run.mark_kinds):
        if run.has_code_cue and run.has_leading_zero:
            return True
        code = len(lengths) > 2 and (run.has_code_cue or run.digit_count >= 12)
        called = run.groups[0][0] == "0" and run.digit_count >= 7
        return (code or called) and not any(map(YEAR.fullmatch, run.groups))
    if run.digit_count < 9 or (YEAR.fullmatch(run.groups[0]) and not run.has_phone_cue):
        return False
    if "." in run.mark_kinds and (" " in run.mark_kinds or all("." in half for half in run.dash_parts)):
        return run.has_phone_cue or run.has_code_cue  # rather decimals, or a range of thousands
    shaped = (
        (lengths[-1] == 4 and not run.is_round) or (len(lengths) > 4 and max(lengths) > 2) or " " not in run.mark_kinds
    )
    return run.has_leading_zero or run.has_phone_cue or run.has_code_cue or shaped


def _spell_host(found: re.Match[str], language: str, say: SayNumber) -> str:
    groups = tuple(found[1].split("."))
    if any(int(group) > 255 for group in groups):
        return found[0]
    host = _spell_as_numbers(groups, f" {LANGUAGES[language].dot} ", say)
    after = f"{SIGNS[language].slash} {found[2]}" if found[2] else f"{cues.PORT[language]} {found[3]}"
    return f"{host} {after}"


def _spell_hexadecimal(found: re.Match[str], language: str, say: SayNumber) -> str:
    """Its letters and digits, a pause for each mark; what has no letter may be a time."""
    written = found[0]
    marks = len(re.findall(r"[:-]+", written))
    card = marks == 5 and set(map(len, re.split(r"[:-]", written))) == {2}
    if not (card or (":" in written and re.search(r"[A-Fa-f]|::", written)) or (":" in written and marks == 7)):
        return written
    if card:
        return _spell_characters(re.sub(r"[:-]", " ", written), language, say)
    return _spell_characters(written.replace("::", "  ").replace(":", " "), language, say)


def _spell_postal_code(found: re.Match[str], language: str, say: SayNumber) -> str:
    if found[0][:2].isalpha() and found[0][2] == " " and language != "en":
        return found[0]
    return _spell_characters(found[0], language, say, pairs=True)


def _spell_token(found: re.Match[str], language: str, say: SayNumber, before: str) -> str:
    """A code of capitals and digits. A name that ends in a number stays: B52, COVID-19, GPT4, FY2024."""
    written = found[0]
    flight = cues.FLIGHT.search(_text_before(found, before))
    pieces = re.findall(r"\d+|[A-Z]+", written)
    digits = "".join(filter(str.isdigit, pieces))
    airline = len(written) == 2 and re.match(r"\s\d", found.string[found.end() : found.end() + 2])
    if flight and (airline or (digits and len(digits) <= 4)):
        return _spell_characters(written, language, say)
    if len({piece.isdigit() for piece in pieces}) == 1 or "X" in pieces[1:-1] or (len(digits) < 4 and "-" in written):
        return written
    if len(pieces) > 2 or len(digits) > 4:
        return _spell_characters(written, language, say, pairs=len(digits) < 4)
    named = pieces[0].isdigit() or YEAR.fullmatch(digits) or len(pieces[0]) > 4
    return written if named or len(digits) < 4 else _spell_characters(written, language, say)


def _spell_ratio(found: re.Match[str], language: str, say: SayNumber, before: str) -> str:
    """`3:1`, `16:9`; what may be a time stays, unless somebody has won."""
    first, second = found.groups()
    played = int(first) > 24 and cues.PLAYED.search(_text_before(found, before))
    if len(second) == 2 and int(second) < 60 and not played:
        return found[0]
    return f"{say(int(first))} {cues.RESULT[language]} {say(int(second))}"


def _spell_spaced_result(found: re.Match[str], language: str, say: SayNumber, before: str) -> str:
    first, mark, second = found.groups()
    before, after = (
        found.string[max(0, found.start() - NEAR) : found.start()],
        found.string[found.end() : found.end() + AHEAD],
    )
    if not (cues.PLAYED.search(before) or cues.PLAYED.search(after)) or (mark == "x" and language != "pt"):
        return found[0]
    return f"{say(int(first))} {cues.RESULT[language]} {say(int(second))}"
