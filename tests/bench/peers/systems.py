"""The systems under test, and the endpoints that all of them use: what starts each, on which core, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path

import click
from msgspec import Struct

from openlive.cli.bench import client as public
from openlive.cli.bench.clips import Clip
from openlive.cli.bench.server import CHARACTER, DELAYS, REPLY, Measured, own, scripted
from openlive.cli.conversation import Address
from openlive.engines.responder.cascade import SPOKEN
from openlive.types import OUTPUT_RATE
from tests.bench.peers.client import Bare, Dialect, Realtime, connected, translated

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent.parent.parent / ".venv-peers"
SILENCE = public.SILENCE_MS / 1000
EARLY = 0.2
"""Seconds of silence after which peers with `-early` begin to transcribe; they decide at `SILENCE` all the same."""
CONFIG = """
[engines]
vad = "silero"
turn = ""
stt = "openai:{url}"
llm = "openai:{url}"
tts = "openai:{url}"
eyes = ""
[engines.settings.openai]
model = "model"
[engines.settings.openai.stt]
model = "ears"
[engines.settings.openai.tts]
model = "voice"
voice = "alloy"
"""


class System(Struct, frozen=True):
    """A server that runs. `opening` begins a session with it, `clip` makes a clip one that it understands, `rate` is
    that of its audio in Hz."""

    name: str
    server: Measured
    opening: Callable[[], AbstractAsyncContextManager[public.Session]]
    clip: Callable[[Clip], Clip]
    rate: int = OUTPUT_RATE


class Agent(Struct, frozen=True):
    """How a peer is started: in the environment `environment`, the program `program` with these arguments."""

    environment: str
    program: str
    arguments: tuple[str, ...] = ()
    dialect: Callable[[], Dialect] = Bare


def realtime() -> Dialect:
    return Realtime(SPOKEN)


_EARLY = ("--stop", str(EARLY))
PEERS = {
    "pipecat": Agent("pipecat", "pipecat_agent.py"),
    "pipecat-early": Agent("pipecat", "pipecat_agent.py", _EARLY),
    "livekit": Agent("livekit", "livekit_agent.py"),
    "livekit-early": Agent("livekit", "livekit_agent.py", (*_EARLY, "--preemptive-tts")),
    "speech-to-speech": Agent("speech-to-speech", "speech_to_speech_agent.py", dialect=realtime),
}
PACKAGES = {
    "openlive": "openlive",
    "pipecat": "pipecat-ai",
    "livekit": "livekit-agents",
    "speech-to-speech": "speech-to-speech",
}
"""What the environment is for."""
SCRIPT = tuple(
    word
    for name, value in {**DELAYS, "character": CHARACTER, "reply": REPLY}.items()
    for word in (f"--{name}", str(value))
)
"""What makes a peer's services scripted, as openlive's are."""


@contextmanager
def endpoints(core: int | None, engines: str) -> Iterator[str]:
    """The engines (`endpoints.ENGINES`) on a core; gives their base URL."""
    command = [sys.executable, "-P", "-m", "tests.bench.peers.endpoints", "--engines", engines]
    command += [] if core is None else ["--core", str(core)]
    with _process(command, {"PYTHONPATH": str(HERE.parent.parent.parent)}) as (url, _):
        yield url


@contextmanager
def openlive(config: str) -> Iterator[System]:
    """openlive on the last core, configured by the text of a file."""
    cores = os.sched_getaffinity(0)
    with own(config, "", apart=True) as measured:
        os.sched_setaffinity(0, cores)
        yield System(
            "openlive", measured, lambda: public.connected(measured.address, public.setup()), lambda clip: clip
        )


@contextmanager
def peer(name: str, arguments: Sequence[str], environments: Path) -> Iterator[System]:
    """A peer on the last core."""
    agent = PEERS[name]
    python = environments / agent.environment / "bin" / "python"
    if not python.exists():
        raise click.ClickException(f"{name} has no environment at {python.parent.parent}: make peers makes it.")
    command = ["taskset", "-c", str(max(os.sched_getaffinity(0))), str(python), str(HERE / agent.program)]
    with _process([*command, *agent.arguments, "--silence", str(SILENCE), *arguments], {}) as (url, pid):
        dialect = agent.dialect()
        server = Measured(Address(url, ""), name, pid)
        yield System(
            name, server, lambda: connected(url, dialect), lambda clip: translated(clip, dialect), dialect.rate
        )


@contextmanager
def started(names: Sequence[str], url: str | None, environments: Path) -> Iterator[list[System]]:
    """The systems of these names, one after another: on the endpoints at `url`, or with scripted engines."""
    with ExitStack() as stack:
        systems = []
        for name in names:
            click.echo(f"Starting {name} …", err=True)
            if name == "openlive":
                config = CONFIG.format(url=url) if url else scripted()
                systems.append(stack.enter_context(openlive(config)))
            else:
                arguments = ("--endpoints", url, "--instructions", SPOKEN) if url else SCRIPT
                systems.append(stack.enter_context(peer(name, arguments, environments)))
        yield systems


def versions(names: Sequence[str], environments: Path) -> dict[str, str]:
    """What is installed of each."""
    found = {}
    for name in names:
        agent = PEERS.get(name)
        python = Path(sys.executable) if agent is None else environments / agent.environment / "bin" / "python"
        package = PACKAGES["openlive" if agent is None else agent.environment]
        asking = f"from importlib.metadata import version; print(version({package!r}))"
        told = subprocess.run([str(python), "-c", asking], capture_output=True, text=True, check=False)
        found[name] = f"{package} {told.stdout.strip() or 'not installed'}"
    return found


@contextmanager
def _process(command: Sequence[str], environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A program that prints its URL in a line and ends with its standard input; its URL and its process."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **environment}
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().decode().strip()
        if not url:
            raise click.ClickException(f"{' '.join(command[:6])} … did not start: see above.")
        yield url, process.pid
    finally:
        process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
