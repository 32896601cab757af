"""What a model writes, and what the voice is given of it: words, however the text arrives and is cut."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openlive.engines.tts.chunking import ClauseChunker
from openlive.engines.tts.text.normalise import normalise_text

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
    cutter = ClauseChunker()
    clauses = [clause for i in range(0, len(text), size) for clause in cutter.feed(text[i : i + size])]
    assert " ".join(filter(None, (normalise_text(clause, "en") for clause in (*clauses, cutter.flush())))) == said


@settings(deadline=None)  # the first number of a language loads its rules
@given(st.lists(st.sampled_from(PIECES), max_size=25), st.sampled_from(LANGUAGES))
def test_no_symbol_is_left_however_it_is_cut(pieces: list[str], language: str) -> None:
    cutter = ClauseChunker()
    clauses = [clause for piece in pieces for clause in cutter.feed(piece)]
    for clause in (*clauses, cutter.flush()):
        assert not SYMBOLS.search(normalise_text(clause, language)), clause


LONG_RUNS = (
    *("1.", "a.", "1-", "--", "~~~", "~", "`", "$", "$$", "9", "1,", "1 000 ", "1.1", " ", "\n", " \n", "\t", "(", "["),
    *(
        "[a](",
        "<",
        "<a",
        "<!--",
        "&a",
        "\\(",
        "\\frac{",
        "{",
        "^{",
        "€",
        "$1",
        "e.g.",
        "Mo-",
        "XI ",
        "/a",
        "a/",
        "a-",
        "a@",
    ),
    *("a@", "_", "=", "https://", "www.", "東", "😀", "\u0301", "1930-", "10:30 ", "in 1930 ", "é"),
)


@pytest.mark.parametrize("unit", LONG_RUNS)
def test_a_text_of_any_length_takes_linear_time(unit: str) -> None:
    """The patterns for markup and numbers take quadratic time and more for some of these: two seconds for "~~~"."""

    def seconds(characters: int) -> float:
        begun = time.thread_time()
        normalise_text(unit * (characters // len(unit)), "en")
        return time.thread_time() - begun

    seconds(600)
    assert seconds(24_000) < 8 * max(seconds(6_000), 0.01)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("digits", [15, 16, 18, 19, 40, 310, 5000])
@pytest.mark.parametrize(
    "form", ["{}", "${}", "{} km", "€{}.50", "0.{} km", "1/{}", "{}/3", "#{}", "{}%", "{}.", "-{}"]
)
def test_a_number_that_has_no_words_is_read_all_the_same(form: str, digits: int, language: str) -> None:
    for written in ("7" * digits, "7" + ",777" * (digits // 3)):
        assert normalise_text(form.format(written), language)


def test_a_number_that_has_no_words_is_read_by_its_digits() -> None:
    assert normalise_text("It is 1234567890123456 so.", "en") == (
        "It is one two three four five six seven eight nine zero one two three four five six so."
    )
    assert normalise_text("1,234,567,890,123,456,789", "en") == "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9"
    assert normalise_text("0.33333333333333333333", "en") == "0.333333333333333"
