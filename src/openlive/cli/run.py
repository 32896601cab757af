"""`openlive run -- CMD`: any program, talking to openlive."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from openlive.cli.errors import verbose_option
from openlive.cli.options import config_option

if TYPE_CHECKING:
    from openlive.cli.state import Server

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes as a shell has them."""
_TYPED = (signal.SIGINT, getattr(signal, "SIGQUIT", None))


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: openlive run -- python my_app.py --fast",
)
@config_option
@click.option("--log", type=click.Path(path_type=Path), metavar="FILE", help="Where a server started here logs.")
@verbose_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(config_file: Path | None, log: Path | None, command: tuple[str, ...]) -> None:
    """Run a program so that its Google SDK talks to openlive.

    Takes the server that is running, or starts one for as long as the program runs; --config or --log always start one.
    Sets the address, a key and the trusted certificates in the program's environment and nothing else: its input,
    output, arguments and exit code are its own.
    """
    with a_server(config_file, log) as server:
        code = _program(command, environment(server, config_file))
    raise SystemExit(code)


@contextmanager
def a_server(config_file: Path | None = None, log: Path | None = None) -> Iterator[Server]:
    """The server that is running, else one of our own, ended afterwards."""
    from openlive.cli import state
    from openlive.cli.private import private_server

    running = None if config_file or log else state.find()
    if running is not None:
        yield running
    else:
        with private_server(config_file, log) as server:
            yield server


def key_for(config_file: Path | None) -> str:
    """A key that a server of this configuration takes."""
    from openlive.cli.environment import ANY_KEY
    from openlive.cli.serve import configured

    keys = configured(config_file).server.keys
    return keys[0].key if keys else ANY_KEY


def environment(server: Server, config_file: Path | None, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    from openlive.cli.environment import for_program
    from openlive.server.net.tls import default_folder

    return for_program(environ or os.environ, server.url, key_for(config_file), server.ca, default_folder())


def _program(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Runs it with our own input and output; its exit code as a shell gives it. Signals are passed on."""
    with _passed_on() as started:
        try:
            process = subprocess.Popen(command, env=env)
        except FileNotFoundError:
            click.echo(f"Error: There is no program {command[0]!r}.", err=True)
            return NOT_FOUND
        except OSError as error:
            click.echo(f"Error: {command[0]!r} cannot be run: {error.strerror or error}.", err=True)
            return NOT_EXECUTABLE
        started(process)
        code = process.wait()
    return 128 - code if code < 0 else code


class _Forwarder:
    """Passes signals on to the program; those that came before it was there are passed on when it is."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def __call__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def handle(self, number: int, _: FrameType | None) -> None:
        if number in _TYPED and _in_foreground():
            return  # the terminal has sent it to the program as well
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


def _in_foreground() -> bool:
    """A terminal is attached, and what is typed there reaches this process and the program alike."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except (OSError, AttributeError):
        return False


@contextmanager
def _passed_on() -> Iterator[_Forwarder]:
    forwarder = _Forwarder()
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, forwarder.handle) for number in numbers}
    try:
        yield forwarder
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
