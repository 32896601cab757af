"""`docs/errors.md` says what the code says."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from openlive.wire import errors
from openlive.wire.errors import ProtocolError, Refusal

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "errors.md").read_text()
LIVE, _, REST = TEXT.partition("\n## REST\n")
SAID, _, UNSAID = LIVE.partition("### Words of the original that are never said here\n")
PACKAGE = ROOT / "src/openlive"
SOURCES = [
    PACKAGE / "audio.py",
    *(path for part in ("core", "server", "wire") for path in (PACKAGE / part).rglob("*.py")),
]
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


def template(node: ast.expr | None, names: Mapping[str, str]) -> str | None:
    """The text of a literal; what its file names `names` is put in, the rest are holes."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(template(value, names) or HOLE for value in values)
        case ast.FormattedValue(value=ast.Name(id=name)):
            return names.get(name)
    return None


def named(tree: ast.AST) -> dict[str, str]:
    """Texts that have a name in a file: assigned, or the default of an argument. Of several the last."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            arguments = reversed(node.args.args)
            pairs = [(a.arg, d) for a, d in zip(arguments, reversed(node.args.defaults), strict=False)]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            pairs = [(node.targets[0].id, node.value)]
        else:
            continue
        found.update({name: text for name, value in pairs if (text := template(value, found))})
    return found


def literals() -> list[tuple[str, str]]:
    """Reasons that stand in the code itself, and where: the texts in calls that end a session."""
    found = []
    for path in SOURCES:
        if path.name in ("errors.py", "rest.py", "tokens.py"):
            continue
        tree = ast.parse(path.read_text())
        names = named(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "reason":
                found += [(f"{path.name}:{node.lineno}", text)] if (text := template(node.value, names)) else []
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            texts = [text for argument in node.args if (text := template(argument, names))]
            if name == "AudioError":  # those that begin with a hole name a file, not a field
                found += [(f"{path.name}:{node.lineno}", text) for text in texts if not text.startswith(HOLE)]
            if name in (
                "ProtocolError",
                "Refusal",
                "ContextFullError",
                "_close_session",
                "_close",
                "_fail",
                "close",
                "FramingError",
            ):
                found += [(f"{path.name}:{node.lineno}", text) for text in texts]
    return found


def used(name: str) -> bool:
    """Whether a refusal is said: its code alone does not count."""
    pattern = re.compile(rf"\b{name}\b(?!\.code)")
    return any(pattern.search(path.read_text()) for path in SOURCES if path.name != "errors.py")


def test_the_tables_are_read() -> None:
    assert len(documented()) > 30
    assert len(unsaid()) > 4
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
    assert any(matches(pattern, reason) for reason in said)


def test_the_statuses_of_rest() -> None:
    rows = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", REST, re.MULTILINE)}
    assert {name: errors.Status[name].value for name in rows} == rows
    assert errors.time_too_far("expire_time").reason in REST
    assert isinstance(errors.time_too_far("x"), ProtocolError)


def test_reasons_that_differ_are_cut_to_a_frame() -> None:
    for refusal in constants().values():
        assert len(errors.close_reason(refusal.reason + "ü" * 100).encode()) in (122, 123)
