"""The configuration: a TOML file and OPENLIVE_* variables, made into one frozen value.

`openlive.example.toml` holds every option with its default and what it means; a test keeps the two in step. Every error
names the place: `openlive.toml: server.port: …`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from openlive.profiles import PROFILES, ProfileSettings, default_profile
from openlive.server.auth import Key, Keyring, KeysError, Reread, check_keys, parse_keys, read_keys
from openlive.server.store import Bounds

FILE_NAME = "openlive.toml"


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

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.total_bytes, self.key_bytes)


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
                raise ValueError(f"engines.voices.{name}: no model offers this voice{_suggestion(name, offered)}")

    def profile(self, name: str) -> tuple[str, ProfileSettings] | None:
        """The profile behind a model name or alias, with or without `models/`, and its own name."""
        name = name.removeprefix("models/")
        if name in self.models:
            return name, self.models[name]
        return next(((own, p) for own, p in self.models.items() if name in p.aliases), None)


# --- reading ----------------------------------------------------------------------------------------------------------


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of a file (else of OPENLIVE_CONFIG, else of `openlive.toml` here if there is one), overridden
    by the environment. Raises `ConfigError`."""
    environ = os.environ if environ is None else environ
    path = _file(path, environ)
    if path is None:
        return parse("", "defaults", environ)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return parse(text, str(path), environ, path.parent)


def _file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is None and environ.get("OPENLIVE_CONFIG"):
        path = Path(environ["OPENLIVE_CONFIG"])
    if path is None and Path(FILE_NAME).is_file():
        path = Path(FILE_NAME)
    return path


def keyring(config: Config, path: Path | None = None, environ: Mapping[str, str] | None = None) -> Keyring:
    """The keys of a configuration that was loaded from there. They follow the files that they stand in."""
    environ = os.environ if environ is None else environ
    found = _file(path, environ)

    def files(config: Config) -> list[Path]:
        key_file = config.server.key_file
        return [*([found] if found else []), *([Path(key_file)] if key_file else [])]

    def reread() -> Reread:
        try:
            now = load(found, environ)
        except ConfigError as error:
            raise KeysError(str(error)) from error
        return Reread(now.server.keys, files(now))

    return Keyring(config.server.keys, files(config), reread if files(config) else None)


def secret_files(config: Config, path: Path | None = None, environ: Mapping[str, str] | None = None) -> list[Path]:
    """The files that a configuration which was loaded from there has keys in."""
    server = config.server
    files = [Path(name) for name in (server.key_file, server.certificate_key or server.certificate) if name]
    own = _file(path, os.environ if environ is None else environ)
    if own is not None and re.search(
        r"^\s*(keys\s*=\s*\[\s*[^\s\]]|api_key\s*=)", own.read_text("utf-8"), re.MULTILINE
    ):
        files.append(own)
    return files


def parse(text: str, source: str = FILE_NAME, environ: Mapping[str, str] | None = None, base: Path = Path()) -> Config:
    """The configuration of a TOML text. `source` names it in errors; paths in it are relative to `base`. Raises
    `ConfigError`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: {error}") from error
    _refuse_unknown(data, Config, source, ())
    models = _models(data.pop("models", {}), source)
    overrides = _from_environment(environ or {})
    config = _convert({**data, "models": models}, source)
    for (section, name), value in overrides.items():
        part = msgspec.structs.asdict(getattr(config, section)) | {name: value}
        config = msgspec.structs.replace(config, **{section: _convert_part(section, name, part)})
    return _with_keys(config, source, environ or {}, base)


def _convert(data: dict[str, Any], source: str) -> Config:
    try:
        return msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_at_path(error)}") from error


def _at_path(error: msgspec.ValidationError) -> str:
    """`Expected `int`, got `str` - at `$.server.port`` as `server.port: Expected `int`, got `str``."""
    message, _, path = str(error).partition(" - at `$")
    return f"{path.removesuffix('`').lstrip('.')}: {message}" if path else message


def _refuse_unknown(data: Mapping[str, Any], struct: type[Struct], source: str, path: tuple[str, ...]) -> None:
    """msgspec names one unknown key without a hint; this gives the nearest."""
    hints = get_type_hints(struct)
    for name, value in data.items():
        here = ".".join((*path, name))
        if name not in hints:
            raise ConfigError(f"{source}: {here}: there is no such option{_suggestion(name, hints)}")
        kind = hints[name]
        if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, dict):
            _refuse_unknown(value, kind, source, (*path, name))
        elif kind == tuple[Key, ...] and isinstance(value, list):
            for i, entry in enumerate(value):
                if isinstance(entry, dict):
                    _refuse_unknown(entry, Key, source, (*path, f"{name}[{i}]"))


def _suggestion(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f". There are: {', '.join(known)}."


# --- models -----------------------------------------------------------------------------------------------------------


def _models(tables: Any, source: str) -> dict[str, Any]:
    """The built-in profiles, overridden and added to by the file's. A new one begins with what its kind implies."""
    if not isinstance(tables, dict):
        raise ConfigError(f'{source}: models: must be tables, as in [models."my-model"]')
    merged: dict[str, Any] = {name: msgspec.to_builtins(profile) for name, profile in PROFILES.items()}
    for name, table in tables.items():
        path = f'models."{name}"'
        if not isinstance(table, dict):
            raise ConfigError(f"{source}: {path}: must be a table")
        if name.startswith("models/"):
            raise ConfigError(f"{source}: {path}: write the name without models/")
        hints = get_type_hints(ProfileSettings)
        for key in table:
            if key not in hints:
                raise ConfigError(f"{source}: {path}.{key}: there is no such option{_suggestion(key, hints)}")
        kind = table.get("kind", merged.get(name, {}).get("kind", "half-cascade"))
        kinds = get_args(hints["kind"])
        if kind not in kinds:
            raise ConfigError(f"{source}: {path}.kind: {kind!r} is none of {', '.join(kinds)}")
        same_kind = kind == merged.get(name, {}).get("kind")
        start = merged[name] if same_kind else msgspec.to_builtins(default_profile(kind))
        try:
            profile = msgspec.convert(start | table, ProfileSettings)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{source}: {path}.{_at_path(error)}") from error
        merged[name] = msgspec.to_builtins(profile)
    _refuse_double_names(merged, set(tables), source)
    return merged


def _refuse_double_names(models: dict[str, Any], own: set[str], source: str) -> None:
    """An alias of a built-in profile gives way to a name or alias of the file; two of the file may not collide."""
    taken: dict[str, str] = {name: name for name in models}
    for name in sorted(models, key=lambda n: n not in own):
        kept = []
        for alias in models[name]["aliases"]:
            if alias not in taken:
                taken[alias] = name
                kept.append(alias)
            elif name in own and (taken[alias] in own or taken[alias] == alias):
                raise ConfigError(f'{source}: models."{name}".aliases: {alias!r} already names {taken[alias]!r}')
        models[name]["aliases"] = kept


# --- the environment --------------------------------------------------------------------------------------------------

_SECTIONS: dict[str, type[Struct]] = {
    "server": ServerSettings,
    "limits": LimitSettings,
    "store": StoreSettings,
    "engines": EngineSettings,
    "tools": ToolSettings,
}


def variables() -> dict[str, tuple[str, str]]:
    """Every variable that sets one option: `OPENLIVE_SERVER_PORT` -> ("server", "port")."""
    found = {}
    for section, struct in _SECTIONS.items():
        for name, kind in get_type_hints(struct).items():
            if kind in (str, int, float) or kind == tuple[str, ...]:
                found[f"OPENLIVE_{section}_{name}".upper()] = (section, name)
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    known, found = variables(), {}
    for variable, text in environ.items():
        if variable in known:
            section, name = known[variable]
            kind = get_type_hints(_SECTIONS[section])[name]
            listed = get_origin(kind) is tuple
            value: Any = [part.strip() for part in text.split(",") if part.strip()] if listed else text
            try:
                found[section, name] = msgspec.convert(value, kind, strict=False)
            except msgspec.ValidationError as error:
                raise ConfigError(f"{variable}: {_at_path(error)}") from error
        elif re.match(r"OPENLIVE_(SERVER|LIMITS|STORE|ENGINES|TOOLS)_", variable):
            raise ConfigError(f"{variable}: there is no such option{_suggestion(variable, known)}")
    return found


def _convert_part(section: str, name: str, part: dict[str, Any]) -> Struct:
    try:
        return _SECTIONS[section](**part)
    except ValueError as error:
        raise ConfigError(f"OPENLIVE_{section}_{name}".upper() + f": {error}") from error


def _with_keys(config: Config, source: str, environ: Mapping[str, str], base: Path) -> Config:
    """The keys of the file, of its key file and of OPENLIVE_KEYS together."""
    server = config.server
    try:
        keys = [*check_keys(server.keys, f"{source}: server.keys")]
        if server.key_file:
            keys += read_keys(base / Path(server.key_file).expanduser())
        keys += parse_keys(environ.get("OPENLIVE_KEYS", ""), "OPENLIVE_KEYS")
        together = check_keys(keys, f"{source}: all keys together")
    except KeysError as error:
        raise ConfigError(str(error)) from error

    def path(text: str) -> str:
        return str(base / Path(text).expanduser()) if text else ""

    kind, _, file = config.store.location.partition(":")
    return msgspec.structs.replace(
        config,
        store=msgspec.structs.replace(config.store, location=f"{kind}:{path(file)}" if file else kind),
        server=msgspec.structs.replace(
            server,
            keys=together,
            key_file=path(server.key_file),
            certificate=path(server.certificate),
            certificate_key=path(server.certificate_key),
        ),
    )
