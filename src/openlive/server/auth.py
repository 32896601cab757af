"""Who is calling: credentials, keys, and the checks that keep web pages out of a server without keys.

The upgrade always succeeds; a refusal is a close frame after the setup was read (protocol.md 1.4, 5), so everything
here gives an answer and raises nothing but errors of configuration. Keys never enter a log, a message or a repr.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from openlive.server.listener import is_loopback
from openlive.wire.errors import API_KEY_INVALID, UNREGISTERED_CALLER, Refusal

Headers = Iterable[tuple[bytes, bytes]]
"""As in an ASGI scope: lower-case names."""

Source = Literal["key", "access_token", "x-goog-api-key", "token", "bearer"]

_SCHEMES: dict[str, Source] = {"token": "token", "bearer": "bearer"}
TOKEN_PREFIX = "auth_tokens/"  # noqa: S105 - what ephemeral tokens begin with, none itself


class KeysError(ValueError):
    """Keys cannot be used as configured; the message says which and why, without the key."""


class Key(Struct, frozen=True):
    """A key of the configuration. Sessions, limits and logs go by its name."""

    name: str
    key: str

    def __repr__(self) -> str:
        return f"Key(name={self.name!r})"


class Principal(Struct, frozen=True):
    """On whose behalf a session runs: a key by its name. Stored sessions are bound to it."""

    name: str
    anonymous: bool = False


LOCAL = Principal("local", anonymous=True)
"""Whoever calls a server without keys, which only this machine can reach."""


class Credential(Struct, frozen=True):
    """What a client showed, and where."""

    value: str
    source: Source

    def __repr__(self) -> str:
        return f"Credential(source={self.source!r})"

    @property
    def ephemeral(self) -> bool:
        """It has the form of an ephemeral token."""
        return self.value.startswith(TOKEN_PREFIX)


# --- what the client shows --------------------------------------------------------------------------------------------


def credentials(headers: Headers, query: bytes) -> tuple[Credential, ...]:
    """Every credential of a request, in the order in which they are tried: a client may well show the same one twice
    (Python sends ephemeral tokens in two headers), and a proxy may add one of its own."""
    return tuple(dict.fromkeys([*_from_query(query), *_from_headers(headers)]))


def _from_query(query: bytes) -> Iterator[Credential]:
    for pair in query.decode("ascii", "replace").split("&"):
        name, _, value = pair.partition("=")
        value = unquote(value).strip()  # + is itself here, and %2F a slash
        if name == "access_token" and value:
            yield Credential(value, "access_token")
        elif name == "key" and value:
            yield Credential(value, "key")


def _from_headers(headers: Headers) -> Iterator[Credential]:
    for name, raw in headers:
        value = raw.decode("latin-1").strip()
        if name == b"authorization":
            scheme, _, rest = value.partition(" ")
            source = _SCHEMES.get(scheme.lower())
            if source and rest.strip():
                yield Credential(rest.strip(), source)
        elif name == b"x-goog-api-key" and value:
            yield Credential(value, "x-goog-api-key")


# --- keys -------------------------------------------------------------------------------------------------------------


def parse_keys(text: str, source: str) -> tuple[Key, ...]:
    """The keys of a file or of OPENLIVE_KEYS: `name:key` or `key`, one a line or between commas; `#` begins a comment
    line. `source` names the text in errors. Raises `KeysError`."""
    found: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        for entry in line.split(","):
            if not entry.strip():
                continue
            name, colon, key = (part.strip() for part in entry.partition(":"))
            if not colon:
                name, key = f"key-{len(found) + 1}", name
            if not name or not key:
                raise KeysError(f"{source}, line {number}: a key is `name:key` or `key`.")
            found.append(Key(name, key))
    return check_keys(found, source)


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
        if key.name in names:
            raise KeysError(f"{source}: there are two keys named {key.name!r}.")
        if key.key in values:
            raise KeysError(f"{source}: {values[key.key]!r} and {key.name!r} are the same key.")
        names.add(key.name)
        values[key.key] = key.name
    return tuple(keys)


class Keyring:
    """Tells who may come in."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = [(_digest(key.key), Principal(key.name)) for key in keys]

    def __bool__(self) -> bool:
        """Whether there are keys at all. Without, anybody is let in as `LOCAL`: `require_keys_or_loopback` saw to it
        that nobody else can reach the server."""
        return bool(self._keys)

    def admit(self, shown: Sequence[Credential]) -> Principal | Refusal:
        """Whoever holds one of the keys, or why not."""
        if not self._keys:
            return LOCAL
        for credential in shown:
            principal = self._holder(credential.value)
            if principal is not None:
                return principal
        return API_KEY_INVALID if shown else UNREGISTERED_CALLER

    def _holder(self, value: str) -> Principal | None:
        """Compares with every key, in the same time whichever it is."""
        digest, found = _digest(value), None
        for known, principal in self._keys:
            if hmac.compare_digest(digest, known):
                found = principal
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def require_keys_or_loopback(host: str, keys: Iterable[Key]) -> None:
    """Raises `KeysError` where a server would be open to everybody."""
    if not is_loopback(host) and not tuple(keys):
        raise KeysError(
            f"The server would listen on {host}, where others can reach it, without any key. Configure keys "
            "(server.keys, server.key_file or OPENLIVE_KEYS), or listen on 127.0.0.1."
        )


# --- a server without keys --------------------------------------------------------------------------------------------


def door(headers: Headers, origins: Iterable[str] = ()) -> str | None:
    """Why a request to a server without keys is refused, or None.

    Any web page can make its visitor's browser talk to localhost. A page's own name in Origin gives it away, and its
    own name in Host where it has had that name resolved to 127.0.0.1 (DNS rebinding). `origins` are allowed besides
    the loopback ones.
    """
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not _loopback_authority(hosts[0]):
        return "The Host header is not a loopback name, and this server has no keys."
    allowed = {origin.lower().rstrip("/") for origin in origins}
    for name, value in headers:
        if name != b"origin":
            continue
        origin = value.decode("latin-1").strip().lower()
        if origin not in allowed and not _loopback_origin(origin):
            return f"The origin {origin[:60]} is not allowed; see server.allowed_origins."
    return None


def _loopback_authority(authority: str) -> bool:
    try:
        parts = urlsplit(f"//{authority.strip()}")
        return parts.netloc == authority.strip() and "@" not in authority and is_loopback(parts.hostname or "")
    except ValueError:
        return False


def _loopback_origin(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and "@" not in origin and is_loopback(parts.hostname or "")
    except ValueError:
        return False
