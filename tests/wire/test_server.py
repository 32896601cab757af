"""What we send: as recorded from the original (docs/protocol.md#recorded-turns), and as the official SDK reads it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.genai import _live_converters, types
from hypothesis import given
from hypothesis import strategies as st

from openlive.wire.content import (
    Blob,
    CodeExecutionResult,
    Content,
    ExecutableCode,
    FunctionCall,
    Language,
    Outcome,
    Part,
)
from openlive.wire.json import parse
from openlive.wire.server import (
    FRAME_BYTES,
    GoAway,
    GroundingChunk,
    GroundingMetadata,
    GroundingSupport,
    MediaModality,
    ModalityTokenCount,
    SearchEntryPoint,
    Segment,
    ServerContent,
    ServerMessage,
    SessionResumptionUpdate,
    SetupComplete,
    ToolCall,
    ToolCallCancellation,
    Transcription,
    TurnCompleteReason,
    UrlContextMetadata,
    UrlMetadata,
    UrlRetrievalStatus,
    UsageMetadata,
    VadSignalType,
    VoiceActivity,
    VoiceActivityDetectionSignal,
    VoiceActivityType,
    WebChunk,
    WordInfo,
    encode,
    format_duration,
)

PCM = bytes(range(256)) * 2


def content(**fields: Any) -> ServerMessage:
    return ServerMessage(server_content=ServerContent(**fields))


def turn(part: Part, role: str | None = None) -> ServerMessage:
    return content(model_turn=Content(parts=(part,), role=role))


RECORDED = [
    (ServerMessage(setup_complete=SetupComplete()), '{"setupComplete":{}}'),
    (ServerMessage(setup_complete=SetupComplete(session_id="d1-2")), '{"setupComplete":{"sessionId":"d1-2"}}'),
    (
        turn(Part(text="**Crafting a G", thought=True)),
        '{"serverContent":{"modelTurn":{"parts":[{"text":"**Crafting a G","thought":true}]}}}',
    ),
    (
        content(output_transcription=Transcription(text="Hello there.")),
        '{"serverContent":{"outputTranscription":{"text":"Hello there."}}}',
    ),
    (
        turn(Part(inline_data=Blob(mime_type="audio/pcm;rate=24000", data=b"\x00\x01\x02\xff\xef\xbe"))),
        '{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=24000","data":"AAEC/+++"}}]}}}',
    ),
    (
        turn(Part(inline_data=Blob(mime_type="audio/pcm", data=b"\x00\x01")), "model"),
        '{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm","data":"AAE="}}],"role":"model"}}}',
    ),
    (content(generation_complete=True), '{"serverContent":{"generationComplete":true}}'),
    (content(interrupted=True), '{"serverContent":{"interrupted":true}}'),
    (content(waiting_for_input=True), '{"serverContent":{"waitingForInput":true}}'),
    (content(), '{"serverContent":{}}'),
    (ServerMessage(), "{}"),
    (
        ServerMessage(
            server_content=ServerContent(turn_complete=True),
            usage_metadata=UsageMetadata(
                prompt_token_count=1131,
                response_token_count=26,
                total_token_count=1157,
                prompt_tokens_details=(ModalityTokenCount(modality=MediaModality.TEXT, token_count=1131),),
                response_tokens_details=(ModalityTokenCount(modality=MediaModality.AUDIO, token_count=26),),
                thoughts_token_count=24,
            ),
        ),
        (
            '{"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":1131,"responseTokenCount":26,'
            '"thoughtsTokenCount":24,"totalTokenCount":1157,"promptTokensDetails":[{"modality":"TEXT","tokenCount":1131}],'
            '"responseTokensDetails":[{"modality":"AUDIO","tokenCount":26}]}}'
        ),
    ),
    (
        content(input_transcription=Transcription(text=" Hello")),
        '{"serverContent":{"inputTranscription":{"text":" Hello"}}}',
    ),
    (
        content(output_transcription=Transcription(finished=True)),
        '{"serverContent":{"outputTranscription":{"finished":true}}}',
    ),
    (content(output_transcription=Transcription()), '{"serverContent":{"outputTranscription":{}}}'),
    (
        ServerMessage(
            tool_call=ToolCall(
                function_calls=(
                    FunctionCall(
                        name="record_reading", args={"zqx_measurement": 5, "note": "steady"}, id="function-call-3"
                    ),
                )
            )
        ),
        (
            '{"toolCall":{"functionCalls":[{"id":"function-call-3","name":"record_reading","args":{"zqx_measurement":5,'
            '"note":"steady"}}]}}'
        ),
    ),
    (
        ServerMessage(tool_call_cancellation=ToolCallCancellation(ids=("a", "b"))),
        '{"toolCallCancellation":{"ids":["a","b"]}}',
    ),
    (
        content(turn_complete=True, grounding_metadata=GroundingMetadata()),
        '{"serverContent":{"turnComplete":true,"groundingMetadata":{}}}',
    ),
    (
        ServerMessage(session_resumption_update=SessionResumptionUpdate(new_handle="95e9", resumable=True)),
        '{"sessionResumptionUpdate":{"newHandle":"95e9","resumable":true}}',
    ),
    (
        ServerMessage(
            session_resumption_update=SessionResumptionUpdate(last_consumed_client_message_index=str(2**53 + 1))
        ),
        '{"sessionResumptionUpdate":{"lastConsumedClientMessageIndex":"9007199254740993"}}',
    ),
    (ServerMessage(go_away=GoAway(time_left=format_duration(50))), '{"goAway":{"timeLeft":"50s"}}'),
    (
        ServerMessage(
            voice_activity=VoiceActivity(type=VoiceActivityType.ACTIVITY_START, audio_offset=format_duration(1.88))
        ),
        '{"voiceActivity":{"type":"ACTIVITY_START","audioOffset":"1.880s"}}',
    ),
    (
        ServerMessage(
            voice_activity_detection_signal=VoiceActivityDetectionSignal(
                vad_signal_type=VadSignalType.VAD_SIGNAL_TYPE_SOS
            )
        ),
        '{"voiceActivityDetectionSignal":{"vadSignalType":"VAD_SIGNAL_TYPE_SOS"}}',
    ),
    (
        content(turn_complete=True, turn_complete_reason=TurnCompleteReason.MALFORMED_FUNCTION_CALL),
        '{"serverContent":{"turnComplete":true,"turnCompleteReason":"MALFORMED_FUNCTION_CALL"}}',
    ),
    (
        turn(Part(executable_code=ExecutableCode(language=Language.PYTHON, code="print(1)"))),
        '{"serverContent":{"modelTurn":{"parts":[{"executableCode":{"language":"PYTHON","code":"print(1)"}}]}}}',
    ),
    (
        turn(Part(code_execution_result=CodeExecutionResult(outcome=Outcome.OUTCOME_OK, output="1\n"))),
        '{"serverContent":{"modelTurn":{"parts":[{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1\\n"}}]}}}',
    ),
    (
        content(
            input_transcription=Transcription(
                text="hi",
                language_code="en",
                speaker_label="1",
                words=(WordInfo(word="hi", start_offset="0s", end_offset="0.500s"),),
                end_offset="0.500s",
            )
        ),
        (
            '{"serverContent":{"inputTranscription":{"text":"hi","languageCode":"en","speakerLabel":"1",'
            '"words":[{"word":"hi","startOffset":"0s","endOffset":"0.500s"}],"endOffset":"0.500s"}}}'
        ),
    ),
    (
        content(
            grounding_metadata=GroundingMetadata(
                search_entry_point=SearchEntryPoint(rendered_content="<div>"),
                grounding_chunks=(GroundingChunk(web=WebChunk(uri="u", title="t")),),
                grounding_supports=(
                    GroundingSupport(segment=Segment(end_index=4, text="Rain"), grounding_chunk_indices=(0,)),
                ),
                web_search_queries=("weather",),
            ),
            url_context_metadata=UrlContextMetadata(
                url_metadata=(
                    UrlMetadata(
                        retrieved_url="u", url_retrieval_status=UrlRetrievalStatus.URL_RETRIEVAL_STATUS_SUCCESS
                    ),
                )
            ),
        ),
        (
            '{"serverContent":{"groundingMetadata":{"searchEntryPoint":{"renderedContent":"<div>"},"groundingChunks":'
            '[{"web":{"uri":"u","title":"t"}}],"groundingSupports":[{"segment":{"endIndex":4,"text":"Rain"},'
            '"groundingChunkIndices":[0]}],"webSearchQueries":["weather"]},"urlContextMetadata":{"urlMetadata":'
            '[{"retrievedUrl":"u","urlRetrievalStatus":"URL_RETRIEVAL_STATUS_SUCCESS"}]}}}'
        ),
    ),
]


@pytest.mark.parametrize(("message", "text"), RECORDED)
def test_encoding(message: ServerMessage, text: str) -> None:
    assert encode(message).decode() == text
    assert parse(ServerMessage, text) == message


def read_by_sdk(frame: bytes, convert: Callable[[object], Any]) -> types.LiveServerMessage:
    """As `AsyncSession._receive` does it."""
    response = json.loads(frame)
    converted = convert(response)
    assert converted or not response, "the SDK raises on a message of unknown keys"
    return types.LiveServerMessage._from_response(response=converted, kwargs=types.LiveServerMessage().model_dump())


@pytest.mark.parametrize("message", [message for message, _ in RECORDED])
def test_the_sdk_reads_every_field(message: ServerMessage) -> None:
    frame = encode(message)
    message_read = read_by_sdk(frame, _live_converters._LiveServerMessage_from_mldev)
    read = message_read.model_dump(mode="json", by_alias=True, exclude_none=True)
    sent = json.loads(frame)
    if "voiceActivity" in sent:  # the one field that the SDK renames
        sent["voiceActivity"]["voiceActivityType"] = sent["voiceActivity"].pop("type")
    update = sent.get("sessionResumptionUpdate", {})
    if "lastConsumedClientMessageIndex" in update:
        update["lastConsumedClientMessageIndex"] = int(update["lastConsumedClientMessageIndex"])
    for part in sent.get("serverContent", {}).get("modelTurn", {}).get("parts", []):
        if "inlineData" in part:  # it dumps bytes in its own alphabet
            data = base64.b64decode(part["inlineData"]["data"])
            part["inlineData"]["data"] = base64.urlsafe_b64encode(data).decode()
    assert read == sent


def test_the_sdk_reads_vertex_fields() -> None:
    """In Vertex mode it reads `candidates…` where it reads `response…` otherwise."""
    details = (ModalityTokenCount(modality=MediaModality.AUDIO, token_count=5),)
    usage = UsageMetadata(
        prompt_token_count=24,
        candidates_token_count=5,
        total_token_count=29,
        candidates_tokens_details=details,
        traffic_type="ON_DEMAND",
    )
    read = read_by_sdk(encode(ServerMessage(usage_metadata=usage)), _live_converters._LiveServerMessage_from_vertex)
    assert read.usage_metadata == types.UsageMetadata(
        prompt_token_count=24,
        response_token_count=5,
        total_token_count=29,
        response_tokens_details=[types.ModalityTokenCount(modality=types.MediaModality.AUDIO, token_count=5)],
        traffic_type=types.TrafficType.ON_DEMAND,
    )


@given(st.text())
def test_frames_are_ascii_and_lose_nothing(text: str) -> None:
    frame = encode(content(output_transcription=Transcription(text=text)))
    assert frame.isascii()
    assert json.loads(frame)["serverContent"]["outputTranscription"]["text"] == text


@pytest.mark.parametrize("text", ["é", "€", "\U0001f600", "\u2028", 'a\x7fé\n"\\', "\ud83d", "\ude00 é"])
def test_characters_that_need_an_escape(text: str) -> None:
    call = FunctionCall(id="é", name="f", args={text: [text]})
    frame = encode(ServerMessage(tool_call=ToolCall(function_calls=(call,))))
    assert frame.isascii()
    assert json.loads(frame)["toolCall"]["functionCalls"][0]["args"] == {text: [text]}


@given(st.binary(max_size=600))
def test_audio_is_standard_base64(data: bytes) -> None:
    pcm = data[: len(data) // 2 * 2]
    frame = encode(turn(Part(inline_data=Blob(mime_type="audio/pcm;rate=24000", data=pcm))))
    sent = json.loads(frame)["serverContent"]["modelTurn"]["parts"][0]["inlineData"]["data"]
    assert base64.b64decode(sent, validate=True) == pcm


@pytest.mark.parametrize("mime", ["audio/pcm", "audio/pcm;rate=24000"])
def test_half_a_sample_is_refused(mime: str) -> None:
    with pytest.raises(ValueError, match="3 bytes of PCM"):
        encode(turn(Part(inline_data=Blob(mime_type=mime, data=b"abc"))))


def test_other_media_may_be_odd() -> None:
    encode(turn(Part(inline_data=Blob(mime_type="image/png", data=b"abc"))))


def test_frames_that_clients_would_not_take_are_refused() -> None:
    empty = len(encode(content(output_transcription=Transcription(text="x")))) - 1
    fits = "x" * (FRAME_BYTES - 1 - empty)
    assert len(encode(content(output_transcription=Transcription(text=fits)))) == FRAME_BYTES - 1
    with pytest.raises(ValueError, match="1048576"):
        encode(content(output_transcription=Transcription(text=fits + "x")))
    with pytest.raises(ValueError, match="clients take less"):
        encode(content(output_transcription=Transcription(text="é" * (FRAME_BYTES // 6))))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (5, "5s"),
        (1.88, "1.880s"),
        (0.0004, "0s"),
        (0.001, "0.001s"),
        (59.9996, "60s"),
        (3600.5, "3600.500s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
