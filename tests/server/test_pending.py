"""Whose place is taken when there are too many who have not shown who they are."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect

from openlive.server.listener import listening
from openlive.server.pending import Limits, Pending, PendingSockets, origin
from tests.server.apps import through
from tests.server.echo import echo


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "::1"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::7", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_whom_an_address_counts_for(address: str, expected: str) -> None:
    assert origin(address) == expected


class Crowd:
    """Sockets that are none, by name."""

    def __init__(self, places: int) -> None:
        self.sockets = PendingSockets(Limits(sockets=places))
        self.cut: list[str] = []

    def comes(self, name: str, address: str) -> Pending:
        pending = self.sockets.arrived(address)
        pending.cut = lambda: self.cut.append(name)
        return pending


def test_the_address_with_most_places_gives_up_its_oldest() -> None:
    async def test() -> None:
        crowd = Crowd(5)
        crowd.comes("slow", "192.0.2.1")
        for i in range(100):
            crowd.comes(f"flood-{i}", "192.0.2.66")
        assert crowd.cut == [f"flood-{i}" for i in range(96)]
        crowd.comes("another", "192.0.2.2")
        assert crowd.cut[-1] == "flood-96"
        assert len(crowd.sockets.waiting) == 5

    through(test)


def test_an_ipv6_network_is_one_caller_however_many_addresses_it_has() -> None:
    async def test() -> None:
        crowd = Crowd(10)
        crowd.comes("slow", "2001:db8:9::1")
        for i in range(100):
            crowd.comes(f"flood-{i}", f"2001:db8:1:2:{i:x}::1")
        assert "slow" not in crowd.cut

    through(test)


def test_where_none_has_more_than_the_others_the_oldest_goes() -> None:
    async def test() -> None:
        crowd = Crowd(3)
        waiting = [crowd.comes(f"{i}", f"192.0.2.{i}") for i in range(3)]
        crowd.comes("3", "192.0.2.3")
        assert crowd.cut == ["0"]
        waiting[1].admit()
        crowd.comes("4", "192.0.2.3")
        assert crowd.cut == ["0"], "who was admitted has given its place back"
        crowd.comes("5", "192.0.2.5")
        assert crowd.cut == ["0", "3"]
        for pending in list(crowd.sockets.open):
            pending.left()
            pending.left()
        assert not crowd.sockets._counts, "nothing of anybody is kept"

    through(test)


def test_a_client_with_a_delay_survives_a_flood_from_elsewhere() -> None:
    """Real sockets: the flood is from 127.0.0.66, the client's handshake and its words come piece by piece."""

    async def test() -> None:
        async with listening(echo, host="127.0.0.1", limits=Limits(sockets=16)) as listener:
            flooded = 0

            async def flood() -> None:
                nonlocal flooded
                while True:
                    with suppress(OSError):
                        sock = socket.socket()
                        sockets.append(sock)
                        sock.bind(("127.0.0.66", 0))
                        sock.setblocking(False)
                        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", listener.port))
                        flooded += 1
                    if len(sockets) > 100:
                        sockets.pop(0).close()

            sockets: list[socket.socket] = []
            flooding = asyncio.create_task(flood())
            try:
                for i in range(5):
                    while flooded < 50 * (i + 1):  # noqa: ASYNC110 - the flood goes on meanwhile
                        await asyncio.sleep(0.005)
                    quiet = socket.create_connection(("127.0.0.1", listener.port), source_address=("127.0.0.9", 0))
                    before = flooded
                    while flooded < before + 50:  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                    async with connect(f"ws://127.0.0.1:{listener.port}", sock=quiet, proxy=None) as ws:
                        await ws.send("hello")
                        assert await ws.recv() == "hello"
            finally:
                flooding.cancel()
                for sock in sockets:
                    sock.close()
            assert listener.sockets.cut_for_room > 100

    through(test)
