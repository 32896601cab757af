"""A word or two, said in less than a second: which of several recognisers' readings it was.

So little speech shows neither its language nor, often, its word: Whisper base detects the language of half of the words
in `tests/bench/hears`, and Moonshine reads English into all of them. So no language but the expected one is thought of
where one is expected, Whisper is told that a common word is likely (`common_words.py`), and a common one among what it
may have heard is preferred to a rare one that is hardly likelier. Where nothing is expected, the languages whose common
words are known are weighed by how likely each is and how well it is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from openlive.engines.runtime.workers import Abort
from openlive.engines.stt import moonshine, whisper
from openlive.engines.stt.common_words import WORDS, is_common, normalise_words
from openlive.engines.stt.language_hints import LanguageConstraint
from openlive.engines.stt.segment import Samples
from openlive.types import INPUT_RATE

ENGLISH = "en"
PLAIN, PLAIN_IF_EXPECTED = -0.35, -0.6
"""Moonshine's confidence of a common English word from which nobody else is asked: with nothing known, and where
English is expected."""
SEVERAL, CERTAIN = 3, -0.2
"""Words that are hardly made of a single one in another language, and the confidence for that with nothing known: "ten
of clubs" has -0.18, Portuguese "ajuda" read as "as you there" -0.22."""
BEAMS = 5
BEHIND = 0.6
"""How much less likely (mean log-probability of a token) than the best reading a common word may be and still be it."""
SCORE, LIKELY = 2.0, 0.3
"""How much a reading's score counts, and the log-probability of its language: half a second of Spanish is Turkish as
likely as not, so that says little of it. Of 144 single words (`tests/bench/hears`) three more are right than where both
count alike, of 60 that nobody expects seven, of 144 set aside one less."""
COMMON, DISAGREED = 4.0, 4.0
"""What it counts, in nats, for a reading that it is a common word of its language, and, where no language is expected,
against an English one that Moonshine reads something else."""
LEAST = 0.01
"""Probability below which a language is not thought of."""
SILENT = 0.45
"""Whisper's probability of silence, before it is told what to expect, from which nothing was said: 0.53 and more in
sounds without words, at most 0.34 in single words (`tests/bench/hears`)."""
FAINT = -1.8
"""Mean log-probability of a token below which a reading is a guess, and no word."""


class WordReading(Struct, frozen=True):
    """A reading: what was said in `language`, '' where nothing was, and the mean log-probability of its tokens."""

    text: str
    language: str
    score: float = 0.0


def is_certain_english(reading: moonshine.MoonshineReading, expected: str) -> bool:
    """Moonshine's reading is a common English word, or several words, and it has no doubt of it."""
    if is_common(reading.text, ENGLISH):
        return reading.confidence >= (PLAIN_IF_EXPECTED if expected else PLAIN)
    return len(reading.text.split()) >= SEVERAL and reading.confidence >= (PLAIN if expected else CERTAIN)


def recognise_short_utterance(
    others: whisper.WhisperModel,
    samples: Samples,
    wish: LanguageConstraint,
    abort: Abort,
    *,
    phrases: Sequence[str],
    expected: str,
    reading: moonshine.MoonshineReading | None,
) -> WordReading:
    """What was said. `expected`: the language ('' for nothing known); `reading`: Moonshine's, where it was asked."""
    encoded = others.encode(samples, final=True)
    abort.raise_if_aborted()
    seconds = len(samples) / INPUT_RATE
    untold = others.find_hypotheses(encoded, expected or ENGLISH, seconds)[0]
    if untold.silence > SILENT and untold.score < whisper.POOR:
        return WordReading("", expected)
    likely = {expected: 1.0} if expected else others.detect_language(encoded)
    found: list[tuple[float, WordReading]] = []
    for language in _candidate_languages(likely, wish):
        abort.raise_if_aborted()
        before = " ".join((*(f"{phrase}." for phrase in phrases), WORDS.get(language, "")))
        count = BEAMS if language in WORDS else 1
        best = _best_reading(others.find_hypotheses(encoded, language, seconds, before.strip(), count), language)
        if best is not None:
            found.append((_weigh_reading(best, likely.get(language, 0.0), None if expected else reading), best))
    if reading is not None and moonshine.is_credible(reading) and reading.confidence >= PLAIN:
        own = WordReading(reading.text, ENGLISH, reading.confidence)
        found.append((_weigh_reading(own, likely.get(ENGLISH, 0.0), None), own))
    if not found:
        return WordReading("", expected)
    return max(found, key=lambda each: each[0])[1]


def _candidate_languages(likely: Mapping[str, float], wish: LanguageConstraint) -> Iterator[str]:
    """Those worth a reading: of all that may come the likeliest one, and the likelier ones with common words."""
    allowed = {language: p for language, p in likely.items() if wish.allows_language(language)}
    if not allowed:
        return
    first = max(allowed, key=allowed.__getitem__)
    yield first
    for language in WORDS:
        if language != first and (allowed.get(language, 0.0) >= LEAST):
            yield language


def _best_reading(hypotheses: Sequence[whisper.Hypothesis], language: str) -> WordReading | None:
    """The likeliest, or a common word that is hardly less likely; None where nothing was said."""
    first = hypotheses[0]
    for each in hypotheses:
        if each.score >= first.score - BEHIND and is_common(each.text, language):
            first = each
            break
    if not first.is_credible or first.score < FAINT:
        return None
    return WordReading(first.text, language, first.score)


def _weigh_reading(found: WordReading, likely: float, reading: moonshine.MoonshineReading | None) -> float:
    weight = LIKELY * math.log(max(likely, LEAST)) + SCORE * found.score
    weight += COMMON * is_common(found.text, found.language)
    if (
        reading is not None
        and found.language == ENGLISH
        and normalise_words(reading.text) != normalise_words(found.text)
    ):
        weight -= DISAGREED
    return weight
