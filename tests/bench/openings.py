"""What the embedded default says of itself: `python -m tests.bench.openings --runs 3`.

Each opening of `openings.json` ("Who made you?", "How are you?", in six languages; with `instructions` where a client
makes the model somebody) is put to the language model as a spoken session puts it, `--runs` times. An answer is right
where it is in the language that was spoken, matches the expression `holds` and does not match `not`. The openings with
`aside` were set aside before the first rule was written; they are asked with `--aside` alone.
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

SET: Sequence[dict[str, Any]] = json.loads((Path(__file__).parent / "sets" / "openings.json").read_text("utf-8"))


@click.command()
@click.option("--runs", type=click.IntRange(1), default=3, help="How often each one is asked.")
@click.option("--aside", is_flag=True, help="Those that were set aside, instead of the others.")
@click.option("--text", is_flag=True, help="As a session of text puts it.")
@click.option("--llm", default="", help="Another language model.")
@click.option("--only", multiple=True, help="The beginning of an id, such as made.")
def main(runs: int, aside: bool, text: bool, llm: str, only: Sequence[str]) -> None:
    """Measure the answers to the committed openings."""
    model: LlamaCppLLM = load_engine(
        "llm", llm or choose_llm(usable_memory()).spec, Resources(ensure, 2, usable_memory())
    )
    rows = [row for row in SET if row["aside"] == aside and (not only or row["id"].startswith(tuple(only)))]
    asyncio.run(measure(model, rows, runs, spoken=not text))


async def measure(model: LlamaCppLLM, rows: Sequence[dict[str, Any]], runs: int, *, spoken: bool) -> None:
    scores: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        for run in range(runs):
            answer = await ask(model, row, run, spoken=spoken)
            right = is_right(row, answer)
            for group in ("all", row["id"].partition("-")[0], row["language"]):
                scores[group].append(right)
            click.echo(f"{'right' if right else 'WRONG'}  {row['id']}: {' '.join(answer.split())[:160]}")
    await model.close()
    for group, results in scores.items():
        click.echo(f"{group}: {sum(results)} of {len(results)}")


async def ask(model: LlamaCppLLM, row: dict[str, Any], run: int, *, spoken: bool) -> str:
    """`run` is the seed: another one, another answer."""
    request = Request(
        f"{row['id']}-{run}",
        (Message("user", (Text(row["say"]),)),),
        instructions=row.get("instructions", ""),
        voice=Voice("Kore") if spoken else None,
        sampling=Sampling(seed=run, max_tokens=80),
    )
    pieces = model.generate(prepare_request(request, model.about))
    answer = "".join([piece.text async for piece in pieces if isinstance(piece, Text)])
    model.forget(request.conversation)
    return answer


def is_right(row: dict[str, Any], answer: str) -> bool:
    return (
        language_of(answer, otherwise=row["language"]) == row["language"]
        and re.search(row["holds"], answer, re.IGNORECASE) is not None
        and re.search(row["not"], answer, re.IGNORECASE) is None
    )


if __name__ == "__main__":
    main()
