from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openlive.engines.api import EngineError, Judged, Resources
from openlive.engines.vad.silero import engine as silero
from openlive.engines.vad.silero.engine import SileroVAD
from openlive.engines.vad.silero.network import FRAME, MEMORY, MOST, Floats, SileroNetwork, load_weights
from tests.engines.speech import CHUNK, Detector, pcm, resources


class Counting:
    """Says how loud a frame is, counts in the memory how many it saw, fails at `poison`."""

    def __init__(self) -> None:
        self.lanes: list[int] = []
        self.poison: float | None = None

    def __call__(self, samples: Floats, memory: Floats) -> tuple[Floats, Floats]:
        frames = samples.reshape(len(samples), -1, FRAME)
        assert frames.shape[0] * frames.shape[1] <= MOST
        assert memory.shape == (len(samples), MEMORY)
        if self.poison is not None and (abs(samples - self.poison) < 1e-6).any():
            raise RuntimeError("not a number")
        self.lanes += [len(samples)] * frames.shape[1]
        return frames.max(axis=2), memory + frames.shape[1]


def audio(frames: float, value: int = 0) -> bytes:
    return np.full(int(frames * FRAME), value, "<i2").tobytes()


def test_an_odd_number_of_bytes_is_refused() -> None:
    async def push() -> None:
        await Detector(SileroVAD(Counting())).push(b"\0\0\0")

    with pytest.raises(ValueError, match="even number of bytes, not 3"):
        asyncio.run(push())


def test_what_does_not_fill_a_frame_waits() -> None:
    async def push() -> None:
        stream = Detector(SileroVAD(Counting()))
        assert await stream.push(b"") == []
        assert await stream.push(audio(0.75, 16384)) == []
        assert await stream.push(audio(1.5, 16384)) == [(0.5, FRAME), (0.5, FRAME)]
        assert await stream.push(audio(0.75, 0)) == [(0.5, FRAME)]

    asyncio.run(push())


def test_pushes_of_the_same_moment_are_one_batch() -> None:
    network = Counting()

    async def push() -> None:
        vad = SileroVAD(network)
        heard = await asyncio.gather(*(Detector(vad).push(audio(3, 1024 * i)) for i in range(1, 5)))
        assert heard == [[(i / 32, FRAME)] * 3 for i in range(1, 5)]

    asyncio.run(push())
    assert network.lanes == [4, 4, 4]


def test_pushes_of_neighbouring_moments_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero, "GATHER", 0.2)
    network = Counting()

    async def push() -> None:
        vad = SileroVAD(network)
        await Detector(vad).push(audio(1))
        later = []
        for _ in range(4):
            later.append(asyncio.create_task(Detector(vad).push(audio(1))))
            await asyncio.sleep(0)  # a tick of the loop
        await asyncio.gather(*later)

    asyncio.run(push())
    assert network.lanes == [1, 4]


def test_who_is_alone_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero, "GATHER", 0.2)

    async def push() -> None:
        vad = SileroVAD(Counting())
        for _ in range(2):
            begun = time.monotonic()
            await Detector(vad).push(audio(1))
            assert time.monotonic() - begun < 0.1
            await asyncio.sleep(0.2)

    asyncio.run(push())


def test_an_error_stays_with_its_stream() -> None:
    network = Counting()
    network.poison = 0.25

    async def push() -> None:
        vad = SileroVAD(network)
        good, bad = Detector(vad), Detector(vad)
        fine, failed = await asyncio.gather(
            good.push(audio(2, 16384)), bad.push(audio(2, 8192)), return_exceptions=True
        )
        assert fine == [(0.5, FRAME)] * 2
        assert isinstance(failed, RuntimeError)
        assert await good.push(audio(1, 16384)) == [(0.5, FRAME)]

    asyncio.run(push())


def test_a_long_push_lets_others_in_and_ends_complete() -> None:
    async def push() -> None:
        vad = SileroVAD(Counting())
        long = asyncio.create_task(Detector(vad).push(audio(5000, 16384)))
        await asyncio.sleep(0)
        other = Detector(vad)
        while not await other.push(audio(1, 8192)):
            pass
        assert not long.done()
        assert await long == [(0.5, FRAME)] * 5000

    asyncio.run(push())


def test_a_closed_stream_takes_nothing_and_holds_nobody_up() -> None:
    async def push() -> None:
        vad, told = SileroVAD(Counting()), list[Judged]()
        stream = vad.stream(told.append)
        stream.push(audio(5000))
        await asyncio.sleep(0)
        stream.close()
        assert len(await Detector(vad).push(audio(1))) == 1
        assert told == []
        with pytest.raises(RuntimeError, match="closed"):
            stream.push(audio(1))

    asyncio.run(push())


def test_a_machine_without_a_thread_to_spare_judges_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[bool] = []

    def start(thread: threading.Thread) -> None:
        starts.append(True)
        if len(starts) == 1:
            raise RuntimeError("can't start new thread")
        started(thread)

    async def push() -> None:
        vad = SileroVAD(Counting())
        long = asyncio.create_task(Detector(vad).push(audio(5000, 16384)))
        await asyncio.sleep(0)
        assert await Detector(vad).push(audio(1, 8192)) == [(0.25, FRAME)]
        assert await long == [(0.5, FRAME)] * 5000

    started = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", start)
    asyncio.run(asyncio.wait_for(push(), 20))
    assert len(starts) > 1


def test_a_session_that_cannot_take_its_frames_harms_no_other() -> None:
    def refuse(_: Judged) -> None:
        raise ZeroDivisionError

    async def push() -> None:
        vad = SileroVAD(Counting())
        broken, fine = vad.stream(refuse), Detector(vad)
        broken.push(audio(1))
        for _ in range(2):
            assert await fine.push(audio(1, 8192)) == [(0.25, FRAME)]
        assert broken.closed

    asyncio.run(asyncio.wait_for(push(), 20))


@pytest.fixture(scope="module")
def vad() -> SileroVAD:
    return silero.create("", resources())


@pytest.mark.weights
def test_speech_is_told_from_silence(vad: SileroVAD) -> None:
    async def probabilities(sound: bytes) -> list[float]:
        stream = Detector(vad)
        return [p for at in range(0, len(sound), CHUNK) for p, _ in await stream.push(sound[at : at + CHUNK])]

    speech = asyncio.run(probabilities(pcm("human/goforward.wav")))
    assert sum(p > 0.5 for p in speech) > 0.4 * len(speech)
    assert max(asyncio.run(probabilities(bytes(64000)))) < 0.1


@pytest.mark.weights
def test_a_batch_says_what_each_stream_would_say_alone(vad: SileroVAD) -> None:
    sounds = [pcm(f"human/{name}.wav")[:64000] for name in ("goforward", "something", "card_005")]

    async def together() -> list[Any]:
        return await asyncio.gather(*(Detector(vad).push(sound) for sound in sounds))

    async def alone(sound: bytes) -> list[float]:
        stream = Detector(vad)
        return [p for at in range(0, len(sound), 999 * 2) for p, _ in await stream.push(sound[at : at + 999 * 2])]

    for batch, sound in zip(asyncio.run(together()), sounds, strict=True):
        assert [p for p, _ in batch] == pytest.approx(asyncio.run(alone(sound)), abs=1e-4)


@pytest.mark.weights
def test_five_minutes_in_one_push_leave_the_loop_and_other_sessions_alone(vad: SileroVAD) -> None:
    async def main() -> tuple[float, float]:
        blob = pcm("human/sense_and_sensibility_01_austen_64kb-0870.wav") * 43
        long = asyncio.create_task(Detector(vad).push(blob))
        other, late, waited = Detector(vad), [0.0], [0.0]
        while not long.done():
            begun = time.perf_counter()
            await asyncio.sleep(0.01)
            late.append(time.perf_counter() - begun - 0.01)
            begun = time.perf_counter()
            await other.push(bytes(CHUNK))
            waited.append(time.perf_counter() - begun)
        assert len(await long) == len(blob) // 1024
        return max(late), max(waited)

    late, waited = asyncio.run(main())
    print(f"loop late by {late * 1000:.1f} ms at most, another session waited {waited * 1000:.1f} ms at most")
    assert late < 0.5
    assert waited < 0.5


@pytest.mark.weights
def test_the_network_says_what_onnxruntime_says() -> None:
    """Two recordings of people, three frames at a time; the reference gets frame by frame what it asks for."""
    import onnxruntime

    path = resources().weights("silero-vad") / "silero_vad.onnx"
    reference, network = onnxruntime.InferenceSession(path), SileroNetwork(load_weights(path))
    sounds = [pcm(f"human/{name}.wav") for name in ("goforward", "something")]
    frames = min(map(len, sounds)) // (2 * FRAME) // 3 * 3
    whole = np.stack([np.frombuffer(sound, "<i2", frames * FRAME) for sound in sounds])
    samples = np.multiply(whole, 1 / 32768, dtype=np.float32)
    memory, state = np.zeros((2, MEMORY), np.float32), np.zeros((2, 2, 128), np.float32)
    with_context = np.pad(samples, ((0, 0), (64, 0)))
    for at in range(0, frames, 3):
        said, memory = network(samples[:, at * FRAME : (at + 3) * FRAME], memory)
        for frame in range(at, at + 3):
            seen = with_context[:, frame * FRAME : frame * FRAME + 64 + FRAME]
            expected, state = reference.run(None, {"input": seen, "state": state, "sr": np.array(16_000)})
            assert said[:, frame - at] == pytest.approx(expected[:, 0], abs=1e-4)
    assert frames > 60


@pytest.mark.weights
def test_another_network_is_refused_by_what_it_lacks() -> None:
    smart_turn = resources().weights("smart-turn") / "smart-turn-v3.2-cpu.onnx"
    with pytest.raises(EngineError, match=r"smart-turn.*no tensor encoder\.0\.reparam_conv\.weight"):
        silero.create(str(smart_turn), Resources(lambda name: smart_turn.parent, threads=1, memory=0))


def test_a_file_that_is_no_network_is_refused_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(EngineError, match=r"mine\.onnx could not be loaded"):
        silero.create(str(path), Resources(lambda name: tmp_path, threads=1, memory=0))
