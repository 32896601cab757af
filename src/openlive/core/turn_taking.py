"""Who has the floor: what hearing notices, told to the dialogue and to the client."""

from __future__ import annotations

from typing import assert_never

from openlive.core import messages
from openlive.core.commands import Command, JudgeAddressee, Step
from openlive.core.listening.backchannel import wants_the_floor
from openlive.core.listening.signals import (
    Addressed,
    Guessed,
    Lost,
    Partial,
    Signal,
    SpeechEnded,
    SpeechResumed,
    SpeechStarted,
    StreamEnded,
    Uttered,
    Wondered,
)
from openlive.core.replying.dialogue import Dialogue
from openlive.types import Heard
from openlive.wire.server import TurnCompleteReason


class Floor:
    """`out` comes before what the dialogue has to say to the same signal."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.out: list[Command] = []
        self.beside = False
        """The user speaks while an answer goes on, so far without having said anything that interrupts it..."""
        self._untold = ""  # ... and this is the transcript of it
        self._joint = ""
        """Stands before what is told next: it goes on from what was told before."""
        self._wanting = False
        """It is more than a back-channel."""
        self._asked = False
        """It began where the answer ended with a question: "mm-hm" is an answer to that."""
        self._meant: bool | None = None
        """The user speaks to the model; None: that is not known (yet)."""
        self._prepared = ""
        """What the language model was last told to expect."""
        self._transcribing = False
        """Words of the user were told that no `finished` has followed yet."""
        self._dialogue = dialogue

    def noticed(self, signal: Signal) -> None:
        dialogue, settings = self._dialogue, self._dialogue.settings
        match signal:
            case SpeechStarted(at):
                self.out += messages.activity(settings, started=True, at=at)
                if not dialogue.speaking:
                    self._meant, self._prepared = None, ""
                    self.beside, self._untold = settings.by_words and dialogue.answering, ""
                    self._asked = dialogue.asks
                dialogue.speaking = True
                dialogue.stream_begun()
                if settings.interruptible and not self.beside:
                    self._take()
            case SpeechEnded(at):
                self.out += messages.activity(settings, started=False, at=at)
            case SpeechResumed():
                dialogue.resumed()
            case Partial():
                self._barge_in(signal.hypothesis, final=False)
                self._heard(signal)
            case Wondered(utterance, number, text, start, end):
                self._meant = None
                self.out.append(JudgeAddressee(utterance, number, dialogue.asked(Heard(text, start, end))))
            case Addressed(meant):
                self._addressed(meant=meant)
            case Guessed(text, start, end, language, mood, strong):
                self._barge_in(text, final=True)
                if not self.beside and self._meant is not False:
                    dialogue.speculate(Heard(text, start, end, language, mood, strong))
            case Uttered():
                self._uttered(signal)
            case Lost():
                self._lost()
            case StreamEnded():
                dialogue.stream_ended()
            case _:
                assert_never(signal)

    def _barge_in(self, text: str, *, final: bool) -> None:
        """What is said beside an answer interrupts it as soon as it is more than a back-channel, and, where that is
        judged, meant for the model."""
        self._wanting = (self._asked and bool(text)) or wants_the_floor(text, final=final)
        if self.beside and self._wanting and (self._meant or not self._dialogue.settings.proactive_audio):
            self.beside = False
            self._take()

    def _addressed(self, *, meant: bool) -> None:
        self._meant = meant
        if not meant:
            self._dialogue.drop_held()
        elif self.beside and self._wanting:
            self.beside = False
            self._take()

    def _take(self) -> None:
        """The user has the floor. An answer of which nothing was told yet came too soon: the turn goes on."""
        automatic = self._dialogue.settings.activity.automatic
        if automatic and self._dialogue.go_on():
            self._joint = " " if self._dialogue.joining else ""
        else:
            self._dialogue.interrupt()

    def _heard(self, partial: Partial) -> None:
        """A transcript that may be dropped is not told before it is clear that it is not."""
        self._untold += partial.told
        if self.beside:
            return
        told, self._untold = self._joined(self._untold), ""
        settings = self._dialogue.settings
        self.out += messages.heard(settings, told, partial.language)
        self._transcribing = self._transcribing or bool(told)
        self.out += messages.heard_perhaps(settings, partial.hypothesis)
        self._prepare(partial)

    def _prepare(self, partial: Partial) -> None:
        """The answer to what was heard so far but for its last word, which may be half of one. It is sooner there than
        what can be told, and where it turns out to be wrong, some work was in vain."""
        sure = partial.hypothesis.rpartition(" ")[0]
        text = max(partial.text, sure, key=len)
        if text and text != self._prepared:
            self._prepared = text
            self._dialogue.prepare(text)

    def _joined(self, told: str) -> str:
        if told:
            told, self._joint = self._joint + told, ""
        return told

    def _end_transcript(self) -> None:
        if self._transcribing:
            self.out += messages.heard_all(self._dialogue.settings)
            self._transcribing = False

    def _uttered(self, said: Uttered) -> None:
        dialogue = self._dialogue
        self._meant = said.meant
        self._barge_in(said.text, final=True)
        if self.beside and not self._wanting:  # a back-channel, or a noise: as if it had not been
            dialogue.silent()
            return
        if not said.text and not dialogue.joining:
            dialogue.drop_held()
            if said.manual:
                dialogue.end_without_reply(TurnCompleteReason.NEED_MORE_INPUT)
            dialogue.silent()
            return
        if said.text:
            text = self._joined(self._untold + said.told)
            rest = messages.heard(dialogue.settings, text, said.language, said.words, last=True)
            self.out += rest
            self._transcribing = not (rest and dialogue.settings.profile.transcript_end == "with_text")
            self._end_transcript()
        heard = Heard(said.text, said.start, said.end, said.language, said.mood, said.strong)
        if not said.meant and not dialogue.joining:
            dialogue.overheard(heard)
            dialogue.silent()
            return
        steps: dict[Step, float] = {
            "speech_end": said.ended_at,
            "decision": said.decided_at,
            "transcript": said.transcribed_at,
        }
        dialogue.said((heard,) if said.text else (), steps)
        dialogue.silent()

    def _lost(self) -> None:
        dialogue = self._dialogue
        self._end_transcript()
        dialogue.drop_held()
        if dialogue.joining:
            dialogue.said(())
        else:
            dialogue.end_without_reply(TurnCompleteReason.INPUT_OTHER)
        dialogue.silent()
