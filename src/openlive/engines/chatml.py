"""Prompts in ChatML, the format of Qwen2.5 (and SmolLM2), built piece by piece.

Built here and not by the template inside the GGUF, whose tool format the embedded models handle badly, and so that
a prompt is always a token-exact continuation of the conversation's previous one. `request.functions` are not declared
to the model yet; calls and results in the history are.
"""

from __future__ import annotations

from openlive.engines.prompt import Piece, content
from openlive.types import Request

_END = Piece("<|im_end|>\n", "control")
_ROLES = {"system": "system", "user": "user", "model": "assistant"}


def build(request: Request, *, unfinished: bool = False) -> list[Piece]:
    """The prompt that asks for a reply.

    `unfinished`: the prompt as far as it is settled while the user is still talking: a last message of the user is
    left open, so that a longer one extends the prompt; the reply is not asked for.
    """
    pieces: list[Piece] = []
    if instructions := request.instructions.strip():
        pieces += _turn("system", Piece(instructions, "text"))
    last = len(request.messages) - 1
    for i, message in enumerate(request.messages):
        words = content(message)
        open_end = unfinished and i == last and message.role == "user"
        if not words and not open_end:
            continue
        pieces += _turn(_ROLES[message.role], Piece(words, "reply" if message.role == "model" else "text"))
        if open_end:
            pieces.pop()
    if not unfinished:
        pieces.append(_start("assistant"))
    return [piece for piece in pieces if piece.text]


def _start(role: str) -> Piece:
    return Piece(f"<|im_start|>{role}\n", "control")


def _turn(role: str, words: Piece) -> list[Piece]:
    return [_start(role), words, _END]
