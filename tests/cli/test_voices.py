from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from openlive.audio import read_wav
from openlive.cli import main
from openlive.cli.voices import CHARACTERS
from openlive.core.setup.profile import NATIVE_VOICES


def test_every_voice_has_its_character() -> None:
    assert set(CHARACTERS) == set(NATIVE_VOICES)


def test_the_table_tells_what_the_engine_calls_them(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "scripted" in CliRunner().invoke(main, ["voices"]).stdout
    (home / "openlive.toml").write_text('[engines.settings.kokoro]\nvoices = { Puck = "am_liam" }\n')
    monkeypatch.delenv("OPENLIVE_CONFIG")
    lines = CliRunner().invoke(main, ["voices"]).stdout.splitlines()
    assert len(lines) == 31
    assert [line.split() for line in lines if line.startswith("Puck")] == [["Puck", "upbeat", "am_liam", "em_alex"]]


def test_names_with_an_engine_of_their_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "openlive.toml").write_text('[engines.voices]\nPuck = "piper:/v.onnx"\nKore = "espeak"\n')
    monkeypatch.delenv("OPENLIVE_CONFIG")
    lines = [line.split() for line in CliRunner().invoke(main, ["voices"]).stdout.splitlines()]
    assert ["Puck", "upbeat", *["piper:/v.onnx"] * 2] in lines
    assert ["Kore", "firm", "espeak", "espeak"] in lines
    assert ["Charon", "informative", "bm_george", "em_alex"] in lines


def test_samples_are_written(home: Path) -> None:
    result = CliRunner().invoke(main, ["voices", "--say", "Good morning.", "--out", "samples"])
    assert result.exit_code == 0, result.output
    assert "30/30" in result.stderr
    assert {path.stem for path in (home / "samples").iterdir()} == set(CHARACTERS)
    assert read_wav(home / "samples" / "Puck.wav")
    (home / "file").write_text("")
    assert "cannot be made" in CliRunner().invoke(main, ["voices", "--say", "x", "--out", "file/x"]).stderr
