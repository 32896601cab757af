"""Several people talking at once, and what a session costs in memory: `python -m tests.bench.crowd --speakers 4`.

Each speaker has a session and asks the same question at the speed of speech, all of them at the same moment.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.table import Table

from openlive.audio import read_wav
from openlive.cli.conversation import Address, Listener, conversation, waterfall
from openlive.cli.environment import ANY_KEY
from openlive.cli.private import private_server

QUESTION = Path(__file__).parent.parent / "speech" / "synthetic" / "q_capital.wav"


class Ear(Listener):
    def __init__(self) -> None:
        self.question = ""
        self.answer = ""

    def heard(self, text: str) -> None:
        self.question += text

    def said(self, text: str) -> None:
        self.answer += text


@click.command()
@click.option("--speakers", default=4, show_default=True, type=click.IntRange(1))
@click.option("--idle", default=50, show_default=True, help="Sessions that only wait, for the memory of one.")
def main(speakers: int, idle: int) -> None:
    """Let SPEAKERS ask at once."""
    with private_server() as server:
        address = Address(server.url, ANY_KEY, server.ca)
        asyncio.run(measure(address, server.pid, speakers, idle))


async def measure(address: Address, pid: int, speakers: int, idle: int) -> None:
    console = Console()
    loaded = resident(pid)
    await ask(address)
    warm = resident(pid)
    async with AsyncExitStack() as sessions:
        for _ in range(idle):
            await sessions.enter_async_context(conversation(address, Listener()))
        waiting = resident(pid)
    console.print(f"memory: {loaded:,.0f} MB loaded, {warm:,.0f} MB after one turn")
    console.print(f"memory of an idle session: {(waiting - warm) * 1000 / max(idle, 1):,.0f} kB ({idle} of them)")
    alone = await ask(address)
    together = await asyncio.gather(*(ask(address) for _ in range(speakers)))
    made = Table("", "first byte after ms", "heard", "said", box=None, pad_edge=False)
    made.columns[1].justify = "right"
    for name, (first, ear) in [("alone", alone), *((f"{i + 1} of {speakers}", t) for i, t in enumerate(together))]:
        made.add_row(name, f"{first:,.0f}", ear.question, ear.answer)
    console.print(made)
    middle = statistics.median(first for first, _ in together)
    console.print(f"median of {speakers} at once: {middle:,.0f} ms, {middle / alone[0]:.1f} times that of one")
    console.print(f"memory after it: {resident(pid):,.0f} MB")


async def ask(address: Address) -> tuple[float, Ear]:
    """Milliseconds from the end of speech to the first byte of the answer, and what was said."""
    ear = Ear()
    async with conversation(address, ear) as talking:
        await talking.say(read_wav(QUESTION))
        steps = await waterfall(address, talking.id)
    return (steps or {}).get("first_byte", float("nan")), ear


def resident(pid: int) -> float:
    """Megabytes in memory, of the server and its children."""
    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]) / 1e6


if __name__ == "__main__":
    main()
