"""Speaks with a Piper voice (VITS) on onnxruntime: one network, fast, with the one voice that it was trained on.

Piper's own runtime is GPL-3, and so is espeak-ng, which makes the phonemes; here the network runs on onnxruntime and
espeak-ng in the child process of `phonemes.Espeak`.
"""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.cancellation import stoppable
from openlive.engines.runtime.workers import Abort, Workers
from openlive.engines.text.scripts import each_run
from openlive.engines.tts.g2p.phonemes import FLAG, Espeak, dialect, punctuation
from openlive.engines.tts.kokoro.engine import FIRST, LATER
from openlive.engines.tts.kokoro.voices import VOICES, canonical
from openlive.engines.tts.silence import LEAD, Audio, pcm, trimmed
from openlive.engines.tts.text.normalise import speakable, timed
from openlive.engines.tts.voice_style import pace, played
from openlive.types import Speech, Voice

BEGIN, END, PAD = "^", "$", "_"
"""Piper's own symbols, as its training wrote them: the beginning, then a pad after every symbol, then the end."""
TIE = "^"
"""What espeak-ng is asked to tie diphthongs with; Piper was trained without."""

Infer = Callable[[npt.NDArray[np.int64], float, Abort], Audio]
"""(symbols int64[1, n], pace, abort) -> float32[samples] at the voice's own rate. Raises `AbortedError`."""


class Piper:
    """A `TTS`. `config` is the JSON file beside the voice. Every name of the API speaks with the one voice, and in its
    language."""

    def __init__(self, infer: Infer, config: Mapping[str, Any], espeak: Espeak) -> None:
        self._infer = infer
        self._espeak = espeak
        self._rate = int(config["audio"]["sample_rate"])
        self._accent = str(config["espeak"]["voice"])
        self._language = str(config["espeak"]["voice"]).partition("-")[0]
        self._symbols: Mapping[str, Sequence[int]] = config["phoneme_id_map"]
        self._workers = Workers(1, "piper")

    @property
    def voices(self) -> Sequence[str]:
        return tuple(VOICES)

    async def close(self) -> None:
        """Ends its thread and the process of espeak-ng."""
        self._workers.close()
        await asyncio.to_thread(self._espeak.close)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        if not canonical(voice.name):
            raise ValueError(f"Piper has no voice named {voice.name!r}")
        priority, before = FIRST, ""
        async for clause in text:
            speech = await self._workers.run(self._job(clause, voice, before), priority)
            priority, before = LATER if speech.pcm else priority, clause
            yield speech

    def _job(self, clause: str, voice: Voice, before: str) -> Callable[[Abort], Speech]:
        return lambda abort: self.render(clause, voice, abort, before)

    def render(self, clause: str, voice: Voice, abort: Abort | None = None, before: str = "") -> Speech:
        """One clause, after the clause `before` (blocking); `AbortedError` where the abort comes first.
        Only the engine's own thread may call it once others are speaking."""
        spoken = speakable(clause, self._language, voice.language, before)
        pieces: list[Audio] = []
        voiced = 0
        for ipa, source in self._clauses(spoken):
            if not (known := self._known(ipa)):
                continue
            mark = punctuation(source)
            symbols = [*known, *self._symbols.get(mark, ())]
            audio, length = trimmed(self._run(symbols, voice, abort or Abort()), mark)
            voiced = sum(map(len, pieces)) + length
            pieces.append(audio)
        if not pieces:
            return Speech(b"", clause)
        words = timed(clause, min(LEAD, voiced), voiced)
        return Speech(pcm(np.concatenate(pieces)), clause, tuple(words))

    def _clauses(self, spoken: str) -> Sequence[tuple[str, str]]:
        """As espeak-ng answers, (IPA, source), each run of one script in a language of that; a mark ends a clause."""

        def ask(code: str, words: str) -> list[tuple[str, str]]:
            return self._espeak.ask(self._accent if code == self._language else dialect(code).espeak, words)

        clauses: list[tuple[str, str]] = []
        for first, *rest in filter(None, each_run(ask, spoken, self._language)):
            before = clauses.pop() if clauses and not punctuation(clauses[-1][1]) else ("", "")
            clauses += [(f"{before[0]} {first[0]}".strip(), before[1] + first[1]), *rest]
        return clauses

    def _known(self, ipa: str) -> list[int]:
        """espeak-ng's IPA in the voice's symbols; what has none is left out, as in Piper itself."""
        plain = unicodedata.normalize("NFD", FLAG.sub("", ipa).replace(TIE, ""))
        return [number for symbol in plain for number in self._symbols.get(symbol, ())]

    def _run(self, symbols: Sequence[int], voice: Voice, abort: Abort) -> Audio:
        pad = self._symbols[PAD]
        line = [*self._symbols[BEGIN], *pad]
        for symbol in symbols:
            line += [symbol, *pad]
        line += self._symbols[END]
        return played(self._infer(np.array([line], np.int64), pace(voice), abort), self._rate, voice)


def create(argument: str, resources: Resources) -> Piper:
    """The factory. `argument` is the path of a voice (`.onnx`, its `.onnx.json` beside it); '' takes the catalogue's.
    In the engine's table, `threads` overrides the machine's share."""
    model = Path(argument).expanduser() if argument else resources.weights("piper-joe") / "en_US-joe-medium.onnx"
    beside = model.with_name(model.name + ".json")
    for file in (model, beside):
        if not file.is_file():
            raise EngineError(f"There is no {file}. A Piper voice is two files: NAME.onnx and NAME.onnx.json.")
    config = _config(beside)
    threads = int(resources.settings.get("threads", resources.threads))
    engine = Piper(network(model, config, threads), config, Espeak())
    engine.render("Hello.", Voice("Puck"))  # the first one is slow, and what is missing or broken shows now
    return engine


def _config(file: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(file.read_bytes())
        _ = config["audio"]["sample_rate"], config["espeak"]["voice"], config["phoneme_id_map"][PAD]
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{file} is no configuration of a Piper voice: {error!r}.") from None
    return config


def network(model: Path, config: Mapping[str, Any], threads: int) -> Infer:
    """The ONNX file as a function; one call uses `threads` cores. Of several speakers the first one speaks."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as in `kokoro_network`
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineError(f"onnxruntime cannot load {model}: {error}") from None
    manner = config.get("inference", {})
    noise, length, spread = (
        manner.get(k, d) for k, d in (("noise_scale", 0.667), ("length_scale", 1), ("noise_w", 0.8))
    )
    several = any(i.name == "sid" for i in session.get_inputs())

    def infer(symbols: npt.NDArray[np.int64], pace: float, abort: Abort) -> Audio:
        inputs = {
            "input": symbols,
            "input_lengths": np.array([symbols.shape[1]], np.int64),
            "scales": np.array([noise, length / pace, spread], np.float32),
        }
        if several:
            inputs["sid"] = np.array([0], np.int64)
        with stoppable(abort) as options:
            audio: Audio = session.run(None, inputs, options)[0]
        return audio.reshape(-1)

    return infer
