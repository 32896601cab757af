"""What can be configured, as one frozen value.

`openlive.example.toml` holds every option with its default and what it means; a test keeps the two in step.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any, Literal

import msgspec
from msgspec import Struct

from openlive.config.keys import Key
from openlive.profiles import PROFILES, ProfileSettings


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file and the option."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class ServerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to listen, and for whom."""

    host: str = "127.0.0.1"
    port: int = 9080
    names: tuple[str, ...] = ()
    certificate: str = ""
    certificate_key: str = ""
    allowed_origins: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    key_file: str = ""
    admin_keys: tuple[str, ...] = ()
    drain_seconds: float = 10.0
    keepalive_seconds: float = 60.0
    ping_seconds: float = 20.0
    silence_seconds: float = 600.0

    def __post_init__(self) -> None:
        for name in ("drain_seconds", "keepalive_seconds", "ping_seconds", "silence_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.ping_seconds and 0 < self.silence_seconds <= self.ping_seconds:
            raise ValueError("silence_seconds must be longer than ping_seconds, or nobody can answer in time")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port} is outside 0 to 65535")
        if self.certificate_key and not self.certificate:
            raise ValueError("certificate_key needs a certificate")


UNLIMITED = (
    "sessions",
    "wait_seconds",
    "connection_seconds",
    "session_seconds",
    "video_seconds",
    "call_seconds",
    "tool_seconds",
)
"""Limits that 0 switches off."""
PRESETS: dict[str, dict[str, float]] = {
    "unlimited": {},
    "documented": {"connection_seconds": 600.0, "session_seconds": 900.0, "video_seconds": 120.0},
}
"""What a preset puts in the place of 0 (docs/protocol.md#limits-and-compression)."""


class LimitSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What clients may take (seconds, bytes)."""

    message_bytes: int = 16 * 1024 * 1024
    message_fragments: int = 4096
    control_frames: int = 200
    message_values: int = 65_536
    setup_bytes: int = 1024 * 1024
    setup_seconds: float = 10.0
    first_byte_seconds: float = 5.0
    unauthenticated_sockets: int = 256
    connections_per_second: float = 100.0
    sessions: int = 0
    wait_seconds: float = 30.0
    detector_seconds: float = 10.0
    recogniser_seconds: float = 30.0
    reply_seconds: float = 60.0
    backlog_seconds: float = 600.0
    utterance_seconds: float = 600.0
    ahead_seconds: float = 120.0
    unsent_bytes: int = 8 * 1024 * 1024
    image_bytes: int = 64 * 1024 * 1024
    speculation_waste: float = 0.8
    preset: str = "unlimited"
    connection_seconds: float = 0.0
    session_seconds: float = 0.0
    video_seconds: float = 0.0
    call_seconds: float = 0.0
    tool_seconds: float = 60.0

    def duration(self, name: str) -> float:
        """One of the options that the preset has a say in; 0: no limit."""
        set_here: float = getattr(self, name)
        return set_here or PRESETS[self.preset].get(name, 0.0)

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset {self.preset!r} is none of {', '.join(PRESETS)}")
        for name in self.__struct_fields__:
            if name == "preset":
                continue
            if name == "speculation_waste":
                if not 0 <= self.speculation_waste <= 1:
                    raise ValueError(f"{name} is a share, from 0 to 1")
                continue
            if name in UNLIMITED and getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative; 0 is no limit")
            if name not in UNLIMITED and getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where sessions that can be resumed and ephemeral tokens are kept: `memory`, or `sqlite:` and a path."""

    location: str = "memory"
    total_bytes: int = 256 * 1024 * 1024
    key_bytes: int = 128 * 1024 * 1024
    resumption_seconds: float = 7200.0

    def __post_init__(self) -> None:
        kind, _, path = self.location.partition(":")
        if (kind, bool(path)) not in (("memory", False), ("sqlite", True)):
            raise ValueError(f"location {self.location!r} is neither memory nor sqlite:/path/to/file")
        if min(self.total_bytes, self.key_bytes, self.resumption_seconds) <= 0:
            raise ValueError("total_bytes, key_bytes and resumption_seconds must be positive")


class EngineSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which engines do the work: `name` or `name:argument`."""

    vad: str = "silero"
    turn: str = "smart-turn"
    stt: str = "auto"
    llm: str = "auto"
    tts: str = "kokoro"
    eyes: str = "rapidocr"
    addressee: str = "auto"
    threads: int = 0
    settings: dict[str, dict[str, Any]] = {}
    voices: dict[str, str] = {}

    def __post_init__(self) -> None:
        named = {name: getattr(self, name) for name in ("vad", "stt", "llm", "tts")}
        for name, spec in (named | {f"voices.{voice}": own for voice, own in self.voices.items()}).items():
            if not spec.partition(":")[0].strip():
                raise ValueError(f"{name} names no engine")
        if self.threads < 0:
            raise ValueError("threads must not be negative")

    def settings_of(self, kind: str, spec: str) -> dict[str, Any]:
        """What the table of an engine says. A table of the kind's name in it is for that kind alone, and goes before:
        one server may hear and speak with different models."""
        kinds = ("vad", "turn", "stt", "llm", "tts", "eyes")
        table = self.settings.get(spec.partition(":")[0], {})
        own = {key: value for key, value in table.items() if not (key in kinds and isinstance(value, dict))}
        special = table.get(kind)
        return own | special if isinstance(special, dict) else own


class ToolSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the model may do on the server: `name` or `name:argument` of what does it, '' for nothing."""

    google_search: str = ""
    url_context: str = ""
    code_execution: str = ""
    missing: Literal["accept", "refuse"] = "accept"
    settings: dict[str, dict[str, Any]] = {}


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be configured. `models` maps the name that a client asks for to what it gets."""

    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    store: StoreSettings = StoreSettings()
    engines: EngineSettings = EngineSettings()
    tools: ToolSettings = ToolSettings()
    models: dict[str, ProfileSettings] = msgspec.field(default_factory=lambda: dict(PROFILES))

    def __post_init__(self) -> None:
        offered = {voice for profile in self.models.values() for voice in profile.voices}
        for name in self.engines.voices:
            if name not in offered:
                raise ValueError(f"engines.voices.{name}: no model offers this voice{suggestion(name, offered)}")

    def profile(self, name: str) -> tuple[str, ProfileSettings] | None:
        """The profile behind a model name or alias, with or without `models/`, and its own name."""
        name = name.removeprefix("models/")
        if name in self.models:
            return name, self.models[name]
        return next(((own, p) for own, p in self.models.items() if name in p.aliases), None)


# --- reading ----------------------------------------------------------------------------------------------------------


def suggestion(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f". There are: {', '.join(known)}."


# --- models -----------------------------------------------------------------------------------------------------------


# --- the environment --------------------------------------------------------------------------------------------------
