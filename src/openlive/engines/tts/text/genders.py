"""The one and the two of something, by the gender of the noun that follows; part of `verbalise.py`.

Genders are told by endings and by the commonest nouns that break the rule. Portuguese alone tells two by gender.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

COUNTED = re.compile(r"(?<![\w.,:/-])([12]) (?=([^\W\d_]{3,}))")


class NounGenders(NamedTuple):
    """What feminine nouns end with, and the commonest that end otherwise or so and are masculine."""

    endings: tuple[str, ...]
    feminine: frozenset[str]
    masculine: frozenset[str]


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


GENDERS = {
    "de": NounGenders(
        ("e", "ung", "heit", "keit", "schaft", "tion", "tät", "erin", "ik"),
        _word_set(
            "art bank frau form hand kraft mutter nacht nummer person schwester stadt tochter tür uhr wand wahl zahl"
            " butter gabel kartoffel regel schüssel million milliarde"
        ),
        _word_set(
            "affe auge buchstabe café ende erbe gebäude gedanke gemüse gewürz glaube hase interesse junge"
            " käse kollege kunde löwe name neffe russe see wille"
        ),
    ),
    "es": NounGenders(
        ("a", "ción", "sión", "dad", "tad", "tud", "umbre"),
        _word_set(
            "calle carne clase flor foto frase fuente imagen llave leche luz mano mente moto mujer nieve noche nube"
            " parte radio sal sangre sede serie suerte tarde torre vez voz"
        ),
        _word_set(
            "agua águila alma área arma aula clima cometa día diploma drama esquema fantasma hacha hada idioma mapa"
            " planeta poema poeta problema programa síntoma sistema sofá telegrama tema tranvía"
        ),
    ),
    "it": NounGenders(
        ("a", "zione", "sione", "gione", "tà", "tù", "trice"),
        _word_set(
            "arte auto carne chiave classe foto fine frase gente legge luce madre mano mente moto nave neve notte parte"
            " pelle radio rete sete stazione torre voce moglie canzone"
        ),
        _word_set(
            "clima cinema diploma dramma papa pianeta poema poeta problema programma schema sistema sofà sintomo tema"
            " telegramma"
        ),
    ),
    "pt": NounGenders(
        ("a", "ção", "são", "dade", "gem", "tude"),
        _word_set(
            "árvore carne chave classe cor flor fonte foto frase luz mão mente moto mulher neve noite nuvem parte pele"
            " rede sede série sorte tarde torre vez voz"
        ),
        _word_set(
            "clima cinema cometa dia diploma drama esquema fantasma idioma mapa planeta poema poeta problema programa"
            " sintoma sistema sofá tema telegrama"
        ),
    ),
}
PLURALS = (("ões", "ão"), ("ãos", "ão"), ("ens", "em"), ("res", "r"), ("zes", "z"), ("s", ""))
"""Of Portuguese, to singulars."""


def spell_counted_nouns(text: str, language: str, say: Callable[[int, str], str]) -> str:
    """`say(number, gender)` gives a number in words, the gender as `m` or `f`."""

    def spell_count(found: re.Match[str]) -> str:
        noun = found[2].lower()
        if found[1] == "2":
            return f"{say(2, 'f')} " if language == "pt" and is_feminine(_to_singular(noun), "pt") else found[0]
        feminine = is_feminine(noun, language)
        if language == "it":
            return _italian_article(noun, feminine=feminine)
        return f"{say(1, 'f' if feminine else 'm')} "

    if language not in GENDERS:
        return text
    text = COUNTED.sub(spell_count, text)
    return re.sub(r"\bun' ", "un'", text)


def is_feminine(noun: str, language: str) -> bool:
    rule = GENDERS[language]
    return noun in rule.feminine or (noun.endswith(rule.endings) and noun not in rule.masculine)


def _to_singular(noun: str) -> str:
    return next((noun.removesuffix(end) + one for end, one in PLURALS if noun.endswith(end)), noun)


def _italian_article(noun: str, *, feminine: bool) -> str:
    """The article, by the sound that follows."""
    if feminine:
        return "un' " if noun[0] in "aeiouàèéìòù" else "una "
    heavy = re.match(r"s[^aeiouàèéìòù]|z|gn|ps|pn|x|y|i[aeou]", noun)
    return "uno " if heavy else "un "
