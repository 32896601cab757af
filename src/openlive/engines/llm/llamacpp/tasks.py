"""What the embedded model does beside answering: it tells which functions are called, thinks, and watches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openlive.engines.llm.functions import routing
from openlive.engines.llm.functions.grounding import drop_ungrounded
from openlive.engines.llm.functions.parsing import parse_calls
from openlive.engines.llm.llamacpp import scene_prompt
from openlive.engines.llm.llamacpp.generation import Generation, Priority
from openlive.engines.llm.llamacpp.server import LIKELY, CompletionChunk
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


class CallGeneration(Generation):
    """The calls that follow `routing.build_prompt`, or nothing. `grammar` is that of the functions
    (`build_grammar`), `said` what arguments may come from (`routing.argument_sources`)."""

    def __init__(
        self,
        prompt: Sequence[int],
        functions: Sequence[FunctionDeclaration],
        grammar: str,
        said: str,
        context: int,
    ) -> None:
        super().__init__(prompt, Sampling(max_tokens=CALLS), context)
        self.has_calls = False
        self._functions = functions
        self._grammar = grammar
        self._argument_sources = said

    def _run_options(self) -> dict[str, Any]:
        return {"temperature": 0, "grammar": self._grammar, **LIKELY}

    def _read_chunk(self, chunk: CompletionChunk) -> bool:
        """Raises `MalformedCallError`."""
        if not self._token_ids and chunk.likely and not routing.needs_function(chunk.likely):
            self.finished = True
            return True
        self._keep_tokens(chunk)
        if not self._is_last_chunk(chunk) and not chunk.text.rstrip().endswith("]"):
            return False
        try:
            calls = parse_calls("".join(piece for piece, _ in self.generated_pieces), self._functions)
        except MalformedCallError:
            if self._is_last_chunk(chunk):
                raise
            return False  # a bracket inside
        self._buffer.extend(drop_ungrounded(calls, self._functions, self._argument_sources))
        self.has_calls = bool(self._buffer)
        self.finished = True
        return True


class SceneJudgement(Generation):
    """The reason and the verdict that follow `noticing.build_prompt`. Begun when nobody else needs the model."""

    def __init__(self, prompt: Sequence[int], context: int) -> None:
        super().__init__(prompt, Sampling(max_tokens=REASON), context)
        self.probability = 0.0
        """Where the model does not come to a verdict, it has none to speak up about."""

    @property
    def next_priority(self) -> Priority:
        return Priority.IDLE

    def _run_options(self) -> dict[str, Any]:
        return {"temperature": 0, **LIKELY}

    def _read_chunk(self, chunk: CompletionChunk) -> bool:
        if chunk.likely and "".join(piece for piece, _ in self.generated_pieces).endswith(scene_prompt.VERDICT):
            self.probability = scene_prompt.verdict_probability(chunk.likely)
            self.finished = True
            return True
        self._keep_tokens(chunk)
        self.finished = self.finished or self._is_last_chunk(chunk)
        return self.finished


class ThoughtGeneration(Generation):
    """A thought of one line. The prompt ends with `THINKING`."""

    def _read_chunk(self, chunk: CompletionChunk) -> bool:
        text, end, _ = chunk.text.partition("\n")
        if text:
            self._keep_tokens(chunk)
            self._buffer.append(Thought(text))
        self.finished = self.finished or bool(end) or self._is_last_chunk(chunk)
        return self.finished or self._is_buffer_full()
