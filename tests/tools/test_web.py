"""What must not be reached is there to be reached: web sites on real sockets, name servers that lie, TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from openlive.server.net import tls
from openlive.tools.addresses import Allowed, plain
from openlive.tools.web import REDIRECTS, PageError, UnsafeError, Web
from openlive.types import ToolResult
from tests.tools.site import HTML, PRIVATE, PUBLIC, Names, Site, redirect, reply, site, status, text


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


LOOPBACK = """
127.0.0.1 127.0.0.2 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 0177.0.0.1 017700000001 00000177.0.0.1
0 0.0.0.0 0x0 localhost LOCALHOST localhost. 127.0.0.1. 127。0。0。1 ①②⑦.⓪.⓪.① １２７.0.0.1
[::1] [0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:7F00:0001] [0:0:0:0:0:ffff:127.0.0.1]
[::ffff:0.0.0.0] [::1%251] [::1%25lo] [::127.0.0.1] [64:ff9b::127.0.0.1] %31%32%37.0.0.1 127.0.0.1%00.example.com
"""
NOT_REACHED_IN_ANY_CASE = "0177.0 ①②⑦ １２７ 127。0 %25 1. t. [::127.0.0.1] 64:ff9b %31 %00"
"""Spellings that the URL's rules or this machine's resolver refuse already."""


@pytest.mark.parametrize("host", LOOPBACK.split())
def test_no_spelling_of_this_machine_is_reached(host: str) -> None:
    async def read(**settings: Any) -> tuple[ToolResult, Site]:
        async with site(HTML) as here:
            return await here.pages(**settings).run({"url": here.url(host)}), here

    result, here = run(read(allow=[]))
    assert here.reached == []
    assert "success" not in status(result)
    # The same with everything allowed does reach it: there was something to be refused.
    result, here = run(read(allow=["0.0.0.0/0", "::/0"]))
    if not any(part in host for part in NOT_REACHED_IN_ANY_CASE.split()):
        assert here.reached != []
        assert status(result) == "success"


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "100.64.0.1", "169.254.169.254", "224.0.0.1", "fe80::1%lo", "fd00:ec2::254", PRIVATE, "::1"]
)
def test_names_of_private_addresses_are_unsafe(address: str) -> None:
    async def read() -> ToolResult:
        async with site(HTML) as here:
            result = await here.pages(names={"evil.test": [address]}).run({"url": here.url("evil.test")})
        assert here.reached == []
        return result

    result = run(read())
    assert status(result) == "unsafe"
    assert "evil.test is not on the public internet" in result.response["error"]


def test_rebinding_gains_nothing() -> None:
    async def read() -> None:
        async with site(HTML) as here:
            names = Names({"evil.test": [[PUBLIC], [PRIVATE]]})
            web = Web(allowed=Allowed([PUBLIC]), ports=[here.port], tls=httpx.create_ssl_context(), resolve=names)
            await web.fetch(here.url("evil.test"), lambda media: True)
            assert names.asked == ["evil.test"]  # one answer is both checked and connected to
            assert here.reached == [PUBLIC]
            with pytest.raises(UnsafeError):
                await web.fetch(here.url("evil.test"), lambda media: True)
            assert here.reached == [PUBLIC]

    run(read())


def test_rebinding_within_a_redirect_gains_nothing() -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(redirect("/again"))

    async def read() -> None:
        async with site(answer) as here:
            pages = here.pages(names={"evil.test": [[PUBLIC], [PUBLIC], [PRIVATE]]})  # type: ignore[list-item]
            result = await pages.run({"url": here.url("evil.test")})
        assert (status(result), here.reached) == ("unsafe", [PUBLIC, PUBLIC])

    run(read())


def test_of_several_addresses_only_the_public_ones_are_tried() -> None:
    async def read(addresses: Sequence[str]) -> list[str]:
        async with site(HTML) as here:
            await here.pages(names={"mixed.test": addresses}).run({"url": here.url("mixed.test")})
            return here.reached

    assert run(read([PRIVATE, "::1", PUBLIC])) == [PUBLIC]
    assert run(read(["127.0.0.9", PUBLIC])) == [PUBLIC]  # nobody listens at the first, which is allowed nowhere


def test_this_machines_own_addresses_are_not_reached_though_public() -> None:
    network = Web(allowed=Allowed(["shop.test"]), tls=httpx.create_ssl_context())._network
    own = [ip_network("93.184.216.34/32"), ip_network("2a00:1450::/64")]
    assert network._may_reach("evil.test", plain("93.184.216.35"), own)
    assert not network._may_reach("evil.test", plain("93.184.216.34"), own)
    assert not network._may_reach("evil.test", plain("::ffff:93.184.216.34"), own)
    assert not network._may_reach("evil.test", plain("2a00:1450::17"), own)
    assert network._may_reach("shop.test", plain("93.184.216.34"), own)


def test_next_address_is_tried_where_one_does_not_answer() -> None:
    async def read() -> list[str]:
        async with site(HTML) as here:
            pages = here.pages(names={"two.test": ["127.0.0.9", PUBLIC]}, allow=["127.0.0.9", PUBLIC])
            await pages.run({"url": here.url("two.test")})
            return here.reached

    assert run(read()) == [PUBLIC]


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:{port}/secret",
        "http://[::1]:{port}/secret",
        "//127.0.0.2:{port}/secret",
        "http://private.test:{port}/secret",
        "HTTP://2130706434:{port}/secret",
        "http://127.0.0.1:22/secret",
        "http://user:pass@127.0.0.1:{port}/secret",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/secret",
        "gopher://127.0.0.1:{port}/secret",
        "data:text/plain,secret",
    ],
)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_held_to_the_same(target: str, code: int) -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        writer.write(redirect(target.format(port=port), code) if path == "/" else reply(b"the secret"))

    async def read() -> None:
        async with site(answer) as here:
            result = await here.pages(names={"private.test": [PRIVATE]}).run({"url": here.url()})
        assert status(result) == "unsafe"
        assert here.paths == ["/"]
        assert "the secret" not in str(result)

    run(read())


def test_redirects_are_followed_so_far() -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        left = int(path[1:])
        writer.write(redirect(f"{left - 1}") if left else HTML)

    async def read(redirects: int) -> ToolResult:
        async with site(answer) as here:
            result = await here.pages().run({"url": here.url(path=f"/{redirects}")})
        assert len(here.paths) == min(redirects, REDIRECTS) + 1
        return result

    assert "Open" in text(run(read(REDIRECTS)))
    assert f"redirects more than {REDIRECTS} times" in run(read(1000)).response["error"]


UNSAFE = """
http://user:pass@{host}/ http://user@{host}/ http://{ip}:22/ https://{ip}:6379/ http://{ip}:0/ file:///etc/passwd
ftp://{host}/ javascript:alert(1) http:/// unix:/run/x.sock localhost:1/
"""


@pytest.mark.parametrize("url", UNSAFE.split())
def test_unsafe_urls(url: str) -> None:
    async def read() -> None:
        async with site(HTML) as here:
            result = await here.pages().run({"url": url.format(host=f"{PUBLIC}:{here.port}", ip=PUBLIC)})
        assert status(result) == "unsafe"
        assert here.reached == []

    run(read())


def test_proxies_and_credentials_of_the_environment_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {PUBLIC} login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))

    async def read() -> None:
        async with site(reply(b"from the proxy")) as proxy, site(HTML) as here:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url())
            result = await here.pages().run({"url": here.url()})
        assert "Open" in text(result)
        assert (len(proxy.requests), len(here.requests)) == (0, 1)
        assert "authorization" not in here.requests[0].lower()

    run(read())


# TLS.


@pytest.fixture
def certificates(tmp_path: Path) -> tls.Certificates:
    return tls.ensure(["page.test"], tmp_path / "tls")


@pytest.mark.parametrize(
    ("host", "trusted", "ok"), [("page.test", True, True), ("other.test", True, False), ("page.test", False, False)]
)
def test_tls(
    certificates: tls.Certificates, host: str, trusted: bool, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    asked = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.server)
    server.sni_callback = lambda _, name, __: asked.append(name)

    async def read() -> None:
        async with site(HTML, server) as here:
            pages = here.pages(names={host: [PUBLIC]})
            result = await pages.run({"url": here.url(host).replace("http:", "https:")})
        assert asked == [host]
        assert status(result) == ("success" if ok else "error")
        assert [f"Host: {host}:{here.port}\r\n" in head for head in here.requests] == ([True] if ok else [])
        assert ok or "certificate verify failed" in result.response["error"]

    run(read())


def test_web_says_what_it_refused() -> None:
    web = Web(allowed=Allowed([]), tls=httpx.create_ssl_context())
    for url, error in (("http://10.0.0.1/", UnsafeError), ("http://nowhere.invalid/", PageError)):
        with pytest.raises(error):
            run(web.fetch(url, lambda media: True))
