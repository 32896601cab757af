"""How long a silence ends the user's turn, where a detector judged it (design, decision 2)."""

from __future__ import annotations

import math

from openlive.core.listening.activity import MS
from openlive.core.listening.utterance import normalise_words

SHORTEST, LONGEST = 300 * MS, 1000 * MS
"""Samples of silence that end a turn which is over for sure, and one which is not."""
UNSURE, SURE = 0.96, 0.98
"""Most of what the detector says lies between 0.9 and 0.99. From 0.98 on were 51 % of 90 whole sentences and 22 % of
102 parts, below 0.96 34 % and 54 % (docs/engines.md). Between the two the silence follows the log-odds."""

NEVER_LAST = {
    "en": "a an the my your its our their and or but because if whether than",
    "de": "ein eine einen einem einer mein meine meinen dein deine und oder aber weil dass wenn ob",
    "es": "el la los las un una unos unas y o pero",
    "fr": "le la les un une des mon ma mes ton ta tes son sa ses et ou mais parce",
    "it": "il lo la gli le un uno una e o ma",
    "pt": "o a os as um uma uns umas e ou mas",
}
"""Words after which something has to follow."""
RARELY_LAST = {
    "en": "of for with from to at by into is are was were could would should",
    "de": "von für bei nach seit gegen ohne im am zum zur vom",
    "es": "de del a al en con por para sin que porque si",
    "fr": "de du à au aux en dans avec pour sans chez sur que si",
    "it": "di del della da dal a al alla in nel con per che perché se",
    "pt": "de do da dos das em no na com por para pelo pela que porque se",
}
"""The same, but a question may end with them."""


def required_silence(finished: float, text: str = "", language: str = "") -> int:
    """Samples. `finished`: how likely the turn is over, 0 to 1. `text`: its transcript, '' while that is not there."""
    if ends_unfinished(text, language):
        return LONGEST
    share = (_log_odds(finished) - _log_odds(UNSURE)) / (_log_odds(SURE) - _log_odds(UNSURE))
    return round(LONGEST - min(1.0, max(0.0, share)) * (LONGEST - SHORTEST))


def ends_unfinished(text: str, language: str) -> bool:
    """Its last word calls for more. German particles are not listed: verbs leave theirs at the end."""
    last, spoken = normalise_words(text).rpartition(" ")[2], language[:2].lower()
    if last in NEVER_LAST.get(spoken, "").split():
        return True
    return last in RARELY_LAST.get(spoken, "").split() and not text.rstrip().endswith("?")


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(bounded / (1 - bounded))
