"""What a model writes, and what the voice is given of it: words, however the text arrives and is cut."""

from __future__ import annotations

import re

import pytest
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


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("See [the docs for this thing](https://a.b/c_(d)?e=f_g) now.", "See the docs for this thing now."),
        ("See:\n\n```python\nx = [1, 2]\nprint(x)\n```\n\nThat is all.", "See: code That is all."),
        ("Like so:\n~~~\n\na < b\n", "Like so: code"),
        ("```\nrm -rf /tmp\n```", "code"),
        ("So `x = 5` is read.", "So x equals 5 is read."),
        ("Is Pluto one? **No.** It is **No. 5** of them.", "Is Pluto one? No. It is number 5 of them."),
        ("The area is $A = \\frac{a + b}{2}$ here.", "The area is A equals a plus b divided by 2 here."),
    ],
)
def test_what_is_said_does_not_depend_on_how_it_arrives(text: str, said: str, size: int) -> None:
    cutter = Cutter()
    clauses = [clause for i in range(0, len(text), size) for clause in cutter.feed(text[i : i + size])]
    assert " ".join(filter(None, (speakable(clause, "en") for clause in (*clauses, cutter.rest())))) == said


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.sampled_from(LANGUAGES))
def test_no_symbol_is_left_however_it_is_cut(pieces: list[str], language: str) -> None:
    cutter = Cutter()
    clauses = [clause for piece in pieces for clause in cutter.feed(piece)]
    for clause in (*clauses, cutter.rest()):
        assert not SYMBOLS.search(speakable(clause, language)), clause
