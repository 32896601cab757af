"""What the embedded default says of itself: `python -m tests.bench.openings --runs 3`.

Each opening of `openings.json` ("Who made you?", "How are you?", in six languages; with `instructions` where a client
makes the model somebody) is put to the language model as a spoken session puts it, `--runs` times. An answer is right
where it is in the language that was spoken, matches the expression `holds` and does not match `not`. The openings with
`aside` were set aside before the first rule was written, those that are `fresh` too before the last one; they are asked
with `--aside` alone.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from openlive.engines.api import Resources
from openlive.engines.llm.llamacpp.engine import LlamaCppLLM
from openlive.engines.registry import load_engine
from openlive.engines.responder.cascade import prepare_request
from openlive.engines.text.scripts import language_of
from openlive.memory import choose_llm, usable_memory
from openlive.models import ensure
from openlive.types import Message, Request, Sampling, Text, Voice

Row = dict[str, Any]
SET: Sequence[Row] = json.loads((Path(__file__).parent / "sets" / "openings.json").read_text("utf-8"))


@click.command()
@click.option("--runs", type=click.IntRange(1), default=3, help="How often each one is asked.")
@click.option("--aside", is_flag=True, help="Those that were set aside, instead of the others.")
@click.option("--text", is_flag=True, help="As a session of text puts it.")
@click.option("--llm", default="", help="Another language model.")
@click.option("--only", multiple=True, help="The beginning of an id, such as made.")
def main(runs: int, aside: bool, text: bool, llm: str, only: Sequence[str]) -> None:
    """Measure the answers to the committed openings."""
    asyncio.run(measure(load_model(llm), choose_rows(SET, only, aside=aside), runs, spoken=not text))


def load_model(spec: str) -> LlamaCppLLM:
    """`spec` '' is what this machine has the memory for."""
    model: LlamaCppLLM = load_engine(
        "llm", spec or choose_llm(usable_memory()).spec, Resources(ensure, 2, usable_memory())
    )
    return model


def choose_rows(rows: Sequence[Row], beginnings: Sequence[str], *, aside: bool) -> list[Row]:
    return [row for row in rows if row["aside"] == aside and row["id"].startswith(tuple(beginnings) or "")]


async def measure(model: LlamaCppLLM, rows: Sequence[Row], runs: int, *, spoken: bool) -> None:
    scores: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        for run in range(runs):
            answer = await ask(model, row, run, model.about, voice=Voice("Kore") if spoken else None, most=80)
            right = is_right(row, answer)
            part = "fresh" if row.get("fresh") else "first"
            for group in ("all", part, row["id"].partition("-")[0], row["language"]):
                scores[group].append(right)
            click.echo(f"{'right' if right else 'WRONG'}  {row['id']}: {' '.join(answer.split())[:160]}")
    await model.close()
    for group, results in scores.items():
        click.echo(f"{group}: {sum(results)} of {len(results)}")


async def ask(model: LlamaCppLLM, row: Row, run: int, about: str, *, voice: Voice | None = None, most: int) -> str:
    """The answer to a row, of `most` tokens. `run` is the seed: another one, another answer."""
    request = Request(
        f"{row['id']}-{run}-{bool(about)}",
        (Message("user", (Text(row["say"]),)),),
        instructions=row.get("instructions", ""),
        voice=voice,
        sampling=Sampling(seed=run, max_tokens=most),
    )
    pieces = model.generate(prepare_request(request, about))
    answer = "".join([piece.text async for piece in pieces if isinstance(piece, Text)])
    model.forget(request.conversation)
    return answer


def is_right(row: Row, answer: str) -> bool:
    return (
        language_of(answer, otherwise=row["language"]) == row["language"]
        and re.search(row["holds"], answer, re.IGNORECASE) is not None
        and re.search(row["not"], answer, re.IGNORECASE) is None
    )


if __name__ == "__main__":
    main()
