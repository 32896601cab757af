"""What stands in the log: a line for each thing that happened, and nothing of what was said.

Names and values that a client, a model or an endpoint made may come into a message by way of an error or a name. So
every line goes through one formatter: what does not print is escaped, so that nobody can forge a line or move the
cursor of whoever reads it; addresses stand there without passwords; and of errors only their kind and where they come
from, with their message where the error says that it may be told (`plain`) or the system made it.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from openlive.private import without_secrets

_LOG = logging.getLogger("openlive")
_DEPTH, _FRAMES = 6, 12
"""Errors behind an error that are shown, and frames of each, the innermost ones."""
LONGEST = 1000
"""Characters of a line."""
LINES, PERIOD = 200, 10.0
"""Lines that one place in the program may write within so many seconds: who knocks without end fills no disk."""


def set_up_log(level: int) -> None:
    """To standard error, unless this process has a log of its own already. `level` is for openlive's own messages; of
    libraries there are warnings only, since their details would show what was said."""
    _LOG.setLevel(level)
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
    handler.addFilter(Thinned())
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.raiseExceptions = False  # a message that cannot be made would be shown with its values
    threading.excepthook = _thread_failed
    sys.unraisablehook = _unraisable


class Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.message = printable(without_secrets(_message(record)))
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record)]
        if record.exc_info and record.exc_info[1] is not None:
            lines += [printable(without_secrets(line)) for line in _trace(record.exc_info[1])]
        return "\n  ".join(lines)


class Thinned(logging.Filter):
    """Passes the first `LINES` of each place in every `PERIOD`, and tells with the next one how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[tuple[str, int], tuple[float, int]] = {}
        """When its period began, and its lines since."""

    def filter(self, record: logging.LogRecord) -> bool:
        place = record.pathname, record.lineno
        begun, lines = self._places.get(place, (record.created, 0))
        if not begun <= record.created < begun + PERIOD:
            if lines > LINES:
                record.msg, record.args = f"%s ({lines - LINES} more like it were left out)", (_message(record),)
            begun, lines = record.created, 0
        self._places[place] = begun, lines + 1
        return lines < LINES


def printable(text: str) -> str:
    """A text in one line: control characters, those that change the direction or are no characters are escaped."""
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def described(error: BaseException) -> str:
    """An error's kind, and what of its message may be told."""
    kind = type(error)
    module = kind.__module__.partition(".")[0]
    name = kind.__qualname__ if module in ("builtins", "openlive") else f"{module}.{kind.__qualname__}"
    told = getattr(error, "plain", None)
    if told is None and isinstance(error, OSError):
        told = error.strerror
    return f"{name}: {told}" if isinstance(told, str) and told else name


def _message(record: logging.LogRecord) -> str:
    arguments = record.args if isinstance(record.args, tuple) else ()
    if any(isinstance(argument, BaseException) for argument in arguments):
        told = tuple(_Described(a) if isinstance(a, BaseException) else a for a in arguments)
        return str(record.msg) % told
    return record.getMessage()


class _Described:
    """Stands for an error among the arguments of a message, with %s as with %r."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        return described(self._error)

    __repr__ = __str__


def _trace(error: BaseException) -> Iterator[str]:
    """An error, where it was raised, and the errors behind it."""
    behind: list[tuple[str, BaseException]] = [("", error)]
    for _ in range(_DEPTH):
        if not behind:
            return
        words, error = behind.pop(0)
        yield words + described(error)
        for frame, line in list(traceback.walk_tb(error.__traceback__))[-_FRAMES:]:
            file = "/".join(Path(frame.f_code.co_filename).parts[-2:])
            yield f"  at {file}:{line} {frame.f_code.co_name}"
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None:
            behind.append(("because of ", cause))
        if isinstance(error, BaseExceptionGroup):
            behind += [("of these ", each) for each in error.exceptions]


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    name = failed.thread.name if failed.thread is not None else "without a name"
    _LOG.error("The thread %s failed", name, exc_info=_info(failed.exc_value))


def _unraisable(failed: sys.UnraisableHookArgs) -> None:
    _LOG.error("An object could not be cleared away", exc_info=_info(failed.exc_value))


def _info(error: BaseException | None) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    return None if error is None else (type(error), error, error.__traceback__)
