from __future__ import annotations

from pathlib import Path

import pytest

from openlive.config.keys import Key, KeysError, check_keys, parse_keys, read_keys
from openlive.server.auth import (
    LOCAL,
    Credential,
    Keyring,
    Principal,
    Source,
    credentials,
    door,
    require_keys_or_loopback,
)
from openlive.wire.errors import API_KEY_INVALID, UNREGISTERED_CALLER

ANNA, BEN = Key("anna", "AIza-anna"), Key("ben", "AIza-ben")


@pytest.mark.parametrize(
    ("headers", "query", "value", "source"),
    [
        ([(b"x-goog-api-key", b"AIza")], b"", "AIza", "x-goog-api-key"),
        ([], b"key=AIza", "AIza", "key"),
        ([], b"alt=ws&key=AIza%2Bx", "AIza+x", "key"),
        ([], b"key=AIza+x", "AIza+x", "key"),
        ([], b"access_token=auth_tokens/abc", "auth_tokens/abc", "access_token"),
        ([], b"access_token=auth_tokens%2Fabc", "auth_tokens/abc", "access_token"),
        ([(b"authorization", b"Token auth_tokens/abc")], b"", "auth_tokens/abc", "token"),
        ([(b"authorization", b"bearer  ya29.x ")], b"", "ya29.x", "bearer"),
    ],
)
def test_where_clients_put_their_credential(
    headers: list[tuple[bytes, bytes]], query: bytes, value: str, source: Source
) -> None:
    (found,) = credentials(headers, query)
    assert found == Credential(value, source)
    assert found.ephemeral == value.startswith("auth_tokens/")


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([], b""),
        ([], b"key="),
        ([], b"key"),
        ([], b"&&=&monkey=x"),
        ([(b"authorization", b"Basic YTpi")], b""),
        ([(b"authorization", b"Bearer")], b""),
        ([(b"authorization", b"")], b""),
        ([(b"x-goog-api-key", b" ")], b"key=%20"),
        ([(b"cookie", b"key=1")], b"\xff\xfe"),
    ],
)
def test_no_credential(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    assert credentials(headers, query) == ()


def test_any_of_several_credentials_will_do() -> None:
    shown = credentials([(b"authorization", b"Bearer proxy"), (b"x-goog-api-key", b"AIza-ben")], b"key=x")
    assert [c.source for c in shown] == ["key", "bearer", "x-goog-api-key"]
    assert Keyring([ANNA, BEN]).admit(shown) == Principal("ben")


def test_who_comes_in() -> None:
    ring = Keyring([ANNA, BEN])
    assert ring
    assert ring.admit([Credential("AIza-anna", "key")]) == Principal("anna")
    for wrong in ("AIza-ann", "AIza-anna ", "aiza-anna", "anna", "\udcff", "x" * 100_000):
        assert ring.admit([Credential(wrong, "key")]) == API_KEY_INVALID
    assert ring.admit([]) == UNREGISTERED_CALLER
    assert (API_KEY_INVALID.code, UNREGISTERED_CALLER.code) == (1007, 1008)


def test_without_keys_anything_goes() -> None:
    ring = Keyring()
    assert not ring
    assert ring.admit([]) == ring.admit([Credential("x", "key")]) == LOCAL
    assert LOCAL.anonymous


def test_keys_show_in_no_repr() -> None:
    assert "AIza" not in f"{ANNA!r} {[ANNA]} {credentials([], b'key=AIza')!r} {Keyring([ANNA])!r}"


def test_keys_of_a_file_or_the_environment(tmp_path: Path) -> None:
    text = "# the team\nanna:AIza-anna\n\n  ben : AIza-ben\nAIza-lone\n"
    assert parse_keys(text, "x") == (ANNA, BEN, Key("key-3", "AIza-lone"))
    assert parse_keys("anna:AIza-anna, ben:AIza-ben", "x") == (ANNA, BEN)
    assert parse_keys("a:b:c", "x") == (Key("a", "b:c"),)
    assert parse_keys("", "x") == ()
    (tmp_path / "keys").write_text(text)
    assert read_keys(tmp_path / "keys") == parse_keys(text, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:secret\n:secret2", "keys, line 2: a key is"),
        ("a:", "keys, line 1: a key is"),
        ("a:secret\na:secret2", "keys: there are two keys named 'a'"),
        ("a:secret\nb:secret", "keys: 'a' and 'b' are the same key"),
    ],
)
def test_keys_that_cannot_be_used(text: str, message: str) -> None:
    with pytest.raises(KeysError) as caught:
        parse_keys(text, "keys")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_key_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match=r"none cannot be read"):
        read_keys(tmp_path / "none")
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(KeysError, match="holds no key"):
        read_keys(tmp_path / "empty")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeysError, match="cannot be read"):
        read_keys(tmp_path / "binary")
    with pytest.raises(KeysError, match="needs a name and a value"):
        check_keys([Key("", "x")], "server.keys")


def test_a_server_without_keys_serves_this_machine_only() -> None:
    require_keys_or_loopback("127.0.0.1", [])
    require_keys_or_loopback("localhost", [])
    require_keys_or_loopback("0.0.0.0", [ANNA])
    with pytest.raises(KeysError, match=r"listen on 0\.0\.0\.0.*OPENLIVE_KEYS"):
        require_keys_or_loopback("0.0.0.0", [])


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:9080"},
        {"host": "localhost"},
        {"host": "LocalHost:9080"},
        {"host": "127.0.0.1:9080"},
        {"host": "[::1]:9080"},
        {"host": "app.localhost"},
        {"host": "localhost:9080", "origin": "http://localhost:3000"},
        {"host": "localhost:9080", "origin": "https://127.0.0.1"},
        {"host": "localhost:9080", "origin": "http://[::1]:8000"},
        {"host": "localhost:9080", "origin": "https://app.example"},
    ],
)
def test_loopback_names_pass_the_door(headers: dict[str, str]) -> None:
    assert door([(k.encode(), v.encode()) for k, v in headers.items()], ["https://app.example/"]) is None


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "Host"),
        ([("host", "")], "Host"),
        ([("host", "evil.example:9080")], "Host"),
        ([("host", "localhost.evil.example")], "Host"),
        ([("host", "evil.example"), ("host", "localhost")], "Host"),
        ([("host", "localhost@evil.example")], "Host"),
        ([("host", "evil.example@localhost")], "Host"),
        ([("host", "localhost/evil.example")], "Host"),
        ([("host", "localhost?x")], "Host"),
        ([("host", "[::1")], "Host"),
        ([("host", "192.168.0.1")], "Host"),
        ([("host", "[::1].evil.example")], "Host"),
        ([("host", "[::1]evil.example")], "Host"),
        ([("host", "localhost:9080:1")], "Host"),
        ([("host", "localhost:x")], "Host"),
        ([("host", "localhost evil.example")], "Host"),
        ([("host", "[fe80::1]")], "Host"),
        ([("host", "localhost\\evil.example")], "Host"),
        ([("host", "localhost"), ("origin", "https://evil.example")], "https://evil.example"),
        ([("host", "localhost"), ("origin", "null")], "null"),
        ([("host", "localhost"), ("origin", "")], "origin"),
        ([("host", "localhost"), ("origin", "http://localhost.evil.example")], "evil"),
        ([("host", "localhost"), ("origin", "http://localhost@evil.example")], "evil"),
        ([("host", "localhost"), ("origin", "chrome-extension://localhost")], "chrome"),
        ([("host", "localhost"), ("origin", "http://[::1")], "origin"),
        ([("host", "localhost"), ("origin", "http://[::1].evil")], "evil"),
        ([("host", "localhost"), ("origin", "http://[::1].evil.example:80")], "evil"),
        ([("host", "localhost"), ("origin", "http://localhost/evil")], "evil"),
        ([("host", "localhost"), ("origin", "http://localhost?evil")], "evil"),
        ([("host", "localhost"), ("origin", "http://localhost#evil")], "evil"),
        ([("host", "localhost"), ("origin", "http://localhost:evil")], "evil"),
        ([("host", "localhost"), ("origin", "http://evil\\@localhost")], "evil"),
        ([("host", "localhost"), ("origin", "//localhost")], "//localhost"),
        ([("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.example")], "evil"),
        ([("host", "localhost"), ("origin", "https://" + "x" * 500)], "origin"),
    ],
)
def test_pages_from_elsewhere_do_not(headers: list[tuple[str, str]], reason: str) -> None:
    refused = door([(k.encode(), v.encode()) for k, v in headers])
    assert refused is not None
    assert reason in refused
    assert len(refused.encode()) <= 123
