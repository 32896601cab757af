"""Clients whose link is cut: two network namespaces joined by a cable that a test can pull.

Needs Linux, iproute2 and the right to make namespaces; skipped elsewhere. Both ends live in this process, since a
socket stays in the namespace in which it was made.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
from websockets.asyncio.client import ClientConnection, connect

from openlive.config.keys import Key
from openlive.config.model import Config, LimitSettings, ServerSettings
from openlive.server import app
from openlive.server.net import tls
from openlive.server.net.framing import BINARY
from openlive.server.net.listener import listening
from openlive.server.net.pending import Limits
from tests.raw import TEXT, Raw
from tests.serving import PATH, Scripted, certificates, trust

SERVER, CLIENT = "10.253.77.1", "10.253.77.2"
CLONE_NEWNET = 0x40000000
T = TypeVar("T")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Cable:
    """Two namespaces and a pair of interfaces between them."""

    def __init__(self, name: str) -> None:
        self.server, self.client = f"{name}s", f"{name}c"
        self._name = name

    def lay(self) -> None:
        for space in (self.server, self.client):
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
        ip(
            "link",
            "add",
            f"{self._name}0",
            "netns",
            self.server,
            "type",
            "veth",
            "peer",
            f"{self._name}1",
            "netns",
            self.client,
        )
        for space, number, address in ((self.server, 0, SERVER), (self.client, 1, CLIENT)):
            ip("-n", space, "address", "add", f"{address}/24", "dev", f"{self._name}{number}")
            ip("-n", space, "link", "set", f"{self._name}{number}", "up")

    def cut(self) -> None:
        ip("-n", self.client, "link", "set", f"{self._name}1", "down")

    def remove(self) -> None:
        for space in (self.server, self.client):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "delete", space)

    def within(self, space: str, work: Callable[[], T]) -> T:
        """Runs it there, in a thread that ends with it."""
        found: list[T] = []
        failed: list[Exception] = []

        def run() -> None:
            try:
                handle = os.open(f"/run/netns/{space}", os.O_RDONLY)
                try:
                    if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(handle)
                found.append(work())
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]


@pytest.fixture
def cable() -> Iterator[Cable]:
    if shutil.which("ip") is None or not Path("/proc/self/ns/net").exists():
        pytest.skip("there is no ip(8) here")
    laid = Cable(f"ol{os.getpid() % 100_000}")
    try:
        laid.lay()
    except subprocess.CalledProcessError as error:
        laid.remove()
        pytest.skip(f"no namespaces can be made here: {error.stderr.decode().strip()}")
    try:
        yield laid
    finally:
        laid.remove()


async def connected(cable: Cable, port: int, headers: dict[str, str]) -> ClientConnection:
    def dial() -> socket.socket:
        return socket.create_connection((SERVER, port), timeout=5)

    sock = await asyncio.to_thread(cable.within, cable.client, dial)
    sock.setblocking(False)
    return await connect(
        f"wss://localhost:{port}{PATH}",
        sock=sock,
        ssl=trust(),
        server_hostname="localhost",
        additional_headers=headers,
        ping_interval=None,
        proxy=None,
    )


@pytest.mark.parametrize(
    ("limits", "idle"),
    [
        (Limits(keepalive=3.0, ping=0), True),
        (Limits(keepalive=3.0, ping=1.0), True),
        (Limits(keepalive=3.0, ping=1.0), False),
        (Limits(keepalive=0, ping=0.5, silence=3.0), True),
    ],
    ids=["keepalive", "keepalive and ping", "something was on its way", "ping alone"],
)
def test_a_client_whose_link_is_cut_is_noticed(cable: Cable, limits: Limits, idle: bool) -> None:
    """Without any of it, nothing is for hours; so a minute is no matter of a loaded machine."""
    seconds = asyncio.run(gone_after(cable, limits, idle=idle))
    print(f"\ngone after {seconds:.1f} s")
    assert 1 < seconds < 60


async def gone_after(cable: Cable, limits: Limits, *, idle: bool) -> float:
    """Seconds from the cut to the moment at which the session counts against its key no more."""
    config = Config(server=ServerSettings(keys=(Key("anna", "k-anna", sessions=1),)), limits=LimitSettings())
    served = app.App(config, Scripted().engines)
    headers = {"x-goog-api-key": "k-anna"}

    def listen() -> socket.socket:
        sock = socket.create_server((SERVER, 0))
        sock.setblocking(False)
        return sock

    listener_socket = await asyncio.to_thread(cable.within, cable.server, listen)
    context = tls.server_context(certificates().server)
    async with listening(
        served.asgi, sockets=[listener_socket], ssl_context=context, limits=limits, close_timeout=0.5
    ) as listener:
        client = Raw(await connected(cable, listener.port, headers))
        await client.set_up(TEXT)
        await client.ask("hello")
        await client.turn()
        second = Raw(await connected(cable, listener.port, headers))
        await second.say({"setup": TEXT})
        assert "sessions at once with this key: 1" in (await second.closed())[1], "its place is taken"
        await asyncio.sleep(0.3)
        cable.cut()
        begun = time.monotonic()
        if not idle:
            for protocol in list(listener._state.connections):
                protocol._write(BINARY, b"{}")  # type: ignore[union-attr]
        while len(served.live):
            assert time.monotonic() - begun < 120
            await asyncio.sleep(0.02)
        taken = time.monotonic() - begun
        assert len(listener.sockets.open) == 0
        client.ws.transport.abort()
        return taken


if __name__ == "__main__":  # with what a server has by default
    for idle, words in ((True, "silent"), (False, "something was on its way")):
        laid = Cable("olmeasure")
        laid.lay()
        try:
            print(f"{words}: gone after {asyncio.run(gone_after(laid, Limits(), idle=idle)):.1f} s", flush=True)
        finally:
            laid.remove()
