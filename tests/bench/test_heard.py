"""The committed replies and what is heard of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.bench.heard import Ear, load

FLOOR = 96


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
