"""The conversation so far: what was said, what was heard of the answers, and what waits to be said."""

from __future__ import annotations

import binascii
from collections.abc import Sequence

from msgspec import Struct, json

from openlive.core import tokens
from openlive.types import FunctionCall, FunctionResponse, Image, Message, Part, Request, Role, Text
from openlive.wire import content as wire
from openlive.wire.errors import ProtocolError

IMAGES = ("image/jpeg", "image/png", "image/webp")
GONE = Text("(I have shown you a picture that is not there any more.)")
"""In the place of a turn that was nothing but images."""


class Window(Struct, frozen=True):
    """How much is remembered, in tokens as the protocol counts them.

    Over `trigger` the oldest turns go until `target` is reached; without a trigger, more than `limit` ends the session.
    `engine` is what the language model can hold by its own count, 0 where that is not known.
    """

    limit: int = 32_768
    trigger: int | None = None
    target: int = 0
    engine: int = 0

    @property
    def room(self) -> int:
        """What the images of one turn may come to: they leave as much for the rest."""
        return (self.limit if self.trigger is None else self.trigger) // 2


class ContextFullError(Exception):
    """The conversation has outgrown its window."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


def weight(message: Message) -> int:
    """What it counts in the window; a turn of nothing counts one, so that no number of them is nothing."""
    return sum(tokens.of_messages([message]).values()) or 1


def image_bytes(parts: Sequence[Part]) -> int:
    return sum([len(part.data) for part in parts if isinstance(part, Image)])


class History:
    """`images`: bytes that the images in it may come to; of more, the oldest go."""

    def __init__(self, window: Window, images: int = 64 * 1024 * 1024) -> None:
        self._window = window
        self._images = images
        self._image_bytes = 0
        self._messages: list[Message] = []
        self._counts: list[int] = []
        self.kept = 0
        """So many messages at the beginning are never dropped: they were loaded as the history of the session."""
        self.engine_ratio = 0.0
        """Tokens by the engine's count for each of ours, as last measured."""

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages)

    def add(self, message: Message | None) -> None:
        """Appends. Neighbours of one role stay apart: they are what was said one after the other."""
        if message is not None and message.parts:
            message = self._without_orphans(message)
            self._messages.append(message)
            self._counts.append(sum(tokens.of_messages([message]).values()))
            self._image_bytes += image_bytes(message.parts)
            if self._image_bytes > self._images:
                self._forget_images()

    def _forget_images(self) -> None:
        """The oldest, down to half of what they may come to: it is not to be done again for the next one."""
        self._image_bytes = image_bytes([part for message in self._messages for part in message.parts])
        for i in range(len(self._messages) - 1):
            if self._image_bytes <= self._images // 2:
                return
            message = self._messages[i]
            if i >= self.kept and (freed := image_bytes(message.parts)):
                rest = tuple(part for part in message.parts if not isinstance(part, Image))
                self._replace(i, Message(message.role, rest or (GONE,)))
                self._image_bytes -= freed

    def _replace(self, index: int, message: Message) -> None:
        self._messages[index] = message
        self._counts[index] = sum(tokens.of_messages([message]).values())

    def _without_orphans(self, message: Message) -> Message:
        """Results whose calls are not there (any more) are told in words: no model takes them as results."""
        if not any(isinstance(part, FunctionResponse) for part in message.parts):
            return message
        calls = {part.id for m in self._messages for part in m.parts if isinstance(part, FunctionCall)}
        return Message(
            message.role,
            tuple(
                Text(f"{part.name} has come to {json.encode(part.response).decode()}.")
                if isinstance(part, FunctionResponse) and part.id not in calls
                else part
                for part in message.parts
            ),
        )

    def take_back(self) -> Message:
        """The last message, which is none any more."""
        self._counts.pop()
        self._image_bytes -= image_bytes(self._messages[-1].parts)
        return self._messages.pop()

    def load(self, messages: Sequence[Message]) -> None:
        """Appends messages that stay for ever."""
        for message in messages:
            self.add(message)
        self.kept = len(self._messages)

    def restore(self, messages: Sequence[Message], kept: int, engine_ratio: float) -> None:
        for message in messages:
            self.add(message)
        self.kept, self.engine_ratio = kept, engine_ratio

    def measured(self, engine: int, request: Request) -> None:
        """The engine counted `engine` tokens for `request` and its answer."""
        ours = sum(tokens.of_request(request).values())
        self.engine_ratio = engine / ours if ours else 0.0

    def slide(self, preamble: int) -> None:
        """Drops the oldest turns where the window asks for it. `preamble`: tokens before the messages.

        Raises `ContextFullError`.
        """
        window, total = self._window, preamble + sum(self._counts)
        if window.trigger is not None and total > window.trigger:
            total = self._drop(total, window.target)
        if total > window.limit:
            raise ContextFullError(
                f"The context window is full: {total} of {window.limit} tokens. "
                "Ask for contextWindowCompression, which drops the oldest turns."
            )
        ratio = self.engine_ratio or (preamble + sum(map(tokens.of_words, self._messages))) / max(total, 1)
        if window.engine and total * ratio > 0.85 * window.engine:
            total = self._drop(total, int(window.engine / 2 / ratio))
        if window.engine and total * ratio > window.engine:
            raise ContextFullError(
                f"The latest turn is too long: about {total * ratio:.0f} tokens, "
                f"the language model takes {window.engine}."
            )

    def _drop(self, total: int, target: int) -> int:
        """Cuts at the first turn of the user that leaves no more than `target`, else at the last one there is. Where it
        is enough, only the images of the oldest turns go."""
        total = self._drop_images(total, target)
        if total <= target:
            return total
        end, left = self.kept, total
        for i in range(self.kept, len(self._messages)):
            if i > self.kept and self._can_begin(i):
                end, left = i, total - sum(self._counts[self.kept : i])
                if left <= target:
                    break
        del self._messages[self.kept : end], self._counts[self.kept : end]
        return left

    def _drop_images(self, total: int, target: int) -> int:
        """The newest ones stay, and those that stand alone. The words beside the others stay, too."""
        showing = [i for i, m in enumerate(self._messages) if any(isinstance(part, Image) for part in m.parts)]
        for i in showing[:-1]:
            message, before = self._messages[i], self._counts[i]
            rest = tuple(part for part in message.parts if not isinstance(part, Image))
            if i >= self.kept and rest and total > target:
                self._replace(i, Message(message.role, rest))
                total -= before - self._counts[i]
        return total

    def _can_begin(self, index: int) -> bool:
        """The context begins with a turn of the user, and no result is parted from its call."""
        rest = self._messages[index:]
        calls = {part.id for message in rest for part in message.parts if isinstance(part, FunctionCall)}
        answers = {part.id for message in rest for part in message.parts if isinstance(part, FunctionResponse)}
        return rest[0].role == "user" and answers <= calls


def from_content(content: wire.Content, path: str, price: int) -> Message:
    """A turn of `clientContent`. Raises `ProtocolError` for what cannot be part of one."""
    role = _role(content.role, f"{path}.role")
    parts = tuple(_part(part, f"{path}.parts[{i}]", price) for i, part in enumerate(content.parts))
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


def _part(part: wire.Part, path: str, price: int) -> Part | None:
    if part.text is not None:
        return None if part.thought else Text(part.text)
    if part.inline_data is not None:
        return image(part.inline_data, f"{path}.inline_data", price)
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


def image(blob: wire.Blob, path: str, price: int) -> Image:
    """`price` is what it counts in tokens. Checks the type and the first bytes only: decoding is the engine's."""
    mime = (blob.mime_type or "").split(";")[0].strip().lower()
    if mime not in IMAGES:
        raise ProtocolError(f"Invalid value at '{path}.mime_type': {mime!r} is not one of {', '.join(IMAGES)}.")
    data = blob.data or b""
    if not data.startswith((b"\xff\xd8", b"\x89PNG", b"RIFF")):
        start = binascii.hexlify(data[:4]).decode() or "nothing"
        raise ProtocolError(f"Invalid value at '{path}.data': not a JPEG, PNG or WebP image (it begins with {start}).")
    return Image(mime, data, price)
