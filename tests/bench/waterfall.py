"""How long each step of a spoken turn takes: `make bench`, or `python -m tests.bench.waterfall --turns 30`.

Asks a server of its own, with Google's SDK, at the speed of speech; each turn in a session of its own, so that one does
not answer from the context of another. Prints the median and the 95th percentile of every step.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from openlive.audio import read_wav
from openlive.cli.conversation import Address, Listener, conversation, waterfall
from openlive.cli.environment import ANY_KEY
from openlive.cli.private import private_server
from openlive.cli.waterfall import STEPS, chart

SPEECH = Path(__file__).parent.parent / "speech" / "synthetic"
QUESTIONS = ("q_capital.wav", "q_hello.wav", "q_weather.wav", "q_myname.wav", "q_name.wav")


@click.command()
@click.option("--turns", default=10, show_default=True, type=click.IntRange(1))
@click.option("--question", "questions", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", "config_file", type=click.Path(path_type=Path))
def main(turns: int, questions: Sequence[Path], config_file: Path | None) -> None:
    """Time the steps of TURNS spoken questions."""
    files = questions or [SPEECH / name for name in QUESTIONS]
    with private_server(config_file) as server:
        address = Address(server.url, ANY_KEY, server.ca)
        rows = asyncio.run(measure(address, [files[i % len(files)] for i in range(turns)]))
    console = Console()
    console.print(table(rows))
    console.print("\nThe medians on one axis:\n")
    console.print(chart({step: statistics.median(values) for step, values in columns(rows).items()}))


async def measure(address: Address, files: Sequence[Path]) -> list[dict[str, float]]:
    """The steps of one turn for each file, in milliseconds from the end of speech."""
    rows = []
    for number, file in enumerate(files, 1):
        async with conversation(address, Listener()) as talking:
            await talking.say(read_wav(file))
            steps = await waterfall(address, talking.id)
        if not steps:
            raise click.ClickException(f"The server has no steps for turn {number} ({file.name}).")
        click.echo(f"{number:>3}/{len(files)} {file.name:<16} first byte after {steps.get('first_byte', 0):,.0f} ms")
        rows.append(steps)
    return rows


def columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values of each step that was reached at least once."""
    found = {step: [row[step] for row in rows if step in row] for step in STEPS}
    return {step: values for step, values in found.items() if values}


def table(rows: Sequence[Mapping[str, float]]) -> Table:
    made = Table("step", "median ms", "95 % ms", "least", "most", box=None, pad_edge=False)
    for column in made.columns[1:]:
        column.justify = "right"
    for step, values in columns(rows).items():
        figures = (statistics.median(values), percentile(values, 95), min(values), max(values))
        made.add_row(STEPS[step], *(f"{value:,.0f}" for value in figures))
    return made


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that at least `share` percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[-(-share * len(ordered) // 100) - 1]


if __name__ == "__main__":
    main()
