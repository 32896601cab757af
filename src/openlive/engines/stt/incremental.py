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

from openlive.engines.runtime.workers import Abort, Workers
from openlive.engines.stt.hallucinations import is_invented
from openlive.engines.stt.segment import PAUSE, Samples, Segment
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


class Pass(Struct, frozen=True):
    """What one pass over a segment heard.

    `words` lie in the segment. `tentative`: a final pass over the same might find more. `memo` is handed to the next
    pass over more of the same segment, `carry` to the first one over the next segment: whatever the recogniser wants to
    remember.
    """

    text: str
    language: str = ""
    words: tuple[Word, ...] = ()
    tentative: bool = False
    memo: Any = None
    carry: Any = None


class Taken(Struct, frozen=True):
    """What a pass is about. `final`: the speaker pauses or waits, so what isn't sure has to be decided now."""

    samples: Samples
    final: bool


class Passes(Protocol):
    """Where passes are made: in threads (`Threads`), or by somebody else (`openai_stt`)."""

    async def make(self, take: Callable[[], Taken], hints: Hints, memo: Any, priority: int) -> Pass:
        """`take` is called once, when the work begins: until then, audio that arrives still belongs to it."""
        ...


class Recogniser(Protocol):
    def hear(self, samples: Samples, hints: Hints, memo: Any, abort: Abort, *, final: bool) -> Pass:
        """Transcribes `samples`; blocks, and is called by several threads at once. `memo` is what an earlier pass over
        this utterance left, None at first."""
        ...


class Threads:
    """Passes of a recogniser that blocks."""

    def __init__(self, recogniser: Recogniser, workers: Workers) -> None:
        self._recogniser = recogniser
        self._workers = workers

    async def make(self, take: Callable[[], Taken], hints: Hints, memo: Any, priority: int) -> Pass:
        def work(abort: Abort) -> Pass:
            taken = take()
            return self._recogniser.hear(taken.samples, hints, memo, abort, final=taken.final)

        return await self._workers.run(work, priority)


class _Running(Struct):
    """A pass on its way.

    `end` is how far it hears, None until it has begun; with `settles` its text is never heard again. `final`: it ends
    in a pause or for a flush. `took` is the seconds from asking for it to its end.
    """

    settles: bool
    end: int | None = None
    final: bool = False
    took: float = 0.0
    task: asyncio.Task[Pass] | None = None

    @property
    def awaited(self) -> asyncio.Task[Pass]:
        assert self.task
        return self.task


class Utterance:
    def __init__(self, passes: Passes, hints: Hints, told: Callable[[], None] = lambda: None) -> None:
        """`told` is called when a pass has ended."""
        self._told = told
        self._passes = passes
        self._hints = hints
        self._segment = Segment()
        self._settled = ""
        self._language = ""
        self._memo: Any = None
        self._words: tuple[Word, ...] = ()  # of what is settled
        self._last: Pass | None = None
        self._unfinished = False  # a final pass would tell more than the last one
        self._heard = 0  # up to where the passes came
        self._interval = FIRST
        self._said = ""  # the latest transcript that was given
        self.running: _Running | None = None

    def add(self, audio: bytes) -> None:
        self._segment.add(audio)

    def start_if_due(self) -> None:
        """Begins a pass if there is something new to hear and none is on its way."""
        segment = self._segment
        if self.running:
            return
        if cut := segment.cut():
            self._start(PARTIAL, cut)
        elif len(segment) >= FIRST and not self._told_all:
            if segment.end - segment.quiet_since() >= PAUSE:
                self._start(SOON)
            elif segment.end - self._heard >= self._interval:
                self._start(PARTIAL)

    def collect(self) -> Transcript | None:
        """Takes in the pass that has ended; returns a partial transcript if it says something new."""
        assert self.running
        run, self.running = self.running, None
        heard = run.awaited.result()
        if is_invented(heard.text):
            heard = replace(heard, text="", words=())
        assert run.end is not None
        self._interval = min(LONGEST_INTERVAL, max(INTERVAL, int(SHARE * run.took * INPUT_RATE)))
        self._heard = run.end
        self._language = heard.language or self._language
        if run.settles:
            self._settled, self._words = self._joined(heard.text), self._timed(heard)
            self._segment.drop(run.end)
            self._last, self._memo = None, heard.carry
        else:
            self._last, self._memo = heard, heard.memo
        self._unfinished = not run.final and (heard.tentative or bool(self._hints.words and heard.text))
        text = self._text if run.final else self._text.rstrip(ENDINGS)
        if not text or text == self._said:
            return None
        self._said = text
        return Transcript(text, run.end, language=self._language)

    async def flush(self) -> AsyncGenerator[Transcript]:
        """Ends with the final transcript; pieces of a long utterance that are settled on the way come before it."""
        while cut := self._segment.cut():
            if not (self.running and self.running.settles):
                self.stop()
                self._start(SOON, cut)
            if partial := await self._finish():
                yield partial
        if self.running and (self.running.end is None or not self._only_silence_since(self.running.end)):
            self.stop()
        if self.running:
            await self._finish()
        if self._last is None or not self._told_all:
            self._start(FLUSH)
            await self._finish()
        text = self._said = self._text
        words = self._timed(self._last) if self._last else self._words
        yield Transcript(text, self._segment.end, final=True, language=self._language if text else "", words=words)

    def stop(self) -> None:
        """Drops the pass that is on its way, without waiting for it."""
        if self.running:
            task = self.running.awaited
            if not task.cancel() and not task.cancelled():
                task.exception()  # seen, and of no interest any more
            self.running = None

    async def _finish(self) -> Transcript | None:
        assert self.running
        await asyncio.wait((self.running.awaited,))
        return self.collect()

    @property
    def _text(self) -> str:
        return self._joined(self._last.text) if self._last else self._settled

    def _joined(self, text: str) -> str:
        space = "" if self._language in UNSPACED else " "
        return space.join(part for part in (self._settled, text) if part)

    def _timed(self, heard: Pass) -> tuple[Word, ...]:
        """The words of what is settled and of the open segment, counted in the utterance."""
        start = self._segment.start
        return (*self._words, *(Word(word.text, start + word.start, start + word.end) for word in heard.words))

    @property
    def _told_all(self) -> bool:
        """One more pass would tell nothing new."""
        return self._only_silence_since(self._heard) and not self._unfinished

    def _only_silence_since(self, end: int) -> bool:
        return self._segment.quiet_since() <= max(end, self._segment.start) or self._segment.end <= end

    def _start(self, priority: int, cut: int | None = None) -> None:
        self.running = run = _Running(settles=cut is not None)
        run.task = asyncio.create_task(self._pass(run, cut, priority))
        run.task.add_done_callback(lambda _: self._told())

    async def _pass(self, run: _Running, cut: int | None, priority: int) -> Pass:
        segment, memo, begun = self._segment, self._memo, time.perf_counter()
        if segment.speechless:
            run.end = cut or segment.end
            return Pass("", self._language, memo=memo, carry=memo)

        def take() -> Taken:  # in a thread, perhaps; meanwhile the segment may grow, nothing else
            run.end = end = cut or segment.end
            pause = end - segment.quiet_since()
            run.final = priority == FLUSH or run.settles or pause >= PAUSE
            return Taken(segment.samples(end), run.final)

        heard = await self._passes.make(take, self._hints, memo, priority)
        run.took = time.perf_counter() - begun
        return heard


async def transcribe(passes: Passes, audio: AsyncIterator[bytes], hints: Hints) -> AsyncGenerator[Transcript]:
    """The `transcribe` of an `STT` (protocols.py)."""
    chunks: deque[bytes] = deque()
    news = asyncio.Event()
    utterance = Utterance(passes, hints, news.set)
    reading = asyncio.create_task(_read(audio, chunks, news))
    try:
        while True:
            if utterance.running and utterance.running.awaited.done() and (partial := utterance.collect()):
                yield partial
            if chunks:
                chunk = chunks.popleft()
                if not chunk:
                    async with aclosing(utterance.flush()) as answers:
                        async for transcript in answers:
                            yield transcript
                for piece in range(0, len(chunk), PIECE):
                    utterance.add(chunk[piece : piece + PIECE])
                    if chunks or len(chunk) > PIECE:  # there is more at once: others have their turn in between
                        await asyncio.sleep(0)
            elif reading.done():
                reading.result()
                return
            else:
                await news.wait()
                news.clear()
            utterance.start_if_due()
    finally:
        reading.cancel()
        utterance.stop()


async def _read(audio: AsyncIterator[bytes], chunks: deque[bytes], news: asyncio.Event) -> None:
    """One task for all the audio of an utterance, of which fifty chunks come in a second."""
    try:
        async for chunk in audio:
            chunks.append(chunk)
            news.set()
    finally:
        news.set()
