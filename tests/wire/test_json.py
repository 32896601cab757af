"""Leniency rule by rule, and every error's text and path."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from openlive.wire.client import ClientMessage, parse_message
from openlive.wire.content import Blob, FunctionCall, VideoMetadata
from openlive.wire.errors import ProtocolError
from openlive.wire.json import parse
from openlive.wire.setup import (
    ActivityHandling,
    AutomaticActivityDetection,
    AvatarConfig,
    ContextWindowCompressionConfig,
    GenerationConfig,
    RealtimeInputConfig,
    Setup,
    SpeechConfig,
)
from openlive.wire.size import MAX_DEPTH
from openlive.wire.tools import Schema

TYPE = "type.googleapis.com/google.ai.generativelanguage.v1beta"


def refusal(document: object) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        parse(ClientMessage, document if isinstance(document, str | bytes) else json.dumps(document))
    assert caught.value.code == 1007
    return caught.value


# What is taken


def test_both_spellings_mix_in_one_message() -> None:
    mixed = {"setup": {"generationConfig": {"speech_config": {"voiceConfig": {"prebuilt_voice_config": {}}}}}}
    setup = parse(ClientMessage, mixed).setup
    assert setup is not None
    assert setup == parse(Setup, {"generation_config": {"speechConfig": {"voice_config": {"prebuiltVoiceConfig": {}}}}})


DATA = bytes(range(256)) + b"\xfb\xff\xbf"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 255, 259])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("encoder", [base64.standard_b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_base64(size: int, padded: bool, encoder: Any) -> None:
    text = encoder(DATA[-size:] if size else b"").decode()
    assert parse(Blob, {"data": text if padded else text.replace("=", "")}).data == (DATA[-size:] if size else b"")


@pytest.mark.parametrize("text", ["A", "AAAAA", "AA*A", "AA=A", "é", "AAAA\x00", "\U0001f600"])
def test_what_is_no_base64(text: str) -> None:
    reason = refusal({"realtimeInput": {"audio": {"data": text}}}).reason
    assert reason == (
        f"Invalid value at 'realtime_input.audio.data' (TYPE_BYTES), Base64 decoding failed for \"{text}\""
    )


@pytest.mark.parametrize("value", [1000, "1000", 1000.0, "1000.0", "1e3"])
def test_int64(value: object) -> None:
    config = parse(ContextWindowCompressionConfig, {"triggerTokens": value})
    assert config.trigger_tokens == 1000
    assert type(config.trigger_tokens) is int


@pytest.mark.parametrize(
    ("value", "number"), [(2**53 + 1, 2**53 + 1), (str(2**63 - 1), 2**63 - 1), (-(2**63), -(2**63))]
)
def test_int64_is_exact(value: object, number: int) -> None:
    assert parse(ContextWindowCompressionConfig, {"triggerTokens": value}).trigger_tokens == number


@pytest.mark.parametrize("value", [40, 40.0, "40", -0.0])
def test_int32(value: object) -> None:
    config = parse(GenerationConfig, {"topK": value})
    assert config.top_k == float(value)  # type: ignore[arg-type]
    assert type(config.top_k) is int


@pytest.mark.parametrize(("value", "number"), [(1, 1.0), (0.5, 0.5), ("0.5", 0.5), ("-1e-3", -0.001), (2**70, 2.0**70)])
def test_floats(value: object, number: float) -> None:
    config = parse(GenerationConfig, {"temperature": value})
    assert config.temperature == number
    assert type(config.temperature) is float


@pytest.mark.parametrize("value", ["NO_INTERRUPTION", "no_interruption", "No_Interruption", 2, 2.0, "2"])
def test_enums(value: object) -> None:
    config = parse(RealtimeInputConfig, {"activityHandling": value})
    assert config.activity_handling is ActivityHandling.NO_INTERRUPTION


def test_null_is_unset_at_every_level() -> None:
    nulls = {
        "generationConfig": None,
        "tools": None,
        "labels": None,
        "model": None,
        "sessionResumption": {"handle": None},
    }
    assert parse(Setup, nulls) == parse(Setup, {"session_resumption": {}})


def test_a_single_value_stands_for_a_list() -> None:
    one = {"responseModalities": "AUDIO", "stopSequences": "x"}
    assert parse(GenerationConfig, one) == parse(GenerationConfig, {key: [value] for key, value in one.items()})
    assert parse(Setup, {"tools": {"googleSearch": {}}}) == parse(Setup, {"tools": [{"googleSearch": {}}]})


@pytest.mark.parametrize("text", ["0s", "1.2s", "-3.100s", "50s", "0.000000001s", "315576000000s"])
def test_durations(text: str) -> None:
    assert parse(VideoMetadata, {"startOffset": text}).start_offset == text


@pytest.mark.parametrize("value", ["", "s", "1", "1.2", "1.0000000001s", "1m", "315576000001s", " 1s", 5, True])
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ProtocolError, match=r"'start_offset' \(type.googleapis.com/google.protobuf.Duration\)"):
        parse(VideoMetadata, {"startOffset": value})


def test_free_form_json_is_untouched() -> None:
    free = {"a_b": [None, {"cD": 1}], "data": "-__-", "big": 2**70, "one": 1.0, "nested": {"response": None}}
    call = parse(FunctionCall, json.dumps({"args": free}))
    assert call.args == free
    assert type(call.args["one"]) is float


@pytest.mark.parametrize("frame", ['{"setup": {}}', b'{"setup": {}}'])
def test_every_kind_of_text(frame: str | bytes) -> None:
    assert parse(ClientMessage, frame).setup == Setup()


def test_a_path_given_starts_the_errors() -> None:
    with pytest.raises(ProtocolError) as caught:
        parse(SpeechConfig, {"voice": 1}, "bidi_generate_content_setup.generation_config.speech_config")
    assert "at 'bidi_generate_content_setup.generation_config.speech_config'" in caught.value.reason


# What is refused


@pytest.mark.parametrize(
    ("document", "path", "name"),
    [
        ({"x": 1}, "", "x"),
        ({"x": None}, "", "x"),
        ({"setup": {"x": {}}}, "setup", "x"),
        ({"setup": {"generationConfig": {"x": 1}}}, "setup.generation_config", "x"),
        ({"setup": {"generation_config": {"Top_P": 1}}}, "setup.generation_config", "Top_P"),
        ({"setup": {"sessionResumption": {"opaque": True}}}, "setup.session_resumption", "opaque"),
        ({"clientContent": {"contents": []}}, "client_content", "contents"),
        ({"clientContent": {"turns": [{}, {"parts": [{"txt": ""}]}]}}, "client_content.turns[1].parts[0]", "txt"),
        (
            {
                "setup": {
                    "tools": [{"functionDeclarations": [{"parameters": {"properties": {"a": {}, "b": {"$ref": ""}}}}]}]
                }
            },
            "setup.tools[0].function_declarations[0].parameters.properties[1].value",
            "$ref",
        ),
    ],
)
def test_unknown_names(document: object, path: str, name: str) -> None:
    error = refusal(document)
    at = f" at '{path}'" if path else ""
    assert error.reason == f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
    assert error.field == path


@pytest.mark.parametrize(
    ("document", "path", "rest"),
    [
        (
            {"toolResponse": {"functionResponses": [{"scheduling": "X"}]}},
            "tool_response.function_responses[0].scheduling",
            f'({TYPE}.FunctionResponse.Scheduling), "X"',
        ),
        (
            {"setup": {"generationConfig": {"responseModalities": ["TEXT", "SMELL"]}}},
            "setup.generation_config.response_modalities[1]",
            f'({TYPE}.GenerationConfig.Modality), "SMELL"',
        ),
        ({"setup": {"generationConfig": {"topK": 1.5}}}, "setup.generation_config.top_k", "(TYPE_INT32), 1.5"),
        ({"setup": {"generationConfig": {"topK": "a"}}}, "setup.generation_config.top_k", '(TYPE_INT32), "a"'),
        ({"setup": {"generationConfig": {"topK": True}}}, "setup.generation_config.top_k", "(TYPE_INT32), true"),
        ({"setup": {"generationConfig": {"topK": 2**31}}}, "setup.generation_config.top_k", f"(TYPE_INT32), {2**31}"),
        (
            {"setup": {"contextWindowCompression": {"triggerTokens": "9223372036854775808"}}},
            "setup.context_window_compression.trigger_tokens",
            '(TYPE_INT64), "9223372036854775808"',
        ),
        ({"setup": {"generationConfig": {"topP": "hot"}}}, "setup.generation_config.top_p", '(TYPE_FLOAT), "hot"'),
        ({"setup": {"generationConfig": {"topP": "NaN"}}}, "setup.generation_config.top_p", '(TYPE_FLOAT), "NaN"'),
        ({"setup": {"generationConfig": {"topP": 1e39}}}, "setup.generation_config.top_p", "(TYPE_FLOAT), 1e+39"),
        ({"setup": {"generationConfig": {"topP": False}}}, "setup.generation_config.top_p", "(TYPE_FLOAT), false"),
        ({"setup": {"model": 5}}, "setup.model", "(TYPE_STRING), 5"),
        ({"setup": {"labels": {"a": "b", "c": 1}}}, "setup.labels[1].value", "(TYPE_STRING), 1"),
        ({"clientContent": {"turnComplete": "true"}}, "client_content.turn_complete", '(TYPE_BOOL), "true"'),
        ({"clientContent": {"turnComplete": 1}}, "client_content.turn_complete", "(TYPE_BOOL), 1"),
        ({"realtimeInput": {"audio": {"data": 1}}}, "realtime_input.audio.data", "(TYPE_BYTES), 1"),
        ({"realtimeInput": {"audio": "AAAA"}}, "realtime_input.audio", f'({TYPE}.Blob), "AAAA"'),
        ({"setup": "hi"}, "setup", f'({TYPE}.BidiGenerateContentSetup), "hi"'),
        ({"clientContent": {"turns": [None]}}, "client_content.turns[0]", f"({TYPE}.Content), null"),
        ({"clientContent": {"turns": ["hi"]}}, "client_content.turns[0]", f'({TYPE}.Content), "hi"'),
        ({"setup": {"labels": 1}}, "setup.labels", "(map), 1"),
        (
            {"toolResponse": {"functionResponses": {"response": "ok"}}},
            "tool_response.function_responses[0].response",
            '(type.googleapis.com/google.protobuf.Struct), "ok"',
        ),
    ],
)
def test_wrong_values(document: object, path: str, rest: str) -> None:
    error = refusal(document)
    assert error.reason == f"Invalid value at '{path}' {rest}"
    assert error.field == path


@pytest.mark.parametrize(
    ("document", "path", "name"),
    [
        ({"setup": []}, "", "setup"),
        ({"setup": {"generationConfig": {"topK": [1]}}}, "setup.generation_config", "top_k"),
        ({"setup": {"model": ["a"]}}, "setup", "model"),
        ({"setup": {"labels": ["a"]}}, "setup", "labels"),
    ],
)
def test_lists_for_single_values(document: object, path: str, name: str) -> None:
    at = f" at '{path}'" if path else ""
    assert refusal(document).reason == (
        f'Invalid JSON payload received. Unknown name "{name}"{at}: Proto field is not repeating, cannot start list.'
    )


def test_an_object_for_a_scalar() -> None:
    assert refusal({"setup": {"model": {}}}).reason == (
        "Invalid JSON payload received. Unknown name \"model\" at 'setup': "
        "Proto field is not a message, cannot start object."
    )


@pytest.mark.parametrize("second", ["topP", "top_p"])
def test_a_field_in_both_spellings(second: str) -> None:
    first = "top_p" if second == "topP" else "topP"
    assert refusal({"setup": {"generationConfig": {first: 1, second: 1}}}).reason == (
        f"Invalid JSON payload received. Unknown name \"{second}\" at 'setup.generation_config': Field is already set."
    )


def test_a_field_in_both_spellings_of_which_one_is_null() -> None:
    assert parse(GenerationConfig, {"topP": 1, "top_p": None}).top_p == 1


@pytest.mark.parametrize(
    ("frame", "detail"),
    [
        ("", "Unexpected end of input."),
        ('{"setup": {', "Unexpected end of input."),
        ("hello", "Unexpected token: invalid character (byte 0)."),
        ('{"setup": {}} x', "Unexpected token: trailing characters (byte 15)."),
        ("{'setup': {}}", "Unexpected token: object keys must be strings (byte 1)."),
        ('{"setup": NaN}', "Unexpected token: invalid character (byte 10)."),
        ('{"setup": 1e999}', "Unexpected token: Number out of range."),
        (b"\x00\x01\x02", "Unexpected token: invalid character (byte 0)."),
        (b'{"realtimeInput": {"text": "\xff\xfe"}}', "Text is not valid UTF-8."),
        ('{"realtimeInput": {"text": "\ud800"}}', "Text is not valid UTF-8."),
        (
            '{"realtimeInput": {"text": "\\ud800 and on"}}',
            "Unexpected token: unexpected end of escaped utf-16 surrogate pair (byte 34).",
        ),
        ("[]", 'Unknown name "": Root element must be a message.'),
        ("5", 'Unknown name "": Root element must be a message.'),
        ("null", 'Unknown name "": Root element must be a message.'),
        ('"setup"', 'Unknown name "": Root element must be a message.'),
    ],
)
def test_broken_json(frame: str | bytes, detail: str) -> None:
    assert refusal(frame).reason == f"Invalid JSON payload received. {detail}"


def nested(depth: int) -> dict[str, Any]:
    """A document of `depth` levels, all of them schemas from the fifth on."""
    schema: dict[str, Any] = {}
    for _ in range(depth - 6):
        schema = {"items": schema}
    return {"setup": {"tools": [{"functionDeclarations": {"parameters": schema}}]}}


def test_depth() -> None:
    parse_message(json.dumps(nested(MAX_DEPTH)))
    assert "Message too deep" in refusal(nested(MAX_DEPTH + 1)).reason
    with pytest.raises(ProtocolError, match="Message too deep"):
        parse(ClientMessage, nested(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    "frame",
    [
        "[" * 60_000,
        '{"setup":' * 60_000,
        '{"toolResponse":{"functionResponses":[{"response":{"a":' + "[" * 97 + "]" * 97 + "}}]}}",
    ],
)
def test_depth_of_anything(frame: str) -> None:
    assert "Message too deep" in refusal(frame).reason


def test_long_values_are_not_repeated_whole() -> None:
    assert len(refusal({"setup": {"generationConfig": {"topK": "9" * 100_000}}}).reason) < 300
    assert len(refusal({"x" * 100_000: 1}).reason) < 300


def test_messages_of_their_own_kind() -> None:
    schema = parse(Schema, {"items": {"anyOf": [{"type": "STRING"}]}})
    assert schema.items is not None
    assert schema.items.any_of[0] == parse(Schema, {"type": "string"})


def test_false_is_not_unset() -> None:
    assert parse(AutomaticActivityDetection, {"disabled": False}).disabled is False
    assert parse(AvatarConfig, {"audioBitrateBps": 0}).audio_bitrate_bps == 0
