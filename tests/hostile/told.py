"""What is told, to clients and to the log, and what the door takes for what."""

from __future__ import annotations

import asyncio
import json

from tests.hostile.kinds import ATTACKER, NEIGHBOUR, Attack, kind
from tests.hostile.sockets import SAID, TEXT, frame, handshake, message, request, turns, websocket

FORGED = "00:00:00 ERROR all is lost"
SECRET = "swordfish-is-the-word"


@kind("a line in the log", 5, keys=(True, False), log_lacks=(f"\n{FORGED}", "\x1b[31m", SECRET))
async def forged(attack: Attack) -> None:
    """Names, values, paths, headers and handles with line breaks and escape codes, or with what was said, in them."""
    nasty = f"x\r\n{FORGED}\n\x1b[31m{SECRET}"
    for data in (
        {"setup": {nasty: 1}},
        {"setup": {"model": nasty}},
        {"setup": {**TEXT, "tools": [{"functionDeclarations": [{"name": nasty}]}]}},
        {"setup": {**TEXT, "sessionResumption": {"handle": nasty}}},
        {"setup": {**TEXT, "labels": {nasty: {}}}},
        {nasty: 1},
        {"setup": {**TEXT, "generationConfig": {"responseModalities": [nasty]}}},
    ):
        await attack.send(None, frame(SAID, json.dumps(data).encode()), wait=1)
    for said in (
        turns(nasty),
        {"clientContent": {nasty: nasty}},
        {"toolResponse": {"functionResponses": [{"id": nasty}]}},
    ):
        await attack.send(TEXT if attack.key == ATTACKER else None, message(said), wait=0.5)
    await request(attack.port, f"GET /{SECRET} HTTP/1.1\r\nHost: localhost\r\nx: {SECRET}\r\n\r\n".encode(), 1)


@kind("failures that quote", 5, log_lacks=(SECRET, "secret of the endpoint"))
async def quotes(attack: Attack) -> None:
    """What was said, and what an endpoint said, when a turn fails."""
    await attack.ask(TEXT, turns(f"endpoint: error {SECRET}"), 3)
    await attack.ask(TEXT, turns(f"model: unknown {SECRET}"), 3)


@kind("sessions of others", 5)
async def others(attack: Attack) -> None:
    """One key asks for the turns and the metrics: it sees no session of another key's."""
    async with websocket(attack.port, NEIGHBOUR) as socket:
        theirs = (await socket.set_up(TEXT))["setupComplete"]["sessionId"]
        await socket.say(turns("hello"))
        await socket.until("turnComplete")
        await asyncio.sleep(0.2)
        for path in ("/openlive/turns", f"/openlive/turns?session={theirs}", "/metrics"):
            head = f"GET {path} HTTP/1.1\r\nHost: localhost:{attack.port}\r\nx-goog-api-key: {attack.key}\r\n"
            answer = await request(attack.port, (head + "Connection: close\r\n\r\n").encode())
            attack.told[answer.split(b"\r\n")[0][9:].decode("latin-1")] += 1
            if theirs.encode() in answer:
                attack.faults.append(f"{path} shows a session of another key's")


@kind("two lengths", 5, keys=(False,))
async def lengths(attack: Attack) -> None:
    """Content-Length beside Transfer-Encoding is refused and the connection closed; the second request is not read."""
    second = f"GET /healthz HTTP/1.1\r\nHost: localhost:{attack.port}\r\n\r\n".encode()
    for headers in (
        f"Content-Length: {5 + len(second)}\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
    ):
        head = f"POST /v1alpha/auth_tokens HTTP/1.1\r\nHost: localhost:{attack.port}\r\n{headers}\r\n".encode()
        answer = await request(attack.port, head + b"0\r\n\r\n" + second, 2)
        attack.told[answer.split(b"\r\n")[0][9:].decode("latin-1") or "cut"] += 1
        if b"\nok\n" in answer:
            attack.faults.append(f"a second request was read behind {headers.strip()!r}")


@kind("broken bodies", 5, log_lacks=("Traceback",))
async def broken(attack: Attack) -> None:
    """Chunks with sizes that are none, bodies that end early, and rubbish after a request: 400 and no traceback."""
    head = (
        f"POST /v1alpha/auth_tokens HTTP/1.1\r\nHost: localhost:{attack.port}\r\nx-goog-api-key: {attack.key}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    ).encode()
    for body in (
        b"zz\r\n",
        b"-1\r\n",
        b"5\r\nab",
        b"1" * 5000 + b"\r\n",
        b"5\r\nabcdeX",
        b"0\r\n" + b"a: b\r\n" * 5000,
    ):
        answer = await request(attack.port, head + body, 2)
        attack.told[answer.split(b"\r\n")[0][9:].decode("latin-1") or "cut"] += 1
        if answer.startswith(b"HTTP/1.1 5"):
            attack.faults.append(f"{body[:10]!r} was answered {answer[9:12].decode()}")


@kind("pages of other sites", 5)
async def origins(attack: Attack) -> None:
    """Origins and hosts that look like this machine: they change nothing where there are keys, and break nothing."""
    for origin in ("http://[::1].evil", "http://localhost.evil", "http://[", "null", "http://127.0.0.1:x", "\xff"):
        data = handshake(attack.port, attack.key, headers=f"Origin: {origin}\r\n")
        answer = await request(attack.port, data, 0.5)
        attack.told[answer.split(b"\r\n")[0][9:].decode("latin-1") or "cut"] += 1
        if answer.startswith(b"HTTP/1.1 5"):
            attack.faults.append(f"Origin {origin!r} was answered {answer[9:12].decode()}")
