from __future__ import annotations

from collections.abc import Iterator

import pytest

from openlive.engines.stt.language_hints import LanguageConstraint, choose_language, parse_language_hints
from openlive.engines.text.scripts import SAMPLE, language_of

KNOWN = {"en", "de", "es", "tl", "zh"}
ANY = frozenset[str]()


@pytest.mark.parametrize(
    ("hints", "first", "allowed", "only"),
    [
        ((), "", ANY, ""),
        (("",), "", ANY, ""),
        (("en",), "en", {"en"}, "en"),
        (("en-US", "en-GB"), "en", {"en"}, "en"),
        (("en", "de-DE"), "en", {"en", "de"}, ""),
        (("en", ""), "en", ANY, ""),
        (("", "de"), "de", ANY, ""),
        (("de", "en", ""), "de", ANY, ""),
        (("cmn-Hans-CN",), "zh", {"zh"}, "zh"),
        (("fil_PH",), "tl", {"tl"}, "tl"),
        (("tlh",), "", ANY, ""),
        (("tlh", "es"), "es", {"es"}, "es"),
    ],
)
def test_hints(hints: tuple[str, ...], first: str, allowed: frozenset[str], only: str) -> None:
    wish = parse_language_hints(hints, KNOWN)
    assert (wish.first, wish.allowed, wish.only_language) == (first, allowed, only)


def test_the_language_is_the_likeliest_of_those_allowed() -> None:
    heard = {"fr": 0.5, "es": 0.3, "en": 0.2}
    assert choose_language(heard, LanguageConstraint("", ANY), 2) == "fr"
    assert choose_language(heard, LanguageConstraint("en", frozenset({"en", "es"})), 2) == "en"
    assert choose_language(heard, LanguageConstraint("de", frozenset({"de"})), 2) == "de"


def test_what_was_spoken_last_is_given_up_for_clear_evidence_only() -> None:
    german = LanguageConstraint("de", ANY)
    assert choose_language({"nl": 0.7, "de": 0.25}, german, 2) == "de"
    assert choose_language({"es": 0.9, "de": 0.06}, german, 2) == "es"
    assert choose_language({"es": 0.9, "de": 0.06}, german, 0.5) == "de"


def test_a_text_of_any_length_is_told_by_its_beginning() -> None:
    class Counted(str):
        def __getitem__(self, key: object) -> str:
            read.append(key)
            return super().__getitem__(key)  # type: ignore[index]

        def __iter__(self) -> Iterator[str]:
            raise AssertionError("all of it was read")

    read: list[object] = []
    assert language_of(Counted("Wie spät ist es? " * 8000)) == "de"
    assert language_of(Counted("東京は今何時ですか。" * 13_000)) == "ja"
    assert read == [slice(None, SAMPLE)] * 2
