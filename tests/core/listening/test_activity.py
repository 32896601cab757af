"""Speech probabilities on their own: what a frame of 32 ms more or less makes of the padding."""

from __future__ import annotations

import pytest

from openlive.core.listening.activity import MS, ActivityChange, ActivityPolicy, ActivityTracker

FRAME = 32 * MS


@pytest.mark.parametrize(
    ("padding", "frames"), [(0, 1), (20, 1), (40, 1), (60, 2), (96, 3), (100, 3), (200, 6), (300, 9)]
)
def test_the_padding_counts_to_the_nearest_frame(padding: int, frames: int) -> None:
    activity = ActivityTracker(ActivityPolicy(padding=padding * MS))
    assert activity.push_frame(0.0, FRAME) is None
    changes = [activity.push_frame(1.0, FRAME) for _ in range(frames)]
    assert changes == [None] * (frames - 1) + [ActivityChange.STARTED]
    assert activity.onset == FRAME
    assert abs(frames * 32 - padding) <= 16 or frames == 1


@pytest.mark.parametrize(("judged", "milliseconds"), [(False, 96), (True, 160)])
def test_the_first_silence_is_longer_where_it_is_judged(judged: bool, milliseconds: int) -> None:
    activity = ActivityTracker(ActivityPolicy(judged=judged))
    for _ in range(10):
        activity.push_frame(1.0, FRAME)
    frames = milliseconds // 32
    assert [activity.push_frame(0.0, FRAME) for _ in range(frames)] == [None] * (frames - 1) + [ActivityChange.PAUSED]
