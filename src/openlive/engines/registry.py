"""Finds engines by name through entry points, the built-in ones too.

A spec is `name` or `name:argument` (`qwen2.5-1.5b`, `gguf:/models/my.gguf`, `openai:http://127.0.0.1:8000/v1`). The
name is an entry point of the group `openlive.vad`, `.turn`, `.stt`, `.llm`, `.tts`, `.eyes` or `.addressee`; it points
to a factory. Tools of the server's are found alike: `openlive.google_search`, `.url_context`, `.code_execution`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, Protocol

from openlive.engines.api import EngineError, Resources
from openlive.private import without_secrets

Kind = Literal[
    "vad", "turn", "stt", "llm", "tts", "eyes", "addressee", "google_search", "url_context", "code_execution"
]


class Factory(Protocol):
    def __call__(self, argument: str, resources: Resources) -> Any:
        """Loads the engine (blocking; called in a thread). `argument` is what followed the colon, or ''."""
        ...


def find_entry_point(kind: Kind, name: str) -> EntryPoint:
    group = f"openlive.{kind}"
    found = entry_points(group=group, name=name)
    if not found:
        known = ", ".join(sorted({e.name for e in entry_points(group=group)})) or "none"
        raise EngineError(f"There is no {kind} engine named {name!r}. Installed: {known}.")
    return next(iter(found))


def load_engine(kind: Kind, spec: str, resources: Resources) -> Any:
    """The engine that `spec` names, ready to work. Raises `EngineError`."""
    name, _, argument = spec.partition(":")
    try:
        factory: Factory = find_entry_point(kind, name).load()
        return factory(argument, resources)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"The {kind} engine {without_secrets(spec)!r} could not be loaded: {error}") from error
