"""Questions about signs: `python -m tests.bench.sight [--llm SPEC]`.

Draws the signs of `sight.json`, lets the eyes of the default configuration read them, and asks the language model about
each in a conversation of its own, as a typed question with a frame is asked. An answer is right where it holds one of
the expected words. Prints the wrong ones, what the eyes had read, and the shares that were right.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio
import click
import msgspec
from msgspec import Struct

from openlive import models
from openlive.engines.api import Resources
from openlive.engines.llm.image_captions import CaptioningLLM
from openlive.engines.registry import load_engine
from openlive.engines.responder.cascade import prepare_request
from openlive.types import Image, Message, Request, Sampling, Text
from tests.engines.vision.signs import encoded, picture

SET = Path(__file__).parent / "sets" / "sight.json"


class Sign(Struct, frozen=True, forbid_unknown_fields=True):
    language: str
    sign: str
    question: str
    answers: tuple[str, ...]

    def request(self, number: int) -> Request:
        shown = Image("image/jpeg", encoded(picture(self.sign)))
        said = Message("user", (shown, Text(self.question)))
        return Request(f"bench {number}", (said,), sampling=Sampling(temperature=0.0))


@click.command()
@click.option("--llm", "spec", default="qwen2.5-1.5b", show_default=True, help="As in `engines.llm`.")
def main(spec: str) -> None:
    """Score answers to questions about what is seen."""
    signs = msgspec.json.decode(SET.read_bytes(), type=list[Sign])
    resources = Resources(models.ensure, os.cpu_count() or 1, 1 << 33, {}, models.computed())
    anyio.run(score, spec, resources, signs)


async def score(spec: str, resources: Resources, signs: list[Sign]) -> None:
    eyes = load_engine("eyes", "rapidocr", resources)
    llm = load_engine("llm", spec, resources)
    writer = llm if getattr(llm, "sees", False) else CaptioningLLM(llm, eyes)
    right: dict[str, list[bool]] = {}
    took = []
    for number, sign in enumerate(signs):
        begun = time.perf_counter()
        pieces = writer.generate(prepare_request(sign.request(number)))
        answer = "".join([piece.text async for piece in pieces if isinstance(piece, Text)])
        took.append(time.perf_counter() - begun)
        writer.forget(f"bench {number}")
        correct = any(word in answer.lower() for word in sign.answers)
        for key in (sign.language, "all"):
            right.setdefault(key, []).append(correct)
        if not correct:
            read = await eyes.describe(sign.request(number).messages[0].parts[0])
            click.echo(f"wrong {sign.language}: {sign.question} {read!r} -> {answer!r}")
    for language, each in right.items():
        click.echo(f"{language:<4} {sum(each)} of {len(each)} ({100 * sum(each) / len(each):.0f} %)")
    click.echo(f"Read, computed and answered in {sorted(took)[len(took) // 2]:.1f} s (median).")


if __name__ == "__main__":
    main()
