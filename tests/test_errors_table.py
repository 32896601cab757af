"""`docs/errors.md` says what the code says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from openlive.wire import errors
from openlive.wire.errors import ProtocolError, Refusal

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "errors.md").read_text()
LIVE, _, REST = TEXT.partition("\n## REST\n")
SAID, _, UNSAID = LIVE.partition("### Words of the original that are never said here\n")
SOURCES = [path for part in ("core", "server", "wire") for path in (ROOT / "src/openlive" / part).rglob("*.py")]
FROM_LIBRARIES = {"frame …", "message …", "realtime_input.…"}
"""Reasons that are not in the folders above: of the library that reads frames, and of `audio.py`."""
HOLE = "…"


def documented() -> dict[str, int]:
    """Every pattern of the tables with its code."""
    found = {}
    for code, section in re.findall(r"^### (\d+)[^\n]*\n(.*?)(?=^### |\Z)", SAID, re.MULTILINE | re.DOTALL):
        for row in re.findall(r"^\| (`.*?`) \| ", section, re.MULTILINE):
            found.update(dict.fromkeys(re.findall(r"`(.*?)`", row), int(code)))
    return found


def unsaid() -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", UNSAID, re.MULTILINE))


def matches(pattern: str, reason: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split(HOLE))), reason, re.DOTALL) is not None


def constants() -> dict[str, Refusal]:
    """Every refusal of `wire.errors` by its name, functions called with holes."""
    found = {name: value for name, value in vars(errors).items() if isinstance(value, Refusal)}
    for name, function in inspect.getmembers(errors, inspect.isfunction):
        if function.__module__ != errors.__name__ or "Refusal" not in str(
            inspect.signature(function).return_annotation
        ):
            continue
        parameters = inspect.signature(function).parameters.values()
        holes = {p.name: [HOLE] if "Sequence" in str(p.annotation) else HOLE for p in parameters}
        found[name] = function(**holes)
    return found


def template(node: ast.expr) -> str | None:
    """The text of a literal, with holes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else HOLE for v in node.values)  # type: ignore[misc]
    return None


def literals() -> list[tuple[str, str]]:
    """Reasons that stand in the code itself, and where: the texts in calls that end a session."""
    found = []
    for path in SOURCES:
        if path.name in ("errors.py", "rest.py", "tokens.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "reason":
                found += [(f"{path.name}:{node.lineno}", text)] if (text := template(node.value)) else []
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("ProtocolError", "Refusal", "ContextFullError", "_close", "_fail", "close"):
                texts = [text for argument in node.args if (text := template(argument))]
                found += [(f"{path.name}:{node.lineno}", text) for text in texts]
    return found


def used(name: str) -> bool:
    """Whether a refusal is said: its code alone does not count."""
    pattern = re.compile(rf"\b{name}\b(?!\.code)")
    return any(pattern.search(path.read_text()) for path in SOURCES if path.name != "errors.py")


def test_the_tables_are_read() -> None:
    assert len(documented()) > 30
    assert len(unsaid()) > 5
    assert len(literals()) > 20
    assert len(constants()) > 25


@pytest.mark.parametrize("name", sorted(constants()))
def test_every_refusal_is_documented(name: str) -> None:
    refusal = constants()[name]
    if name in unsaid():
        assert refusal.reason == unsaid()[name]
        assert not used(name)
        return
    assert used(name)
    if name == "nothing_there":
        return  # REST only
    codes = {code for pattern, code in documented().items() if matches(pattern, refusal.reason)}
    assert codes == {refusal.code}


@pytest.mark.parametrize(("where", "reason"), literals())
def test_every_reason_in_the_code_is_documented(where: str, reason: str) -> None:
    assert any(matches(pattern, reason) for pattern in documented()), where


@pytest.mark.parametrize("pattern", sorted(documented()))
def test_nothing_is_documented_that_is_not_said(pattern: str) -> None:
    said = [refusal.reason for refusal in constants().values()] + [reason for _, reason in literals()]
    assert pattern in FROM_LIBRARIES or any(matches(pattern, reason) for reason in said)


def test_the_statuses_of_rest() -> None:
    rows = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", REST, re.MULTILINE)}
    assert {name: errors.Status[name].value for name in rows} == rows
    assert errors.time_too_far("expire_time").reason in REST
    assert isinstance(errors.time_too_far("x"), ProtocolError)


def test_reasons_that_differ_are_cut_to_a_frame() -> None:
    for refusal in constants().values():
        assert len(errors.close_reason(refusal.reason + "ü" * 100).encode()) in (122, 123)
