"""Text to the phonemes that Kokoro was trained on.

`EspeakPhonemizer` asks espeak-ng in a child process (GPL-3, so never in ours; `espeak_child.py`); anything with its
method can take its place. Two libraries without that licence were measured against it for English (40 sentences, 395
words, read back by Whisper base): misaki is understood a little better (WER 0.8 % against 1.8 %), but needs spaCy with
a model of its own (430 MB), runs on no Python above 3.12 and asks espeak-ng for words it does not know; kokorog2p wants
lexicons downloaded first and espeak-ng for the rest. So espeak-ng alone serves all languages.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from openlive.engines.runtime.child_process import ChildProcess
from openlive.engines.tts.chunking import keeps_stop

PROGRAM = ("-I", str(Path(__file__).with_name("espeak_child.py")))
STARTING, PATIENCE = 10.0, 3.0
"""Seconds after which a silent child is taken for hung, with its start and without. A clause takes it about a
millisecond, the start 100 where nobody else works."""

RUNS = {
    1: ";:,.!?", 9: '—…"()“” \u0303ʣʥʦʨᵝꭧAI', 31: "O", 33: "Q", 35: "ST", 39: "W", 41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ", 75: "βɔɕç", 80: "ɖðʤə", 85: "ɚɛɜ", 90: "ɟ", 92: "ɡ", 99: "ɥ", 101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø", 118: "ɸθœ", 123: "ɹ", 125: "ɾɻ", 128: "ʁɽʂʃʈʧ", 135: "ʊʋ", 138: "ʌɣɤ", 142: "χʎ", 147: "ʒʔ",
    156: "ˈˌː", 162: "ʰ", 164: "ʲ", 169: "↓", 171: "→↗↘", 177: "ᵻ",
}  # fmt: skip
VOCABULARY: dict[str, int] = {symbol: first + i for first, run in RUNS.items() for i, symbol in enumerate(run)}
"""Symbol -> token id, as published with the Kokoro-82M v1.0 weights (`vocab` of their config.json)."""

Rules = tuple[tuple[str, str], ...]

TIED: Rules = (
    ("a^ɪ", "I"), ("a^ʊ", "W"), ("e^ɪ", "A"), ("o^ʊ", "O"), ("ə^ʊ", "Q"), ("ɔ^ɪ", "Y"),
    ("d^ʒ", "ʤ"), ("t^ʃ", "ʧ"), ("t^s", "ʦ"), ("d^z", "ʣ"), ("t^ɕ", "ʨ"), ("d^ʑ", "ʥ"),
)  # fmt: skip
"""One symbol for what espeak-ng ties together: Kokoro's symbols for diphthongs and affricates."""

ENGLISH: Rules = (
    ("ə^l", "ᵊl"), ("n̩", "ᵊn"), ("l̩", "ᵊl"), ("m̩", "ᵊm"), ("e^ə", "ɛː"), ("^", ""), ("ɐ", "ə"), ("e", "A"), ("r", "ɹ"),
    ("x", "k"), ("ɬ", "l"), ("ʔ", "t"), ("o", "ɔ"), (" I ", " ˈI "),
)  # fmt: skip
AMERICAN: Rules = (("ɚ", "əɹ"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ɾ", "T"), ("ː", ""))
BRITISH: Rules = (("iə", "ɪə"),)

VOWELS = frozenset("AIOQWYaeiouyᵊɑɐɒæɔɘəɚɛɜɨɪøœɯʊʌɤᵻ")
"""Of Kokoro's symbols, diphthongs too."""
PUNCTUATION = {c: c for c in ";:,.!?—…"} | dict(zip("–、。！？，：；।॥؟،؛·", "—,.!?,:;..?,;,", strict=True))
TAIL = re.compile(r"[^\w\s]+\s*$")
FLAG = re.compile(r"\([^()]*\)")
"""espeak-ng's marks where it switched the language within a clause: `(^e^n)`."""
KANJI = re.compile("[\u3400-\u9fff]+")
"""What espeak-ng cannot read in Japanese: it would say "Chinese letter" for each."""


class PhonemeError(Exception):
    """Text could not be turned into phonemes; the message says why."""


class Dialect(NamedTuple):
    """How espeak-ng calls a language, and what its IPA lacks to be Kokoro's, applied in order."""

    espeak: str
    rules: Rules


class Phonemizer(Protocol):
    """Turns text into symbols of Kokoro's vocabulary. Called from threads; blocks for about a millisecond."""

    def to_phonemes(self, text: str, dialect: Dialect) -> str:
        """Text with nothing to be spoken gives ''. Raises `PhonemeError`."""
        ...

    def close(self) -> None: ...


DIALECTS: dict[str, Dialect] = {
    "en-us": Dialect("en-us", TIED + ENGLISH + AMERICAN),
    "en-gb": Dialect("en", TIED + ENGLISH + BRITISH),
    "pt": Dialect("pt-br", TIED),
    "zh": Dialect("cmn", TIED),
}
"""What is not spoken just as espeak-ng writes it. Chinese comes without its tones and Japanese without its kanji
(espeak-ng tells neither): to be understood they want a phonemizer of their own.
"""

NEAREST: dict[str, str] = {
    "ʏ": "y",
    "g": "ɡ",
    "ɫ": "l",
    "ʉ": "u",
    "ɱ": "m",
    "ʀ": "ʁ",
    "ħ": "h",
    "ʍ": "w",
    "ɵ": "ə",
    "ɭ": "l",
}
"""Stands in for symbols that Kokoro does not know."""


def find_dialect(language: str) -> Dialect:
    """For `en-us`, `en-gb` or a bare code. Kokoro learned en, es, fr, hi, it, ja, pt and zh; it reads others too."""
    return DIALECTS.get(language) or Dialect(language, TIED)


def ipa_to_symbols(ipa: str, rules: Rules) -> str:
    """espeak-ng's tied IPA in Kokoro's symbols; what has none is left out."""
    text = FLAG.sub("", ipa)
    text = f" {text} "  # so that a rule can name a word
    for old, new in rules:
        text = text.replace(old, new)
    known: list[str] = []
    for c in text:
        if c not in VOCABULARY:
            c = NEAREST.get(c) or unicodedata.normalize("NFD", c)[0]  # noqa: PLW2901
        if c in VOCABULARY:
            known.append(c)
    return " ".join("".join(known).split())


def find_end_mark(source: str) -> str:
    """The mark that ends `source`, in Kokoro's symbols: a pause and a tune. '' where there is none, as in `Dr.`."""
    tail = TAIL.search(source)
    marks = [PUNCTUATION[c] for c in tail[0] if c in PUNCTUATION] if tail else []
    if marks[:3] == ["."] * 3:
        return "…"
    return next((m for m in marks if m in "!?"), marks[0] if marks else "")


def ends_in_vowel(phonemes: str) -> bool:
    """The last sound of some symbols of Kokoro's, whatever its length, tone and punctuation, is a vowel."""
    sounds = phonemes.rstrip(' ;:,.!?—…"()“”\u0303ː↓→↗↘')
    return sounds[-1:] in VOWELS if sounds else False


class EspeakPhonemizer:
    """A `Phonemizer`: espeak-ng in one child process, started when first asked and again when it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None

    def to_phonemes(self, text: str, dialect: Dialect) -> str:
        clauses = self.text_to_ipa(dialect.espeak, KANJI.sub(" ", text) if dialect.espeak == "ja" else text)
        spoken: list[str] = []
        for i, (ipa, source) in enumerate(clauses):
            if known := ipa_to_symbols(ipa, dialect.rules):
                inside = i < len(clauses) - 1 and keeps_stop((source.split() or [""])[-1].rstrip("."))
                spoken.append(known if inside else known + find_end_mark(source))
        return " ".join(spoken)

    def text_to_ipa(self, voice: str, text: str) -> list[tuple[str, str]]:
        """espeak-ng's own answer: (tied IPA, source) per clause."""
        return [(ipa, source) for ipa, source in self._ask_child(voice, text)]

    def synthesise_speech(self, voice: str, text: str, pace: float, pitch: float, volume: float) -> tuple[int, bytes]:
        """The text in espeak-ng's own voice: (Hz, s16le mono). Arguments as in `espeak_child.py`."""
        rate, pcm = self._ask_child(voice, text, pace, pitch, volume)
        return rate, base64.b64decode(pcm)

    def _ask_child(self, voice: str, text: str, *manner: float) -> Any:
        line = json.dumps([voice, text.replace("\0", " "), *manner]).encode() + b"\n"
        with self._lock:
            answer = self._exchange_line(line) or self._exchange_line(line)
        if not answer:
            raise PhonemeError("espeak-ng died twice over one clause, or its library could not be loaded")
        decoded = json.loads(answer)
        if isinstance(decoded, dict):
            raise PhonemeError(decoded["error"])
        return decoded

    def close(self) -> None:
        with self._lock:
            self._stop_child()

    def _exchange_line(self, line: bytes) -> bytes:
        """One line there and one back; b'' where the child died of it (it is gone then). Raises `PhonemeError` where it
        hung, as it would again."""
        patience = PATIENCE if self._child else STARTING
        child = self._child = self._child or ChildProcess([sys.executable, *PROGRAM])
        answer = child.ask_line(line, patience)
        if not answer:
            self._stop_child()
        if answer is None:
            raise PhonemeError(f"espeak-ng did not answer within {patience:g} s and was ended")
        return answer

    def _stop_child(self) -> None:
        if self._child:
            self._child.close()
        self._child = None
