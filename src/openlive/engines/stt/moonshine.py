"""English speech: Moonshine tiny, run by onnxruntime.

Not by the library moonshine-voice: it needs two cores spinning for the same text (618 ms of CPU against 226 for 7 s of
speech), takes its samples as a Python list, can't be interrupted and tells no probabilities.

A pass gives the decoder the previous pass's tokens as a draft: one run over all of them shows how far they are still
what the model says, and decoding goes on from there, so hearing a growing segment again costs the encoder (about 14 ms
per second of audio) and the new words (5 ms each), not the old ones. Only near ties can turn out otherwise, as
quantisation rounds a run as a whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from msgspec import Struct

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.cancellation import stopping_on_abort
from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.engines.stt import keyword_boosting
from openlive.engines.stt.incremental import Hints, PassResult, ThreadedPassRunner, transcribe_incrementally
from openlive.engines.stt.segment import Samples
from openlive.types import INPUT_RATE, Transcript

BEGIN, END = 1, 2
"""Tokens that open and close a text."""
SHORTEST = INPUT_RATE // 10
"""Samples below which the encoder has nothing to work on; less is padded with silence."""
RATE = 8
"""Most tokens per second of audio; speech has 2 to 5. Without a bound the decoder may loop."""
UNSURE = -0.6
"""Mean log-probability of a token below which a text of up to four words is taken for noise. Words come out between 0
and -0.5, noise between -0.1 and -1.7."""
HOPELESS = -1.5
"""The same for a text of any length. Sentences in other languages, which are told by their doubt, stay above -1.3."""
HARDLY = 6.0
"""By how much (log-probability of the whole text) an expected word may be the less likely one. Where a name was called
and another word was read it was up to 4.9, where only the sound is alike 7 and more (`tests/bench/hears`)."""
NOISE = frozenset({"you", "thank you for watching"})
"""What the model reads, with conviction, in clicks, hums and music (normalised)."""

Decoded = tuple[tuple[int, ...], float]


class MoonshineReading(Struct, frozen=True):
    """What the model reads in a piece of audio. `confidence` is the mean log-probability of its tokens (at most 0)."""

    text: str
    tokens: tuple[int, ...]
    confidence: float


class MoonshineModel:
    """The network. `decode_samples` may be called from several threads at once."""

    def __init__(self, folder: Path) -> None:
        self._encoder = _create_session(folder / "encoder_model.ort")
        self._decoder = _create_session(folder / "decoder_model_merged.ort")
        self._vocabulary = parse_vocabulary((folder / "tokenizer.bin").read_bytes())
        self._token_ids = {word: number for number, word in enumerate(self._vocabulary)}  # characters come after bytes
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        # present.0.decoder.key feeds past_key_values.0.decoder.key
        self._caches = {name: "past_key_values" + name.removeprefix("present") for name in self._outputs[1:]}
        self._no_cache = {
            cache.name: _to_ort_value(np.zeros((1, cache.shape[1], 0, cache.shape[3]), np.float32))
            for cache in self._decoder.get_inputs()
            if cache.name.startswith("past_key_values.")
        }

    def decode_samples(self, samples: Samples, draft: Sequence[int], abort: Abort) -> MoonshineReading:
        if len(samples) < SHORTEST:
            samples = np.pad(samples, (0, SHORTEST - len(samples)))
        mask = np.ones((1, len(samples)), np.int64)
        with stopping_on_abort(abort) as options:
            encoded = self._encoder.run(None, {"input_values": samples[None], "attention_mask": mask}, options)[0]
        most = RATE * len(samples) // INPUT_RATE + 4
        tokens, log_probability = self._decode_greedily(
            _to_ort_value(encoded), _to_ort_value(mask), tuple(draft[:most]), most, abort
        )
        text = b"".join(self._vocabulary[token] for token in tokens).decode(errors="ignore").replace("▁", " ").strip()
        return MoonshineReading(text, tokens, log_probability / (len(tokens) + 1))

    def score_texts(self, samples: Samples, texts: Sequence[str], abort: Abort) -> list[float]:
        """The log-probability of each text, its end included, as what is said in the samples."""
        if len(samples) < SHORTEST:
            samples = np.pad(samples, (0, SHORTEST - len(samples)))
        mask = np.ones((1, len(samples)), np.int64)
        with stopping_on_abort(abort) as options:
            encoded = self._encoder.run(None, {"input_values": samples[None], "attention_mask": mask}, options)[0]
        found = []
        for text in texts:
            abort.raise_if_aborted()
            tokens = self.tokenize_text(text)
            feed = {
                "encoder_hidden_states": _to_ort_value(encoded),
                "encoder_attention_mask": _to_ort_value(mask),
                **self._no_cache,
            }
            logits, _ = self._run_decoder(feed, (BEGIN, *tokens), cached=False)
            top = logits.max(axis=1)
            rest = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
            found.append(float((logits[np.arange(len(logits)), [*tokens, END]] - rest).sum()))
        return found

    def tokenize_text(self, text: str) -> tuple[int, ...]:
        """Byte pairs as SentencePiece joins them: of all neighbours those first that are the earliest token."""
        pieces = [character.encode() for character in "▁" + text.replace(" ", "▁")]
        while True:
            pairs = [
                (self._token_ids.get(a + b, len(self._vocabulary)), i) for i, (a, b) in enumerate(pairwise(pieces))
            ]
            token, at = min(pairs, default=(len(self._vocabulary), 0))
            if token == len(self._vocabulary):
                break
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        return tuple(self._token_ids[piece] for piece in pieces if piece in self._token_ids)

    def _decode_greedily(self, encoded: Any, mask: Any, draft: tuple[int, ...], most: int, abort: Abort) -> Decoded:
        """Greedy decoding: the tokens that the model finds likeliest one by one, and their summed log-probability."""
        feed = {"encoder_hidden_states": encoded, "encoder_attention_mask": mask, **self._no_cache}
        logits, caches = self._run_decoder(feed, (BEGIN, *draft), cached=False)
        best, log_probabilities = likeliest_tokens(logits)
        kept = count_agreeing_tokens(draft, best)
        tokens, total = list(best[: kept + 1]), float(log_probabilities[: kept + 1].sum())
        if kept < len(draft):
            caches = {
                name: _to_ort_value(np.ascontiguousarray(value.numpy()[:, :, : kept + 1]))
                if ".decoder." in name
                else value
                for name, value in caches.items()
            }
        feed |= caches
        while tokens[-1] != END and len(tokens) < most and not is_looping(tokens):
            abort.raise_if_aborted()
            logits, caches = self._run_decoder(feed, tokens[-1:], cached=True)
            feed |= {name: value for name, value in caches.items() if ".decoder." in name}
            best, log_probabilities = likeliest_tokens(logits)
            tokens.append(best[0])
            total += float(log_probabilities[0])
        return tuple(token for token in tokens if token > END), total

    def _run_decoder(
        self, feed: dict[str, Any], tokens: Sequence[int], *, cached: bool
    ) -> tuple[npt.NDArray[np.float32], Any]:
        feed["input_ids"] = _to_ort_value(np.array([tokens], np.int64))
        feed["use_cache_branch"] = _to_ort_value(np.array([cached]))
        logits, *caches = self._decoder.run_with_ort_values(self._outputs, feed)
        return logits.numpy()[0], dict(zip(self._caches.values(), caches, strict=True))


def parse_vocabulary(data: bytes) -> list[bytes]:
    """The tokens of a tokenizer.bin: each its length (one byte, or two with the high bit set) and its bytes."""
    tokens: list[bytes] = []
    at = 0
    while at < len(data):
        length, at = data[at], at + 1
        if length >= 128:
            length, at = length - 128 + 128 * data[at], at + 1
        tokens.append(data[at : at + length])
        at += length
    return tokens


def likeliest_tokens(logits: npt.NDArray[np.float32]) -> tuple[list[int], npt.NDArray[np.float32]]:
    """For each row the token with the highest logit, and its log-probability."""
    top = logits.max(axis=1)
    return logits.argmax(axis=1).tolist(), -np.log(np.exp(logits - top[:, None]).sum(axis=1))


def count_agreeing_tokens(draft: Sequence[int], best: Sequence[int]) -> int:
    """How many tokens of the draft the model would have written itself."""
    return next((i for i, (a, b) in enumerate(zip(draft, best, strict=False)) if a != b), len(draft))


def is_looping(tokens: Sequence[int]) -> bool:
    """The text ends with the same 1 to 8 tokens four times."""
    return any(
        len(tokens) >= 4 * n and all(tokens[-n:] == tokens[-n * k :][:n] for k in (2, 3, 4)) for n in range(1, 9)
    )


def is_credible(reading: MoonshineReading) -> bool:
    """Whether it can be speech: no loop, and not a few words without conviction."""
    if is_noise(reading.text) or is_looping(reading.tokens):
        return False
    return reading.confidence > (HOPELESS if len(reading.text.split()) > 4 else UNSURE)


def prefer_expected_words(
    model: MoonshineModel, samples: Samples, text: str, phrases: Sequence[str], abort: Abort
) -> str:
    """The text, with an expected word in the place of one that sounds alike and is hardly likelier."""
    others = keyword_boosting.find_alternatives(text, phrases)
    if not others:
        return text
    likely, *each = model.score_texts(samples, (text, *others), abort)
    best = max(each)
    return others[each.index(best)] if best >= likely - HARDLY else text


def is_noise(text: str) -> bool:
    """Whether it is what the model makes of noise: notes, signs, "You"."""
    words = "".join(c for c in text.lower() if c.isalnum() or c.isspace()).split()
    return not words or " ".join(words) in NOISE


class MoonshineSTT:
    """Hears English, whatever is spoken."""

    def __init__(self, model: MoonshineModel, workers: WorkerPool) -> None:
        self.model = model
        self._workers = workers

    def transcribe(
        self,
        audio: AsyncIterator[bytes],
        *,
        languages: Sequence[str] = (),
        phrases: Sequence[str] = (),
        words: bool = False,  # noqa: ARG002 - it cannot tell when it heard what
    ) -> AsyncIterator[Transcript]:
        return transcribe_incrementally(
            ThreadedPassRunner(self, self._workers), audio, Hints(tuple(languages), tuple(phrases))
        )

    async def close(self) -> None:
        """Ends its threads."""
        self._workers.close()

    def recognise_segment(self, samples: Samples, hints: Hints, memo: Any, abort: Abort, *, final: bool) -> PassResult:  # noqa: ARG002
        reading = self.model.decode_samples(samples, memo or (), abort)
        text = (
            prefer_expected_words(self.model, samples, reading.text, hints.phrases, abort)
            if is_credible(reading)
            else ""
        )
        return PassResult(text, "en", memo=reading.tokens)


def _create_session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a second thread is no faster
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineError(f"Moonshine's {path} could not be loaded: {error}") from error


def _to_ort_value(array: npt.NDArray[Any]) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def create(argument: str, resources: Resources) -> MoonshineSTT:
    """Loads Moonshine. `argument`: a folder with its three files, '' for the catalogue's."""
    folder = Path(argument) if argument else resources.weights("moonshine-tiny-en")
    return MoonshineSTT(MoonshineModel(folder), WorkerPool(resources.threads, "moonshine"))
