"""What people say in a single word: yes, no, stop, thanks (`common_words.json`).

Half a second of speech is too little for a recogniser to know even the language by; a listener who expects an answer
hears it all the same. So Whisper is told to expect these, and among what it may have heard one of them is preferred.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from importlib.resources import files

WORDS: Mapping[str, str] = json.loads(files("openlive.engines.stt").joinpath("common_words.json").read_text("utf-8"))
"""Language (a bare code) -> its words, as they are written in a row."""


def normalise_words(text: str) -> str:
    """The words without case, punctuation and accents: recognisers differ in these."""
    apart = unicodedata.normalize("NFD", text.casefold())
    return " ".join(re.sub(r"[^\w\s]", " ", "".join(c for c in apart if not unicodedata.combining(c))).split())


_KNOWN = {
    language: {normalise_words(word) for word in re.split(r"[.?!]", words)} - {""} for language, words in WORDS.items()
}


def is_common(text: str, language: str) -> bool:
    return normalise_words(text) in _KNOWN.get(language, ())
