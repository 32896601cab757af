"""`openlive bench speculation`: how much work on prepared answers is thrown away when speakers hesitate."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import numpy as np
from msgspec import Struct

from openlive.audio import read_wav
from openlive.cli.bench.client import BenchError, connected, setup
from openlive.cli.bench.clips import FRAME_MS, QUESTIONS, Clip, clip, sound, spoken
from openlive.cli.bench.options import Options, bench_options, clips_option
from openlive.cli.bench.report import Report, console, figures
from openlive.cli.bench.server import Measured
from openlive.types import INPUT_RATE

PAUSES = (0.3, 0.5, 0.7, 1.0)
"""Seconds that speakers stop for."""
GAP_MS = 100
"""Where a pause is put in: the quietest stretch of this length in the middle half of what is said."""
WASTES = (1.0, 0.8, 0.4, 0.2)
"""Settings of `limits.speculation_waste` that are compared; 0 prepares nothing and wastes nothing."""
_COUNT = re.compile(r'^openlive_prepared_(replies|seconds)_total\{outcome="(used|dropped)"\} (\S+)$', re.MULTILINE)


class Waste(Struct, frozen=True):
    """Of one setting: replies that were prepared and what became of them, and the seconds of work on them."""

    setting: float
    turns: int
    used: float
    dropped: float
    used_seconds: float
    dropped_seconds: float

    @property
    def share(self) -> float:
        """Of the work on prepared replies, what was thrown away."""
        return self.dropped_seconds / max(self.used_seconds + self.dropped_seconds, 1e-9)


@click.command(
    epilog="Example: openlive bench speculation --question tests/speech/human/goforward.wav --json waste.json"
)
@clips_option("question", "Say this, with pauses of 0.3 to 1 s put in; else four questions, which Kokoro speaks.")
@bench_options("configured")
def speculation(options: Options, *, questions: Sequence[Path]) -> None:
    """Hesitate in the middle of what is said: what part of the work on prepared answers comes to nothing.

    Each setting of `limits.speculation_waste` gets a server and one session of its own, in which everything is said.
    """
    said = [(file.name, read_wav(file)) for file in questions] if questions else _spoken()
    clips = [clip(f"{name} +{pause} s", hesitant(pcm, pause)) for name, pcm in said for pause in PAUSES]
    report = Report("speculation", pauses=PAUSES, clips=len(clips), url=options.url)
    wastes = []
    for setting in (None,) if options.url else WASTES:
        with _environment(setting), options.server() as server:
            wastes.append(asyncio.run(_measure(server, options.model, clips, setting)))
    table = figures("speculation_waste", "turns", "prepared", "used", "dropped", "work dropped", "share of the work")
    for waste in wastes:
        table.add_row(
            "as it is" if options.url else f"{waste.setting:.1f}",
            *(f"{n:.0f}" for n in (waste.turns, waste.used + waste.dropped, waste.used, waste.dropped)),
            f"{waste.dropped_seconds:.1f} s",
            f"{waste.share:.0%}",
        )
    console().print(table)
    report.write(options.json_file, figures=[{"share": waste.share, "of": waste} for waste in wastes])


def _spoken() -> list[tuple[str, bytes]]:
    from openlive.cli.serve import fetched

    click.echo("Speaking the questions …", err=True)
    return spoken(QUESTIONS[-4:], fetched)


def hesitant(pcm: bytes, pause: float) -> bytes:
    """s16le mono at 16 kHz with `pause` seconds of silence where it is quietest in its middle half."""
    found = sound(pcm, INPUT_RATE)
    if found is None:
        return pcm
    frame = INPUT_RATE * FRAME_MS // 1000
    quarter = (found[1] - found[0]) // 4
    middle = np.frombuffer(pcm, "<i2")[found[0] + quarter : found[1] - quarter].astype(np.float64)
    levels = (middle[: len(middle) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
    width = min(GAP_MS // FRAME_MS, len(levels))
    quietest = int(np.argmin(np.convolve(levels, np.ones(width), "valid"))) + width // 2
    at = 2 * (found[0] + quarter + quietest * frame)
    return pcm[:at] + bytes(2 * round(pause * INPUT_RATE)) + pcm[at:]


@contextmanager
def _environment(setting: float | None) -> Iterator[None]:
    name = "OPENLIVE_LIMITS_SPECULATION_WASTE"
    before = os.environ.get(name)
    if setting is not None:
        os.environ[name] = str(setting)
    try:
        yield
    finally:
        if before is not None:
            os.environ[name] = before
        elif setting is not None:
            del os.environ[name]


async def _measure(server: Measured, model: str, clips: Sequence[Clip], setting: float | None) -> Waste:
    before = await _prepared(server)
    turns = 0
    async with connected(server.address, setup(model, realtimeInputConfig={})) as session:
        for number, said in enumerate(clips, 1):
            begins = session.say(said)
            answer = await session.finished(played=True)
            turns += 1
            while asyncio.get_running_loop().time() < begins + said.seconds + 1:  # it was cut off: the rest is a turn
                await asyncio.sleep(0.1)
                if session.answer.first is not None:
                    await session.finished(played=True)
                    turns += 1
            click.echo(f"{number:>3}/{len(clips)} {said.name}: {answer.heard.strip()[:60]!r}", err=True)
    after = await _prepared(server)
    counts = {key: after[key] - before.get(key, 0) for key in after}
    return Waste(
        1.0 if setting is None else setting,
        turns,
        counts.get(("replies", "used"), 0),
        counts.get(("replies", "dropped"), 0),
        counts.get(("seconds", "used"), 0),
        counts.get(("seconds", "dropped"), 0),
    )


async def _prepared(server: Measured) -> dict[tuple[str, str], float]:
    """The server's own counts. Raises `BenchError` where it has none."""
    address = server.address
    url = address.url.replace("wss:", "https:", 1).replace("ws:", "http:", 1)
    try:
        async with httpx.AsyncClient(verify=address.context(), trust_env=False) as web:
            answer = await web.get(f"{url}/metrics", params={"key": address.key})
            answer.raise_for_status()
    except httpx.HTTPError as error:
        raise BenchError(f"{url}/metrics tells nothing of prepared replies ({error}); is it openlive?") from error
    return {(kind, outcome): float(value) for kind, outcome, value in _COUNT.findall(answer.text)}
