"""What a benchmark leaves: tables in the terminal, and a JSON file with every figure and how it came about."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from openlive.cli.bench.figures import Spread, percentile

LATE_MS = 10.0
"""What this process's chunks may be late (p99) before its figures are its own."""


def machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": [round(load, 2) for load in psutil.getloadavg()],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


class Report:
    """Of one run; begun when the measurement begins, so that the machine's load is that before it."""

    def __init__(self, command: str, **arguments: Any) -> None:
        self._document: dict[str, Any] = {
            "command": f"openlive bench {command}",
            "version": version("openlive"),
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "arguments": arguments,
        }

    def write(self, file: Path | None, **figures: Any) -> None:
        if file is None:
            return
        document = {**self._document, **figures}
        write(file, msgspec.json.format(msgspec.json.encode(document, enc_hook=str)).decode() + "\n")


def write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror or error}.") from error


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)


def spreads(title: str, rows: Mapping[str, Spread | None], unit: str = "ms") -> Table:
    """A line for each that was measured."""
    made = figures(title, "n", f"p50 {unit}", f"p95 {unit}", "least", "most")
    for name, found in rows.items():
        if found is not None:
            made.add_row(name, str(found.n), *(f"{v:,.0f}" for v in (found.p50, found.p95, found.least, found.most)))
    return made


def figures(title: str, *columns: str) -> Table:
    made = Table(title, *columns, box=None, pad_edge=False)
    for column in made.columns[1:]:
        column.justify = "right"
    return made


def lateness(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds by which this process sent its chunks after their time."""
    if not seconds:
        return {}
    shares = (("p50", 50), ("p99", 99), ("most", 100))
    return {name: round(1000 * percentile(seconds, share), 2) for name, share in shares}


def told(late: Mapping[str, float]) -> str:
    """The client's own lateness in a line, with a warning where it is too much."""
    line = f"this client's chunks left late by {late['p50']:.1f} ms (p50), {late['p99']:.1f} (p99)"
    return line if late["p99"] <= LATE_MS else f"{line}: too much, these are figures of the client as well"
