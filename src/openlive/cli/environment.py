"""The environment in which a program's SDK talks to openlive, and its other calls go on as before (docs/clients.md)."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path

import certifi

from openlive.server.net.tls import TLSError

ANY_KEY = "openlive"
"""What is shown to a server that accepts any key; both SDKs insist on one."""
ELSEWHERE = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")
"""With these the SDKs talk to another service than the one whose place openlive takes."""
LOCAL = ("localhost", "127.0.0.1", "::1")

_BLOCK = re.compile(rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.+?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL)


def for_program(environ: Mapping[str, str], url: str, key: str, ca: Path | None, folder: Path) -> dict[str, str]:
    """`environ` with what points both SDKs at `url`. Trust bundles are written to `folder`. Raises `TLSError`."""
    env = {name: value for name, value in environ.items() if name not in ELSEWHERE}
    env["GOOGLE_GEMINI_BASE_URL"] = url
    names = [name for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY") if env.get(name)]
    for name in names or ["GEMINI_API_KEY"]:  # the SDKs warn where both are set
        env[name] = key
    if ca is not None:
        own = environ.get("SSL_CERT_FILE")
        env["SSL_CERT_FILE"] = str(joined(folder, [own] if own else public_roots(), ca, "SSL_CERT_FILE"))
        extra = environ.get("NODE_EXTRA_CA_CERTS")
        env["NODE_EXTRA_CA_CERTS"] = str(joined(folder, [extra], ca, "NODE_EXTRA_CA_CERTS") if extra else ca)
    pass_by_proxies(env)
    return env


def public_roots() -> list[str]:
    """Whom programs trust without SSL_CERT_FILE: certifi's roots (httpx, the SDK) and the system's (Python's own `ssl`,
    curl), which may hold one that an administrator added. SSL_CERT_FILE replaces both."""
    system = ssl.get_default_verify_paths().openssl_cafile
    return [certifi.where(), *([system] if system and Path(system).is_file() else [])]


def joined(folder: Path, files: Iterable[str], ca: Path, variable: str) -> Path:
    """A file with the certificates of `files` and `ca`, each once. `variable` names it in errors."""
    blocks: dict[bytes, None] = {}
    for name in (*files, str(ca)):
        try:
            found = _BLOCK.findall(Path(name).read_bytes())
        except OSError as error:
            raise TLSError(f"{variable}={name} cannot be read: {error.strerror or error}.") from error
        blocks.update(dict.fromkeys(found))
    text = b"\n".join(blocks) + b"\n"
    path = folder / f"trust-{hashlib.sha256(text).hexdigest()[:16]}.pem"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, fresh = tempfile.mkstemp(dir=folder, prefix=".trust-")
            with os.fdopen(handle, "wb") as file:
                file.write(text)
            Path(fresh).chmod(0o644)
            Path(fresh).replace(path)
        except OSError as error:
            raise TLSError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path


def pass_by_proxies(env: MutableMapping[str, str]) -> None:
    """Calls to this machine go to no proxy, whichever spelling a library reads."""
    for name in ("NO_PROXY", "no_proxy"):
        listed = [part.strip() for part in env.get(name, "").split(",") if part.strip()]
        if "*" not in listed:
            env[name] = ",".join(dict.fromkeys([*listed, *LOCAL]))
