from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from openlive.wire.auth import MAX_PATHS, AuthToken, mask_paths
from openlive.wire.errors import ProtocolError
from openlive.wire.json import parse
from openlive.wire.setup import Setup

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-02T03:04:05Z", AT),
        ("2026-01-02T03:04:05+00:00", AT),
        ("2026-01-02T05:04:05+02:00", AT),
        ("2026-01-02T03:04:05.678901+00:00", AT.replace(microsecond=678901)),
        ("2026-01-02T03:04:05.678Z", AT.replace(microsecond=678000)),
    ],
)
def test_times_in_all_forms(text: str, at: datetime) -> None:
    """Python writes the offset, JavaScript Z."""
    assert parse(AuthToken, {"expireTime": text}).expire_time == at
    assert parse(AuthToken, {"new_session_expire_time": text}).new_session_expire_time == at


def test_the_body_is_the_token_itself() -> None:
    token = parse(
        AuthToken,
        {
            "uses": 2,
            "bidiGenerateContentSetup": {
                "model": "models/m",
                "generationConfig": {"speechConfig": {"voice_config": {"prebuilt_voice_config": {"voice_name": "K"}}}},
            },
            "fieldMask": "model",
        },
    )
    assert token.uses == 2
    assert token.field_mask == "model"
    setup = token.bidi_generate_content_setup
    assert setup is not None
    assert setup.generation_config is not None
    assert setup.generation_config.speech_config is not None
    assert setup.generation_config.speech_config.voice_name == "K"
    with pytest.raises(ProtocolError, match='Unknown name "liveConnectConstraints": Cannot find field'):
        parse(AuthToken, {"liveConnectConstraints": {}})


def test_a_setup_is_the_same_after_it_was_stored() -> None:
    document = {
        "model": "models/m",
        "systemInstruction": {"parts": [{"text": "ü" * 10}], "role": "user"},
        "generationConfig": {"responseModalities": ["AUDIO"], "temperature": 0.0, "topK": 40.0},
        "tools": [{"functionDeclarations": [{"name": "f", "parameters_json_schema": {"a_b": {"cD": None}}}]}],
        "sessionResumption": {},
        "inputAudioTranscription": {},
        "realtimeInputConfig": {"automaticActivityDetection": {"disabled": False, "silenceDurationMs": 0}},
        "contextWindowCompression": {"triggerTokens": "1000", "slidingWindow": {}},
    }
    setup = parse(Setup, document)
    assert parse(Setup, msgspec.json.encode(setup)) == setup


# --- masks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (None, None),
        ("", None),
        (" , ", None),
        ("model", ("model",)),
        ("generationConfig.responseModalities", ("generation_config.response_modalities",)),
        ("generation_config.top_p,outputAudioTranscription", ("generation_config.top_p", "output_audio_transcription")),
        ("tools.0", ("tools",)),
        ("tools.0.functionDeclarations.1,tools", ("tools",)),
        ("systemInstruction.parts,systemInstruction.role", ("system_instruction.parts", "system_instruction.role")),
        ("systemInstruction.parts.0.text", ("system_instruction.parts",)),
        ("labels.a", ("labels",)),
        ("model.x", ("model",)),
        ("generationConfig.speechConfig.voiceConfig", ("generation_config.speech_config.voice_config",)),
        ("top_p", ("generation_config.top_p",)),
        ("topP", ("generation_config.top_p",)),
        ("sessionResumption", ("session_resumption",)),
    ],
)
def test_masks_of_both_sdks(text: str | None, paths: tuple[str, ...] | None) -> None:
    assert mask_paths(text) == paths


@pytest.mark.parametrize("text", ["x", "generationConfig.x", "model,generationConfig.speechConfig.voice", ".", "a..b"])
def test_a_mask_that_would_lock_nothing(text: str) -> None:
    """To pass over it would leave open what somebody meant to lock."""
    with pytest.raises(ProtocolError, match="Invalid value at 'field_mask'") as caught:
        mask_paths(text)
    assert caught.value.field == "field_mask"


def test_a_mask_of_too_many_paths() -> None:
    assert mask_paths(",".join(f"tools.{i}" for i in range(MAX_PATHS))) == ("tools",)
    with pytest.raises(ProtocolError, match=f"field_mask': more than {MAX_PATHS} paths"):
        mask_paths("model," * MAX_PATHS)
    assert mask_paths("tools" + ".0" * 100_000) == ("tools",)
