"""`openlive bench barge-in`: how soon an answer stops when somebody speaks into it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import Struct

from openlive.cli.bench.client import SILENCE_MS, BenchError, Session, connected, said_at, setup
from openlive.cli.bench.clips import Clip, read_clips, synthesised
from openlive.cli.bench.figures import spread
from openlive.cli.bench.options import Options, bench_options, clips_option
from openlive.cli.bench.report import Report, console, lateness, spreads, told
from openlive.cli.bench.server import scripted
from openlive.cli.conversation import Address

PADDING_MS = 100
"""`prefixPaddingMs`: speech has to last as long before it counts."""
REQUEST = "Tell me a long story about a fox who travels around the world. Describe every country in a few sentences."
LONG = " ".join(["The fox went on and on through the wide and empty country."] * 12)
"""What scripted engines say to it."""
REMARKS = (
    "Stop, please.",
    "Wait a moment.",
    "Hold on, that is enough.",
    "No, I meant something else.",
    "Can you say that again?",
)
EARLIEST, STEP, STEPS = 0.6, 0.35, 5
"""Seconds after the first audio at which somebody begins to speak: at the earliest, and how that varies."""


class Interruption(Struct, frozen=True):
    """`ms`: from the onset of speech to `interrupted`. `generating`: not all of the answer was there yet. `stray`:
    bytes of audio after `interrupted` and before the new turn had ended, so that they cannot be its answer."""

    clip: str
    ms: float
    generating: bool
    stray: int
    lateness: dict[str, float]


@click.command("barge-in", epilog="Example: openlive bench barge-in --turns 20 --json barge-in.json")
@click.option("--turns", default=10, show_default=True, type=click.IntRange(1), help="How many answers to interrupt.")
@clips_option("remark", "Interrupt with this; else with five remarks, which Kokoro speaks.")
@bench_options("configured")
def barge_in(options: Options, *, turns: int, remarks: Sequence[Path]) -> None:
    """Speak into long answers: from the onset of speech to `interrupted`, and whether any audio follows that."""
    clips = read_clips(remarks) if remarks else _remarks()
    report = Report("barge-in", turns=turns, padding_ms=PADDING_MS, silence_ms=SILENCE_MS, url=options.url)
    with options.server(scripted(replies=(LONG,))) as server:
        found = asyncio.run(_measure(server.address, options.model, [clips[i % len(clips)] for i in range(turns)]))
        engines = server.engines
    rows = {
        "onset of speech → interrupted": spread(one.ms for one in found),
        f"beyond prefixPaddingMs ({PADDING_MS})": spread(one.ms - PADDING_MS for one in found),
        "of those, while it was generated": spread(one.ms for one in found if one.generating),
    }
    stray = sum(one.stray > 0 for one in found)
    out = console()
    out.print(spreads("", rows))
    out.print(f"\naudio of the old turn after interrupted: in {stray} of {len(found)}; engines: {engines}")
    out.print(told(max((one.lateness for one in found), key=lambda late: late["p99"])))
    report.write(options.json_file, engines=engines, figures=rows, stray=stray, interruptions=found)


def _remarks() -> list[Clip]:
    from openlive.cli.serve import fetched

    click.echo("Speaking the remarks …", err=True)
    return synthesised(REMARKS, fetched)


async def _measure(address: Address, model: str, clips: Sequence[Clip]) -> list[Interruption]:
    detection = {"silenceDurationMs": SILENCE_MS, "prefixPaddingMs": PADDING_MS}
    setting = setup(model, realtimeInputConfig={"automaticActivityDetection": detection})
    found = []
    for number, clip in enumerate(clips, 1):
        async with connected(address, setting) as session:
            found.append(await _interrupt(session, clip, EARLIEST + STEP * ((number - 1) % STEPS)))
        stray = f", {found[-1].stray} bytes of audio after it" if found[-1].stray else ""
        click.echo(f"{number:>3}/{len(clips)} interrupted after {found[-1].ms:,.0f} ms{stray}: {clip.name}", err=True)
    return found


async def _interrupt(session: Session, clip: Clip, after: float) -> Interruption:
    """Speaks into an answer `after` seconds from its first audio. Raises `BenchError`."""
    loop = asyncio.get_running_loop()
    await session.write(REQUEST)
    answer = await session.speaking()
    await asyncio.sleep(after)
    begins = session.say(clip)
    await session.until(lambda answer: answer.interrupted is not None)
    if answer.interrupted is None:
        raise BenchError(f"The answer was over before {clip.name!r} interrupted it: {answer.said!r}")
    ended = said_at(begins, clip.end) + SILENCE_MS / 1000
    await asyncio.sleep(ended - loop.time())
    audio = [*answer.audio, *session.answer.audio]
    stray = sum(size for at, size in audio if answer.interrupted < at < ended)
    took = round(1000 * (answer.interrupted - said_at(begins, clip.onset)), 1)
    return Interruption(clip.name, took, answer.generated is None, stray, lateness(session.lateness))
