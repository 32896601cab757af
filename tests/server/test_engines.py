from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from openlive.config import Config, EngineSettings
from openlive.engines.openai import OpenAI
from openlive.engines.registry import EngineError
from openlive.engines.scripted import ScriptedEyes, ScriptedLLM, ScriptedTTS
from openlive.engines.seeing import Seeing
from openlive.server.engines import Engines, load_engines
from openlive.types import Voice

SETTINGS: dict[str, dict[str, Any]] = {"openai": {"model": "m"}, "scripted": {}}


def test_who_watches_has_to_see() -> None:
    """A model of somebody else's may not be able to tell at all."""
    seeing = load("scripted", "scripted")
    assert seeing.watcher is seeing.responder._llm.llm  # type: ignore[attr-defined]
    assert load("scripted", "").watcher is None
    assert isinstance(load("openai:http://127.0.0.1:1/v1", "").watcher, OpenAI)
    assert load("openai:http://127.0.0.1:1/v1", "", images=False).watcher is None
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(ScriptedLLM, "notices")
        assert load("scripted", "scripted").watcher is None


def load(llm: str, eyes: str, **openai: Any) -> Engines:
    settings = {**SETTINGS, "openai": {"model": "m", **openai}}
    chosen = EngineSettings("scripted", "", "scripted", llm, "scripted", eyes, settings=settings)
    return load_engines(Config(engines=chosen), pytest.fail, lambda _: None)


def cast(**voices: str) -> Engines:
    chosen = EngineSettings("scripted", "", "scripted", "scripted", "scripted", "", settings=SETTINGS, voices=voices)
    return load_engines(Config(engines=chosen), pytest.fail, lambda _: None)


@pytest.mark.anyio
async def test_a_name_may_speak_with_an_engine_of_its_own() -> None:
    tts = cast(Kore="espeak", Puck="scripted", Sulafat="espeak").responder._tts  # type: ignore[attr-defined]
    assert {"Kore", "Puck", "Sulafat"} <= set(tts.voices)
    others: ScriptedTTS = tts._everyone

    async def clauses() -> AsyncIterator[str]:
        yield "Good morning."

    for name in ("Kore", "Puck", "Zephyr", "Sulafat"):
        spoken = [speech async for speech in tts.speak(clauses(), Voice(name))]
        assert "".join(speech.text for speech in spoken) == "Good morning."
        assert any(speech.pcm for speech in spoken)
    assert [voice.name for _, voice in others.spoken] == ["Puck", "Zephyr"]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("piper:/nowhere/voice.onnx", "engines.voices.Kore: There is no /nowhere/voice.onnx."),
        ("trumpet", "engines.voices.Kore: There is no tts engine named 'trumpet'"),
    ],
)
def test_an_engine_of_a_name_that_is_not_to_be_had(spec: str, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        cast(Kore=spec)


def test_an_engine_that_has_no_such_voice() -> None:
    with pytest.raises(EngineError, match=r"engines\.voices\.Sulafat: scripted has no voice of this name"):
        cast(Sulafat="scripted")


def writer(llm: str, eyes: str, **openai: Any) -> Any:
    """The language model behind the responder, and behind what translates."""
    return load(llm, eyes, **openai).responder._llm.llm  # type: ignore[attr-defined]


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
