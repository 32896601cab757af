"""What every text model is told of a conversation: parts put into words, and the pieces a prompt is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from openlive.types import FunctionCall, FunctionResponse, Heard, Image, Message, Part, Text


class LLMError(RuntimeError):
    """A reply could not be generated; the message says why."""


class PromptTooLongError(LLMError):
    """The prompt does not fit into the model's context. The caller has to shorten the history."""

    def __init__(self, tokens: int, context: int) -> None:
        super().__init__(f"The prompt has {tokens} tokens; the model's context holds {context}.")
        self.tokens = tokens
        self.context = context


class MalformedCallError(LLMError):
    """The model called a function that is not declared, or with arguments that its declaration does not allow."""


OPEN, CLOSE = "<tool_call>\n", "\n</tool_call>"
"""What stands around a call, in the format of Qwen2.5."""
RESULTS = "Tell me this in a plain sentence or two, in the language of my question: "
"""Follows the results of calls, before what the user said last: without it small models explain the function, in
English. Said at the beginning of a conversation, it would keep them from calling anything."""
_QUESTION = 300
"""Characters of it that are repeated."""


class Piece(Struct, frozen=True):
    """A stretch of a prompt, tokenised on its own so that the tokens before it never depend on what follows.

    `control` is the model's own mark-up, where names of special tokens count as such. `text` is what users and
    operators wrote, where they are nothing but letters: nobody ends a turn by writing "<|im_end|>". `reply` is text
    that the model generated itself: its original tokens are used where they are still known.
    """

    text: str
    kind: Literal["control", "text", "reply"]


def worded(messages: Sequence[Message]) -> Iterator[tuple[Message, list[Piece]]]:
    """The messages as a model that only reads sees them."""
    question = ""
    for message in messages:
        yield message, pieces(message, question)
        if message.role == "user":
            question = message.text.strip() or question


def pieces(message: Message, question: str = "") -> list[Piece]:
    """The message in words, calls and results in the format of Qwen2.5. Thoughts are left out. A call is apart from the
    text before it, so that it keeps the tokens that it was generated with. `question`: what the user said before."""
    kind: Literal["text", "reply"] = "reply" if message.role == "model" else "text"
    found: list[Piece] = []
    words = ""
    for part in message.parts:
        if isinstance(part, FunctionCall) and kind == "reply":
            found.append(Piece(words.rstrip(), kind))
            before = "\n" if any(piece.text for piece in found) else ""
            found += [Piece(before + OPEN, "control"), Piece(written(part), kind), Piece(CLOSE, "control")]
            words = ""
        elif block := _block(part):
            words += f"\n{block}\n" if words and not words.endswith("\n") else f"{block}\n"
        elif isinstance(part, Text | Heard):
            words += part.text
    if question and not message.text and any(isinstance(part, FunctionResponse) for part in message.parts):
        words += RESULTS + question[:_QUESTION]
    found.append(Piece(words.rstrip() if kind == "reply" else words.strip(), kind))
    return [piece for piece in found if piece.text]


def content(message: Message) -> str:
    """The message in words, in one."""
    return "".join(piece.text for piece in pieces(message))


def written(call: FunctionCall) -> str:
    """A call as the model writes it."""
    return json.dumps({"name": call.name, "arguments": call.args}, ensure_ascii=False)


def _block(part: Part) -> str:
    """A part that stands on lines of its own, or ''."""
    match part:
        case Image():
            return part.words or f"[image: {part.mime}, which you cannot see]"
        case FunctionCall():
            return f"{OPEN}{written(part)}{CLOSE}"
        case FunctionResponse():
            result = json.dumps({"name": part.name, "result": part.response}, ensure_ascii=False)
            return f"<tool_response>\n{result}\n</tool_response>"
        case _:
            return ""
