"""The decisions are told once each, in the order of their numbers."""

from __future__ import annotations

import re
from pathlib import Path

DESIGN = Path(__file__).parent.parent / "docs" / "design.md"


def test_decisions_are_numbered_once_and_in_order() -> None:
    numbers = [int(number) for number in re.findall(r"^(\d+)\. \*\*", DESIGN.read_text("utf-8"), re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
