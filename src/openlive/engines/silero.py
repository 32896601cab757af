"""Voice activity: Silero VAD, one model for all sessions.

A frame is 512 samples (32 ms); the network (`silero_network.py`) carries a memory from frame to frame. Pushes that are
waiting at the same moment form one batch, a lane each. Work begins at the end of the event loop's tick, but no sooner
than `GATHER` after the last one began: one session never waits, and many fill a batch together. A thread hop costs as
much as a frame and more on a busy machine, so work below `INLINE` is done in the event loop (a push of 100 ms: about
0.15 ms). Anything longer goes to one worker thread, `MOST` frames at a time (a few ms); in between, whoever came
meanwhile gets a lane, so a whole file in one push holds nobody up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from openlive.engines.registry import EngineError, Resources
from openlive.engines.silero_network import FRAME, MEMORY, MOST, Floats, Network, weights

GATHER = 0.008
"""Seconds between the beginnings of two batches: a quarter of a frame, by which a judgement may come later. With 60
sessions a batch has 15 lanes, which costs less than half of 15 batches."""
INLINE = 0.0015
"""Seconds of estimated work that are done in the event loop itself."""
LANES = MOST
"""Streams in one batch; larger batches gain nothing more."""

_log = logging.getLogger(__name__)


class _Job:
    """The whole frames of one push, and how far they are computed."""

    __slots__ = ("at", "count", "done", "error", "probabilities", "samples", "stream")

    def __init__(self, stream: SileroStream, samples: npt.NDArray[np.int16], done: asyncio.Future[None]) -> None:
        self.stream = stream
        self.samples = samples
        self.count = len(samples) // FRAME
        self.at = 0
        self.probabilities: list[float] = []
        self.error: Exception | None = None
        self.done = done

    @property
    def left(self) -> int:
        return 0 if self.error or self.done.done() or self.stream.closed else self.count - self.at


class SileroStream:
    """One session's detector. Pushes of one stream are computed in the order in which they were made."""

    def __init__(self, vad: SileroVAD) -> None:
        self._vad = vad
        self._rest = b""
        self._order = asyncio.Lock()
        self.closed = False
        self.memory: Floats = np.zeros(MEMORY, np.float32)

    async def push(self, audio: bytes) -> Sequence[tuple[float, int]]:
        if len(audio) % 2:
            raise ValueError(f"s16le audio has an even number of bytes, not {len(audio)}.")
        async with self._order:
            if self.closed:
                raise RuntimeError("The detector's stream is closed.")
            whole = self._rest + audio if self._rest else audio
            used = len(whole) // (2 * FRAME) * 2 * FRAME
            self._rest = whole[used:]
            if not used:
                return ()
            samples = np.frombuffer(whole, "<i2", used // 2)
            return [(p, FRAME) for p in await self._vad.compute(self, samples)]

    def close(self) -> None:
        """Frees the stream; a push that is still running returns the frames that it has."""
        self.closed = True
        self._rest = b""
        self.memory = np.empty(0, np.float32)


class SileroVAD:
    def __init__(self, network: Callable[[Floats, Floats], tuple[Floats, Floats]]) -> None:
        """`network`: as `Network` is called."""
        self._network = network
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="silero")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[_Job] = deque()
        self._busy = False
        self._begun = -GATHER
        """When the last batch began, on the loop's clock."""

    def stream(self) -> SileroStream:
        return SileroStream(self)

    async def compute(self, stream: SileroStream, samples: npt.NDArray[np.int16]) -> list[float]:
        """The probabilities of the whole frames in `samples`; called by the stream, one call at a time each."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a new loop (tests) must not wait for what a dead one left behind
            self._loop, self._waiting, self._busy, self._begun = loop, deque(), False, -GATHER
        job = _Job(stream, samples, loop.create_future())
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            wait = self._begun + GATHER - loop.time()
            if wait > 0:
                loop.call_later(wait, self._pump)
            else:
                loop.call_soon(self._pump)
        await job.done
        if job.error:
            raise job.error
        return job.probabilities

    def _pump(self) -> None:
        """Computes what is waiting, here or in the worker, and comes again until nothing waits."""
        assert self._loop
        self._begun = self._loop.time()
        while jobs := self._next_lanes():
            if cost(jobs) > INLINE or len(self._waiting) > len(jobs):
                slice_ = self._worker.submit(self._advance, jobs)
                slice_.add_done_callback(_on_loop(self._loop, self._pump))
                return
            for _ in range(len(jobs)):  # each round ends the shortest of them
                self._advance(jobs)
        self._busy = False

    def _next_lanes(self) -> list[_Job]:
        """Answers whoever is ready, turns the queue by one batch, returns the lanes of the next."""
        open_jobs = deque[_Job]()
        for job in self._waiting:
            if job.left:
                open_jobs.append(job)
            elif not job.done.done():
                job.done.set_result(None)
        lanes = [open_jobs[i] for i in range(min(LANES, len(open_jobs)))]
        open_jobs.rotate(-len(lanes))
        self._waiting = open_jobs
        return lanes

    def _advance(self, jobs: list[_Job]) -> None:
        """Computes equally many frames of each job: what the shortest has and one call of the network takes."""
        jobs = [job for job in jobs if job.left]
        if not jobs:
            return
        rounds = max(1, min(MOST // len(jobs), *(job.left for job in jobs)))
        try:
            self._run(jobs, rounds)
        except Exception as error:
            if len(jobs) > 1:  # find out whose it is; the others must not suffer
                for job in jobs:
                    self._advance([job])
            elif not jobs[0].stream.closed:
                _log.warning("The voice activity detector failed for one stream: %s", error)
                jobs[0].error = error

    def _run(self, jobs: list[_Job], rounds: int) -> None:
        new = np.stack([job.samples[job.at * FRAME : (job.at + rounds) * FRAME] for job in jobs])
        heard, memories = self._network(
            np.multiply(new, 1 / 32768, dtype=np.float32), np.stack([job.stream.memory for job in jobs])
        )
        for job, probabilities, memory in zip(jobs, heard.tolist(), memories, strict=True):
            job.probabilities += probabilities
            job.at += rounds
            if not job.stream.closed:
                job.stream.memory = memory.copy()


def cost(jobs: Sequence[_Job]) -> float:
    """Seconds that computing all frames of `jobs` takes, estimated for a batch as wide as they are many."""
    return max((job.left for job in jobs), default=0) * (45 + 12 * len(jobs)) * 1e-6


def _on_loop(loop: asyncio.AbstractEventLoop, step: Callable[[], None]) -> Callable[[ThreadFuture[None]], None]:
    def done(_: ThreadFuture[None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(step)

    return done


def create(argument: str, resources: Resources) -> SileroVAD:
    """Loads the detector. `argument`: the path of another Silero v5 or v6 ONNX file, '' for the catalogue's."""
    path = Path(argument) if argument else resources.weights("silero-vad") / "silero_vad.onnx"
    try:
        network = Network(weights(path))
    except Exception as error:
        raise EngineError(f"The voice activity detector {path} could not be loaded: {error}") from error
    # Products this small take twice as long on two cores as on one.
    ThreadpoolController().select(internal_api="openblas").limit(limits=1)
    return SileroVAD(network)
