"""What listeners say without wanting the floor: "mm-hm", "okay", "d'accord" (design, decision 26)."""

from __future__ import annotations

import re

from openlive.core.listening.utterance import normalise_words

PHRASES = {
    "any": "mhm|mm|hm|mm hm|uh huh|huh|ah|oh|aha|uh|um|er|eh|oh wow|wow|ha|haha|ok|okay|oke",
    "en": "yeah|yes|yep|yup|ya|right|all right|alright|sure|i see|got it|gotcha|of course|exactly|indeed|really|good|"
    "great|nice|cool|fine|true|makes sense|fair enough|interesting|wonderful|absolutely|that's right",
    "de": "ja|jaja|ja ja|genau|stimmt|klar|alles klar|richtig|gut|na gut|schön|ach|ach so|achso|so|verstehe|eben|tja|"
    "jo|ich verstehe|natürlich|jawohl|na ja|interessant|super|toll|in ordnung",
    "es": "sí|vale|claro|bueno|de acuerdo|si|ya|bien|muy bien|sisi|exacto|ajá|entiendo|ya veo|por supuesto|está bien|"
    "eso|así es",
    "fr": "oui|ouais|d'accord|bien|très bien|bon|ah bon|bien sûr|voilà|exactement|c'est ça|je vois|en effet|entendu|"
    "tout à fait|compris|euh",
    "it": "sì|si|va bene|bene|certo|esatto|giusto|capisco|ho capito|capito|d'accordo|già|ecco|davvero|ottimo|beh",
    "pt": "sim|tá bom|certo|claro|entendi|isso|tá|está bem|entendo|pois|pois é|exato|tudo bem|beleza|bom|muito bem|é|"
    "né",
    "nl": "ja ja|precies|goed|juist|inderdaad|natuurlijk|oké|snap ik|dat klopt|zeker",
    "pl": "tak|dobrze|jasne|rozumiem|aha|racja|dokładnie",
    "ru": "да|ага|угу|хорошо|ладно|понятно|ясно|конечно|точно|так",
    "tr": "evet|tamam|tabii|doğru|anladım|peki|hı hı",
    "hi": "हाँ|हां|जी|अच्छा|ठीक है|सही",
    "ja": "はい|うん|うんうん|ええ|そう|そうですね|そうですか|なるほど|へえ",
    "zh": "嗯|嗯嗯|好|好的|对|是|是的|哦|啊",
    "ko": "네|예|응|어|음|그래|그래요|맞아요|알겠어요",
}
LONGEST = 3
"""Words of the longest phrase."""


EXPECTED = 12


def expected_phrases(language: str = "") -> tuple[str, ...]:
    """The commonest, for a recogniser."""
    phrases = PHRASES.get(language[:2].lower(), "").split("|")[:EXPECTED]
    return tuple(phrase.capitalize() for phrase in phrases if phrase)


def _split_spoken_words(text: str) -> list[str]:
    """Without what recognisers write of sounds: "[cough]", "(door closes)", "♪"."""
    heard = re.sub(r"\[[^]]*\]|\([^)]*\)|♪", " ", text)
    return normalise_words(re.sub(r"[-‐–—]", " ", heard)).replace("’", "'").split()


def _fold_spelling(words: list[str]) -> str:
    """Words whose spelling varies look alike: "Mm-hmm", "mmhm"; letters that are drawn out count once."""
    return " ".join(re.sub(r"(.)\1+", r"\1", word) for word in words)


def _count_letters(words: list[str]) -> int:
    return sum(map(len, words))


_KNOWN: dict[str, int] = {}
"""Letters of the shortest spelling: "goood" is "good" drawn out, "God" isn't."""
for _phrase in map(_split_spoken_words, "|".join(PHRASES.values()).split("|")):
    _KNOWN[_fold_spelling(_phrase)] = min(_count_letters(_phrase), _KNOWN.get(_fold_spelling(_phrase), 99))


def _is_backchannel(words: list[str]) -> bool:
    return _count_letters(words) >= _KNOWN.get(_fold_spelling(words), 99)


def wants_the_floor(text: str, *, final: bool) -> bool:
    """Something in it is no back-channel. Where the text may still change (not `final`), a beginning that may become
    one is left open."""
    words = _split_spoken_words(text)
    at = 0
    while at < len(words):
        lengths = range(min(LONGEST, len(words) - at), 0, -1)
        length = next((n for n in lengths if _is_backchannel(words[at : at + n])), 0)
        if not length:
            rest = _fold_spelling(words[at:])
            return final or not any(known.startswith(rest) for known in _KNOWN)
        at += length
    return False
