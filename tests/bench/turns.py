"""When a turn is over: `make turns`, or `python -m tests.bench.turns --plot docs/turns.svg`.

Recordings and spoken sentences (turnset.py), finished and not, are heard by the detectors of the embedded default. What
is finished shows the delay: the silence that ends it. What is not shows the false cut-offs: the user goes on after a
pause of 0.3 to 1 s, any length as likely, and the turn was over before that. Times are counted in samples, so a busy
machine changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import click
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from openlive.cli.bench.plot import Curve, plot
from openlive.core.listening.activity import MS, ActivityChange, ActivityPolicy, ActivityTracker
from openlive.core.listening.endpointing import LONGEST, SHORTEST, required_silence
from openlive.core.listening.user_turn import PREROLL
from openlive.engines.api import Resources
from openlive.engines.stt import auto as auto_stt
from openlive.engines.turn_detection import smart_turn
from openlive.engines.vad.silero import engine as silero
from openlive.models import ensure
from openlive.types import Transcript
from tests.bench import bargein
from tests.bench.turnset import Clip, Speaker, recordings, spoken, turn_set
from tests.engines.speech import Detector

BEFORE, AFTER = 500 * MS, 1500 * MS
"""Samples of silence around a clip."""
GOES_ON = 300 * MS, 1000 * MS
SETTINGS = range(300, 1001, 100)
"""Of plain silence, and of the most that a judged one lasts; milliseconds."""


class Heard(Struct, frozen=True):
    """A clip, and what the detectors say at its end."""

    clip: Clip
    finished: float
    text: str
    language: str

    def wait(self, *, transcript: bool = True, longest: int = LONGEST) -> float:
        """Samples of silence that end it; `longest` takes the place of the present one."""
        judged = required_silence(self.finished, *((self.text, self.language) if transcript else ()))
        return SHORTEST + (judged - SHORTEST) * (longest - SHORTEST) / (LONGEST - SHORTEST)


class Engines:
    def __init__(self) -> None:
        resources = Resources(ensure, 1, 1)
        self.vad = silero.create("", resources)
        self.turn = smart_turn.create("", resources)
        self.ears = auto_stt.create("", resources)

    async def hear(self, clip: Clip) -> Heard | None:
        """None where nothing of it is speech."""
        audio = bytes(2 * BEFORE) + clip.audio + bytes(2 * AFTER)
        span = await self._last_pause(audio)
        if span is None:
            return None
        heard = audio[2 * span[0] : 2 * span[1]]
        finished = await self.turn.finished(heard)
        transcript = await self._transcript(heard)
        return Heard(clip, finished, transcript.text, transcript.language)

    async def _last_pause(self, audio: bytes) -> tuple[int, int] | None:
        """The audio of the turn up to its last first silence, in samples."""
        activity, stream, span = ActivityTracker(ActivityPolicy(silence=AFTER)), Detector(self.vad), None
        for probability, samples in await stream.push(audio):
            if activity.push_frame(probability, samples) is ActivityChange.PAUSED:
                span = max(0, activity.onset - PREROLL), activity.position
        stream.close()
        return span

    async def _transcript(self, audio: bytes) -> Transcript:
        async def chunks() -> AsyncIterator[bytes]:
            yield audio
            yield b""

        [final] = [heard async for heard in self.ears.transcribe(chunks()) if heard.final]
        return final


class Score(Struct, frozen=True):
    """Delays in milliseconds; `cut`: the part of the pauses that ended a turn."""

    delays: tuple[float, ...]
    cut: float

    @property
    def mean(self) -> float:
        return sum(self.delays) / len(self.delays)

    def share(self, part: float) -> float:
        """The delay that this part of the turns does not exceed."""
        return sorted(self.delays)[int(part * (len(self.delays) - 1))]


def score(rows: Sequence[Heard], wait: Callable[[Heard], float]) -> Score:
    least, most = GOES_ON
    ended = [min(1.0, max(0.0, (most - wait(r)) / (most - least))) for r in rows if not r.clip.finished]
    delays = tuple(wait(r) / MS for r in rows if r.clip.finished)
    return Score(delays, sum(ended) / len(ended))


def plain(milliseconds: int) -> Callable[[Heard], float]:
    return lambda _: milliseconds * MS


def judged(milliseconds: int, *, transcript: bool = True) -> Callable[[Heard], float]:
    return lambda row: row.wait(transcript=transcript, longest=milliseconds * MS)


def table(rows: Sequence[Heard]) -> Table:
    made = Table("end of turn", "clips", "cut off", "mean", "median", "90 %", box=None, pad_edge=False)
    for column in made.columns[1:]:
        column.justify = "right"
    for name, chosen, wait in measures(rows):
        got = score(chosen, wait)
        figures = (f"{got.cut:.0%}", *(f"{ms:.0f} ms" for ms in (got.mean, got.share(0.5), got.share(0.9))))
        made.add_row(name, f"{len(got.delays)}+{len(chosen) - len(got.delays)}", *figures)
    return made


def measures(rows: Sequence[Heard]) -> Iterator[tuple[str, Sequence[Heard], Callable[[Heard], float]]]:
    for ms in SETTINGS:
        yield f"plain silence, {ms} ms", rows, plain(ms)
    yield "judged by the voice alone", rows, judged(1000, transcript=False)
    yield "judged by voice and transcript", rows, judged(1000)
    for group in dict.fromkeys(row.clip.group for row in rows):
        yield f"  {group}", [row for row in rows if row.clip.group == group], judged(1000)


def curves(rows: Sequence[Heard]) -> list[Curve]:
    """Mean delay and false cut-offs, for each setting."""
    kinds = {"plain silence": plain, "voice and transcript": judged}
    return [
        Curve(name, tuple((got.mean, 100 * got.cut, f"{ms}") for ms in SETTINGS for got in [score(rows, of(ms))]))
        for name, of in kinds.items()
    ]


def clips(folder: Path | None) -> Iterator[Clip]:
    yield from recordings()
    speaker, sentences = Speaker(folder), turn_set()
    yield from spoken(speaker, "tuned", sentences.tuned)
    yield from spoken(speaker, "fresh", sentences.fresh)
    speaker.close()


async def hear(chosen: Sequence[Clip], *, verbose: bool) -> list[Heard]:
    engines, rows = Engines(), []
    for clip in chosen:
        row = await engines.hear(clip)
        if row is None:
            click.echo(f"Nothing is heard in {clip.name!r}.", err=True)
            continue
        rows.append(row)
        if verbose:
            told = "whole" if clip.finished else "part "
            click.echo(f"{told} {row.finished:.3f} {row.wait() / MS:5.0f} ms  {clip.name[:50]:<50} {row.text}")
    return rows


def barge_in(folder: Path | None, loop: asyncio.AbstractEventLoop, *, verbose: bool) -> list[bargein.Outcome]:
    engines, speaker, found = Engines(), Speaker(folder), []
    for remark in bargein.remarks(speaker, turn_set()):
        found.append(bargein.outcome(remark, engines.vad, engines.ears, loop))
        if verbose:
            told = "right" if found[-1].right else "WRONG"
            click.echo(f"{told} {found[-1].interrupted:6.2f} s  {remark.name:<32} {found[-1].heard}")
    speaker.close()
    return found


@click.command()
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Write the curves into this SVG file.")
@click.option("--spoken", "folder", type=click.Path(path_type=Path), help="Keep what Kokoro speaks in this folder.")
@click.option("--verbose", is_flag=True, help="Tell of each clip.")
def main(plot_file: Path | None, folder: Path | None, verbose: bool) -> None:
    """False cut-offs and delay of the detector of ends of turns, against plain silence."""
    chosen = list(clips(folder))  # the speaker closes its voice in a loop of its own
    loop, console = asyncio.new_event_loop(), Console()
    rows = loop.run_until_complete(hear(chosen, verbose=verbose))
    console.print(table(rows))
    console.print("\n", bargein.table(barge_in(folder, loop, verbose=verbose)))
    if plot_file is not None:
        plot_file.write_text(plot(curves(rows), "mean delay, ms", "false cut-offs, % of pauses of 0.3 to 1 s"))


if __name__ == "__main__":
    main()
