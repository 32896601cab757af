"""Who is calling: credentials, keys, and the checks that keep web pages out of a server without keys.

The upgrade always succeeds; a refusal is a close frame after the setup was read (docs/protocol.md#connecting,
#close-codes-and-reasons), so everything here gives an answer and raises nothing but errors of configuration. Keys never
enter a log, a message or a repr.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote

from msgspec import Struct

from openlive.config.keys import TOKEN_PREFIX, Key, KeysError
from openlive.config.load import find_file, load_config
from openlive.config.model import Config, ConfigError
from openlive.server.net.listener import is_loopback
from openlive.wire.errors import API_KEY_INVALID, UNREGISTERED_CALLER, Refusal

_LOG = logging.getLogger(__name__)

Headers = Iterable[tuple[bytes, bytes]]
"""As in an ASGI scope: lower-case names."""

Source = Literal["key", "access_token", "x-goog-api-key", "token", "bearer"]

_SCHEMES: dict[str, Source] = {"token": "token", "bearer": "bearer"}


class Principal(Struct, frozen=True):
    """On whose behalf a session runs: a key by its name. Stored sessions are bound to it.

    An ephemeral token stands for the key that it was made with.
    """

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


class Reread(NamedTuple):
    """The keys as they are configured now, and the files that say so."""

    keys: Sequence[Key]
    files: Sequence[Path]


class Keyring:
    """Tells who may come in.

    With `reread` it follows its files: `refresh` compares their times and reads them anew where one has changed. Keys
    that cannot be read leave things as they are. What had keys once never opens to everybody again.
    """

    def __init__(
        self, keys: Iterable[Key] = (), files: Sequence[Path] = (), reread: Callable[[], Reread] | None = None
    ) -> None:
        self._reread = reread
        self._files = files
        self._stamps: object = None
        self._guarded = False
        self._set(keys)

    def __bool__(self) -> bool:
        """Whether there are keys at all. Without, anybody is let in as `LOCAL`: `require_keys_or_loopback` saw to it
        that nobody else can reach the server."""
        return self._guarded

    def refresh(self) -> None:
        if self._reread is None:
            return
        stamps = [stamp(file) for file in self._files]
        if stamps == self._stamps:
            return
        try:
            read = self._reread()
        except KeysError as error:
            _LOG.error("The keys stay as they were, because they cannot be read: %s", error)
            self._stamps = stamps
            return
        before = set(self._limits)
        self._set(read.keys)
        self._files = read.files
        self._stamps = [stamp(file) for file in self._files]
        if before != set(self._limits):
            _LOG.info("There are %d keys now", len(self._limits))

    def admit(self, shown: Sequence[Credential]) -> Principal | Refusal:
        """Whoever holds one of the keys, or why not. Ephemeral tokens are no keys."""
        permanent = [credential for credential in shown if not credential.ephemeral]
        if shown and not permanent:
            return UNREGISTERED_CALLER
        if not self._guarded:
            return LOCAL
        for credential in permanent:
            principal = self._holder(credential.value)
            if principal is not None:
                return principal
        return API_KEY_INVALID if shown else UNREGISTERED_CALLER

    def named(self, name: str) -> Principal | None:
        """The one of that name, if it may still come in."""
        if not self._guarded:
            return LOCAL if name == LOCAL.name else None
        return Principal(name) if name in self._limits else None

    def limits(self, principal: Principal) -> tuple[int, int]:
        """How many sessions it may have at once, and begin within a minute; 0 is no limit."""
        return self._limits.get(principal.name, (0, 0))

    def _set(self, keys: Iterable[Key]) -> None:
        keys = tuple(keys)
        self._keys = [(_digest(key.key), Principal(key.name)) for key in keys]
        self._limits = {key.name: (key.sessions, key.sessions_per_minute) for key in keys}
        self._guarded = self._guarded or bool(keys)

    def _holder(self, value: str) -> Principal | None:
        """Compares with every key, in the same time whichever it is."""
        digest, found = _digest(value), None
        for known, principal in self._keys:
            if hmac.compare_digest(digest, known):
                found = principal
        return found


def stamp(file: Path) -> object:
    """Changes whenever the file does, as far as the file system can tell."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


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


_AUTHORITY = r"(\[[0-9a-f:.]+\]|[0-9a-z_.-]+)(:[0-9]{1,5})?"
_HOST = re.compile(_AUTHORITY, re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(f"https?://{_AUTHORITY}", re.ASCII | re.IGNORECASE)
"""What browsers send, whole (RFC 6454 6.2). `urlsplit` finds a host in what is none: `[::1]` in `[::1].evil`."""


def _loopback_authority(authority: str) -> bool:
    found = _HOST.fullmatch(authority.strip())
    return found is not None and is_loopback(found[1])


def _loopback_origin(origin: str) -> bool:
    found = _ORIGIN.fullmatch(origin)
    return found is not None and is_loopback(found[1])


def build_keyring(config: Config, path: Path | None = None, environ: Mapping[str, str] | None = None) -> Keyring:
    """The keys of a configuration that was loaded from there. They follow the files that they stand in."""
    environ = os.environ if environ is None else environ
    found = find_file(path, environ)

    def list_key_files(config: Config) -> list[Path]:
        key_file = config.server.key_file
        return [*([found] if found else []), *([Path(key_file)] if key_file else [])]

    def reread_keys() -> Reread:
        try:
            now = load_config(found, environ)
        except ConfigError as error:
            raise KeysError(str(error)) from error
        return Reread(now.server.keys, list_key_files(now))

    return Keyring(config.server.keys, list_key_files(config), reread_keys if list_key_files(config) else None)
