"""Keys as they are configured: by name and with limits, in a file or a variable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

TOKEN_PREFIX = "auth_tokens/"  # noqa: S105 - what ephemeral tokens begin with, none itself


class KeysError(ValueError):
    """Keys cannot be used as configured; the message says which and why, without the key."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class Key(Struct, frozen=True):
    """A key of the configuration. Sessions, limits and logs go by its name.

    `sessions` may be open at once, `sessions_per_minute` begun within a minute; 0 is no limit.
    """

    name: str
    key: str
    sessions: int = 0
    sessions_per_minute: int = 0

    def __repr__(self) -> str:
        return f"Key(name={self.name!r})"


def parse_keys(text: str, source: str) -> tuple[Key, ...]:
    """The keys of a file or of OPENLIVE_KEYS: `name:key` or `key`, one a line or between commas, each with its limits
    behind it (`anna:AIza… sessions=4 sessions_per_minute=10`); `#` begins a comment line. `source` names the text in
    errors. Raises `KeysError`."""
    found: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for entry in line.split(","):
            if not entry.strip():
                continue
            name, colon, rest = entry.partition(":")
            if not colon:
                name, rest = f"key-{len(found) + 1}", entry
            key, *limits = rest.split() or [""]
            if not name.strip() or not key:
                raise KeysError(f"{source}, line {number}: a key is `name:key` or `key`.")
            found.append(Key(name.strip(), key, **_limits(limits, f"{source}, line {number}")))
    return check_keys(found, source)


def _limits(words: Sequence[str], source: str) -> dict[str, int]:
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in ("sessions", "sessions_per_minute") or not re.fullmatch("[0-9]{1,9}", value):
            raise KeysError(f"{source}: behind a key come `sessions=N` and `sessions_per_minute=N`, nothing else.")
        found[name] = int(value)
    return found


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a file. Raises `KeysError`."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"The key file {path} cannot be read: {error}") from error
    keys = parse_keys(text, str(path))
    if not keys:
        raise KeysError(f"The key file {path} holds no key.")
    return keys


def check_keys(keys: Sequence[Key], source: str) -> tuple[Key, ...]:
    """The keys, each of which can be told from the others. Raises `KeysError`."""
    names: set[str] = set()
    values: dict[str, str] = {}
    for key in keys:
        if not key.name.strip() or not key.key.strip():
            raise KeysError(f"{source}: a key needs a name and a value.")
        if min(key.sessions, key.sessions_per_minute) < 0:
            raise KeysError(f"{source}: the limits of {key.name!r} must not be negative.")
        if key.key.startswith(TOKEN_PREFIX):
            raise KeysError(f"{source}: the key {key.name!r} begins with {TOKEN_PREFIX}, as ephemeral tokens do.")
        if key.name in names:
            raise KeysError(f"{source}: there are two keys named {key.name!r}.")
        if key.key in values:
            raise KeysError(f"{source}: {values[key.key]!r} and {key.name!r} are the same key.")
        names.add(key.name)
        values[key.key] = key.name
    return tuple(keys)
