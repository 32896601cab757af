"""What the server sends (docs/protocol.md#server-messages)."""

from __future__ import annotations

import codecs
import json
from typing import ClassVar

import msgspec

from openlive.wire.content import Content, FunctionCall
from openlive.wire.proto import Duration, Enum, Float, Int32, Message
from openlive.wire.setup import VoiceConsentSignature

FRAME_BYTES = 2**20
"""Frames stay below: the Python SDK closes on larger ones (docs/protocol.md#binary-frames)."""


class TurnCompleteReason(Enum):
    """Why a turn ended, where it didn't end as it should. The original has many more, all about images."""

    TURN_COMPLETE_REASON_UNSPECIFIED = "TURN_COMPLETE_REASON_UNSPECIFIED", 0
    MALFORMED_FUNCTION_CALL = ("MALFORMED_FUNCTION_CALL",)
    RESPONSE_REJECTED = ("RESPONSE_REJECTED",)
    NEED_MORE_INPUT = ("NEED_MORE_INPUT",)
    PROHIBITED_INPUT_CONTENT = ("PROHIBITED_INPUT_CONTENT",)
    INPUT_OTHER = ("INPUT_OTHER",)
    BLOCKLIST = ("BLOCKLIST",)
    GENERATED_CONTENT_SAFETY = ("GENERATED_CONTENT_SAFETY",)
    GENERATED_AUDIO_SAFETY = ("GENERATED_AUDIO_SAFETY",)
    GENERATED_CONTENT_PROHIBITED = ("GENERATED_CONTENT_PROHIBITED",)
    GENERATED_CONTENT_BLOCKLIST = ("GENERATED_CONTENT_BLOCKLIST",)
    GENERATED_OTHER = ("GENERATED_OTHER",)
    MAX_REGENERATION_REACHED = ("MAX_REGENERATION_REACHED",)


class InteractionStatus(Enum):
    INTERACTION_STATUS_UNSPECIFIED = "INTERACTION_STATUS_UNSPECIFIED", 0
    IN_PROGRESS = ("IN_PROGRESS",)
    REQUIRES_ACTION = ("REQUIRES_ACTION",)
    IDLE = ("IDLE",)


class MediaModality(Enum, proto="Modality"):
    """What tokens stand for."""

    MODALITY_UNSPECIFIED = "MODALITY_UNSPECIFIED", 0
    TEXT = "TEXT", 1
    IMAGE = "IMAGE", 2
    VIDEO = "VIDEO", 3
    AUDIO = "AUDIO", 4
    DOCUMENT = "DOCUMENT", 5


class VoiceActivityType(Enum, proto="VoiceActivity.Type"):
    TYPE_UNSPECIFIED = "TYPE_UNSPECIFIED", 0
    ACTIVITY_START = ("ACTIVITY_START",)
    ACTIVITY_END = ("ACTIVITY_END",)


class VadSignalType(Enum, proto="VoiceActivityDetectionSignal.VadSignalType"):
    VAD_SIGNAL_TYPE_UNSPECIFIED = "VAD_SIGNAL_TYPE_UNSPECIFIED", 0
    VAD_SIGNAL_TYPE_SOS = ("VAD_SIGNAL_TYPE_SOS",)
    VAD_SIGNAL_TYPE_EOS = ("VAD_SIGNAL_TYPE_EOS",)


class UrlRetrievalStatus(Enum, proto="UrlMetadata.UrlRetrievalStatus"):
    URL_RETRIEVAL_STATUS_UNSPECIFIED = "URL_RETRIEVAL_STATUS_UNSPECIFIED", 0
    URL_RETRIEVAL_STATUS_SUCCESS = "URL_RETRIEVAL_STATUS_SUCCESS", 1
    URL_RETRIEVAL_STATUS_ERROR = "URL_RETRIEVAL_STATUS_ERROR", 2
    URL_RETRIEVAL_STATUS_PAYWALL = "URL_RETRIEVAL_STATUS_PAYWALL", 3
    URL_RETRIEVAL_STATUS_UNSAFE = "URL_RETRIEVAL_STATUS_UNSAFE", 4


class SetupComplete(Message, frozen=True, kw_only=True):
    """Send a `session_id` always: the Java SDK reads it without asking whether it's there
    (docs/protocol.md#connecting)."""

    PROTO: ClassVar = "BidiGenerateContentSetupComplete"

    session_id: str | None = None
    voice_consent_signature: VoiceConsentSignature | None = None


class WordInfo(Message, frozen=True, kw_only=True):
    word: str | None = None
    start_offset: Duration | None = None
    end_offset: Duration | None = None


class Transcription(Message, frozen=True, kw_only=True):
    """A piece of a transcript: clients join the texts, which carry their own spaces."""

    PROTO: ClassVar = "BidiGenerateContentTranscription"

    text: str | None = None
    finished: bool = False
    language_code: str | None = None
    speaker_label: str | None = None
    words: tuple[WordInfo, ...] = ()
    start_offset: Duration | None = None
    end_offset: Duration | None = None


class UrlMetadata(Message, frozen=True, kw_only=True):
    retrieved_url: str | None = None
    url_retrieval_status: UrlRetrievalStatus | None = None


class UrlContextMetadata(Message, frozen=True, kw_only=True):
    url_metadata: tuple[UrlMetadata, ...] = ()


class SearchEntryPoint(Message, frozen=True, kw_only=True):
    rendered_content: str | None = None
    sdk_blob: bytes | None = None


class WebChunk(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "GroundingChunk.Web"

    uri: str | None = None
    title: str | None = None
    domain: str | None = None


class RetrievedContext(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "GroundingChunk.RetrievedContext"

    uri: str | None = None
    title: str | None = None
    text: str | None = None


class GroundingChunk(Message, frozen=True, kw_only=True):
    ONEOFS: ClassVar = {"chunk_type": ("web", "retrieved_context")}

    web: WebChunk | None = None
    retrieved_context: RetrievedContext | None = None


class Segment(Message, frozen=True, kw_only=True):
    """A stretch of the answer; indices are bytes of UTF-8 in part `part_index`, the end excluded."""

    part_index: Int32 = 0
    start_index: Int32 = 0
    end_index: Int32 = 0
    text: str | None = None


class GroundingSupport(Message, frozen=True, kw_only=True):
    segment: Segment | None = None
    grounding_chunk_indices: tuple[Int32, ...] = ()
    confidence_scores: tuple[Float, ...] = ()


class RetrievalMetadata(Message, frozen=True, kw_only=True):
    google_search_dynamic_retrieval_score: Float | None = None


class GroundingMetadata(Message, frozen=True, kw_only=True):
    search_entry_point: SearchEntryPoint | None = None
    grounding_chunks: tuple[GroundingChunk, ...] = ()
    grounding_supports: tuple[GroundingSupport, ...] = ()
    retrieval_metadata: RetrievalMetadata | None = None
    web_search_queries: tuple[str, ...] = ()


class ServerContent(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "BidiGenerateContentServerContent"

    model_turn: Content | None = None
    generation_complete: bool = False
    turn_complete: bool = False
    interrupted: bool = False
    waiting_for_input: bool = False
    input_transcription: Transcription | None = None
    interim_input_transcription: Transcription | None = None
    output_transcription: Transcription | None = None
    grounding_metadata: GroundingMetadata | None = None
    url_context_metadata: UrlContextMetadata | None = None
    turn_complete_reason: TurnCompleteReason | None = None
    interaction_status: InteractionStatus | None = None


class ToolCall(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "BidiGenerateContentToolCall"

    function_calls: tuple[FunctionCall, ...] = ()


class ToolCallCancellation(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "BidiGenerateContentToolCallCancellation"

    ids: tuple[str, ...] = ()


class ModalityTokenCount(Message, frozen=True, kw_only=True):
    modality: MediaModality | None = None
    token_count: Int32 = 0


class UsageMetadata(Message, frozen=True, kw_only=True):
    """Tokens of one turn. The `candidates…` fields are Vertex's names for the `response…` ones."""

    prompt_token_count: Int32 = 0
    cached_content_token_count: Int32 = 0
    response_token_count: Int32 = 0
    candidates_token_count: Int32 = 0
    tool_use_prompt_token_count: Int32 = 0
    thoughts_token_count: Int32 = 0
    total_token_count: Int32 = 0
    prompt_tokens_details: tuple[ModalityTokenCount, ...] = ()
    cache_tokens_details: tuple[ModalityTokenCount, ...] = ()
    response_tokens_details: tuple[ModalityTokenCount, ...] = ()
    candidates_tokens_details: tuple[ModalityTokenCount, ...] = ()
    tool_use_prompt_tokens_details: tuple[ModalityTokenCount, ...] = ()
    traffic_type: str | None = None
    service_tier: str | None = None


class GoAway(Message, frozen=True, kw_only=True):
    time_left: Duration | None = None


class SessionResumptionUpdate(Message, frozen=True, kw_only=True):
    """`last_consumed_client_message_index` is an int64, which JSON has as a string; Vertex's, transparent only."""

    new_handle: str | None = None
    resumable: bool = False
    last_consumed_client_message_index: str | None = None


class VoiceActivity(Message, frozen=True, kw_only=True):
    """`audio_offset` counts the audio received since the session began (docs/protocol.md#message-fields)."""

    type: VoiceActivityType | None = None
    audio_offset: Duration | None = None


class VoiceActivityDetectionSignal(Message, frozen=True, kw_only=True):
    vad_signal_type: VadSignalType | None = None


class ServerMessage(Message, frozen=True, kw_only=True):
    """Has one of its fields, `usage_metadata` not counted."""

    PROTO: ClassVar = "BidiGenerateContentServerMessage"

    setup_complete: SetupComplete | None = None
    server_content: ServerContent | None = None
    tool_call: ToolCall | None = None
    tool_call_cancellation: ToolCallCancellation | None = None
    go_away: GoAway | None = None
    session_resumption_update: SessionResumptionUpdate | None = None
    voice_activity: VoiceActivity | None = None
    voice_activity_detection_signal: VoiceActivityDetectionSignal | None = None
    usage_metadata: UsageMetadata | None = None


def format_duration(seconds: float) -> str:
    """Seconds as the API writes them, to the millisecond: `50s`, `1.880s`."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds / 1000:.3f}s"


def encode(message: ServerMessage) -> bytes:
    """The payload of a binary frame: JSON in pure ASCII, because one sample decodes frames so
    (docs/protocol.md#binary-frames).

    Raises ValueError for PCM that splits a sample, and for a frame that clients wouldn't take.
    """
    _check_pcm(message)
    try:
        frame = _encoder.encode(message)
    except UnicodeEncodeError:
        # A model cut an emoji in half: half a surrogate pair has an escape, but no UTF-8.
        frame = json.dumps(msgspec.to_builtins(message), separators=(",", ":")).encode("ascii")
    if not frame.isascii():
        frame = frame.decode().encode("ascii", _ESCAPE)
    if len(frame) >= FRAME_BYTES:
        raise ValueError(f"a frame of {len(frame)} bytes: clients take less than {FRAME_BYTES}")
    return frame


def _check_pcm(message: ServerMessage) -> None:
    content = message.server_content
    if content is None or content.model_turn is None:
        return
    for part in content.model_turn.parts:
        blob = part.inline_data
        if blob and blob.data and len(blob.data) % 2 and (blob.mime_type or "").startswith("audio/pcm"):
            raise ValueError(f"{len(blob.data)} bytes of PCM: samples have two")


_encoder = msgspec.json.Encoder()
_ESCAPE = "openlive.json-escape"


def _escape_non_ascii(error: UnicodeError) -> tuple[str, int]:
    """Outside of strings our JSON is ASCII, so what isn't may be escaped wherever it stands."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ESCAPE, _escape_non_ascii)
