"""`openlive bench latency`: one speaker, each question in a session of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from openlive.cli.bench.client import SILENCE_MS, Answer, BenchError, connected, said_at, setup
from openlive.cli.bench.clips import QUESTIONS, Clip, read_clips, sound, synthesised
from openlive.cli.bench.figures import Spread, spread
from openlive.cli.bench.options import Options, bench_options, clips_option
from openlive.cli.bench.plot import Bar, waterfall_plot
from openlive.cli.bench.report import Report, console, lateness, spreads, told, write
from openlive.cli.conversation import Address, waterfall
from openlive.cli.waterfall import STEPS as SERVER_STEPS
from openlive.cli.waterfall import chart
from openlive.types import OUTPUT_RATE

REST = 0.5
"""Seconds of silence before a question; a microphone is open before somebody speaks."""
STEPS = {**SERVER_STEPS, "first_audio_byte": "first audio byte here", "audible": "first sound of it"}
"""Of the waterfall: the server's, then what the client saw. `first_byte` may be a transcript."""


class Turn(Struct):
    """One question. `ms`: each step, in milliseconds after the last voiced sample of the clip was said."""

    clip: str
    ms: dict[str, float]
    decision: str
    """Who told when the turn was decided: `server`, or `silence`: the last voiced sample and the silence set."""
    heard: str
    said: str
    lateness: dict[str, float]

    @property
    def after_decision(self) -> float:
        return self.ms["first_audio_byte"] - self.ms["decision"]


@click.command(epilog="Example: openlive bench latency --turns 30 --json latency.json --plot latency.svg")
@click.option("--turns", default=10, show_default=True, type=click.IntRange(1), help="How many questions to ask.")
@clips_option("question", "Ask this; else ten questions, which Kokoro speaks.")
@bench_options("configured", plot=True)
def latency(options: Options, *, turns: int, questions: Sequence[Path]) -> None:
    """Time spoken questions: from the last voiced sample to the first byte of audio, and from the end of the turn."""
    clips = read_clips(questions) if questions else _questions()
    report = Report("latency", turns=turns, silence_ms=SILENCE_MS, url=options.url)
    with options.server() as server:
        measured = asyncio.run(_measure(server.address, options.model, [clips[i % len(clips)] for i in range(turns)]))
        engines = server.engines
    steps = _steps(measured)
    rows = {
        "last voiced sample → first audio byte": steps["first_audio_byte"],
        "end-of-turn decision → first audio byte": spread(turn.after_decision for turn in measured),
    }
    out = console()
    out.print(spreads("", rows))
    out.print(spreads("\nafter the last voiced sample", {STEPS[name]: found for name, found in steps.items()}))
    out.print("\nThe medians on one axis:\n")
    out.print(chart({name: found.p50 for name, found in steps.items()}, names=STEPS))
    out.print(f"\nengines: {engines}; the decision is told by: {', '.join(sorted({t.decision for t in measured}))}")
    out.print(told(max((turn.lateness for turn in measured), key=lambda late: late["p99"])))
    report.write(options.json_file, engines=engines, figures=rows, waterfall=steps, turns=measured)
    if options.plot_file is not None:
        bars = [Bar(STEPS[name], found.p50, found.p95) for name, found in steps.items()]
        write(options.plot_file, waterfall_plot(bars, "ms after the last voiced sample: median and 95th percentile"))


def _questions() -> list[Clip]:
    from openlive.cli.serve import fetched

    click.echo("Speaking the questions …", err=True)
    return synthesised(QUESTIONS, fetched)


async def _measure(address: Address, model: str, clips: Sequence[Clip]) -> list[Turn]:
    turns = []
    for number, clip in enumerate(clips, 1):
        turn = await ask(address, setup(model), clip)
        click.echo(
            f"{number:>3}/{len(clips)} {turn.ms['first_audio_byte']:>6,.0f} ms, {turn.after_decision:>5,.0f} after the "
            f"decision: {turn.heard.strip()[:40]!r} {turn.said.strip()[:50]!r}",
            err=True,
        )
        turns.append(turn)
    return turns


async def ask(address: Address, setting: dict[str, Any], clip: Clip) -> Turn:
    """One question in a session of its own. Raises `BenchError`."""
    async with connected(address, setting) as session:
        await asyncio.sleep(REST)
        voiced = said_at(session.say(clip), clip.end)
        answer = await session.finished()
        late = lateness(session.lateness)
    if answer.first_audio is None or answer.first is None:
        raise BenchError(f"{clip.name}: the answer had no audio (heard {answer.heard!r}, said {answer.said!r}).")
    table = await waterfall(address, session.id) if session.id else None
    ms = {name: 1000 * at for name, at in client_steps(answer, voiced).items()}
    if table and "first_byte" in table:
        # The clocks of both sides meet where the first message of the answer left the one and reached the other.
        met = 1000 * (answer.first - voiced) - table["first_byte"]
        ms = {**{name: round(met + at, 1) for name, at in table.items()}, **ms}
    decision = "server" if "decision" in ms else "silence"
    ms.setdefault("decision", float(SILENCE_MS))
    return Turn(clip.name, ms, decision, answer.heard, answer.said, late)


def client_steps(answer: Answer, voiced: float) -> dict[str, float]:
    """What the client saw, in seconds after `voiced`."""
    assert answer.first_audio is not None
    steps = {"first_audio_byte": answer.first_audio - voiced}
    found = sound(bytes(answer.pcm), OUTPUT_RATE)
    if found is not None:
        steps["audible"] = steps["first_audio_byte"] + found[0] / OUTPUT_RATE
    return steps


def _steps(turns: Sequence[Turn]) -> dict[str, Spread]:
    """Of each step that was reached at least once."""
    found = {name: spread(t.ms[name] for t in turns if name in t.ms) for name in STEPS}
    return {name: values for name, values in found.items() if values is not None}
