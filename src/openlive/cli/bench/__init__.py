"""`openlive bench`: how fast a server is and how much it carries, measured over the public protocol."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = ("latency", "barge-in", "sessions", "soak", "memory", "wire", "speculation")


class _Suite(click.Group):
    """One module per subcommand, imported when it is asked for: other commands need not wait for numpy."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = name.replace("-", "_")
        command: click.Command = getattr(import_module(f"openlive.cli.bench.{module}"), module)
        return command


@click.group(cls=_Suite)
def bench() -> None:
    """Measure a server: this one with its engines, or any other by --url.

    Everything but `wire` speaks the public protocol and measures from the client's side.
    """
