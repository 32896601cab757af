from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openlive.cli import models as command
from openlive.models import DEFAULT, DEFAULT_LLM, Entry, File, ModelError, Progress, Update, cache, catalogue, fetch


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.setenv("OPENLIVE_CACHE", str(tmp_path))
    entry = Entry("tiny", "vad", "hears a pin drop", "MIT", ((File("a", 1, hashlib.sha256(b"a").hexdigest()),),))
    for module in (fetch, command):
        monkeypatch.setattr(module, "catalogue", lambda: {"tiny": entry})
    return entry


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.models, arguments)


def by_hand(entry: Entry) -> None:
    cache.folder(entry).mkdir(parents=True)
    (cache.folder(entry) / "a").write_bytes(b"a")


def test_list_shows_what_is_there(tiny: Entry) -> None:
    result = run("list")
    assert "tiny" in result.stdout
    assert "MIT" in result.stdout
    assert "absent" in result.stdout
    by_hand(tiny)
    run("fetch", "tiny")
    assert "ready" in run("list").stdout


def test_path_prints_the_folder_or_says_what_to_do(tiny: Entry) -> None:
    result = run("path", "tiny")
    assert result.exit_code == 1
    assert "Error: The weights 'tiny' are not on this machine. Run: openlive models fetch tiny" in result.stderr
    by_hand(tiny)
    run("fetch", "tiny")
    result = run("path", "tiny")
    assert (result.exit_code, result.stdout.strip()) == (0, str(cache.folder(tiny)))


def test_verify_names_what_is_damaged_and_fails(tiny: Entry) -> None:
    by_hand(tiny)
    assert run("verify", "tiny").stdout.strip() == "tiny: right"
    (cache.folder(tiny) / "a").write_bytes(b"b")
    result = run("verify", "tiny")
    assert result.exit_code == 1
    assert "Damaged" in result.stdout


def test_verify_without_a_name_looks_at_what_is_there(tiny: Entry) -> None:
    assert run("verify").stdout == ""
    by_hand(tiny)
    run("fetch", "tiny")
    assert run("verify").stdout.strip() == "tiny: right"


def test_an_error_is_a_sentence_and_no_traceback(tiny: Entry) -> None:
    result = run("fetch", "tiny")
    assert result.exit_code == 1
    assert "Error: The weights 'tiny' cannot be had." in result.stderr
    for arguments in (("fetch", "nope"), ("verify", "nope"), ("path", "nope")):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "There are no weights named 'nope'" in result.stderr
        assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("arguments", [("fetch",), ("fetch", "--default"), ("fetch", "--default", "kokoro")])
def test_fetch_gets_the_default_set(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    asked: list[str] = []
    monkeypatch.setattr(fetch, "catalogue", catalogue)
    monkeypatch.setattr(command, "ensure", lambda name, progress: asked.append(name))
    assert run(*arguments).exit_code == 0
    assert sorted(asked) == sorted((*DEFAULT, DEFAULT_LLM))


def test_progress_without_a_terminal_is_a_line_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure(name: str, progress: Progress) -> None:
        for done in (0, 10, 50):
            progress(Update(name, "downloading", "a", "hub.example", done, 100_000_000))
        progress(Update(name, "waiting", "", "another process", 50, 100_000_000))
        progress(Update(name, "ready", "", "", 100_000_000, 100_000_000))
        raise ModelError("enough")

    monkeypatch.setattr(command, "ensure", ensure)
    assert run("fetch", "tiny").stderr.splitlines() == [
        "tiny: 0 % of 100 MB, hub.example",
        "tiny: 0 % of 100 MB, waiting for another process",
        "tiny: 100 % of 100 MB, ready",
        "Error: enough",
    ]


def test_progress_in_a_terminal_is_one_bar_for_each_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    with command.progress_bars() as progress:
        for name in ("tiny", "other"):
            for done in (0, 50_000_000, 100_000_000):
                progress(Update(name, "downloading", "a", "hub.example", done, 100_000_000))
    lines = terminal.getvalue().splitlines()
    for name in ("tiny", "other"):
        assert any(name in line and "100.0/100.0 MB" in line and "hub.example" in line for line in lines)
