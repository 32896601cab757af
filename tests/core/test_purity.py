"""The core does no I/O and knows no clock: modules that could are not to be imported there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import openlive.core

BANNED = {
    *("asyncio", "anyio", "threading", "socket", "subprocess", "os", "pathlib", "io"),
    *("time", "datetime", "random", "secrets", "uuid", "logging"),
}
MODULES = sorted(Path(openlive.core.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_imports_nothing_that_acts_or_tells_the_time(module: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert not imported & BANNED
