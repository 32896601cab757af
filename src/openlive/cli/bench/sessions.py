"""`openlive bench sessions`: how many people can talk at once before they notice each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import click
from msgspec import Struct, field

from openlive.cli.bench.client import SILENCE_MS, BenchError, Session, connected, setup
from openlive.cli.bench.clips import Clip, shipped
from openlive.cli.bench.crowd import Crowd
from openlive.cli.bench.figures import Spread, spread
from openlive.cli.bench.options import Options, bench_options
from openlive.cli.bench.plot import Curve, plot
from openlive.cli.bench.report import Report, console, figures, lateness, told, write
from openlive.cli.bench.server import DELAYS, Measured, cpu_seconds, scripted

RAMP = (1, 10, 20, 40, 60, 80, 100)
FURTHER = 20
"""The steps after the last of the ramp."""
BOUND = 1.2
"""Times the delay of one session alone, p95."""
ALONE = 4
"""Times as long one session is watched: it says so much less, and everything is compared with it."""


class Level(Struct):
    """`sessions` talking at once for `seconds`. `delays` (ms): from the end of the turn, which is the last voiced
    sample and the silence that was set, to the first byte of audio. `cpu`: processor seconds of the server per session
    and second; None where its process is not known."""

    sessions: int
    seconds: float
    delay: Spread | None = None
    delays: list[float] = field(default_factory=list)
    lost: int = 0
    cpu: float | None = None
    lateness: dict[str, float] = field(default_factory=dict)


@click.command(epilog="Example: openlive bench sessions --most 60 --json sessions.json --plot sessions.svg")
@click.option("--most", default=300, show_default=True, type=click.IntRange(1), help="Where to stop in any case.")
@click.option("--seconds", default=15.0, show_default=True, help="How long each number of sessions is watched.")
@click.option(
    "--vad",
    type=click.Choice(["silero", "scripted"]),
    default="silero",
    show_default=True,
    help="The detector of speech beside scripted engines: it is the one that works for every session all the time.",
)
@bench_options("scripted", plot=True)
def sessions(options: Options, *, most: int, seconds: float, vad: str) -> None:
    """Let more and more people talk at once, until p95 exceeds 1.2 times that of one.

    The server has one core of its own, the speakers the others, where the system can do that.
    """
    fixed = {"delays": DELAYS, "silence_ms": SILENCE_MS}
    report = Report("sessions", most=most, seconds=seconds, vad=vad, **fixed, url=options.url)
    out = console()
    with options.server(scripted(vad), apart=True) as server:
        levels: list[Level] = []
        try:
            asyncio.run(_ramp(server, options.model, seconds, most, levels))
        except BenchError as error:
            if not levels:
                raise
            click.echo(f"No more sessions than that: {error.format_message()}", err=True)
        engines = server.engines
    table = figures("sessions", "turns", "p50 ms", "p95 ms", "of one", "lost", "CPU ms per session s", "late p99 ms")
    for level in levels:
        table.add_row(*row(level, levels[0]))
    out.print("From the end of the turn (the last voiced sample and the silence set) to the first byte of audio:\n")
    out.print(table)
    carried = max((level.sessions for level in levels if within(level, levels[0])), default=0)
    out.print(f"\n{carried} sessions stay within {BOUND} times one session's p95; engines: {engines}")
    out.print(told(levels[-1].lateness))
    report.write(options.json_file, engines=engines, carried=carried, bound=BOUND, levels=levels)
    if options.plot_file is not None:
        write(options.plot_file, plot(_curves(levels), "sessions at once", "end of the turn to the first byte, ms"))


def within(level: Level, alone: Level) -> bool:
    return bool(level.delay and alone.delay and not level.lost and level.delay.p95 <= BOUND * alone.delay.p95)


def row(level: Level, alone: Level) -> list[str]:
    row = [str(level.sessions), str(len(level.delays))]
    if level.delay is not None:
        ratio = f"{level.delay.p95 / alone.delay.p95:.2f}" if alone.delay else ""
        row += [f"{level.delay.p50:,.0f}", f"{level.delay.p95:,.0f}", ratio]
    else:
        row += ["", "", ""]
    cpu = "" if level.cpu is None else f"{1000 * level.cpu:.2f}"
    return [*row, str(level.lost), cpu, f"{level.lateness['p99']:.1f}"]


def _curves(levels: Sequence[Level]) -> list[Curve]:
    found = [(level.sessions, level.delay) for level in levels if level.delay is not None]
    return [
        Curve("p50", tuple((n, delay.p50, "") for n, delay in found)),
        Curve("p95", tuple((n, delay.p95, f"{delay.p95:.0f}") for n, delay in found)),
    ]


def steps(most: int) -> list[int]:
    """The numbers of sessions to try, the last one being `most`."""
    numbers = [*RAMP, *range(RAMP[-1] + FURTHER, most + 1, FURTHER)]
    return [*(n for n in numbers if n < most), most]


async def _ramp(server: Measured, model: str, seconds: float, most: int, levels: list[Level]) -> None:
    """Adds a level after the other. Raises `BenchError` where the server refuses one session more."""
    for number in steps(most):
        level = await level_of(server, lambda: connected(server.address, setup(model)), shipped(), number, seconds)
        levels.append(level)
        p95 = f"p95 {level.delay.p95:,.0f} ms" if level.delay else "no answer"
        click.echo(f"{number:>4} sessions: {p95}, {level.lost} lost, {told(level.lateness)}", err=True)
        if not within(level, levels[0]):
            break


async def level_of(
    server: Measured,
    opening: Callable[[], AbstractAsyncContextManager[Session]],
    clip: Clip,
    number: int,
    seconds: float,
) -> Level:
    """`number` speakers, who began at different moments of a turn, watched once all of them talk. `opening` begins a
    session, which says `clip`."""
    crowd = Crowd(clip)
    async with AsyncExitStack() as stack:
        for _ in range(number):
            session = await stack.enter_async_context(opening())
            crowd.join(session, stack)
            await asyncio.sleep(crowd.cycle / number)
        return await _watch(crowd, server, seconds if number > 1 else ALONE * seconds)


async def _watch(crowd: Crowd, server: Measured, seconds: float) -> Level:
    """What they see within `seconds`."""
    loop, process = asyncio.get_running_loop(), server.process()
    for session in crowd.sessions:
        session.lateness.clear()
    lost, begun, before = crowd.lost, loop.time(), cpu_seconds(process) if process else 0.0
    await crowd.talk(seconds)
    passed = loop.time() - begun
    cpu = (cpu_seconds(process) - before) / (len(crowd.sessions) * passed) if process else None
    delays = [turn.delay for turn in crowd.turns if turn.ended >= begun]
    late = lateness([late for session in crowd.sessions for late in session.lateness])
    return Level(len(crowd.sessions), passed, spread(delays), delays, crowd.lost - lost, cpu, late)
