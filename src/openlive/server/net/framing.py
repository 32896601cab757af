"""What a WebSocket client sends, frame by frame (RFC 6455 5): bytes go in, messages and control frames come out.

The reader of `websockets` parses whatever it was given in one call, keeps what nobody wants, and finds bad UTF-8 when
the message is whole. This one reads a frame when it is asked to, so that its caller decides how many a turn of the
event loop may take; throws contents away as they come where that is wanted; and fails at the first bad byte.
"""

from __future__ import annotations

import codecs
from typing import Any

from websockets.exceptions import ProtocolError
from websockets.frames import Close

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_DATA, _CONTROL = (CONT, TEXT, BINARY), (CLOSE, PING, PONG)
_FIN, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_CONTROL_BYTES = 125
_UTF8 = codecs.getincrementaldecoder("utf-8")

Received = tuple[int, Any]
"""An opcode, and what came with it: str with TEXT and bytes with BINARY, once for a whole message; bytes with CLOSE,
PING and PONG; None with CONT, which stands for a frame that ends no message."""


class FramingError(Exception):
    """The client breaks the protocol, or a limit: close with `code` and `reason`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """`message_bytes` and `fragments` bound one message."""

    def __init__(self, message_bytes: int, fragments: int) -> None:
        self.message_bytes = message_bytes
        self.begun = False
        """The first message has begun."""
        self._fragments = fragments
        self._keeps = True
        self._data = b""
        self._at = 0
        self._opcode = -1  # of the frame whose payload is being read; -1: none
        self._final = False
        self._left = 0  # bytes of it that are still to come
        self._mask = b""
        self._kind = CONT  # of the message that is being read, TEXT or BINARY; CONT: none
        self._parts: list[Any] = []
        self._size = 0
        self._frames = 0
        self._decoder = _UTF8()
        self._decoded = 0

    @property
    def unread(self) -> int:
        """Bytes that were fed and not read."""
        return len(self._data) - self._at

    def feed(self, data: bytes) -> None:
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def skip_contents(self) -> None:
        """From here on the contents of messages are thrown away as they come: those that end are told as empty."""
        self._keeps = False
        self._parts = []

    def read(self) -> Received | None:
        """The next frame, None where more data is needed. Raises `FramingError`; nothing may be read after that."""
        if self._opcode < 0 and not self._read_header():
            return None
        if self._opcode in _CONTROL:
            if self.unread < self._left:
                return None
            received = self._opcode, self._unmasked()
            self._opcode = -1
            return received
        return self._read_data()

    # --- one frame ---

    def _read_header(self) -> bool:
        data, at = self._data, self._at
        there = len(data) - at
        if there < 2:
            return False
        first, second = data[at], data[at + 1]
        opcode, length = first & _OPCODE, second & _LENGTH
        self._check(first, second)
        size = 6 if length < 126 else 8 if length == 126 else 14
        if there < size:
            return False
        if length >= 126:
            length = int.from_bytes(data[at + 2 : at + size - 4])
        if opcode in _DATA:
            self._begin(opcode, length)
        self._final = bool(first & _FIN)
        self._mask = data[at + size - 4 : at + size]
        self._opcode, self._left = opcode, length
        self._at = at + size
        return True

    def _check(self, first: int, second: int) -> None:
        opcode = first & _OPCODE
        if first & _RESERVED:
            raise FramingError(1002, "A frame has reserved bits set; no extension was agreed on.")
        if not second & _MASKED:
            raise FramingError(1002, "A frame is not masked; clients have to mask theirs.")
        if opcode in _CONTROL:
            if not first & _FIN or second & _LENGTH > _CONTROL_BYTES:
                raise FramingError(1002, "A control frame is in fragments, or has more than 125 bytes.")
        elif opcode not in _DATA:
            raise FramingError(1002, f"A frame has the opcode {opcode}, which is reserved.")
        elif opcode == CONT:
            if not self._kind:
                raise FramingError(1002, "A continuation frame comes where no message is to be continued.")
        elif self._kind:
            raise FramingError(1002, "A message begins before the one before it has ended.")

    def _begin(self, opcode: int, length: int) -> None:
        """Another frame of a message, or of a new one."""
        if opcode != CONT:
            self.begun = True
            self._kind = opcode
            self._size = self._frames = 0
        self._size += length
        self._frames += 1
        if self._size > self.message_bytes:
            raise FramingError(
                1009, f"A message is over its limit of {self.message_bytes} bytes; send media in pieces."
            )
        if self._frames > self._fragments:
            raise FramingError(1008, f"A message has more than {self._fragments} fragments; send it in fewer.")

    def _read_data(self) -> Received | None:
        payload = self._unmasked()
        if self._left:
            self._take(payload, last=False)
            return None
        self._opcode = -1
        if not self._final:
            self._take(payload, last=False)
            return CONT, None
        kind, self._kind = self._kind, CONT
        if not self._keeps:
            return kind, "" if kind == TEXT else b""
        if not self._parts:  # almost always: a message in one frame that arrived in one piece
            return kind, self._decode(payload, last=True) if kind == TEXT else payload
        self._take(payload, last=True, kind=kind)
        parts, self._parts = self._parts, []
        return kind, "".join(parts) if kind == TEXT else b"".join(parts)

    def _unmasked(self) -> bytes:
        """What is there of the payload."""
        data, begin = self._data, self._at
        end = min(begin + self._left, len(data))
        self._left -= end - begin
        if end < len(data):
            self._at = end
        else:
            self._data, self._at = b"", 0
        if begin == end or not (self._keeps or self._opcode in _CONTROL):
            return b""
        payload = data[begin:end]
        mask = self._mask
        turned = len(payload) % 4
        self._mask = mask[turned:] + mask[:turned]
        return apply_mask(payload, mask)

    def _take(self, payload: bytes, *, last: bool, kind: int = CONT) -> None:
        if self._keeps and (payload or last):
            text = (kind or self._kind) == TEXT
            self._parts.append(self._decode(payload, last=last) if text else payload)

    def _decode(self, payload: bytes, *, last: bool) -> str:
        if last and not self._parts:
            try:
                return payload.decode()
            except UnicodeDecodeError as error:
                raise _not_utf8(error, 0) from None
        before = self._decoded - len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(payload, last)
        except UnicodeDecodeError as error:
            raise _not_utf8(error, before) from None
        self._decoded = 0 if last else self._decoded + len(payload)
        if last:
            self._decoder.reset()
        return text


def _not_utf8(error: UnicodeDecodeError, before: int) -> FramingError:
    """`before`: bytes of the message in front of those that were decoded."""
    return FramingError(1007, f"A text message is not valid UTF-8: {error.reason} at byte {before + error.start}.")


def read_close(payload: bytes) -> Close:
    """The code (1005 where there is none) and reason of a close frame. Raises `FramingError`."""
    try:
        return Close.parse(payload)
    except ProtocolError:
        raise FramingError(1002, "A close frame has a code that must not be sent, or half of one.") from None
    except UnicodeDecodeError:
        raise FramingError(1007, "The reason of a close frame is not valid UTF-8.") from None


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame of a server's: final, unmasked."""
    size = len(payload)
    if size < 126:
        return bytes((_FIN | opcode, size)) + payload
    if size < 65536:
        return bytes((_FIN | opcode, 126)) + size.to_bytes(2) + payload
    return bytes((_FIN | opcode, 127)) + size.to_bytes(8) + payload
