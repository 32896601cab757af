"""Models that say again in another language what they hear (`translationConfig`, docs/protocol.md#translation)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from openlive.core.setup.languages import LANGUAGES
from openlive.core.setup.profile import ModelProfile
from openlive.core.setup.settings import SessionSettings, settings_from_setup
from openlive.types import Heard, Translation, Voice
from openlive.wire.client import parse_message
from openlive.wire.errors import ProtocolError
from tests.core.world import MODEL, TALK, Word, World, spoken, words

INTERPRETER = "gemini-3.5-live-translate-preview"
PROFILES = {MODEL: ModelProfile(MODEL), INTERPRETER: ModelProfile(INTERPRETER, translates=True, languages=LANGUAGES)}
STREAM_END = {"realtimeInput": {"audioStreamEnd": True}}
PATH = "setup.generation_config.translation_config"


def asking(model: str = INTERPRETER, config: dict[str, Any] | None = None, **setup: Any) -> dict[str, Any]:
    generation: dict[str, Any] = {"responseModalities": ["AUDIO"]}
    if config is not None:
        generation["translationConfig"] = config
    return {**TALK, "model": f"models/{model}", "generationConfig": generation, **setup}


def settings(setup: dict[str, Any]) -> SessionSettings:
    message = parse_message(msgspec.json.encode({"setup": setup}))
    assert message.setup is not None
    return settings_from_setup(message.setup, PROFILES, "v1beta")


class Interpreter(World):
    def __init__(self, config: dict[str, Any], **more: Any) -> None:
        super().__init__(asking(config=config), profile=PROFILES[INTERPRETER], **more)


def test_the_target_is_the_language_of_the_voice_and_no_hint_for_the_recogniser() -> None:
    asked = settings(asking(config={"targetLanguageCode": "de", "echoTargetLanguage": True}))
    assert asked.translation == Translation("de-DE", echo=True)
    assert asked.voice == Voice("Puck", "de-DE")
    assert asked.language == "de-DE"
    assert asked.languages == ()
    assert settings(asking(config={"target_language_code": "pt-BR"})).translation == Translation("pt-BR", echo=False)


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        (
            asking(MODEL, {"targetLanguageCode": "es"}),
            f"Invalid value at '{PATH}': only models/{INTERPRETER} translates.",
        ),
        (
            asking(config={"targetLanguageCode": "xx"}),
            f"Invalid value at '{PATH}.target_language_code': unsupported language code 'xx'.",
        ),
        (asking(config={}), f"Invalid value at '{PATH}.target_language_code': name a language"),
        (asking(), f"Invalid value at '{PATH}.target_language_code': name a language"),
        (
            asking(config={"targetLanguageCode": "es"}, tools=[{"functionDeclarations": [{"name": "f"}]}]),
            f"Invalid value at 'setup.tools': models/{INTERPRETER} only translates",
        ),
    ],
)
def test_what_cannot_be_translated_is_refused_by_its_path(setup: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        settings(setup)
    assert refusal.value.code == 1007
    assert refusal.value.reason.startswith(reason)
    assert len(refusal.value.reason.encode()) <= 123


def test_what_is_said_is_asked_for_with_its_language() -> None:
    world = Interpreter({"targetLanguageCode": "es"}, plan=words("how are you", 0.5), replies=[spoken("¿Cómo estás?")])
    world.stream(6)
    assert "turnComplete" not in world.kinds(), "the microphone is on: the turn goes on"
    world.client(STREAM_END)
    world.run(1)
    [heard] = [part for part in world.requests[0].messages[-1].parts if isinstance(part, Heard)]
    assert heard.language == "en"
    assert world.requests[0].translation == Translation("es-US", echo=False)
    assert world.kinds()[-4:] == ["saidFinished", "generationComplete", "usage", "turnComplete"]


def test_both_transcripts_tell_their_language() -> None:
    world = Interpreter({"targetLanguageCode": "es"}, plan=words("how are you", 0.5), replies=[spoken("¿Cómo estás?")])
    world.stream(6)
    contents = [m.server_content for m in world.messages if m.server_content]
    heard = [c.input_transcription for c in contents if c.input_transcription and c.input_transcription.text]
    said = [c.output_transcription for c in contents if c.output_transcription and c.output_transcription.text]
    assert {piece.language_code for piece in heard} == {"en"}
    assert {piece.language_code for piece in said} == {"es-US"}


def test_sentences_of_one_stream_are_one_turn() -> None:
    """Programs read one turn over the whole of a talk (docs/protocol.md#translation)."""
    plan = [*words("first sentence", 0.5), *words("second one", 5.0)]
    world = Interpreter({"targetLanguageCode": "es"}, plan=plan, replies=[spoken("Uno."), spoken("Dos.")])
    world.stream(7)
    world.client(STREAM_END)
    world.run(4)
    assert world.kinds().count("generationComplete") == 2
    assert world.kinds().count("turnComplete") == 1
    assert world.kinds()[-1] == "turnComplete"
    world.client({"clientContent": {"turns": [{"parts": [{"text": "Good night."}]}], "turnComplete": True}})
    world.run(4)
    assert world.kinds()[-1] == "turnComplete", "what is written has an end of its own"


def test_a_stream_that_ends_in_a_noise_ends_the_turn() -> None:
    plan = [*words("first sentence", 0.5), Word(5.0, 5.5, "")]
    world = Interpreter({"targetLanguageCode": "es"}, plan=plan, replies=[spoken("Uno.")])
    world.stream(5.5)
    world.client(STREAM_END)
    world.run(4)
    assert world.kinds().count("turnComplete") == 1


def test_silence_is_a_bare_end_of_turn_with_usage() -> None:
    world = Interpreter({"targetLanguageCode": "en"}, plan=words("how are you", 0.5), replies=[[]])
    world.stream(6)
    world.client(STREAM_END)
    world.run(1)
    assert world.kinds() == ["setupComplete", "heard", "heardFinished", "usage", "turnComplete"]
    usage = world.messages[-1].usage_metadata
    assert usage is not None
    assert usage.response_token_count == 0
    assert usage.prompt_token_count > 0


@pytest.mark.parametrize(("handling", "interrupts"), [(None, False), ("START_OF_ACTIVITY_INTERRUPTS", True)])
def test_who_speaks_on_does_not_stop_the_interpreter_unless_asked_for(handling: str | None, interrupts: bool) -> None:
    setup = asking(config={"targetLanguageCode": "es"}, realtimeInputConfig={"activityHandling": handling})
    plan = [*words("first sentence", 0.5), *words("second one", 3.0)]
    world = World(setup, plan=plan, replies=[spoken("Uno.", seconds=4.0)], profile=PROFILES[INTERPRETER])
    world.stream(12)
    assert ("interrupted" in world.kinds()) is interrupts
    world.client(STREAM_END)
    world.run(4)
    assert world.kinds().count("turnComplete") == 1 + interrupts
    if not interrupts:
        assert [text for role, text in world.history if role == "user"] == ["first sentence", "second one"]
