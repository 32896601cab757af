"""Proxies of the environment are for the world outside, not for a server on this machine."""

from __future__ import annotations

import ipaddress

import httpx


def takes_proxy(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
