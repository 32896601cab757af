"""A child process that answers each line with one, and that nobody waits for longer than they say."""

from __future__ import annotations

import subprocess
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

LONGEST = 64 << 20
"""Bytes of an answer."""
_GONE = 5.0
"""Seconds that a killed process is waited for: the kernel may be slow to take it away, and nobody else is."""


class ChildProcess:
    """For one caller at a time. A kept thread talks to the process: writing to one that hangs may hang as well."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._answers: SimpleQueue[bytes] = SimpleQueue()
        talk = threading.Thread(
            target=_relay_lines, args=(self._process, self._requests, self._answers), name="openlive-child", daemon=True
        )
        self.close = weakref.finalize(self, _kill_process, self._process, self._requests)
        """Ends the process at once, and the thread."""
        talk.start()

    def ask_line(self, line: bytes, patience: float) -> bytes | None:
        """The answer, with its line break; b'' where the process is dead, None where it has not answered within
        `patience` seconds: `close` it then."""
        self._requests.put(line)
        try:
            answer = self._answers.get(timeout=patience)
        except Empty:
            return None
        return answer if answer.endswith(b"\n") else b""


def _relay_lines(
    process: subprocess.Popen[bytes], asked: SimpleQueue[bytes | None], answers: SimpleQueue[bytes]
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    while (line := asked.get()) is not None:
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = process.stdout.readline(LONGEST)
        except OSError:
            answer = b""
        answers.put(answer)
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what it never read cannot be flushed
            pipe.close()


def _kill_process(process: subprocess.Popen[bytes], asked: SimpleQueue[bytes | None]) -> None:
    process.kill()
    asked.put(None)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GONE)
