"""The user's side: audio, speech probabilities and transcripts -> what the user said, and when.

Commands for the engines and signals for the session come out in one ordered list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from openlive.core.commands import Command, Detect, Flush, Forget, HangUp, Hear, JudgeTurn, Listen
from openlive.core.events import Failed, RecogniserMoved, Transcribed
from openlive.core.lifetime import earliest
from openlive.core.listening import affect, backchannel, endpointing
from openlive.core.listening.activity import MS, Activity, Change, Policy
from openlive.core.listening.signals import (
    Addressed,
    Guessed,
    Lost,
    Overrun,
    Partial,
    Signal,
    SpeechEnded,
    SpeechResumed,
    SpeechStarted,
    StreamEnded,
    Uttered,
    Wondered,
)
from openlive.core.listening.utterance import Utterance
from openlive.core.memory.snapshot import Ears
from openlive.core.setup.limits import Limits
from openlive.types import INPUT_RATE, Transcript, Word

FRAME = 32 * MS
"""The longest frame of a detector: less than this may stay unjudged at the end of a stream."""
PREROLL = 300 * MS
"""Audio before the onset that the recogniser is given: a detector notices soft beginnings late."""
LEAST = 20 * MS
"""Audio of a manual activity that the recogniser is given at once; less waits for more, or for the end."""
TELLING = INPUT_RATE + PREROLL
"""An utterance, with its pre-roll, that is long enough to tell which language is spoken
(engines/stt/single_words.py)."""
JUDGED = 8 * INPUT_RATE
"""Audio that a detector of ends of turns looks at."""
MEANT = 0.5
"""From which probability on the user spoke to the model: both mistakes count alike."""
QUIET_PAUSE = 0.25
QUIET_END = 1.0
"""Seconds without new audio that count as a first silence and as the end of the activity (design, decision 1)."""


class Hearing:
    def __init__(
        self,
        policy: Policy,
        limits: Limits,
        languages: tuple[str, ...],
        phrases: tuple[str, ...],
        *,
        words: bool,
        prosody: bool = False,
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._hints = languages
        self.phrases = phrases
        """That the recogniser is told to expect."""
        self._words = words
        self._prosody = prosody
        self._usual = affect.NOBODY
        self.beside = False
        """What begins now is said beside an answer: most likely a back-channel, in the language spoken so far."""
        self._activity = Activity(policy)
        self._utterance: Utterance | None = None
        self._number = 0
        self._stream = 1
        self._origin = 0
        """Samples of earlier connections: what is told counts from the session's beginning, the rest from ours."""
        self._received = 0
        self._forgotten = 0
        self._turn_floor = 0
        self._floor = 0
        """No pre-roll reaches before it: what lies there was said in an earlier turn."""
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=512)
        self._arrived_at = 0.0
        self._caught_up_at: float | None = 0.0
        self._judged_at = 0.0
        self._decided_at = 0.0
        self._transcribed_at = 0.0
        self._stream_end: int | None = None
        self._asked = -1
        """Where the pause ended that a judgement was last asked for."""
        self._finished: float | None = None
        """The judgement on the present pause."""
        self._spoken = ""
        self._contradictions = 0
        self._out: list[Command | Signal | Overrun] = []

    @property
    def speaking(self) -> bool:
        """An utterance is open: its turn is not decided or its transcript not there."""
        return self._utterance is not None

    @property
    def catching_up(self) -> bool:
        """Audio has come that is not judged yet, so that there may be speech in it."""
        return self._policy.automatic and (self._unjudged(self._received) >= FRAME or self._activity.rising)

    @property
    def memory(self) -> Ears:
        """What has to outlive the connection."""
        received, floor = self._origin + self._received, self._origin + self._turn_floor
        return Ears(received, self._spoken, self._contradictions, floor, self._usual)

    def remember(self, memory: Ears) -> None:
        """Goes on where an earlier connection ended: offsets count from the session's beginning."""
        self._origin, self._spoken, self._contradictions = memory.received, memory.spoken, memory.contradictions
        self._turn_floor, self._usual = memory.turn_floor - memory.received, memory.usual

    @property
    def received(self) -> int:
        """Samples of this connection."""
        return self._received

    @property
    def settled(self) -> int:
        """The samples before it have had their effect; a connection that is lost takes the others with it."""
        if self._utterance is not None:
            return self._utterance.start
        if self._policy.automatic and self._activity.rising:
            return self._activity.onset
        if self._policy.automatic and self._unjudged(self._received) >= FRAME:
            return self._activity.position
        return self._received

    def drain(self) -> list[Command | Signal | Overrun]:
        out, self._out = self._out, []
        return out

    # What the client sent.

    def arrived(self, samples: int, now: float) -> None:
        start, self._received = self._received, self._received + samples
        self._arrived_at = now
        self._arrivals.append((self._received, now))
        if self._policy.automatic:
            if self._unjudged(self._received) < FRAME:
                self._caught_up_at = now  # too little for a frame: the detector owes nothing, and will say nothing
            else:
                if self._caught_up_at is not None:
                    self._judged_at = now
                self._caught_up_at = None
            self._out.append(Detect(self._stream, start, self._received))
        else:
            if self._utterance is not None and self._received - self._utterance.heard >= LEAST:
                self._hear(self._received)
            if self._is_over():
                self._commit(now)
            self._forget(self._received)
        done = self._activity.position if self._policy.automatic else self._received
        done = done if self._utterance is None else min(done, self._utterance.heard)
        if self._received - done > self._limits.backlog * INPUT_RATE:
            self._out.append(Overrun())

    def stream_ended(self, now: float) -> None:
        """The client's microphone is off: what is open ends as soon as everything was judged."""
        self._stream_end = self._received
        self._settle(now)

    def begin(self) -> None:
        """The client says that activity starts."""
        if self._utterance is None:
            self._open(self._received)
        elif self._utterance.committed:
            self._resume(self._utterance)

    def end(self, now: float) -> None:
        """The client says that activity ends. Where none had started there was nothing to be heard."""
        if self._utterance is None:
            self._out.append(Uttered.nothing(self._origin + self._received, now))
        else:
            self._commit(now)

    # What the engines answered.

    def detected(self, stream: int, frames: tuple[tuple[float, int], ...], now: float) -> None:
        if stream != self._stream:
            return
        self._judged_at = now
        for probability, samples in frames:
            change = self._activity.push(probability, samples)
            if change is not None:
                self._changed(change, now)
            if self._is_over():
                self._commit(now)
        self._hear(self._activity.position)
        if self._unjudged(self._received) < FRAME and self._caught_up_at is None:
            self._caught_up_at = now
        self._settle(now)
        self._forget(self._activity.position)

    def addressed(self, number: int, question: int, meant: float, now: float) -> None:
        """Counts where nothing more was heard meanwhile."""
        utterance = self._utterance
        if utterance is None or utterance.number != number or utterance.question != question or not utterance.wondering:
            return
        utterance.meant = meant
        self._out.append(Addressed(meant >= MEANT))
        self._settle(now)

    def addressee_failed(self, number: int, now: float) -> None:
        """Who asks something must not be left without an answer."""
        utterance = self._utterance
        if utterance is not None and utterance.number == number:
            self.addressed(number, utterance.question, 1.0, now)

    def _wonder(self, utterance: Utterance, text: str, now: float) -> None:
        if self._policy.addressed and utterance.wonder(text, now):
            self._out.append(Wondered(utterance.number, utterance.question, text, *self._span(utterance)))

    def judged(self, number: int, end: int, finished: float, now: float) -> None:
        """Counts where the user has not gone on meanwhile."""
        utterance = self._utterance
        if utterance is None or utterance.number != number or end != self._asked:
            return
        self._finished = finished
        self._wait(utterance, now)
        self._settle(now)

    def _wait(self, utterance: Utterance, now: float) -> None:
        """The present pause lasts as long as what is known of it says; its transcript may come after the judgement."""
        if self._finished is None:
            return
        text = utterance.final.text if utterance.final is not None else ""
        change = self._activity.wait(endpointing.silence(self._finished, text, utterance.language))
        if change is not None:
            self._changed(change, now)
        if self._is_over():
            self._commit(now)

    def _is_over(self) -> bool:
        utterance = self._utterance
        if utterance is None:
            return False
        ended = utterance.horizon is not None and self._unjudged(utterance.horizon) < FRAME
        length = (self._activity.position if self._policy.automatic else self._received) - utterance.start
        return ended or length > self._limits.utterance * INPUT_RATE

    def recognised(self, event: RecogniserMoved | Transcribed | Failed, now: float) -> None:
        """What comes of the recogniser."""
        match event:
            case RecogniserMoved(utterance):
                self.recogniser_moved(utterance, now)
            case Transcribed(utterance, transcript):
                self.transcribed(utterance, transcript, now)
            case Failed(number=utterance):
                self.recogniser_failed(utterance)

    def transcribed(self, number: int, transcript: Transcript, now: float) -> None:
        utterance = self._utterance
        if utterance is None or utterance.number != number:
            return
        utterance.take(transcript)
        if utterance.awaiting:
            utterance.flushed_at = now
        if utterance.final is transcript:
            self._transcribed_at = now
            self._wonder(utterance, transcript.text or utterance.told.text, now)
            if not utterance.committed and transcript.text:
                mood = affect.mood(transcript.prosody, self._usual)
                self._out.append(Guessed(transcript.text, *self._span(utterance), utterance.language, *mood))
                self._wait(utterance, now)
            self._settle(now)
        if utterance.flushed:
            return
        if self.beside:
            self._wonder(utterance, transcript.text, now)
        told = utterance.told.partial(transcript.text)
        self._out.append(Partial(utterance.told.text, told, transcript.text, utterance.language))

    def detector_failed(self, stream: int, now: float) -> None:
        """Starts anew at the newest audio. What was open ends with what was heard; else a turn may have been missed."""
        if stream != self._stream:
            return
        missed = self._unjudged(self._received) >= FRAME
        self._stream += 1
        self._activity.reset(self._received)
        self._caught_up_at = now
        if self._utterance is None and missed:
            self._out.append(Lost())
        elif self._utterance is not None and not self._utterance.committed:
            self._commit(now)

    def recogniser_moved(self, number: int, now: float) -> None:
        """It is at work on what others said before: the time for this utterance's final transcript begins anew."""
        utterance = self._utterance
        if utterance is not None and utterance.number == number and utterance.awaiting:
            utterance.flushed_at = now

    def recogniser_failed(self, number: int) -> None:
        if self._utterance is not None and self._utterance.number == number:
            self._close(self._utterance)
            self._out.append(Lost())

    # Time.

    @property
    def deadline(self) -> float | None:
        return earliest(*[at for at, _ in self._timers()])

    def expire(self, now: float) -> None:
        for at, act in list(self._timers()):
            if now >= at:
                act(now)

    def _timers(self) -> Iterator[tuple[float, Callable[[float], None]]]:
        utterance = self._utterance
        if self._caught_up_at is None:
            yield self._judged_at + self._limits.detector, lambda now: self.detector_failed(self._stream, now)
        if utterance is None:
            return
        if utterance.awaiting:
            number = utterance.number
            yield utterance.flushed_at + self._limits.recogniser, lambda _: self.recogniser_failed(number)
        if utterance.wondering:
            number, question = utterance.number, utterance.question
            yield (
                utterance.asked_at + self._limits.addressee,
                lambda now: self.addressed(number, question, 1.0, now),
            )
        if self._policy.automatic and not utterance.committed and self._caught_up_at is not None:
            quiet_since = max(self._arrived_at, self._caught_up_at)
            if not utterance.flushed:
                yield quiet_since + QUIET_PAUSE, self._quiet_pause
            yield quiet_since + QUIET_END, self._commit

    def _quiet_pause(self, now: float) -> None:
        self._activity.pause()
        self._flush(now)

    # The utterance.

    def _changed(self, change: Change, now: float) -> None:
        utterance = self._utterance
        if change is Change.STARTED:
            if utterance is None:
                self._open(max(self._floor, self._activity.onset - PREROLL))
            else:
                self._resume(utterance)
        elif utterance is None:
            return
        elif change is Change.PAUSED:
            self._flush(now)
            if self._policy.judged:
                self._asked, self._finished = self._activity.position, None
                self._out.append(JudgeTurn(utterance.number, utterance.start, self._asked))
        elif change is Change.RESUMED:
            self._resume(utterance)
        elif change is Change.ENDED:
            utterance.horizon = self._received

    def _open(self, start: int) -> None:
        self._number += 1
        self._utterance = Utterance(self._number, start)
        languages, phrases = self._languages(), self.phrases
        if self.beside:  # so short that it is hard to recognise without knowing what to expect
            languages = ((self._spoken or languages[0]),) if languages else ()
            phrases += backchannel.expected(*languages)
        self._out.append(Listen(self._number, languages, phrases, self._words, self._prosody))
        self._hear(max(start, self._activity.position))
        onset = self._activity.onset if self._policy.automatic else start
        self._out.append(SpeechStarted(self._origin + onset))

    def _resume(self, utterance: Utterance) -> None:
        if utterance.committed:
            self._out.append(SpeechStarted(self._origin + self._activity.onset))
        utterance.resume()
        self._finished = None
        self._out.append(SpeechResumed())

    def _hear(self, until: int) -> None:
        utterance = self._utterance
        if utterance is None or utterance.committed or until <= utterance.heard:
            return
        self._out.append(Hear(utterance.number, utterance.heard, until))
        utterance.heard = until

    def _flush(self, now: float) -> None:
        utterance = self._utterance
        if utterance is None or utterance.flushed:
            return
        self._hear(self._activity.position if self._policy.automatic else self._received)
        utterance.end = self._activity.voiced_until if self._policy.automatic else self._received
        utterance.flush(now)
        self._out.append(Flush(utterance.number))

    def _commit(self, now: float) -> None:
        """The turn is decided; it is told once its transcript is there."""
        utterance = self._utterance
        if utterance is None or utterance.committed:
            return
        if not utterance.flushed:
            self._hear(self._received if utterance.horizon is None else utterance.horizon)
        self._flush(now)
        utterance.committed = True
        self._out.append(SpeechEnded(self._origin + utterance.end))
        self._decided_at = now
        self._activity.reset(self._activity.position)
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Ends what can be ended: an open activity of a stream that ended, an utterance whose transcript is there."""
        utterance = self._utterance
        if self._stream_end is not None and self._unjudged(self._stream_end) < FRAME:
            self._stream_end = None
            self._out.append(StreamEnded())
            if utterance is not None and self._policy.automatic and not utterance.committed:
                self._commit(now)
                return
        if utterance is None or not utterance.committed or utterance.final is None or utterance.wondering:
            return
        final, (start, end) = utterance.final, self._span(utterance)
        offset, (mood, strong) = self._origin + utterance.start, affect.mood(final.prosody, self._usual)
        self._close(utterance)
        self._out.append(
            Uttered(
                text=final.text or utterance.told.text,  # what was told cannot be taken back
                told=utterance.told.final(final.text),
                start=start,
                end=end,
                manual=not self._policy.automatic,
                ended_at=self._arrival(utterance.end),
                decided_at=self._decided_at,
                transcribed_at=self._transcribed_at,
                words=tuple(Word(w.text, w.start + offset, w.end + offset) for w in final.words),
                language=utterance.language,
                mood=mood,
                strong=strong,
                meant=utterance.meant is None or utterance.meant >= MEANT,
            )
        )
        if utterance.end - utterance.start >= TELLING:
            self._note_language(utterance.language)
        self._usual = affect.learned(self._usual, final.prosody)

    def _span(self, utterance: Utterance) -> tuple[int, int]:
        """Where the turn lies in the session: from its speech on, or from the end of the turn before it."""
        start = self._turn_floor if self._policy.all_audio else utterance.start
        return self._origin + start, self._origin + utterance.end

    def _close(self, utterance: Utterance) -> None:
        self._turn_floor = utterance.end
        self._out.append(HangUp(utterance.number))
        self._utterance = None
        self._floor = utterance.heard

    # Small things.

    def _unjudged(self, until: int) -> int:
        return until - self._activity.position

    def _forget(self, before: int) -> None:
        """Once a second of audio is often enough to let the shell trim its buffer."""
        keep = before - PREROLL - (JUDGED if self._policy.judged else INPUT_RATE)
        if self._utterance is not None:
            keep = min(keep, self._utterance.heard)
        if keep - self._forgotten >= INPUT_RATE:
            self._forgotten = keep
            self._out.append(Forget(keep))

    def _arrival(self, sample: int) -> float:
        """When the audio up to `sample` had arrived."""
        return next((at for until, at in self._arrivals if until >= sample), self._arrived_at)

    def _languages(self) -> tuple[str, ...]:
        """Hints for the recogniser: the client's, else the language spoken so far first and any other (decision 10)."""
        if self._hints:
            return self._hints
        return (self._spoken, "") if self._spoken else ()

    def _note_language(self, language: str) -> None:
        if not language or language == self._spoken:
            self._contradictions = 0
            return
        self._contradictions += 1
        if not self._spoken or self._contradictions >= 2:
            self._spoken, self._contradictions = language, 0
