"""Frames, one at a time: what is a message, what is none, and what a client may make the reader keep."""

from __future__ import annotations

import random
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from openlive.server.net.framing import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    FrameReader,
    FramingError,
    frame,
    read_close,
)

MASK = b"\x37\xfa\x21\x3d"


def sent(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes | None = MASK, bits: int = 0) -> bytes:
    """A client's frame."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65536 else b"\x7f" + size.to_bytes(8)
    first = bytes([(0x80 if fin else 0) | bits | opcode])
    if mask is None:
        return first + length + payload
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return first + bytes([length[0] | 0x80]) + length[1:] + mask + masked


def reader(message_bytes: int = 1000, fragments: int = 10) -> FrameReader:
    return FrameReader(message_bytes, fragments)


def read(data: bytes, by: int = 0, made: FrameReader | None = None) -> list[Any]:
    """Everything, fed in pieces of `by` bytes."""
    made = made or reader()
    found = []
    for at in range(0, len(data), by or len(data)):
        made.feed(data[at : at + (by or len(data))])
        while (received := made.read()) is not None:
            found.append(received)
    return found


SAID = (
    sent(TEXT, "grüß dich".encode())
    + sent(PING, b"?")
    + sent(BINARY, b"\x00\xff" * 200, fin=False)
    + sent(PONG)
    + sent(CONT, fin=False)
    + sent(CONT, b"end")
    + sent(TEXT, "ü".encode()[:1], fin=False)
    + sent(CONT, "ü".encode()[1:] + b"!")
    + sent(TEXT)
    + sent(CLOSE, b"\x03\xe8bye")
)
HEARD = [
    (TEXT, "grüß dich"),
    (PING, b"?"),
    (CONT, None),
    (PONG, b""),
    (CONT, None),
    (BINARY, b"\x00\xff" * 200 + b"end"),
    (CONT, None),
    (TEXT, "ü!"),
    (TEXT, ""),
    (CLOSE, b"\x03\xe8bye"),
]


@pytest.mark.parametrize("by", [0, 1, 2, 3, 5, 7, 64])
def test_what_is_said_is_heard_in_whatever_pieces_it_comes(by: int) -> None:
    assert read(SAID, by) == HEARD


def test_what_websockets_writes_is_read_and_what_is_written_it_reads() -> None:
    chance = random.Random(7)
    for size in (0, 1, 125, 126, 65535, 65536, 200_000):
        payload = chance.randbytes(size)
        assert read(Frame(Opcode.BINARY, payload).serialize(mask=True), made=reader(10**6)) == [(BINARY, payload)]
        assert frame(BINARY, payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (sent(TEXT, bits=0x40), 1002, "reserved bits"),
        (sent(TEXT, b"x", mask=None), 1002, "not masked"),
        (sent(3), 1002, "opcode 3"),
        (sent(0xB), 1002, "opcode 11"),
        (sent(PING, fin=False), 1002, "control frame"),
        (sent(PING, bytes(126)), 1002, "125 bytes"),
        (sent(CONT, b"x"), 1002, "no message is to be continued"),
        (sent(TEXT, fin=False) + sent(TEXT), 1002, "before the one before it has ended"),
        (sent(TEXT, b"a\xff"), 1007, "at byte 1"),
        (sent(TEXT, "ü".encode()[:1]), 1007, "at byte 0"),
        (sent(TEXT, b"ab\xc3", fin=False) + sent(CONT, b"x"), 1007, "at byte 2"),
        (sent(TEXT, b"ab\xc3", fin=False) + sent(CONT), 1007, "at byte 2"),
        (sent(BINARY, bytes(1001)), 1009, "1000 bytes"),
        (sent(BINARY, bytes(600), fin=False) + sent(CONT, bytes(401)), 1009, "1000 bytes"),
        (b"\x82\xff" + b"\xff" * 8 + MASK, 1009, "1000 bytes"),
        (sent(BINARY, fin=False) + 10 * sent(CONT, fin=False), 1008, "more than 10 fragments"),
    ],
)
def test_what_is_no_frame_or_too_much(data: bytes, code: int, reason: str) -> None:
    for by in (0, 1):
        with pytest.raises(FramingError, match=reason) as caught:
            read(data, by)
        assert caught.value.code == code


def test_bad_text_fails_at_its_first_byte() -> None:
    """Not when its message ends, nor when its frame does."""
    made = reader(10**9, 10**9)
    made.feed(sent(TEXT, b"good" + bytes(1000))[: 8 + 100])
    assert made.read() is None
    bad = sent(TEXT, b"good\xed\xa0\x80" + bytes(1000))[: 8 + 7]
    made = reader(10**9)
    made.feed(bad)
    with pytest.raises(FramingError, match="at byte 4"):
        made.read()


def test_contents_that_nobody_wants_are_not_kept() -> None:
    made = reader(10**9)
    made.feed(sent(TEXT, bytes(100_000), fin=False))
    assert made.read() == (CONT, None)
    made.skip_contents()
    for _ in range(5):
        made.feed(sent(CONT, bytes(100_000), fin=False))
        assert made.read() == (CONT, None)
        assert not made._parts
        assert not made._data
    made.feed(sent(CONT, b"\xff") + sent(PING, b"?") + sent(BINARY, b"x"))
    assert [made.read() for _ in range(4)] == [(TEXT, ""), (PING, b"?"), (BINARY, b""), None]


def test_a_message_has_begun_once_its_head_is_there() -> None:
    made = reader()
    made.feed(sent(PING) + sent(TEXT, b"{}")[:5])
    assert made.read() == (PING, b"")
    assert made.read() is None
    assert not made.begun
    made.feed(sent(TEXT, b"{}")[5:6])
    assert made.read() is None
    assert made.begun


def test_closes() -> None:
    assert (read_close(b"").code, read_close(b"").reason) == (1005, "")
    found = read_close(b"\x0f\xa0later")
    assert (found.code, found.reason) == (4000, "later")
    for payload, code in ((b"\x03", 1002), (b"\x03\xed", 1002), (b"\x00\x00", 1002), (b"\x03\xe8\xff", 1007)):
        with pytest.raises(FramingError) as caught:
            read_close(payload)
        assert caught.value.code == code


def test_rubbish_ends_in_an_error_and_nothing_else() -> None:
    chance, errors = random.Random(11), []
    for _ in range(3000):
        data = bytearray(SAID)
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read(bytes(data), chance.choice([0, 1, 9]))
        except FramingError as error:
            errors.append(error)
    assert {error.code for error in errors} == {1002, 1007, 1009}
    assert max(len(error.reason.encode()) for error in errors) <= 123
