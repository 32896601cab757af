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
        self.seen = [seen for seen in self.seen if not any(seen is image for image in images)]
        return Message("user", images)

    def end_turn(self) -> None:
        self.seen.clear()
        self.typed.clear()
        self.begun = None


def same(guess: Message, said: Message) -> bool:
    """The guess was answered; does the answer fit what was said in the end?"""
    others = [p for p in guess.parts if not isinstance(p, Heard)], [p for p in said.parts if not isinstance(p, Heard)]
    return others[0] == others[1] and normalised(guess.text) == normalised(said.text)
