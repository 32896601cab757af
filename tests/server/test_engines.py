from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import psutil
import pytest
from msgspec.structs import replace

from openlive.config.model import Config, EngineSettings, ServerSettings, ToolSettings
from openlive.engines.api import EngineError
from openlive.engines.llm.image_captions import CaptioningLLM
from openlive.engines.llm.openai import OpenAILLM
from openlive.server import engines
from openlive.server.engines import Engines, load_engines
from openlive.server.run import run
from openlive.testing.scripted import ScriptedEyes, ScriptedLLM, ScriptedTTS
from openlive.types import FunctionDeclaration, Request, Voice
from tests.serving import certificates

SETTINGS: dict[str, dict[str, Any]] = {"openai": {"model": "m"}, "scripted": {}}


def test_who_watches_has_to_see() -> None:
    """A model of somebody else's may not be able to tell at all."""
    seeing = load("scripted", "scripted")
    assert seeing.watcher is seeing.responder._llm.llm  # type: ignore[attr-defined]
    assert load("scripted", "").watcher is None
    assert isinstance(load("openai:http://127.0.0.1:1/v1", "").watcher, OpenAILLM)
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
    assert isinstance(seeing, CaptioningLLM)
    assert isinstance(seeing.llm, ScriptedLLM)
    assert isinstance(seeing._eyes, ScriptedEyes)
    assert isinstance(writer("scripted", ""), ScriptedLLM)
    assert isinstance(writer("openai:http://127.0.0.1:1/v1", "scripted", images=False), CaptioningLLM)
    assert not isinstance(writer("openai:http://127.0.0.1:1/v1", "not looked for"), CaptioningLLM)
    with pytest.raises(EngineError, match="There is no eyes engine named 'telescope'"):
        writer("scripted", "telescope")


class Closing:
    """Whatever engine it has to be; it counts its ends."""

    voices = ("Puck", "Kore")
    declaration = FunctionDeclaration("f", "Does it.", {})

    def __init__(self, *, fails: bool = False) -> None:
        self.closed = 0
        self._fails = fails

    async def prefill(self, request: Request) -> None: ...

    def forget(self, conversation: str) -> None: ...

    async def close(self) -> None:
        self.closed += 1
        if self._fails:
            raise OSError("no")


def loading(monkeypatch: pytest.MonkeyPatch, **made: Any) -> list[Any]:
    """What the registry loads, each engine of a kind by its name in `made`."""
    loaded: list[Any] = []

    def load_one(kind: str, spec: str, _: object) -> Any:
        engine = made.get(kind) or Closing()
        if isinstance(engine, Exception):
            raise engine
        loaded.append(engine)
        return engine

    monkeypatch.setattr(engines, "load_engine", load_one)
    return loaded


def test_all_engines_are_closed_once_when_the_server_stops(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those behind others, too: a voice of one name, a model that is told what images show."""
    chosen = EngineSettings("a", "a", "a", "a", "a", "a", "a", voices={"Puck": "b", "Kore": "b"})
    config = Config(engines=chosen, tools=ToolSettings("a", "a", "a"))
    loaded = loading(monkeypatch, eyes=Closing(fails=True))
    all_of_them = load_engines(config, pytest.fail, lambda _: None)
    assert len(loaded) == 11
    stop = anyio.Event()

    async def main() -> None:
        stop.set()
        local = replace(config, server=ServerSettings(port=0, certificate=str(certificates().server)))
        await run(local, all_of_them, shutdown=stop, ready=lambda _: None)

    anyio.run(main)
    assert [engine.closed for engine in loaded] == [1] * 11
    assert "Closing could not be closed: OSError" in caplog.text


def test_what_was_loaded_is_closed_where_another_engine_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = loading(monkeypatch, stt=EngineError("no"))
    with pytest.raises(EngineError):
        load_engines(Config(), pytest.fail, lambda _: None)
    assert len(loaded) > 2
    assert all(engine.closed == 1 for engine in loaded)


def test_an_end_that_never_comes_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck:
        async def close(self) -> None:
            await anyio.sleep_forever()

    monkeypatch.setattr(engines, "CLOSING", 0.05)
    after = Closing()
    anyio.run(engines.close, [Stuck(), after])
    assert after.closed == 1


@pytest.mark.parametrize("llm", ["scripted", "openai:http://127.0.0.1:1/v1"])
def test_nothing_of_an_engine_stays_after_its_end(llm: str) -> None:
    chosen = EngineSettings("scripted", "", "scripted", llm, "espeak", "", settings=SETTINGS)
    before, children = set(threading.enumerate()), set(psutil.Process().children())
    loaded = load_engines(Config(engines=chosen), pytest.fail, lambda _: None)

    async def main() -> None:
        async def clauses() -> AsyncIterator[str]:
            yield "Good morning."

        assert [piece async for piece in loaded.responder._tts.speak(clauses(), Voice("Puck"))]  # type: ignore[attr-defined]
        await loaded.close()

    anyio.run(main)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive(), thread
    assert not set(psutil.Process().children()) - children
