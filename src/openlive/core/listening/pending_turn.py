"""What the user has said and shown that is not in the history yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec.structs import replace

from openlive.core.listening.utterance import normalise_words
from openlive.core.memory.history import ContextFullError, ContextWindow, count_image_bytes, message_weight
from openlive.types import Heard, Image, Message, Part, Text


class PendingTurn:
    """`images`: bytes that images may come to. Of the images of one turn, and of what waits where the window slides,
    the oldest go. `all_video`: every frame between two turns counts, not only those while the user speaks and the
    newest one before."""

    def __init__(self, window: ContextWindow, images: int, *, all_video: bool) -> None:
        self._waiting: deque[tuple[Message, bool]] = deque()
        self._tokens = self._image_bytes = 0
        """Of what waits and is typed; bytes of its images."""
        self._window = window
        self._image_bytes_limit = images
        self.typed_parts: list[Part] = []
        """Realtime text that belongs to the turn that is being spoken."""
        self.resumed_utterance: Heard | None = None
        """What was said of that turn before it seemed to be over."""
        self.frames: list[Image] = []
        self._all_video = all_video

    @property
    def waiting_messages(self) -> tuple[tuple[Message, bool], ...]:
        """What joins the history at the next rest, and whether it wants an answer."""
        return tuple(self._waiting)

    @property
    def has_unanswered_message(self) -> bool:
        """Something waits that gets no answer of its own, so that the next request has to hold it."""
        return any(not answered for _, answered in self._waiting)

    def queue_message(self, message: Message, *, answered: bool, first: bool = False) -> None:
        """`message` joins the history at the next rest. Raises `ContextFullError` where more waits than the window
        holds and nothing may be dropped."""
        if first:
            self._waiting.appendleft((message, answered))
        else:
            self._waiting.append((message, answered))
        self._tokens += message_weight(message)
        self._image_bytes += count_image_bytes(message.parts)
        self._drop_to_fit()

    def take_waiting(self) -> tuple[tuple[Message, bool], ...]:
        """What waits, which does not any more."""
        waiting = self.waiting_messages
        self._waiting.clear()
        self._count_waiting()
        return waiting

    def add_typed_text(self, text: str) -> None:
        """Raises `ContextFullError`, as `queue_message` does."""
        said = Text(text)
        self.typed_parts.append(said)
        self._tokens += message_weight(Message("user", (said,)))
        self._drop_to_fit()

    def _drop_to_fit(self) -> None:
        window = self._window
        while self._tokens > window.limit or self._image_bytes > self._image_bytes_limit:
            if window.trigger is None or not self._waiting:
                what = (
                    f"{self._image_bytes} bytes of images"
                    if self._image_bytes > self._image_bytes_limit
                    else f"{self._tokens} tokens"
                )
                raise ContextFullError(f"{what} wait for the end of a turn or a call: too many. Send less meanwhile.")
            dropped, _ = self._waiting.popleft()
            self._tokens -= message_weight(dropped)
            self._image_bytes -= count_image_bytes(dropped.parts)

    def _count_waiting(self) -> None:
        waits = [*(message for message, _ in self._waiting), *(Message("user", (part,)) for part in self.typed_parts)]
        self._tokens = sum(map(message_weight, waits))
        self._image_bytes = count_image_bytes([part for message in waits for part in message.parts])

    def add_frame(self, image: Image, *, speaking: bool) -> None:
        if not speaking and not self._all_video:
            self.frames.clear()
        self.frames.append(image)
        while len(self.frames) > 1 and (
            sum(seen.tokens for seen in self.frames) > self._window.turn_image_tokens
            or count_image_bytes(self.frames) > self._image_bytes_limit // 2
        ):
            del self.frames[0]

    def resume_turn(self, turn: Message) -> None:
        """The user has not finished `turn` after all."""
        self.frames[:0] = [part for part in turn.parts if isinstance(part, Image)]
        self.resumed_utterance = next((part for part in turn.parts if isinstance(part, Heard)), None)

    def build_turn(self, parts: Iterable[Part]) -> Message:
        """A turn in which `parts` are said."""
        return Message("user", (*self.frames, *self._join_resumed_speech(tuple(parts)), *self.typed_parts))

    def _join_resumed_speech(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        match self.resumed_utterance, parts:
            case None, _:
                return parts
            case Heard(said, start), (Heard(text) as more,):  # it sounds as its end does
                return (replace(more, text=f"{said} {text}", start=start),)
            case Heard(said), (Text(text),):
                return (Text(f"{said} {text}"),)
            case begun, _:
                return (begun, *parts)

    def build_scene_turn(self, images: tuple[Image, ...]) -> Message:
        """A turn in which nothing is said: `images`, which are in no later one."""
        self._drop_frames(images)
        return Message("user", images)

    def _drop_frames(self, told: tuple[Part, ...]) -> None:
        self.frames = [seen for seen in self.frames if not any(seen is part for part in told)]

    def end_turn(self, turn: Message) -> None:
        """What was seen after `turn` was put together is for the next one."""
        self._drop_frames(turn.parts)
        self.typed_parts.clear()
        self._count_waiting()
        self.resumed_utterance = None


def is_same_turn(guess: Message, said: Message) -> bool:
    """The guess was answered; does the answer fit what was said in the end? Of a camera that runs, frames come after it
    as well; they change nothing, but the first image of a turn does."""
    if normalise_words(guess.text) != normalise_words(said.text) or bool(_image_parts(guess)) != bool(
        _image_parts(said)
    ):
        return False
    return [p for p in guess.parts if not isinstance(p, _OPEN)] == [p for p in said.parts if not isinstance(p, _OPEN)]


_OPEN = (Heard, Image)


def _image_parts(message: Message) -> list[Part]:
    return [part for part in message.parts if isinstance(part, Image)]
