"""Has the user finished, or only paused to think? Smart Turn v3 hears it in the voice.

The network sees the log-mel spectrum of the last 8 s, as Whisper has it, and takes about 30 ms of one core. Questions
that are complete get 0.95 and more, ones that are cut off mostly less than 0.1; read narration gets anything, so a
silence that is long enough ends a turn whatever it says (design, decision 2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.workers import WorkerPool
from openlive.types import INPUT_RATE

SECONDS = 8
FRAMES = 100 * SECONDS


class SmartTurnDetector:
    """One for all sessions, in a thread of its own: one judgement at a time."""

    def __init__(self, model: Path) -> None:
        from faster_whisper.feature_extractor import FeatureExtractor

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self._network = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._spectrum = FeatureExtractor(chunk_length=SECONDS)
        self._workers = WorkerPool(1, "openlive-turn")
        self._predict_end(bytes(2 * INPUT_RATE))  # the first run takes several times as long

    async def finished(self, audio: bytes) -> float:
        return await self._workers.run(lambda _: self._predict_end(audio))

    async def close(self) -> None:
        """Ends its threads."""
        self._workers.close()

    def _predict_end(self, audio: bytes) -> float:
        [logits] = self._network.run(None, {"input_features": self._compute_features(audio)})
        return float(logits[0][0])

    def _compute_features(self, audio: bytes) -> npt.NDArray[np.float32]:
        """float32[1, 80, 800] of the last 8 s, silence before what is shorter; normalised as in its training."""
        length = SECONDS * INPUT_RATE
        samples = np.frombuffer(audio, "<i2")[-length:].astype(np.float32) / 32768
        samples = np.concatenate((np.zeros(length - len(samples), np.float32), samples))
        samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        spectrum = self._spectrum(samples.astype(np.float32), padding=0)
        return np.ascontiguousarray(spectrum[None, :, :FRAMES], dtype=np.float32)


def create(argument: str, resources: Resources) -> SmartTurnDetector:
    if argument:
        raise EngineError(f"smart-turn takes no argument, but got {argument!r}.")
    files = sorted(resources.weights("smart-turn").glob("*.onnx"))
    if not files:
        raise EngineError("The folder of smart-turn holds no ONNX file.")
    return SmartTurnDetector(files[0])
