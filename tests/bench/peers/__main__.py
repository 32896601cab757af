"""openlive and its peers, side by side in one run: `python -m tests.bench.peers latency`, `… sessions`.

Needs the peers' environments (`make peers`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from openlive.cli.bench.client import PATIENCE, SILENCE_MS, BenchError, said_at
from openlive.cli.bench.clips import QUESTIONS, Clip, shipped, sound, synthesised
from openlive.cli.bench.figures import spread
from openlive.cli.bench.plot import Bar, Curve, plot, waterfall_plot
from openlive.cli.bench.report import Report, console, figures, lateness, told, write
from openlive.cli.bench.server import DELAYS
from openlive.cli.bench.sessions import BOUND, Level, level_of, row, steps, within
from openlive.cli.serve import fetched
from tests.bench.peers.systems import ENVIRONMENTS, PEERS, System, endpoints, started, versions
from tests.bench.peers.verdict import Turn, orders, ratios, table

REST = 1.0
"""Seconds of silence before a question, for what a system still does when its session has begun."""
AFTER = 0.7
"""Seconds that a system is listened to after the first of its audio, to find the first sound in it."""
WARMING = 120.0
"""Seconds that the first answer of a system may take."""
FINE = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60)
"""Numbers of sessions that peers are tried with."""

_file = click.Path(dir_okay=False, path_type=Path)
_Command = Callable[..., None]


def _shared(which: Sequence[str]) -> Callable[[_Command], _Command]:
    options = [
        click.option("--system", "names", multiple=True, default=which, type=click.Choice(["openlive", *PEERS])),
        click.option("--environments", type=click.Path(file_okay=False, path_type=Path), default=ENVIRONMENTS),
        click.option("--json", "json_file", type=_file),
        click.option("--plot", "plot_file", type=_file),
    ]

    def add(command: _Command) -> _Command:
        for option in options:
            command = option(command)
        return command

    return add


@click.group()
def main() -> None:
    """Measure openlive and its peers side by side."""


@main.command()
@click.option("--turns", default=10, show_default=True, type=click.IntRange(1))
@click.option("--engines", default="real", show_default=True, type=click.Choice(["real", "paced"]))
@_shared(("openlive", *PEERS))
def latency(
    names: Sequence[str], turns: int, engines: str, environments: Path, json_file: Path | None, plot_file: Path | None
) -> None:
    """From the last voiced sample to the first byte of audio, on the same engines. `paced` ones sleep for as long as
    the real ones work on a faster core, so that the ratio is not that of the machine at hand."""
    asked = [QUESTIONS[i % len(QUESTIONS)] for i in range(turns)]
    clips = synthesised(asked, fetched)
    about = versions(names, environments)
    report = Report("peers latency", turns=turns, engines=engines, silence_ms=SILENCE_MS, systems=about)
    with endpoints(0, engines) as url, started(names, url, environments) as systems:
        turns_of = asyncio.run(_alternating(systems, clips))
    found = {name: spread(turn.ms for turn in turns) for name, turns in turns_of.items()}
    out = console()
    out.print(table(turns_of))
    out.print(told(max((t.lateness for turns in turns_of.values() for t in turns), key=lambda late: late["p99"])))
    report.write(
        json_file, figures=found, ratios=ratios(found), ratios_after_silence=ratios(found, SILENCE_MS), turns=turns_of
    )
    if plot_file is not None:
        bars = [Bar(name, s.p50, s.p95) for name, s in found.items() if s is not None]
        write(plot_file, waterfall_plot(bars, "ms from the last voiced sample to the first byte of audio: p50 and p95"))


async def _alternating(systems: Sequence[System], clips: Sequence[Clip]) -> dict[str, list[Turn]]:
    """Each question goes to every system before the next one is asked; who comes first changes. The first question is
    asked once more than it counts, because the first answer of a system may be slower."""
    found: dict[str, list[Turn]] = {system.name: [] for system in systems}
    for system in systems:
        await _ask(system, clips[0], WARMING)
    for number, (clip, order) in enumerate(zip(clips, orders(len(systems)), strict=False), 1):
        for system in (systems[i] for i in order):
            turn = await _ask(system, clip)
            found[system.name].append(turn)
            said = f"{turn.heard.strip()[:40]!r} {turn.said.strip()[:50]!r}" if turn.heard else ""
            click.echo(f"{number:>3}/{len(clips)} {system.name:<18} {turn.ms:>6,.0f} ms {said}", err=True)
    return found


async def _ask(system: System, clip: Clip, patience: float = PATIENCE) -> Turn:
    """One question in a session of its own. `patience` are the seconds that the answer may take."""
    async with system.opening() as session:
        await asyncio.sleep(REST)
        voiced = said_at(session.say(system.clip(clip)), clip.end)
        try:
            answer = await session.speaking(patience)
        except BenchError as error:
            raise click.ClickException(f"{system.name}, {clip.name!r}: {error.message}") from error
        await asyncio.sleep(AFTER)
    first = answer.audio[0][0] - voiced
    if first < 0:
        raise click.ClickException(f"{system.name} answered {clip.name!r} before its end.")
    silent = sound(bytes(answer.pcm), system.rate)
    audible = None if silent is None else round(1000 * (first + silent[0] / system.rate), 1)
    return Turn(clip.name, round(1000 * first, 1), audible, lateness(session.lateness), answer.heard, answer.said)


@main.command()
@click.option("--seconds", default=15.0, show_default=True, help="How long each number of sessions is watched.")
@click.option("--most", default=200, show_default=True, type=click.IntRange(1))
@_shared(("openlive", "pipecat-early"))
def sessions(
    names: Sequence[str],
    seconds: float,
    most: int,
    environments: Path,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    """How many can talk at once, where recogniser, model and voice take fixed times."""
    report = Report("peers sessions", seconds=seconds, most=most, delays=DELAYS, systems=versions(names, environments))
    levels = {}
    for name in names:  # one after another, each with its core to itself
        with started([name], None, environments) as [system]:
            numbers = steps(most) if name == "openlive" else [n for n in FINE if n <= most]
            levels[name] = asyncio.run(_ramp(system, numbers, seconds))
    out = console()
    for name, found in levels.items():
        lines = figures(name, "turns", "p50 ms", "p95 ms", "of one", "lost", "CPU ms per session s", "late p99 ms")
        for level in found:
            lines.add_row(*row(level, found[0]))
        out.print(lines)
    carried = {
        name: max((f.sessions for f in found if within(f, found[0])), default=0) for name, found in levels.items()
    }
    out.print(f"within {BOUND} times one session's p95: {', '.join(f'{n} {c}' for n, c in carried.items())}")
    report.write(json_file, carried=carried, bound=BOUND, levels=levels)
    if plot_file is not None:
        curves = [
            Curve(name, tuple((f.sessions, f.delay.p95, "") for f in fs if f.delay)) for name, fs in levels.items()
        ]
        write(plot_file, plot(curves, "sessions at once", "end of the turn to the first byte, p95, ms"))


async def _ramp(system: System, numbers: Sequence[int], seconds: float) -> list[Level]:
    levels: list[Level] = []
    for number in numbers:
        clip = system.clip(shipped())
        level = await level_of(system.server, system.opening, clip, number, seconds)
        levels.append(level)
        p95 = f"p95 {level.delay.p95:,.0f} ms" if level.delay else "no answer"
        click.echo(f"{system.name} {number:>4} sessions: {p95}, {level.lost} lost, {told(level.lateness)}", err=True)
        if not within(level, levels[0]):
            break
    return levels


if __name__ == "__main__":
    main()
