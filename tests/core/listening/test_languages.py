from __future__ import annotations

import pytest

from openlive.core.setup.languages import LANGUAGES, NATIVE_LANGUAGES, resolve_language
from openlive.core.setup.profile import ModelProfile
from openlive.wire.errors import ProtocolError
from tests.core.world import MODEL, TALK, World

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
        ("zh", "cmn-CN"),
    ],
)
def test_case_does_not_matter_and_the_region_may_be_missing(asked: str, meant: str) -> None:
    assert resolve_language(asked, LANGUAGES, "models/x") == meant


@pytest.mark.parametrize("code", STARRED)
def test_starred_codes_are_for_half_cascade_models(code: str) -> None:
    assert resolve_language(code, LANGUAGES, "models/half") == code
    with pytest.raises(ProtocolError) as refusal:
        resolve_language(code, NATIVE_LANGUAGES, "models/native")
    assert refusal.value.code == 1007
    assert str(refusal.value) == f"Unsupported language code '{code}' for model models/native"


@pytest.mark.parametrize("code", ["es-419", "zh-CN", "xx", "de-", "e", "en-US "])
def test_other_codes_are_refused(code: str) -> None:
    with pytest.raises(ProtocolError, match="Unsupported language code"):
        resolve_language(code, LANGUAGES, "models/x")


class TestSetup:
    def world(self, code: str, accepted: tuple[str, ...]) -> World:
        generation = {"responseModalities": ["AUDIO"], "speechConfig": {"languageCode": code}}
        return World({**TALK, "generationConfig": generation}, profile=ModelProfile(MODEL, languages=accepted))

    def test_a_code_is_written_as_the_guide_has_it(self) -> None:
        world = self.world("es-es", LANGUAGES)
        world.text("Hola.")
        voice = world.requests[0].voice
        assert voice is not None
        assert voice.language == "es-ES"

    def test_one_that_the_model_does_not_speak_is_refused_by_name(self) -> None:
        for code, accepted in (("es-ES", NATIVE_LANGUAGES), ("zh-CN", LANGUAGES)):
            world = self.world(code, accepted)
            assert world.closed is not None
            assert world.closed.reason == f"Unsupported language code '{code}' for model models/{MODEL}"
