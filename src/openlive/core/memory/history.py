"""The conversation so far: what was said, what was heard of the answers, and what waits to be said."""

from __future__ import annotations

import binascii
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from msgspec import Struct, json

from openlive.core.memory import tokens
from openlive.types import FunctionCall, FunctionResponse, Image, Message, Part, Request, Role, Text
from openlive.wire import content as wire
from openlive.wire.errors import ProtocolError

MAX_TURNS, MAX_PARTS = 2048, 4096
"""Of one `clientContent`, its parts in all; ours. Some three hours of talk, and what to take in within 20 ms; a history
with more comes in several messages."""
IMAGES = ("image/jpeg", "image/png", "image/webp")
HEIC = ("image/heic", "image/heif")
"""Taken where they can be decoded."""
GONE = Text("(I have shown you a picture that is not there any more.)")
"""In the place of a turn that was nothing but images."""
_ALSO = {"image/jpg": "image/jpeg"}
"""Names in the wild (docs/protocol.md#media-types)."""


class ImagePolicy(Struct, frozen=True):
    """How images are taken: what each counts in tokens, and whether HEIC can be decoded here."""

    tokens: int = 258
    heic: bool = False


class ContextWindow(Struct, frozen=True):
    """How much is remembered, in tokens as the protocol counts them.

    Over `trigger` the oldest turns go until `target` is reached; without a trigger, more than `limit` ends the session.
    `engine` is what the language model can hold by its own count, 0 where that is not known.
    """

    limit: int = 32_768
    trigger: int | None = None
    target: int = 0
    engine: int = 0

    @property
    def turn_image_tokens(self) -> int:
        """What the images of one turn may come to: they leave as much for the rest."""
        return (self.limit if self.trigger is None else self.trigger) // 2


class ContextFullError(Exception):
    """The conversation has outgrown its window."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


def message_weight(message: Message) -> int:
    """What it counts in the window; a turn of nothing counts one, so that no number of them is nothing."""
    return sum(tokens.of_parts(message.parts)) or 1


def count_image_bytes(parts: Sequence[Part]) -> int:
    return sum([len(part.data) for part in parts if isinstance(part, Image)])


class _HistoryEntry:
    """A message, and what it is counted by: `weight` tokens in the window, `words` those of a model that only reads."""

    __slots__ = ("answers", "calls", "image_bytes", "message", "shows", "weight", "words")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.weight = message_weight(message)
        self.words = tokens.of_words(message)
        self.shows, self.image_bytes = False, 0
        self.calls: list[str] = []
        self.answers: list[str] = []
        for part in message.parts:
            if isinstance(part, Image):
                self.shows = True
                self.image_bytes += len(part.data)
            elif isinstance(part, FunctionCall):
                self.calls.append(part.id)
            elif isinstance(part, FunctionResponse):
                self.answers.append(part.id)


class History:
    """`images`: bytes that the images in it may come to; of more, the oldest go. All sums are kept as messages come and
    go, so that a turn costs what is new in it."""

    def __init__(self, window: ContextWindow, images: int = 64 * 1024 * 1024) -> None:
        self._window = window
        self._images = images
        self._entries: list[_HistoryEntry] = []
        self._weight = self._words = self._image_bytes = 0
        self._calls: Counter[str] = Counter()
        """The ids of the calls in it."""
        self._messages: tuple[Message, ...] | None = ()
        """None: not put together yet."""
        self.pinned_count = 0
        """So many messages at the beginning are never dropped: they were loaded as the history of the session."""
        self.engine_ratio = 0.0
        """Tokens by the engine's count for each of ours, as last measured."""

    @property
    def messages(self) -> tuple[Message, ...]:
        if self._messages is None:
            self._messages = tuple([entry.message for entry in self._entries])
        return self._messages

    def add(self, message: Message | None) -> None:
        """Appends. Neighbours of one role stay apart: they are what was said one after the other."""
        if message is not None and message.parts:
            entry = _HistoryEntry(message)
            if entry.answers:
                entry = _HistoryEntry(self._word_orphaned_results(message))
            self._entries.append(entry)
            self._count_entry(entry, 1)
            if self._image_bytes > self._images:
                self._drop_oldest_images()

    def _count_entry(self, entry: _HistoryEntry, sign: int) -> None:
        self._messages = None
        self._weight += sign * entry.weight
        self._words += sign * entry.words
        self._image_bytes += sign * entry.image_bytes
        for call in entry.calls:
            self._calls[call] += sign
            if not self._calls[call]:
                del self._calls[call]

    def _replace_message(self, index: int, message: Message) -> None:
        self._count_entry(self._entries[index], -1)
        self._entries[index] = _HistoryEntry(message)
        self._count_entry(self._entries[index], 1)

    def _drop_oldest_images(self) -> None:
        """The oldest, down to half of what they may come to: it is not to be done again for the next one."""
        for i in range(self.pinned_count, len(self._entries) - 1):
            if self._image_bytes <= self._images // 2:
                return
            message = self._entries[i].message
            if self._entries[i].shows:
                rest = tuple(part for part in message.parts if not isinstance(part, Image))
                self._replace_message(i, Message(message.role, rest or (GONE,)))

    def _word_orphaned_results(self, message: Message) -> Message:
        """Results whose calls are not there (any more) are told in words: no model takes them as results."""
        return Message(
            message.role,
            tuple(
                Text(f"{part.name} has come to {json.encode(part.response).decode()}.")
                if isinstance(part, FunctionResponse) and part.id not in self._calls
                else part
                for part in message.parts
            ),
        )

    def pop_last_message(self) -> Message:
        """The last message, which is none any more."""
        entry = self._entries.pop()
        self._count_entry(entry, -1)
        return entry.message

    def load_messages(self, messages: Sequence[Message]) -> None:
        """Appends messages that stay for ever."""
        for message in messages:
            self.add(message)
        self.pinned_count = len(self._entries)

    def restore(self, messages: Sequence[Message], kept: int, engine_ratio: float) -> None:
        for message in messages:
            self.add(message)
        self.pinned_count, self.engine_ratio = kept, engine_ratio

    def calibrate_to_engine(self, engine: int, request: Request) -> None:
        """The engine counted `engine` tokens for `request` and its answer."""
        ours = sum(tokens.of_request(request).values())
        self.engine_ratio = engine / ours if ours else 0.0

    def slide_window(self, preamble: int) -> None:
        """Drops the oldest turns where the window asks for it. `preamble`: tokens before the messages.

        Raises `ContextFullError`.
        """
        window, total = self._window, preamble + self._weight
        if window.trigger is not None and total > window.trigger:
            total = self._drop_oldest_turns(total, window.target)
        if total > window.limit:
            self._raise_full(total, preamble)
        ratio = self.engine_ratio or (preamble + self._words) / max(total, 1)
        if window.engine and total * ratio > 0.85 * window.engine:
            total = self._drop_oldest_turns(total, int(window.engine / 2 / ratio))
        if window.engine and preamble * ratio > window.engine:
            about = f"about {preamble * ratio:.0f} tokens"
            raise ContextFullError(
                f"Instructions and functions are too long: {about}, the language model takes {window.engine}."
            )
        if window.engine and total * ratio > window.engine:
            about = f"about {total * ratio:.0f} tokens"
            raise ContextFullError(f"The latest turn is too long: {about}, the language model takes {window.engine}.")

    def _raise_full(self, total: int, preamble: int) -> NoReturn:
        """Says what is too much, and what helps."""
        limit, compresses = self._window.limit, self._window.trigger is not None
        latest = self._entries[-1].weight if self._entries else 0
        if compresses and not self.pinned_count:  # the latest turn and what belongs to it, such as results of its calls
            latest = self._weight
        if preamble > limit:
            raise ContextFullError(f"Instructions and functions take {preamble} of {limit} tokens; shorten them.")
        if preamble + latest > limit:
            room = limit - preamble
            raise ContextFullError(f"The latest turn takes {latest} tokens, {room} are left for it; send less at once.")
        if compresses:
            raise ContextFullError(f"The loaded history is too long: {total} of {limit} tokens with this; load less.")
        raise ContextFullError(
            f"The context window is full: {total} of {limit} tokens. "
            "Ask for contextWindowCompression, which drops the oldest turns."
        )

    def _drop_oldest_turns(self, total: int, target: int) -> int:
        """Cuts at the first turn of the user that leaves no more than `target`, else at the last one there is. Where it
        is enough, only the images of the oldest turns go."""
        total = self._drop_images(total, target)
        if total <= target:
            return total
        end = self._find_cut(self._weight - total + target)
        for entry in self._entries[self.pinned_count : end]:
            total -= entry.weight
            self._count_entry(entry, -1)
        del self._entries[self.pinned_count : end]
        return total

    def _find_cut(self, most: int) -> int:
        """The first message after the kept ones with which what follows can begin, and does not weigh more than `most`
        together with these; else the last with which it can; `pinned_count` where there is none. The context begins
        with a turn of the user, and no result is parted from its call. One pass, from the end."""
        weight = sum(entry.weight for entry in self._entries[: self.pinned_count])
        stay = {call for entry in self._entries[: self.pinned_count] for call in entry.calls}
        missing: set[str] = set()
        cut = self.pinned_count
        for i in range(len(self._entries) - 1, self.pinned_count, -1):
            entry = self._entries[i]
            weight += entry.weight
            if weight > most and cut > self.pinned_count:
                break
            if entry.calls or entry.answers:
                missing.update(answer for answer in entry.answers if answer not in stay)
                stay.update(entry.calls)
                missing.difference_update(entry.calls)
            if entry.message.role == "user" and not missing:
                cut = i
        return cut

    def _drop_images(self, total: int, target: int) -> int:
        """The newest ones stay, and those that stand alone. The words beside the others stay, too."""
        showing = [i for i, entry in enumerate(self._entries) if entry.shows]
        for i in showing[:-1]:
            entry = self._entries[i]
            rest = tuple(part for part in entry.message.parts if not isinstance(part, Image))
            if i >= self.pinned_count and rest and total > target:
                self._replace_message(i, Message(entry.message.role, rest))
                total -= entry.weight - self._entries[i].weight
        return total


def messages_from_contents(contents: Sequence[wire.Content], path: str, pictures: ImagePolicy) -> list[Message]:
    """The turns of a `clientContent`. Raises `ProtocolError` for what cannot be part of one, and for too many."""
    if len(contents) > MAX_TURNS:
        raise ProtocolError(f"Invalid value at '{path}': {len(contents)} turns; send {MAX_TURNS} at most in a message.")
    parts = sum([len(content.parts) for content in contents])
    if parts > MAX_PARTS:
        raise ProtocolError(f"Invalid value at '{path}.parts': {parts} in all; send {MAX_PARTS} at most in a message.")
    return [_message_from_content(content, f"{path}[{i}]", pictures) for i, content in enumerate(contents)]


def _message_from_content(content: wire.Content, path: str, pictures: ImagePolicy) -> Message:
    role = _parse_role(content.role, f"{path}.role")
    parts = tuple(_parse_part(part, f"{path}.parts[{i}]", pictures) for i, part in enumerate(content.parts))
    return Message(role, tuple(part for part in parts if part is not None))


STOPS = " .…\t\r\n\u00a0"
"""A turn of nothing else says nothing."""


def with_instruction_turn(messages: Sequence[Message]) -> list[Message]:
    """The turns of one `clientContent`, where an instruction for the next answer stands in the place of what clients
    put it into: a turn of the model's that answers nobody, and behind it one of the user's without a word (LiveKit's
    `generate_reply(instructions=...)`). It was said neither by the user nor by the model, so it is of role `system`."""
    if len(messages) < 2:
        return list(messages)
    *before, wish, kick = messages
    answers = bool(before) and before[-1].role == "user"
    if (wish.role, kick.role) != ("model", "user") or answers or not wish.text.strip():
        return list(messages)
    if not all(isinstance(part, Text) for part in wish.parts):
        return list(messages)
    if not all(isinstance(part, Text) and not part.text.strip(STOPS) for part in kick.parts):
        return list(messages)
    return [*messages[:-2], Message("system", wish.parts)]


def _parse_role(role: str | None, path: str) -> Role:
    match role:
        case None | "" | "user" | "function":
            return "user"
        case "model":
            return "model"
        case "system":
            return "system"
    raise ProtocolError(f"Invalid value at '{path}': {role[:64]!r} is not one of user, model, system.")


def _parse_part(part: wire.Part, path: str, pictures: ImagePolicy) -> Part | None:
    if part.text is not None:
        return None if part.thought else Text(part.text)
    if part.inline_data is not None:
        return parse_image(part.inline_data, f"{path}.inline_data", pictures)
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


def parse_image(blob: wire.Blob, path: str, pictures: ImagePolicy) -> Image:
    """Checks the type and the first bytes only: decoding is the engine's."""
    mime = (blob.mime_type or "").split(";")[0].strip().lower()
    mime = _ALSO.get(mime, mime)
    if mime in HEIC and not pictures.heic:
        raise ProtocolError(f"Invalid value at '{path}.mime_type': {mime} needs openlive[heic] installed.")
    if mime not in IMAGES + HEIC:
        raise ProtocolError(f"Invalid value at '{path}.mime_type': {mime[:64]!r} is not one of {', '.join(IMAGES)}.")
    data = blob.data or b""
    start = binascii.hexlify(data[:4]).decode() or "nothing"
    if mime in HEIC:
        if data[4:8] != b"ftyp":
            raise ProtocolError(f"Invalid value at '{path}.data': not a HEIC image (it begins with {start}).")
    elif not data.startswith((b"\xff\xd8", b"\x89PNG", b"RIFF")):
        raise ProtocolError(f"Invalid value at '{path}.data': not a JPEG, PNG or WebP image (it begins with {start}).")
    return Image(mime, data, pictures.tokens)
