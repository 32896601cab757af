"""Which languages a client may ask for (`speechConfig.languageCode`, docs/protocol.md#languages)."""

from __future__ import annotations

from collections.abc import Sequence

from openlive.wire import errors

NATIVE_LANGUAGES = (
    *("de-DE", "en-US", "en-IN", "es-US", "fr-FR", "hi-IN", "pt-BR", "ar-XA", "id-ID", "it-IT", "ja-JP", "tr-TR"),
    *("vi-VN", "bn-IN", "mr-IN", "ta-IN", "te-IN", "nl-NL", "ko-KR", "pl-PL", "ru-RU", "th-TH"),
)
"""Of native-audio models."""
LANGUAGES = (*NATIVE_LANGUAGES, "en-AU", "en-GB", "es-ES", "fr-CA", "gu-IN", "kn-IN", "ml-IN", "cmn-CN")
"""Of half-cascade models: all 30."""


def resolve_language(asked: str, accepted: Sequence[str], model: str) -> str:
    """`asked` as `find_language` has it; '' stays. Raises `ProtocolError` for a code that is not accepted; `model`
    (`models/…`) is for its words."""
    found = find_language(asked, accepted)
    if asked and not found:
        raise errors.language_not_supported(asked, model).to_error()
    return found


def find_language(asked: str, accepted: Sequence[str]) -> str:
    """The code as it is written in `accepted`, whatever its case; a bare `de` means the first of its regions there, and
    `zh` is Mandarin. '' where it is none of them."""
    wanted = "cmn" if asked.lower() == "zh" else asked.lower()
    return next((code for code in accepted if wanted in {code.lower(), code.partition("-")[0].lower()}), "")
