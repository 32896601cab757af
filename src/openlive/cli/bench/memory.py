"""`openlive bench memory`: what one more session takes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import pairwise

import click
from msgspec import Struct

from openlive.cli.bench.client import connected, setup
from openlive.cli.bench.clips import shipped
from openlive.cli.bench.crowd import Crowd
from openlive.cli.bench.options import Options, bench_options
from openlive.cli.bench.report import Report, console, figures, lateness, told
from openlive.cli.bench.server import Measured, resident, scripted

TURNS = 3
"""Cycles of question and answer before those who talk are measured."""
SETTLE = 1.0
"""Seconds for the server to come to rest after the last of those who wait has come."""


class Step(Struct, frozen=True):
    """`resident`: megabytes of the server and its children, with `sessions` more than in the step before."""

    name: str
    sessions: int
    resident: float


@click.command(epilog="Example: openlive bench memory --idle 100 --talking 20 --json memory.json")
@click.option("--idle", default=100, show_default=True, type=click.IntRange(1), help="Sessions that only wait.")
@click.option("--talking", default=20, show_default=True, type=click.IntRange(1), help="Sessions that ask and listen.")
@bench_options("scripted")
def memory(options: Options, *, idle: int, talking: int) -> None:
    """Show what each further session takes: of those that wait, and of those that talk."""
    report = Report("memory", idle=idle, talking=talking, url=options.url)
    with options.server(scripted(), apart=True) as server:
        if server.pid is None:
            raise click.UsageError("--url needs --pid here: the memory is that of a process on this machine.")
        steps, late = asyncio.run(_measure(server, options.model, idle, talking))
        engines = server.engines
    each = {step.name: kilobytes(step, before) for before, step in pairwise(steps)}
    table = figures("", "sessions more", "MB in all", "kB each")
    for step in steps:
        more = f"{each[step.name]:,.0f}" if step.name in each else ""
        table.add_row(step.name, str(step.sessions or ""), f"{step.resident:,.1f}", more)
    out = console()
    out.print(table)
    out.print(f"\nengines: {engines}")
    out.print(told(late))
    report.write(options.json_file, engines=engines, steps=steps, kilobytes_each=each, lateness=late)


def kilobytes(step: Step, before: Step) -> float:
    """Of one of the sessions that came with `step`."""
    return round(1000 * (step.resident - before.resident) / step.sessions, 1)


async def _measure(server: Measured, model: str, idle: int, talking: int) -> tuple[list[Step], dict[str, float]]:
    """Who has talked once has made the server do what it does but once. Those who talk come to those who wait, so that
    they take nothing that these gave back."""
    process = server.process()
    assert process is not None
    async with AsyncExitStack() as stack:
        await _talk(server, model, 1, TURNS)
        steps = [Step("after one conversation", 0, resident(process) / 1e6)]
        click.echo(f"{idle} sessions that wait …", err=True)
        for _ in range(idle):
            await stack.enter_async_context(connected(server.address, setup(model), microphone=False))
        await asyncio.sleep(SETTLE)
        steps.append(Step("idle", idle, resident(process) / 1e6))
        click.echo(f"{talking} sessions that talk …", err=True)
        crowd = await _talk(server, model, talking, TURNS, stack)
        steps.append(Step("talking", talking, resident(process) / 1e6))
        late = lateness([late for session in crowd.sessions for late in session.lateness])
    return steps, late


async def _talk(server: Measured, model: str, number: int, turns: int, stay: AsyncExitStack | None = None) -> Crowd:
    """`number` speakers for about `turns` turns each. They go on until `stay` is left, else they leave."""
    async with AsyncExitStack() as stack:
        crowd = Crowd(shipped())
        for _ in range(number):
            session = await (stay or stack).enter_async_context(connected(server.address, setup(model)))
            crowd.join(session, stay or stack)
            await asyncio.sleep(crowd.cycle / number)
        await crowd.talk(turns * crowd.cycle)
        return crowd
