"""Thinking: how much of it is asked for, and who is told of it (docs/protocol.md#native-audio)."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.setup.profile import ModelProfile
from openlive.types import Text, Thought
from tests.core.world import MODEL, TALK, Script, World, speech

HMM: Script = [(0.1, Thought("Hm, a greeting.")), (0.1, Text("Hello.")), (0.1, speech(1.0, "Hello."))]
THINKER = ModelProfile(MODEL, thinking=True)


def world(config: dict[str, Any] | None, profile: ModelProfile | None = None, modality: str = "AUDIO") -> World:
    generation: dict[str, Any] = {"responseModalities": [modality]}
    if config is not None:
        generation["thinkingConfig"] = config
    w = World({**TALK, "generationConfig": generation}, replies=[HMM], profile=profile)
    if w.closed is None:
        w.text("Hi.")
        w.run(3)
    return w


@pytest.mark.parametrize(
    ("config", "profile", "tokens"),
    [
        (None, None, 0),
        (None, THINKER, 512),
        ({}, None, 0),
        ({"thinkingBudget": 0}, THINKER, 0),
        ({"thinkingBudget": 77}, None, 77),
        ({"thinkingBudget": -1}, None, 512),
        ({"thinkingLevel": "LOW"}, None, 128),
        ({"thinkingLevel": "high"}, None, 2048),
        ({"thinkingLevel": "HIGH", "thinkingBudget": 10}, None, 10),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, THINKER, 512),
        ({"includeThoughts": True}, None, 512),
    ],
)
def test_how_much(config: dict[str, Any] | None, profile: ModelProfile | None, tokens: int) -> None:
    assert world(config, profile).requests[0].thinking == tokens


@pytest.mark.parametrize("modality", ["AUDIO", "TEXT"])
def test_thoughts_are_told_only_where_asked_for_and_counted_apart(modality: str) -> None:
    for include in (False, True):
        w = world({"includeThoughts": include, "thinkingBudget": 10}, modality=modality)
        contents = [m.server_content for m in w.messages if m.server_content]
        told = [part for c in contents if c.model_turn for part in c.model_turn.parts if part.text is not None]
        thoughts = [part.text for part in told if part.thought]
        assert thoughts == (["Hm, a greeting."] if include else [])
        spoken = [c.output_transcription.text for c in contents if c.output_transcription]
        assert not any("greeting" in (text or "") for text in spoken)
        assert not any("greeting" in (part.text or "") for part in told if not part.thought)
        usage = w.messages[-1].usage_metadata
        assert usage is not None
        assert usage.thoughts_token_count == 4
        assert usage.total_token_count == usage.prompt_token_count + usage.response_token_count
    assert [m.text for m in w.session.messages] == ["Hi.", "Hello."], "thoughts are no part of the conversation"


def test_a_budget_that_is_none_is_refused_by_its_path() -> None:
    w = world({"thinkingBudget": -2})
    assert w.closed is not None
    assert w.closed.reason.startswith("Invalid value at 'setup.generation_config.thinking_config.thinking_budget': -2")
