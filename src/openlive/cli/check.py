"""`openlive check`: whether everything is there, and works."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from openlive.cli.errors import explain, is_verbose, verbose_option
from openlive.cli.options import config_option
from openlive.private import without_secrets

if TYPE_CHECKING:
    from openlive.config.model import Config
    from openlive.server.engines import Engines

WEIGHTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "vad": {"silero": ("silero-vad",)},
    "turn": {"smart-turn": ("smart-turn",)},
    "stt": {
        "auto": ("moonshine-tiny-en", "whisper-base"),
        "moonshine": ("moonshine-tiny-en",),
        "whisper": ("whisper-base",),
    },
    "llm": {"qwen2.5-1.5b": ("qwen2.5-1.5b",), "qwen2.5-0.5b": ("qwen2.5-0.5b",)},
    "tts": {"kokoro": ("kokoro", "kokoro-voices"), "piper": ("piper-joe",)},
}
"""What the built-in engines ask the catalogue for. Engines of others are loaded, which finds out as well."""
TURN_SECONDS = 60.0


class Result(Struct):
    """One line of the table."""

    step: str
    ok: bool
    told: str


@click.command(epilog="Example: openlive check --quick")
@click.option("--quick", is_flag=True, help="Leave out loading the models and the turn.")
@config_option
@verbose_option
def check(quick: bool, config_file: Path | None) -> None:
    """See whether openlive works here, and what to do where it does not.

    Looks at the configuration, the port, the certificates and the models, loads them, and takes one spoken turn through
    a real connection. Fetches nothing. Exit code 1 where a step fails.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table("", "step", "", box=None, pad_edge=False, show_header=False)
    results = _results(config_file, quick)
    for result in results:
        table.add_row("[green]ok[/]" if result.ok else "[bold red]failed[/]", result.step, result.told)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    console.print(table)
    if not all(result.ok for result in results):
        raise SystemExit(1)


T = TypeVar("T")


def _step(results: list[Result], step: str, work: Callable[[], tuple[T, str]]) -> T | None:
    """Runs a step and notes how it went; an error is a result too."""
    click.echo(f"{step} …", err=True)
    try:
        value, told = work()
    except Exception as error:
        if is_verbose():
            traceback.print_exc()
        results.append(Result(step, False, explain(error)))
        return None
    results.append(Result(step, True, without_secrets(told)))
    return value


def _results(config_file: Path | None, quick: bool) -> list[Result]:
    """The steps in order; what cannot be tried because of an earlier one is left out."""
    results: list[Result] = []
    config = _step(results, "configuration", partial(_configuration, config_file))
    if config is None:
        return results
    _step(results, "who may come in", partial(_door, config))
    _step(results, "certificate", partial(_certificate, config))
    _step(results, "port", partial(_port, config))
    for role, name in needed(config):
        _step(results, f"{role}: {name}", partial(_weights, name))
    if quick or not all(result.ok for result in results):
        return results
    engines = _step(results, "loading", partial(_loading, config))
    if engines is not None:
        _step(results, "a spoken turn", partial(_turn, config, engines))
    return results


def _configuration(config_file: Path | None) -> tuple[Config, str]:
    from openlive.cli.serve import configured
    from openlive.memory import choose_llm, usable_memory

    config = configured(config_file)
    engines = config.engines
    told = ", ".join(dict.fromkeys((engines.vad, engines.stt, engines.llm, engines.tts, *engines.voices.values())))
    if engines.llm == "auto":
        told += f"; {choose_llm(usable_memory()).reason}"
    return config, told


def _door(config: Config) -> tuple[None, str]:
    from openlive.server.auth import require_keys_or_loopback

    require_keys_or_loopback(config.server.host, config.server.keys)
    count = len(config.server.keys)
    return None, f"{count} key{'s' * (count != 1)}" if count else "this machine only, with any key"


def _certificate(config: Config) -> tuple[None, str]:
    from openlive.server.net import tls
    from openlive.server.run import certificates

    own = certificates(config)
    if own is not None:
        tls.server_context(own.server)
        return None, f"{own.server}, for {', '.join(own.names)}"
    server = config.server
    tls.server_context(Path(server.certificate), Path(server.certificate_key or server.certificate))
    return None, server.certificate


def _port(config: Config) -> tuple[None, str]:
    from openlive.cli import state
    from openlive.server.net import listener

    running = state.find()
    port = config.server.port
    if running is not None and running.port == port:
        return None, f"openlive is running at {running.url}"
    for sock in listener.bind(config.server.host, port):
        with closing(sock):
            port = sock.getsockname()[1]
    return None, f"{port} of {config.server.host} is free"


def needed(config: Config) -> list[tuple[str, str]]:
    """The kind and the catalogue name of all weights that the configured engines ask for."""
    from openlive.cli.serve import ROLES
    from openlive.memory import choose_llm, usable_memory

    found = []
    for kind, engines in WEIGHTS.items():
        spec = getattr(config.engines, kind)
        if kind == "llm" and spec == "auto":
            spec = choose_llm(usable_memory()).spec
        specs = (spec, *(config.engines.voices.values() if kind == "tts" else ()))
        found += [(ROLES[kind], name) for one in dict.fromkeys(specs) for name in engines.get(one, ())]
    return found


def _weights(name: str) -> tuple[None, str]:
    from openlive.models import ModelError, catalogue, path

    folder = path(name)
    size = catalogue()[name].size / 1e6
    if folder is None:
        raise ModelError(f"not on this machine. Run: openlive models fetch {name}  ({size:,.0f} MB)")
    return None, f"{size:,.1f} MB in {folder}"


def _loading(config: Config) -> tuple[Engines, str]:
    from openlive.models import ModelError, computed, path
    from openlive.server.engines import load_engines

    def on_disk(name: str) -> Path:
        folder = path(name)
        if folder is None:
            raise ModelError(f"{name} is not on this machine. Run: openlive models fetch {name}")
        return folder

    times: list[tuple[str, float]] = []
    start = time.monotonic()
    engines = load_engines(
        config, on_disk, lambda what: times.append((what.partition(" ")[0], time.monotonic())), computed()
    )
    ends = [at for _, at in times[1:]] + [time.monotonic()]
    parts = ", ".join(f"{kind} {end - at:.1f} s" for (kind, at), end in zip(times, ends, strict=True))
    return engines, f"{time.monotonic() - start:.1f} s ({parts})"


# --- one turn ---------------------------------------------------------------------------------------------------------


def _turn(config: Config, engines: Engines) -> tuple[None, str]:
    import anyio

    return None, anyio.run(_turn_through, config, engines)


async def _turn_through(config: Config, engines: Engines) -> str:
    """Serves on a free port of this machine and asks there, over TLS."""
    import anyio
    import msgspec

    from openlive.server.run import Running, run

    server = msgspec.structs.replace(config.server, host="127.0.0.1", port=0)
    local = msgspec.structs.replace(config, server=server)
    stop = anyio.Event()
    told: list[str] = []

    async def ask(running: Running) -> None:
        try:
            with anyio.fail_after(TURN_SECONDS):
                told.append(await _ask(running, config))
        except TimeoutError:
            raise click.ClickException(f"no answer within {TURN_SECONDS:.0f} s") from None
        finally:
            stop.set()

    async with anyio.create_task_group() as tasks:

        def ready(running: Running) -> None:
            tasks.start_soon(ask, running)

        await run(local, engines, shutdown=stop, ready=ready)
    return told[0]


async def _ask(running: Any, config: Config) -> str:
    """The question as one piece of audio, without an SDK, which need not be installed."""
    import base64
    import json
    import ssl

    from websockets.asyncio.client import connect

    from openlive.cli.conversation import SILENCE
    from openlive.cli.demo import shipped_question
    from openlive.cli.environment import ANY_KEY

    path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    key = config.server.keys[0].key if config.server.keys else ANY_KEY
    context = ssl.create_default_context(cafile=running.ca)
    if running.ca is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # made for other names than localhost
    setup = {"model": f"models/{next(iter(config.models))}", "generationConfig": {"responseModalities": ["AUDIO"]}}
    audio = base64.b64encode(shipped_question() + SILENCE * 25).decode()
    start = time.monotonic()
    heard = said = ""
    samples = 0
    async with connect(
        f"wss://localhost:{running.port}{path}", ssl=context, additional_headers={"x-goog-api-key": key}, proxy=None
    ) as socket:
        await socket.send(
            json.dumps({"setup": {**setup, "inputAudioTranscription": {}, "outputAudioTranscription": {}}})
        )
        await socket.send(json.dumps({"realtimeInput": {"audio": {"data": audio, "mimeType": "audio/pcm;rate=16000"}}}))
        async for frame in socket:
            content = json.loads(frame).get("serverContent", {})
            heard += content.get("inputTranscription", {}).get("text", "")
            said += content.get("outputTranscription", {}).get("text", "")
            for part in content.get("modelTurn", {}).get("parts", ()):
                samples += len(base64.b64decode(part.get("inlineData", {}).get("data", ""))) // 2
            if content.get("generationComplete") or content.get("turnComplete"):
                break
    if not (heard and said and samples):
        raise click.ClickException(f"heard {heard!r}, answered {said!r} with {samples / 24000:.1f} s of speech")
    return f"“{heard.strip()}” “{said.strip()}”, {time.monotonic() - start:.1f} s"
