"""What the user has said and shown that is not in the history yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec.structs import replace

from openlive.core.listening.utterance import normalised
from openlive.core.memory.history import ContextFullError, Window, image_bytes, weight
from openlive.types import Heard, Image, Message, Part, Text


class Unsaid:
    """`images`: bytes that images may come to. Of the images of one turn, and of what waits where the window slides,
    the oldest go. `all_video`: every frame between two turns counts, not only those while the user speaks and the
    newest one before."""

    def __init__(self, window: Window, images: int, *, all_video: bool) -> None:
        self._waiting: deque[tuple[Message, bool]] = deque()
        self._tokens = self._bytes = 0
        """Of what waits and is typed; bytes of its images."""
        self._window = window
        self._images = images
        self.typed: list[Part] = []
        """Realtime text that belongs to the turn that is being spoken."""
        self.begun: Heard | None = None
        """What was said of that turn before it seemed to be over."""
        self.seen: list[Image] = []
        self._all_video = all_video

    @property
    def waiting(self) -> tuple[tuple[Message, bool], ...]:
        """What joins the history at the next rest, and whether it wants an answer."""
        return tuple(self._waiting)

    @property
    def silent(self) -> bool:
        """Something waits that gets no answer of its own, so that the next request has to hold it."""
        return any(not answered for _, answered in self._waiting)

    def wait(self, message: Message, *, answered: bool, first: bool = False) -> None:
        """`message` joins the history at the next rest. Raises `ContextFullError` where more waits than the window
        holds and nothing may be dropped."""
        if first:
            self._waiting.appendleft((message, answered))
        else:
            self._waiting.append((message, answered))
        self._tokens += weight(message)
        self._bytes += image_bytes(message.parts)
        self._fit()

    def take(self) -> tuple[tuple[Message, bool], ...]:
        """What waits, which does not any more."""
        waiting = self.waiting
        self._waiting.clear()
        self._count()
        return waiting

    def type(self, text: str) -> None:
        """Raises `ContextFullError`, as `wait` does."""
        said = Text(text)
        self.typed.append(said)
        self._tokens += weight(Message("user", (said,)))
        self._fit()

    def _fit(self) -> None:
        window = self._window
        while self._tokens > window.limit or self._bytes > self._images:
            if window.trigger is None or not self._waiting:
                what = f"{self._bytes} bytes of images" if self._bytes > self._images else f"{self._tokens} tokens"
                raise ContextFullError(f"{what} wait for the end of a turn or a call: too many. Send less meanwhile.")
            dropped, _ = self._waiting.popleft()
            self._tokens -= weight(dropped)
            self._bytes -= image_bytes(dropped.parts)

    def _count(self) -> None:
        waits = [*(message for message, _ in self._waiting), *(Message("user", (part,)) for part in self.typed)]
        self._tokens = sum(map(weight, waits))
        self._bytes = image_bytes([part for message in waits for part in message.parts])

    def see(self, image: Image, *, speaking: bool) -> None:
        if not speaking and not self._all_video:
            self.seen.clear()
        self.seen.append(image)
        while len(self.seen) > 1 and (
            sum(seen.tokens for seen in self.seen) > self._window.room or image_bytes(self.seen) > self._images // 2
        ):
            del self.seen[0]

    def go_on(self, turn: Message) -> None:
        """The user has not finished `turn` after all."""
        self.seen[:0] = [part for part in turn.parts if isinstance(part, Image)]
        self.begun = next((part for part in turn.parts if isinstance(part, Heard)), None)

    def turn(self, parts: Iterable[Part]) -> Message:
        """A turn in which `parts` are said."""
        return Message("user", (*self.seen, *self._whole(tuple(parts)), *self.typed))

    def _whole(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        match self.begun, parts:
            case None, _:
                return parts
            case Heard(said, start), (Heard(text) as more,):  # it sounds as its end does
                return (replace(more, text=f"{said} {text}", start=start),)
            case Heard(said), (Text(text),):
                return (Text(f"{said} {text}"),)
            case begun, _:
                return (begun, *parts)

    def shown(self, images: tuple[Image, ...]) -> Message:
        """A turn in which nothing is said: `images`, which are in no later one."""
        self._leave(images)
        return Message("user", images)

    def _leave(self, told: tuple[Part, ...]) -> None:
        self.seen = [seen for seen in self.seen if not any(seen is part for part in told)]

    def end_turn(self, turn: Message) -> None:
        """What was seen after `turn` was put together is for the next one."""
        self._leave(turn.parts)
        self.typed.clear()
        self._count()
        self.begun = None


def same(guess: Message, said: Message) -> bool:
    """The guess was answered; does the answer fit what was said in the end? Of a camera that runs, frames come after it
    as well; they change nothing, but the first image of a turn does."""
    if normalised(guess.text) != normalised(said.text) or bool(_images(guess)) != bool(_images(said)):
        return False
    return [p for p in guess.parts if not isinstance(p, _OPEN)] == [p for p in said.parts if not isinstance(p, _OPEN)]


_OPEN = (Heard, Image)


def _images(message: Message) -> list[Part]:
    return [part for part in message.parts if isinstance(part, Image)]
