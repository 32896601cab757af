"""Speaks with a Piper voice (VITS) on onnxruntime: one network, fast, with the one voice that it was trained on.

Piper's own runtime is GPL-3, and so is espeak-ng, which makes the phonemes; here the network runs on onnxruntime and
espeak-ng in the child process of `phonemes.EspeakPhonemizer`.
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
from openlive.engines.runtime.cancellation import stopping_on_abort
from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.engines.text.scripts import map_runs
from openlive.engines.tts.g2p.phonemes import FLAG, EspeakPhonemizer, find_dialect, find_end_mark
from openlive.engines.tts.kokoro.engine import FIRST, LATER
from openlive.engines.tts.kokoro.voices import VOICES, canonical_name
from openlive.engines.tts.silence import LEAD, Audio, to_pcm, trim_silence
from openlive.engines.tts.text.normalise import estimate_word_times, normalise_text
from openlive.engines.tts.voice_style import apply_pitch_and_gain, network_pace
from openlive.types import Speech, Voice

BEGIN, END, PAD = "^", "$", "_"
"""Piper's own symbols, as its training wrote them: the beginning, then a pad after every symbol, then the end."""
TIE = "^"
"""What espeak-ng is asked to tie diphthongs with; Piper was trained without."""

Infer = Callable[[npt.NDArray[np.int64], float, Abort], Audio]
"""(symbols int64[1, n], pace, abort) -> float32[samples] at the voice's own rate. Raises `AbortedError`."""


class PiperTTS:
    """A `TTS`. `config` is the JSON file beside the voice. Every name of the API speaks with the one voice, and in its
    language."""

    def __init__(self, infer: Infer, config: Mapping[str, Any], espeak: EspeakPhonemizer) -> None:
        self._infer = infer
        self._espeak = espeak
        self._rate = int(config["audio"]["sample_rate"])
        self._accent = str(config["espeak"]["voice"])
        self._language = str(config["espeak"]["voice"]).partition("-")[0]
        self._symbols: Mapping[str, Sequence[int]] = config["phoneme_id_map"]
        self._workers = WorkerPool(1, "piper")

    @property
    def voices(self) -> Sequence[str]:
        return tuple(VOICES)

    async def close(self) -> None:
        """Ends its thread and the process of espeak-ng."""
        self._workers.close()
        await asyncio.to_thread(self._espeak.close)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        if not canonical_name(voice.name):
            raise ValueError(f"Piper has no voice named {voice.name!r}")
        priority, before = FIRST, ""
        async for clause in text:
            speech = await self._workers.run(self._render_job(clause, voice, before), priority)
            priority, before = LATER if speech.pcm else priority, clause
            yield speech

    def _render_job(self, clause: str, voice: Voice, before: str) -> Callable[[Abort], Speech]:
        return lambda abort: self.render_clause(clause, voice, abort, before)

    def render_clause(self, clause: str, voice: Voice, abort: Abort | None = None, before: str = "") -> Speech:
        """One clause, after the clause `before` (blocking); `AbortedError` where the abort comes first.
        Only the engine's own thread may call it once others are speaking."""
        spoken = normalise_text(clause, self._language, voice.language, before)
        pieces: list[Audio] = []
        voiced = 0
        for ipa, source in self._to_ipa_clauses(spoken):
            if not (known := self._to_symbol_ids(ipa)):
                continue
            mark = find_end_mark(source)
            symbols = [*known, *self._symbols.get(mark, ())]
            audio, length = trim_silence(self._run_network(symbols, voice, abort or Abort()), mark)
            voiced = sum(map(len, pieces)) + length
            pieces.append(audio)
        if not pieces:
            return Speech(b"", clause)
        words = estimate_word_times(clause, min(LEAD, voiced), voiced)
        return Speech(to_pcm(np.concatenate(pieces)), clause, tuple(words))

    def _to_ipa_clauses(self, spoken: str) -> Sequence[tuple[str, str]]:
        """As espeak-ng answers, (IPA, source), each run of one script in a language of that; a mark ends a clause."""

        def ask_run(code: str, words: str) -> list[tuple[str, str]]:
            return self._espeak.text_to_ipa(
                self._accent if code == self._language else find_dialect(code).espeak, words
            )

        clauses: list[tuple[str, str]] = []
        for first, *rest in filter(None, map_runs(ask_run, spoken, self._language)):
            before = clauses.pop() if clauses and not find_end_mark(clauses[-1][1]) else ("", "")
            clauses += [(f"{before[0]} {first[0]}".strip(), before[1] + first[1]), *rest]
        return clauses

    def _to_symbol_ids(self, ipa: str) -> list[int]:
        """espeak-ng's IPA in the voice's symbols; what has none is left out, as in Piper itself."""
        plain = unicodedata.normalize("NFD", FLAG.sub("", ipa).replace(TIE, ""))
        return [number for symbol in plain for number in self._symbols.get(symbol, ())]

    def _run_network(self, symbols: Sequence[int], voice: Voice, abort: Abort) -> Audio:
        pad = self._symbols[PAD]
        line = [*self._symbols[BEGIN], *pad]
        for symbol in symbols:
            line += [symbol, *pad]
        line += self._symbols[END]
        return apply_pitch_and_gain(
            self._infer(np.array([line], np.int64), network_pace(voice), abort), self._rate, voice
        )


def create(argument: str, resources: Resources) -> PiperTTS:
    """The factory. `argument` is the path of a voice (`.onnx`, its `.onnx.json` beside it); '' takes the catalogue's.
    In the engine's table, `threads` overrides the machine's share."""
    model = Path(argument).expanduser() if argument else resources.weights("piper-joe") / "en_US-joe-medium.onnx"
    beside = model.with_name(model.name + ".json")
    for file in (model, beside):
        if not file.is_file():
            raise EngineError(f"There is no {file}. A Piper voice is two files: NAME.onnx and NAME.onnx.json.")
    config = _read_config(beside)
    threads = int(resources.settings.get("threads", resources.threads))
    engine = PiperTTS(load_network(model, config, threads), config, EspeakPhonemizer())
    engine.render_clause("Hello.", Voice("Puck"))  # the first one is slow, and what is missing or broken shows now
    return engine


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(file.read_bytes())
        _ = config["audio"]["sample_rate"], config["espeak"]["voice"], config["phoneme_id_map"][PAD]
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{file} is no configuration of a Piper voice: {error!r}.") from None
    return config


def load_network(model: Path, config: Mapping[str, Any], threads: int) -> Infer:
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
        with stopping_on_abort(abort) as options:
            audio: Audio = session.run(None, inputs, options)[0]
        return audio.reshape(-1)

    return infer
