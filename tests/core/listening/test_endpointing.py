"""The silence that a judgement and a transcript come to."""

from __future__ import annotations

import pytest

from openlive.core.listening.endpointing import LONGEST, SHORTEST, SURE, UNSURE, ends_unfinished, required_silence


@pytest.mark.parametrize("finished", [SURE, 0.99, 1.0])
def test_who_has_finished_waits_least(finished: float) -> None:
    assert required_silence(finished) == required_silence(finished, "That is all.", "en") == SHORTEST


@pytest.mark.parametrize("finished", [0.0, 0.5, 0.93, UNSURE])
def test_who_may_go_on_is_waited_for(finished: float) -> None:
    assert required_silence(finished) == required_silence(finished, "I would like to book a table.", "en") == LONGEST


def test_between_them_it_falls_evenly() -> None:
    steps = [required_silence(UNSURE + (SURE - UNSURE) * i / 10) for i in range(11)]
    assert steps == sorted(steps, reverse=True)
    assert len(set(steps)) == len(steps)
    assert SHORTEST < required_silence(0.97) < LONGEST


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Play some music by.", "en"),
        ("How do I get to the?", "en-US"),
        ("Send a message to Peter and,", "en"),
        ("Ich möchte ein Zimmer für", "de-DE"),
        ("Quiero una mesa para.", "es"),
        ("Je voudrais une chambre avec", "fr"),
        ("Vorrei un biglietto per.", "it"),
        ("Eu gostaria de marcar uma.", "pt-BR"),
    ],
)
def test_a_sentence_that_has_to_go_on_is_waited_for(text: str, language: str) -> None:
    assert ends_unfinished(text, language)
    assert required_silence(0.99, text, language) == LONGEST


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("...", "en"),
        ("Where are you from?", "en"),
        ("Turn it on.", "en"),
        ("Mach das Licht an.", "de"),
        ("Come with the", ""),
        ("Je viens de", "en"),
    ],
)
def test_others_are_not(text: str, language: str) -> None:
    assert not ends_unfinished(text, language)
