"""Which addresses belong to the public internet.

The lists are ours and not Python's `is_global`, whose answer differs between releases. They follow the IANA registries
of special-purpose addresses (iana.org/assignments/iana-ipv4-special-registry, -ipv6-special-registry).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

import httpx
import psutil

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC: list[Network] = [
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches this machine
        "10.0.0.0/8",
        "100.64.0.0/10",  # CGNAT; Alibaba's metadata too
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's metadata
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",  # documentation
    )
]
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""Everything public of IPv6 is in it; what is local, mapped or multicast is not."""
_NAT64 = IPv6Network("64:ff9b::/96")
"""How a network without IPv4 writes an IPv4 address (RFC 6052)."""


def plain(address: str) -> Address:
    """The address that is reached: that of IPv4 where an IPv6 address stands for one (`::ffff:127.0.0.1`, NAT64)."""
    written = ip_address(address)
    if isinstance(written, IPv4Address):
        return written
    if written in _NAT64:
        return IPv4Address(int(written) & 0xFFFF_FFFF)
    return written.ipv4_mapped or written


def is_public(address: Address) -> bool:
    """`address` is `plain`."""
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not is_in(address, _NOT_PUBLIC)


def is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def own_networks() -> list[Network]:
    """This machine's addresses, and the IPv6 networks that it is in.

    Public ones among them are no less private to it: what listens there may be shut off from the internet by a firewall
    that does not stand between this machine and itself, or its neighbours behind the same router.
    """
    entries = [entry for interface in psutil.net_if_addrs().values() for entry in interface]
    own: list[Network] = [IPv4Network(entry.address) for entry in entries if entry.family == socket.AF_INET]
    for entry in entries:
        if entry.family == socket.AF_INET6:
            length = int(IPv6Address(entry.netmask)).bit_count() if entry.netmask else 128
            own.append(IPv6Network((entry.address.partition("%")[0], length), strict=False))
    return own


class Allowed:
    """Hosts, addresses and networks that may be reached although they are not public: `wiki.lan`, `10.1.0.0/16`."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Raises `ValueError` with the entry that is neither."""
        self._hosts: set[str] = set()
        self._networks: list[Network] = []
        for entry in entries:
            try:
                self._networks.append(ip_network(entry, strict=False))
            except ValueError:
                self._hosts.add(_host(entry))

    def __call__(self, host: str, address: Address) -> bool:
        """`host` is the name or address as the URL has it (IDNA-encoded), `address` what it turned out to be."""
        return _name(host) in self._hosts or is_in(address, self._networks)


def _host(entry: str) -> str:
    try:
        url = httpx.URL(f"http://{entry}/")
    except httpx.InvalidURL:
        url = httpx.URL("")
    host = url.raw_host.decode()
    if not host or url.raw_path != b"/" or url.port or url.userinfo or "*" in host or ":" in host:
        raise ValueError(f"{entry!r} is no host name, address or network")
    return _name(host)


def _name(host: str) -> str:
    return host.lower().rstrip(".")
