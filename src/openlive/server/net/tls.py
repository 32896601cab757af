"""A local certificate authority and a server certificate, so that `wss://` works without a step by hand.

The Python SDK always dials TLS (docs/protocol.md#tls-and-base-urls). The authority can vouch for the names served here
and for no others, so trusting it opens no other door. Made on first start in the user's data folder:

    ca.pem        our root alone, for NODE_EXTRA_CA_CERTS and trust stores that add
    bundle.pem    the public roots and ours, for SSL_CERT_FILE, which replaces the whole trust store
    server.pem    the server's key and certificate (0600)
    ca-key.pem    the authority's key and certificate (0600)

A key and its certificate share a file, so that one rename replaces both and no reader sees halves of two pairs.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import platformdirs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from openlive.server.auth import stamp

CA_DAYS = 3650
SERVER_DAYS = 397
"""The longest life that browsers grant a server certificate is 398 days."""
RENEW_DAYS = 30
"""A certificate with fewer days left is made anew."""

_LOG = logging.getLogger(__name__)
_LOCAL = ("localhost", "127.0.0.1", "::1")
_DNS_NAME = re.compile(
    r"(?=.{1,253}$)(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.ASCII
)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TLSError(Exception):
    """Certificates cannot be made or used; the message says which file and why."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class Certificates(Struct, frozen=True):
    """Where things lie. `ca` and `bundle` are for clients, `server` (key and chain) for `server_context`."""

    folder: Path
    ca: Path
    bundle: Path
    server: Path
    names: tuple[str, ...]


class _Pair(Struct, frozen=True):
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + self.certificate.public_bytes(serialization.Encoding.PEM)


def default_folder() -> Path:
    return Path(platformdirs.user_data_dir("openlive", appauthor=False)) / "tls"


def names_served(more: Iterable[str] = ()) -> tuple[str, ...]:
    """The loopback names, this host's own name, and `more`: host names and IP addresses. Raises `TLSError`."""
    found = dict.fromkeys(_LOCAL)
    host = socket.gethostname().lower()
    if _DNS_NAME.fullmatch(host):
        found[host] = None
    for name in more:
        found[_normal(name)] = None
    return tuple(found)


def _normal(name: str) -> str:
    address = _address(name.strip("[]"))
    if address is not None:
        return str(address)
    plain = name.lower().rstrip(".")
    if not _DNS_NAME.fullmatch(plain):
        raise TLSError(f"{name!r} is neither a host name nor an IP address, so no certificate can be made for it.")
    return plain


def _address(name: str) -> _Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def ensure(names: Iterable[str] = (), folder: Path | None = None, now: datetime | None = None) -> Certificates:
    """The certificates for the names served here, made or renewed where needed.

    Safe to call from several processes at once, and again while a server runs, whose context follows the file. Raises
    `TLSError`.
    """
    folder = folder or default_folder()
    now = now or datetime.now(UTC)
    wanted = names_served(names)
    paths = Certificates(folder, folder / "ca.pem", folder / "bundle.pem", folder / "server.pem", wanted)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / ".lock"):
            ca = _load(folder / "ca-key.pem")
            if ca is None or not _ca_good(ca, wanted, now):
                ca = _make_ca(wanted, now)
                _write(folder / "ca-key.pem", ca.pem(), 0o600)
            server = _load(paths.server)
            if server is None or not _server_good(server, ca, wanted, now):
                _write(paths.server, _make_server(ca, wanted, now).pem(), 0o600)
            root = ca.certificate.public_bytes(serialization.Encoding.PEM)
            _write(paths.ca, root, 0o644)
            _write(paths.bundle, _joined(Path(certifi.where()), root), 0o644)
    except OSError as error:
        raise TLSError(f"The certificates in {folder} cannot be written: {error}") from error
    return paths


class ServerContext(ssl.SSLContext):
    """Follows its files: a handshake that begins after they have changed uses what they hold then. What cannot be used
    leaves things as they are, and is told in the log once."""

    def __new__(cls, certificate: Path, key: Path | None = None) -> ServerContext:  # noqa: ARG004
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        self._files = (certificate, key)
        self._stamps = self._now()
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self.set_alpn_protocols(["http/1.1"])
        self.options |= ssl.OP_NO_RENEGOTIATION
        _load_chain(self, certificate, key)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """asyncio begins every handshake with this."""
        self._follow()
        return super().wrap_bio(*arguments, **named)

    def _follow(self) -> None:
        now = self._now()
        if now == self._stamps:
            return
        self._stamps = now
        try:
            _load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *self._files)  # or half of it would be in force
            _load_chain(self, *self._files)
        except TLSError as error:
            _LOG.error("The TLS certificate stays as it was, because the new one cannot be used: %s", error)
            return
        _LOG.info("The TLS certificate was read again from %s", self._files[0])

    def _now(self) -> list[object]:
        return [stamp(file) for file in self._files if file is not None]


def server_context(certificate: Path, key: Path | None = None) -> ServerContext:
    """A context for the listener, from our `server.pem` or an operator's own files. Raises `TLSError`.

    `certificate` holds the chain, leaf first; `key` is its key, or None where it stands in the same file.
    """
    return ServerContext(certificate, key)


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    files = str(certificate) if key is None else f"{certificate} with the key {key}"
    for path in (certificate, key):
        if path is not None and not path.is_file():
            raise TLSError(f"{path}: no such file.")

    def locked() -> str:
        raise TLSError(f"{key or certificate}: the key has a passphrase; openlive needs one without.")

    try:
        context.load_cert_chain(certificate, key, password=locked)
    except (ssl.SSLError, OSError) as error:
        raise TLSError(f"The TLS certificate {files} cannot be used: {error}") from error


# --- the two certificates ---------------------------------------------------------------------------------------------


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "openlive"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


def _builder(subject: x509.Name, issuer: x509.Name, now: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _make_ca(names: tuple[str, ...], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"openlive on {socket.gethostname()}"[:64])
    certificate = (
        _builder(subject, subject, now, CA_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.NameConstraints([_constraint(n) for n in names], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(key, certificate)


def _make_server(ca: _Pair, names: tuple[str, ...], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca.key.public_key())
    certificate = (
        _builder(_subject("openlive server"), ca.certificate.subject, now, SERVER_DAYS)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(ca.key, hashes.SHA256())
    )
    return _Pair(key, certificate)


def _alternative(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.IPAddress(address) if address else x509.DNSName(name)


def _constraint(name: str) -> x509.GeneralName:
    """What the authority may vouch for. A DNS constraint covers the names below it too."""
    address = _address(name)
    return x509.IPAddress(ipaddress.ip_network(address)) if address else x509.DNSName(name.removeprefix("*."))


def _current(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc - timedelta(days=RENEW_DAYS)


def _ca_good(ca: _Pair, names: tuple[str, ...], now: datetime) -> bool:
    try:
        permitted = ca.certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    except x509.ExtensionNotFound:
        return False
    # The authority outlives every certificate that it will still sign.
    return _current(ca.certificate, now + timedelta(days=SERVER_DAYS)) and {_constraint(n) for n in names} <= set(
        permitted or ()
    )


def _server_good(server: _Pair, ca: _Pair, names: tuple[str, ...], now: datetime) -> bool:
    try:
        server.certificate.verify_directly_issued_by(ca.certificate)
        listed = server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    return _current(server.certificate, now) and set(listed) == {_alternative(n) for n in names}


# --- files ------------------------------------------------------------------------------------------------------------


def _load(path: Path) -> _Pair | None:
    """The pair in a file, or None where it is missing or damaged: it is then made anew."""
    try:
        data = path.read_bytes()
        key = serialization.load_pem_private_key(data, None)
        certificate = x509.load_pem_x509_certificate(data)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    path.chmod(0o600)
    return _Pair(key, certificate)


def _joined(roots: Path, ours: bytes) -> bytes:
    return roots.read_bytes().rstrip() + b"\n\n# openlive\n" + ours


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all; left alone where it is already so."""
    if mode != 0o600 and path.is_file() and path.read_bytes() == data:
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from the start
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock among processes; the system frees it when the holder dies."""
    with path.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file frees the lock
