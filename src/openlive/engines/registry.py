"""Finds engines by name through entry points, the built-in ones too.

A spec is `name` or `name:argument` (`qwen2.5-1.5b`, `gguf:/models/my.gguf`, `openai:http://127.0.0.1:8000/v1`). The
name is an entry point of the group `openlive.vad`, `.turn`, `.stt`, `.llm`, `.tts`, `.eyes` or `.addressee`; it points
to a factory. Tools of the server's are found alike: `openlive.google_search`, `.url_context`, `.code_execution`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from openlive.private import without_secrets

Kind = Literal[
    "vad", "turn", "stt", "llm", "tts", "eyes", "addressee", "google_search", "url_context", "code_execution"
]


class EngineError(Exception):
    """An engine cannot be had; the message says which, why, and what to do."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class Resources(Struct, frozen=True):
    """What a factory may use.

    `weights(name)` returns the folder of a catalogue entry and fetches it first where it is absent (blocking, with
    progress shown by whoever made it). `threads` is how many cores one engine may use at once, `memory` the bytes that
    this process may fill with weights. `settings` are the free keys of the engine's table in the configuration.
    `computed` is a folder for what an engine computes once and may find again after a restart; None: there is none.
    """

    weights: Callable[[str], Path]
    threads: int
    memory: int
    settings: dict[str, Any] = {}
    computed: Path | None = None


class Factory(Protocol):
    def __call__(self, argument: str, resources: Resources) -> Any:
        """Loads the engine (blocking; called in a thread). `argument` is what followed the colon, or ''."""
        ...


def voices_in(settings: Mapping[str, Any], engine: str, example: str) -> dict[str, str]:
    """The setting `voices` of an engine, which says what voice of its own each name is. Raises `EngineError`."""
    value = settings.get("voices", {})
    if not isinstance(value, dict) or not all(isinstance(voice, str) for voice in value.values()):
        raise EngineError(
            f'{engine}: voices = {value!r} is no table of names. Write voices = {{ Puck = "{example}" }}.'
        )
    return value


def find(kind: Kind, name: str) -> EntryPoint:
    group = f"openlive.{kind}"
    found = entry_points(group=group, name=name)
    if not found:
        known = ", ".join(sorted({e.name for e in entry_points(group=group)})) or "none"
        raise EngineError(f"There is no {kind} engine named {name!r}. Installed: {known}.")
    return next(iter(found))


def load(kind: Kind, spec: str, resources: Resources) -> Any:
    """The engine that `spec` names, ready to work. Raises `EngineError`."""
    name, _, argument = spec.partition(":")
    try:
        factory: Factory = find(kind, name).load()
        return factory(argument, resources)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"The {kind} engine {without_secrets(spec)!r} could not be loaded: {error}") from error
