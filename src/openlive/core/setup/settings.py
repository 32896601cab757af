"""What a setup message asks for, checked against the model's profile."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from openlive.core.listening.activity import MS, ActivityPolicy
from openlive.core.memory.history import ContextWindow, ImagePolicy
from openlive.core.setup import languages, naming
from openlive.core.setup.declarations import find_missing_tools, parse_functions
from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionDeclaration, Sampling, Translation, Voice
from openlive.wire import errors
from openlive.wire.content import Content
from openlive.wire.errors import ProtocolError
from openlive.wire.setup import (
    ActivityHandling,
    AudioTranscriptionConfig,
    AutomaticActivityDetection,
    EndSensitivity,
    GenerationConfig,
    MediaResolution,
    Modality,
    RealtimeInputConfig,
    Setup,
    SpeechConfig,
    StartSensitivity,
    ThinkingConfig,
    ThinkingLevel,
    TurnCoverage,
)

IMAGE_TOKENS = {
    MediaResolution.MEDIA_RESOLUTION_LOW: 64,
    MediaResolution.MEDIA_RESOLUTION_MEDIUM: 256,
    MediaResolution.MEDIA_RESOLUTION_HIGH: 256,
}
IMAGE_TOKENS_DEFAULT = 258
"""docs/protocol.md#tokens."""
THINKING = 512
"""Tokens of a model that may think as it sees fit; ours, as the original documents none."""
THINKING_LEVELS = {
    ThinkingLevel.MINIMAL: 64,
    ThinkingLevel.LOW: 128,
    ThinkingLevel.MEDIUM: THINKING,
    ThinkingLevel.HIGH: 2048,
    ThinkingLevel.XHIGH: 8192,
}
ALL_VIDEO = (TurnCoverage.TURN_INCLUDES_ALL_INPUT, TurnCoverage.TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO)
MAX_LANGUAGES = 100
"""Hints for one transcription."""
MAX_PHRASES, MAX_PHRASE = 1000, 256
"""Phrases that a recogniser is told to expect, and characters of one."""
TRIGGER, TARGET = 0.8, 0.5
"""Of the limit, and of the trigger, where the client asks for compression without numbers
(docs/protocol.md#limits-and-compression)."""


class SessionSettings(Struct, frozen=True):
    """Of one session. `voice` None: it answers in text. `language` is that of the answers, BCP-47, '' where the client
    chose none."""

    profile: ModelProfile
    instructions: str
    functions: tuple[FunctionDeclaration, ...]
    """The client's, and the tools of the server's that it asks for."""
    missing_tools: tuple[str, ...]
    """Built-in tools that it asks for and that are not here."""
    sampling: Sampling
    output_tokens: int
    """That a turn may come to, as usage counts them."""
    thinking: int
    """Tokens that the model may think before it answers; 0: not at all."""
    translation: Translation | None
    thoughts: bool
    """The client is told what the model thinks."""
    voice: Voice | None
    affective: bool
    """How the user sounds is told to the model, and to the voice."""
    language: str
    activity: ActivityPolicy
    interruptible: bool
    by_words: bool
    """Speech interrupts once it has said something, not by its onset."""
    proactive_audio: bool
    """Only what is meant for the model is answered."""
    proactive_video: bool
    """The model speaks up by itself when a frame shows what it was asked to speak up about."""
    all_video: bool
    """Every frame between two turns counts, not only those while the user speaks and the newest one before."""
    pictures: ImagePolicy
    transcribe_input: bool
    transcribe_output: bool
    interim: bool
    words: bool
    """Transcripts come with the offsets of their words where the recogniser knows them."""
    output_words: bool
    """The same for the model's speech, where the voice knows."""
    vad_signal: bool
    voice_activity: bool
    languages: tuple[str, ...]
    phrases: tuple[str, ...]
    window: ContextWindow
    loads_history: bool
    resumable: bool
    transparent: bool

    @property
    def model_names(self) -> tuple[str, ...]:
        """What the model is called."""
        return naming.find_model_names(self.instructions, self.profile.display_name or self.profile.name, self.phrases)

    @property
    def expected_phrases(self) -> tuple[str, ...]:
        """Words for the recogniser: the client's, and what the model is called."""
        return tuple(dict.fromkeys((*self.phrases, *self.model_names)))


def settings_from_setup(
    setup: Setup, profiles: Mapping[str, ModelProfile], version: str, *, vertex: bool = False
) -> SessionSettings:
    """Raises `ProtocolError` with the field's path for what the model or the protocol does not allow."""
    if not vertex:
        _refuse_vertex_fields(setup)
        _refuse_alpha_fields(setup, version)
    profile = find_profile(setup.model, profiles, version)
    generation = setup.generation_config or GenerationConfig()
    speech = generation.speech_config or SpeechConfig()
    thinking = generation.thinking_config or ThinkingConfig()
    modality = _choose_modality(generation, profile)
    voice_name = _choose_voice(speech, profile, modality)
    language = languages.resolve_language(speech.language_code or "", profile.languages, f"models/{profile.name}")
    translation = _parse_translation(setup, profile, profiles)
    spoken = translation.language if translation else language
    realtime = setup.realtime_input_config or RealtimeInputConfig()
    coverage = realtime.turn_coverage
    heard = setup.input_audio_transcription or AudioTranscriptionConfig()
    interruptible = _is_interruptible(realtime.activity_handling, translation)
    detection = realtime.automatic_activity_detection or AutomaticActivityDetection()
    _refuse_unsupported(setup)
    proactive = _wants_proactive_audio(setup, profile, profiles)
    return SessionSettings(
        profile=profile,
        instructions=instructions_text(setup.system_instruction),
        functions=parse_functions(setup.tools, "setup.tools", profile.tools, refuses=profile.refuses_tools),
        missing_tools=find_missing_tools(setup.tools, profile.tools),
        sampling=_build_sampling(generation),
        output_tokens=_output_token_limit(generation, profile),
        thinking=_thinking_budget(thinking, profile),
        thoughts=bool(thinking.include_thoughts),
        translation=translation,
        voice=Voice(voice_name, spoken) if modality is Modality.AUDIO else None,
        affective=_wants_affective_dialog(generation, profile, profiles),
        language=spoken,
        activity=_build_activity_policy(
            detection, coverage, vertex=vertex, judged=profile.turn_detector, addressed=proactive
        ),
        interruptible=interruptible,
        by_words=(profile.barge_in == "words" or proactive) and interruptible and not detection.disabled,
        proactive_audio=proactive,
        proactive_video=_wants_proactive_video(setup, profile),
        all_video=_includes_all_video(coverage, profile),
        pictures=ImagePolicy(_image_tokens(generation.media_resolution), profile.heic),
        transcribe_input=setup.input_audio_transcription is not None,
        transcribe_output=setup.output_audio_transcription is not None,
        interim=setup.input_audio_transcription is not None and profile.interim_transcripts,
        words=bool(heard.word_timestamp),
        output_words=bool(setup.output_audio_transcription and setup.output_audio_transcription.word_timestamp),
        vad_signal=bool(setup.explicit_vad_signal),
        voice_activity=bool(setup.explicit_vad_signal) or profile.voice_activity,
        languages=_language_hints(heard) or ((language,) if language else ()),
        phrases=_vocabulary_phrases(heard),
        window=_build_window(setup, profile),
        loads_history=_loads_history(setup, profile),
        resumable=setup.session_resumption is not None,
        transparent=bool(setup.session_resumption and setup.session_resumption.transparent),
    )


def _parse_translation(setup: Setup, profile: ModelProfile, profiles: Mapping[str, ModelProfile]) -> Translation | None:
    """Only models made for it translate, and they do nothing else (docs/protocol.md#translation)."""
    path = "setup.generation_config.translation_config"
    asked = setup.generation_config.translation_config if setup.generation_config else None
    if not profile.translates:
        if asked is None:
            return None
        able = next((f"only models/{p.name}" for p in profiles.values() if p.translates), "no model here")
        raise ProtocolError(f"Invalid value at '{path}': {able} translates.")
    where = f"{path}.target_language_code"
    if asked is None or not asked.target_language_code:
        raise ProtocolError(f"Invalid value at '{where}': name a language, such as es.")
    target = languages.find_language(asked.target_language_code, profile.languages)
    if not target:
        raise ProtocolError(f"Invalid value at '{where}': unsupported language code {asked.target_language_code!r}.")
    if setup.tools:
        raise ProtocolError(f"Invalid value at 'setup.tools': models/{profile.name} only translates; leave them out.")
    return Translation(target, echo=bool(asked.echo_target_language))


def _is_interruptible(asked: ActivityHandling | None, translation: Translation | None) -> bool:
    """Who speaks on while the sentence before is being translated does not want to stop the interpreter."""
    if translation is not None:
        return asked is ActivityHandling.START_OF_ACTIVITY_INTERRUPTS
    return asked is not ActivityHandling.NO_INTERRUPTION


def _refuse_vertex_fields(setup: Setup) -> None:
    """Fields that only Vertex's door knows."""
    if setup.session_resumption is not None and setup.session_resumption.transparent is not None:
        raise errors.unknown_name("transparent", "setup.session_resumption").to_error()
    if setup.explicit_vad_signal is not None:
        raise errors.unknown_name("explicitVadSignal", "setup").to_error()


def _refuse_alpha_fields(setup: Setup, version: str) -> None:
    """Fields that only v1alpha knows, and Vertex (docs/protocol.md#native-audio)."""
    generation = setup.generation_config
    if version != "v1alpha" and generation is not None and generation.enable_affective_dialog is not None:
        raise errors.unknown_name("enableAffectiveDialog", "setup.generation_config").to_error()
    if version != "v1alpha" and setup.proactivity is not None:
        raise errors.unknown_name("proactivity", "setup").to_error()


def _wants_proactive_audio(setup: Setup, profile: ModelProfile, profiles: Mapping[str, ModelProfile]) -> bool:
    asked = setup.proactivity
    if asked is None:
        return False
    path = "setup.proactivity.proactive_audio"
    if asked.proactive_audio and not profile.proactive:
        raise _not_on_this_model(path, next((p.name for p in profiles.values() if p.proactive), ""))
    if asked.proactive_audio and not profile.addressee:
        raise ProtocolError(f"Invalid value at '{path}': this server cannot tell who is spoken to; leave it out.")
    return bool(asked.proactive_audio)


def _wants_proactive_video(setup: Setup, profile: ModelProfile) -> bool:
    """Requires proactive audio (docs/protocol.md#native-audio)."""
    asked = setup.proactivity
    if asked is None or not asked.proactive_video:
        return False
    path = "setup.proactivity.proactive_video"
    if not asked.proactive_audio:
        raise ProtocolError(f"Invalid value at '{path}': it requires proactive_audio; set that to true as well.")
    if not profile.watcher:
        raise ProtocolError(f"Invalid value at '{path}': this server's model cannot watch a camera; leave it out.")
    return True


def find_profile(name: str | None, profiles: Mapping[str, ModelProfile], version: str) -> ModelProfile:
    """`models/x`, `x`, `publishers/google/models/x` and `projects/…/models/x` name the same model."""
    if not name:
        raise ProtocolError("Invalid value at 'setup.model': a model has to be named, such as \"models/NAME\".")
    profile = profiles.get(name.rpartition("/")[2])
    if profile is None:
        raise errors.model_not_found(name if "/" in name else f"models/{name}", version).to_error()
    return profile


def instructions_text(content: Content | None) -> str:
    """Each part is its own paragraph (docs/protocol.md#setup-fields)."""
    return "\n\n".join(part.text for part in content.parts if part.text) if content else ""


def _refuse_unsupported(setup: Setup) -> None:
    """What can be asked for but is not to be had here, by its path."""
    speech = (setup.generation_config or GenerationConfig()).speech_config or SpeechConfig()
    voice = speech.voice_config
    path = "setup.generation_config.speech_config"
    refused = {
        "setup.avatar_config": setup.avatar_config is not None,
        f"{path}.multi_speaker_voice_config": speech.multi_speaker_voice_config is not None,
        f"{path}.voice_config.replicated_voice_config": voice is not None and voice.replicated_voice_config is not None,
    }
    for where, asked in refused.items():
        if asked:
            raise ProtocolError(f"Invalid value at '{where}': this server does not support it; leave it out.")


def _choose_modality(generation: GenerationConfig, profile: ModelProfile) -> Modality:
    asked = [m for m in dict.fromkeys(generation.response_modalities) if m is not Modality.MODALITY_UNSPECIFIED]
    if len(asked) > 1:
        raise errors.TOO_MANY_MODALITIES.to_error()
    modality = asked[0] if asked else profile.default_modality
    if modality not in profile.modalities:
        accepted = [m.value for m in profile.modalities]
        raise errors.modalities_not_supported([modality.value], f"models/{profile.name}", accepted).to_error()
    return modality


def _choose_voice(speech: SpeechConfig, profile: ModelProfile, modality: Modality) -> str:
    asked = speech.voice_name
    if not asked:
        return profile.default_voice
    if modality is not Modality.AUDIO:
        raise errors.VOICE_WITHOUT_AUDIO.to_error()
    for name in profile.voices:
        if name.casefold() == asked.casefold():
            return name
    raise errors.voice_not_available(asked, f"models/{profile.name}").to_error()


def _build_sampling(generation: GenerationConfig) -> Sampling:
    return Sampling(
        temperature=generation.temperature,
        top_p=generation.top_p,
        top_k=None if generation.top_k is None else int(generation.top_k),
        max_tokens=generation.max_output_tokens,
        presence_penalty=generation.presence_penalty,
        frequency_penalty=generation.frequency_penalty,
        seed=generation.seed,
    )


def _output_token_limit(generation: GenerationConfig, profile: ModelProfile) -> int:
    asked = generation.max_output_tokens or profile.output_token_limit
    if asked < 0:
        where = "setup.generation_config.max_output_tokens"
        raise ProtocolError(f"Invalid value at '{where}': {asked} is no number of tokens.")
    return min(asked, profile.output_token_limit)


def _thinking_budget(config: ThinkingConfig, profile: ModelProfile) -> int:
    """In the original, models that think do so unless told otherwise; here, so do those whose profile says so, and all
    others where the client asks for it in any way (docs/protocol.md#native-audio)."""
    budget, level = config.thinking_budget, config.thinking_level
    if budget is not None and budget < -1:
        where = "setup.generation_config.thinking_config.thinking_budget"
        raise ProtocolError(f"Invalid value at '{where}': {budget} is neither a number of tokens nor -1 (automatic).")
    if budget is not None:
        return THINKING if budget == -1 else budget
    if level is not None and level is not ThinkingLevel.THINKING_LEVEL_UNSPECIFIED:
        return THINKING_LEVELS[level]
    return THINKING if profile.thinking or config.include_thoughts else 0


def _wants_affective_dialog(
    generation: GenerationConfig, profile: ModelProfile, profiles: Mapping[str, ModelProfile]
) -> bool:
    if generation.enable_affective_dialog and not profile.affective_dialog:
        path = "setup.generation_config.enable_affective_dialog"
        raise _not_on_this_model(path, next((p.name for p in profiles.values() if p.affective_dialog), ""))
    return bool(generation.enable_affective_dialog)


def _not_on_this_model(path: str, able: str) -> ProtocolError:
    """A feature that this model lacks; `able` is one that has it, '' where there is none. Few words: a close has room
    for 123 bytes."""
    return ProtocolError(f"Invalid value at '{path}': not on this model; {f'use {able}' if able else 'leave it out'}.")


def _image_tokens(resolution: MediaResolution | None) -> int:
    return IMAGE_TOKENS.get(resolution, IMAGE_TOKENS_DEFAULT) if resolution is not None else IMAGE_TOKENS_DEFAULT


def _build_activity_policy(
    detection: AutomaticActivityDetection, coverage: TurnCoverage | None, *, vertex: bool, judged: bool, addressed: bool
) -> ActivityPolicy:
    """Both sensitivities are high by default, on Vertex low (docs/protocol.md#turns-and-vad)."""
    start_high, end_high = StartSensitivity.START_SENSITIVITY_HIGH, EndSensitivity.END_SENSITIVITY_HIGH
    start_low, end_low = StartSensitivity.START_SENSITIVITY_LOW, EndSensitivity.END_SENSITIVITY_LOW
    easy_start = detection.start_of_speech_sensitivity is not start_low
    easy_end = detection.end_of_speech_sensitivity is not end_low
    if vertex:
        easy_start = detection.start_of_speech_sensitivity is start_high
        easy_end = detection.end_of_speech_sensitivity is end_high
    default = ActivityPolicy()
    start = 0.5 if easy_start else 0.75
    padding, silence = detection.prefix_padding_ms, detection.silence_duration_ms
    for name, value in (("prefix_padding_ms", padding), ("silence_duration_ms", silence)):
        if value is not None and not 0 <= value <= 60_000:
            path = f"setup.realtime_input_config.automatic_activity_detection.{name}"
            raise ProtocolError(f"Invalid value at '{path}': {value} is not between 0 and 60000.")
    return ActivityPolicy(
        automatic=not detection.disabled,
        start=start,
        stop=start - (0.15 if easy_end else 0.3),
        padding=default.padding if padding is None else padding * MS,
        silence=(default.silence if easy_end else 1000 * MS) if silence is None else max(silence, 1) * MS,
        judged=judged and easy_end and silence is None,
        addressed=addressed,
        all_audio=coverage is TurnCoverage.TURN_INCLUDES_ALL_INPUT,
    )


def _includes_all_video(coverage: TurnCoverage | None, profile: ModelProfile) -> bool:
    if coverage in (None, TurnCoverage.TURN_COVERAGE_UNSPECIFIED):
        return profile.all_video
    return coverage in ALL_VIDEO


def _language_hints(config: AudioTranscriptionConfig) -> tuple[str, ...]:
    deprecated = config.language_hints.language_codes if config.language_hints else ()
    codes = config.language_codes or deprecated
    if len(codes) > MAX_LANGUAGES:
        where = f"{_HEARD}.{'language_codes' if config.language_codes else 'language_hints.language_codes'}"
        raise ProtocolError(f"Invalid value at '{where}': {len(codes)} languages; name {MAX_LANGUAGES} at most.")
    return codes


_HEARD = "setup.input_audio_transcription"


def _vocabulary_phrases(config: AudioTranscriptionConfig) -> tuple[str, ...]:
    where = f"{_HEARD}.{'custom_vocabulary' if config.custom_vocabulary else 'adaptation_phrases'}"
    phrases = config.custom_vocabulary or config.adaptation_phrases
    if len(phrases) > MAX_PHRASES:
        raise ProtocolError(f"Invalid value at '{where}': {len(phrases)} phrases; name {MAX_PHRASES} at most.")
    for i, phrase in enumerate(phrases):
        if len(phrase) > MAX_PHRASE:
            raise ProtocolError(f"Invalid value at '{where}[{i}]': longer than {MAX_PHRASE} characters.")
    return phrases


def _loads_history(setup: Setup, profile: ModelProfile) -> bool:
    asked = setup.history_config is not None and setup.history_config.initial_history_in_client_content
    return bool(asked) and profile.loads_history


def _build_window(setup: Setup, profile: ModelProfile) -> ContextWindow:
    """`{}` compresses with the documented defaults; the original refuses it (docs/protocol.md#limits-and-compression),
    which helps nobody."""
    limit, engine = profile.input_token_limit, profile.engine_token_limit
    asked = setup.context_window_compression
    if asked is None:
        return ContextWindow(limit=limit, engine=engine)
    path = "setup.context_window_compression"
    trigger = int(limit * TRIGGER) if asked.trigger_tokens is None else asked.trigger_tokens
    target = asked.sliding_window.target_tokens if asked.sliding_window else None
    target = int(trigger * TARGET) if target is None else target
    if trigger <= 0:
        raise ProtocolError(f"Invalid value at '{path}.trigger_tokens': {trigger} is no number of tokens.")
    if not 0 <= target < trigger:
        where = f"{path}.sliding_window.target_tokens"
        raise ProtocolError(f"Invalid value at '{where}': {target} is not between 0 and trigger_tokens ({trigger}).")
    if trigger > limit:  # numbers for a larger window, such as Vertex's, keep their proportion
        trigger, target = limit, target * limit // trigger
    return ContextWindow(limit, trigger, target, engine)
