"""What the embedded model may do before it answers: tell which functions are called, and think."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openlive.engines import routing
from openlive.engines.llamarun import Reply
from openlive.engines.llamaserver import LIKELY, Chunk
from openlive.engines.prompt import MalformedCallError
from openlive.types import FunctionDeclaration, Sampling, Thought

CALLS = 400
"""Tokens that calls may take."""
THOUGHTS = 128
"""Tokens of a thought, where the budget is larger: what helps a small model is a sentence or two, and each one keeps
the user waiting."""
THINKING = "Thinking briefly:"
"""Begins a thought. Of the beginnings that were tried it gave the most right answers: sums that were wrong without."""


class Routing(Reply):
    """The calls that follow `routing.prompt`, or nothing. `said`: what arguments may come from (`routing.said`)."""

    def __init__(
        self,
        prompt: Sequence[int],
        functions: Sequence[FunctionDeclaration],
        said: str,
        context: int,
    ) -> None:
        super().__init__(prompt, Sampling(max_tokens=CALLS), context)
        self.called = False
        self._functions = functions
        self._said = said

    def _options(self) -> dict[str, Any]:
        return {"temperature": 0, "grammar": routing.grammar(self._functions), **LIKELY}

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


class Thinking(Reply):
    """A thought of one line. The prompt ends with `THINKING`."""

    def _read(self, chunk: Chunk) -> bool:
        text, end, _ = chunk.text.partition("\n")
        if text:
            self._keep(chunk)
            self._buffer.append(Thought(text))
        self.finished = self.finished or bool(end) or self._is_last(chunk)
        return self.finished or self._is_full()
