"""The tool `codeExecution`: Python programs in a WebAssembly sandbox.

A program runs in CPython 3.12 compiled for WASI, under wasmtime, in a process of its own (`sandbox.py`) that is killed
at the time limit. WASI gives what it is handed and nothing else: no directory, no socket, no environment, no process.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.workers import WorkerPool
from openlive.tools.interpreters import FLOOD, Interpreters, Ran, SandboxError, compile_for_this_machine
from openlive.types import FunctionDeclaration, ToolResult

WEIGHTS = "python-wasi"
DECLARATION = FunctionDeclaration(
    name="run_python",
    description="Runs a Python program and returns what it prints. Use it to calculate and to work with data or text. "
    "Only printed text is seen. Standard library only; no network, no files.",
    parameters={
        "type": "object",
        "properties": {"code": {"type": "string", "description": "The program. It must print its results."}},
        "required": ["code"],
    },
)
SILENT = "The program printed nothing. Print what you want to see."


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """The tool's settings, for each program. `memory_bytes` is what the interpreter may allocate, itself included (20
    MB); `output_bytes` is how much of the output the model and the client see."""

    memory_bytes: Annotated[int, Meta(ge=32 << 20, le=4 << 30)] = 256 << 20
    seconds: Annotated[float, Meta(gt=0)] = 10.0
    output_bytes: Annotated[int, Meta(ge=100, le=FLOOD)] = 4096


class PythonTool:
    """A `Tool`. At most `at_once` programs run at a time, the others wait for their turn."""

    declaration = DECLARATION

    def __init__(self, interpreters: Interpreters, limits: Limits, at_once: int) -> None:
        self._interpreters = interpreters
        self._limits = limits
        self._workers = WorkerPool(at_once, "run_python")

    async def run(self, args: dict[str, Any]) -> ToolResult:
        code = args.get("code")
        if not isinstance(code, str) or not code.strip():
            return _failed("The argument `code` must be a string with a Python program.")
        try:
            ran = await self._workers.run(lambda abort: self._interpreters.run(code, abort))
        except SandboxError as error:
            return _failed(f"Python could not be started: {error}")
        return self._told(ran)

    async def close(self) -> None:
        """Ends the interpreter that stands ready, and its threads."""
        self._workers.close()
        self._interpreters.close()

    def _told(self, ran: Ran) -> ToolResult:
        output = shortened(ran.output, self._limits.output_bytes)
        match ran.end:
            case "done":
                return ToolResult({"output": output or SILENT}, output)
            case "raised":
                return _failed(output or "The program failed and printed nothing.")
            case "late":
                why = f"Stopped: the program was not done after {self._limits.seconds:g} s."
                result = _failed(_lines(output, why))
                return msgspec.structs.replace(result, outcome="deadline")
            case "flooded":
                return _failed(_lines(output, f"Stopped: the program printed more than {FLOOD >> 20} MiB."))


def shortened(output: bytes, most: int) -> str:
    """At most `most` bytes of the beginning and the end, with a note of what is left out between them."""
    left_out = len(output) - most
    if left_out <= 0:
        return output.decode(errors="replace")
    half = most // 2
    beginning, end = output[:half].decode(errors="ignore"), output[-half:].decode(errors="ignore")
    return f"{beginning}\n[{left_out} bytes left out]\n{end}"


def _lines(output: str, last: str) -> str:
    return f"{output.rstrip()}\n{last}".lstrip()


def _failed(what: str) -> ToolResult:
    return ToolResult({"error": what}, what, "failed")


def create(argument: str, resources: Resources) -> PythonTool:
    """The factory; its settings are `Limits`. The first call on a machine compiles the interpreter (10 s)."""
    if argument:
        raise EngineError(f"The code_execution tool 'wasmtime' takes no argument; it was given {argument!r}.")
    try:
        limits = msgspec.convert(resources.settings, Limits)
    except msgspec.ValidationError as error:
        raise EngineError(f"The settings of the code_execution tool 'wasmtime': {error}.") from error
    if importlib.util.find_spec("wasmtime") is None:
        raise EngineError(
            "The code_execution tool 'wasmtime' needs the package wasmtime, which is not installed: "
            "pip install 'openlive[code]'."
        )
    wasm = resources.weights(WEIGHTS) / "python.wasm"
    try:
        native = _machine_code(wasm)
        interpreters = Interpreters(native, limits.memory_bytes, limits.seconds)
        interpreters.check()
    except SandboxError as error:
        raise EngineError(f"The code_execution tool 'wasmtime' does not start here: {error}") from error
    return PythonTool(interpreters, limits, resources.threads)


def _machine_code(wasm: Path) -> Path:
    """The file of what `wasm` was compiled to: beside it, or where nothing can be written, for this process only."""
    folder = wasm.parent
    if not os.access(folder, os.W_OK):
        folder = Path(tempfile.mkdtemp(prefix="openlive-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    native = folder / f"python.wasmtime-{version('wasmtime')}.cwasm"
    compile_for_this_machine(wasm, native)
    return native
