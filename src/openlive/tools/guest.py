"""What runs inside the sandbox: reads a program from standard input and runs it as `__main__`.

`wasi.py` hands the text of this file to the CPython 3.12 in there; it imports nothing of openlive. It writes `READY`
and waits, so that an interpreter may stand ready before there is a program. What the program prints, to either stream,
follows on standard output in order; the exit code is 0 where the program ran to its end.
"""

from __future__ import annotations

import ast
import importlib
import io
import linecache
import os
import sys
import traceback
import types

READY = b"\n"
NAME = "<program>"
USUAL = "collections dataclasses datetime decimal fractions itertools json math random re statistics"
"""What programs import most, loaded while nobody waits for it: 300 ms of a run otherwise."""


class Printed(io.FileIO):
    """Standard output, which knows whether anything was written to it."""

    any = False

    def write(self, data: object) -> int:
        self.any = True
        return super().write(data)  # type: ignore[arg-type]


def run(source: str, printed: Printed) -> int:
    """The exit code. What the program raised is printed as Python would, without the frames of this file."""
    try:
        _execute(source, printed)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code)
        return int(bool(end.code))
    except MemoryError as error:
        # Let go of what fills the memory, or there is none to tell of it.
        error.__traceback__ = None
        sys.modules["__main__"].__dict__.clear()
        print("MemoryError: the program needs more memory than it may have")
        return 1
    except BaseException as error:
        frames = error.__traceback__
        while frames and frames.tb_frame.f_code.co_filename != NAME:
            frames = frames.tb_next
        traceback.print_exception(error.with_traceback(frames))
        return 1
    return 0


def _execute(source: str, printed: Printed) -> None:
    """Shows the value of a last bare expression where nothing was printed, as Python's prompt would."""
    program = types.ModuleType("__main__")
    sys.modules["__main__"] = program
    linecache.cache[NAME] = (len(source), None, source.splitlines(keepends=True), NAME)
    tree = ast.parse(source, NAME)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, NAME, "exec"), program.__dict__)  # noqa: S102
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), NAME, "eval"), program.__dict__)  # noqa: S307
        sys.stdout.flush()
        if value is not None and not printed.any:
            print(repr(value))


def main() -> None:
    printed = Printed(1, "w", closefd=False)
    sys.stdout = sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(printed), "utf-8", errors="backslashreplace", line_buffering=True
    )
    for module in USUAL.split():
        importlib.import_module(module)
    printed.write(READY)
    source = sys.stdin.buffer.read().decode()
    printed.any = False
    code = run(source, printed)
    sys.stdout.flush()
    os._exit(code)  # taking the interpreter down in good order would cost 100 ms


if __name__ == "__main__":
    main()
