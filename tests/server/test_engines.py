from __future__ import annotations

from typing import Any

import pytest

from openlive.config import Config, EngineSettings
from openlive.engines.registry import EngineError
from openlive.engines.scripted import ScriptedEyes, ScriptedLLM
from openlive.engines.seeing import Seeing
from openlive.server.engines import load_engines

SETTINGS: dict[str, dict[str, Any]] = {"openai": {"model": "m"}, "scripted": {}}


def writer(llm: str, eyes: str, **openai: Any) -> Any:
    """The language model behind the responder, and behind what translates."""
    settings = {**SETTINGS, "openai": {"model": "m", **openai}}
    chosen = EngineSettings("scripted", "", "scripted", llm, "scripted", eyes, settings=settings)
    engines = load_engines(Config(engines=chosen), pytest.fail, lambda _: None)
    return engines.responder._llm.llm  # type: ignore[attr-defined]


def test_eyes_are_for_models_that_cannot_see() -> None:
    seeing = writer("scripted", "scripted")
    assert isinstance(seeing, Seeing)
    assert isinstance(seeing.llm, ScriptedLLM)
    assert isinstance(seeing._eyes, ScriptedEyes)
    assert isinstance(writer("scripted", ""), ScriptedLLM)
    assert isinstance(writer("openai:http://127.0.0.1:1/v1", "scripted", images=False), Seeing)
    assert not isinstance(writer("openai:http://127.0.0.1:1/v1", "not looked for"), Seeing)
    with pytest.raises(EngineError, match="There is no eyes engine named 'telescope'"):
        writer("scripted", "telescope")
