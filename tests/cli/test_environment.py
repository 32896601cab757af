from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest

from openlive.cli.environment import for_program, joined
from openlive.server.net import tls

URL = "https://localhost:1234"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tls.Certificates:
    return tls.ensure((), tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> tls.Certificates:
    """Stands for the authority of a service that the program calls besides."""
    return tls.ensure((), tmp_path_factory.mktemp("another"))


def trusts(bundle: str, server: Path) -> bool:
    """A client with that bundle accepts that server; both in memory."""
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=bundle).wrap_bio(client_in, client_out, server_hostname="localhost")
    peer = tls.server_context(server).wrap_bio(client_out, client_in, server_side=True)
    for _ in range(4):
        for side in (client, peer):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


def test_both_sdks_are_pointed_at_the_server(ours: tls.Certificates, tmp_path: Path) -> None:
    env = for_program({"PATH": "/bin"}, URL, "k", ours.ca, tmp_path)
    assert env["GOOGLE_GEMINI_BASE_URL"] == URL
    assert env["GEMINI_API_KEY"] == "k"
    assert "GOOGLE_API_KEY" not in env  # the SDKs warn where both are set
    assert env["NODE_EXTRA_CA_CERTS"] == str(ours.ca)
    assert env["PATH"] == "/bin"


def test_a_key_of_the_users_own_would_win_and_is_replaced(ours: tls.Certificates, tmp_path: Path) -> None:
    env = for_program({"GOOGLE_API_KEY": "theirs"}, URL, "k", ours.ca, tmp_path)
    assert env["GOOGLE_API_KEY"] == "k"
    env = for_program({"GOOGLE_API_KEY": "theirs", "GEMINI_API_KEY": "too"}, URL, "k", ours.ca, tmp_path)
    assert env["GOOGLE_API_KEY"] == env["GEMINI_API_KEY"] == "k"


def test_no_variable_leads_to_another_service(ours: tls.Certificates, tmp_path: Path) -> None:
    elsewhere = {"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_GENAI_USE_ENTERPRISE": "1"}
    assert not elsewhere.keys() & for_program(elsewhere, URL, "k", ours.ca, tmp_path).keys()


def test_proxies_are_for_other_machines(ours: tls.Certificates, tmp_path: Path) -> None:
    env = for_program({"NO_PROXY": "intern.example, localhost"}, URL, "k", ours.ca, tmp_path)
    assert env["NO_PROXY"] == "intern.example,localhost,127.0.0.1,::1"
    assert env["no_proxy"] == "localhost,127.0.0.1,::1"
    assert for_program({"no_proxy": "*"}, URL, "k", ours.ca, tmp_path)["no_proxy"] == "*"


def test_the_bundle_holds_the_public_roots_and_ours(ours: tls.Certificates, tmp_path: Path) -> None:
    bundle = Path(for_program({}, URL, "k", ours.ca, tmp_path)["SSL_CERT_FILE"])
    text = bundle.read_text()
    assert trusts(str(bundle), ours.server)
    context = ssl.create_default_context(cafile=str(bundle))
    public = ssl.create_default_context(cafile=certifi.where())
    serials = {str(c["serialNumber"]) for c in context.get_ca_certs()}
    assert {str(c["serialNumber"]) for c in public.get_ca_certs()} <= serials
    assert text.count("BEGIN CERTIFICATE") == len(set(text.split("-----BEGIN CERTIFICATE-----")[1:]))


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"])
def test_roots_of_the_users_own_are_joined(
    variable: str, ours: tls.Certificates, another: tls.Certificates, tmp_path: Path
) -> None:
    env = for_program({variable: str(another.ca)}, URL, "k", ours.ca, tmp_path)
    assert trusts(env[variable], ours.server)
    assert trusts(env[variable], another.server)
    assert not trusts(str(ours.ca), another.server)


def test_other_calls_go_on_working_with_roots_that_an_administrator_added(
    ours: tls.Certificates, another: tls.Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=str(another.ca))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    env = for_program({}, URL, "k", ours.ca, tmp_path)
    assert trusts(env["SSL_CERT_FILE"], another.server)


def test_a_bundle_of_ours_is_written_once(ours: tls.Certificates, another: tls.Certificates, tmp_path: Path) -> None:
    first = joined(tmp_path, [str(another.ca)], ours.ca, "X")
    again = joined(tmp_path, [str(first)], ours.ca, "X")
    assert again == first
    assert [*tmp_path.glob("trust-*"), *tmp_path.glob(".*")] == [first]


def test_a_variable_that_names_no_file_is_named(ours: tls.Certificates, tmp_path: Path) -> None:
    with pytest.raises(tls.TLSError, match="SSL_CERT_FILE=/nope cannot be read: No such file"):
        for_program({"SSL_CERT_FILE": "/nope"}, URL, "k", ours.ca, tmp_path)


def test_a_certificate_of_the_operators_own_changes_no_trust(tmp_path: Path) -> None:
    env = for_program({"SSL_CERT_FILE": "/theirs"}, URL, "k", None, tmp_path)
    assert env["SSL_CERT_FILE"] == "/theirs"
    assert "NODE_EXTRA_CA_CERTS" not in env
