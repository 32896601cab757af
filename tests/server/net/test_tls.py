from __future__ import annotations

import asyncio
import multiprocessing
import queue
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
from cryptography import x509

from openlive.config.model import Config
from openlive.server import run
from openlive.server.net import tls
from openlive.server.net.listener import listening
from openlive.server.net.pending import Limits
from tests.server.echo import echo

NOW = datetime.now(UTC)


@contextmanager
def answering(context: ssl.SSLContext, host: str = "127.0.0.1") -> Iterator[int]:
    """A server for one handshake after another."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        listener.settimeout(20)

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                try:
                    with sock, context.wrap_socket(sock, server_side=True) as secure:
                        secure.recv(1)
                except OSError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def handshake(port: int, name: str, trust: Path, host: str = "127.0.0.1") -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(trust))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13 does by default
    context.set_alpn_protocols(["h2", "http/1.1"])
    sock = socket.create_connection((host, port), timeout=10)
    try:
        return context.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def test_strict_clients_trust_every_name_that_is_served(tmp_path: Path) -> None:
    made = tls.ensure(["Voice.Example.org", "192.0.2.7", "[2001:db8::1]"], tmp_path)
    with answering(tls.server_context(made.server)) as port:
        for name in ["localhost", "127.0.0.1", "::1", "voice.example.org", "192.0.2.7", "2001:db8::1"]:
            for trust in (made.ca, made.bundle):
                with handshake(port, name, trust) as sock:
                    assert sock.selected_alpn_protocol() == "http/1.1"
                    assert sock.version() == "TLSv1.3"
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            handshake(port, "elsewhere.example.org", made.ca)


def test_tls_1_1_is_refused(tmp_path: Path) -> None:
    assert tls.server_context(tls.ensure((), tmp_path).server).minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_authority_can_vouch_for_nothing_else(tmp_path: Path) -> None:
    made = tls.ensure((), tmp_path)
    ca = tls._load(tmp_path / "ca-key.pem")
    assert ca is not None
    for name in ("www.google.com", "8.8.8.8"):
        forged = tls._make_server(ca, (name,), NOW)
        (tmp_path / "forged.pem").write_bytes(forged.pem())
        with (
            answering(tls.server_context(tmp_path / "forged.pem")) as port,
            pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"),
        ):
            handshake(port, name, made.ca)


def test_the_bundle_keeps_the_public_roots(tmp_path: Path) -> None:
    made = tls.ensure((), tmp_path)
    bundled = made.bundle.read_bytes()
    assert bundled.startswith(Path(certifi.where()).read_bytes().rstrip())
    assert bundled.endswith(made.ca.read_bytes())
    roots = ssl.create_default_context(cafile=certifi.where()).cert_store_stats()["x509_ca"]
    assert ssl.create_default_context(cafile=str(made.bundle)).cert_store_stats()["x509_ca"] == roots + 1


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    made = tls.ensure((), tmp_path)
    for path in (made.server, tmp_path / "ca-key.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"PRIVATE" not in made.ca.read_bytes() + made.bundle.read_bytes()
    made.server.chmod(0o644)
    tls.ensure((), tmp_path)
    assert stat.S_IMODE(made.server.stat().st_mode) == 0o600


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    tls.ensure(["a.example"], tmp_path, NOW)
    before = contents(tmp_path)
    tls.ensure(["a.example"], tmp_path, NOW + timedelta(days=300))
    assert contents(tmp_path) == before
    assert set(before) == {"ca.pem", "bundle.pem", "server.pem", "ca-key.pem", ".lock"}


def test_a_certificate_is_renewed_before_it_expires(tmp_path: Path) -> None:
    tls.ensure((), tmp_path, NOW)
    before = contents(tmp_path)
    tls.ensure((), tmp_path, NOW + timedelta(days=380))
    after = contents(tmp_path)
    assert after["server.pem"] != before["server.pem"]
    assert after["ca.pem"] == before["ca.pem"], "clients need nothing new"


def test_an_authority_near_its_end_is_remade(tmp_path: Path) -> None:
    tls.ensure((), tmp_path, NOW)
    before = contents(tmp_path)
    tls.ensure((), tmp_path, NOW + timedelta(days=3300))
    after = contents(tmp_path)
    assert after["ca.pem"] != before["ca.pem"]
    assert after["server.pem"] != before["server.pem"]


def test_fewer_names_keep_the_authority_and_new_ones_remake_it(tmp_path: Path) -> None:
    tls.ensure(["a.example", "b.example"], tmp_path)
    before = contents(tmp_path)
    tls.ensure(["a.example"], tmp_path)
    fewer = contents(tmp_path)
    assert (fewer["ca.pem"], fewer["server.pem"] == before["server.pem"]) == (before["ca.pem"], False)
    tls.ensure(["c.example"], tmp_path)
    assert contents(tmp_path)["ca.pem"] != before["ca.pem"]


@pytest.mark.parametrize("damaged", ["ca-key.pem", "server.pem", "ca.pem", "bundle.pem"])
def test_damaged_or_missing_files_are_mended(tmp_path: Path, damaged: str) -> None:
    made = tls.ensure((), tmp_path)
    for harm in (lambda p: p.write_bytes(p.read_bytes()[:100]), lambda p: p.unlink()):
        harm(tmp_path / damaged)
        tls.ensure((), tmp_path)
        with answering(tls.server_context(made.server)) as port, handshake(port, "localhost", made.bundle):
            pass


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(tls.TLSError, match="'no name' is neither a host name nor an IP address"):
        tls.ensure(["no name"], tmp_path)


def start(folder: str) -> None:
    made = tls.ensure((), Path(folder))
    tls.server_context(made.server)


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=start, args=(str(tmp_path),)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0] * 3
    made = tls.ensure((), tmp_path)
    with answering(tls.server_context(made.server)) as port, handshake(port, "localhost", made.ca):
        pass
    assert not list(tmp_path.glob(".*.pem.*")), "no unfinished files are left"


def test_an_operators_own_certificate(tmp_path: Path) -> None:
    made = tls.ensure((), tmp_path)
    pair = tls._load(made.server)
    assert pair is not None
    key, certificate = tmp_path / "own.key", tmp_path / "own.crt"
    text = pair.pem()
    at = text.index(b"-----BEGIN CERTIFICATE")
    key.write_bytes(text[:at])
    certificate.write_bytes(text[at:])
    with answering(tls.server_context(certificate, key)) as port, handshake(port, "localhost", made.ca):
        pass

    with pytest.raises(tls.TLSError, match=r"gone\.crt: no such file"):
        tls.server_context(tmp_path / "gone.crt", key)
    with pytest.raises(tls.TLSError, match=r"own\.crt .*cannot be used"):
        tls.server_context(certificate)
    with pytest.raises(tls.TLSError, match="cannot be used"):
        tls.server_context(made.ca, key)


def test_a_key_with_a_passphrase_does_not_wait_for_the_terminal(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    made = tls.ensure((), tmp_path)
    pair = tls._load(made.server)
    assert pair is not None
    (tmp_path / "locked.key").write_bytes(
        pair.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(tls.TLSError, match=r"locked\.key: the key has a passphrase"):
        tls.server_context(made.server, tmp_path / "locked.key")


# --- while a server runs ----------------------------------------------------------------------------------------------


@contextmanager
def serving(context: ssl.SSLContext) -> Iterator[int]:
    """The listener itself, in a thread. It waits for the first byte of a client as long as a slow machine needs."""
    ready: queue.Queue[int] = queue.Queue()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        async with listening(echo, ssl_context=context, limits=Limits(first_byte=120)) as listener:
            ready.put(listener.port)
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        yield ready.get(timeout=20)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def shown(port: int, trust: Path) -> int:
    """The serial number of the certificate that a new connection sees."""
    with handshake(port, "localhost", trust) as secure:
        certificate = secure.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate).serial_number


def serial(file: Path) -> int:
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


def test_a_certificate_whose_file_changes_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of an operator's: a certificate and a key, which are never replaced in the same moment."""
    caplog.set_level("INFO", "openlive.server.net.tls")
    certificate, key = tmp_path / "own.crt", tmp_path / "own.key"

    def replace(*, only_certificate: bool = False) -> None:
        (made.server).unlink(missing_ok=True)
        text = tls.ensure((), tmp_path / "made").server.read_bytes()
        at = text.index(b"-----BEGIN CERTIFICATE")
        certificate.write_bytes(text[at:])
        if not only_certificate:
            key.write_bytes(text[:at])

    made = tls.ensure((), tmp_path / "made")
    replace()
    with serving(tls.server_context(certificate, key)) as port, handshake(port, "localhost", made.ca) as before:
        first = serial(certificate)
        assert shown(port, made.ca) == shown(port, made.ca) == first
        replace(only_certificate=True)
        assert shown(port, made.ca) == shown(port, made.ca) == first
        assert [record.levelname for record in caplog.records] == ["ERROR"], "once, not for each client"
        assert "own.crt" in caplog.text
        caplog.clear()
        replace()
        assert shown(port, made.ca) == shown(port, made.ca) == serial(certificate) != first
        assert [record.levelname for record in caplog.records] == ["INFO"]
        second = serial(certificate)
        for broken in (b"", b"rubbish", b"-----BEGIN CERTIFICATE-----\n"):
            caplog.clear()
            certificate.write_bytes(broken)
            assert shown(port, made.ca) == shown(port, made.ca) == second
            assert len(caplog.records) == 1
        certificate.unlink()
        assert shown(port, made.ca) == second
        replace()
        assert shown(port, made.ca) == serial(certificate) != second
        before.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert before.recv(100).startswith(b"HTTP/1.1 404"), "who was there stays"


def test_our_certificate_is_renewed_while_a_server_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "default_folder", lambda: tmp_path)
    monkeypatch.setattr(run, "RENEWAL", 0.02)
    old = tls.ensure((), tmp_path, NOW - timedelta(days=tls.SERVER_DAYS - tls.RENEW_DAYS + 1))
    first = serial(old.server)

    async def renewed() -> None:
        renewing = asyncio.create_task(run._renewing(Config()))
        async with asyncio.timeout(20):
            while serial(old.server) == first:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.01)
        second = serial(old.server)
        await asyncio.sleep(0.2)
        assert serial(old.server) == second, "once"
        renewing.cancel()

    with serving(tls.server_context(old.server)) as port:
        assert shown(port, old.ca) == first
        asyncio.run(renewed())
        assert shown(port, old.ca) == serial(old.server) != first


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(tls.TLSError, match="cannot be written"):
        tls.ensure((), tmp_path / "file" / "tls")


def test_a_default_folder_of_the_user() -> None:
    assert tls.default_folder().parts[-2:] == ("openlive", "tls")


@pytest.mark.node
def test_node_trusts_it(tmp_path: Path) -> None:
    made = tls.ensure((), tmp_path)
    script = (
        "const s = require('tls').connect({port: +process.argv[1], host: process.argv[2], servername: 'localhost'},"
        "() => { process.stdout.write(String(s.authorized)); s.end() })"
    )
    with answering(tls.server_context(made.server)) as port:
        done = subprocess.run(
            ["node", "-e", script, str(port), "127.0.0.1"],
            env={"NODE_EXTRA_CA_CERTS": str(made.ca), "PATH": "/usr/local/bin:/usr/bin:/bin"},
            capture_output=True,
            timeout=30,
            check=False,
            text=True,
        )
    assert done.stdout == "true", done.stderr


def test_ssl_cert_file_is_enough_for_a_python_program(tmp_path: Path) -> None:
    made = tls.ensure((), tmp_path)
    program = (
        "import os, socket, ssl, sys\n"
        "c = ssl.create_default_context()\n"
        "s = c.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))), server_hostname='localhost')\n"
        "print(s.version()); s.close()\n"
    )
    with answering(tls.server_context(made.server)) as port:
        done = subprocess.run(
            [sys.executable, "-c", program, str(port)],
            env={"SSL_CERT_FILE": str(made.bundle)},
            capture_output=True,
            timeout=30,
            check=False,
            text=True,
        )
    assert done.stdout == "TLSv1.3\n", done.stderr
