"""What is said of many measurements: how many, the median, the 95th percentile and the extremes."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from msgspec import Struct


class Spread(Struct, frozen=True):
    """Of `n` values, in their unit."""

    n: int
    p50: float
    p95: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread | None:
    """None of no values."""
    found = list(values)
    if not found:
        return None
    middle = statistics.median(found)
    return Spread(len(found), *(round(v, 3) for v in (middle, percentile(found, 95), min(found), max(found))))


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that at least `share` percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[-(-share * len(ordered) // 100) - 1]
