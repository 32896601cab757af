"""Voice activity: Silero VAD, one model for all sessions.

A frame is 512 samples (32 ms); the network (`network.py`) carries a memory from frame to frame. Streams whose
frames wait at the same moment form one batch, a lane each. Work begins at the end of the event loop's tick, but no
sooner than `GATHER` after the last one began: one session never waits, and many fill a batch together. A thread hop
costs as much as a frame and more on a busy machine, so work below `INLINE` is done in the event loop (a push of 100 ms:
about 0.15 ms). Anything longer goes to one worker thread, `MOST` frames at a time (a few ms); in between, whoever came
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

from openlive.engines.api import EngineError, Judged, Resources
from openlive.engines.vad.silero.network import FRAME, MEMORY, MOST, Floats, SileroNetwork, load_weights

GATHER = 0.008
"""Seconds between the beginnings of two batches: a quarter of a frame, by which a judgement may come later. With 60
sessions a batch has 15 lanes, which costs less than half of 15 batches."""
INLINE = 0.0015
"""Seconds of estimated work that are done in the event loop itself."""
LANES = MOST
"""Streams in one batch; larger batches gain nothing more."""

_log = logging.getLogger(__name__)


class SileroStream:
    """One session's detector."""

    def __init__(self, vad: SileroVAD, tell: Callable[[Judged], None]) -> None:
        self.on_judged = tell
        self.closed = False
        self.memory: Floats = np.zeros(MEMORY, np.float32)
        self.queued = False
        """Its frames wait for a batch, or are in one."""
        self._vad = vad
        self._audio = bytearray()

    @property
    def waiting_frames(self) -> int:
        """Whole frames that wait."""
        return len(self._audio) // (2 * FRAME)

    def push(self, audio: bytes) -> None:
        if len(audio) % 2:
            raise ValueError(f"s16le audio has an even number of bytes, not {len(audio)}.")
        if self.closed:
            raise RuntimeError("The detector's stream is closed.")
        self._audio += audio
        if not self.queued and len(self._audio) >= 2 * FRAME:
            self._vad.schedule_stream(self)

    def take_frames(self, frames: int) -> npt.NDArray[np.int16]:
        taken = bytes(memoryview(self._audio)[: 2 * FRAME * frames])
        del self._audio[: len(taken)]
        return np.frombuffer(taken, "<i2")

    def close(self) -> None:
        """Frees the stream; nothing more is told."""
        self.closed = True
        self._audio.clear()
        self.memory = np.empty(0, np.float32)


class _Lane:
    """One stream's part of a batch: whole frames, how far they are computed, what came out. All that a thread sees."""

    __slots__ = ("at", "error", "left", "memory", "probabilities", "samples", "stream")

    def __init__(self, stream: SileroStream, frames: int) -> None:
        self.stream = stream
        self.samples = stream.take_frames(frames)
        self.memory = stream.memory
        self.at = 0
        self.left = frames
        self.probabilities: list[float] = []
        self.error: Exception | None = None


class SileroVAD:
    def __init__(self, network: Callable[[Floats, Floats], tuple[Floats, Floats]]) -> None:
        """`network`: as `SileroNetwork` is called."""
        self._network = network
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="silero")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[SileroStream] = deque()
        self._is_computing = False
        """It is computing, or will soon: whoever comes only has to wait."""
        self._last_batch_at = -GATHER
        """When the last batch began, on the loop's clock."""

    def stream(self, tell: Callable[[Judged], None]) -> SileroStream:
        return SileroStream(self, tell)

    async def close(self) -> None:
        """Ends its thread."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def schedule_stream(self, stream: SileroStream) -> None:
        """Takes a stream that has whole frames and is not queued into the next batch."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a new loop (tests) must not wait for what a dead one left behind
            self._loop, self._waiting, self._is_computing, self._last_batch_at = loop, deque(), False, -GATHER
        self._queue_stream(stream)
        if not self._is_computing:
            self._is_computing = True
            loop.call_at(self._last_batch_at + GATHER, self._compute_batches)

    def _queue_stream(self, stream: SileroStream) -> None:
        stream.queued = True
        self._waiting.append(stream)

    def _compute_batches(self) -> None:
        """Computes what is waiting, here or slice by slice in the worker, until nothing waits."""
        assert self._loop
        self._last_batch_at = self._loop.time()
        while streams := self._next_streams():
            frames = [stream.waiting_frames for stream in streams]
            if self._waiting or estimate_cost(frames) > INLINE:
                most = max(1, MOST // len(streams))
                self._compute_in_thread(
                    [_Lane(s, min(count, most)) for s, count in zip(streams, frames, strict=True)], self._loop
                )
                return
            lanes = [_Lane(s, count) for s, count in zip(streams, frames, strict=True)]
            self._compute_lanes(lanes)
            self._deliver_results(lanes)
        self._is_computing = False

    def _next_streams(self) -> list[SileroStream]:
        streams: list[SileroStream] = []
        while self._waiting and len(streams) < LANES:
            stream = self._waiting.popleft()
            if not stream.closed:
                streams.append(stream)
        return streams

    def _compute_in_thread(self, lanes: list[_Lane], loop: asyncio.AbstractEventLoop) -> None:
        """In the worker; without one here, with a pause for the others after it."""

        def on_computed(_: ThreadFuture[None]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._finish_slice, lanes)

        try:
            self._worker.submit(self._compute_lanes, lanes).add_done_callback(on_computed)
        except RuntimeError as error:  # no thread can be started; what the pool keeps of it finds nothing left to do
            _log.warning("The voice activity detector has no thread: %s", error)
            self._compute_lanes(lanes)
            loop.call_soon(self._finish_slice, lanes)

    def _finish_slice(self, lanes: list[_Lane]) -> None:
        self._deliver_results(lanes)
        self._compute_batches()

    def _deliver_results(self, lanes: list[_Lane]) -> None:
        """Tells what came out; who has more frames waits again, behind the others."""
        for lane in lanes:
            stream = lane.stream
            stream.queued = False
            if stream.closed:
                continue
            stream.memory = lane.memory
            if lane.error is not None:
                _log.warning("The voice activity detector failed for one stream: %s", lane.error)
                stream.close()
            elif stream.waiting_frames:
                self._queue_stream(stream)
            try:
                stream.on_judged(lane.error or [(probability, FRAME) for probability in lane.probabilities])
            except Exception:
                _log.exception("What the voice activity detector says was not taken")
                stream.close()

    def _compute_lanes(self, lanes: list[_Lane]) -> None:
        """All frames, in steps of equally many: what the shortest has, and one call of the network takes."""
        while lanes := [lane for lane in lanes if lane.left]:
            step = max(1, min(MOST // len(lanes), *(lane.left for lane in lanes)))
            try:
                self._run_network(lanes, step)
            except Exception as error:
                if len(lanes) == 1:
                    lanes[0].error, lanes[0].left = error, 0
                else:  # find out whose it is; the others must not suffer
                    for lane in lanes:
                        self._compute_lanes([lane])

    def _run_network(self, lanes: list[_Lane], step: int) -> None:
        new = np.stack([lane.samples[lane.at * FRAME : (lane.at + step) * FRAME] for lane in lanes])
        heard, memories = self._network(
            np.multiply(new, 1 / 32768, dtype=np.float32), np.stack([lane.memory for lane in lanes])
        )
        for lane, probabilities, memory in zip(lanes, heard.tolist(), memories, strict=True):
            lane.probabilities += probabilities
            lane.at += step
            lane.left -= step
            lane.memory = memory.copy()


def estimate_cost(frames: Sequence[int]) -> float:
    """Seconds that a batch with so many frames in its lanes takes, estimated as if all were as long as the longest."""
    return max(frames) * (45 + 12 * len(frames)) * 1e-6


def create(argument: str, resources: Resources) -> SileroVAD:
    """Loads the detector. `argument`: the path of another Silero v5 or v6 ONNX file, '' for the catalogue's."""
    path = Path(argument) if argument else resources.weights("silero-vad") / "silero_vad.onnx"
    try:
        network = SileroNetwork(load_weights(path))
    except Exception as error:
        raise EngineError(f"The voice activity detector {path} could not be loaded: {error}") from error
    # Products this small take twice as long on two cores as on one.
    ThreadpoolController().select(internal_api="openblas").limit(limits=1)
    return SileroVAD(network)
