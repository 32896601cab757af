"""Reads the configuration: a TOML file and OPENLIVE_* variables. Every error names the place:
`openlive.toml: server.port: …`."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from openlive.config.keys import Key, KeysError, check_keys, parse_keys, read_keys
from openlive.config.model import (
    Config,
    ConfigError,
    EngineSettings,
    LimitSettings,
    ServerSettings,
    StoreSettings,
    ToolSettings,
    suggestion,
)
from openlive.profiles import PROFILES, ProfileSettings, default_profile

FILE_NAME = "openlive.toml"


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of a file (else of OPENLIVE_CONFIG, else of `openlive.toml` here if there is one), overridden
    by the environment. Raises `ConfigError`."""
    environ = os.environ if environ is None else environ
    path = find_file(path, environ)
    if path is None:
        return parse_config("", "defaults", environ)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return parse_config(text, str(path), environ, path.parent)


def find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is None and environ.get("OPENLIVE_CONFIG"):
        path = Path(environ["OPENLIVE_CONFIG"])
    if path is None and Path(FILE_NAME).is_file():
        path = Path(FILE_NAME)
    return path


def secret_files(config: Config, path: Path | None = None, environ: Mapping[str, str] | None = None) -> list[Path]:
    """The files that a configuration which was loaded from there has keys in."""
    server = config.server
    files = [Path(name) for name in (server.key_file, server.certificate_key or server.certificate) if name]
    own = find_file(path, os.environ if environ is None else environ)
    if own is not None and re.search(
        r"^\s*(keys\s*=\s*\[\s*[^\s\]]|api_key\s*=)", own.read_text("utf-8"), re.MULTILINE
    ):
        files.append(own)
    return files


def parse_config(
    text: str, source: str = FILE_NAME, environ: Mapping[str, str] | None = None, base: Path = Path()
) -> Config:
    """The configuration of a TOML text. `source` names it in errors; paths in it are relative to `base`. Raises
    `ConfigError`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: {error}") from error
    _refuse_unknown(data, Config, source, ())
    models = _merge_models(data.pop("models", {}), source)
    overrides = _from_environment(environ or {})
    config = _convert_config({**data, "models": models}, source)
    for (section, name), value in overrides.items():
        part = msgspec.structs.asdict(getattr(config, section)) | {name: value}
        config = msgspec.structs.replace(config, **{section: _convert_part(section, name, part)})
    return _with_keys(config, source, environ or {}, base)


def _convert_config(data: dict[str, Any], source: str) -> Config:
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
            raise ConfigError(f"{source}: {here}: there is no such option{suggestion(name, hints)}")
        kind = hints[name]
        if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, dict):
            _refuse_unknown(value, kind, source, (*path, name))
        elif kind == tuple[Key, ...] and isinstance(value, list):
            for i, entry in enumerate(value):
                if isinstance(entry, dict):
                    _refuse_unknown(entry, Key, source, (*path, f"{name}[{i}]"))


def _merge_models(tables: Any, source: str) -> dict[str, Any]:
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
                raise ConfigError(f"{source}: {path}.{key}: there is no such option{suggestion(key, hints)}")
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


_SECTIONS: dict[str, type[Struct]] = {
    "server": ServerSettings,
    "limits": LimitSettings,
    "store": StoreSettings,
    "engines": EngineSettings,
    "tools": ToolSettings,
}


def option_variables() -> dict[str, tuple[str, str]]:
    """Every variable that sets one option: `OPENLIVE_SERVER_PORT` -> ("server", "port")."""
    found = {}
    for section, struct in _SECTIONS.items():
        for name, kind in get_type_hints(struct).items():
            if kind in (str, int, float) or kind == tuple[str, ...]:
                found[f"OPENLIVE_{section}_{name}".upper()] = (section, name)
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    known, found = option_variables(), {}
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
            raise ConfigError(f"{variable}: there is no such option{suggestion(variable, known)}")
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

    def resolve_path(text: str) -> str:
        return str(base / Path(text).expanduser()) if text else ""

    kind, _, file = config.store.location.partition(":")
    return msgspec.structs.replace(
        config,
        store=msgspec.structs.replace(config.store, location=f"{kind}:{resolve_path(file)}" if file else kind),
        server=msgspec.structs.replace(
            server,
            keys=together,
            key_file=resolve_path(server.key_file),
            certificate=resolve_path(server.certificate),
            certificate_key=resolve_path(server.certificate_key),
        ),
    )
