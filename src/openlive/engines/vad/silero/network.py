"""Silero VAD's network: the weights of its ONNX file, computed for many frames and streams in a few matrix products.

onnxruntime computes one frame of every stream at a time, and the spectrum as a convolution, which is half of the work.
Here the spectrum is a real FFT (its kernels are a Hann window times a DFT, exactly), all frames of a push go through
the encoder at once, and only the LSTM goes frame by frame. That halves the processor time of a batch; the
probabilities are the same to 1e-5.

    16,000 Hz -> 640 samples: 64 of before, 512 new, 64 mirrored
              -> |STFT|, window 256, hop 128: [4, 129]
              -> convolutions of 3 with ReLU: [4, 128], [2, 64] (stride 2), [1, 64] (stride 2), [1, 128]
              -> LSTM [128] -> ReLU -> dot product -> sigmoid
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

FRAME = 512
CONTEXT = 64
HIDDEN = 128
MEMORY = CONTEXT + 2 * HIDDEN
"""What a stream keeps from call to call: its last samples, the LSTM's output and its cell."""
MOST = 64
"""Frames in one call."""
SHAPES = {
    "encoder.0.reparam_conv.weight": (128, 129, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (512, 128),
    "decoder.rnn.weight_hh": (512, 128),
    "decoder.rnn.bias_ih": (512,),
    "decoder.rnn.bias_hh": (512,),
    "decoder.decoder.2.weight": (1, 128, 1),
    "decoder.decoder.2.bias": (1,),
}
"""The tensors for 16 kHz in the files of Silero VAD v5 and v6."""
_BRANCH = "then_branch"
"""Of the file's only condition: whether the rate is 16 kHz."""


def load_weights(model: Path) -> dict[str, Floats]:
    """The tensors of `SHAPES` in an ONNX file. Raises ValueError where one is missing or has another shape."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(model).graph
    branches = [a.g for node in graph.node if node.op_type == "If" for a in node.attribute if a.name == _BRANCH]
    found = {
        node.output[0].rpartition("__")[2]: numpy_helper.to_array(node.attribute[0].t)
        for branch in branches
        for node in branch.node
        if node.op_type == "Constant"
    }
    for name, shape in SHAPES.items():
        if name not in found or found[name].shape != shape:
            raise ValueError(f"it has no tensor {name} of shape {list(shape)}, as Silero VAD v5 and v6 have")
    return {name: found[name].astype(np.float32) for name in SHAPES}


class SileroNetwork:
    """One call at a time: it computes in memory of its own (1.5 MB)."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self._window: Floats = np.hanning(257)[:-1].astype(np.float32)
        kernels = [weights[f"encoder.{layer}.reparam_conv.weight"].transpose(2, 1, 0) for layer in range(4)]
        # What only ever meets the zeros beside a short input is left out.
        taps = (slice(0, 3), slice(0, 3), slice(1, 3), slice(1, 2))
        self._kernels = [
            np.ascontiguousarray(kernel[tap].reshape(-1, kernel.shape[2]))
            for kernel, tap in zip(kernels, taps, strict=True)
        ]
        self._biases = [weights[f"encoder.{layer}.reparam_conv.bias"] for layer in range(4)]
        # A sigmoid is (1 + tanh(x / 2)) / 2, so that one call of tanh serves all gates: input, forget, cell, output.
        half = np.repeat(np.array([0.5, 0.5, 1, 0.5], np.float32), HIDDEN)
        self._input_weights = np.ascontiguousarray((weights["decoder.rnn.weight_ih"] * half[:, None]).T)
        self._recurrent_weights = np.ascontiguousarray((weights["decoder.rnn.weight_hh"] * half[:, None]).T)
        self._gates = (weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]) * half
        self._dot = weights["decoder.decoder.2.weight"].reshape(HIDDEN)
        self._bias = weights["decoder.decoder.2.bias"]
        self._allocate_arrays()

    def _allocate_arrays(self) -> None:
        """Arrays for `MOST` frames, and the overlapping views of them that are segments and taps."""
        self._samples = np.zeros((MOST, 2 * CONTEXT + FRAME), np.float32)
        self._spectrum = np.zeros((MOST, 6, 129), np.float32)
        self._first = np.zeros((MOST, 5, 128), np.float32)
        self._segments = _overlapping_views(self._samples, 4, 128, 256)
        self._spectrum_taps = _overlapping_views(self._spectrum.reshape(MOST, -1), 4, 129, 387)
        self._first_taps = _overlapping_views(self._first.reshape(MOST, -1), 2, 256, 384)

    def __call__(self, samples: Floats, memory: Floats) -> tuple[Floats, Floats]:
        """Probabilities of speech, [lanes, frames], and the new memories.

        `samples`: -1 to 1, [lanes, 512 frames], at most `MOST` frames in all; `memory`: [lanes, `MEMORY`].
        """
        blocks = samples.reshape(len(samples), -1, FRAME)
        lanes, rounds = blocks.shape[:2]
        gates = self._encode_frames(blocks, memory[:, :CONTEXT]).reshape(lanes, rounds, 4 * HIDDEN)
        output: Floats = memory[:, CONTEXT:-HIDDEN]
        cell: Floats = memory[:, -HIDDEN:]
        outputs = np.empty((lanes, rounds, HIDDEN), np.float32)
        for at in range(rounds):
            now = output @ self._recurrent_weights
            now += gates[:, at]
            np.tanh(now, out=now)
            now += 1
            keep, forget, new, tell = (now[:, gate * HIDDEN : (gate + 1) * HIDDEN] for gate in range(4))
            new -= 1
            cell = forget * cell
            cell += keep * new
            cell /= 2
            output = np.tanh(cell)
            output *= tell
            output /= 2
            outputs[:, at] = output
        said = np.maximum(outputs, 0, out=outputs) @ self._dot
        return 1 / (1 + np.exp(-said - self._bias)), np.concatenate((blocks[:, -1, -CONTEXT:], output, cell), axis=1)

    def _encode_frames(self, blocks: Floats, context: Floats) -> Floats:
        """What the frames add to the LSTM's gates: [lanes x rounds, 512]."""
        lanes, rounds = blocks.shape[:2]
        frames = lanes * rounds
        samples = self._samples[:frames]
        room = samples.reshape(lanes, rounds, -1)
        room[:, 0, :CONTEXT] = context
        room[:, 1:, :CONTEXT] = blocks[:, :-1, -CONTEXT:]
        room[:, :, CONTEXT:-CONTEXT] = blocks
        samples[:, -CONTEXT:] = samples[:, -CONTEXT - 2 : -2 * CONTEXT - 2 : -1]
        np.abs(np.fft.rfft(self._segments[:frames] * self._window), out=self._spectrum[:frames, 1:5])
        seen = self._run_layer(0, self._spectrum_taps[:frames].reshape(frames * 4, -1))
        self._first[:frames, 1:] = seen.reshape(frames, 4, -1)
        seen = self._run_layer(1, self._first_taps[:frames].reshape(frames * 2, -1))
        seen = self._run_layer(3, self._run_layer(2, seen.reshape(frames, -1)))
        gates: Floats = seen @ self._input_weights
        gates += self._gates
        return gates

    def _run_layer(self, number: int, taps: Floats) -> Floats:
        seen: Floats = taps @ self._kernels[number]
        seen += self._biases[number]
        return np.maximum(seen, 0, out=seen)


def _overlapping_views(rows: Floats, count: int, step: int, length: int) -> Any:
    """Views of `length` values every `step` of each row: [rows, count, length]."""
    return np.lib.stride_tricks.sliding_window_view(rows, length, axis=1)[:, : count * step : step]
