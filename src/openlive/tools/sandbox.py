"""The child that holds an interpreter: CPython for WASI under wasmtime, for one program.

    python -I sandbox.py compile PYTHON.wasm NATIVE         makes NATIVE, machine code for this machine, or keeps it
    python -I sandbox.py run NATIVE MEMORY SECONDS GUEST    runs the text GUEST; its streams are the child's

This file is run by its path (`wasi.py` starts it) and imports nothing of openlive. Whatever the program does reaches
the functions of `wasi_snapshot_preview1` only: there is no directory for it to open, no socket, no environment and no
other process. What it may still reach for is memory (`MEMORY` bytes) and time (the parent kills the child). The limits
of the process are for the case that wasmtime itself lets something through.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from wasmtime import Config, Engine, ExitTrap, Linker, Module, Store, Trap, WasiConfig, WasmtimeError

HOST = 256 << 20
"""Bytes that wasmtime and this Python may have besides the memory of the program."""
STARTING = 60
"""Seconds of CPU time that starting may take on top of the program's."""


def engine() -> Engine:
    return Engine(Config())


def compile_for(wasm: Path, native: Path) -> None:
    """Leaves a `native` that this wasmtime loads on this processor. A minute at most, all cores."""
    try:
        Module.deserialize_file(engine(), str(native))
    except WasmtimeError:
        fresh = native.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(Module.from_file(engine(), str(wasm)).serialize())
        fresh.replace(native)


def confine(memory: int, seconds: int) -> None:
    """Limits of this process, and its end when its parent has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's affair
    if sys.platform != "win32":
        import resource

        for limit, most in (
            (resource.RLIMIT_DATA, memory + HOST),
            (resource.RLIMIT_CPU, seconds + STARTING),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, 32),
        ):
            resource.setrlimit(limit, (most, most))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def run(native: Path, memory: int, guest: str) -> int:
    """The exit code of the program."""
    runtime = engine()
    linker = Linker(runtime)
    linker.define_wasi()
    store = Store(runtime)
    store.set_limits(memory_size=memory, instances=1, memories=1)
    wasi = WasiConfig()
    wasi.argv = ["python", "-I", "-X", "utf8", "-X", "int_max_str_digits=0", "-c", guest]
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    store.set_wasi(wasi)
    start = linker.instantiate(store, Module.deserialize_file(runtime, str(native))).exports(store)["_start"]
    try:
        start(store)  # type: ignore[operator]
    except ExitTrap as end:
        return end.code
    except (Trap, WasmtimeError) as error:
        print(f"The interpreter broke down: {str(error).rpartition('wasm trap: ')[2].strip()}", flush=True)
        return 1
    return 0


def main() -> None:
    match sys.argv[1:]:
        case ["compile", wasm, native]:
            compile_for(Path(wasm), Path(native))
        case ["run", native, memory, seconds, guest]:
            confine(int(memory), int(seconds))
            # Past the interpreter's own end: threads of wasmtime may still wait for input.
            os._exit(run(Path(native), int(memory), guest))


if __name__ == "__main__":
    main()
