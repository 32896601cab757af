"""What the model is called: by its instructions, else by the name it is offered under."""

from __future__ import annotations

import re
from collections.abc import Sequence

_GIVEN = re.compile(r"\b(?i:you are|your name is|called|named|du bist|du heißt|eres|te llamas)\s+(\w{3,})")
_NOT_NAMES = frozenset(("not", "the", "now", "only", "always", "never", "ein", "eine", "una"))
_READ = 4000
"""Characters of the instructions: who the model is stands at their beginning, and long ones take long."""
_FIRST = re.compile(r"[^\W\d_]{3,}")


def find_model_names(instructions: str, shown: str, vocabulary: Sequence[str] = ()) -> tuple[str, ...]:
    """Those of the instructions ("You are Nova, …"), else the first word of `shown` ("Gemini Live 2.5" is Gemini). A
    vocabulary that is a single word has been given for the sake of a name; longer ones hold anything."""
    given = [n for n in _GIVEN.findall(instructions[:_READ]) if n[0].isupper() and n.casefold() not in _NOT_NAMES]
    if not given and (first := _FIRST.match(shown)):
        given = [first[0].capitalize() if first[0].islower() else first[0]]
    alone = [word for word in vocabulary if len(vocabulary) == 1 and " " not in word]
    return tuple(dict.fromkeys((*given, *alone)))
