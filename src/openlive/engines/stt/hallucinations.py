"""What recognisers invent: credits and thanks of subtitled videos, which they write of laughter, music and noise.

That is the second line, behind what the recognisers tell by themselves of how sure they are; it stands in front of all
that hear in passes (hearing.py), endpoints too. Only a whole text is dropped, never a part of one.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def _known() -> tuple[frozenset[str], tuple[str, ...]]:
    """Whole texts, and beginnings."""
    lines = files("openlive.engines.stt").joinpath("hallucinations.txt").read_text("utf-8").splitlines()
    phrases = [line for line in lines if line and not line.startswith((";", "#"))]
    whole = frozenset(_plain(phrase) for phrase in phrases if not phrase.endswith("*"))
    return whole, tuple(_plain(phrase[:-1]) for phrase in phrases if phrase.endswith("*"))


def _plain(text: str) -> str:
    """Without what varies: case, spaces, the marks around it."""
    return " ".join(text.casefold().replace("’", "'").split()).strip(" .,!?…。！？¡¿\"'“”«»-[]()")


def is_invented(text: str) -> bool:
    """Whether all of it is something that nobody has said."""
    said = _plain(re.sub(r"\[[^]]*\]|\([^)]*\)|\*[^*]*\*", " ", text))  # "[Music]", "(laughs)", "*coughs*"
    if not any(c.isalnum() for c in said):
        return bool(text)
    whole, beginnings = _known()
    return said in whole or said.startswith(beginnings)
