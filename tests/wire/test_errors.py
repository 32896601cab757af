from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.wire import errors
from openlive.wire.client import parse_message
from openlive.wire.errors import ProtocolError, close_reason, rest_error

VERBATIM = [
    (errors.INVALID_ARGUMENT, 1007, "Request contains an invalid argument."),
    (errors.API_KEY_INVALID, 1007, "API key not valid. Please pass a valid API key."),
    (errors.API_KEY_EXPIRED, 1007, "API key expired. Please renew the API key."),
    (errors.PRECONDITION_FAILED, 1007, "Precondition check failed."),
    (errors.SETUP_FIRST, 1007, "setup must be the first message and only the first"),
    (errors.NO_TURN, 1007, "No turn to complete"),
    (errors.INVALID_HANDLE, 1007, "Invalid session handle"),
    (
        errors.EXPLICIT_ACTIVITY,
        1007,
        "Explicit activity control is not supported when automatic activity detection is enabled.",
    ),
    (errors.VOICE_WITHOUT_AUDIO, 1007, "Cannot extract voices from a non-audio request."),
    (
        errors.voice_not_available("alloy", "models/m"),
        1007,
        "Requested voice api_name 'alloy' is not available for model models/m",
    ),
    (
        errors.language_not_supported("es-419", "models/m"),
        1007,
        "Unsupported language code 'es-419' for model models/m",
    ),
    (errors.ENTITY_NOT_FOUND, 1008, "Requested entity was not found."),
    (errors.SESSION_NOT_FOUND, 1008, "BidiGenerateContent session not found"),
    (errors.SESSION_EXPIRED, 1008, "BidiGenerateContent session expired"),
    (errors.NOT_IMPLEMENTED, 1008, "Operation is not implemented, or supported, or enabled."),
    (errors.ABORTED, 1008, "The operation was aborted."),
    (errors.RESUMED_ELSEWHERE, 1008, "Session resumed on another connection."),
    (errors.INTERNAL, 1011, "Internal error encountered."),
    (errors.UNAVAILABLE, 1011, "The service is currently unavailable."),
    (errors.DEADLINE_EXPIRED, 1011, "Deadline expired before operation could complete."),
    (errors.TOKEN_USED_UP, 1011, "Token has been used too many times"),
    (errors.TOKEN_EXPIRED, 1011, "Token has expired"),
    (errors.TOKEN_EXPIRED_IN_SESSION, 1011, "auth token has expired"),
]


@pytest.mark.parametrize(("refusal", "code", "reason"), VERBATIM)
def test_texts(refusal: errors.Refusal, code: int, reason: str) -> None:
    assert (refusal.code, refusal.reason) == (code, reason)
    assert close_reason(reason) == reason
    error = refusal.to_error()
    assert (error.code, error.reason, str(error)) == (code, reason, reason)


@pytest.mark.parametrize(
    ("refusal", "code", "end"),
    [
        (errors.model_not_found("models/X", "v1beta"), 1008, "Call ListModels to see the list "),
        (errors.UNREGISTERED_CALLER, 1008, "Please use API Key or other form of API c"),
        (errors.TOO_MANY_MODALITIES, 1007, "To enable simultaneous transcription and audio output,"),
        (errors.quota_exceeded("x" * 200), 1011, "You exceeded your current quota, xxxx"),
        (errors.modalities_not_supported(["TEXT"], "models/m", ["AUDIO"]), 1007, "models/m accepts the following comb"),
    ],
)
def test_long_texts_are_cut_where_the_original_cuts(refusal: errors.Refusal, code: int, end: str) -> None:
    assert refusal.code == code
    reason = close_reason(refusal.reason)
    assert end in reason
    assert 122 <= len(reason) <= 123
    assert refusal.reason.startswith(reason)


def test_the_modalities_of_a_model_are_listed() -> None:
    reason = errors.modalities_not_supported(["TEXT", "IMAGE"], "models/m", ["AUDIO", "TEXT"]).reason
    assert "(TEXT, IMAGE)" in reason
    assert reason.endswith("accepts the following combination of response modalities:\n* AUDIO\n* TEXT\n")


@given(st.text())
def test_a_close_reason_fits_and_is_a_beginning(text: str) -> None:
    reason = close_reason(text)
    assert len(reason.encode()) <= 123
    assert text.startswith(reason)
    assert reason == text or len(reason.encode()) > 123 - 4


def test_a_close_reason_of_broken_text() -> None:
    assert close_reason("\ud800 x") == "? x"


def test_rest_key_errors() -> None:
    assert rest_error(errors.API_KEY_INVALID) == {
        "error": {
            "code": 400,
            "message": "API key not valid. Please pass a valid API key.",
            "status": "INVALID_ARGUMENT",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "API_KEY_INVALID",
                    "domain": "googleapis.com",
                    "metadata": {"service": "generativelanguage.googleapis.com"},
                }
            ],
        }
    }
    assert rest_error(errors.UNREGISTERED_CALLER) == {
        "error": {
            "code": 403,
            "message": "Method doesn't allow unregistered callers (callers without established identity). Please use "
            "API Key or other form of API consumer identity to call this API.",
            "status": "PERMISSION_DENIED",
        }
    }


def test_rest_model_error() -> None:
    assert rest_error(errors.model_not_found("models/bad", "v1beta", "generateContent")) == {
        "error": {
            "code": 404,
            "message": "models/bad is not found for API version v1beta, or is not supported for generateContent. "
            "Call ListModels to see the list of available models and their supported methods.",
            "status": "NOT_FOUND",
        }
    }


def test_rest_quota_error() -> None:
    body = rest_error(errors.quota_exceeded("No."))["error"]
    assert (body["code"], body["status"]) == (429, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize(
    ("document", "violation"),
    [
        ('{"setup": {"x": 1}}', {"field": "setup"}),
        ('{"x": 1}', {}),
        ('{"setup": {"model": 1}}', {"field": "setup.model"}),
    ],
)
def test_rest_field_errors(document: str, violation: dict[str, str]) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_message(document)
    reason = caught.value.reason
    assert rest_error(caught.value) == {
        "error": {
            "code": 400,
            "message": reason,
            "status": "INVALID_ARGUMENT",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{**violation, "description": reason}],
                }
            ],
        }
    }


def test_a_protocol_error_without_a_field_has_no_violations() -> None:
    assert "details" not in rest_error(ProtocolError("No."))["error"]
