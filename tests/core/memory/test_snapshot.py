"""What is stored of a session that holds more than is stored."""

from __future__ import annotations

from msgspec.structs import replace

from openlive.core.memory.history import GONE
from openlive.core.memory.snapshot import HearingState, Snapshot, ToolFindings, with_newest_images
from openlive.types import Image, Message, Text

EMPTY = Snapshot(
    "s", (), 0, 0.0, (), False, (), (), 0, 0, 0, None, ("", ""), ((), ()), (), ToolFindings(), HearingState()
)


def test_the_newest_images_are_stored_and_all_words() -> None:
    def image(size: int) -> Image:
        return Image("image/png", bytes(size), words=f"{size}")

    old = Message("user", (image(1), Text("Look"), image(2)))
    only = Message("user", (image(3), image(4)))
    answer = Message("model", (Text("I see."),))
    waits = Message("user", (Text("And"), image(5)))
    snapshot = replace(EMPTY, messages=(old, answer, only, answer), waiting=((waits, True),), seen=(image(6), image(7)))
    assert with_newest_images(snapshot, 28) is snapshot
    found = with_newest_images(snapshot, 22)  # 7, 6, 5, 4, but 3 is too much
    assert found.seen == snapshot.seen
    assert found.waiting == snapshot.waiting
    assert found.messages == (
        Message("user", (Text("Look"),)),
        answer,
        Message("user", (image(4),)),
        answer,
    )
    found = with_newest_images(snapshot, 6)
    assert found.seen == ()
    assert found.waiting == ((Message("user", (Text("And"),)), True),)
    assert found.messages[2] == Message("user", (GONE,))
