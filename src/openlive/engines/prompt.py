"""What every text model is told of a conversation: parts put into words, and the pieces a prompt is made of."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
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
"""Follows the results of calls, before what the user had asked: without it small models explain the function, in
English. Said at the beginning of a conversation, it would keep them from calling anything."""
RUNNING = "Tell me in one short sentence that you are on it, in the language of my question: "
"""The same where there is no result yet."""
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


def worded(messages: Sequence[Message], beside: Collection[str] = ()) -> Iterator[tuple[Message, list[Piece]]]:
    """The messages as a model that only reads sees them. `beside`: functions whose first response only says that the
    call runs."""
    question = ""
    asked: dict[str, str] = {}
    running: set[str] = set()
    for message in messages:
        if message.role == "user":
            question = message.text.strip() or question
        for part in message.parts:
            if isinstance(part, FunctionCall):
                asked[part.id] = question
        yield message, pieces(message, _request(message, asked, starts(message, running, beside)))


def starts(message: Message, running: set[str], beside: Collection[str]) -> bool:
    """Whether it only says of calls beside the conversation that they run; keeps `running`, the ids of such calls."""
    responses = [part for part in message.parts if isinstance(part, FunctionResponse)]
    started = {r.id for r in responses if r.name in beside and r.id not in running and "error" not in r.response}
    running.difference_update(r.id for r in responses)
    running |= started
    return bool(responses) and len(started) == len(responses)


def _request(message: Message, asked: dict[str, str], started: bool) -> str:
    """What the user wants of results that came: '' where the message says it, or nothing was asked."""
    questions = [asked.get(part.id, "") for part in message.parts if isinstance(part, FunctionResponse)]
    if message.text or not any(questions):
        return ""
    return (RUNNING if started else RESULTS) + next(filter(None, questions))[:_QUESTION]


def pieces(message: Message, last: str = "") -> list[Piece]:
    """The message in words, calls and results in the format of Qwen2.5, `last` at its end. Thoughts are left out. A
    call is apart from the text before it, so that it keeps the tokens that it was generated with."""
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
    words += last
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
