from __future__ import annotations

import pytest

from openlive.core.languages import LANGUAGES, NATIVE_LANGUAGES, language
from openlive.wire.errors import ProtocolError

STARRED = ("en-AU", "en-GB", "es-ES", "fr-CA", "gu-IN", "kn-IN", "ml-IN", "cmn-CN")


def test_there_are_thirty_and_native_audio_lacks_the_starred_ones() -> None:
    assert len(set(LANGUAGES)) == 30
    assert set(LANGUAGES) - set(NATIVE_LANGUAGES) == set(STARRED)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("", ""),
        ("de-DE", "de-DE"),
        ("de", "de-DE"),
        ("EN", "en-US"),
        ("es", "es-US"),
        ("PT-br", "pt-BR"),
        ("cmn", "cmn-CN"),
    ],
)
def test_case_does_not_matter_and_the_region_may_be_missing(asked: str, meant: str) -> None:
    assert language(asked, LANGUAGES, "models/x") == meant


@pytest.mark.parametrize("code", STARRED)
def test_starred_codes_are_for_half_cascade_models(code: str) -> None:
    assert language(code, LANGUAGES, "models/half") == code
    with pytest.raises(ProtocolError) as refusal:
        language(code, NATIVE_LANGUAGES, "models/native")
    assert refusal.value.code == 1007
    assert str(refusal.value) == f"Unsupported language code '{code}' for model models/native"


@pytest.mark.parametrize("code", ["es-419", "zh-CN", "xx", "de-", "e", "en-US "])
def test_other_codes_are_refused(code: str) -> None:
    with pytest.raises(ProtocolError, match="Unsupported language code"):
        language(code, LANGUAGES, "models/x")
