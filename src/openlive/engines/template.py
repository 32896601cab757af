"""Prompts by a chat template that we don't know: the one inside a GGUF of the user's own.

The template is rendered with a placeholder for each message's text, so that the text keeps its own pieces: it cannot
forge mark-up, and the tokens of replies are reused as in `chatml`. Templates accept different things; ours get the
least that all of them take: one system message at the front, then user and assistant in turn. Functions are declared,
called and answered in these as in `chatml`, since what templates make of them differs too much to be read back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from openlive.engines.calling import beside, system
from openlive.engines.prompt import LLMError, Piece, content, worded
from openlive.types import Request

Render = Callable[[Sequence[dict[str, str]]], str]
"""Messages with `role` and `content` -> the prompt, up to where the assistant's reply begins. Raises `LLMError`."""

_MARK = re.compile("\ue000(\\d+)\ue001")


def build(request: Request, render: Render, *, unfinished: bool = False) -> list[Piece]:
    """The same as `chatml.build`, by the template behind `render`."""
    turns = _turns(request)
    try:
        rendered = render(_marked(turns))
    except LLMError:
        if turns[0][0] != "system":
            raise
        turns = _fold(turns)
        rendered = render(_marked(turns))
    prompt: list[Piece] = []
    for i, part in enumerate(_MARK.split(rendered)):
        if i % 2 == 0:
            prompt.append(Piece(part, "control"))
        else:
            prompt += turns[int(part)][1]
    if unfinished:
        prompt.pop()  # what follows the last message: its end, and the beginning of the reply
    return [piece for piece in prompt if piece.text]


Turn = tuple[str, list[Piece]]


def _marked(turns: Sequence[Turn]) -> list[dict[str, str]]:
    return [{"role": role, "content": f"\ue000{i}\ue001"} for i, (role, _) in enumerate(turns)]


def _turns(request: Request) -> list[Turn]:
    """(role, text) of user and assistant in turn, first and last one of the user; before them the instructions."""
    said: list[Turn] = []
    for message, words in worded(request.messages, beside(request.functions)):
        if words:
            role = "assistant" if message.role == "model" else "user"
            aside = [Piece(f"(System: {content(message)})", "text")]
            said.append((role, aside if message.role == "system" else words))
    if said and said[0][0] != "user":
        said.insert(0, ("user", []))
    if not said or said[-1][0] != "user":
        said.append(("user", []))
    merged = [(role, _lines([words for _, words in group])) for role, group in groupby(said, key=lambda s: s[0])]
    instructions = system(request.functions, request.instructions)
    return [("system", instructions), *merged] if instructions else merged


def _fold(turns: list[Turn]) -> list[Turn]:
    """For templates without a system role: the instructions open the first message of the user."""
    (_, instructions), (_, first), *rest = turns
    return [("user", _lines([instructions, first], 2)), *rest]


def _lines(texts: Sequence[list[Piece]], apart: int = 1) -> list[Piece]:
    """Texts joined by line ends."""
    joined: list[Piece] = []
    for text in texts:
        joined += [Piece("\n" * apart, "text"), *text] if joined else text
    return joined
