"""Speech in many languages: Whisper base (int8) on CTranslate2.

Whisper was trained on windows of 30 s and costs the same for a word as for a minute; CTranslate2 takes shorter ones.
A window that ends right behind the speech makes it repeat itself, so there is silence after it: a final pass sees 12 s,
a passing one 6 s at half the price (of 44 short English, 21 Spanish samples 2.0 and 19 % of the words were wrong with
6 s, 1.4 and 10 % with 10 s). The number of tokens and repetitions are bounded, else it may loop.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.workers import Abort, WorkerPool
from openlive.engines.stt.incremental import Hints, PassResult, ThreadedPassRunner, transcribe_incrementally
from openlive.engines.stt.keyword_boosting import sounds_like_any
from openlive.engines.stt.language_hints import ENOUGH, choose_language, parse_language_hints
from openlive.engines.stt.segment import Samples
from openlive.engines.stt.word_timing import AlignedToken, align_words
from openlive.engines.text.scripts import is_unspaced
from openlive.types import INPUT_RATE, Transcript, Word

FINAL_WINDOW, PASSING_WINDOW = (12.0, 2.0), (6.0, 1.5)
"""Seconds that the model sees: at least, and at least after the end of the audio."""
LONGEST_WINDOW = 30.0
LATIN = 4.0, 4
"""Most tokens per second, and the length of the sequences that mustn't repeat."""
OTHER_SCRIPTS = 16.0, 10
"""The same where a letter may take several tokens."""


def _code_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


LANGUAGES = _code_set(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id "
    "is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd "
    "si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh"
)
"""The languages of multilingual Whisper models."""
DENSE = _code_set(
    "am ar as ba be bg bn bo el fa gu ha haw he hi hy ja ka kk km kn ko lo mk ml mn mr my ne pa ps ru sa sd si sr ta "
    "te tg th uk ur yi zh"
)
"""Languages whose script takes several tokens per letter or syllable."""
PROMPT = 100
"""Tokens of what is taken for said before, the last ones."""
HOP = INPUT_RATE // 100
"""Samples from one column of the spectrogram to the next."""
NO_SPEECH, POOR = 0.3, -0.65
"""Probability of silence, and mean log-probability of a token, beyond which both say: nothing was said. Of 51 sounds
without words both were in 50, of 25 recordings and 57 single words in none (`tests/bench/hears`); Whisper's own 0.6 and
-1 find half of them."""
SCRIPT = {"hi": "नमस्कार, आप कैसे हैं? मैं ठीक हूँ, धन्यवाद।"}
"""What was said before, as far as the model knows: it goes on in that script. Hindi came out in the Urdu one without it
(19 of 19 samples; with it 1 of 19, and half the letters wrong instead of nearly all)."""


class Hypothesis(Struct, frozen=True):
    """What may have been said. `score` is the mean log-probability of its tokens, `silence` how likely nothing was."""

    text: str
    score: float
    silence: float

    @property
    def is_credible(self) -> bool:
        return any(c.isalnum() for c in self.text) and (self.silence <= NO_SPEECH or self.score >= POOR)


class WhisperModel:
    """The network, loaded at its first use. Everything but the constructor may be called from several threads."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._threads = threads
        self._lock = threading.Lock()
        self._loaded: Any = None
        self._tokenizer: Any = None

    def load_weights(self) -> None:
        """Loads the weights (1 to 2 s, 230 MB) unless they are there already."""
        with self._lock:
            if self._loaded:
                return
            import ctranslate2
            from faster_whisper.feature_extractor import FeatureExtractor
            from tokenizers import Tokenizer

            try:
                self._features = FeatureExtractor()
                self._tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
                self._storage = ctranslate2.StorageView
                # OpenAI's whisper/__init__.py has them as _ALIGNMENT_HEADS; old conversions lack them.
                self._aligns = "alignment_heads" in json.loads((self._folder / "config.json").read_text())
                self._loaded = ctranslate2.models.Whisper(
                    str(self._folder), compute_type="int8", inter_threads=1, intra_threads=self._threads
                )
            except Exception as error:
                raise EngineError(f"Whisper could not be loaded from {self._folder}: {error}") from error

    @property
    def is_loaded(self) -> bool:
        return self._loaded is not None

    def encode(self, samples: Samples, *, final: bool) -> Any:
        """What `detect_language`, `decode_text` and `align_words` take; the costly part of each."""
        self.load_weights()
        least, after = FINAL_WINDOW if final else PASSING_WINDOW
        seconds = min(LONGEST_WINDOW, max(least, len(samples) / INPUT_RATE + after))
        window = np.zeros(int(seconds * 50) * INPUT_RATE // 50, np.float32)  # an even number of frames
        window[: len(samples)] = samples[: len(window)]
        features = np.ascontiguousarray(self._features(window, padding=0)[None], np.float32)
        return self._loaded.encode(self._storage.from_array(features))

    def detect_language(self, encoded: Any) -> dict[str, float]:
        """Language codes and their probabilities."""
        return {token[2:-2]: p for token, p in self._loaded.detect_language(encoded)[0]}

    def decode_text(self, encoded: Any, language: str, seconds: float, phrases: Sequence[str] = ()) -> str:
        """The text of `seconds` of speech, '' if there is none.

        Whether there is any is judged without the `phrases`: told to expect them, the model finds them in any noise.
        """
        best = self.find_hypotheses(encoded, language, seconds)[0]
        if not best.is_credible:
            return ""
        if not sounds_like_any(best.text, phrases):
            return best.text
        return self.find_hypotheses(encoded, language, seconds, ", ".join(phrases))[0].text or best.text

    def find_hypotheses(
        self, encoded: Any, language: str, seconds: float, before: str = "", count: int = 1
    ) -> tuple[Hypothesis, ...]:
        """What may have been said in `seconds` of speech, the likeliest first; `count` of them, or fewer. `before` is
        what the model is to take for said before: it goes on in its words and its spelling."""
        rate, ngram = OTHER_SCRIPTS if language in DENSE else LATIN
        most = int(8 + rate * seconds)
        prompt = [self._token_id(name) for name in ("startoftranscript", language, "transcribe", "notimestamps")]
        if before := ", ".join(filter(None, (before, SCRIPT.get(language)))):
            hint = self._tokenizer.encode(" " + before, add_special_tokens=False).ids[-PROMPT:]
            prompt = [self._token_id("startofprev"), *hint, *prompt]
        # CTranslate2 generates at most half of max_length, and counts the prompt in.
        length = min(448, max(2 * most, most + len(prompt)))
        found = self._loaded.generate(
            encoded,
            [prompt],
            beam_size=count,
            num_hypotheses=count,
            max_length=length,
            no_repeat_ngram_size=ngram,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        texts = [str(self._tokenizer.decode(tokens)).strip() for tokens in found.sequences_ids]
        return tuple(
            Hypothesis(text, score, found.no_speech_prob) for text, score in zip(texts, found.scores, strict=True)
        )

    def align_words(self, encoded: Any, language: str, text: str, samples: Samples) -> tuple[Word, ...]:
        """Where in `samples` each word of `text` is said, whoever has read it (40 ms); () if this model cannot tell.

        CTranslate2 warps the tokens onto the frames along the attention of the heads that follow the audio, smoothed by
        a median of seven frames.
        """
        if not self._aligns:
            return ()
        text = text if is_unspaced(text[0]) else f" {text}"
        tokens = self._tokenizer.encode(text, add_special_tokens=False)
        start = [self._token_id(name) for name in ("startoftranscript", language, "transcribe")]
        path = self._loaded.align(encoded, start, [tokens.ids], len(samples) // HOP)[0].alignments
        if not path:  # less than a frame
            return ()
        frames: dict[int, int] = {}
        for token, frame in path:
            frames.setdefault(token, frame)
        spans: list[tuple[int, int]] = [*tokens.offsets, (len(text), len(text))]
        return align_words(text, [AlignedToken(begin, end, frames[i]) for i, (begin, end) in enumerate(spans)], samples)

    def _token_id(self, name: str) -> int:
        token: int = self._tokenizer.token_to_id(f"<|{name}|>")
        return token


class WhisperSTT:
    """Hears any language, or the ones it is told."""

    def __init__(self, model: WhisperModel, workers: WorkerPool) -> None:
        self.model = model
        self._workers = workers

    def transcribe(
        self,
        audio: AsyncIterator[bytes],
        *,
        languages: Sequence[str] = (),
        phrases: Sequence[str] = (),
        words: bool = False,
    ) -> AsyncIterator[Transcript]:
        return transcribe_incrementally(
            ThreadedPassRunner(self, self._workers), audio, Hints(tuple(languages), tuple(phrases), words)
        )

    async def close(self) -> None:
        """Ends its threads."""
        self._workers.close()

    def recognise_segment(self, samples: Samples, hints: Hints, memo: Any, abort: Abort, *, final: bool) -> PassResult:
        """`memo` is the language, once it is known."""
        wish = parse_language_hints(hints.languages, LANGUAGES)
        seconds = len(samples) / INPUT_RATE
        encoded = self.model.encode(samples, final=final)
        abort.raise_if_aborted()
        language = memo or wish.only_language or choose_language(self.model.detect_language(encoded), wish, seconds)
        abort.raise_if_aborted()
        text = self.model.decode_text(encoded, language, seconds, hints.phrases)
        timed = self.model.align_words(encoded, language, text, samples) if final and hints.words and text else ()
        settled = language if memo or seconds >= ENOUGH else None
        return PassResult(text, language, timed, memo=settled, next_segment_memo=settled)


def create(argument: str, resources: Resources) -> WhisperSTT:
    """Loads Whisper. `argument`: a folder with another size of it for CTranslate2, '' for the catalogue's base."""
    model = WhisperModel(Path(argument) if argument else resources.weights("whisper-base"), resources.threads)
    model.load_weights()
    return WhisperSTT(model, WorkerPool(resources.threads, "whisper"))
