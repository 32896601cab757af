"""How a recogniser that only knows whole recordings hears speech that is still going on.

The open segment of the utterance (segment.py) is transcribed again at intervals, so that there are partial transcripts;
a flush is answered by one more pass, or by the last one if only silence has come since. A session has at most one pass
waiting, and a pass takes the audio that is there when it begins: nothing queues up. The interval follows the price: a
pass that took long, or waited long on a busy machine, is followed by a longer break.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.engines.stt.hallucinations import is_hallucinated
from openlive.engines.stt.segment import PAUSE, AudioSegment, Samples
from openlive.types import INPUT_RATE, Transcript, Word

FLUSH, SOON, PARTIAL = 0, 1, 2
"""Priorities of passes: somebody waits for this one; for it and more, or is about to; for none yet."""
FIRST = INPUT_RATE * 8 // 10
"""Samples before the first pass: less holds no word that could be told from noise."""
INTERVAL = INPUT_RATE // 2
"""The least new samples for another pass."""
LONGEST_INTERVAL = 3 * INPUT_RATE
SHARE = 5
"""Seconds of audio that follow a pass for each second that it took, before the next one."""
PIECE = 10 * INPUT_RATE * 2
"""Bytes that are taken in at once, so that a large blob doesn't hold the event loop."""
ENDINGS = ".,;:?!…。、，？！।؟،"
"""A recogniser ends every text with one of these; in the middle of a sentence it is a guess, and left out."""
UNSPACED = frozenset({"ja", "lo", "my", "th", "zh"})


class Hints(Struct, frozen=True):
    languages: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    words: bool = False
    """Final passes are to tell where the words lie, if the recogniser can."""


class PassResult(Struct, frozen=True):
    """What one pass over a segment heard.

    `words` lie in the segment. `needs_final_pass`: a final pass over the same might find more. `memo` is handed to the
    next pass over more of the same segment, `next_segment_memo` to the first one over the next segment: whatever the
    recogniser wants to remember.
    """

    text: str
    language: str = ""
    words: tuple[Word, ...] = ()
    needs_final_pass: bool = False
    memo: Any = None
    next_segment_memo: Any = None


class PassInput(Struct, frozen=True):
    """What a pass is about. `final`: the speaker pauses or waits, so what isn't sure has to be decided now."""

    samples: Samples
    final: bool


class PassRunner(Protocol):
    """Where passes are made: in threads (`ThreadedPassRunner`), or by somebody else (`openai_stt`)."""

    async def run_pass(self, take: Callable[[], PassInput], hints: Hints, memo: Any, priority: int) -> PassResult:
        """`take` is called once, when the work begins: until then, audio that arrives still belongs to it."""
        ...


class Recogniser(Protocol):
    def recognise_segment(self, samples: Samples, hints: Hints, memo: Any, abort: Abort, *, final: bool) -> PassResult:
        """Transcribes `samples`; blocks, and is called by several threads at once. `memo` is what an earlier pass over
        this utterance left, None at first."""
        ...


class ThreadedPassRunner:
    """Passes of a recogniser that blocks."""

    def __init__(self, recogniser: Recogniser, workers: WorkerPool) -> None:
        self._recogniser = recogniser
        self._workers = workers

    async def run_pass(self, take: Callable[[], PassInput], hints: Hints, memo: Any, priority: int) -> PassResult:
        def run_recogniser(abort: Abort) -> PassResult:
            taken = take()
            return self._recogniser.recognise_segment(taken.samples, hints, memo, abort, final=taken.final)

        return await self._workers.run(run_recogniser, priority)


class _RunningPass(Struct):
    """A pass on its way.

    `end` is how far it hears, None until it has begun; with `settles` its text is never heard again. `final`: it ends
    in a pause or for a flush. `took` is the seconds from asking for it to its end.
    """

    settles: bool
    end: int | None = None
    final: bool = False
    took: float = 0.0
    task: asyncio.Task[PassResult] | None = None

    @property
    def pending_task(self) -> asyncio.Task[PassResult]:
        assert self.task
        return self.task


class IncrementalUtterance:
    def __init__(self, passes: PassRunner, hints: Hints, told: Callable[[], None] = lambda: None) -> None:
        """`told` is called when a pass has ended."""
        self._on_pass_ended = told
        self._passes = passes
        self._hints = hints
        self._segment = AudioSegment()
        self._settled_text = ""
        self._language = ""
        self._memo: Any = None
        self._settled_words: tuple[Word, ...] = ()  # of what is settled
        self._last_pass: PassResult | None = None
        self._needs_final_pass = False  # a final pass would tell more than the last one
        self._recognised_until = 0  # up to where the passes came
        self._interval = FIRST
        self._last_text = ""  # the latest transcript that was given
        self.running: _RunningPass | None = None

    def add_audio(self, audio: bytes) -> None:
        self._segment.add_audio(audio)

    def start_pass_if_due(self) -> None:
        """Begins a pass if there is something new to hear and none is on its way."""
        segment = self._segment
        if self.running:
            return
        if cut := segment.find_cut():
            self._start_pass(PARTIAL, cut)
        elif len(segment) >= FIRST and not self._is_up_to_date:
            if segment.end - segment.quiet_since() >= PAUSE:
                self._start_pass(SOON)
            elif segment.end - self._recognised_until >= self._interval:
                self._start_pass(PARTIAL)

    def collect_pass(self) -> Transcript | None:
        """Takes in the pass that has ended; returns a partial transcript if it says something new."""
        assert self.running
        run, self.running = self.running, None
        heard = run.pending_task.result()
        if is_hallucinated(heard.text):
            heard = replace(heard, text="", words=())
        assert run.end is not None
        self._interval = min(LONGEST_INTERVAL, max(INTERVAL, int(SHARE * run.took * INPUT_RATE)))
        self._recognised_until = run.end
        self._language = heard.language or self._language
        if run.settles:
            self._settled_text, self._settled_words = self._join_settled(heard.text), self._words_in_utterance(heard)
            self._segment.drop_before(run.end)
            self._last_pass, self._memo = None, heard.next_segment_memo
        else:
            self._last_pass, self._memo = heard, heard.memo
        self._needs_final_pass = not run.final and (heard.needs_final_pass or bool(self._hints.words and heard.text))
        text = self._full_text if run.final else self._full_text.rstrip(ENDINGS)
        if not text or text == self._last_text:
            return None
        self._last_text = text
        return Transcript(text, run.end, language=self._language)

    async def flush(self) -> AsyncGenerator[Transcript]:
        """Ends with the final transcript; pieces of a long utterance that are settled on the way come before it."""
        while cut := self._segment.find_cut():
            if not (self.running and self.running.settles):
                self.drop_pass()
                self._start_pass(SOON, cut)
            if partial := await self._finish_pass():
                yield partial
        if self.running and (self.running.end is None or not self._is_silent_since(self.running.end)):
            self.drop_pass()
        if self.running:
            await self._finish_pass()
        if self._last_pass is None or not self._is_up_to_date:
            self._start_pass(FLUSH)
            await self._finish_pass()
        text = self._last_text = self._full_text
        words = self._words_in_utterance(self._last_pass) if self._last_pass else self._settled_words
        yield Transcript(text, self._segment.end, final=True, language=self._language if text else "", words=words)

    def drop_pass(self) -> None:
        """Drops the pass that is on its way, without waiting for it."""
        if self.running:
            task = self.running.pending_task
            if not task.cancel() and not task.cancelled():
                task.exception()  # seen, and of no interest any more
            self.running = None

    async def _finish_pass(self) -> Transcript | None:
        assert self.running
        await asyncio.wait((self.running.pending_task,))
        return self.collect_pass()

    @property
    def _full_text(self) -> str:
        return self._join_settled(self._last_pass.text) if self._last_pass else self._settled_text

    def _join_settled(self, text: str) -> str:
        space = "" if self._language in UNSPACED else " "
        return space.join(part for part in (self._settled_text, text) if part)

    def _words_in_utterance(self, heard: PassResult) -> tuple[Word, ...]:
        """The words of what is settled and of the open segment, counted in the utterance."""
        start = self._segment.start
        return (*self._settled_words, *(Word(word.text, start + word.start, start + word.end) for word in heard.words))

    @property
    def _is_up_to_date(self) -> bool:
        """One more pass would tell nothing new."""
        return self._is_silent_since(self._recognised_until) and not self._needs_final_pass

    def _is_silent_since(self, end: int) -> bool:
        return self._segment.quiet_since() <= max(end, self._segment.start) or self._segment.end <= end

    def _start_pass(self, priority: int, cut: int | None = None) -> None:
        self.running = run = _RunningPass(settles=cut is not None)
        run.task = asyncio.create_task(self._run_pass(run, cut, priority))
        run.task.add_done_callback(lambda _: self._on_pass_ended())

    async def _run_pass(self, run: _RunningPass, cut: int | None, priority: int) -> PassResult:
        segment, memo, begun = self._segment, self._memo, time.perf_counter()
        if segment.is_speechless:
            run.end = cut or segment.end
            return PassResult("", self._language, memo=memo, next_segment_memo=memo)

        def take_input() -> PassInput:  # in a thread, perhaps; meanwhile the segment may grow, nothing else
            run.end = end = cut or segment.end
            pause = end - segment.quiet_since()
            run.final = priority == FLUSH or run.settles or pause >= PAUSE
            return PassInput(segment.copy_samples(end), run.final)

        heard = await self._passes.run_pass(take_input, self._hints, memo, priority)
        run.took = time.perf_counter() - begun
        return heard


async def transcribe_incrementally(
    passes: PassRunner, audio: AsyncIterator[bytes], hints: Hints
) -> AsyncGenerator[Transcript]:
    """The `transcribe` of an `STT` (protocols.py)."""
    chunks: deque[bytes] = deque()
    news = asyncio.Event()
    utterance = IncrementalUtterance(passes, hints, news.set)
    reading = asyncio.create_task(_read_audio(audio, chunks, news))
    try:
        while True:
            if utterance.running and utterance.running.pending_task.done() and (partial := utterance.collect_pass()):
                yield partial
            if chunks:
                chunk = chunks.popleft()
                if not chunk:
                    async with aclosing(utterance.flush()) as answers:
                        async for transcript in answers:
                            yield transcript
                for piece in range(0, len(chunk), PIECE):
                    utterance.add_audio(chunk[piece : piece + PIECE])
                    if chunks or len(chunk) > PIECE:  # there is more at once: others have their turn in between
                        await asyncio.sleep(0)
            elif reading.done():
                reading.result()
                return
            else:
                await news.wait()
                news.clear()
            utterance.start_pass_if_due()
    finally:
        reading.cancel()
        utterance.drop_pass()


async def _read_audio(audio: AsyncIterator[bytes], chunks: deque[bytes], news: asyncio.Event) -> None:
    """One task for all the audio of an utterance, of which fifty chunks come in a second."""
    try:
        async for chunk in audio:
            chunks.append(chunk)
            news.set()
    finally:
        news.set()
