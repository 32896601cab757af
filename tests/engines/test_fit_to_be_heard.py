"""What a model writes, and what the voice is given of it: words, however the text arrives and is cut."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from openlive.engines.clauses import Cutter
from openlive.engines.speakable import speakable

LANGUAGES = ("en", "de", "es", "fr", "it", "pt")
SYMBOLS = re.compile(r"[*_`#~|\\^<>{}\[\]→✅\U0001f000-\U0001faff\u200d\ufe0f]|https?|www")
PIECES = (
    *(
        "**",
        "*",
        "_",
        "`",
        "```",
        "```python\n",
        "#",
        "## ",
        "\n",
        "\n- ",
        "\n1. ",
        "> ",
        "~~",
        "| ",
        "|---|",
        "[",
        "](",
        ")",
    ),
    *(
        "https://www.example.com/a_b?c=1#d",
        "www.example.org/x",
        "😀",
        "👩‍👩‍👧",
        "→ ",
        "✅",
        "<br>",
        "\\(",
        "x = y ",
        "a_b ",
    ),
    *("word ", "more words, ", "End. ", "Ja! ", "(so) ", "{", "}", "^2 ", "@me ", "& ", "C:\\dir "),
)


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.sampled_from(LANGUAGES))
def test_no_symbol_is_left_however_it_is_cut(pieces: list[str], language: str) -> None:
    cutter = Cutter()
    clauses = [clause for piece in pieces for clause in cutter.feed(piece)]
    for clause in (*clauses, cutter.rest()):
        assert not SYMBOLS.search(speakable(clause, language)), clause
