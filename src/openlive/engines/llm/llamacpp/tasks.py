"""What the embedded model does beside answering: it tells which functions are called, thinks, and watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openlive.engines.llm.functions import routing
from openlive.engines.llm.llamacpp import scene_prompt
from openlive.engines.llm.llamacpp.generation import Rank, Reply
from openlive.engines.llm.llamacpp.server import LIKELY, Chunk
from openlive.engines.llm.prompt.conversation import MalformedCallError
from openlive.types import FunctionDeclaration, Sampling, Thought

CALLS = 400
"""Tokens that calls may take."""
REASON = 40
"""Tokens of the reason and the verdict of a judgement."""
THOUGHTS = 128
"""Tokens of a thought, where the budget is larger: what helps a small model is a sentence or two, and each one keeps
the user waiting."""
THINKING = "Thinking briefly:"
"""Begins a thought. Of the beginnings that were tried it gave the most right answers: sums that were wrong without."""


class Routing(Reply):
    """The calls that follow `routing.prompt`, or nothing. `grammar` is that of the functions (`routing.grammar`),
    `said` what arguments may come from (`routing.said`)."""

    def __init__(
        self,
        prompt: Sequence[int],
        functions: Sequence[FunctionDeclaration],
        grammar: str,
        said: str,
        context: int,
    ) -> None:
        super().__init__(prompt, Sampling(max_tokens=CALLS), context)
        self.called = False
        self._functions = functions
        self._grammar = grammar
        self._said = said

    def _options(self) -> dict[str, Any]:
        return {"temperature": 0, "grammar": self._grammar, **LIKELY}

    def _read(self, chunk: Chunk) -> bool:
        """Raises `MalformedCallError`."""
        if not self._ids and chunk.likely and not routing.asks_for_one(chunk.likely):
            self.finished = True
            return True
        self._keep(chunk)
        if not self._is_last(chunk) and not chunk.text.rstrip().endswith("]"):
            return False
        try:
            calls = routing.read("".join(piece for piece, _ in self.spoken), self._functions)
        except MalformedCallError:
            if self._is_last(chunk):
                raise
            return False  # a bracket inside
        self._buffer.extend(routing.grounded(calls, self._functions, self._said))
        self.called = bool(self._buffer)
        self.finished = True
        return True


class Noticing(Reply):
    """The reason and the verdict that follow `noticing.prompt`. Begun when nobody else needs the model."""

    def __init__(self, prompt: Sequence[int], context: int) -> None:
        super().__init__(prompt, Sampling(max_tokens=REASON), context)
        self.likely = 0.0
        """Where the model does not come to a verdict, it has none to speak up about."""

    @property
    def rank(self) -> Rank:
        return Rank.IDLE

    def _options(self) -> dict[str, Any]:
        return {"temperature": 0, **LIKELY}

    def _read(self, chunk: Chunk) -> bool:
        if chunk.likely and "".join(piece for piece, _ in self.spoken).endswith(scene_prompt.VERDICT):
            self.likely = scene_prompt.likely(chunk.likely)
            self.finished = True
            return True
        self._keep(chunk)
        self.finished = self.finished or self._is_last(chunk)
        return self.finished


class Thinking(Reply):
    """A thought of one line. The prompt ends with `THINKING`."""

    def _read(self, chunk: Chunk) -> bool:
        text, end, _ = chunk.text.partition("\n")
        if text:
            self._keep(chunk)
            self._buffer.append(Thought(text))
        self.finished = self.finished or bool(end) or self._is_last(chunk)
        return self.finished or self._is_full()
