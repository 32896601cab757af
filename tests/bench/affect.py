"""How well a mood is told: `python -m tests.bench.affect`.

Voices say sentences in several manners (affectset.py); each is measured and judged as a session does, once after the
voice's own earlier sentences and once as a stranger's. Recordings of people, who all read calmly, show false alarms.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from openlive.audio import read_wav
from openlive.core.listening.affect import UNKNOWN_SPEAKER, SpeakerBaseline, judge_mood, update_baseline
from openlive.engines.api import Resources
from openlive.engines.stt.prosody import measure_prosody
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.models import ensure
from openlive.types import Prosody
from tests.bench.affectset import AffectSet, Clip, affect_set, clips

HUMAN = Path(__file__).parent.parent / "speech" / "human"
TOLD = ("", "excited", "subdued", "flat")


class Row(Struct, frozen=True):
    """`known`: as which mood it is told after earlier sentences of the voice; `strange`: without."""

    manner: str
    known: str
    strange: str


def judged(spoken: Iterable[Clip], *, verbose: bool) -> list[Row]:
    usual: dict[str, SpeakerBaseline] = {}
    rows = []
    for clip in spoken:
        heard = measure_prosody(clip.audio)
        before = usual.get(clip.voice, UNKNOWN_SPEAKER)
        if not clip.manner:
            usual[clip.voice] = update_baseline(before, heard)
            continue
        rows.append(Row(clip.manner, judge_mood(heard, before)[0], judge_mood(heard, UNKNOWN_SPEAKER)[0]))
        if verbose:
            click.echo(f"{clip.voice:<8} {clip.manner:<16} {rows[-1].known or 'neutral':<8} {told(heard)} {clip.text}")
    return rows


def told(heard: Prosody | None) -> str:
    if heard is None:
        return "nothing"
    return f"{heard.pitch:5.1f} st, {heard.spread:4.1f} st, {heard.level:5.1f} dB, {heard.pace:4.2f}/s"


def table(rows: Sequence[Row], expected: AffectSet) -> Table:
    made = Table("said", "clips", *(name or "neutral" for name in TOLD), "right", "as a stranger's", box=None)
    for manner, right in expected.moods.items():
        mine = [row for row in rows if row.manner == manner]
        counts = Counter(row.known for row in mine)
        strange = sum(row.strange in right for row in mine)
        hits = sum(counts[name] for name in right)
        made.add_row(
            manner, str(len(mine)), *(str(counts[name]) for name in TOLD), share(hits, mine), share(strange, mine)
        )
    known = sum(row.known in expected.moods[row.manner] for row in rows)
    strange = sum(row.strange in expected.moods[row.manner] for row in rows)
    made.add_row("all", str(len(rows)), *("" for _ in TOLD), share(known, rows), share(strange, rows))
    return made


def share(count: int, rows: Sequence[Row]) -> str:
    return f"{count / len(rows):.0%}"


def people(*, verbose: bool) -> Table:
    """Each recording as a stranger's, and after those of its speaker that come before it."""
    made = Table("people, reading", "neutral", "others", box=None)
    for name, files in (("as strangers", "*.wav"), ("one speaker, five clips", "sense*.wav")):
        usual, found = UNKNOWN_SPEAKER, Counter[str]()
        for file in sorted(HUMAN.glob(files)):
            heard = measure_prosody(read_wav(file))
            found[judge_mood(heard, usual)[0]] += 1
            if verbose:
                click.echo(f"{file.stem[-12:]:<12} {judge_mood(heard, usual)[0] or 'neutral':<8} {told(heard)}")
            usual = update_baseline(usual, heard) if name.startswith("one") else usual
        made.add_row(name, str(found[""]), ", ".join(f"{n} {m}" for m, n in found.items() if m))
    return made


@click.command()
@click.option("--verbose", is_flag=True, help="Tell of each clip.")
def main(verbose: bool) -> None:
    """The share of moods that are told rightly."""
    speaker, expected = kokoro.create("", Resources(ensure, os.cpu_count() or 1, 0)), affect_set()
    spoken = list(clips(speaker, expected))
    asyncio.run(speaker.close())
    begun = time.process_time()
    rows = judged(spoken, verbose=verbose)
    each = (time.process_time() - begun) / len(spoken) * 1000
    seconds = sum(len(clip.audio) for clip in spoken) / len(spoken) / 32000
    console = Console()
    console.print(table(rows, expected))
    console.print("\n", people(verbose=verbose))
    console.print(f"\nMeasured in {each:.0f} ms of CPU each, for {seconds:.1f} s of speech.")


if __name__ == "__main__":
    main()
