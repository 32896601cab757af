"""What prompts begin with is computed when a language model is fetched, so that no session has to wait for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from openlive.cli.models import models
from openlive.engines.api import Resources
from openlive.engines.registry import load_engine
from openlive.memory import usable_memory
from openlive.models import DEFAULT_LLM, cache, computed, ensure

WEIGHTS = cache.root()
"""Those of the user, before a fixture says something else."""


@pytest.mark.weights
@pytest.mark.timeout(300)
def test_fetching_computes_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").symlink_to(WEIGHTS)
    monkeypatch.setenv("OPENLIVE_CACHE", str(tmp_path))
    assert computed() == tmp_path / "computed"
    first = CliRunner().invoke(models, ["fetch", DEFAULT_LLM])
    assert first.exit_code == 0, first.output
    assert "tokens are computed" in first.stderr
    again = CliRunner().invoke(models, ["fetch", DEFAULT_LLM])
    assert "tokens are computed" not in again.stderr

    async def prepare() -> list[tuple[int, int]]:
        told: list[tuple[int, int]] = []
        resources = Resources(ensure, 2, usable_memory(), computed=computed())
        model = await asyncio.to_thread(load_engine, "llm", DEFAULT_LLM, resources)
        await model.prepare(lambda done, total: told.append((done, total)))
        await model.close()
        return told

    assert asyncio.run(prepare()) == [], "a server finds all of it"
