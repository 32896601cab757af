"""What a client chooses in its setup, field by field: each reaches what it is for, and changes nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from openlive.core.commands import StartRecognition
from openlive.core.listening.activity import MS, ActivityPolicy
from openlive.core.memory.history import ContextWindow, ImagePolicy
from openlive.core.setup.profile import ModelProfile
from openlive.core.setup.settings import SessionSettings, settings_from_setup
from openlive.types import FunctionDeclaration, Message, Request, Sampling, Text, Voice
from openlive.wire.client import parse_message
from tests.core.world import MODEL, TALK, World, words

LIMIT = 32_768


PROFILE = ModelProfile(MODEL, proactive=True, addressee=True, watcher=True)


def settings(*, vertex: bool = True, **setup: Any) -> SessionSettings:
    """Vertex knows all the fields."""
    message = parse_message(msgspec.json.encode({"setup": {"model": MODEL, **setup}}))
    assert message.setup is not None
    return settings_from_setup(message.setup, {MODEL: PROFILE}, "v1beta", vertex=vertex)


ADDRESSED = msgspec.structs.replace(settings().activity, addressed=True)


def generation(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


def speech(**fields: Any) -> dict[str, Any]:
    return generation(speechConfig=fields)


def heard(**fields: Any) -> dict[str, Any]:
    return {"inputAudioTranscription": fields}


def detection(**fields: Any) -> dict[str, Any]:
    return {"realtimeInputConfig": {"automaticActivityDetection": fields}}


def declared(**fields: Any) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": "f", **fields}]}]}


ROWS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (generation(temperature=0.5), {"sampling": Sampling(temperature=0.5)}),
    (generation(topP=0.9), {"sampling": Sampling(top_p=0.9)}),
    (generation(topK=40.0), {"sampling": Sampling(top_k=40)}),
    (generation(maxOutputTokens=100), {"sampling": Sampling(max_tokens=100), "output_tokens": 100}),
    (generation(presencePenalty=0.25), {"sampling": Sampling(presence_penalty=0.25)}),
    (generation(frequencyPenalty=-0.25), {"sampling": Sampling(frequency_penalty=-0.25)}),
    (generation(seed=7), {"sampling": Sampling(seed=7)}),
    (generation(responseModalities=["TEXT"]), {"voice": None}),
    (generation(responseModalities=["AUDIO"]), {}),
    (generation(mediaResolution="MEDIA_RESOLUTION_LOW"), {"pictures": ImagePolicy(64)}),
    (generation(thinkingConfig={"thinkingBudget": 10}), {"thinking": 10}),
    (generation(thinkingConfig={"includeThoughts": True}), {"thinking": 512, "thoughts": True}),
    (generation(candidateCount=1, stopSequences=["."], enableAffectiveDialog=False), {}),
    (speech(languageCode="de-DE"), {"language": "de-DE", "languages": ("de-DE",), "voice": Voice("Puck", "de-DE")}),
    (speech(voiceConfig={"prebuiltVoiceConfig": {"voiceName": "Kore"}}), {"voice": Voice("Kore")}),
    (speech(voiceConfig={"voice": "kore"}), {"voice": Voice("Kore")}),
    (speech(voiceConfig={"prebuiltVoiceConfig": {"voiceName": ""}}, languageCode=""), {}),
    (heard(), {"transcribe_input": True}),
    (heard(languageCodes=["de-DE", "en"]), {"transcribe_input": True, "languages": ("de-DE", "en")}),
    (heard(languageHints={"languageCodes": ["fr"]}), {"transcribe_input": True, "languages": ("fr",)}),
    (
        heard(languageCodes=["de"], languageHints={"languageCodes": ["fr"]}),
        {"transcribe_input": True, "languages": ("de",)},
    ),
    (
        {**speech(languageCode="de-DE"), **heard(languageCodes=["en"])},
        {"transcribe_input": True, "language": "de-DE", "languages": ("en",), "voice": Voice("Puck", "de-DE")},
    ),
    (heard(customVocabulary=["openlive", "Kore"]), {"transcribe_input": True, "phrases": ("openlive", "Kore")}),
    (heard(adaptationPhrases=["openlive"]), {"transcribe_input": True, "phrases": ("openlive",)}),
    (heard(customVocabulary=["a"], adaptationPhrases=["b"]), {"transcribe_input": True, "phrases": ("a",)}),
    (heard(wordTimestamp=True), {"transcribe_input": True, "words": True}),
    (heard(diarization=True, mode="SMART"), {"transcribe_input": True}),
    ({"outputAudioTranscription": {}}, {"transcribe_output": True}),
    ({"outputAudioTranscription": {"wordTimestamp": True}}, {"transcribe_output": True, "output_words": True}),
    ({"systemInstruction": "Be brief."}, {"instructions": "Be brief."}),
    ({"systemInstruction": {"parts": [{"text": "A"}, {"text": ""}, {"text": "B"}]}}, {"instructions": "A\n\nB"}),
    (declared(description="does"), {"functions": (FunctionDeclaration("f", "does"),)}),
    (
        declared(parameters={"type": "OBJECT"}),
        {"functions": (FunctionDeclaration("f", parameters={"type": "object"}),)},
    ),
    (
        declared(parametersJsonSchema={"type": "object", "a_b": 1}),
        {"functions": (FunctionDeclaration("f", parameters={"type": "object", "a_b": 1}),)},
    ),
    (declared(behavior="NON_BLOCKING"), {"functions": (FunctionDeclaration("f", blocking=False),)}),
    (declared(behavior="UNSPECIFIED"), {"functions": (FunctionDeclaration("f"),)}),
    ({"realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}}, {"interruptible": False}),
    ({"realtimeInputConfig": {"activityHandling": "START_OF_ACTIVITY_INTERRUPTS"}}, {}),
    ({"realtimeInputConfig": {"turnCoverage": "TURN_INCLUDES_ONLY_ACTIVITY"}}, {}),
    ({"realtimeInputConfig": {"turnCoverage": "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO"}}, {"all_video": True}),
    ({"sessionResumption": {}}, {"resumable": True}),
    ({"sessionResumption": {"transparent": True}}, {"resumable": True, "transparent": True}),
    ({"explicitVadSignal": True}, {"vad_signal": True, "voice_activity": True}),
    ({"historyConfig": {"initialHistoryInClientContent": True}}, {"loads_history": True}),
    ({"contextWindowCompression": {}}, {"window": ContextWindow(LIMIT, 26_214, 13_107)}),
    (
        {"contextWindowCompression": {"triggerTokens": "9000", "slidingWindow": {"targetTokens": "700"}}},
        {"window": ContextWindow(LIMIT, 9000, 700)},
    ),
    ({"safetySettings": [], "labels": {"a": "b"}}, {}),
    ({"proactivity": {"proactiveAudio": True}}, {"proactive_audio": True, "by_words": True, "activity": ADDRESSED}),
    (
        {"proactivity": {"proactiveAudio": True, "proactiveVideo": True}},
        {"proactive_audio": True, "proactive_video": True, "by_words": True, "activity": ADDRESSED},
    ),
]
POLICIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (detection(disabled=True), {"automatic": False}),
    (detection(prefixPaddingMs=200), {"padding": 200 * MS}),
    (detection(silenceDurationMs=900), {"silence": 900 * MS}),
    (detection(startOfSpeechSensitivity="START_SENSITIVITY_LOW"), {"start": 0.75, "stop": 0.6}),
    (detection(startOfSpeechSensitivity="START_SENSITIVITY_HIGH"), {}),
    (detection(endOfSpeechSensitivity="END_SENSITIVITY_LOW"), {"silence": 1000 * MS, "stop": 0.2}),
    (detection(endOfSpeechSensitivity="END_SENSITIVITY_HIGH"), {}),
    ({"realtimeInputConfig": {"turnCoverage": "TURN_INCLUDES_ALL_INPUT"}}, {"all_audio": True}),
]


def changes(asked: Any, plain: Any) -> dict[str, Any]:
    return {name: new for name in plain.__struct_fields__ if (new := getattr(asked, name)) != getattr(plain, name)}


@pytest.mark.parametrize(("setup", "changed"), ROWS, ids=lambda value: str(value)[:70])
def test_each_field_sets_what_it_is_for(setup: dict[str, Any], changed: dict[str, Any]) -> None:
    assert changes(settings(**setup), settings()) == changed


@pytest.mark.parametrize(("setup", "changed"), POLICIES, ids=lambda value: str(value)[:70])
def test_each_field_of_activity_detection(setup: dict[str, Any], changed: dict[str, Any]) -> None:
    assert changes(settings(vertex=False, **setup).activity, ActivityPolicy()) == changed


def test_no_setting_is_left_out() -> None:
    """But for those that only a profile decides, or has to allow (`test_affect.py`)."""
    profiles = {"profile", "activity", "interim", "by_words", "translation", "affective", "missing_tools"}
    assert {name for _, changed in ROWS for name in changed} | profiles == set(SessionSettings.__struct_fields__)


def test_all_of_them_together_reach_the_engines() -> None:
    setup = {
        "model": MODEL,
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 40,
            "maxOutputTokens": 100,
            "presencePenalty": 0.25,
            "frequencyPenalty": -0.25,
            "seed": 7,
            "thinkingConfig": {"thinkingBudget": 10},
            "speechConfig": {
                "languageCode": "de-DE",
                "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}},
            },
        },
        **heard(languageCodes=["en-US", "de"], customVocabulary=["openlive", "Kore"]),
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        **declared(description="does"),
    }
    world = World(setup, plan=words("what is it", 0.5))
    world.stream(4)
    assert world.of(StartRecognition) == [StartRecognition(1, ("en-US", "de"), ("openlive", "Kore", "Gemini"))]
    [request] = world.requests
    assert [m.text for m in request.messages] == ["what is it"]
    assert request == Request(
        conversation="s",
        messages=request.messages,
        instructions="Be brief.\n\nBe kind.",
        functions=(FunctionDeclaration("f", "does"),),
        sampling=Sampling(0.5, 0.9, 40, 100, 0.25, -0.25, 7),
        voice=Voice("Kore", "de-DE"),
        language="de-DE",
        thinking=10,
        names=("Gemini",),
    )


def test_the_language_of_the_answer_is_a_hint_for_the_recogniser() -> None:
    world = World({"model": MODEL, **speech(languageCode="de-DE")}, plan=words("was ist das", 0.5))
    world.stream(2)
    assert world.of(StartRecognition) == [StartRecognition(1, ("de-DE",), ("Gemini",))]


def test_system_turns_are_joined_like_the_parts_of_an_instruction() -> None:
    world = World({"model": MODEL, "systemInstruction": "Old."})
    turns = [
        {"role": "system", "parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        {"role": "user", "parts": [{"text": "Hello."}]},
        {"role": "system", "parts": [{"text": "Be true."}]},
    ]
    world.client({"clientContent": {"turns": turns, "turnComplete": True}})
    [request] = world.requests
    assert request.instructions == "Be brief.\n\nBe kind.\n\nBe true."
    assert request.messages == (Message("user", (Text("Hello."),)),)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"customVocabulary": ["x"] * 1001}, "custom_vocabulary': 1001 phrases; name 1000 at most."),
        ({"adaptationPhrases": ["x", "y" * 257]}, "adaptation_phrases[1]': longer than 256 characters."),
        ({"languageCodes": ["en"] * 101}, "language_codes': 101 languages; name 100 at most."),
        ({"languageHints": {"languageCodes": ["en"] * 101}}, "language_hints.language_codes': 101 languages; name 1"),
    ],
)
def test_what_a_recogniser_is_told_is_bounded(config: dict[str, Any], path: str) -> None:
    world = World({**TALK, "inputAudioTranscription": config})
    assert world.closed is not None
    assert world.closed.reason.startswith(f"Invalid value at 'setup.input_audio_transcription.{path}")
