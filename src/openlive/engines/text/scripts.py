"""Which script a text is written in, and what language to speak it in: a clause as a whole, or words of another script
inside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from typing import TypeVar

from msgspec import Struct

from openlive.engines.text.language_identification import identify_language
from openlive.engines.text.languages import NAMES, bare_language

T = TypeVar("T")


class WritingSystem(Struct, frozen=True):
    """Its letters as a class of a regular expression, the language to assume for them, and all that write with them."""

    letters: str
    language: str
    writers: frozenset[str]


def _build_script(letters: str, languages: str) -> WritingSystem:
    writers = languages.split()
    return WritingSystem(letters, writers[0], frozenset(writers))


SAMPLE = 1000
"""Characters of a text that tell its language: users may type a hundred thousand."""
LATIN = ("en", "de", "es", "fr", "it", "pt", "nl", "pl", "id", "tr", "vi")
"""The guide's languages that are written in Latin letters."""
KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
SCRIPTS = {
    "kana": _build_script(KANA, "ja"),
    "Han": _build_script(HAN, "zh ja"),
    "Hangul": _build_script("\u1100-\u11ff\u3130-\u318f\uac00-\ud7af", "ko"),
    "Cyrillic": _build_script("\u0400-\u052f", "ru uk bg sr mk be kk ky tt"),
    "Greek": _build_script("\u0370-\u03ff\u1f00-\u1fff", "el"),
    "Hebrew": _build_script("\u0590-\u05ff", "he"),
    "Arabic": _build_script("\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc", "ar fa ur sd ug"),
    "Devanagari": _build_script("\u0900-\u0963\u0966-\u097f", "hi mr ne kok"),
    "Bengali": _build_script("\u0980-\u09ff", "bn as"),
    "Gurmukhi": _build_script("\u0a00-\u0a7f", "pa"),
    "Gujarati": _build_script("\u0a80-\u0aff", "gu"),
    "Odia": _build_script("\u0b00-\u0b7f", "or"),
    "Tamil": _build_script("\u0b80-\u0bff", "ta"),
    "Telugu": _build_script("\u0c00-\u0c7f", "te"),
    "Kannada": _build_script("\u0c80-\u0cff", "kn"),
    "Malayalam": _build_script("\u0d00-\u0d7f", "ml"),
    "Sinhala": _build_script("\u0d80-\u0dff", "si"),
    "Thai": _build_script("\u0e00-\u0e7f", "th"),
    "Burmese": _build_script("\u1000-\u109f", "my"),
    "Georgian": _build_script("\u10a0-\u10ff\u1c90-\u1cbf", "ka"),
    "Armenian": _build_script("\u0530-\u058f\ufb13-\ufb17", "hy"),
    "Ethiopic": _build_script("\u1200-\u139f", "am ti"),
}
"""Those that espeak-ng has a language for, but for Latin."""
LETTERS = "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
"""Latin ones."""
OWN = (
    ("uk", "ЇїЄєҐґІі"),
    ("be", "Ўў"),
    ("mk", "ЃѓЌќЅѕ"),
    ("sr", "ЂђЋћЏџЈјЉљЊњ"),
    ("kk", "ӘәҒғҚқҢңӨөҰұҮүҺһ"),
    ("ur", "ٹڈڑںےہ"),
    ("fa", "پچژگکی"),
    ("mr", "ळ"),
    ("as", "ৰৱ"),
)
"""Letters that only one of a script's languages has, or one that comes first here."""
QUOTED = re.compile(r"[\"“„«»”]\s?([^\s\"“”„«»][^\"“”„«»\n]{6,240}?)\s?(?=[\"”“»«])")
"""What stands between quotation marks."""
FEW = 2
"""Spaces from which words may tell their language: one or two are too often taken for another's."""
JOINED = r"[ '’‘\u00a0\u200b-\u200d\u0300-\u036f·・-]"
"""What stands between words that are one run."""
ENDED = r"[\"'”’»)\]）」』】]{0,2}[,.;:!?…،؛؟。、，！？।॥։]{0,3}"
"""What ends one, and is its tune."""


def language_of(text: str, hint: str = "", otherwise: str = "") -> str:
    """The language to speak `text` in, a bare code. A script that `hint` is not written with outweighs it, if most of
    the text is in it; among languages in Latin letters it decides, and without it the words do. `otherwise`, the
    language that is expected, stands unless the text is clearly in another one. What is quoted counts where there is
    nothing else. The first `SAMPLE` characters tell.
    """
    text, hint = text[:SAMPLE], bare_language(hint)
    if script := script_of(text):
        return _script_language(script, text, (hint, otherwise))
    if hint:
        return hint
    told = QUOTED.sub("", text)
    return identify_language(told if any(map(str.isalpha, told)) else text, LATIN, otherwise)


def script_of(text: str) -> WritingSystem | None:
    """The script that most of `text` is in; None where it is Latin, or one that is not in `SCRIPTS`, or none. A sign
    that is a syllable or a word counts as two letters; kana anywhere make Han Japanese. Greek letters that stand alone
    are no words."""
    if text.isascii():
        return None
    counts = {name: sum(map(str.isalpha, _letter_pattern(name).findall(text))) for name in SCRIPTS}
    counts["Greek"] = sum(map(len, re.findall(f"[{SCRIPTS['Greek'].letters}]{{2,}}", text))) if counts["Greek"] else 0
    others = sum(map(str.isalpha, text)) - sum(counts.values())
    kana, han = counts["kana"], counts["Han"]
    counts |= {"kana": 2 * (kana + han) if kana else 0, "Han": 0 if kana else 2 * han, "Hangul": 2 * counts["Hangul"]}
    most = max(counts, key=counts.__getitem__)
    return SCRIPTS[most] if counts[most] > others else None


@cache
def _letter_pattern(name: str) -> re.Pattern[str]:
    return re.compile(f"[{SCRIPTS[name].letters}]")


def split_runs(text: str, language: str, expected: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """`text`, which is to be spoken in `language`, in runs: (language, words). Words in a script that the language is
    not written with have one that is, of those `expected` in the conversation if possible (bare codes); a mark behind
    them belongs to them. So have quotations whose words are clearly in another one. The runs joined are the text."""
    latin = not any(language in script.writers for script in SCRIPTS.values())
    for code, words in _split_by_script(text, language, expected):
        yield from _split_quoted(words, language) if latin and code == language else ((code, words),)


def _split_quoted(text: str, language: str) -> Iterator[tuple[str, str]]:
    done = 0
    for found in QUOTED.finditer(text):
        words = found[1]
        code = identify_language(words, LATIN, language) if words.count(" ") >= FEW else language
        if code != language:
            yield language, text[done : found.start(1)]
            yield code, words
            done = found.end(1)
    if done < len(text):
        yield language, text[done:]


def _split_by_script(text: str, language: str, expected: Sequence[str]) -> Iterator[tuple[str, str]]:
    done = 0
    for found in _foreign_pattern(language).finditer(text):
        name = found.lastgroup or ""
        if name == "Greek" and len(found[name]) == 1:  # a quantity
            continue
        if done < found.start():
            yield language, text[done : found.start()]
        yield _foreign_language(name, found[name], expected), found[0]
        done = found.end()
    if done < len(text):
        yield language, text[done:]


def map_runs(say: Callable[[str, str], T], text: str, language: str, expected: Sequence[str] = ()) -> list[T]:
    """What `say` makes of every run (language, words), those of one language after one another: espeak-ng takes 10 ms
    to change it."""
    parts = list(split_runs(text, language, expected))
    order = sorted(range(len(parts)), key=lambda i: parts[i][0])
    said = {i: say(*parts[i]) for i in order}
    return [said[i] for i in range(len(parts))]


@cache
def _foreign_pattern(language: str) -> re.Pattern[str]:
    """Words in the scripts that a language is not written with, a group for each script."""
    own = {name for name, script in SCRIPTS.items() if language in script.writers}
    classes = {name: script.letters for name, script in SCRIPTS.items() if name not in own}
    joined = dict.fromkeys(classes, JOINED)
    if "Han" in classes:
        classes["kana"], joined["kana"] = KANA + HAN, JOINED.replace("[", "[()（）「」、", 1)
        del classes["Han"]
    if own and language != "sr":
        classes["Latin"] = joined["Latin"] = LETTERS
        joined["Latin"] = JOINED
    groups = (f"(?P<{name}>[{letters}]+(?:{joined[name]}{{1,3}}[{letters}]+)*)" for name, letters in classes.items())
    return re.compile(f"(?:{'|'.join(groups)}){ENDED}")


def _foreign_language(name: str, words: str, expected: Sequence[str]) -> str:
    if name == "Latin":
        latin = [code for code in expected if code in LATIN]
        usual = latin[0] if latin else "en"
        return usual if words.count(" ") < FEW else identify_language(words, LATIN, usual)
    if name == "kana":
        return "ja" if re.search(f"[{KANA}]", words) else "zh"
    return _script_language(SCRIPTS[name], words, expected)


def _script_language(script: WritingSystem, text: str, expected: Collection[str]) -> str:
    """Which of the script's languages a text is in: its letters may tell, else what is expected, else its words."""
    signs = set(text)
    own = next((code for code, letters in OWN if code in script.writers and not signs.isdisjoint(letters)), "")
    if own and not any(code in script.writers for code in expected):
        return own
    told = next((code for code in expected if code in script.writers), "")
    known = script.writers & NAMES.keys()
    unsure = len(known) < 2 or text.count(" ") < FEW
    return told or (script.language if unsure else identify_language(text, known, script.language))


def is_unspaced(c: str) -> bool:
    """Whether `c` belongs to a script that puts no spaces between words (two characters count as a word)."""
    return (
        "\u3040" <= c <= "\u30ff"  # kana
        or "\u3400" <= c <= "\u9fff"  # Han
        or "\u0e00" <= c <= "\u0eff"  # Thai, Lao
        or "\u1000" <= c <= "\u109f"  # Myanmar
        or "\u1780" <= c <= "\u17ff"  # Khmer
        or "\uf900" <= c <= "\ufaff"
        or "\U00020000" <= c <= "\U0003ffff"
    )
