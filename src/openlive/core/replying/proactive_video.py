"""Proactive video: which frames are judged, and when the model speaks up by itself."""

from __future__ import annotations

from openlive.core.commands import Command, DropScene, JudgeScene
from openlive.core.events import Failed, SceneJudged
from openlive.core.replying.dialogue import Dialogue
from openlive.types import Image

NOTEWORTHY = 0.5
"""From which likelihood on the model speaks up."""


class Watching:
    """One question at a time, and none while anybody has the floor: meanwhile the newest frame waits. A question that
    is open when somebody takes the floor is dropped, and asked again later unless the frame went into a turn."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._number = 0
        self._asked: tuple[Image, ...] = ()
        """The frames that waited for a turn when the open question was asked; none: there is no open question. Where
        there is one, nobody has the floor."""
        self._fresh = False
        """A frame has not been judged yet."""

    def saw(self) -> None:
        self._fresh = self._dialogue.settings.proactive_video

    def look(self) -> list[Command]:
        """What follows from how things are; to be called after whatever happened."""
        if not (self._asked or self._fresh):
            return []
        free = self._dialogue.free
        if self._asked and not free:
            self._asked, self._fresh = (), True
            return [DropScene(self._number)]
        if self._asked or not free:
            return []
        self._fresh = False
        scene = self._dialogue.scene()
        if scene is None:
            return []
        self._number, self._asked = self._number + 1, self._dialogue.seen
        return [JudgeScene(self._number, scene)]

    def judged(self, answer: SceneJudged | Failed) -> None:
        if not self._asked or answer.number != self._number:
            return
        images, self._asked = self._asked, ()
        if isinstance(answer, SceneJudged) and answer.likely >= NOTEWORTHY:
            self._dialogue.show(images)
