"""Proactive video: which frames are judged, and when the model speaks up by itself."""

from __future__ import annotations

from openlive.core.commands import CancelSceneJudgement, Command, JudgeScene
from openlive.core.events import SceneJudged, StageFailed
from openlive.core.replying.dialogue import Dialogue
from openlive.types import Image

NOTEWORTHY = 0.5
"""From which likelihood on the model speaks up."""


class ProactiveVideo:
    """One question at a time, and none while anybody has the floor: meanwhile the newest frame waits. A question that
    is open when somebody takes the floor is dropped, and asked again later unless the frame went into a turn."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._question_number = 0
        self._frames_asked_about: tuple[Image, ...] = ()
        """The frames that waited for a turn when the open question was asked; none: there is no open question. Where
        there is one, nobody has the floor."""
        self._has_new_frame = False
        """A frame has not been judged yet."""

    def note_frame(self) -> None:
        self._has_new_frame = self._dialogue.settings.proactive_video

    def next_commands(self) -> list[Command]:
        """What follows from how things are; to be called after whatever happened."""
        if not (self._frames_asked_about or self._has_new_frame):
            return []
        free = self._dialogue.is_floor_free
        if self._frames_asked_about and not free:
            self._frames_asked_about, self._has_new_frame = (), True
            return [CancelSceneJudgement(self._question_number)]
        if self._frames_asked_about or not free:
            return []
        self._has_new_frame = False
        scene = self._dialogue.scene_request()
        if scene is None:
            return []
        self._question_number, self._frames_asked_about = self._question_number + 1, self._dialogue.waiting_frames
        return [JudgeScene(self._question_number, scene)]

    def take_judgement(self, answer: SceneJudged | StageFailed) -> None:
        if not self._frames_asked_about or answer.number != self._question_number:
            return
        images, self._frames_asked_about = self._frames_asked_about, ()
        if isinstance(answer, SceneJudged) and answer.likely >= NOTEWORTHY:
            self._dialogue.start_scene_reply(images)
