"""The short way for a message with audio alone says of every frame what the walk says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openlive.wire.client import ClientMessage, RealtimeInput, _parse_audio_only, parse_message
from openlive.wire.content import Blob
from openlive.wire.errors import ProtocolError
from openlive.wire.json import parse


class Pairs(list[tuple[str, Any]]):
    """A JSON object that may have a name twice."""


def write(value: object) -> str:
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{json.dumps(name)}: {write(item)}" for name, item in value) + "}"
    return json.dumps(value)


def objects(
    whole: st.SearchStrategy[tuple[str, Any]], *others: st.SearchStrategy[tuple[str, Any]]
) -> st.SearchStrategy[Any]:
    """Mostly what is wanted, once or twice, sometimes with more, sometimes something else."""
    good = st.lists(whole, min_size=1, max_size=2).map(Pairs)
    return good | good | st.lists(st.one_of(whole, *others), max_size=3).map(Pairs) | st.sampled_from([None, [], 0])


def named(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.tuples(st.sampled_from(names), values)


ROOTS = ["realtimeInput", "realtime_input"]
DATA = st.sampled_from(["", "AAA=", "AAA", "_-8=", "/+8=", "_-8", "AA\r\nA=", "A", "AAAA====", "é", "\0"]) | st.text()
MIME = named(["mimeType", "mime_type"], st.sampled_from(["audio/pcm", "", "image/jpeg", None, 1]))
BLOB = st.tuples(
    named(["data"], DATA), st.lists(MIME | named(["displayName", "data", "x"], st.none() | DATA), max_size=3)
).map(lambda fields: Pairs([fields[0], *fields[1]]))
INPUT = objects(named(["audio"], BLOB), named(["audio", "text", "audioStreamEnd", "video"], st.none() | st.text()))
MESSAGE = objects(named(ROOTS, INPUT), named(["realtimeInput", "setup", "clientContent", "y"], st.none()))
FRAME = (
    '{"realtimeInput": {"audio": {"data": "_-8=", "mimeType": "audio/pcm"}}}',
    '{"realtime_input":{"audio":{"mime_type":"audio/pcm;rate=16000","data":"/+8"}}}',
)


def walked(frame: str | bytes) -> ClientMessage | str:
    try:
        message = parse(ClientMessage, frame)
    except ProtocolError as error:
        return error.reason
    return message if message != ClientMessage() else "nothing"


def read(frame: str | bytes) -> ClientMessage | str:
    try:
        return parse_message(frame)
    except ProtocolError as error:
        return "nothing" if "A message has one of" in error.reason else error.reason


@settings(max_examples=1000, deadline=None)
@given(MESSAGE)
@example(Pairs((name, {"audio": {"data": "AAA=", "mimeType": "audio/pcm"}}) for name in ROOTS))
def test_messages(message: Any) -> None:
    frame = write(message)
    assert read(frame) == walked(frame)
    assert read(frame.encode()) == walked(frame.encode())


@settings(max_examples=500, deadline=None)
@given(st.data(), st.sampled_from(FRAME))
def test_broken_frames(data: st.DataObject, whole: str) -> None:
    """With a piece cut out, or replaced by bytes."""
    frame = whole.encode()
    start = data.draw(st.integers(0, len(frame)))
    end = data.draw(st.integers(start, min(start + 8, len(frame))))
    frame = frame[:start] + data.draw(st.binary(max_size=4)) + frame[end:]
    assert read(frame) == walked(frame)


@pytest.mark.parametrize("frame", ["\ud800", '{"realtimeInput": {"audio": {"data": "\ud800"}}}', '"' * 9, "[" * 5000])
def test_no_frames(frame: str) -> None:
    assert read(frame) == walked(frame)


@pytest.mark.parametrize("frame", FRAME)
def test_both_spellings_go_the_short_way(frame: str) -> None:
    mime = "audio/pcm" if "mimeType" in frame else "audio/pcm;rate=16000"
    expected = ClientMessage(realtime_input=RealtimeInput(audio=Blob(mime_type=mime, data=b"\xff\xef")))
    assert _parse_audio_only(frame) == _parse_audio_only(frame.encode()) == expected
