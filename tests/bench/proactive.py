"""Who is spoken to: `python -m tests.bench.proactive [--spoken]`.

Puts the utterances of `proactive.txt` to the engine of `openlive.addressee`: as they are written, or spoken by Kokoro
and heard by the recognisers of the default configuration. Prints the mistakes, the share that was right of those that
are meant for the model and of those that are not, and what a judgement takes. `--fit` fits the engine's weights to
`proactive_examples.txt`; `--examples` scores those, each by weights that were fitted to nine tenths of the others.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import anyio
import click
import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from openlive.audio import read_wav, to_wav
from openlive.engines.addressee import e5
from openlive.engines.addressee.e5 import E5Addressee, RegressionWeights, Vector, conversation_features
from openlive.engines.api import STT, Resources
from openlive.engines.stt import auto as auto_stt
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.models import ensure
from openlive.types import INPUT_RATE, OUTPUT_RATE, Heard, Message, Request, Text, Voice

SET = Path(__file__).parent / "sets" / "proactive.txt"
EXAMPLES = Path(__file__).parent / "sets" / "proactive_examples.txt"
FITTED = Path(e5.__file__).with_name("e5.json")
ROUNDS = 3
"""Times that each line is spoken, each time by another voice."""
VOICES = ("Kore", "Puck", "Aoede", "Fenrir")
FOLDS = 10
Array = npt.NDArray[np.float64]


class Line(Struct, frozen=True):
    """`before`: what the model had just said, if anything."""

    language: str
    meant: bool
    before: str
    said: str

    @property
    def message(self) -> Message | None:
        return Message("model", (Text(self.before),)) if self.before else None

    def request(self, said: str) -> Request:
        before = (self.message,) if self.message is not None else ()
        return Request("bench", (*before, Message("user", (Heard(said, 0, 0),))))


def load(path: Path) -> Iterator[Line]:
    language, meant = "", False
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# "):
            language, sign = line[2:].split()
            meant = sign == "+"
        elif line and not line.startswith(";"):
            before, _, said = line.rpartition(" | ")
            yield Line(language, meant, before.removeprefix("model: "), said)


@click.command()
@click.option("--spoken", is_flag=True, help="By voice.")
@click.option("--fit", "fitting", is_flag=True, help="Write the engine's weights.")
@click.option("--examples", is_flag=True, help="Score the examples by cross-validation.")
def main(*, spoken: bool, fitting: bool, examples: bool) -> None:
    """Score the decision whether the model was spoken to."""
    resources = Resources(ensure, os.cpu_count() or 1, 0)
    if fitting or examples:
        lines = list(load(EXAMPLES))
        judge = E5Addressee(RegressionWeights((0.0,) * 384, (0.0,) * 6, 0.0))
        table, plain = features(judge, lines, lambda said: said), features(judge, lines, unmarked)
        if examples:
            report(lines, [line.said for line in lines], crossed(lines, table, plain))
        if fitting:
            weights = fit(np.concatenate((table, plain)), np.array([line.meant for line in lines] * 2, float))
            write(weights)
        return
    lines = list(load(SET)) * (ROUNDS if spoken else 1)
    heard = anyio.run(hear, lines, resources) if spoken else [line.said for line in lines]
    engine = e5.create("", resources)
    engine.score_request(lines[0].request("warm"))
    judged: list[float] = []
    took: list[float] = []
    for line, said in zip(lines, heard, strict=True):
        begun = time.process_time()
        judged.append(engine.score_request(line.request(said)) if said else 0.0)
        took.append(1000 * (time.process_time() - begun))
    report(lines, heard, judged)
    p95 = statistics.quantiles(took, n=20)[-1]
    click.echo(f"A judgement takes {statistics.median(took):.0f} ms of CPU (95 %: {p95:.0f} ms).")


def report(lines: Sequence[Line], heard: Sequence[str], judged: Sequence[float]) -> None:
    right: dict[tuple[str, bool], list[bool]] = {}
    for line, said, p in zip(lines, heard, judged, strict=True):
        correct = (p >= 0.5) == line.meant
        for key in ((line.language, line.meant), ("all", line.meant)):
            right.setdefault(key, []).append(correct)
        if not correct:
            before = f"[{line.before}] " if line.before else ""
            click.echo(f"{'missed' if line.meant else 'answered'} {p:.2f} {line.language} {before}{said!r}")
    for (language, meant), each in sorted(right.items()):
        what = "meant for the model" if meant else "not meant for it"
        click.echo(f"{language:<4}{what:<20} {sum(each)} of {len(each)} ({100 * sum(each) / len(each):.0f} %)")


# --- by voice ---------------------------------------------------------------------------------------------------------


async def hear(lines: Sequence[Line], resources: Resources) -> list[str]:
    """What the recogniser makes of them, spoken by one voice after the other."""
    voice, ears = kokoro.create("", resources), auto_stt.create("", resources)
    heard = []
    for number, line in enumerate(lines):
        click.echo(f"\r{number + 1}/{len(lines)} ", nl=False, err=True)
        spoken_by = Voice(VOICES[(number + number // (len(lines) // ROUNDS)) % len(VOICES)], line.language)
        speech = voice.render_clause(line.said, spoken_by, line.language)
        heard.append(await understand(ears, read_wav(to_wav(speech.pcm, OUTPUT_RATE)), line.language))
    click.echo(err=True)
    await voice.close()
    return heard


async def understand(ears: STT, audio: bytes, language: str) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(INPUT_RATE // 2) + audio + bytes(INPUT_RATE // 2)
        yield b""

    async for transcript in ears.transcribe(chunks(), languages=(language,)):
        if transcript.final:
            return transcript.text
    return ""


# --- fitting ----------------------------------------------------------------------------------------------------------


def unmarked(said: str) -> str:
    """As recognisers write that know no punctuation."""
    return re.sub(r"[¿¡.,!?]", "", said).lower()


def features(engine: E5Addressee, lines: Sequence[Line], form: Callable[[str], str]) -> Array:
    """float64[lines, 390]: the embedding, then the facts."""
    rows: list[Vector] = []
    for line in lines:
        said = form(line.said)
        rows.append(np.concatenate((engine.embed_text(said), conversation_features(said, line.message))))
    return np.array(rows, np.float64)


def fit(table: Array, meant: Array) -> Array:
    """Ridge logistic regression, by Newton's method: the weights, the bias last. The embeddings are centred for it, and
    those meant for the model count as much as the others, however many they are."""
    centre = np.concatenate((table[:, :384].mean(0), np.zeros(table.shape[1] - 384)))
    table = np.hstack((table - centre, np.ones((len(table), 1))))
    weights, ridge = np.zeros(table.shape[1]), np.eye(table.shape[1])
    ridge[-1, -1] = 1e-6
    count = np.where(meant == 1, 0.5 / meant.mean(), 0.5 / (1 - meant.mean()))
    for _ in range(30):
        p = 1 / (1 + np.exp(-table @ weights))
        gradient = table.T @ (count * (p - meant)) + ridge @ weights
        weights -= np.linalg.solve((table.T * (count * p * (1 - p))) @ table + ridge, gradient)
    weights[-1] -= centre @ weights[:-1]
    return weights


def crossed(lines: Sequence[Line], table: Array, plain: Array) -> list[float]:
    meant = np.array([line.meant for line in lines], float)
    order, judged = np.random.RandomState(1).permutation(len(lines)), np.zeros(len(lines))
    for fold in range(FOLDS):
        held, kept = order[fold::FOLDS], np.setdiff1d(order, order[fold::FOLDS])
        weights = fit(np.concatenate((table[kept], plain[kept])), np.concatenate((meant[kept], meant[kept])))
        judged[held] = 1 / (1 + np.exp(-(table[held] @ weights[:-1] + weights[-1])))
    return judged.tolist()


def write(weights: Array) -> None:
    rounded = [round(float(weight), 4) for weight in weights]
    fitted = RegressionWeights(tuple(rounded[:384]), tuple(rounded[384:-1]), rounded[-1])
    FITTED.write_bytes(msgspec.json.encode(fitted) + b"\n")


if __name__ == "__main__":
    main()
