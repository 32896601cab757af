"""What a comparison comes to: who is asked when, and the figures side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from rich.table import Table

from openlive.cli.bench.client import SILENCE_MS
from openlive.cli.bench.figures import Spread, spread
from openlive.cli.bench.report import figures

OURS = "openlive"


class Turn(Struct, frozen=True):
    """`ms` from the last voiced sample to the first byte of audio, `audible` to the first sound in it."""

    clip: str
    ms: float
    audible: float | None
    lateness: dict[str, float]
    heard: str = ""
    said: str = ""


def orders(count: int) -> Iterator[list[int]]:
    """Who is asked first, second, …: another one begins each time."""
    start = 0
    while True:
        yield [(start + i) % count for i in range(count)]
        start += 1


def ratios(found: Mapping[str, Spread | None], silence: float = 0.0) -> dict[str, dict[str, float]]:
    """openlive's p50 and p95 as parts of each peer's; without the `silence` (ms) that all have to wait for."""
    ours = found.get(OURS)
    if ours is None:
        return {}
    return {
        name: {
            "p50": round((ours.p50 - silence) / (theirs.p50 - silence), 3),
            "p95": round((ours.p95 - silence) / (theirs.p95 - silence), 3),
        }
        for name, theirs in found.items()
        if theirs is not None and name != OURS
    }


def table(turns: Mapping[str, Sequence[Turn]]) -> Table:
    """A line for each system."""
    found = {name: spread(turn.ms for turn in own) for name, own in turns.items()}
    audible = {name: spread(t.audible for t in own if t.audible is not None) for name, own in turns.items()}
    parts, after = ratios(found), ratios(found, SILENCE_MS)
    titles = ("n", "p50 ms", "p95 ms", "first sound", "openlive / it", "after the set silence")
    made = figures("last voiced sample → first audio byte", *titles)
    for name, values in found.items():
        if values is None:
            continue
        first = audible[name]
        shown = [f"{p[name]['p50']:.2f} / {p[name]['p95']:.2f}" if name in p else "" for p in (parts, after)]
        sound = f"{first.p50:,.0f}" if first is not None else ""
        made.add_row(name, str(values.n), f"{values.p50:,.0f}", f"{values.p95:,.0f}", sound, *shown)
    return made
