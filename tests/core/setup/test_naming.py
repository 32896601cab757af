"""What the model is called, and who is told of it."""

from __future__ import annotations

import pytest

from openlive.core.commands import JudgeAddressee, StartRecognition
from openlive.core.setup.naming import find_model_names
from openlive.core.setup.profile import ModelProfile
from tests.core.world import MODEL, TALK, World, words


@pytest.mark.parametrize(
    ("instructions", "shown", "vocabulary", "found"),
    [
        ("You are Nova. Be brief.", "Gemini 3", (), ("Nova",)),
        ("You are a friendly assistant called Max.", "", (), ("Max",)),
        ("Du bist Klara und hilfst.", "", (), ("Klara",)),
        ("You are helpful.", "Gemini Live 2.5", (), ("Gemini",)),
        ("You are NOT a person. You are The Guide.", "gemini-live-2.5", (), ("Gemini",)),
        ("", "7B", (), ()),
        ("", "", ("Zephira",), ("Zephira",)),
        ("", "", ("Zephira", "Lisbon"), ()),
    ],
)
def test_what_it_is_called(instructions: str, shown: str, vocabulary: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert find_model_names(instructions, shown, vocabulary) == found


def test_recogniser_and_judge_are_told() -> None:
    setup = {
        **TALK,
        "proactivity": {"proactiveAudio": True},
        "systemInstruction": {"parts": [{"text": "You are Nova."}]},
        "inputAudioTranscription": {"customVocabulary": ["Lisbon", "Porto"]},
    }
    profile = ModelProfile(MODEL, proactive=True, addressee=True)
    world = World(setup, profile=profile, version="v1alpha", plan=[*words("hello", 0.5), *words("hello", 8.0)])
    world.stream(5)
    world.client({"contextUpdate": {"systemInstruction": {"parts": [{"text": "You are Max."}]}}})
    world.stream(6)
    first, second = world.of(StartRecognition)
    assert first.phrases[:3] == ("Lisbon", "Porto", "Nova")
    assert second.phrases[:3] == ("Lisbon", "Porto", "Max")
    judged = [command.request.names for command in world.of(JudgeAddressee)]
    assert (judged[0], judged[-1]) == (("Nova",), ("Max",))
