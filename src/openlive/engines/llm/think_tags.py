"""Tells thoughts from the answer in what a reasoning model writes: `<think>…</think>` before it."""

from __future__ import annotations

from typing import Literal

from openlive.types import Text, Thought

OPEN, CLOSE = "<think>", "</think>"
BLANK = 64
"""Spaces and line breaks before a thought; after more of them there is none."""


class ThoughtSplitter:
    """Fed with text as it is generated. Only the beginning of a reply can be a thought; later the marks are text.

    `inside`: the prompt has opened the thought already, as some templates do.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._held = ""
        self._stage: Literal["start", "thought", "gap", "text"] = "thought" if inside else "start"

    def feed(self, text: str) -> list[Text | Thought]:
        self._held += text
        if self._stage == "start":
            self._detect_start()
        out = self._read_thought() if self._stage == "thought" else []
        if self._stage == "gap":
            self._held = self._held.lstrip()
            self._stage = "text" if self._held else "gap"
        return out + (self._take_held(len(self._held)) if self._stage == "text" else [])

    def flush(self) -> list[Text | Thought]:
        """What was held when the reply ended."""
        return self._take_held(len(self._held))

    def _detect_start(self) -> None:
        start = self._held.lstrip()
        if start.startswith(OPEN):
            self._held, self._stage = start[len(OPEN) :], "thought"
        elif not OPEN.startswith(start) or len(self._held) - len(start) > BLANK:
            self._stage = "text"

    def _read_thought(self) -> list[Text | Thought]:
        end = self._held.find(CLOSE)
        if end < 0:
            return self._take_held(len(self._held) - _partial_close_length(self._held))
        out = self._take_held(end)
        self._held, self._stage = self._held[len(CLOSE) :], "gap"
        return out

    def _take_held(self, length: int) -> list[Text | Thought]:
        taken, self._held = self._held[:length], self._held[length:]
        if not taken:
            return []
        return [Thought(taken) if self._stage == "thought" else Text(taken)]


def _partial_close_length(text: str) -> int:
    """Characters at the end of `text` that may be the beginning of `CLOSE`."""
    return next((n for n in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:n])), 0)
