"""Kokoro's network, run in two parts so that no work is spent on silence.

The first part (a twentieth of the work) plans the clause: which sound in which frame, its pitch and its energy. The
second makes the sound, and its work grows with the frames; a fifth to a third of them are silence before and after the
voice, which is cut off afterwards. So only the frames of the voice are given to it, with a few around them.

Its normalisations take means over all frames. So that they come out as with the silence, the mean of what is left is
weighed with a frame of the silence on either side, which is as good as constant: without that, speech comes out up to
15 % quieter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from openlive.engines.runtime.cancellation import stopping_on_abort
from openlive.engines.runtime.workers import Abort
from openlive.engines.tts.kokoro.voices import Style
from openlive.engines.tts.silence import Audio

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Infer = Callable[[npt.NDArray[np.int64], Style, float, Abort], Audio]
"""(tokens int64[1, n], style float32[1, 256], speed, abort) -> float32[samples] at 24 kHz. Raises `AbortedError`."""

SOUNDS, PITCH, ENERGY, HARMONICS = (
    *("/encoder/MatMul_1_output_0", "/encoder/Reshape_output_0", "/encoder/Reshape_1_output_0"),
    "/decoder/decoder/generator/Concat_3_output_0",
)
"""What the first part hands to the second: float32[1, 512, n], [1, 2 n], [1, 2 n] and [1, 22, 120 n + 1] for n frames
of 25 ms."""
VOICED = -5.0
"""Energy above which a frame belongs to the voice: silence is at -10 to -8, all that is heard above -5."""
BEFORE, AFTER = 4, 6
"""Frames that stay before and after the voice, for the convolutions, and because it fades."""
EDGE = 3
"""Frames from either end where the silence is looked up: of 1 to 4 the one that kept four clauses within 0.4 dB."""
SAMPLES = 600
"""Of a frame."""


def load_network(model: Path, threads: int) -> Infer:
    """The ONNX file as a function; one call uses `threads` cores."""
    import onnx

    whole = onnx.load(model)
    plan = _create_session(
        _extract_subgraph(whole, ("tokens", "style", "speed"), (SOUNDS, PITCH, ENERGY, HARMONICS)), threads
    )
    speak = _create_session(
        _weigh_means(_extract_subgraph(whole, (SOUNDS, PITCH, ENERGY, HARMONICS, "style"), ("audio",))), threads
    )
    del whole

    def infer(tokens: npt.NDArray[np.int64], style: Style, speed: float, abort: Abort) -> Audio:
        given = {"tokens": tokens, "style": style.reshape(1, -1), "speed": np.array([speed], np.float32)}
        with stopping_on_abort(abort) as options:
            sounds, pitch, energy, harmonics = plan.run([SOUNDS, PITCH, ENERGY, HARMONICS], given, options)
        frames = sounds.shape[-1]
        start, end = find_voiced_frames(energy.reshape(-1), frames)
        inputs = {
            SOUNDS: sounds[..., start:end],
            PITCH: pitch[..., 2 * start : 2 * end],
            ENERGY: energy[..., 2 * start : 2 * end],
            HARMONICS: harmonics[..., 120 * start : 120 * end + 1],
            "style": given["style"],
            **_mean_weights(start, end, frames),
        }
        with stopping_on_abort(abort) as options:
            audio: Audio = speak.run(["audio"], inputs, options)[0]
        return audio.reshape(-1)

    return infer


def find_voiced_frames(energy: npt.NDArray[np.float32], frames: int) -> tuple[int, int]:
    """The frames of the voice and a few around it, from float32[2 * frames]; all of them where there is no voice."""
    loud = np.flatnonzero(energy > VOICED)
    if not len(loud):
        return 0, frames
    return max(0, int(loud[0]) // 2 - BEFORE), min(frames, int(loud[-1]) // 2 + 1 + AFTER)


def _mean_weights(start: int, end: int, frames: int) -> dict[str, npt.NDArray[np.float32]]:
    """What of a mean is that of the frames from `start` to `end`, and what the silence before and after them; and where
    in those frames the silence is looked up, as a share of their length."""
    edge = EDGE / (end - start)
    shares = {"inside": (end - start) / frames, "before": start / frames, "after": 1 - end / frames}
    places = {"before_at": edge, "after_at": 1 - edge}
    return {name: np.array([value], np.float32) for name, value in {**shares, **places}.items()}


def _extract_subgraph(whole: ModelProto, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> ModelProto:
    """What computes `outputs` from `inputs`."""
    from onnx import helper

    nodes: list[NodeProto] = []
    needed = set(outputs)
    for node in reversed(whole.graph.node):
        if needed.intersection(node.output) - set(inputs):
            nodes.insert(0, node)
            needed.update(set(node.input) - set(inputs))
    graph = helper.make_graph(
        nodes,
        "part",
        [_value_info(whole, name) for name in inputs],
        [_value_info(whole, name) for name in outputs],
        [tensor for tensor in whole.graph.initializer if tensor.name in needed],
    )
    return helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)


def _value_info(whole: ModelProto, name: str) -> Any:
    from onnx import TensorProto, helper

    ends: Iterable[Any] = (*whole.graph.input, *whole.graph.output)
    known = {value.name: value for value in ends}
    return known.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def _weigh_means(part: ModelProto) -> ModelProto:
    """Takes each mean over the frames as `inside` * mean + `before` * a frame of silence + `after` * one behind it."""
    from onnx import TensorProto, helper

    graph = part.graph
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type != "ReduceMean":  # all of this part are over the frames, axis 2
            nodes.append(node)
            continue
        values, mean = node.input[0], node.output[0]
        node.output[0] = f"{mean}_inside"
        nodes += [
            node,
            helper.make_node("Shape", [values], [f"{mean}_length"], start=2, end=3),
            helper.make_node("Cast", [f"{mean}_length"], [f"{mean}_frames"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{mean}_inside", "inside"], [f"{mean}_sum"]),
        ]
        half = f"{mean}_half"
        for side, so_far, total in (("before", f"{mean}_sum", half), ("after", half, mean)):
            name = f"{mean}_{side}"
            nodes += [
                helper.make_node("Mul", [f"{mean}_frames", f"{side}_at"], [f"{name}_place"]),
                helper.make_node("Cast", [f"{name}_place"], [f"{name}_index"], to=TensorProto.INT64),
                helper.make_node("Gather", [values, f"{name}_index"], [f"{name}_frame"], axis=2),
                helper.make_node("Mul", [f"{name}_frame", side], [f"{name}_share"]),
                helper.make_node("Add", [so_far, f"{name}_share"], [total]),
            ]
    del graph.node[:]
    graph.node.extend(nodes)
    for name in ("inside", "before", "before_at", "after", "after_at"):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]))
    return part


def _create_session(model: ModelProto, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the cores from the other engines: beside one busy process a clause took
    # 2.5 times as long with spinning as without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
