"""Who has the floor: what hearing notices, told to the dialogue and to the client."""

from __future__ import annotations

from typing import assert_never

from openlive.core import messages
from openlive.core.commands import Command, JudgeAddressee, Step
from openlive.core.listening.backchannel import wants_the_floor
from openlive.core.listening.signals import (
    AddresseeDecided,
    AddresseeQuestion,
    EndOfTurnGuess,
    PartialTranscript,
    Signal,
    SpeechEnded,
    SpeechResumed,
    SpeechStarted,
    StreamEnded,
    UtteranceEnded,
    UtteranceLost,
)
from openlive.core.replying.dialogue import Dialogue
from openlive.types import Heard
from openlive.wire.server import TurnCompleteReason


class TurnTaking:
    """`out` comes before what the dialogue has to say to the same signal."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.out: list[Command] = []
        self.overlaps_reply = False
        """The user speaks while an answer goes on, so far without having said anything that interrupts it..."""
        self._unsent_transcript = ""  # ... and this is the transcript of it
        self._joining_space = ""
        """Stands before what is told next: it goes on from what was told before."""
        self._wants_floor = False
        """It is more than a back-channel."""
        self._answers_question = False
        """It began where the answer ended with a question: "mm-hm" is an answer to that."""
        self._is_addressed: bool | None = None
        """The user speaks to the model; None: that is not known (yet)."""
        self._prefilled_text = ""
        """What the language model was last told to expect."""
        self._has_open_transcript = False
        """Words of the user were told that no `finished` has followed yet."""
        self._dialogue = dialogue

    def handle_signal(self, signal: Signal) -> None:
        dialogue, settings = self._dialogue, self._dialogue.settings
        match signal:
            case SpeechStarted(at):
                self.out += messages.activity_messages(settings, started=True, at=at)
                if not dialogue.user_speaking:
                    self._is_addressed, self._prefilled_text = None, ""
                    self.overlaps_reply, self._unsent_transcript = settings.by_words and dialogue.is_answering, ""
                    self._answers_question = dialogue.ends_with_question
                dialogue.user_speaking = True
                dialogue.begin_stream()
                if settings.interruptible and not self.overlaps_reply:
                    self._take_floor()
            case SpeechEnded(at):
                self.out += messages.activity_messages(settings, started=False, at=at)
            case SpeechResumed():
                dialogue.cancel_speculation()
            case PartialTranscript():
                self._check_barge_in(signal.hypothesis, final=False)
                self._take_partial(signal)
            case AddresseeQuestion(utterance, number, text, start, end):
                self._is_addressed = None
                self.out.append(JudgeAddressee(utterance, number, dialogue.addressee_request(Heard(text, start, end))))
            case AddresseeDecided(meant):
                self._take_addressee_decision(meant=meant)
            case EndOfTurnGuess(text, start, end, language, mood, strong):
                self._check_barge_in(text, final=True)
                if not self.overlaps_reply and self._is_addressed is not False:
                    dialogue.start_speculative_reply(Heard(text, start, end, language, mood, strong))
            case UtteranceEnded():
                self._end_utterance(signal)
            case UtteranceLost():
                self._lose_utterance()
            case StreamEnded():
                dialogue.end_stream()
            case _:
                assert_never(signal)

    def _check_barge_in(self, text: str, *, final: bool) -> None:
        """What is said beside an answer interrupts it as soon as it is more than a back-channel, and, where that is
        judged, meant for the model."""
        self._wants_floor = (self._answers_question and bool(text)) or wants_the_floor(text, final=final)
        if (
            self.overlaps_reply
            and self._wants_floor
            and (self._is_addressed or not self._dialogue.settings.proactive_audio)
        ):
            self.overlaps_reply = False
            self._take_floor()

    def _take_addressee_decision(self, *, meant: bool) -> None:
        self._is_addressed = meant
        if not meant:
            self._dialogue.drop_held_reply()
        elif self.overlaps_reply and self._wants_floor:
            self.overlaps_reply = False
            self._take_floor()

    def _take_floor(self) -> None:
        """The user has the floor. An answer of which nothing was told yet came too soon: the turn goes on."""
        automatic = self._dialogue.settings.activity.automatic
        if automatic and self._dialogue.resume_turn():
            self._joining_space = " " if self._dialogue.has_open_turn else ""
        else:
            self._dialogue.interrupt()

    def _take_partial(self, partial: PartialTranscript) -> None:
        """A transcript that may be dropped is not told before it is clear that it is not."""
        self._unsent_transcript += partial.stable_addition
        if self.overlaps_reply:
            return
        told, self._unsent_transcript = self._join_to_previous(self._unsent_transcript), ""
        settings = self._dialogue.settings
        self.out += messages.input_transcript(settings, told, partial.language)
        self._has_open_transcript = self._has_open_transcript or bool(told)
        self.out += messages.interim_input_transcript(settings, partial.hypothesis)
        self._prefill_partial(partial)

    def _prefill_partial(self, partial: PartialTranscript) -> None:
        """The answer to what was heard so far but for its last word, which may be half of one. It is sooner there than
        what can be told, and where it turns out to be wrong, some work was in vain."""
        sure = partial.hypothesis.rpartition(" ")[0]
        text = max(partial.stable_text, sure, key=len)
        if text and text != self._prefilled_text:
            self._prefilled_text = text
            self._dialogue.prefill_request(text)

    def _join_to_previous(self, told: str) -> str:
        if told:
            told, self._joining_space = self._joining_space + told, ""
        return told

    def _end_transcript(self) -> None:
        if self._has_open_transcript:
            self.out += messages.input_transcript_end(self._dialogue.settings)
            self._has_open_transcript = False

    def _end_utterance(self, said: UtteranceEnded) -> None:
        dialogue = self._dialogue
        self._is_addressed = said.meant
        self._check_barge_in(said.text, final=True)
        if self.overlaps_reply and not self._wants_floor:  # a back-channel, or a noise: as if it had not been
            dialogue.end_user_speech()
            return
        if not said.text and not dialogue.has_open_turn:
            dialogue.drop_held_reply()
            if said.manual:
                dialogue.end_without_reply(TurnCompleteReason.NEED_MORE_INPUT)
            dialogue.end_user_speech()
            return
        if said.text:
            text = self._join_to_previous(self._unsent_transcript + said.transcript_rest)
            rest = messages.input_transcript(dialogue.settings, text, said.language, said.words, last=True)
            self.out += rest
            self._has_open_transcript = not (rest and dialogue.settings.profile.transcript_end == "with_text")
            self._end_transcript()
        heard = Heard(said.text, said.start, said.end, said.language, said.mood, said.strong)
        if not said.meant and not dialogue.has_open_turn:
            dialogue.remember_overheard(heard)
            dialogue.end_user_speech()
            return
        steps: dict[Step, float] = {
            "speech_end": said.ended_at,
            "decision": said.decided_at,
            "transcript": said.transcribed_at,
        }
        dialogue.commit_turn((heard,) if said.text else (), steps)
        dialogue.end_user_speech()

    def _lose_utterance(self) -> None:
        dialogue = self._dialogue
        self._end_transcript()
        dialogue.drop_held_reply()
        if dialogue.has_open_turn:
            dialogue.commit_turn(())
        else:
            dialogue.end_without_reply(TurnCompleteReason.INPUT_OTHER)
        dialogue.end_user_speech()
