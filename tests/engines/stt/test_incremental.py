from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.engines.stt.hallucinations import is_hallucinated
from openlive.engines.stt.incremental import Hints, PassResult, ThreadedPassRunner, transcribe_incrementally
from openlive.engines.stt.segment import LIMIT, Samples
from openlive.types import Transcript, Word
from tests.engines.speech import chunks

RATE = 16_000


class Recogniser:
    """Its text says how many tenths of a second it heard. While `held`, it waits for `go` or for the abort.

    Where words are asked for, a final pass tells one, its text, over all that it heard. One that is `doubtful` says
    nothing before that.
    """

    def __init__(self, *, doubtful: bool = False) -> None:
        self.doubtful = doubtful
        self.passes: list[tuple[int, Any, bool]] = []
        self.held = False
        self.error: Exception | None = None
        self.begun = threading.Event()
        self.go = threading.Event()
        self.aborted = threading.Event()

    def recognise_segment(self, samples: Samples, hints: Hints, memo: Any, abort: Abort, *, final: bool) -> PassResult:
        tenths = round(len(samples) / 1600)
        self.passes.append((tenths, memo, final))
        if self.error:
            raise self.error
        if self.held:
            stop = threading.Event()

            def release() -> None:
                self.go.wait(10)
                stop.set()

            releaser = threading.Thread(target=release)
            releaser.start()
            try:
                with abort.calling_on_abort(stop.set):
                    self.begun.set()
                    stop.wait(10)
                    abort.raise_if_aborted()
            except Exception:
                self.aborted.set()
                raise
            finally:
                self.go.set()
                releaser.join()
        if self.doubtful and not final:
            return PassResult("", needs_final_pass=True)
        words = (Word(f"{tenths}", 0, len(samples)),) if final and hints.words else ()
        return PassResult(f"{tenths}", "en", words, memo=f"memo {tenths}", next_segment_memo=f"carry {tenths}")


class Source:
    """Audio that comes when the test says so."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.put = self._queue.put_nowait

    async def taken(self) -> None:
        """Returns when all that was put has been read."""
        await self._queue.join()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._queue.get()) is not None:
            self._queue.task_done()
            yield chunk


def loud(seconds: float) -> bytes:
    rng = np.random.default_rng(0)
    return rng.integers(-8000, 8000, int(seconds * RATE)).astype("<i2").tobytes()


def quiet(seconds: float) -> bytes:
    return bytes(int(seconds * RATE) * 2)


def hear(recogniser: Recogniser, audio: AsyncIterator[bytes], *, words: bool = False) -> list[Transcript]:
    async def main() -> list[Transcript]:
        workers = WorkerPool(1, "test")
        return [
            transcript
            async for transcript in transcribe_incrementally(
                ThreadedPassRunner(recogniser, workers), audio, Hints(words=words)
            )
        ]

    return asyncio.run(main())


async def parts(*audio: bytes) -> AsyncIterator[bytes]:
    for part in audio:
        yield part


def test_a_flush_is_answered_by_one_final_transcript_of_everything_before_it() -> None:
    heard = hear(Recogniser(), parts(loud(0.3), loud(0.4), b""))
    assert heard == [Transcript("7", int(0.7 * RATE), final=True, language="en")]


def test_nothing_is_owed_at_the_end_without_a_flush() -> None:
    assert hear(Recogniser(), parts(loud(0.3))) == []
    assert hear(Recogniser(), parts()) == []


def test_a_flush_of_nothing_and_of_silence_asks_nobody() -> None:
    recogniser = Recogniser()
    assert hear(recogniser, parts(b"")) == [Transcript("", 0, final=True)]
    assert hear(recogniser, parts(quiet(3), b"")) == [Transcript("", 3 * RATE, final=True)]
    assert recogniser.passes == []


def test_a_second_flush_and_silence_since_cost_no_further_pass() -> None:
    recogniser = Recogniser()
    heard = hear(recogniser, parts(loud(0.5), b"", b"", quiet(0.3), b""))
    assert [(t.text, t.end, t.final) for t in heard] == [("5", 8000, True), ("5", 8000, True), ("5", 12800, True)]
    assert len(recogniser.passes) == 1


def test_speech_after_a_flush_belongs_to_the_same_utterance() -> None:
    recogniser = Recogniser()
    heard = hear(recogniser, parts(loud(0.5), b"", loud(0.2), b""))
    assert [t.text for t in heard] == ["5", "7"]
    assert [memo for _, memo, _ in recogniser.passes] == [None, "memo 5"]


def test_partial_transcripts_come_while_audio_goes_on_and_the_latest_audio_wins() -> None:
    async def main() -> None:
        recogniser, source = Recogniser(), Source()
        recogniser.held = True
        heard = transcribe_incrementally(ThreadedPassRunner(recogniser, WorkerPool(1, "test")), aiter(source), Hints())
        source.put(loud(1))
        first = asyncio.ensure_future(anext(heard))
        assert await asyncio.to_thread(recogniser.begun.wait, 10)
        for _ in range(20):
            source.put(loud(0.1))
        recogniser.held = False
        recogniser.go.set()
        assert (await first).text == "10"
        source.put(loud(0.1))
        later = await anext(heard)
        assert not later.final
        assert int(later.text) >= 15
        assert len(recogniser.passes) == 2  # the twenty chunks in between queued nothing up
        await heard.aclose()

    asyncio.run(main())


def test_a_flush_drops_the_pass_that_is_running() -> None:
    async def main() -> None:
        recogniser, source = Recogniser(), Source()
        recogniser.held = True
        heard = transcribe_incrementally(ThreadedPassRunner(recogniser, WorkerPool(1, "test")), aiter(source), Hints())
        source.put(loud(1))
        first = asyncio.ensure_future(anext(heard))
        assert await asyncio.to_thread(recogniser.begun.wait, 10)
        recogniser.held = False
        source.put(loud(0.5))
        source.put(b"")
        assert await first == Transcript("15", 24000, final=True, language="en")
        assert recogniser.aborted.is_set()
        await heard.aclose()

    asyncio.run(main())


def test_a_flush_waits_for_the_pass_that_has_all_the_speech() -> None:
    async def main() -> None:
        recogniser, source = Recogniser(), Source()
        recogniser.held = True
        heard = transcribe_incrementally(ThreadedPassRunner(recogniser, WorkerPool(1, "test")), aiter(source), Hints())
        source.put(loud(1))
        first = asyncio.ensure_future(anext(heard))
        assert await asyncio.to_thread(recogniser.begun.wait, 10)
        source.put(quiet(0.1))
        source.put(b"")
        await source.taken()
        recogniser.go.set()
        assert await first == Transcript("10", 17600, final=True, language="en")
        assert len(recogniser.passes) == 1
        await heard.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(("doubtful", "words"), [(True, False), (False, True)])
def test_a_pass_that_left_something_open_is_followed_by_a_final_one(doubtful: bool, words: bool) -> None:
    """It heard all the speech, but began before the pause."""

    async def main() -> None:
        recogniser, source = Recogniser(doubtful=doubtful), Source()
        recogniser.held = True
        heard = transcribe_incrementally(
            ThreadedPassRunner(recogniser, WorkerPool(1, "test")), aiter(source), Hints(words=words)
        )
        source.put(loud(1))
        first = asyncio.ensure_future(anext(heard))
        assert await asyncio.to_thread(recogniser.begun.wait, 10)
        source.put(quiet(0.06))
        source.put(b"")
        await source.taken()
        recogniser.go.set()
        final = await first
        assert (final.text, final.final) == ("11", True)
        assert final.words == ((Word("11", 0, 16960),) if words else ())
        assert [final for _, _, final in recogniser.passes] == [False, True]
        await heard.aclose()

    asyncio.run(main())


def test_words_count_from_the_beginning_of_the_utterance() -> None:
    recogniser = Recogniser()
    *partials, final = hear(recogniser, parts(loud(30), b""), words=True)
    assert not any(partial.words for partial in partials)
    assert [word.text for word in final.words] == final.text.split()
    assert len(final.words) > 2
    assert (final.words[0].start, final.words[-1].end) == (0, 30 * RATE)
    assert all(a.end == b.start for a, b in zip(final.words, final.words[1:], strict=False))


def test_words_are_told_only_where_they_are_asked_for() -> None:
    assert hear(Recogniser(), parts(loud(0.5), b""))[-1].words == ()
    assert hear(Recogniser(), parts(loud(0.5), b""), words=True)[-1].words == (Word("5", 0, 8000),)


def test_a_pause_is_heard_before_the_flush_comes() -> None:
    async def main() -> None:
        recogniser, source = Recogniser(), Source()
        heard = transcribe_incrementally(ThreadedPassRunner(recogniser, WorkerPool(1, "test")), aiter(source), Hints())
        source.put(loud(1))
        assert (await anext(heard)).text == "10"
        source.put(loud(0.2))
        source.put(quiet(0.1))
        assert (await anext(heard)).text == "13"
        source.put(b"")
        assert await anext(heard) == Transcript("13", 20800, final=True, language="en")
        assert [final for _, _, final in recogniser.passes] == [False, True]
        await heard.aclose()

    asyncio.run(main())


def test_leaving_drops_the_work() -> None:
    async def main() -> None:
        recogniser, source = Recogniser(), Source()
        recogniser.held = True

        async def listen() -> None:
            async for _ in transcribe_incrementally(
                ThreadedPassRunner(recogniser, WorkerPool(1, "test")), aiter(source), Hints()
            ):
                pass

        task = asyncio.create_task(listen())
        source.put(loud(1))
        assert await asyncio.to_thread(recogniser.begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(recogniser.aborted.wait, 10)

    asyncio.run(main())


def test_a_long_blob_is_heard_in_bounded_passes_that_lose_nothing() -> None:
    recogniser = Recogniser()
    heard = hear(recogniser, parts(loud(60), b""))
    assert all(tenths <= LIMIT // 1600 for tenths, _, _ in recogniser.passes)
    assert sum(tenths for tenths, _, _ in recogniser.passes) == pytest.approx(600, abs=1)
    assert [t.final for t in heard] == [False] * (len(heard) - 1) + [True]
    assert heard[-1].text == " ".join(str(tenths) for tenths, _, _ in recogniser.passes)
    assert heard[-1].end == 60 * RATE
    assert [memo for _, memo, _ in recogniser.passes[1:]] == [f"carry {t}" for t, _, _ in recogniser.passes[:-1]]


def test_an_error_is_raised_to_the_caller() -> None:
    recogniser = Recogniser()
    recogniser.error = RuntimeError("out of order")
    with pytest.raises(RuntimeError, match="out of order"):
        hear(recogniser, parts(loud(0.5), b""))
    with pytest.raises(ValueError, match="even number"):
        hear(Recogniser(), parts(b"123"))


def test_many_utterances_at_once_do_not_mix() -> None:
    async def one(recogniser: Recogniser, workers: WorkerPool, tenths: int) -> list[Transcript]:
        audio = chunks(loud(tenths / 10), 1600)
        return [t async for t in transcribe_incrementally(ThreadedPassRunner(recogniser, workers), audio, Hints())]

    async def main() -> None:
        recogniser, workers = Recogniser(), WorkerPool(2, "test")
        lengths = range(5, 45, 5)
        every = await asyncio.gather(*(one(recogniser, workers, tenths) for tenths in lengths))
        assert [heard[-1].text for heard in every] == [str(tenths) for tenths in lengths]

    asyncio.run(main())


def test_speech_needs_no_task_for_each_chunk() -> None:
    started: list[object] = []

    def start(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        started.append(work)
        return asyncio.Task(work, loop=loop, **options)

    async def main() -> list[Transcript]:
        asyncio.get_running_loop().set_task_factory(start)
        chunks = [loud(0.02)] * 500
        hearing = transcribe_incrementally(
            ThreadedPassRunner(recogniser, WorkerPool(1, "test")), parts(*chunks, b""), Hints()
        )
        return [transcript async for transcript in hearing]

    recogniser = Recogniser()
    assert asyncio.run(main())[-1].final
    assert len(started) < 100, "one that reads, and one for each pass"


def test_a_backlog_lets_others_have_their_turn() -> None:
    async def main() -> int:
        turns = 0

        async def neighbour() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(neighbour())
        async for _ in transcribe_incrementally(
            ThreadedPassRunner(Recogniser(), WorkerPool(1, "test")), parts(*[loud(0.02)] * 1000), Hints()
        ):
            pass
        task.cancel()
        return turns

    assert asyncio.run(main()) >= 1000


def test_an_error_of_the_audio_is_not_lost() -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield loud(0.02)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        hear(Recogniser(), breaks())


INVENTED = (
    *(
        "© transcript Emily Beynon",
        "Thank you for watching!",
        "♪ Hey ♪",
        "[Music]",
        "(laughs) ...",
        "Subtitles by the Amara.org community",
    ),
    *(
        "Untertitel im Auftrag des ZDF für funk, 2017",
        "Vielen Dank fürs Zuschauen.",
        "Sous-titrage Société Radio-Canada",
    ),
    *(
        "¡Suscríbete al canal!",
        "Legendas pela comunidade Amara.org",
        "字幕由Amara.org社区提供",
        "ご視聴ありがとうございました",
        "請不吝點贊 訂閱",
    ),
    *(
        "Субтитры сделал DimaTorzok",
        "Продолжение следует...",
        "시청해주셔서 감사합니다.",
        "Altyazı M.K.",
        "ترجمة نانسي قنقر",
    ),
)
SAID = (
    "Thank you.",
    "Thank you for the tickets.",
    "Turn the music up.",
    "Untertitel an, bitte.",
    "Merci.",
    "Copyright is what?",
    "5",
)


@pytest.mark.parametrize("text", INVENTED)
def test_credits_are_no_speech(text: str) -> None:
    assert is_hallucinated(text)


@pytest.mark.parametrize("text", SAID)
def test_what_people_say_is_kept(text: str) -> None:
    assert not is_hallucinated(text)


def test_no_recogniser_is_believed_that_reads_credits() -> None:
    class Inventor:
        def recognise_segment(
            self, samples: Samples, hints: Hints, memo: Any, abort: Abort, *, final: bool
        ) -> PassResult:
            return PassResult("Thanks for watching!", "en", (Word("Thanks", 0, 5),))

    async def main() -> list[Transcript]:
        passes = ThreadedPassRunner(Inventor(), WorkerPool(1, "test"))
        return [heard async for heard in transcribe_incrementally(passes, parts(loud(1), b""), Hints())]

    [final] = asyncio.run(main())
    assert (final.text, final.language, final.words) == ("", "", ())
