"""What is read in a thread, because it would hold up the loop."""

from __future__ import annotations

import json

import pytest

from openlive.core.events import BadRequest
from openlive.server.inbound import LARGE, MANY, SHORT, Frames, is_dear

AUDIO = '{"realtimeInput":{"audio":{"data":"' + "A" * 60_000 + '","mimeType":"audio/pcm"}}}'
FEW = json.dumps({"clientContent": {"turns": [{"parts": [{"text": "a, b, c " * 400}]}]}})
TURNS = json.dumps({"clientContent": {"turns": [{"parts": [{"text": "x"}]}] * (MANY // 4)}})


@pytest.mark.parametrize(("frame", "dear"), [(AUDIO, False), (FEW, False), (TURNS, True), ("A" * (LARGE + 1), True)])
@pytest.mark.parametrize("make", [str, str.encode])
def test_what_is_read_in_a_thread(frame: str, dear: bool, make: type) -> None:
    assert is_dear(make(frame)) is dear


def test_what_is_short_cannot_hold_much() -> None:
    assert SHORT <= 2 * MANY  # "0," is the shortest value of a list


def test_a_message_of_too_many_values_is_refused_as_such() -> None:
    (refusal,) = Frames(values=100).read(TURNS)
    assert isinstance(refusal, BadRequest)
    assert refusal.code == 1007
    assert "one message may hold 100 (limits.message_values)" in refusal.reason
