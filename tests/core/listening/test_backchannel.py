"""What is a back-channel, and what asks for the floor."""

from __future__ import annotations

import pytest

from openlive.core.listening.backchannel import PHRASES, wants_the_floor


@pytest.mark.parametrize(
    "text",
    [
        *("", "...", "Mm-hm.", "Mm-hmm", "Mhmm.", "Uh-huh!", "Hmmm...", "Ooh.", "Yeah.", "Yeah, yeah.", "Okay."),
        *("Oh, I see.", "Got it, okay.", "Of course.", "That's right.", "That’s right.", "All right, good."),
        *("Ja, genau.", "Ach so!", "Alles klar.", "Sí, sí.", "Vale, de acuerdo.", "D'accord.", "Ah bon ?", "Va bene."),
        *("Sì.", "Tá bom.", "Pois é.", "Dobrze.", "Да, да.", "Tamam.", "ठीक है।", "うん。", "なるほど。", "嗯。", "네."),
        *("[cough]", "(door closes)", "♪ ♪", "Gooood.", "Mmmmm."),
    ],
)  # fmt: skip
def test_a_back_channel_leaves_the_floor(text: str) -> None:
    assert not wants_the_floor(text, final=True)
    assert not wants_the_floor(text, final=False)


@pytest.mark.parametrize(
    "text",
    [
        *("Stop.", "Wait.", "No.", "Yes, but how much is it?", "Okay, now tell me about Rome.", "Right now?", "Hello?"),
        *("What?", "I see a dog.", "Mm-hm, and then?", "Ja, aber warum?", "Moment mal.", "Espera.", "No quiero eso."),
        *("God!", "[cough] Stop.", "Attends.", "Aspetta.", "Basta.", "Não.", "等一下。", "待って。"),
    ],
)  # fmt: skip
def test_words_ask_for_it(text: str) -> None:
    assert wants_the_floor(text, final=True)


@pytest.mark.parametrize(
    ("text", "asks"), [("I", False), ("I saw", True), ("Ye", False), ("Okay, al", False), ("Okay, wha", True)]
)  # fmt: skip
def test_a_beginning_may_become_a_back_channel(text: str, asks: bool) -> None:
    assert wants_the_floor(text, final=False) is asks
    assert wants_the_floor(text, final=True)


def test_each_phrase_is_one() -> None:
    for phrases in PHRASES.values():
        for phrase in phrases.split("|"):
            assert not wants_the_floor(phrase.title(), final=True), phrase
