"""What a setup message asks for, checked against the model's profile."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from openlive.core.activity import MS, Policy
from openlive.core.profile import Profile
from openlive.types import Sampling, Voice
from openlive.wire import errors
from openlive.wire.errors import ProtocolError
from openlive.wire.setup import (
    ActivityHandling,
    AudioTranscriptionConfig,
    AutomaticActivityDetection,
    EndSensitivity,
    GenerationConfig,
    Modality,
    Setup,
    SpeechConfig,
    StartSensitivity,
)


class Settings(Struct, frozen=True):
    """Of one session. `voice` None: it answers in text. `language` is BCP-47, '' where the client chose none."""

    profile: Profile
    instructions: str
    sampling: Sampling
    voice: Voice | None
    language: str
    activity: Policy
    interruptible: bool
    transcribe_input: bool
    transcribe_output: bool
    languages: tuple[str, ...]
    phrases: tuple[str, ...]


def from_setup(setup: Setup, profiles: Mapping[str, Profile], version: str) -> Settings:
    """Raises `ProtocolError` with the field's path for what the model or the protocol does not allow."""
    profile = find(setup.model, profiles, version)
    generation = setup.generation_config or GenerationConfig()
    speech = generation.speech_config or SpeechConfig()
    modality = _modality(generation, profile)
    voice_name = _voice_name(speech, profile, modality)
    language = speech.language_code or ""
    realtime = setup.realtime_input_config
    detection = realtime.automatic_activity_detection if realtime else None
    handling = realtime.activity_handling if realtime else None
    heard = setup.input_audio_transcription
    return Settings(
        profile=profile,
        instructions=_instructions(setup),
        sampling=_sampling(generation),
        voice=Voice(voice_name, language) if modality is Modality.AUDIO else None,
        language=language,
        activity=_policy(detection or AutomaticActivityDetection()),
        interruptible=handling is not ActivityHandling.NO_INTERRUPTION,
        transcribe_input=heard is not None,
        transcribe_output=setup.output_audio_transcription is not None,
        languages=_hints(heard) or ((language,) if language else ()),
        phrases=tuple(heard.custom_vocabulary) if heard else (),
    )


def find(name: str | None, profiles: Mapping[str, Profile], version: str) -> Profile:
    """`models/x`, `x`, `publishers/google/models/x` and `projects/…/models/x` name the same model."""
    if not name:
        raise ProtocolError("Invalid value at 'setup.model': a model has to be named, such as \"models/NAME\".")
    profile = profiles.get(name.rpartition("/")[2])
    if profile is None:
        raise errors.model_not_found(name if "/" in name else f"models/{name}", version).error()
    return profile


def _modality(generation: GenerationConfig, profile: Profile) -> Modality:
    asked = [m for m in dict.fromkeys(generation.response_modalities) if m is not Modality.MODALITY_UNSPECIFIED]
    if len(asked) > 1:
        raise errors.TOO_MANY_MODALITIES.error()
    modality = asked[0] if asked else profile.default_modality
    if modality not in profile.modalities:
        accepted = [m.value for m in profile.modalities]
        raise errors.modalities_not_supported([modality.value], f"models/{profile.name}", accepted).error()
    return modality


def _voice_name(speech: SpeechConfig, profile: Profile, modality: Modality) -> str:
    asked = speech.voice_name
    if asked is None:
        return profile.default_voice
    if modality is not Modality.AUDIO:
        raise errors.VOICE_WITHOUT_AUDIO.error()
    for name in profile.voices:
        if name.casefold() == asked.casefold():
            return name
    raise errors.voice_not_available(asked, f"models/{profile.name}").error()


def _instructions(setup: Setup) -> str:
    """Each part is its own paragraph (protocol.md 2.1)."""
    content = setup.system_instruction
    return "\n\n".join(part.text for part in content.parts if part.text) if content else ""


def _sampling(generation: GenerationConfig) -> Sampling:
    return Sampling(
        temperature=generation.temperature,
        top_p=generation.top_p,
        top_k=None if generation.top_k is None else int(generation.top_k),
        max_tokens=generation.max_output_tokens,
        presence_penalty=generation.presence_penalty,
        frequency_penalty=generation.frequency_penalty,
        seed=generation.seed,
    )


def _policy(detection: AutomaticActivityDetection) -> Policy:
    """Defaults are those of the Gemini API: both sensitivities high (protocol.md 4.1)."""
    easy_start = detection.start_of_speech_sensitivity is not StartSensitivity.START_SENSITIVITY_LOW
    easy_end = detection.end_of_speech_sensitivity is not EndSensitivity.END_SENSITIVITY_LOW
    default = Policy()
    start = 0.5 if easy_start else 0.75
    padding, silence = detection.prefix_padding_ms, detection.silence_duration_ms
    for name, value in (("prefix_padding_ms", padding), ("silence_duration_ms", silence)):
        if value is not None and not 0 <= value <= 60_000:
            path = f"setup.realtime_input_config.automatic_activity_detection.{name}"
            raise ProtocolError(f"Invalid value at '{path}': {value} is not between 0 and 60000.")
    return Policy(
        automatic=not detection.disabled,
        start=start,
        stop=start - (0.15 if easy_end else 0.3),
        padding=default.padding if padding is None else padding * MS,
        silence=(default.silence if easy_end else 1000 * MS) if silence is None else max(silence, 1) * MS,
    )


def _hints(config: AudioTranscriptionConfig | None) -> tuple[str, ...]:
    if config is None:
        return ()
    deprecated = config.language_hints.language_codes if config.language_hints else ()
    return tuple(config.language_codes or deprecated)
