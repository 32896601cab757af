"""The conversation so far: what was said, what was heard of the answers, and what waits to be said."""

from __future__ import annotations

import binascii

from openlive.types import FunctionCall, FunctionResponse, Image, Message, Part, Role, Text
from openlive.wire import content as wire
from openlive.wire.errors import ProtocolError

IMAGES = ("image/jpeg", "image/png", "image/webp")


class History:
    def __init__(self) -> None:
        self._messages: list[Message] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages)

    def add(self, message: Message | None) -> None:
        """Appends. Neighbours of one role stay apart: they are what was said one after the other."""
        if message is not None and message.parts:
            self._messages.append(message)


def from_content(content: wire.Content, path: str) -> Message:
    """A turn of `clientContent`. Raises `ProtocolError` for what cannot be part of one."""
    role = _role(content.role, f"{path}.role")
    parts = tuple(_part(part, f"{path}.parts[{i}]") for i, part in enumerate(content.parts))
    return Message(role, tuple(part for part in parts if part is not None))


def _role(role: str | None, path: str) -> Role:
    match role:
        case None | "" | "user" | "function":
            return "user"
        case "model":
            return "model"
        case "system":
            return "system"
    raise ProtocolError(f"Invalid value at '{path}': {role!r} is not one of user, model, system.")


def _part(part: wire.Part, path: str) -> Part | None:
    if part.text is not None:
        return None if part.thought else Text(part.text)
    if part.inline_data is not None:
        return image(part.inline_data, f"{path}.inline_data")
    if part.function_call is not None:
        call = part.function_call
        return FunctionCall(call.id or "", call.name or "", call.args or {})
    if part.function_response is not None:
        response = part.function_response
        return FunctionResponse(response.id or "", response.name or "", response.response or {})
    if part.file_data is not None:
        raise ProtocolError(
            f"Invalid value at '{path}.file_data': files are not served here; send inline_data instead."
        )
    return None


def image(blob: wire.Blob, path: str) -> Image:
    """Checks the type and the first bytes only: decoding is the engine's, away from the session."""
    mime = (blob.mime_type or "").split(";")[0].strip().lower()
    if mime not in IMAGES:
        raise ProtocolError(f"Invalid value at '{path}.mime_type': {mime!r} is not one of {', '.join(IMAGES)}.")
    data = blob.data or b""
    if not data.startswith((b"\xff\xd8", b"\x89PNG", b"RIFF")):
        start = binascii.hexlify(data[:4]).decode() or "nothing"
        raise ProtocolError(f"Invalid value at '{path}.data': not a JPEG, PNG or WebP image (it begins with {start}).")
    return Image(mime, data)
