"""Whatever a client sends, it is parsed, or it is a ProtocolError; no other error, ever."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openlive.wire.client import ClientMessage, parse_message
from openlive.wire.errors import ProtocolError, close_reason
from openlive.wire.json import parse
from openlive.wire.proto import Message
from openlive.wire.server import ServerMessage
from tests.wire.fields import names

NAMES = sorted(names(ClientMessage, set()))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["AUDIO", "audio", "1.2s", "-__-", "AAA=", "1e400", "1e5", "-0", "NaN", "2026-01-01T00:00:00Z"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=2)
    ),
    max_leaves=25,
)
ROOTS = st.sampled_from(["setup", "clientContent", "realtime_input", "toolResponse", "contextUpdate"])


def parse_or_refuse(frame: str | bytes) -> ClientMessage | None:
    try:
        return parse_message(frame)
    except ProtocolError as refused:
        error = refused
    assert error.code == 1007
    assert error.reason
    assert close_reason(error.reason).encode()
    return None


@given(st.binary())
@example(b"")
@example(b"\xef\xbb\xbf{}")
@example(b'{"setup":' + b"9" * 5000 + b"}")
@example(b'{"setup":{"generationConfig":{"topK":' + b"9" * 4299 + b"}}}")
@example(b'{"setup":{"generationConfig":{"topP":-' + b"9" * 308 + b"}}}")
def test_bytes(frame: bytes) -> None:
    parse_or_refuse(frame)


@given(st.text())
@example('{"realtimeInput":{"text":"\\ud800"}}')
@example("\ud800")
def test_text(frame: str) -> None:
    parse_or_refuse(frame)


@settings(max_examples=500, deadline=None)
@given(ROOTS, JSON)
def test_json(root: str, value: Any) -> None:
    parse_or_refuse(json.dumps({root: value}))


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_decoded_json(value: Any) -> None:
    with contextlib.suppress(ProtocolError):
        parse(ClientMessage, {"setup": value})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_broken_frames(data: st.DataObject) -> None:
    """A good frame with a piece cut out, or replaced by bytes."""
    frame = (
        b'{"setup":{"model":"models/m","generationConfig":{"responseModalities":["AUDIO"],"topK":40.0,"temperature":0.5,'
        b'"speechConfig":{"voice_config":{"prebuilt_voice_config":{"voice_name":"K\xc3\xb6re"}}}},"tools":[{"googleSearch":{}}],'
        b'"contextWindowCompression":{"triggerTokens":"1000"},"avatarConfig":{"customizedAvatar":{"imageData":"-__-"}}}}'
    )
    start = data.draw(st.integers(0, len(frame)))
    end = data.draw(st.integers(start, min(start + 8, len(frame))))
    parse_or_refuse(frame[:start] + data.draw(st.binary(max_size=4)) + frame[end:])


@pytest.mark.parametrize("struct", [ClientMessage, ServerMessage])
def test_every_message_has_readers(struct: type[Message]) -> None:
    assert parse(struct, {}) == struct()
    seen: set[type[Message]] = set()
    names(struct, seen)
    for each in seen:
        assert parse(each, dict.fromkeys(each.__struct_encode_fields__), "x") == each()
