"""`openlive bench wire`: what one message costs the processor, piece by piece, in this process and without a socket."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from openlive.audio import InputAudio
from openlive.cli.bench.client import setup
from openlive.cli.bench.clips import message
from openlive.cli.bench.figures import spread
from openlive.cli.bench.report import Report, console, figures
from openlive.cli.conversation import MODEL
from openlive.cli.errors import verbose_option
from openlive.core.commands import DetectSpeech
from openlive.core.events import AudioArrived, ConnectionOpened, Event, FramesJudged, MessageReceived
from openlive.core.session import Session
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.engines.api import VAD, Judged, Resources
from openlive.engines.registry import load_engine
from openlive.server.buffer import Audio
from openlive.types import INPUT_RATE, OUTPUT_RATE
from openlive.wire.client import parse_message
from openlive.wire.content import Blob, Content, Part
from openlive.wire.server import ServerContent, ServerMessage, encode

MESSAGE_MS, PART_MS = 100, 200
SAMPLES = INPUT_RATE * MESSAGE_MS // 1000
FRAME = 512
"""Samples that the core is told of at once: those that Silero judges."""
ROUNDS = 7

WIRE, DETECTOR, SPEECH = "wire: JSON, base64, buffer", "detector of speech", "core, while somebody speaks"
SILENCE, ENCODE = "core, in silence", "an answer's 200 ms of audio, encoded"


@click.command(epilog="Example: openlive bench wire --messages 2000 --json wire.json")
@click.option(
    "--messages", default=500, show_default=True, type=click.IntRange(10, 5000), help="In each of the seven rounds."
)
@click.option(
    "--vad", type=click.Choice(["silero", "scripted"]), default="silero", show_default=True, help="Which detector."
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write every figure here.",
)
@verbose_option
def wire(messages: int, vad: str, json_file: Path | None) -> None:
    """Time one message of 100 ms through wire, core and detector, and the writing of 200 ms of an answer.

    In processor time, so that it matters little what else the machine does; of seven rounds the least counts.
    """
    from openlive.cli.serve import fetched

    report = Report("wire", messages=messages, vad=vad, message_ms=MESSAGE_MS, part_ms=PART_MS)
    detector: VAD = load_engine("vad", vad, Resources(fetched, os.cpu_count() or 1, 0))
    works: dict[str, Callable[[int], float]] = {
        WIRE: _wire,
        DETECTOR: lambda count: asyncio.run(_detect(detector, count)),
        SPEECH: lambda count: _core(0.98, count),
        SILENCE: lambda count: _core(0.02, count),
        ENCODE: _encode,
    }
    costs = {name: spread(1e6 * work(messages) / messages for _ in range(ROUNDS)) for name, work in works.items()}
    whole = round(sum(found.least for name in (WIRE, DETECTOR, SPEECH) if (found := costs[name])), 1)
    table = figures("", "µs, least", "median", "most")
    for name, found in costs.items():
        if found is not None:
            table.add_row(name, f"{found.least:,.1f}", f"{found.p50:,.1f}", f"{found.most:,.1f}")
    out = console()
    out.print(table)
    out.print(f"\none 100 ms message through wire, detector and core: {whole:,.1f} µs")
    report.write(json_file, us=costs, message_us=whole)


# Each takes the seconds of processor time that `count` of its pieces took.


def _wire(count: int) -> float:
    """What the shell does with a message before the core hears of it."""
    frame = message(_noise()).decode()
    received, audio = InputAudio(), Audio()
    begun = time.process_time()
    for number in range(count):
        said = parse_message(frame).realtime_input
        if said is not None and said.audio is not None:
            audio.append(received.push(said.audio.data or b"", said.audio.mime_type or ""))
        audio.forget(number * SAMPLES)
    return time.process_time() - begun


async def _detect(detector: VAD, count: int) -> float:
    told: asyncio.Queue[Judged] = asyncio.Queue()
    pcm, stream = _noise(), detector.stream(told.put_nowait)
    begun = time.process_time()
    for _ in range(count):
        stream.push(pcm)
        if isinstance(found := await told.get(), Exception):
            raise found
    spent = time.process_time() - begun
    stream.close()
    return spent


def _core(probability: float, count: int) -> float:
    """A session that hears `count` messages in which the detector finds speech with that probability."""
    session = Session({MODEL: ModelProfile(MODEL)}, SessionLimits())
    first = parse_message(msgspec.json.encode({"setup": setup()}))
    opened: list[Event] = [ConnectionOpened("bench"), ConnectionOpened("bench"), MessageReceived(first)]
    for event in opened:
        session.handle(event, 0.0)
    begun = time.process_time()
    judged = arrived = 0
    for number in range(count):
        now = number * MESSAGE_MS / 1000
        arrived += SAMPLES
        for command in session.handle(AudioArrived(SAMPLES), now):
            if isinstance(command, DetectSpeech):
                frames = (arrived - judged) // FRAME
                judged += frames * FRAME
                session.handle(FramesJudged(command.stream, ((probability, FRAME),) * frames), now)
    spent = time.process_time() - begun
    assert judged, "the core asked for nothing"
    return spent


def _encode(count: int) -> float:
    pcm = _noise(OUTPUT_RATE * PART_MS // 1000)
    begun = time.process_time()
    for _ in range(count):
        part = Part(inline_data=Blob(mime_type=f"audio/pcm;rate={OUTPUT_RATE}", data=pcm))
        encode(ServerMessage(server_content=ServerContent(model_turn=Content(role="model", parts=(part,)))))
    return time.process_time() - begun


def _noise(samples: int = SAMPLES) -> bytes:
    noise: Any = np.random.default_rng(1).integers(-3000, 3000, samples)
    return bytes(noise.astype("<i2").tobytes())
