"""How well the embedded default interprets: `python -m tests.bench.translations`.

Each sentence of `translations.json` is put to the language model as a session with `translationConfig` puts it, typed;
with `--spoken` Kokoro says it, the default ears hear it and tell its language (with `--hints` they know that it is one
of the two), Kokoro speaks the translation, and Whisper base writes down what came. A translation is right where it is
in the target language, has every word (or one of its alternatives) that the set asks for, and none that would be an
answer.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from openlive.engines.api import STT, Resources
from openlive.engines.llm.translation import TranslatingLLM
from openlive.engines.registry import load_engine
from openlive.engines.stt import auto as auto_stt
from openlive.engines.text.scripts import language_of
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.memory import choose_llm, usable_memory
from openlive.models import ensure
from openlive.types import Heard, Message, Request, Sampling, Text, Translation, Voice
from tests.bench.languages import listen, plain, recogniser, speech

SET: Sequence[dict[str, Any]] = json.loads((Path(__file__).parent / "sets" / "translations.json").read_text("utf-8"))


@click.command()
@click.option("--only", multiple=True, help="A pair, such as de-en.")
@click.option("--spoken", is_flag=True, help="By voice, in and out.")
@click.option("--hints", is_flag=True, help="Tell the recogniser the two languages, as clients may.")
def main(only: Sequence[str], spoken: bool, hints: bool) -> None:
    """Measure the translations of the committed set."""
    chosen = [row for row in SET if not only or f"{row['from']}-{row['to']}" in only]
    asyncio.run(measure(sorted(chosen, key=lambda row: str(row["to"])), spoken=spoken or hints, hints=hints))


async def measure(rows: Sequence[dict[str, Any]], *, spoken: bool, hints: bool) -> None:
    resources = Resources(ensure, 2, usable_memory())
    model = load_engine("llm", choose_llm(usable_memory()).spec, resources)
    interpreter = TranslatingLLM(model)
    voice = kokoro.create("", resources) if spoken else None
    ears = auto_stt.create("", resources) if spoken else None
    whisper = recogniser(1) if spoken else None
    scores: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        said = Heard(row["text"], 0, 0, row["from"])
        if voice is not None and ears is not None:
            languages = (row["from"], row["to"]) if hints else ()
            said = await hear(
                ears, voice.render_clause(row["text"], Voice("Kore", row["from"]), row["from"]).pcm, languages
            )
        translation = await interpret(interpreter, said, row["to"])
        heard = translation
        if voice is not None and translation:
            heard = listen(whisper, speech(voice, translation, Voice("Kore", row["to"])), row["to"])
        right = is_right(row, heard)
        for group in ("all", f"{row['from']} to {row['to']}"):
            scores[group].append(right)
        click.echo(f"{'right' if right else 'WRONG'}  {said.language}: {said.text} | {translation} | {heard}")
    for group, results in scores.items():
        click.echo(f"{group}: {sum(results)} of {len(results)}")
    await model.close()


async def hear(ears: STT, pcm: bytes, languages: Sequence[str]) -> Heard:
    import numpy as np
    import soxr

    samples = soxr.resample(np.frombuffer(pcm, "<i2").astype(np.float32), 24_000, 16_000)

    async def audio() -> Any:
        yield np.pad(samples, 4000).astype("<i2").tobytes()
        yield b""

    async for transcript in ears.transcribe(audio(), languages=languages):
        if transcript.final:
            return Heard(transcript.text, 0, 0, transcript.language)
    return Heard("", 0, 0)


async def interpret(interpreter: TranslatingLLM, said: Heard, target: str) -> str:
    request = Request(
        target, (Message("user", (said,)),), sampling=Sampling(temperature=0), translation=Translation(target)
    )
    return "".join([piece.text async for piece in interpreter.generate(request) if isinstance(piece, Text)])


def is_right(row: dict[str, Any], heard: str) -> bool:
    words = f" {plain(heard, row['to'])} "

    def has(alternatives: str) -> bool:
        return any(word in words for word in alternatives.split("|"))

    def has_word(alternatives: str) -> bool:
        return any(f" {word} " in words for word in alternatives.split("|"))

    return (
        language_of(heard, otherwise=row["to"]) == row["to"]
        and all(map(has, row["says"]))
        and not any(map(has_word, row.get("not", ())))
    )


if __name__ == "__main__":
    main()
