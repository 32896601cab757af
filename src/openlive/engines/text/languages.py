"""Languages by their codes: what they are called, and what a code stands for."""

from __future__ import annotations

SYNONYMS = {"cmn": "zh", "fil": "tl", "in": "id", "iw": "he", "jv": "jw", "nb": "no", "yue": "zh"}
"""Language codes that Whisper knows under another name, or as part of another."""


NAMES = {
    "ar": "Arabic",
    "bn": "Bengali",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "gu": "Gujarati",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "kn": "Kannada",
    "ko": "Korean",
    "ml": "Malayalam",
    "mr": "Marathi",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tr": "Turkish",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""What the languages of the guide are called, by their bare codes."""


def bare_language(tag: str) -> str:
    """The language of a BCP-47 tag, as Whisper calls it."""
    code = tag.replace("_", "-").partition("-")[0].lower()
    return SYNONYMS.get(code, code)
