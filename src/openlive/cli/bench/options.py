"""The options that the benchmarks share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import click
from msgspec import Struct

from openlive.cli.bench.server import Measured, elsewhere, own, scripted
from openlive.cli.conversation import MODEL
from openlive.cli.errors import verbose_option
from openlive.cli.options import config_option
from openlive.cli.serve import configured

Engines = Literal["configured", "scripted"]


class Options(Struct, frozen=True):
    url: str | None
    key: str | None
    ca: Path | None
    pid: int | None
    engines: Engines
    config_file: Path | None
    model: str
    json_file: Path | None
    plot_file: Path | None = None

    def server(self, config: str = "", *, apart: bool = False) -> AbstractContextManager[Measured]:
        """The one to measure. `config` is what scripted engines are configured by."""
        if self.url is not None:
            return elsewhere(self.url, self.key, self.ca, self.pid)
        if self.engines == "scripted":
            return own(config or scripted(), "scripted", apart=apart)
        chosen = configured(self.config_file).engines
        names = (chosen.vad, chosen.turn, chosen.stt, chosen.llm, chosen.tts)
        return own(self.config_file, ", ".join(name or "none" for name in names), apart=apart)


def bench_options(engines: Engines, *, plot: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds them; the command gets one `Options`. `engines` are those of a server started for this, by default."""
    file = click.Path(dir_okay=False, path_type=Path)
    options = [
        click.option("--url", help="A server to measure; else one is started for this."),
        click.option("--key", envvar="GEMINI_API_KEY", help="A key for --url; else $GEMINI_API_KEY."),
        click.option("--ca", type=file, metavar="FILE.pem", help="Whom to trust besides the public roots, for --url."),
        click.option("--pid", type=click.IntRange(1), help="The process behind --url, for its figures."),
        click.option("--model", default=MODEL, show_default=True, help="The model to ask for."),
        click.option(
            "--engines",
            type=click.Choice(["configured", "scripted"]),
            default=engines,
            show_default=True,
            help="Of the server started for this: the configured ones, or engines that take fixed times.",
        ),
        click.option("--json", "json_file", type=file, metavar="FILE", help="Write every figure here."),
        config_option,
        verbose_option,
    ]
    if plot:
        options.insert(-2, click.option("--plot", "plot_file", type=file, metavar="FILE.svg", help="Draw the figures."))

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            shared = {name: given.pop(name) for name in Options.__struct_fields__ if name in given}
            command(Options(**shared), **given)

        for option in reversed(options):
            run = option(run)
        return run

    return add


def clips_option(name: str, told: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What is said (`--question FILE.wav`), as often as it is given; `told` is its help."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option(f"--{name}", f"{name}s", multiple=True, type=file, metavar="FILE.wav", help=told)
