"""What recognisers invent: credits and thanks of subtitled videos, which they write of laughter, music and noise.

That is the second line, behind what the recognisers tell by themselves of how sure they are; it stands in front of all
that hear in passes (hearing.py), endpoints too. Only a whole text is dropped, never a part of one.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def _load_phrases() -> tuple[frozenset[str], tuple[str, ...]]:
    """Whole texts, and beginnings."""
    lines = files("openlive.engines.stt").joinpath("hallucinations.txt").read_text("utf-8").splitlines()
    phrases = [line for line in lines if line and not line.startswith((";", "#"))]
    whole = frozenset(_normalise_text(phrase) for phrase in phrases if not phrase.endswith("*"))
    return whole, tuple(_normalise_text(phrase[:-1]) for phrase in phrases if phrase.endswith("*"))


def _normalise_text(text: str) -> str:
    """Without what varies: case, spaces, the marks around it."""
    return " ".join(text.casefold().replace("’", "'").split()).strip(" .,!?…。！？¡¿\"'“”«»-[]()")


def is_hallucinated(text: str) -> bool:
    """Whether all of it is something that nobody has said."""
    said = _normalise_text(re.sub(r"\[[^]]*\]|\([^)]*\)|\*[^*]*\*", " ", text))  # "[Music]", "(laughs)", "*coughs*"
    if not any(c.isalnum() for c in said):
        return bool(text)
    whole, beginnings = _load_phrases()
    return said in whole or said.startswith(beginnings)
