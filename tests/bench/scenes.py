"""When to speak up about what a camera shows: `python -m tests.bench.scenes [--llm SPEC] [--group new]`.

Puts the scenes of `scenes.json` to a language model as `proactiveVideo` does: what it was told, and an image with some
text, which a model without eyes is given in words. Prints the mistakes, and the shares that were right. The examples of
the embedded model's program (`engines/llm/llamacpp/scene_prompt.py`) were chosen on the scenes in `chosen_on`; of those
in `seen` it was known which ones an earlier version got wrong; `new` were written before that and scored after it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import click
import msgspec
from msgspec import Struct

from openlive import models
from openlive.core.replying.proactive_video import NOTEWORTHY
from openlive.engines.api import Resources
from openlive.engines.llm.image_captions import NOTHING, SHOWN, CaptioningLLM
from openlive.engines.registry import load_engine
from openlive.types import Image, Message, Request, Text
from tests.engines.vision.signs import encoded, picture

SET = Path(__file__).parent / "sets" / "scenes.json"


class Scene(Struct, frozen=True, forbid_unknown_fields=True):
    """`said`: by the user, in the conversation before. `shows`: the text in the image."""

    language: str
    instructions: str
    said: str
    shows: str
    speaks: bool

    def request(self) -> Request:
        words = SHOWN.format(f'Its text reads: "{self.shows}"' if self.shows else NOTHING)
        shown = Image("image/jpeg", encoded(picture(self.shows)), words=words)
        before = (Message("user", (Text(self.said),)), Message("model", (Text("I will."),))) if self.said else ()
        return Request("bench", (*before, Message("user", (shown,))), self.instructions)


class Told:
    """Eyes that need not look: what they see is in the image already."""

    async def describe(self, image: Image) -> str:
        before, _, after = SHOWN.partition("{}")
        return image.words.removeprefix(before).removesuffix(after)


@click.command()
@click.option("--llm", "spec", default="qwen2.5-1.5b", show_default=True, help="As in `engines.llm`.")
@click.option("--group", "groups", multiple=True, help="Of the set: chosen_on, seen, new.")
def main(spec: str, groups: Sequence[str]) -> None:
    """Score the judgement whether a scene is worth a word."""
    scenes = msgspec.json.decode(SET.read_bytes(), type=dict[str, list[Scene]])
    resources = Resources(models.ensure, os.cpu_count() or 1, 1 << 33, {}, models.computed())
    anyio.run(score, load_engine("llm", spec, resources), {group: scenes[group] for group in groups or scenes})


async def score(llm: Any, groups: dict[str, list[Scene]]) -> None:
    right: dict[tuple[str, bool], list[bool]] = {}
    took: list[float] = []
    await llm.notices(groups[next(iter(groups))][0].request())  # computes what all begin with
    for group, scenes in groups.items():
        for scene in scenes:
            watcher = llm if getattr(llm, "sees", False) else CaptioningLLM(llm, Told())
            begun = time.perf_counter()
            likely = await watcher.notices(scene.request())
            took.append(time.perf_counter() - begun)
            correct = (likely >= NOTEWORTHY) == scene.speaks
            for key in ((group, scene.speaks), (scene.language, scene.speaks), ("all", scene.speaks)):
                right.setdefault(key, []).append(correct)
            if not correct:
                what = "missed" if scene.speaks else "spoke"
                click.echo(f"{what} {likely:.2f} {group}: {scene.instructions} {scene.said} | {scene.shows!r}")
    for (group, speaks), each in right.items():
        what = "worth a word" if speaks else "not worth one"
        click.echo(f"{group:<10}{what:<14} {sum(each)} of {len(each)} ({100 * sum(each) / len(each):.0f} %)")
    click.echo(f"A judgement takes {1000 * sorted(took)[len(took) // 2]:.0f} ms (median).")


if __name__ == "__main__":
    main()
