"""Prompts by a chat template that we don't know: the one inside a GGUF of the user's own.

The template is rendered with a placeholder for each message's text, so that the text keeps its own pieces: it cannot
forge mark-up, and the tokens of replies are reused as in `chatml`. Templates accept different things; ours get the
least that all of them take: one system message at the front, then user and assistant in turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from openlive.engines.llm.functions.routing import build_instructions
from openlive.engines.llm.prompt.conversation import LLMError, PromptPiece, render_request
from openlive.types import Request

Render = Callable[[Sequence[dict[str, str]]], str]
"""Messages with `role` and `content` -> the prompt, up to where the assistant's reply begins. Raises `LLMError`."""

_MARK = re.compile("\ue000(\\d+)\ue001")


def build_prompt(request: Request, render: Render, *, unfinished: bool = False) -> list[PromptPiece]:
    """The same as `chatml.build_prompt`, by the template behind `render`."""
    turns = _to_turns(request)
    try:
        prompt = render(_mark_messages(turns))
    except LLMError:
        if turns[0][0] != "system":
            raise
        turns = _fold_system(turns)
        prompt = render(_mark_messages(turns))
    pieces: list[PromptPiece] = []
    for i, part in enumerate(_MARK.split(prompt)):
        if i % 2 == 0:
            pieces.append(PromptPiece(part, "control"))
        else:
            role, words = turns[int(part)]
            pieces.append(PromptPiece(words, "reply" if role == "assistant" else "text"))
    if unfinished:
        pieces.pop()  # what follows the last message: its end, and the beginning of the reply
    return [piece for piece in pieces if piece.text]


def _mark_messages(turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": f"\ue000{i}\ue001"} for i, (role, _) in enumerate(turns)]


def _to_turns(request: Request) -> list[tuple[str, str]]:
    """(role, text) of user and assistant in turn, first and last one of the user; before them the instructions."""
    turns: list[tuple[str, str]] = []
    for message, words in render_request(request):
        if words:
            role = "assistant" if message.role == "model" else "user"
            turns.append((role, f"(System: {words})" if message.role == "system" else words))
    if turns and turns[0][0] != "user":
        turns.insert(0, ("user", ""))
    if not turns or turns[-1][0] != "user":
        turns.append(("user", ""))
    merged = [(role, "\n".join(words for _, words in group)) for role, group in groupby(turns, key=lambda t: t[0])]
    system = build_instructions(request)
    return [("system", system), *merged] if system else merged


def _fold_system(turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """For templates without a system role: the instructions open the first message of the user."""
    (_, system), (_, first), *rest = turns
    return [("user", f"{system}\n\n{first}"), *rest]
