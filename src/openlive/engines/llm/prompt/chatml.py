"""Prompts in ChatML, the format of Qwen2.5 (and SmolLM2), built piece by piece.

Built here and not by the template inside the GGUF, so that a prompt is always a token-exact continuation of the
conversation's previous one. Which functions are called is told elsewhere (`routing`); here they are mentioned only.
"""

from __future__ import annotations

from typing import Literal

from openlive.engines.llm.functions.routing import build_instructions
from openlive.engines.llm.prompt.conversation import PromptPiece, render_request
from openlive.types import Request

_END = PromptPiece("<|im_end|>\n", "control")
_ROLES = {"system": "system", "user": "user", "model": "assistant"}


def build_prompt(request: Request, *, unfinished: bool = False) -> list[PromptPiece]:
    """The prompt that asks for a reply.

    `unfinished`: the prompt as far as it is settled while the user is still talking: a last message of the user is
    left open, so that a longer one extends the prompt; the reply is not asked for.
    """
    prompt: list[PromptPiece] = []
    if beginning := build_instructions(request):
        prompt += [_turn_start("system"), PromptPiece(beginning, "text"), _END]
    last = len(request.messages) - 1
    for i, (message, words) in enumerate(render_request(request)):
        open_end = unfinished and i == last and message.role == "user"
        if words or open_end:
            kind: Literal["reply", "text"] = "reply" if message.role == "model" else "text"
            prompt += [_turn_start(_ROLES[message.role]), PromptPiece(words, kind)]
            prompt += [] if open_end else [_END]
    if not unfinished:
        prompt.append(_turn_start("assistant"))
    return [piece for piece in prompt if piece.text]


def _turn_start(role: str) -> PromptPiece:
    return PromptPiece(f"<|im_start|>{role}\n", "control")
