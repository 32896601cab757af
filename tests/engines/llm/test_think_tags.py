from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.engines.llm.think_tags import ThoughtSplitter
from openlive.types import Text, Thought


def split(pieces: list[str], *, inside: bool = False) -> tuple[str, str]:
    """(thoughts, text)."""
    splitter = ThoughtSplitter(inside=inside)
    out = [part for piece in pieces for part in splitter.feed(piece)] + splitter.flush()
    thoughts = "".join(p.text for p in out if isinstance(p, Thought))
    return thoughts, "".join(p.text for p in out if isinstance(p, Text))


CASES = [
    ("<think>\nHm.\n</think>\n\nYes.", ("\nHm.\n", "Yes.")),
    ("\n<think>Hm.</think>Yes.", ("Hm.", "Yes.")),
    ("Yes.", ("", "Yes.")),
    ("Yes, <think> is a tag.</think>", ("", "Yes, <think> is a tag.</think>")),
    ("<thin ice", ("", "<thin ice")),
    ("<think>Hm. a < b </thin", ("Hm. a < b </thin", "")),
    ("<think></think>\n\nYes.", ("", "Yes.")),
    ("", ("", "")),
    ("<think>a</think>b<think>c</think>", ("a", "b<think>c</think>")),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
@given(data=st.data())
def test_wherever_the_text_is_cut(text: str, expected: tuple[str, str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(pieces) == expected


def test_a_thought_that_the_prompt_has_opened() -> None:
    assert split(["Hm.", "</th", "ink>\n", "Yes."], inside=True) == ("Hm.", "Yes.")
    assert split(["Hm."], inside=True) == ("Hm.", "")


def test_an_answer_is_not_held_back() -> None:
    assert ThoughtSplitter().feed("Yes") == [Text("Yes")]
    splitter = ThoughtSplitter()
    assert splitter.feed("<think>Hm") == [Thought("Hm")]
    assert splitter.feed("</think>") == []
    assert splitter.feed("Yes") == [Text("Yes")]


def test_blank_text_is_not_held_back_for_ever() -> None:
    splitter = ThoughtSplitter()
    out = [piece for _ in range(1000) for piece in splitter.feed(" ")]
    assert sum(len(piece.text) for piece in out) > 900
