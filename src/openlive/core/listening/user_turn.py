"""The user's side: audio, speech probabilities and transcripts -> what the user said, and when.

Commands for the engines and signals for the session come out in one ordered list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from openlive.core.commands import (
    Command,
    DetectSpeech,
    EndRecognition,
    FeedRecognition,
    FlushRecognition,
    JudgeTurn,
    StartRecognition,
    TrimAudio,
)
from openlive.core.events import RecogniserProgressed, StageFailed, Transcribed
from openlive.core.lifetime import earliest_time
from openlive.core.listening import affect, backchannel, endpointing
from openlive.core.listening.activity import MS, ActivityChange, ActivityPolicy, ActivityTracker
from openlive.core.listening.signals import (
    AddresseeDecided,
    AddresseeQuestion,
    AudioOverrun,
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
from openlive.core.listening.utterance import Utterance
from openlive.core.memory.snapshot import HearingState
from openlive.core.setup.limits import SessionLimits
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


class UserTurnTracker:
    def __init__(
        self,
        policy: ActivityPolicy,
        limits: SessionLimits,
        languages: tuple[str, ...],
        phrases: tuple[str, ...],
        *,
        words: bool,
        prosody: bool = False,
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._client_languages = languages
        self.phrases = phrases
        """That the recogniser is told to expect."""
        self._words = words
        self._prosody = prosody
        self._speaker_baseline = affect.UNKNOWN_SPEAKER
        self.overlaps_reply = False
        """What begins now is said beside an answer: most likely a back-channel, in the language spoken so far."""
        self._activity = ActivityTracker(policy)
        self._utterance: Utterance | None = None
        self._utterance_number = 0
        self._detector_stream = 1
        self._session_offset = 0
        """Samples of earlier connections: what is told counts from the session's beginning, the rest from ours."""
        self._received = 0
        self._trimmed_until = 0
        self._previous_turn_end = 0
        self._preroll_limit = 0
        """No pre-roll reaches before it: what lies there was said in an earlier turn."""
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=512)
        self._arrived_at = 0.0
        self._caught_up_at: float | None = 0.0
        self._judged_at = 0.0
        self._decided_at = 0.0
        self._transcribed_at = 0.0
        self._stream_end: int | None = None
        self._judged_pause_end = -1
        """Where the pause ended that a judgement was last asked for."""
        self._end_of_turn_probability: float | None = None
        """The judgement on the present pause."""
        self._spoken_language = ""
        self._language_contradictions = 0
        self._out: list[Command | Signal | AudioOverrun] = []

    @property
    def has_open_utterance(self) -> bool:
        """An utterance is open: its turn is not decided or its transcript not there."""
        return self._utterance is not None

    @property
    def is_catching_up(self) -> bool:
        """Audio has come that is not judged yet, so that there may be speech in it."""
        return self._policy.automatic and (self._unjudged_samples(self._received) >= FRAME or self._activity.is_rising)

    @property
    def resumable_state(self) -> HearingState:
        """What has to outlive the connection."""
        received, floor = self._session_offset + self._received, self._session_offset + self._previous_turn_end
        return HearingState(
            received, self._spoken_language, self._language_contradictions, floor, self._speaker_baseline
        )

    def restore_state(self, memory: HearingState) -> None:
        """Goes on where an earlier connection ended: offsets count from the session's beginning."""
        self._session_offset, self._spoken_language, self._language_contradictions = (
            memory.received,
            memory.spoken,
            memory.contradictions,
        )
        self._previous_turn_end, self._speaker_baseline = memory.turn_floor - memory.received, memory.usual

    @property
    def received_samples(self) -> int:
        """Samples of this connection."""
        return self._received

    @property
    def settled_until(self) -> int:
        """The samples before it have had their effect; a connection that is lost takes the others with it."""
        if self._utterance is not None:
            return self._utterance.start
        if self._policy.automatic and self._activity.is_rising:
            return self._activity.onset
        if self._policy.automatic and self._unjudged_samples(self._received) >= FRAME:
            return self._activity.position
        return self._received

    def drain_output(self) -> list[Command | Signal | AudioOverrun]:
        out, self._out = self._out, []
        return out

    # What the client sent.

    def take_audio(self, samples: int, now: float) -> None:
        start, self._received = self._received, self._received + samples
        self._arrived_at = now
        self._arrivals.append((self._received, now))
        if self._policy.automatic:
            if self._unjudged_samples(self._received) < FRAME:
                self._caught_up_at = now  # too little for a frame: the detector owes nothing, and will say nothing
            else:
                if self._caught_up_at is not None:
                    self._judged_at = now
                self._caught_up_at = None
            self._out.append(DetectSpeech(self._detector_stream, start, self._received))
        else:
            if self._utterance is not None and self._received - self._utterance.fed_until >= LEAST:
                self._feed_recogniser(self._received)
            if self._is_turn_over():
                self._commit_turn(now)
            self._trim_audio(self._received)
        done = self._activity.position if self._policy.automatic else self._received
        done = done if self._utterance is None else min(done, self._utterance.fed_until)
        if self._received - done > self._limits.backlog * INPUT_RATE:
            self._out.append(AudioOverrun())

    def end_stream(self, now: float) -> None:
        """The client's microphone is off: what is open ends as soon as everything was judged."""
        self._stream_end = self._received
        self._settle_utterance(now)

    def begin_activity(self) -> None:
        """The client says that activity starts."""
        if self._utterance is None:
            self._open_utterance(self._received)
        elif self._utterance.committed:
            self._resume_utterance(self._utterance)

    def end_activity(self, now: float) -> None:
        """The client says that activity ends. Where none had started there was nothing to be heard."""
        if self._utterance is None:
            self._out.append(UtteranceEnded.create_empty(self._session_offset + self._received, now))
        else:
            self._commit_turn(now)

    # What the engines answered.

    def take_frames(self, stream: int, frames: tuple[tuple[float, int], ...], now: float) -> None:
        if stream != self._detector_stream:
            return
        self._judged_at = now
        for probability, samples in frames:
            change = self._activity.push_frame(probability, samples)
            if change is not None:
                self._take_activity_change(change, now)
            if self._is_turn_over():
                self._commit_turn(now)
        self._feed_recogniser(self._activity.position)
        if self._unjudged_samples(self._received) < FRAME and self._caught_up_at is None:
            self._caught_up_at = now
        self._settle_utterance(now)
        self._trim_audio(self._activity.position)

    def take_addressee_answer(self, number: int, question: int, meant: float, now: float) -> None:
        """Counts where nothing more was heard meanwhile."""
        utterance = self._utterance
        if (
            utterance is None
            or utterance.number != number
            or utterance.question_number != question
            or not utterance.is_awaiting_addressee
        ):
            return
        utterance.addressee_probability = meant
        self._out.append(AddresseeDecided(meant >= MEANT))
        self._settle_utterance(now)

    def take_addressee_failure(self, number: int, now: float) -> None:
        """Who asks something must not be left without an answer."""
        utterance = self._utterance
        if utterance is not None and utterance.number == number:
            self.take_addressee_answer(number, utterance.question_number, 1.0, now)

    def _ask_addressee(self, utterance: Utterance, text: str, now: float) -> None:
        if self._policy.addressed and utterance.open_question(text, now):
            self._out.append(
                AddresseeQuestion(utterance.number, utterance.question_number, text, *self._turn_span(utterance))
            )

    def take_turn_judgement(self, number: int, end: int, finished: float, now: float) -> None:
        """Counts where the user has not gone on meanwhile."""
        utterance = self._utterance
        if utterance is None or utterance.number != number or end != self._judged_pause_end:
            return
        self._end_of_turn_probability = finished
        self._adjust_endpointing(utterance, now)
        self._settle_utterance(now)

    def _adjust_endpointing(self, utterance: Utterance, now: float) -> None:
        """The present pause lasts as long as what is known of it says; its transcript may come after the judgement."""
        if self._end_of_turn_probability is None:
            return
        text = utterance.final_transcript.text if utterance.final_transcript is not None else ""
        change = self._activity.end_after_silence(
            endpointing.required_silence(self._end_of_turn_probability, text, utterance.language)
        )
        if change is not None:
            self._take_activity_change(change, now)
        if self._is_turn_over():
            self._commit_turn(now)

    def _is_turn_over(self) -> bool:
        utterance = self._utterance
        if utterance is None:
            return False
        ended = utterance.horizon is not None and self._unjudged_samples(utterance.horizon) < FRAME
        length = (self._activity.position if self._policy.automatic else self._received) - utterance.start
        return ended or length > self._limits.utterance * INPUT_RATE

    def take_recogniser_event(self, event: RecogniserProgressed | Transcribed | StageFailed, now: float) -> None:
        """What comes of the recogniser."""
        match event:
            case RecogniserProgressed(utterance):
                self.note_recogniser_progress(utterance, now)
            case Transcribed(utterance, transcript):
                self.take_transcript(utterance, transcript, now)
            case StageFailed(number=utterance):
                self.lose_utterance(utterance)

    def take_transcript(self, number: int, transcript: Transcript, now: float) -> None:
        utterance = self._utterance
        if utterance is None or utterance.number != number:
            return
        utterance.take_transcript(transcript)
        if utterance.is_awaiting_final:
            utterance.flushed_at = now
        if utterance.final_transcript is transcript:
            self._transcribed_at = now
            self._ask_addressee(utterance, transcript.text or utterance.stable_transcript.text, now)
            if not utterance.committed and transcript.text:
                mood = affect.judge_mood(transcript.prosody, self._speaker_baseline)
                self._out.append(
                    EndOfTurnGuess(transcript.text, *self._turn_span(utterance), utterance.language, *mood)
                )
                self._adjust_endpointing(utterance, now)
            self._settle_utterance(now)
        if utterance.flushed:
            return
        if self.overlaps_reply:
            self._ask_addressee(utterance, transcript.text, now)
        told = utterance.stable_transcript.add_partial(transcript.text)
        self._out.append(PartialTranscript(utterance.stable_transcript.text, told, transcript.text, utterance.language))

    def restart_detector(self, stream: int, now: float) -> None:
        """Starts anew at the newest audio. What was open ends with what was heard; else a turn may have been missed."""
        if stream != self._detector_stream:
            return
        missed = self._unjudged_samples(self._received) >= FRAME
        self._detector_stream += 1
        self._activity.reset(self._received)
        self._caught_up_at = now
        if self._utterance is None and missed:
            self._out.append(UtteranceLost())
        elif self._utterance is not None and not self._utterance.committed:
            self._commit_turn(now)

    def note_recogniser_progress(self, number: int, now: float) -> None:
        """It is at work on what others said before: the time for this utterance's final transcript begins anew."""
        utterance = self._utterance
        if utterance is not None and utterance.number == number and utterance.is_awaiting_final:
            utterance.flushed_at = now

    def lose_utterance(self, number: int) -> None:
        if self._utterance is not None and self._utterance.number == number:
            self._close_utterance(self._utterance)
            self._out.append(UtteranceLost())

    # Time.

    @property
    def deadline(self) -> float | None:
        return earliest_time(*[at for at, _ in self._timers()])

    def run_due_timers(self, now: float) -> None:
        for at, act in list(self._timers()):
            if now >= at:
                act(now)

    def _timers(self) -> Iterator[tuple[float, Callable[[float], None]]]:
        utterance = self._utterance
        if self._caught_up_at is None:
            yield self._judged_at + self._limits.detector, lambda now: self.restart_detector(self._detector_stream, now)
        if utterance is None:
            return
        if utterance.is_awaiting_final:
            number = utterance.number
            yield utterance.flushed_at + self._limits.recogniser, lambda _: self.lose_utterance(number)
        if utterance.is_awaiting_addressee:
            number, question = utterance.number, utterance.question_number
            yield (
                utterance.asked_at + self._limits.addressee,
                lambda now: self.take_addressee_answer(number, question, 1.0, now),
            )
        if self._policy.automatic and not utterance.committed and self._caught_up_at is not None:
            quiet_since = max(self._arrived_at, self._caught_up_at)
            if not utterance.flushed:
                yield quiet_since + QUIET_PAUSE, self._quiet_pause
            yield quiet_since + QUIET_END, self._commit_turn

    def _quiet_pause(self, now: float) -> None:
        self._activity.mark_paused()
        self._flush_recogniser(now)

    # The utterance.

    def _take_activity_change(self, change: ActivityChange, now: float) -> None:
        utterance = self._utterance
        if change is ActivityChange.STARTED:
            if utterance is None:
                self._open_utterance(max(self._preroll_limit, self._activity.onset - PREROLL))
            else:
                self._resume_utterance(utterance)
        elif utterance is None:
            return
        elif change is ActivityChange.PAUSED:
            self._flush_recogniser(now)
            if self._policy.judged:
                self._judged_pause_end, self._end_of_turn_probability = self._activity.position, None
                self._out.append(JudgeTurn(utterance.number, utterance.start, self._judged_pause_end))
        elif change is ActivityChange.RESUMED:
            self._resume_utterance(utterance)
        elif change is ActivityChange.ENDED:
            utterance.horizon = self._received

    def _open_utterance(self, start: int) -> None:
        self._utterance_number += 1
        self._utterance = Utterance(self._utterance_number, start)
        languages, phrases = self._language_hints(), self.phrases
        if self.overlaps_reply:  # so short that it is hard to recognise without knowing what to expect
            languages = ((self._spoken_language or languages[0]),) if languages else ()
            phrases += backchannel.expected_phrases(*languages)
        self._out.append(StartRecognition(self._utterance_number, languages, phrases, self._words, self._prosody))
        self._feed_recogniser(max(start, self._activity.position))
        onset = self._activity.onset if self._policy.automatic else start
        self._out.append(SpeechStarted(self._session_offset + onset))

    def _resume_utterance(self, utterance: Utterance) -> None:
        if utterance.committed:
            self._out.append(SpeechStarted(self._session_offset + self._activity.onset))
        utterance.resume()
        self._end_of_turn_probability = None
        self._out.append(SpeechResumed())

    def _feed_recogniser(self, until: int) -> None:
        utterance = self._utterance
        if utterance is None or utterance.committed or until <= utterance.fed_until:
            return
        self._out.append(FeedRecognition(utterance.number, utterance.fed_until, until))
        utterance.fed_until = until

    def _flush_recogniser(self, now: float) -> None:
        utterance = self._utterance
        if utterance is None or utterance.flushed:
            return
        self._feed_recogniser(self._activity.position if self._policy.automatic else self._received)
        utterance.end = self._activity.voiced_until if self._policy.automatic else self._received
        utterance.request_final(now)
        self._out.append(FlushRecognition(utterance.number))

    def _commit_turn(self, now: float) -> None:
        """The turn is decided; it is told once its transcript is there."""
        utterance = self._utterance
        if utterance is None or utterance.committed:
            return
        if not utterance.flushed:
            self._feed_recogniser(self._received if utterance.horizon is None else utterance.horizon)
        self._flush_recogniser(now)
        utterance.committed = True
        self._out.append(SpeechEnded(self._session_offset + utterance.end))
        self._decided_at = now
        self._activity.reset(self._activity.position)
        self._settle_utterance(now)

    def _settle_utterance(self, now: float) -> None:
        """Ends what can be ended: an open activity of a stream that ended, an utterance whose transcript is there."""
        utterance = self._utterance
        if self._stream_end is not None and self._unjudged_samples(self._stream_end) < FRAME:
            self._stream_end = None
            self._out.append(StreamEnded())
            if utterance is not None and self._policy.automatic and not utterance.committed:
                self._commit_turn(now)
                return
        if (
            utterance is None
            or not utterance.committed
            or utterance.final_transcript is None
            or utterance.is_awaiting_addressee
        ):
            return
        final, (start, end) = utterance.final_transcript, self._turn_span(utterance)
        offset, (mood, strong) = (
            self._session_offset + utterance.start,
            affect.judge_mood(final.prosody, self._speaker_baseline),
        )
        self._close_utterance(utterance)
        self._out.append(
            UtteranceEnded(
                text=final.text or utterance.stable_transcript.text,  # what was told cannot be taken back
                transcript_rest=utterance.stable_transcript.add_final(final.text),
                start=start,
                end=end,
                manual=not self._policy.automatic,
                ended_at=self._arrival_time(utterance.end),
                decided_at=self._decided_at,
                transcribed_at=self._transcribed_at,
                words=tuple(Word(w.text, w.start + offset, w.end + offset) for w in final.words),
                language=utterance.language,
                mood=mood,
                strong=strong,
                meant=utterance.addressee_probability is None or utterance.addressee_probability >= MEANT,
            )
        )
        if utterance.end - utterance.start >= TELLING:
            self._note_language(utterance.language)
        self._speaker_baseline = affect.update_baseline(self._speaker_baseline, final.prosody)

    def _turn_span(self, utterance: Utterance) -> tuple[int, int]:
        """Where the turn lies in the session: from its speech on, or from the end of the turn before it."""
        start = self._previous_turn_end if self._policy.all_audio else utterance.start
        return self._session_offset + start, self._session_offset + utterance.end

    def _close_utterance(self, utterance: Utterance) -> None:
        self._previous_turn_end = utterance.end
        self._out.append(EndRecognition(utterance.number))
        self._utterance = None
        self._preroll_limit = utterance.fed_until

    # Small things.

    def _unjudged_samples(self, until: int) -> int:
        return until - self._activity.position

    def _trim_audio(self, before: int) -> None:
        """Once a second of audio is often enough to let the shell trim its buffer."""
        keep = before - PREROLL - (JUDGED if self._policy.judged else INPUT_RATE)
        if self._utterance is not None:
            keep = min(keep, self._utterance.fed_until)
        if keep - self._trimmed_until >= INPUT_RATE:
            self._trimmed_until = keep
            self._out.append(TrimAudio(keep))

    def _arrival_time(self, sample: int) -> float:
        """When the audio up to `sample` had arrived."""
        return next((at for until, at in self._arrivals if until >= sample), self._arrived_at)

    def _language_hints(self) -> tuple[str, ...]:
        """Hints for the recogniser: the client's, else the language spoken so far first and any other (decision 10)."""
        if self._client_languages:
            return self._client_languages
        return (self._spoken_language, "") if self._spoken_language else ()

    def _note_language(self, language: str) -> None:
        if not language or language == self._spoken_language:
            self._language_contradictions = 0
            return
        self._language_contradictions += 1
        if not self._spoken_language or self._language_contradictions >= 2:
            self._spoken_language, self._language_contradictions = language, 0
