"""Errors for people: a sentence, no traceback. `--verbose` shows both."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import click

from openlive.private import without_secrets

Command = TypeVar("Command", bound=Callable[..., Any])
_VERBOSE = "openlive.verbose"


class Friendly(click.Group):
    """Turns whatever a command raises into one message and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if is_verbose(ctx):
                traceback.print_exc(file=sys.stderr)
            raise click.ClickException(explain(error)) from error


def verbose_option(command: Command) -> Command:
    """Adds `--verbose`, which `is_verbose` tells."""

    def note(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.find_root().meta[_VERBOSE] = value

    return click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=note, help="Say more; show tracebacks."
    )(command)


def is_verbose(ctx: click.Context | None = None) -> bool:
    ctx = ctx or click.get_current_context(silent=True)
    return bool(ctx and ctx.find_root().meta.get(_VERBOSE))


def explain(error: BaseException) -> str:
    """The message of an error that was meant for people; others get a hint how to see where they come from."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, _expected()):
        return without_secrets(str(error))
    kind = type(error).__name__
    text = f"{kind}: {error}" if str(error) else kind
    return f"Unexpected: {text}\nThis should not happen. --verbose shows where it comes from."


def _expected() -> tuple[type[BaseException], ...]:
    from openlive.audio import AudioError
    from openlive.config.keys import KeysError
    from openlive.config.model import ConfigError
    from openlive.engines.api import EngineError
    from openlive.models import ModelError
    from openlive.server.net.listener import ListenError, StartupError
    from openlive.server.net.tls import TLSError
    from openlive.server.store import StoreError

    ours = (AudioError, ConfigError, EngineError, KeysError, ListenError, ModelError)
    return (*ours, StartupError, StoreError, TLSError)
