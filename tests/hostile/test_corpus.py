"""A part of every kind of hostile input, against a server in a process of its own: its loop is never held for long (in
CPU time), nothing stays in memory, nobody's session but the attacker's is any worse, and who attacks is told why.

`make hostile` runs all of it, with neighbours whose answers are timed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.hostile.attack import run
from tests.hostile.kinds import NEIGHBOUR, Attack, Kind, all_kinds
from tests.hostile.measure import CALLBACK_MS, serving_endpoints
from tests.hostile.server import Host, hosted
from tests.hostile.sockets import TEXT, turns, websocket

pytestmark = pytest.mark.anyio

SHARE = 0.06
"""Of each attack."""
MEMORY = 64e6
"""Bytes that a server may keep of one of them: one megabyte for each of all setups at once, say, was 1.7 GB."""
KINDS = {name: kind for name, kind in all_kinds().items() if kind.sample}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, Host]]:
    """By the store that they have."""
    with ExitStack() as stack:
        endpoints = serving_endpoints(stack)
        found = {store: stack.enter_context(hosted(store=store, endpoints=endpoints)) for store in ("memory", "sqlite")}
        for host in found.values():
            asyncio.run(answers(host))  # what is loaded once is loaded now
        yield found


@pytest.mark.parametrize("name", KINDS)
async def test_nobody_is_held_up(hosts: dict[str, Host], name: str) -> None:
    kind = KINDS[name]
    host = hosts[kind.store]
    before, log = host.figures(), len(host.log())
    attack = await attacked(host, kind)
    after = host.figures()
    if after.callback_ms > CALLBACK_MS:  # a cold cache counts as CPU time, too
        attack = await attacked(host, kind)
        after = host.figures()
    assert not attack.faults
    assert after.callback_ms <= CALLBACK_MS, after.callback
    assert after.resident - before.resident < MEMORY + kind.keeps
    assert not [word for word in kind.log_lacks if word in host.log()[log:]]
    await answers(host)


async def attacked(host: Host, kind: Kind) -> Attack:
    host.clear()
    attack = await run(kind, host.port, SHARE)
    print(f"\n{kind.name}: {dict(attack.told)}")
    return attack


async def answers(host: Host) -> None:
    """A neighbour comes, is answered and goes."""
    async with websocket(host.port, NEIGHBOUR, TEXT) as socket:
        await socket.say(turns("hello"))
        await socket.until("turnComplete")


def test_a_server_without_clients_is_where_it_was(hosts: dict[str, Host]) -> None:
    """After all of that, which ran before this."""
    for host in hosts.values():
        assert host.process.poll() is None
        assert host.figures().tasks is not None
