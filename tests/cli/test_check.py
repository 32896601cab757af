from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from openlive.cli import main
from openlive.cli.check import WEIGHTS, needed
from openlive.config.model import Config, EngineSettings
from openlive.models import DEFAULT, catalogue
from tests.cli.conftest import SCRIPTED, TOLD


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def lines(result: Result) -> dict[str, str]:
    """The outcome by step."""
    rows = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    return {rest: outcome for outcome, rest in rows if outcome in ("ok", "failed")}


def test_all_is_well_with_scripted_engines() -> None:
    result = check()
    assert result.exit_code == 0, result.output
    assert set(lines(result).values()) == {"ok"}
    assert f"“{TOLD}” “You said: {TOLD}”" in result.stdout
    quick = check("--quick")
    assert quick.exit_code == 0
    assert "loading" not in quick.stdout


def test_what_fails_says_what_to_do(tmp_path: Path) -> None:
    config = tmp_path / "silero.toml"
    config.write_text(SCRIPTED.replace('vad = "scripted"', 'vad = "silero"'))
    result = check("--config", str(config))
    assert result.exit_code == 1
    assert "openlive models fetch silero-vad" in result.stdout
    assert "a spoken turn" not in result.stdout
    config.write_text("[server]\nport = 99999\n")
    result = check("--config", str(config))
    assert "failed  configuration" in result.stdout
    assert "port 99999" in result.stdout
    assert len(lines(result)) == 1


def test_a_turn_without_an_answer_fails(tmp_path: Path) -> None:
    config = tmp_path / "mute.toml"
    config.write_text(SCRIPTED.replace("character = 0.02", "character = 0.0"))
    result = check("--config", str(config))
    assert result.exit_code == 1, result.output
    assert "with 0.0 s of speech" in result.stdout


def test_every_weight_that_the_engines_need_is_in_the_catalogue() -> None:
    named = {name for engines in WEIGHTS.values() for names in engines.values() for name in names}
    assert named <= set(catalogue())
    found = [name for _, name in needed(Config())]
    assert set(DEFAULT) < set(found)
    assert len(found) == len(DEFAULT) + 1


@pytest.mark.parametrize("llm", ["gguf:/models/my.gguf", "openai:http://127.0.0.1:1/v1"])
def test_engines_without_weights_of_ours_need_none(llm: str) -> None:
    config = replace(Config(), engines=replace(EngineSettings(), llm=llm))
    assert {name for _, name in needed(config)} == set(DEFAULT)
