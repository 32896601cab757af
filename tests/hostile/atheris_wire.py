"""A coverage-guided run on the wire's reader, by hand: atheris follows which branches of it an input reaches.

    python -m venv /tmp/atheris && /tmp/atheris/bin/pip install atheris msgspec
    PYTHONPATH=src:. nice /tmp/atheris/bin/python -m tests.hostile.atheris_wire /tmp/corpus -max_total_time=3600

Arguments are libFuzzer's. It begins with the recorded frames of the SDKs and the names of all fields; half of the
inputs are made by changing what a message holds (`mutations`), the others by changing bytes. Any error but a
`ProtocolError` is a crash. Every 20,000 inputs it tells how many it has read, and which one took the most CPU time: the
least of five readings, of instrumented code, which takes several times as long as the server's.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["openlive"]):
    from openlive.wire.client import parse_message
    from openlive.wire.errors import ProtocolError, close_reason

from tests.hostile.mutations import MESSAGES, NAMES, mutated

MAX_BYTES = 16_384
EVERY = 20_000


class Tally:
    """Inputs so far, and the dearest of them."""

    def __init__(self) -> None:
        self.count = 0
        self.worst = 0.0
        self.worst_input = b""
        self._begun = time.monotonic()

    def take(self, data: bytes) -> None:
        self.count += 1
        spent = self._read(data)
        if spent > self.worst:
            spent = min(spent, *(self._read(data) for _ in range(4)))
        if spent > self.worst:
            self.worst, self.worst_input = spent, data
        if self.count % EVERY == 0:
            self.tell()

    def _read(self, data: bytes) -> float:
        begun = time.thread_time()
        try:
            parse_message(data)
        except ProtocolError as error:
            close_reason(error.reason).encode()
        return time.thread_time() - begun

    def tell(self) -> None:
        print(
            f"{self.count} inputs, {time.monotonic() - self._begun:.0f} s; the dearest: {1000 * self.worst:.2f} ms, "
            f"{len(self.worst_input)} bytes: {base64.b64encode(self.worst_input[:300]).decode()}",
            flush=True,
        )


def mutate(data: bytes, most: int, seed: int) -> bytes:
    rng = random.Random(seed)
    if rng.random() < 0.5:
        changed: bytes = atheris.Mutate(data, most)
        return changed
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        message = rng.choice(MESSAGES)
    return mutated(message, rng, most)


def main() -> None:
    tally = Tally()
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    if not folders:
        sys.exit("name a folder for the corpus")
    corpus = folders[0]
    corpus.mkdir(parents=True, exist_ok=True)
    for number, message in enumerate(MESSAGES):
        (corpus / f"message-{number}").write_text(json.dumps(message))
    dictionary = corpus.with_suffix(".dict")
    dictionary.write_text("".join(f'"{name}"\n' for name in NAMES))
    arguments = [*sys.argv, f"-dict={dictionary}", f"-max_len={MAX_BYTES}"]
    atheris.Setup(arguments, tally.take, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
