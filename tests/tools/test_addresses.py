"""What is public, and what an operator may allow besides."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from openlive.tools.addresses import Allowed, is_in, is_public, own_networks, plain

NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1
192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1 64:ff9b::7f00:1
64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1
2001:10::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 fe80::1%lo
fe80::1%eth0 fec0::1 ff02::1 ff0e::1 ff05::1:3
"""
PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 93.184.216.34 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 168.63.129.17
172.15.255.255 172.32.0.1 192.0.1.1 192.167.255.255 192.169.0.1 198.17.255.255 198.20.0.1 223.255.255.255
::ffff:8.8.8.8 64:ff9b::8.8.8.8 2001:200::1 2001:4860:4860::8888 2606:2800:220:1::1 2a00:1450::1 3ffe:ffff::1
"""


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_is_not_public(address: str) -> None:
    assert not is_public(plain(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_is_public(address: str) -> None:
    assert is_public(plain(address))


def test_this_machines_own_addresses_are_its_networks() -> None:
    own = own_networks()
    assert is_in(plain("127.0.0.1"), own)
    assert is_in(plain("::ffff:127.0.0.1"), own)
    assert ip_network("127.0.0.1/32") in own  # of IPv4 no more than the address: neighbours may be anybody's
    assert not is_in(plain("8.8.8.8"), own)


@pytest.mark.parametrize(
    ("entry", "host", "address"),
    [
        ("10.1.0.0/16", "wiki.lan", "10.1.2.3"),
        ("10.1.2.3/16", "10.1.9.9", "10.1.9.9"),
        ("10.1.2.3", "[::ffff:10.1.2.3]", "::ffff:10.1.2.3"),
        ("fd00::/8", "wiki.lan", "fd12::1"),
        ("wiki.lan", "wiki.lan", "10.1.2.3"),
        ("Wiki.LAN.", "wiki.lan", "10.1.2.3"),
        ("wiki.lan", "WIKI.lan.", "10.1.2.3"),
        ("bücher.lan", "xn--bcher-kva.lan", "10.1.2.3"),
    ],
)
def test_what_is_allowed(entry: str, host: str, address: str) -> None:
    assert Allowed([entry])(host, plain(address))
    assert not Allowed([entry])("other.lan", plain("10.2.0.1"))


@pytest.mark.parametrize(
    "entry", ["", "http://wiki.lan", "wiki.lan:8080", "wiki.lan/page", "*.lan", "a@wiki.lan", "10.0.0.0/33"]
)
def test_what_cannot_be_allowed_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="is no host name, address or network") as error:
        Allowed([entry])
    assert repr(entry) in str(error.value)
