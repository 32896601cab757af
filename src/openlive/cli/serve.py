"""`openlive serve`: the server, until it is told to stop."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openlive.cli.environment import ANY_KEY
from openlive.cli.errors import is_verbose, verbose_option
from openlive.cli.log import set_up_log
from openlive.cli.options import config_option
from openlive.cli.stopping import Stop, leave
from openlive.private import readable_by_others, without_secrets

if TYPE_CHECKING:
    from openlive.config.model import Config
    from openlive.models import Update
    from openlive.server.engines import Engines
    from openlive.server.run import Running

_LOG = logging.getLogger(__name__)
PATIENCE = 2.0
"""Seconds that loading may take to notice that it is to stop; native code does not look."""

ROLES = {
    "vad": "speech detection",
    "turn": "turn detection",
    "stt": "speech recognition",
    "llm": "language model",
    "tts": "voice",
    "eyes": "eyes",
    "addressee": "addressee detection",
    "google_search": "web search",
    "url_context": "page reader",
    "code_execution": "sandbox",
}


class StoppedError(Exception):
    """Loading was told to stop."""


@click.command(epilog="Example: openlive serve --port 8443")
@click.option("--host", metavar="ADDRESS", help="Where to listen. Anything but this machine needs keys.  [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free one.  [9080]")
@config_option
@click.option("--attached", is_flag=True, hidden=True)
@click.option("--quiet", is_flag=True, hidden=True)
@verbose_option
def serve(host: str | None, port: int | None, config_file: Path | None, attached: bool, quiet: bool) -> None:
    """Run the server until Ctrl-C.

    The first start fetches the models (1.4 GB) into the cache folder; from then on no network is needed. When it is
    ready it prints what to set in a Python or JavaScript program.
    """
    import anyio

    stop = Stop()
    stop.install(interrupts=not attached)
    if attached:
        threading.Thread(target=_until_input_ends, args=(stop,), daemon=True).start()
    set_up_log(logging.DEBUG if is_verbose() else logging.WARNING if quiet else logging.INFO)
    config = configured(config_file, host, port)
    refuse_early(config)
    warn_of_readers(config, config_file)
    try:
        engines = _load(config, stop)
    except StoppedError:
        leave(0)
    with ExitStack() as stack:
        anyio.run(partial(_serve, config, config_file, engines, stop, partial(_ready, config, attached, stack)))
    if not attached:
        click.echo("Stopped.", err=True)
    leave(0)


async def _serve(
    config: Config, config_file: Path | None, engines: Engines, stop: Stop, ready: Callable[[Running], None]
) -> None:
    from openlive.server.auth import build_keyring
    from openlive.server.run import run

    # A full collection that looks through all that was loaded holds up the event loop: 54 ms with the default engines.
    gc.collect()
    gc.freeze()
    await run(config, engines, shutdown=stop, ready=ready, keys=build_keyring(config, config_file))


def _until_input_ends(stop: Stop) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    stop.set()


def configured(config_file: Path | None, host: str | None = None, port: int | None = None) -> Config:
    """The configuration, with what the command line says instead. Raises `ConfigError`."""
    import msgspec

    from openlive.config.load import load_config

    config = load_config(config_file)
    changes: dict[str, str | int] = {}
    if host is not None:
        changes["host"] = host
    if port is not None:
        changes["port"] = port
    return msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **changes))


def refuse_early(config: Config) -> None:
    """Finds out before the minutes of a first fetch what would be found out after them."""
    import anyio

    from openlive.cli import state
    from openlive.engines import registry
    from openlive.server.auth import require_keys_or_loopback
    from openlive.server.net import listener, tls
    from openlive.server.run import certificates
    from openlive.server.store import configured_bounds, open_store

    server = config.server
    require_keys_or_loopback(server.host, server.keys)
    if certificates(config) is None:
        tls.server_context(Path(server.certificate), Path(server.certificate_key or server.certificate))
    engines = config.engines
    registry.find_entry_point("vad", engines.vad.partition(":")[0])
    registry.find_entry_point("stt", engines.stt.partition(":")[0])
    for spec in (engines.tts, *engines.voices.values()):
        registry.find_entry_point("tts", spec.partition(":")[0])
    if engines.llm != "auto":
        registry.find_entry_point("llm", engines.llm.partition(":")[0])
    try:
        for sock in listener.bind(server.host, server.port):
            sock.close()
    except listener.ListenError:
        running = state.find()
        if running is not None and running.port == server.port:
            raise click.ClickException(
                f"openlive is already running at {running.url} (process {running.pid})."
            ) from None
        raise
    anyio.run(open_store(config.store.location, configured_bounds(config.store)).close)


def warn_of_readers(config: Config, config_file: Path | None) -> None:
    """Files of the operator's are theirs to protect; some have reasons to leave them open (secrets in a container)."""
    from openlive.config.load import secret_files

    for path in secret_files(config, config_file):
        if readable_by_others(path):
            _LOG.warning("%s holds keys and can be read by other users of this machine; chmod 600 ends that", path)
    unknown = set(config.server.admin_keys) - {key.name for key in config.server.keys}
    if unknown:
        _LOG.warning("server.admin_keys names %s; there is no such key now", ", ".join(sorted(unknown)))


# --- loading ----------------------------------------------------------------------------------------------------------


def _load(config: Config, stop: Stop) -> Engines:
    """The engines, loaded in a thread so that signals are heard. Raises `StoppedError`, `EngineError`, `ModelError`."""
    from openlive.models import computed
    from openlive.server.engines import load_engines

    result: list[Engines | BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            result.append(load_engines(config, partial(fetched, stop=stop), partial(_told, stop), computed()))
        except BaseException as error:
            result.append(error)
        done.set()

    start = time.monotonic()
    threading.Thread(target=work, daemon=True).start()
    while not done.wait(0.1):
        if stop.is_set():
            done.wait(PATIENCE)
            raise StoppedError
    if stop.is_set():
        raise StoppedError
    if isinstance(result[0], BaseException):
        raise result[0]
    click.echo(f"Ready after {time.monotonic() - start:.1f} s.", err=True)
    return result[0]


def _told(stop: Stop, what: str) -> None:
    if stop.is_set():
        raise StoppedError
    kind, _, spec = what.partition(" ")
    click.echo(f"Loading the {ROLES.get(kind, kind)} ({without_secrets(spec)}) …", err=True)


def fetched(name: str, stop: Stop | None = None) -> Path:
    """The folder of a catalogue entry; where it is absent it is fetched, with progress shown. Raises `ModelError`."""
    from openlive.cli.models import progress_bars
    from openlive.models import ensure, path

    folder = path(name)
    if folder is not None:
        return folder
    with progress_bars() as show:

        def progress(update: Update) -> None:
            if stop is not None and stop.is_set():
                raise StoppedError
            show(update)

        return ensure(name, progress)


# --- telling ----------------------------------------------------------------------------------------------------------


def _ready(config: Config, attached: bool, stack: ExitStack, running: Running) -> None:
    from openlive.cli import state

    url = reachable(config, running)
    if attached:
        import os

        import msgspec

        server = state.Server(url, running.port, os.getpid(), 0, running.ca, running.bundle)
        click.echo(msgspec.json.encode(server, enc_hook=str))
        return
    stack.enter_context(state.announced(url, running.port, running.ca, running.bundle))
    click.echo(hints(config, url, running.ca, running.bundle))


def reachable(config: Config, running: Running) -> str:
    """The URL for clients on this machine: an address that stands for all of them is none to connect to."""
    everywhere = config.server.host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
    return f"https://localhost:{running.port}" if everywhere else running.url


def hints(config: Config, url: str, ca: Path | None, bundle: Path | None) -> str:
    """What to set in a client, three lines for each language."""
    key = "<one of the keys configured>" if config.server.keys else ANY_KEY
    where = "this machine only" if not config.server.keys else f"listening on {config.server.host}, keys required"
    common = f"  export GOOGLE_GEMINI_BASE_URL={url}\n  export GEMINI_API_KEY='{key}'"
    python = f"{common}\n  export SSL_CERT_FILE='{bundle}'" if bundle else common
    javascript = f"{common}\n  export NODE_EXTRA_CA_CERTS='{ca}'" if ca else common
    return (
        f"\nopenlive {version('openlive')} is ready: {url} ({where})\n\n"
        f"Python\n{python}\n\nJavaScript\n{javascript}\n\n"
        "Or let openlive set them:  openlive run -- python my_app.py\nCtrl-C stops the server.\n"
    )
