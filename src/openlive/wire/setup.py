"""The setup: everything that a client chooses for its session (docs/protocol.md#setup-fields)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from openlive.wire.content import Content
from openlive.wire.proto import Enum, Float, FromText, Int32, Int64, JsonObject, Message
from openlive.wire.tools import Schema, Tool

Instruction = Annotated[Content, FromText(Content.from_text)]
"""A content that raw clients also send as a bare string."""


class Modality(Enum, proto="GenerationConfig.Modality"):
    """What the model answers with. Token counts have their own list, MediaModality, with other numbers."""

    MODALITY_UNSPECIFIED = "MODALITY_UNSPECIFIED", 0
    TEXT = "TEXT", 1
    IMAGE = "IMAGE", 2
    AUDIO = "AUDIO", 3
    VIDEO = ("VIDEO",)
    DOCUMENT = ("DOCUMENT",)


class MediaResolution(Enum, proto="GenerationConfig.MediaResolution"):
    MEDIA_RESOLUTION_UNSPECIFIED = "MEDIA_RESOLUTION_UNSPECIFIED", 0
    MEDIA_RESOLUTION_LOW = "MEDIA_RESOLUTION_LOW", 1
    MEDIA_RESOLUTION_MEDIUM = "MEDIA_RESOLUTION_MEDIUM", 2
    MEDIA_RESOLUTION_HIGH = "MEDIA_RESOLUTION_HIGH", 3


class ThinkingLevel(Enum, proto="ThinkingConfig.ThinkingLevel"):
    THINKING_LEVEL_UNSPECIFIED = "THINKING_LEVEL_UNSPECIFIED", 0
    MINIMAL = ("MINIMAL",)
    LOW = ("LOW",)
    MEDIUM = ("MEDIUM",)
    HIGH = ("HIGH",)
    XHIGH = ("XHIGH",)


class StartSensitivity(Enum, proto="RealtimeInputConfig.AutomaticActivityDetection.StartSensitivity"):
    START_SENSITIVITY_UNSPECIFIED = "START_SENSITIVITY_UNSPECIFIED", 0
    START_SENSITIVITY_HIGH = "START_SENSITIVITY_HIGH", 1
    START_SENSITIVITY_LOW = "START_SENSITIVITY_LOW", 2


class EndSensitivity(Enum, proto="RealtimeInputConfig.AutomaticActivityDetection.EndSensitivity"):
    END_SENSITIVITY_UNSPECIFIED = "END_SENSITIVITY_UNSPECIFIED", 0
    END_SENSITIVITY_HIGH = "END_SENSITIVITY_HIGH", 1
    END_SENSITIVITY_LOW = "END_SENSITIVITY_LOW", 2


class ActivityHandling(Enum, proto="RealtimeInputConfig.ActivityHandling"):
    ACTIVITY_HANDLING_UNSPECIFIED = "ACTIVITY_HANDLING_UNSPECIFIED", 0
    START_OF_ACTIVITY_INTERRUPTS = "START_OF_ACTIVITY_INTERRUPTS", 1
    NO_INTERRUPTION = "NO_INTERRUPTION", 2


class TurnCoverage(Enum, proto="RealtimeInputConfig.TurnCoverage"):
    TURN_COVERAGE_UNSPECIFIED = "TURN_COVERAGE_UNSPECIFIED", 0
    TURN_INCLUDES_ONLY_ACTIVITY = "TURN_INCLUDES_ONLY_ACTIVITY", 1
    TURN_INCLUDES_ALL_INPUT = "TURN_INCLUDES_ALL_INPUT", 2
    TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO = ("TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO",)


class TranscriptionMode(Enum, proto="AudioTranscriptionConfig.Mode"):
    MODE_UNSPECIFIED = "MODE_UNSPECIFIED", 0
    VERBATIM = ("VERBATIM",)
    SMART = ("SMART",)


class HarmCategory(Enum):
    HARM_CATEGORY_UNSPECIFIED = "HARM_CATEGORY_UNSPECIFIED", 0
    HARM_CATEGORY_DEROGATORY = "HARM_CATEGORY_DEROGATORY", 1
    HARM_CATEGORY_TOXICITY = "HARM_CATEGORY_TOXICITY", 2
    HARM_CATEGORY_VIOLENCE = "HARM_CATEGORY_VIOLENCE", 3
    HARM_CATEGORY_SEXUAL = "HARM_CATEGORY_SEXUAL", 4
    HARM_CATEGORY_MEDICAL = "HARM_CATEGORY_MEDICAL", 5
    HARM_CATEGORY_DANGEROUS = "HARM_CATEGORY_DANGEROUS", 6
    HARM_CATEGORY_HARASSMENT = "HARM_CATEGORY_HARASSMENT", 7
    HARM_CATEGORY_HATE_SPEECH = "HARM_CATEGORY_HATE_SPEECH", 8
    HARM_CATEGORY_SEXUALLY_EXPLICIT = "HARM_CATEGORY_SEXUALLY_EXPLICIT", 9
    HARM_CATEGORY_DANGEROUS_CONTENT = "HARM_CATEGORY_DANGEROUS_CONTENT", 10
    HARM_CATEGORY_CIVIC_INTEGRITY = "HARM_CATEGORY_CIVIC_INTEGRITY", 11
    HARM_CATEGORY_JAILBREAK = ("HARM_CATEGORY_JAILBREAK",)
    HARM_CATEGORY_IMAGE_HATE = ("HARM_CATEGORY_IMAGE_HATE",)
    HARM_CATEGORY_IMAGE_DANGEROUS_CONTENT = ("HARM_CATEGORY_IMAGE_DANGEROUS_CONTENT",)
    HARM_CATEGORY_IMAGE_HARASSMENT = ("HARM_CATEGORY_IMAGE_HARASSMENT",)
    HARM_CATEGORY_IMAGE_SEXUALLY_EXPLICIT = ("HARM_CATEGORY_IMAGE_SEXUALLY_EXPLICIT",)


class HarmBlockThreshold(Enum, proto="SafetySetting.HarmBlockThreshold"):
    HARM_BLOCK_THRESHOLD_UNSPECIFIED = "HARM_BLOCK_THRESHOLD_UNSPECIFIED", 0
    BLOCK_LOW_AND_ABOVE = "BLOCK_LOW_AND_ABOVE", 1
    BLOCK_MEDIUM_AND_ABOVE = "BLOCK_MEDIUM_AND_ABOVE", 2
    BLOCK_ONLY_HIGH = "BLOCK_ONLY_HIGH", 3
    BLOCK_NONE = "BLOCK_NONE", 4
    OFF = "OFF", 5


class HarmBlockMethod(Enum, proto="SafetySetting.HarmBlockMethod"):
    HARM_BLOCK_METHOD_UNSPECIFIED = "HARM_BLOCK_METHOD_UNSPECIFIED", 0
    SEVERITY = "SEVERITY", 1
    PROBABILITY = "PROBABILITY", 2


# Speech


class PrebuiltVoiceConfig(Message, frozen=True, kw_only=True):
    voice_name: str | None = None


class VoiceConsentSignature(Message, frozen=True, kw_only=True):
    signature: str | None = None


class ReplicatedVoiceConfig(Message, frozen=True, kw_only=True):
    """A voice to imitate: `voice_sample_audio` and the speaker's spoken consent, both of `mime_type`."""

    mime_type: str | None = None
    voice_sample_audio: bytes | None = None
    consent_audio: bytes | None = None
    voice_consent_signature: VoiceConsentSignature | None = None


class VoiceConfig(Message, frozen=True, kw_only=True):
    ONEOFS: ClassVar = {"voice_config": ("prebuilt_voice_config", "replicated_voice_config")}

    prebuilt_voice_config: PrebuiltVoiceConfig | None = None
    replicated_voice_config: ReplicatedVoiceConfig | None = None
    voice: str | None = None


class SpeakerVoiceConfig(Message, frozen=True, kw_only=True):
    speaker: str | None = None
    voice_config: VoiceConfig | None = None


class MultiSpeakerVoiceConfig(Message, frozen=True, kw_only=True):
    speaker_voice_configs: tuple[SpeakerVoiceConfig, ...] = ()


class SpeechConfig(Message, frozen=True, kw_only=True):
    """`language_code` is BCP-47."""

    voice_config: VoiceConfig | None = None
    multi_speaker_voice_config: MultiSpeakerVoiceConfig | None = None
    language_code: str | None = None

    @property
    def voice_name(self) -> str | None:
        """The voice asked for by name, in either of the two places that have one."""
        config = self.voice_config
        if config is None:
            return None
        return config.prebuilt_voice_config.voice_name if config.prebuilt_voice_config else config.voice


# Generation


class ThinkingConfig(Message, frozen=True, kw_only=True):
    include_thoughts: bool | None = None
    thinking_budget: Int32 | None = None
    thinking_level: ThinkingLevel | None = None


class TranslationConfig(Message, frozen=True, kw_only=True):
    target_language_code: str | None = None
    echo_target_language: bool | None = None


class ImageConfig(Message, frozen=True, kw_only=True):
    aspect_ratio: str | None = None
    image_size: str | None = None


class AudioTranscriptionConfig(Message, frozen=True, kw_only=True):
    """Its presence turns a transcription on. `language_codes` are hints; the deprecated forms say the same."""

    language_codes: tuple[str, ...] = ()
    custom_vocabulary: tuple[str, ...] = ()
    word_timestamp: bool | None = None
    diarization: bool | None = None
    mode: TranscriptionMode | None = None
    source_text: str | None = None
    language_auto: LanguageAuto | None = None
    language_hints: LanguageHints | None = None
    adaptation_phrases: tuple[str, ...] = ()


class LanguageAuto(Message, frozen=True, kw_only=True):
    pass


class LanguageHints(Message, frozen=True, kw_only=True):
    language_codes: tuple[str, ...] = ()


class GenerationConfig(Message, frozen=True, kw_only=True):
    """How the model generates. The second half has no meaning in a live session; whether to refuse it isn't ours."""

    candidate_count: Int32 | None = None
    max_output_tokens: Int32 | None = None
    temperature: Float | None = None
    top_p: Float | None = None
    top_k: Int32 | None = None
    presence_penalty: Float | None = None
    frequency_penalty: Float | None = None
    seed: Int32 | None = None
    response_modalities: tuple[Modality, ...] = ()
    speech_config: SpeechConfig | None = None
    media_resolution: MediaResolution | None = None
    thinking_config: ThinkingConfig | None = None
    enable_affective_dialog: bool | None = None
    translation_config: TranslationConfig | None = None

    stop_sequences: tuple[str, ...] = ()
    response_mime_type: str | None = None
    response_schema: Schema | None = None
    response_json_schema: Any = None
    response_json_schema_ordered: Any = None
    response_logprobs: bool | None = None
    logprobs: Int32 | None = None
    enable_enhanced_civic_answers: bool | None = None
    image_config: ImageConfig | None = None
    audio_timestamp: bool | None = None
    audio_transcription_config: AudioTranscriptionConfig | None = None
    routing_config: JsonObject | None = None
    model_selection_config: JsonObject | None = None
    response_format: tuple[JsonObject, ...] = ()


# The session


class AutomaticActivityDetection(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "RealtimeInputConfig.AutomaticActivityDetection"

    disabled: bool | None = None
    start_of_speech_sensitivity: StartSensitivity | None = None
    end_of_speech_sensitivity: EndSensitivity | None = None
    prefix_padding_ms: Int32 | None = None
    silence_duration_ms: Int32 | None = None


class RealtimeInputConfig(Message, frozen=True, kw_only=True):
    automatic_activity_detection: AutomaticActivityDetection | None = None
    activity_handling: ActivityHandling | None = None
    turn_coverage: TurnCoverage | None = None
    interim_transcript_timestamp_enabled: bool | None = None


class SessionResumptionConfig(Message, frozen=True, kw_only=True):
    """Its presence asks for handles; `handle` resumes; `transparent` is Vertex's."""

    handle: str | None = None
    transparent: bool | None = None


class SlidingWindow(Message, frozen=True, kw_only=True):
    PROTO: ClassVar = "ContextWindowCompressionConfig.SlidingWindow"

    target_tokens: Int64 | None = None


class ContextWindowCompressionConfig(Message, frozen=True, kw_only=True):
    trigger_tokens: Int64 | None = None
    sliding_window: SlidingWindow | None = None


class ProactivityConfig(Message, frozen=True, kw_only=True):
    proactive_audio: bool | None = None
    proactive_video: bool | None = None


class HistoryConfig(Message, frozen=True, kw_only=True):
    initial_history_in_client_content: bool | None = None


class CustomizedAvatar(Message, frozen=True, kw_only=True):
    image_mime_type: str | None = None
    image_data: bytes | None = None


class AvatarConfig(Message, frozen=True, kw_only=True):
    avatar_name: str | None = None
    customized_avatar: CustomizedAvatar | None = None
    audio_bitrate_bps: Int32 | None = None
    video_bitrate_bps: Int32 | None = None


class SafetySetting(Message, frozen=True, kw_only=True):
    category: HarmCategory | None = None
    threshold: HarmBlockThreshold | None = None
    method: HarmBlockMethod | None = None


class Setup(Message, frozen=True, kw_only=True):
    """The first message of a session. `model` as sent: `models/M`, or Vertex's `projects/P/…/models/M`."""

    PROTO: ClassVar = "BidiGenerateContentSetup"

    model: str | None = None
    generation_config: GenerationConfig | None = None
    system_instruction: Instruction | None = None
    tools: tuple[Tool, ...] = ()
    realtime_input_config: RealtimeInputConfig | None = None
    session_resumption: SessionResumptionConfig | None = None
    context_window_compression: ContextWindowCompressionConfig | None = None
    input_audio_transcription: AudioTranscriptionConfig | None = None
    output_audio_transcription: AudioTranscriptionConfig | None = None
    proactivity: ProactivityConfig | None = None
    explicit_vad_signal: bool | None = None
    history_config: HistoryConfig | None = None
    avatar_config: AvatarConfig | None = None
    safety_settings: tuple[SafetySetting, ...] = ()
    labels: dict[str, str] | None = None
