"""What the user has said and shown that is not in the history yet."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from openlive.core.utterance import normalised
from openlive.types import Heard, Image, Message, Part, Text


class Unsaid:
    """`room`: tokens that the images of one turn may take; of more the oldest go. `all_video`: every frame between two
    turns counts, not only those while the user speaks and the newest one before."""

    def __init__(self, room: int, *, all_video: bool) -> None:
        self.waiting: list[tuple[Message, bool]] = []
        """What joins the history at the next rest, and whether it wants an answer."""
        self.typed: list[Part] = []
        """Realtime text that belongs to the turn that is being spoken."""
        self.begun: Heard | None = None
        """What was said of that turn before it seemed to be over."""
        self.seen: list[Image] = []
        self._room = room
        self._all_video = all_video

    @property
    def silent(self) -> bool:
        """Something waits that gets no answer of its own, so that the next request has to hold it."""
        return any(not answered for _, answered in self.waiting)

    def type(self, text: str) -> None:
        self.typed.append(Text(text))

    def see(self, image: Image, *, speaking: bool) -> None:
        if not speaking and not self._all_video:
            self.seen.clear()
        self.seen.append(image)
        while sum(seen.tokens for seen in self.seen) > self._room:
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
