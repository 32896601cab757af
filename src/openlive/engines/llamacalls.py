"""A reply in which the embedded model may call functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from openlive.engines.calling import MAX_CALLS, Caller, is_start
from openlive.engines.llamarun import Reply
from openlive.engines.llamaserver import LIKELY, Chunk
from openlive.engines.prompt import CLOSE, OPEN, MalformedCallError, written
from openlive.types import Sampling

CALL = 0.08
"""A reply begins with a call if its first token is this likely to begin one, whatever was drawn. Of requests of our
own, typed and spoken, those that a function fits had 0.09 and more but for one, others 0.08 and less but for two."""
ANOTHER = 0.03
"""Another call follows if the reply is this likely not to end with the one just written: 0.001 where one thing was
asked for, 0.08 to 0.32 where it was two."""


class CallingReply(Reply):
    """Once a call has begun, what was written of it is taken back, and it is written anew from its canonical beginning
    within a grammar. Such a run begins where another one stopped, so it costs what going on after a pause does.
    """

    def __init__(self, prompt: Sequence[int], sampling: Sampling, context: int, caller: Caller) -> None:
        super().__init__(prompt, sampling, context)
        self._caller = caller
        self._finder = caller.finder()
        self._stage: Literal["first", "text", "call", "next"] = "first"
        """The first token, which decides; text; a call; the token after one, which decides again."""
        self._passed = 0
        """Characters of text that were passed on."""
        self._banned: tuple[int, ...] = ()
        """Tokens that begin a call, where none is wanted."""
        self._opened = 0
        """Where in `_ids` the latest call was opened."""
        self._made: list[str] = []
        self._loose = False

    def _options(self) -> dict[str, Any]:
        match self._stage:
            case "call":
                return self._caller.grammar(loose=self._loose)
            case "next":
                return {"temperature": 0, "n_predict": 1, "ignore_eos": True} | LIKELY
            case "first":
                return super()._options() | LIKELY
            case "text":
                return super()._options() | {"logit_bias": [[token, False] for token in self._banned]}

    def _read(self, chunk: Chunk) -> bool:
        match self._stage:
            case "first" if chunk.text:
                return self._decide(chunk)
            case "first" | "text":
                return self._read_text(chunk)
            case "call":
                return self._read_call(chunk)
            case "next":
                return self._read_next(chunk)

    def _decide(self, chunk: Chunk) -> bool:
        self._stage = "text"
        starts = [likely for likely in chunk.likely if is_start(likely.text)]
        if sum(likely.p for likely in starts) >= CALL:
            self._banned = tuple(likely.token for likely in starts)
            return self._open()
        if is_start(chunk.text):  # drawn, but unlikely
            self._banned = tuple(likely.token for likely in starts)
            return True
        return self._read_text(chunk)

    def _read_text(self, chunk: Chunk) -> bool:
        self._keep(chunk)
        self._pass_text(self._finder.feed(chunk.text))
        if self._finder.found:
            self._take_back()
            return self._refuse() if self._finder.unknown else self._open()
        if self._is_last(chunk):
            self._pass_text(self._finder.rest())
            self.finished = True
        return self._is_full()

    def _pass_text(self, text: str) -> None:
        self._passed += len(text)
        self._pass(text)

    def _take_back(self) -> None:
        """Leaves of the text what was passed on."""
        kept, length = [], 0
        for text, tokens in self.spoken[0]:
            if length + len(text) > self._passed:
                if rest := text[: self._passed - length]:
                    kept.append((rest, self._caller.tokenize(rest, False)))
                break
            kept.append((text, tokens))
            length += len(text)
        self.spoken[0] = kept
        self._ids = [token for _, tokens in kept for token in tokens]

    def _open(self) -> bool:
        self._opened = self.generated
        before = "\n" if self._passed or self._made else ""
        self._ids += self._caller.tokenize(before + OPEN, True)
        self.spoken.append([])
        self._stage = "call"
        return True

    def _read_call(self, chunk: Chunk) -> bool:
        """Raises `MalformedCallError`."""
        self._keep(chunk)
        last = self._is_last(chunk)
        if not (last or chunk.text.endswith("}")):
            return False
        try:
            call = self._caller.read("".join(text for text, _ in self.spoken[-1]))
        except MalformedCallError:
            if not last:
                return False
            if self._loose or self.generated >= self.limit:
                raise
            return self._write_again()
        line = written(call)
        if line in self._caller.made or line in self._made:
            return self._refuse()
        self._pass(call)
        self._made.append(line)
        self._loose = False
        self._stage = "next"
        self.finished = self.generated >= self.limit or len(self._made) == MAX_CALLS
        return True

    def _write_again(self) -> bool:
        """A schema that llama.cpp cannot use is no grammar at all: once more with one that any function has."""
        del self._ids[self._opened :]
        self.spoken.pop()
        self._loose = True
        return self._open()

    def _refuse(self) -> bool:
        """This call is not made: an answer in words is wanted, unless there is one."""
        if self._stage == "call":
            del self._ids[self._opened :]
            self.spoken.pop()
        self._stage = "text"
        self._finder = self._caller.finder()
        self.finished = bool(self._made or self._passed)
        return True

    def _read_next(self, chunk: Chunk) -> bool:
        """Another call, or nothing: whatever else a model writes after a call is guessed."""
        if not (chunk.likely or chunk.finished):
            return False
        ends = sum(likely.p for likely in chunk.likely if not likely.text)  # control tokens have no text
        self._ids += self._caller.tokenize(CLOSE, True)
        if chunk.likely and 1 - ends >= ANOTHER:
            return self._open()
        self.finished = True
        return True
