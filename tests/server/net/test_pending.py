"""Whose place is taken when there are too many who have not shown who they are."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect

from openlive.server.net.listener import listening
from openlive.server.net.pending import Limits, Pace, Pending, PendingSockets, origin
from tests.server.apps import Echo, through
from tests.server.echo import echo
from tests.server.virtual import timeless


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


# --- how often they begin ---------------------------------------------------------------------------------------------


async def begun(pace: Pace, origin: str, count: int) -> list[float]:
    """When each of so many that come at once may begin."""
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def one() -> None:
        await pace.turn(origin)
        times.append(round(loop.time(), 3))

    await asyncio.gather(*[one() for _ in range(count)])
    return times


def test_a_crowd_begins_at_once_and_who_comes_beyond_it_waits() -> None:
    async def test() -> None:
        pace = Pace(100, 256)
        now = asyncio.get_running_loop().time()
        flood = asyncio.create_task(begun(pace, "192.0.2.66", 456))
        await asyncio.sleep(0.5)
        assert await begun(pace, "192.0.2.7", 10) == [now + 0.5] * 10, "another address waits for nobody"
        times = await flood
        assert times[:256] == [now] * 256
        assert times[-1] == pytest.approx(now + 2, abs=0.02)
        assert times == sorted(times)

    timeless(test)


def test_who_is_cut_while_it_waits_takes_nobodys_turn() -> None:
    async def test() -> None:
        pace = Pace(10, 1)
        now = asyncio.get_running_loop().time()
        flood = [asyncio.create_task(pace.turn("192.0.2.66")) for _ in range(1000)]
        await asyncio.sleep(0.35)
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        [at] = await begun(pace, "192.0.2.66", 1)
        assert at <= now + 0.6

    timeless(test)


def test_addresses_that_came_once_are_forgotten() -> None:
    async def test() -> None:
        pace = Pace(100, 256)
        most = 0
        for number in range(10_000):
            await pace.turn(f"2001:db8:0:{number:x}::/64")
            await asyncio.sleep(0.01)
            most = max(most, len(pace))
        assert most < 300

    timeless(test)


def test_what_waits_for_its_turn_has_no_handshake() -> None:
    async def test() -> None:
        async with listening(Echo(), host="127.0.0.1", limits=Limits(sockets=4, begun=0.001)) as listener:

            async def asked(source: str) -> bytes:
                local = (source, 0)
                reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, local_addr=local)
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
                return answer[:12]

            for _ in range(5):
                assert await asked("127.0.0.66") == b"HTTP/1.1 200"
            waits = asyncio.create_task(asked("127.0.0.66"))
            assert await asked("127.0.0.9") == b"HTTP/1.1 200"
            assert not waits.done()
            waits.cancel()

    through(test)
