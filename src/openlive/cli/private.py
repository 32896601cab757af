"""A server for one command: started on a free port as a process of its own, ended with the command.

It runs `openlive serve --attached`: it says on its standard output, in one line of JSON, where it listens, and ends
when its standard input ends. So it also ends when this process is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click
import msgspec

from openlive.cli.errors import is_verbose
from openlive.cli.state import Server
from openlive.private import MODE

PATIENCE = 15.0
"""Seconds that a server may take to end before it is killed."""


@contextmanager
def private_server(config_file: Path | None = None, log: Path | None = None) -> Iterator[Server]:
    """Blocks until the server is ready. What it has to say (progress, errors) goes to standard error, or to `log`."""
    command = [sys.executable, "-P", "-m", "openlive", "serve", "--attached", "--host", "127.0.0.1", "--port", "0"]
    command += ["--config", str(config_file)] if config_file else []
    command += ["--verbose"] if is_verbose() else []
    command += [] if log else ["--quiet"]
    errors: IO[bytes] | None = open(log, "ab", opener=_privately) if log else None  # noqa: SIM115
    # A session of its own: Ctrl-C in the terminal is for the program, the server outlives it.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
    )
    try:
        yield _ready(process, log)
    finally:
        _end(process)
        if errors:
            errors.close()


def _privately(path: str, flags: int) -> int:
    """A new log is for this user alone."""
    return os.open(path, flags, MODE)


def _ready(process: subprocess.Popen[bytes], log: Path | None) -> Server:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise click.ClickException("The server did not start" + (f"; {log} says why." if log else ": see above."))
    return msgspec.json.decode(line, type=Server, dec_hook=lambda kind, value: kind(value))


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
