"""`openlive bench soak`: whether a long conversation gets slower, or the server larger."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import Struct

from openlive.cli.bench.client import SILENCE_MS, BenchError, connected, said_at, setup
from openlive.cli.bench.clips import QUESTIONS, Clip, read_clips, shipped, synthesised
from openlive.cli.bench.options import Options, bench_options, clips_option
from openlive.cli.bench.plot import Curve, plot
from openlive.cli.bench.report import Report, console, figures, lateness, told, write
from openlive.cli.bench.server import Measured, resident, scripted

FIRST, AROUND = 5, 7
"""The early turn that the last one is compared with, and how many turns around each are looked at: as many as there are
questions, so that both sides have the same ones."""
TRIGGER, TARGET = 4000, 2000
"""Tokens of contextWindowCompression: some 40 turns, so that the window slides again and again."""


class Turn(Struct, frozen=True):
    """`ms`: from the end of the turn (last voiced sample and silence) to the first byte of audio. `resident`: megabytes
    of the server and its children afterwards; None where its process is not known."""

    number: int
    ms: float
    resident: float | None


@click.command(epilog="Example: openlive bench soak --turns 200 --json soak.json --plot soak.svg")
@click.option("--turns", default=200, show_default=True, type=click.IntRange(2 * AROUND), help="Of one conversation.")
@clips_option(
    "question",
    "Ask this; else seven questions, which Kokoro speaks (to scripted engines one that comes with openlive).",
)
@bench_options("scripted", plot=True)
def soak(options: Options, *, turns: int, questions: Sequence[Path]) -> None:
    """Hold a long conversation: delay and memory of its last turns against those of turn 5.

    The context slides (`contextWindowCompression`). Every turn is spoken and heard to its end, so 200 of them take a
    quarter of an hour.
    """
    clips = read_clips(questions) if questions else _questions(options)
    report = Report("soak", turns=turns, trigger_tokens=TRIGGER, silence_ms=SILENCE_MS, url=options.url)
    with options.server(scripted(), apart=True) as server:
        found, late = asyncio.run(_converse(server, options.model, [clips[i % len(clips)] for i in range(turns)]))
        engines = server.engines
    compared = compare(found)
    out = console()
    table = figures("", f"around turn {FIRST}", f"the last {AROUND}", "ratio")
    for name, (early, last) in compared.items():
        table.add_row(name, f"{early:,.1f}", f"{last:,.1f}", f"{last / early:.2f}")
    out.print(table)
    out.print(f"\nslowest of {turns} turns: {max(turn.ms for turn in found):,.0f} ms; engines: {engines}")
    out.print(told(late))
    ratios = {name: round(last / early, 3) for name, (early, last) in compared.items()}
    report.write(options.json_file, engines=engines, medians=compared, ratios=ratios, turns=found, lateness=late)
    if options.plot_file is not None:
        write(options.plot_file, plot(_curves(found), "turn", "ms, MB"))


def _questions(options: Options) -> list[Clip]:
    from openlive.cli.serve import fetched

    if options.engines == "scripted" and options.url is None:
        return [shipped()]
    click.echo("Speaking the questions …", err=True)
    return synthesised(QUESTIONS[:AROUND], fetched)


def compare(turns: Sequence[Turn]) -> dict[str, tuple[float, float]]:
    """Medians around the early turn, and of the last ones."""
    begin = FIRST - 1 - AROUND // 2
    sides = turns[begin : begin + AROUND], turns[-AROUND:]
    made = {"delay, ms": tuple(statistics.median(turn.ms for turn in side) for side in sides)}
    if all(turn.resident is not None for turn in turns):
        made["memory, MB"] = tuple(statistics.median(turn.resident or 0.0 for turn in side) for side in sides)
    return {name: (early, last) for name, (early, last) in made.items()}


def _curves(turns: Sequence[Turn]) -> list[Curve]:
    curves = [Curve("delay, ms", tuple((turn.number, turn.ms, "") for turn in turns))]
    memory = tuple((turn.number, turn.resident, "") for turn in turns if turn.resident is not None)
    return [*curves, Curve("memory, MB", memory)] if memory else curves


async def _converse(server: Measured, model: str, clips: Sequence[Clip]) -> tuple[list[Turn], dict[str, float]]:
    window = {"triggerTokens": TRIGGER, "slidingWindow": {"targetTokens": TARGET}}
    process = server.process()
    turns: list[Turn] = []
    async with connected(server.address, setup(model, contextWindowCompression=window)) as session:
        for number, clip in enumerate(clips, 1):
            ended = said_at(session.say(clip), clip.end) + SILENCE_MS / 1000
            answer = await session.finished(played=True)
            if answer.first_audio is None:
                raise BenchError(f"Turn {number}: no audio (heard {answer.heard!r}, said {answer.said!r}).")
            memory = round(resident(process) / 1e6, 1) if process else None
            turns.append(Turn(number, round(1000 * (answer.first_audio - ended), 1), memory))
            if number % 10 == 0 or number == 1:
                told_memory = f", {memory:,.0f} MB" if memory else ""
                click.echo(f"{number:>4}/{len(clips)} {turns[-1].ms:,.0f} ms{told_memory}", err=True)
        return turns, lateness(session.lateness)
