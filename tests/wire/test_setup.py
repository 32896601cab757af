from __future__ import annotations

import pytest

from openlive.wire.content import Content
from openlive.wire.json import parse
from openlive.wire.setup import (
    AudioTranscriptionConfig,
    LanguageAuto,
    LanguageHints,
    Modality,
    Setup,
    SpeechConfig,
    ThinkingLevel,
)


@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
def test_an_instruction_may_be_a_bare_string(name: str) -> None:
    assert parse(Setup, {name: "Be brief."}).system_instruction == Content.from_text("Be brief.")


def test_an_instruction_has_paragraphs() -> None:
    setup = parse(
        Setup, {"systemInstruction": {"parts": [{"text": "a"}, {"text": "x", "thought": True}, {"text": "b"}]}}
    )
    assert setup.system_instruction is not None
    assert setup.system_instruction.texts == ("a", "b")


@pytest.mark.parametrize("modalities", [["audio"], "audio", "AUDIO", [3], ["Audio"]])
def test_modalities_as_samples_write_them(modalities: object) -> None:
    setup = parse(Setup, {"generationConfig": {"response_modalities": modalities}})
    assert setup.generation_config is not None
    assert setup.generation_config.response_modalities == (Modality.AUDIO,)


@pytest.mark.parametrize(
    ("config", "voice"),
    [
        ({}, None),
        ({"voiceConfig": {}}, None),
        ({"voiceConfig": {"voice": "Kore"}}, "Kore"),
        ({"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}}, "Puck"),
    ],
)
def test_voice_name(config: object, voice: str | None) -> None:
    assert parse(SpeechConfig, config).voice_name == voice


def test_deprecated_language_fields_are_read() -> None:
    config = {"languageAuto": {}, "language_hints": {"languageCodes": ["de"]}, "adaptationPhrases": ["x"]}
    assert parse(AudioTranscriptionConfig, config) == AudioTranscriptionConfig(
        language_auto=LanguageAuto(), language_hints=LanguageHints(language_codes=("de",)), adaptation_phrases=("x",)
    )


def test_members_without_a_published_number_go_by_name_only() -> None:
    assert ThinkingLevel.HIGH.number is None
    assert ThinkingLevel("HIGH") is ThinkingLevel.HIGH
