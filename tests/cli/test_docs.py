"""What the documents name exists, and what exists is named in them."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from openlive.cli import main
from openlive.cli.environment import ELSEWHERE, for_program

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "operating.md", ROOT / "docs" / "clients.md"]
VISIBLE = [name for name, command in main.commands.items() if not command.hidden]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_target_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text("utf-8")
    assert set(re.findall(r"^\.venv/bin/openlive ([a-z]+)", text, re.MULTILINE)) <= set(main.commands)
    assert set(re.findall(r"`openlive ([a-z]+)", text)) <= set(main.commands)
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets()


@pytest.mark.parametrize("name", VISIBLE)
def test_every_command_is_documented(name: str) -> None:
    for document in DOCUMENTS[:2]:
        assert f"openlive {name}" in document.read_text("utf-8"), f"{document.name} does not name it"


@pytest.mark.parametrize("name", VISIBLE)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    command = main.commands[name]
    assert command.help
    if not isinstance(command, click.Group):
        assert f"openlive {name}" in (command.epilog or "")
        options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
        assert all(option.help for option in options)


def test_every_target_is_listed_by_make_help() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    for name in ("install", "demo", "serve", "test", "lint", "bench", "lock"):
        assert re.search(rf"^{name}:.*## \w", text, re.MULTILINE)


def test_every_variable_that_run_changes_is_documented(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    changed = for_program({"GOOGLE_API_KEY": "x"}, "https://localhost:1", "k", ca, tmp_path)
    text = DOCUMENTS[2].read_text("utf-8")
    for name in (*changed, "GEMINI_API_KEY", *ELSEWHERE):
        assert name.upper() in text
