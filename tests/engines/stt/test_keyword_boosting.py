"""Names that are called, in what a recogniser without a prompt reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from openlive.engines.runtime.workers import Abort
from openlive.engines.stt import moonshine
from openlive.engines.stt.keyword_boosting import LONGEST, MOST, find_alternatives, sounds_like_any
from openlive.engines.stt.moonshine import prefer_expected_words


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("Jamie and I, are you fair", "Gemini", "Gemini, are you fair"),
        ("Hello, Area, it's me.", "Aria", "Hello, Aria, it's me."),
        ("Guy, one more", "Kai", "Kai, one more"),
        ("Jover's turn that down.", "Jarvis", "Jarvis turn that down."),
        ("Hello Gemini, Jamie and I are here.", "Gemini", None),
        ("It was said to me by Jamie and I.", "Gemini", None),
        ("", "Gemini", None),
        ("你好", "Gemini", None),
    ],
)
def test_the_beginning_may_be_a_name(text: str, name: str, found: str | None) -> None:
    assert (found in find_alternatives(text, (name,))) if found else not find_alternatives(text, (name,))


def test_of_many_expected_words_none_is_looked_for() -> None:
    assert not find_alternatives("Jamie and I", ("Gemini",) * (MOST + 1))
    assert sounds_like_any("anything", ("Gemini",) * (MOST + 1))


def test_a_long_text_is_looked_at_so_far_and_no_further() -> None:
    assert sounds_like_any("word " * (LONGEST - 3) + "Jamie and I", ("Gemini",))
    assert not sounds_like_any("word " * LONGEST + "Jamie and I", ("Gemini",))


@pytest.mark.parametrize(("behind", "text"), [(5.0, "Gemini, stop."), (7.0, "Jimmy, stop.")])
def test_the_recogniser_has_to_find_it_nearly_as_likely(behind: float, text: str) -> None:
    class Model:
        def score_texts(self, samples: Any, texts: Sequence[str], abort: Abort) -> list[float]:
            return [-10.0 if "Jimmy" in each else -10.0 - behind for each in texts]

    heard: Any = Model()
    assert prefer_expected_words(heard, np.zeros(16000, np.float32), "Jimmy, stop.", ("Gemini",), Abort()) == text


def test_texts_become_the_tokens_that_are_joined_earliest() -> None:
    model: Any = moonshine.MoonshineModel.__new__(moonshine.MoonshineModel)
    model._vocabulary = [b"<unk>", b"<s>", b"</s>", "▁".encode(), b"a", b"b", b"ab", "▁a".encode(), b"ba"]
    model._token_ids = {word: number for number, word in enumerate(model._vocabulary)}
    assert model.tokenize_text("ab a") == (3, 6, 7)
    assert model.tokenize_text("ba?") == (3, 8), "what it has no token for is left out"
