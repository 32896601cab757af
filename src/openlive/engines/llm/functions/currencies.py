"""Which currencies a text names, by their ISO 4217 codes: small models know few of them ("pounds", "reais")."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.numbers import get_currency_name

from openlive.engines.text.scripts import language_of

_TRADED = (
    "USD EUR JPY GBP CNY AUD CAD CHF HKD SGD SEK KRW NOK NZD INR MXN TWD ZAR BRL DKK PLN THB ILS IDR CZK AED TRY HUF"
    " CLP SAR PHP MYR COP RUB RON PEN ARS EGP VND NGN UAH KES MAD PKR"
)
"""The most traded first (turnover in the triennial survey of the BIS, 2022; those from ARS on are not in it): "dollars"
alone are those of the United States, "pounds" British."""
_NOUN_FIRST = frozenset({"es", "pt", "fr", "it", "ca", "ro", "gl"})
"""Languages that say "peso mexicano" and not "Mexican peso"."""
_SPOKEN = ("en", "es", "fr", "it", "pt", "de")
"""Languages that are tried where the text's own names none."""
_ALIKE = 4
"""Letters in which the adjective agrees with CLDR's, whatever its ending."""


def find_currencies(text: str) -> dict[str, str]:
    """The codes of the currencies by the words that name them; empty where there are none. The language of a short text
    is guessed at: where it names none in it, the others are tried."""
    return next(
        filter(None, (_find_in_language(text, language) for language in (language_of(text, otherwise="en"), *_SPOKEN))),
        {},
    )


def _find_in_language(text: str, language: str) -> dict[str, str]:
    said = re.findall(r"[^\W\d_]+", text)
    found: dict[str, str] = {}
    for i, noun in enumerate(said):
        if codes := _currency_nouns(language).get(_fold_accents(noun)):
            first = language in _NOUN_FIRST
            beside = "".join(said[i + 1 : i + 2] if first else said[max(0, i - 1) : i])
            start = _fold_accents(beside)[:_ALIKE]
            code = next((code for code, starts in codes.items() if start in starts), "")
            words = ((noun, beside) if first else (beside, noun)) if code else (noun,)
            found[" ".join(words)] = code or next(iter(codes))
    return found


@lru_cache(16)
def _currency_nouns(language: str) -> dict[str, dict[str, frozenset[str]]]:
    """Noun -> code -> the beginnings of the other words of its name, codes as `_TRADED` has them."""
    try:
        locale = Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        return {}
    nouns: dict[str, dict[str, set[str]]] = {}
    for code in _TRADED.split():
        for name in _currency_names(code, locale):
            noun, *others = name if language in _NOUN_FIRST else name[::-1]
            nouns.setdefault(noun, {}).setdefault(code, set()).update(word[:_ALIKE] for word in others)
    return {noun: {code: frozenset(near) for code, near in codes.items()} for noun, codes in nouns.items()}


def _currency_names(code: str, locale: Locale) -> Iterator[list[str]]:
    """Its names in a language, for one and for many, in words."""
    for count in (None, 1, 2):
        words = re.findall(r"[^\W\d_]+", _fold_accents(get_currency_name(code, count=count, locale=locale)))
        words = [word for word in words if word not in _NEW]
        if words:
            yield words


_NEW = {"new", "neuer", "neue", "nuevo", "nuevos", "novo", "novos", "nouveau", "nouveaux", "nuovo", "nuovi"}
"""Nobody says that of a currency."""


def _fold_accents(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in letters if not unicodedata.combining(c)).replace("ł", "l")
