"""Frames captured from the official SDKs, word for word, and what they must come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from openlive.wire.client import (
    ActivityEnd,
    ActivityStart,
    ClientContent,
    ClientMessage,
    ContextUpdate,
    ContextUpdateTools,
    RealtimeInput,
    ToolResponse,
    parse_message,
)
from openlive.wire.content import (
    Blob,
    Content,
    FileData,
    FunctionResponse,
    FunctionResponseBlob,
    FunctionResponsePart,
    FunctionResponseScheduling,
    Part,
)
from openlive.wire.errors import ProtocolError
from openlive.wire.setup import (
    ActivityHandling,
    AudioTranscriptionConfig,
    AutomaticActivityDetection,
    AvatarConfig,
    ContextWindowCompressionConfig,
    CustomizedAvatar,
    EndSensitivity,
    GenerationConfig,
    HarmBlockThreshold,
    HarmCategory,
    HistoryConfig,
    MediaResolution,
    Modality,
    PrebuiltVoiceConfig,
    ProactivityConfig,
    RealtimeInputConfig,
    ReplicatedVoiceConfig,
    SafetySetting,
    SessionResumptionConfig,
    Setup,
    SlidingWindow,
    SpeechConfig,
    StartSensitivity,
    ThinkingConfig,
    ThinkingLevel,
    TranscriptionMode,
    TranslationConfig,
    TurnCoverage,
    VoiceConfig,
)
from openlive.wire.tools import (
    Behavior,
    CodeExecution,
    FunctionDeclaration,
    GoogleSearch,
    Schema,
    Tool,
    Type,
    UrlContext,
)

DATA = b"\xfb\xff\xfe"
"""`-__-` in the Python SDK's frames."""
JS_DATA = b"\x00\x01\x02\xff\xef"


def frames(sdk: str) -> list[str]:
    return Path(__file__).with_name(f"frames_{sdk}.jsonl").read_text().splitlines()


def said(text: str, role: str | None = "user") -> Content:
    return Content(parts=(Part(text=text),), role=role)


def content(*turns: Content, complete: bool | None = None) -> ClientMessage:
    return ClientMessage(client_content=ClientContent(turns=turns, turn_complete=complete))


def realtime(**fields: object) -> ClientMessage:
    return ClientMessage(realtime_input=RealtimeInput(**fields))  # type: ignore[arg-type]


def answered(*responses: FunctionResponse) -> ClientMessage:
    return ClientMessage(tool_response=ToolResponse(function_responses=responses))


PYTHON_SETUP = Setup(
    model="models/gemini-live-2.5-flash-preview",
    generation_config=GenerationConfig(
        response_modalities=(Modality.AUDIO,),
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_output_tokens=100,
        media_resolution=MediaResolution.MEDIA_RESOLUTION_LOW,
        seed=7,
        speech_config=SpeechConfig(
            voice_config=VoiceConfig(prebuilt_voice_config=PrebuiltVoiceConfig(voice_name="Kore")),
            language_code="de-DE",
        ),
        thinking_config=ThinkingConfig(include_thoughts=True, thinking_budget=10, thinking_level=ThinkingLevel.LOW),
        enable_affective_dialog=True,
        translation_config=TranslationConfig(echo_target_language=True, target_language_code="es"),
    ),
    system_instruction=said("You are X"),
    tools=(
        Tool(google_search=GoogleSearch()),
        Tool(code_execution=CodeExecution()),
        Tool(url_context=UrlContext()),
        Tool(
            function_declarations=(
                FunctionDeclaration(
                    description="d",
                    name="f",
                    parameters=Schema(properties={"a": Schema(type=Type.STRING)}, type=Type.OBJECT),
                    behavior=Behavior.NON_BLOCKING,
                ),
                FunctionDeclaration(
                    name="g",
                    parameters_json_schema={"type": "object", "properties": {"a_b": {"type": "string"}}},
                ),
                FunctionDeclaration(
                    description="Get weather.",
                    name="my_tool",
                    parameters_json_schema={
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "n": {"type": "integer", "default": 3}},
                        "required": ["city"],
                    },
                    response_json_schema={"type": "string"},
                ),
            )
        ),
    ),
    session_resumption=SessionResumptionConfig(),
    input_audio_transcription=AudioTranscriptionConfig(),
    output_audio_transcription=AudioTranscriptionConfig(
        language_codes=("en-US",),
        custom_vocabulary=("x",),
        word_timestamp=True,
        diarization=True,
        mode=TranscriptionMode.SMART,
    ),
    realtime_input_config=RealtimeInputConfig(
        automatic_activity_detection=AutomaticActivityDetection(
            disabled=False,
            start_of_speech_sensitivity=StartSensitivity.START_SENSITIVITY_LOW,
            end_of_speech_sensitivity=EndSensitivity.END_SENSITIVITY_LOW,
            prefix_padding_ms=20,
            silence_duration_ms=100,
        ),
        activity_handling=ActivityHandling.NO_INTERRUPTION,
        turn_coverage=TurnCoverage.TURN_INCLUDES_ALL_INPUT,
        interim_transcript_timestamp_enabled=True,
    ),
    context_window_compression=ContextWindowCompressionConfig(
        trigger_tokens=1000, sliding_window=SlidingWindow(target_tokens=500)
    ),
    proactivity=ProactivityConfig(proactive_audio=True, proactive_video=True),
    history_config=HistoryConfig(initial_history_in_client_content=True),
    avatar_config=AvatarConfig(
        avatar_name="a", customized_avatar=CustomizedAvatar(image_mime_type="image/jpeg", image_data=DATA)
    ),
    safety_settings=(
        SafetySetting(category=HarmCategory.HARM_CATEGORY_HARASSMENT, threshold=HarmBlockThreshold.BLOCK_NONE),
    ),
    labels={"a": "b"},
)

JS_SETUP = Setup(
    model="models/gemini-live-2.5-flash-preview",
    generation_config=GenerationConfig(
        response_modalities=(Modality.AUDIO,),
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_output_tokens=100,
        media_resolution=MediaResolution.MEDIA_RESOLUTION_LOW,
        seed=7,
        speech_config=SpeechConfig(
            voice_config=VoiceConfig(prebuilt_voice_config=PrebuiltVoiceConfig(voice_name="Kore")),
            language_code="de-DE",
        ),
        thinking_config=ThinkingConfig(include_thoughts=True, thinking_budget=10, thinking_level=ThinkingLevel.LOW),
        enable_affective_dialog=True,
        translation_config=TranslationConfig(target_language_code="es"),
    ),
    system_instruction=said("You are X"),
    tools=(
        Tool(google_search=GoogleSearch()),
        Tool(code_execution=CodeExecution()),
        Tool(url_context=UrlContext()),
        Tool(
            function_declarations=(
                FunctionDeclaration(
                    name="f",
                    parameters=Schema(properties={"a": Schema(type=Type.STRING)}, type=Type.OBJECT),
                    behavior=Behavior.NON_BLOCKING,
                ),
            )
        ),
    ),
    session_resumption=SessionResumptionConfig(),
    input_audio_transcription=AudioTranscriptionConfig(),
    output_audio_transcription=AudioTranscriptionConfig(language_codes=("en-US",)),
    realtime_input_config=RealtimeInputConfig(
        automatic_activity_detection=AutomaticActivityDetection(
            disabled=False,
            start_of_speech_sensitivity=StartSensitivity.START_SENSITIVITY_LOW,
            prefix_padding_ms=20,
            silence_duration_ms=100,
        ),
        activity_handling=ActivityHandling.NO_INTERRUPTION,
        turn_coverage=TurnCoverage.TURN_INCLUDES_ALL_INPUT,
    ),
    context_window_compression=ContextWindowCompressionConfig(
        trigger_tokens=1000, sliding_window=SlidingWindow(target_tokens=500)
    ),
    proactivity=ProactivityConfig(proactive_audio=True),
    avatar_config=AvatarConfig(avatar_name="a"),
    safety_settings=(
        SafetySetting(category=HarmCategory.HARM_CATEGORY_HARASSMENT, threshold=HarmBlockThreshold.BLOCK_NONE),
    ),
    labels={"a": "b"},
)

PYTHON = [
    ClientMessage(setup=PYTHON_SETUP),
    ClientMessage(
        setup=Setup(
            model="models/foo",
            generation_config=GenerationConfig(
                response_modalities=(Modality.TEXT,),
                speech_config=SpeechConfig(
                    voice_config=VoiceConfig(
                        replicated_voice_config=ReplicatedVoiceConfig(
                            mime_type="audio/wav", voice_sample_audio=DATA, consent_audio=b"\xff"
                        )
                    )
                ),
            ),
        )
    ),
    ClientMessage(setup=Setup(model="models/gemini-x")),
    content(
        Content(
            parts=(
                Part(text="hi"),
                Part(inline_data=Blob(data=DATA, mime_type="image/png")),
                Part(file_data=FileData(file_uri="gs://x", mime_type="image/png")),
            ),
            role="user",
        ),
        complete=True,
    ),
    content(complete=False),
    realtime(audio=Blob(data=DATA, mime_type="audio/pcm;rate=16000")),
    realtime(media_chunks=(Blob(data=DATA, mime_type="audio/pcm;rate=16000"),)),
    realtime(video=Blob(data=DATA, mime_type="image/jpeg")),
    realtime(text="yo"),
    realtime(audio_stream_end=True),
    realtime(activity_start=ActivityStart()),
    realtime(activity_end=ActivityEnd()),
    answered(
        FunctionResponse(
            will_continue=True,
            scheduling=FunctionResponseScheduling.INTERRUPT,
            parts=(FunctionResponsePart(inline_data=FunctionResponseBlob(mime_type="image/png", data=DATA)),),
            id="1",
            name="f",
            response={"result_key": "ok"},
        )
    ),
    answered(FunctionResponse(id="1", name="f", response={"result": "ok", "scheduling": "SILENT"})),
    ClientMessage(
        context_update=ContextUpdate(
            system_instruction=said("new"),
            tools=ContextUpdateTools(tools=(Tool(google_search=GoogleSearch()),)),
        )
    ),
    ClientMessage(context_update=ContextUpdate(tools=ContextUpdateTools())),
    content(said("hello"), complete=True),
    content(complete=True),
    realtime(media_chunks=(Blob(data=DATA, mime_type="audio/pcm"),)),
    answered(FunctionResponse(name="f", response={"a": 1}, id="1")),
]

JS = [
    ClientMessage(setup=JS_SETUP),
    content(said("Hello how are you?"), complete=True),
    content(said("x"), said("y", "model"), complete=False),
    content(complete=True),
    realtime(audio=Blob(data=JS_DATA, mime_type="audio/pcm;rate=16000")),
    realtime(media_chunks=(Blob(data=JS_DATA, mime_type="audio/pcm;rate=16000"),)),
    realtime(video=Blob(data=JS_DATA, mime_type="image/jpeg")),
    realtime(text="yo"),
    realtime(audio_stream_end=True),
    realtime(activity_start=ActivityStart()),
    realtime(activity_end=ActivityEnd()),
    realtime(audio=Blob(data=JS_DATA, mime_type="audio/pcm;rate=16000"), text="both"),
    answered(
        FunctionResponse(
            id="1",
            name="f",
            response={"result": "ok"},
            scheduling=FunctionResponseScheduling.INTERRUPT,
            will_continue=True,
        )
    ),
    ClientMessage(context_update=ContextUpdate(system_instruction=said("new"), tools=ContextUpdateTools())),
]

VERTEX = [
    ClientMessage(
        setup=Setup(
            model="projects/P/locations/us-central1/publishers/google/models/gemini-live-2.5-flash",
            system_instruction=said("You are X"),
            tools=(
                Tool(function_declarations=(FunctionDeclaration(name="g", parameters_json_schema={"type": "object"}),)),
            ),
            session_resumption=SessionResumptionConfig(transparent=True),
            input_audio_transcription=AudioTranscriptionConfig(),
            explicit_vad_signal=True,
            generation_config=GenerationConfig(response_modalities=(Modality.AUDIO,)),
        )
    ),
    ClientMessage(
        setup=Setup(
            model="publishers/google/models/gemini-live-2.5-flash",
            generation_config=GenerationConfig(response_modalities=(Modality.AUDIO,)),
            session_resumption=SessionResumptionConfig(transparent=True),
            explicit_vad_signal=True,
        )
    ),
    answered(FunctionResponse(name="f", response={"result": "ok"})),
]

CAPTURED = [
    pytest.param(frame, expected, id=f"{sdk}{number}")
    for sdk, messages in (("python", PYTHON), ("js", JS), ("vertex", VERTEX))
    for number, (frame, expected) in enumerate(zip(frames(sdk), messages, strict=True))
]


@pytest.mark.parametrize(("frame", "expected"), CAPTURED)
def test_captured_frames(frame: str, expected: ClientMessage) -> None:
    assert parse_message(frame) == expected
    assert parse_message(frame.encode()) == expected


@pytest.mark.parametrize(
    "frame",
    ["{}", '{"setup": null}', '{"realtimeInput": null, "setup": null}'],
)
def test_an_empty_message_is_refused(frame: str) -> None:
    with pytest.raises(ProtocolError, match="A message has one of setup, clientContent"):
        parse_message(frame)


@pytest.mark.parametrize(
    ("frame", "second"),
    [
        ('{"setup": {}, "clientContent": {}}', "clientContent"),
        ('{"tool_response": {}, "realtime_input": {}}', "realtime_input"),
        ('{"contextUpdate": {}, "setup": {}}', "setup"),
    ],
)
def test_two_messages_in_one_are_refused(frame: str, second: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_message(frame)
    assert (
        caught.value.reason
        == f"Invalid value (oneof), oneof field 'message_type' is already set. Cannot set '{second}'"
    )


def test_presence_is_kept() -> None:
    setup = parse_message('{"setup": {"inputAudioTranscription": {}}}').setup
    assert setup is not None
    assert setup.input_audio_transcription == AudioTranscriptionConfig()
    assert setup.output_audio_transcription is None
    assert parse_message('{"setup": {}}').setup == Setup()


def test_null_beside_a_message_is_unset() -> None:
    assert parse_message('{"setup": null, "realtimeInput": {"text": "a"}}') == realtime(text="a")
