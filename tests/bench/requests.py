"""What the embedded default writes in a session of text: `python -m tests.bench.requests --runs 2`.

Each request of `requests.json` (greetings, short questions, sums, translations, lists, code, in six languages) is put
to the language model twice: with what it is told of itself, and without a word. An answer is right where it matches the
expression `holds` and does not match `not` (an answer to a question that nobody asked). Lengths are characters. Those
with `aside` were set aside before the words were changed; they are asked with `--aside` alone.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from openlive.engines.llm.llamacpp.engine import LlamaCppLLM
from tests.bench.openings import Row, ask, choose_rows, load_model

SET: Sequence[Row] = json.loads((Path(__file__).parent / "sets" / "requests.json").read_text("utf-8"))


@click.command()
@click.option("--runs", type=click.IntRange(1), default=2, help="How often each one is asked.")
@click.option("--aside", is_flag=True, help="Those that were set aside, instead of the others.")
@click.option("--llm", default="", help="Another language model.")
@click.option("--only", multiple=True, help="The beginning of an id, such as greet.")
def main(runs: int, aside: bool, llm: str, only: Sequence[str]) -> None:
    """Compare the answers to the committed requests with and without what the model is told of itself."""
    asyncio.run(measure(load_model(llm), choose_rows(SET, only, aside=aside), runs))


async def measure(model: LlamaCppLLM, rows: Sequence[Row], runs: int) -> None:
    right: dict[str, int] = {"told": 0, "without a word": 0}
    lengths: dict[str, list[int]] = {"told": [], "without a word": []}
    for row in rows:
        for run in range(runs):
            for way, about in (("told", model.about), ("without a word", "")):
                answer = await ask(model, row, run, about, most=200)
                good = is_right(row, answer)
                right[way] += good
                lengths[way].append(len(answer))
                click.echo(f"{'right' if good else 'WRONG'}  {row['id']:14} {way:15} {' '.join(answer.split())[:140]}")
    await model.close()
    table = Table("", "right", "characters, median", "mean", box=None)
    for way, found in lengths.items():
        mean = sum(found) / len(found)
        table.add_row(way, f"{right[way]} of {len(found)}", f"{median(found):.0f}", f"{mean:.0f}")
    Console().print(table)


def is_right(row: Row, answer: str) -> bool:
    wrong = row["not"] and re.search(row["not"], answer, re.IGNORECASE)
    return re.search(row["holds"], answer, re.IGNORECASE) is not None and not wrong


if __name__ == "__main__":
    main()
