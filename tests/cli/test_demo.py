from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner
from rich.console import Console

from openlive.audio import read_wav
from openlive.cli import main
from openlive.cli.demo import shipped_question
from openlive.cli.waterfall import STEPS, chart
from openlive.server.waterfall import STEPS as MARKED
from openlive.types import INPUT_RATE, OUTPUT_RATE
from tests.cli.conftest import TOLD


def drawn(ms: Mapping[str, float]) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=100).print(chart(ms, width=20))
    return out.getvalue().splitlines()


def test_one_question_with_its_answer_and_waterfall(tone: Path, home: Path) -> None:
    result = CliRunner().invoke(main, ["demo", str(tone)])
    assert result.exit_code == 0, result.output
    assert f"You:   {TOLD}\nModel: You said: {TOLD}\n" in result.stdout
    for name in STEPS.values():
        assert any(line.startswith(name) and line.endswith(" ms") for line in result.stdout.splitlines())
    assert "s of speech, is in reply.wav." in result.stdout
    assert len(read_wav(home / "reply.wav", OUTPUT_RATE)) > OUTPUT_RATE // 2


def test_a_question_without_speech_has_no_answer(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "nope.wav"])
    assert result.exit_code == 2
    assert "'nope.wav' does not exist" in result.stderr


def test_the_question_is_shipped() -> None:
    seconds = len(shipped_question()) / 2 / INPUT_RATE
    assert 1.5 < seconds < 3


def test_the_chart_has_one_axis_for_all_steps() -> None:
    ms = {"speech_end": 0, "decision": 1000, "transcript": 500, "first_token": 750, "first_byte": 1000}
    lines = [line.rstrip() for line in drawn(ms)]
    assert [line.index("●") - lines[0].index("●") for line in lines if "●" in line] == [0, 20, 10, 15, 20]
    assert lines[4].split()[-1] == "-"  # no first audio: the answer was text
    assert tuple(STEPS) == MARKED


def test_steps_before_the_end_of_speech_move_the_axis() -> None:
    lines = drawn({"speech_end": 0, "transcript": -100, "first_byte": 100})
    positions = [line.find("●") for line in lines if "●" in line]
    assert positions[1] < positions[0] < positions[2]
