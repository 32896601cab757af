"""Interpreters in the sandbox, one process (`sandbox.py`) for each program, and one that stands ready for the next."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from openlive.engines.runtime.workers import Abort

HERE = Path(__file__).parent
CHILD = (sys.executable, "-I", str(HERE / "sandbox.py"))
READY = b"\n"
"""What `guest.py` says when it waits for its program."""
PATIENCE = 60.0
"""Seconds after which an interpreter that is not ready is taken for hung; a busy machine takes 2."""
FLOOD = 1 << 20
"""Bytes of output that end a program."""


class SandboxError(Exception):
    """An interpreter did not start; the message is what it said."""


class Ran(Struct, frozen=True):
    """A program's end and what it printed, to both streams in order."""

    end: Literal["done", "raised", "late", "flooded"]
    output: bytes


class Interpreter:
    """A process with one interpreter. `close` ends it, as do its parent's end and the loss of the last reference."""

    def __init__(self, command: Sequence[str]) -> None:
        # No environment, no files but its pipes, no terminal: nothing of ours is there to be found.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd="/",
            env={},
            start_new_session=True,
        )
        self.close = weakref.finalize(self, _end, self._process)
        self._late = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """From another thread; `wait` and `run` return then. They may be using the pipes, so only `close` closes."""
        self._process.kill()

    def wait(self) -> None:
        """Until it is ready for its program. Raises `SandboxError`."""
        assert self._process.stdout is not None
        with _after(PATIENCE, self.kill):
            said = self._process.stdout.read(1)
            if said != READY:
                said += self._process.stdout.read(2000)
                raise SandboxError(said.decode(errors="replace").strip() or "it ended, or was not ready in time")

    def run(self, source: str, seconds: float) -> Ran:
        """Runs the one program of this interpreter."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        output = bytearray()
        with _after(seconds, self._expire):
            with contextlib.suppress(OSError):  # it may be gone already, and is found so below
                self._process.stdin.write(source.encode(errors="backslashreplace"))
                self._process.stdin.close()
            while len(output) <= FLOOD and (piece := self._process.stdout.read(1 << 16)):
                output += piece
            flooded = len(output) > FLOOD
            if flooded:
                self.kill()
            code = self._process.wait()
        if flooded:
            return Ran("flooded", bytes(output))
        return Ran("late" if self._late else "raised" if code else "done", bytes(output))

    def _expire(self) -> None:
        self._late = True
        self.kill()


class Interpreters:
    """Hands out interpreters. One stands ready, so that a program need not wait for the start of its own (0.3 s)."""

    def __init__(self, native: Path, memory: int, seconds: float) -> None:
        guest = (HERE / "guest.py").read_text("utf-8")
        self._command = (*CHILD, "run", str(native), str(memory), str(int(seconds) + 1), guest)
        self._seconds = seconds
        self._lock = threading.Lock()
        self._spare: Interpreter | None = None

    def check(self) -> None:
        """Runs an empty program and leaves an interpreter that stands ready; blocks. Raises `SandboxError`."""
        ran = self.run("", Abort())
        if ran.end != "done":
            raise SandboxError(f"an empty program ended with {ran.output.decode(errors='replace')!r}")

    def prepare(self) -> None:
        """Starts the one that stands ready, if there is none; does not wait for it."""
        with self._lock:
            if self._spare is None:
                self._spare = Interpreter(self._command)

    def run(self, source: str, abort: Abort) -> Ran:
        """Runs a program in a fresh interpreter; blocks. Raises `SandboxError`, and `AbortedError` at `abort`."""
        mine = self._take()
        try:
            with abort.calling_on_abort(mine.kill):
                mine.wait()
                return mine.run(source, self._seconds)
        finally:
            mine.close()
            self.prepare()

    def close(self) -> None:
        """Ends the one that stands ready."""
        with self._lock:
            if self._spare:
                self._spare.close()
            self._spare = None

    def _take(self) -> Interpreter:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare and spare.alive:
            return spare
        return Interpreter(self._command)


def compile_for_this_machine(wasm: Path, native: Path) -> None:
    """Leaves the machine code of `wasm` in `native`, unless it is there; ten seconds of all cores. In a process of its
    own: compiling takes 300 MB. Raises `SandboxError`."""
    done = subprocess.run([*CHILD, "compile", str(wasm), str(native)], capture_output=True, check=False)
    if done.returncode:
        raise SandboxError(done.stderr.decode(errors="replace").strip()[-500:])


@contextlib.contextmanager
def _after(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Calls `call` from another thread if the block takes longer."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):
            pipe.close()
