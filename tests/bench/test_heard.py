"""The committed replies and what is heard of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.bench import scripts
from tests.bench.heard import Ear, load

FLOOR = 96
SPLIT = {"seen": (60, 38), "aside": (54, 37)}
"""Right of the digits and of the other scripts."""


def test_the_set_has_every_language_and_kind() -> None:
    rows = load()
    assert min(Counter(row.language for row in rows).values()) >= 10
    assert min(Counter(row.kind for row in rows).values()) >= 5
    assert {row.language for row in rows} == {"en", "de", "es", "fr", "it", "pt"}


def test_what_is_heard_of_the_replies_stays_as_good_and_is_documented() -> None:
    ear, rows = Ear(), load()
    try:
        right = sum(not ear.wrong(row) for row in rows)
    finally:
        ear.close()
    assert right >= FLOOR
    assert f"**{right} of {len(rows)}**" in (Path(__file__).parents[2] / "docs" / "engines.md").read_text("utf-8")


@pytest.mark.parametrize("part", ["seen", "aside"])
def test_digits_and_scripts_stay_as_good_and_are_documented(part: str) -> None:
    documented = (Path(__file__).parents[2] / "docs" / "engines.md").read_text("utf-8")
    ear, other = Ear(), scripts.Ear()
    try:
        digits, words = load("digits", part), scripts.load(part)
        right = sum(not ear.wrong(row) for row in digits)
        also = sum(not other.wrong(row) for row in words)
    finally:
        ear.close()
        other.close()
    assert (right, also) == SPLIT[part]
    assert f"{right} of {len(digits)}" in documented
    assert f"{also} of {len(words)}" in documented


def test_the_sets_have_halves_of_every_kind() -> None:
    for rows in (load("digits"), scripts.load()):
        assert {row.kind for row in rows[::2]} == {row.kind for row in rows[1::2]}
    assert set(Counter(row.language for row in load("digits")).values()) == {20}
