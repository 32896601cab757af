"""Control tokens of chat templates, which a model may spell out in letters: none of them is said to anybody.

Whatever stands around them stays, code as well: they are told by their signs alone.
"""

from __future__ import annotations

import re

_NAMES = (
    *("<s>", "</s>", "<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<end_of_utterance>"),
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]"),
    *("[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
)
"""Of Llama 2, Mistral, Gemma and SmolVLM, in their own case."""
_PIPED = r"<[|｜][A-Za-z0-9_/▁-]{1,28}[|｜]>"
"""ChatML (<|im_end|>), Llama 3 (<|eot_id|>), Phi (<|user|>), GPT (<|endoftext|>), Command R (<|END_OF_TURN_TOKEN|>),
DeepSeek (<｜end▁of▁sentence｜>)."""
_MARK = re.compile("|".join((_PIPED, *map(re.escape, _NAMES))))
_BEGUN = re.compile(r"<([|｜][A-Za-z0-9_/▁-]{0,28}[|｜]?)?")
_LONGEST = 32
"""Characters of the longest one."""
_NESTED = 8
"""So many times what is left is read again: one may stand inside another."""


class ControlTokenFilter:
    """Takes them out of a text that comes in pieces. What may become one is held back until it is known."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be said of the text so far."""
        text = strip_control_tokens(self._held + text)
        start = max(0, len(text) - _LONGEST)
        end = next((i for i in range(start, len(text)) if text[i] in "<[" and _may_become_token(text[i:])), len(text))
        self._held = text[end:]
        return text[:end]

    def flush(self) -> str:
        """What was held when the text ended."""
        rest, self._held = self._held, ""
        return rest


def strip_control_tokens(text: str) -> str:
    for _ in range(_NESTED):
        if "<" not in text and "[" not in text:
            break
        shorter = _MARK.sub("", text)
        if shorter == text:
            break
        text = shorter
    return text


def _may_become_token(opening: str) -> bool:
    return any(name.startswith(opening) for name in _NAMES) or _BEGUN.fullmatch(opening) is not None
