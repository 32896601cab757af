"""What each model name does on the wire (docs/protocol.md#message-fields, #turns-and-vad, #limits-and-compression,
#voices, #native-audio, #function-calling)."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.config.model import Config
from openlive.core.commands import Prefill
from openlive.core.setup.languages import LANGUAGES
from openlive.server.app import profiles
from openlive.types import Image
from tests.core.replying.test_function_calls import SUNNY, WEATHER, answer, asked, cancelled, respond, tools
from tests.core.world import TALK, World, words
from tests.serving import Scripted

PROFILES = profiles(Config(), Scripted().engines)
NAMES = {name: profile for name, profile in PROFILES.items() if not profile.translates}
THIRD = {name for name in NAMES if name.startswith("gemini-3.")}
NATIVE = {name for name in NAMES if "native-audio" in name}
"""Of the generation 2.5."""
HALF = set(NAMES) - THIRD - NATIVE
JPEG = {"mimeType": "image/jpeg", "data": "/9j/4AAQ"}

every = pytest.mark.parametrize("name", sorted(NAMES))


def world(name: str, setup: dict[str, Any] = TALK, **more: Any) -> World:
    return World({**setup, "model": f"models/{name}"}, profile=NAMES[name], **more)


def test_each_generation_is_there() -> None:
    assert min(len(THIRD), len(NATIVE), len(HALF)) >= 3


def test_one_translates_from_and_into_all_languages() -> None:
    [interpreter] = PROFILES.keys() - NAMES.keys()
    assert interpreter == "gemini-3.5-live-translate-preview"
    assert PROFILES[interpreter].languages == LANGUAGES


@every
def test_the_turn_ends_with_a_call_on_native_audio_of_the_second_generation_only(name: str) -> None:
    w = world(name, tools("weather"), replies=[WEATHER, SUNNY])
    w.text("The weather in Paris?")
    w.run(3)
    ended = ["generationComplete", "turnComplete"] if name in NATIVE else []
    assert w.kinds()[1:] == ["toolCall", *ended]
    respond(w, answer(asked(w)[0]))
    w.run(3)
    assert w.kinds()[-1] == "turnComplete"


@every
def test_contents_wait_for_a_result_on_half_cascades_only(name: str) -> None:
    w = world(name, tools("weather"), replies=[WEATHER, SUNNY])
    w.text("The weather in Paris?")
    w.run(3)
    w.text("And tomorrow?")
    assert bool(cancelled(w)) is (name not in HALF)


@every
def test_the_third_generation_tells_more_of_what_the_user_says(name: str) -> None:
    w = world(name, plan=words("what is it that you want", 1.0))
    w.stream(5)
    assert bool(w.at("heardPerhaps")) is (name in THIRD)
    assert len(w.at("ACTIVITY_START")) == len(w.at("ACTIVITY_END")) == (name in THIRD)


@every
def test_every_frame_counts_with_the_third_generation(name: str) -> None:
    w = world(name)
    for _ in range(3):
        w.client({"realtimeInput": {"video": JPEG}})
    w.client({"realtimeInput": {"text": "What do you see?"}})
    frames = [part for part in w.requests[0].messages[-1].parts if isinstance(part, Image)]
    assert len(frames) == (3 if name in THIRD else 1)


@every
def test_instructions_and_tools_may_change_on_each(name: str) -> None:
    w = world(name, {**tools("weather"), "systemInstruction": "Old."})
    update = {"systemInstruction": {"parts": [{"text": "New."}]}, "tools": {"tools": [*tools("time")["tools"]]}}
    w.client({"contextUpdate": update})
    assert w.of(Prefill)[-1].request.instructions == "New."
    w.text("Hello.")
    assert w.requests[0].instructions == "New."
    assert [f.name for f in w.requests[0].functions] == ["time"]


@every
def test_thinks_unasked_where_its_name_says_so(name: str) -> None:
    w = world(name)
    w.text("Hello.")
    assert bool(w.requests[0].thinking) is ("thinking" in name)


@every
def test_answers_in_text_and_in_its_voices(name: str) -> None:
    text = world(name, {**TALK, "generationConfig": {"responseModalities": ["TEXT"]}})
    assert text.kinds() == ["setupComplete"]
    voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Sulafat"}}}
    native = world(name, {**TALK, "generationConfig": {"speechConfig": voice}})
    assert (native.closed is None) is (name not in HALF)


@every
@pytest.mark.parametrize("code", ["es-ES", "cmn-CN"])
def test_starred_languages_are_for_half_cascades_only(name: str, code: str) -> None:
    w = world(name, {**TALK, "generationConfig": {"speechConfig": {"languageCode": code}}})
    assert (w.closed is None) is (name in HALF)
    if w.closed is not None:
        assert w.closed.reason == f"Unsupported language code '{code}' for model models/{name}"
