"""The tool `wasmtime` up to where a program runs; `test_sandbox.py` runs them."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from openlive.engines.api import EngineError, Resources
from openlive.engines.registry import find_entry_point
from openlive.tools.guest import READY as SAID
from openlive.tools.interpreters import FLOOD, READY, Interpreters, Ran, SandboxError
from openlive.tools.wasi import SILENT, Limits, PythonTool, create, shortened


class Scripted(Interpreters):
    """Every program comes to `ran`."""

    def __init__(self, ran: Ran | SandboxError) -> None:
        self.ran = ran
        self.sources: list[str] = []

    def run(self, source: str, abort: object) -> Ran:
        self.sources.append(source)
        if isinstance(self.ran, SandboxError):
            raise self.ran
        return self.ran


def resources(**settings: Any) -> Resources:
    return Resources(weights=Path, threads=1, memory=0, settings=settings)


def test_it_is_found_by_its_name() -> None:
    assert find_entry_point("code_execution", "wasmtime").load() is create


def test_guest_and_host_agree_on_the_word_for_ready() -> None:
    assert SAID == READY


@pytest.mark.parametrize(
    ("ran", "outcome", "response", "output"),
    [
        (Ran("done", b"42\n"), "ok", {"output": "42\n"}, "42\n"),
        (Ran("done", b""), "ok", {"output": SILENT}, ""),
        (Ran("raised", b"1\nValueError\n"), "failed", {"error": "1\nValueError\n"}, "1\nValueError\n"),
        (Ran("late", b"1\n"), "deadline", {"error": "1\nStopped: the program was not done after 3 s."}, None),
        (Ran("late", b""), "deadline", {"error": "Stopped: the program was not done after 3 s."}, None),
        (Ran("flooded", b"x"), "failed", {"error": "x\nStopped: the program printed more than 1 MiB."}, None),
        (SandboxError("no memory"), "failed", {"error": "Python could not be started: no memory"}, None),
    ],
    ids=lambda value: value.end if isinstance(value, Ran) else None,
)
def test_what_a_program_came_to_is_told(
    ran: Ran | SandboxError, outcome: str, response: dict[str, str], output: str | None
) -> None:
    tool = PythonTool(Scripted(ran), Limits(seconds=3), 1)
    result = asyncio.run(tool.run({"code": "…"}))
    assert (result.outcome, result.response) == (outcome, response)
    assert result.output == (response["error"] if output is None else output)


@pytest.mark.parametrize("args", [{}, {"code": 1}, {"code": ""}, {"code": " \n"}, {"code": None}, {"program": "1"}])
def test_arguments_without_a_program_are_answered_and_run_nothing(args: dict[str, Any]) -> None:
    interpreters = Scripted(Ran("done", b""))
    result = asyncio.run(PythonTool(interpreters, Limits(), 1).run(args))
    assert result.outcome == "failed"
    assert "`code`" in result.response["error"]
    assert interpreters.sources == []


def test_output_is_cut_in_its_middle_with_a_note() -> None:
    assert shortened(b"abc", 3) == "abc"
    assert shortened(b"a" * 50 + b"b" * 60, 20) == "a" * 10 + "\n[90 bytes left out]\n" + "b" * 10
    assert shortened("ä".encode() * 10, 10) == "ää\n[10 bytes left out]\nää"


@pytest.mark.parametrize(
    "settings", [{"seconds": 0}, {"seconds": "long"}, {"memory_bytes": 1}, {"output_bytes": FLOOD + 1}, {"second": 1}]
)
def test_settings_that_make_no_sense_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match=next(iter(settings))):
        create("", resources(**settings))


def test_an_argument_is_refused() -> None:
    with pytest.raises(EngineError, match="takes no argument"):
        create("3.12", resources())


def test_a_missing_runtime_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"needs the package wasmtime.*pip install 'openlive\[code\]'"):
        create("", resources())


def test_an_interpreter_that_is_no_webassembly_is_told(tmp_path: Path) -> None:
    pytest.importorskip("wasmtime")
    (tmp_path / "python.wasm").write_text("no")
    with pytest.raises(EngineError, match="does not start here"):
        create("", Resources(weights=lambda _: tmp_path, threads=1, memory=0))
    assert [file.name for file in tmp_path.iterdir()] == ["python.wasm"]
