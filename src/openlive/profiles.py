"""The model names that clients ask for, and what they get: the built-in profiles.

Generations of the original differ in voices, limits and order of messages (docs/protocol.md#generations, #voices,
#function-calling); a profile says which of them a name imitates. The configuration overrides and adds to these.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from openlive.core.setup.profile import HALF_CASCADE_VOICES, NATIVE_VOICES

Kind = Literal["half-cascade", "native-audio", "thinking", "translation"]
Modality = Literal["TEXT", "AUDIO"]


class ProfileSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a model name stands for."""

    kind: Kind = "half-cascade"
    display_name: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    modalities: tuple[Modality, ...] = ("AUDIO", "TEXT")
    voices: tuple[str, ...] = HALF_CASCADE_VOICES
    default_voice: str = "Puck"
    history: Literal["heard", "sent"] = "heard"
    turn_complete_after_call: bool = False
    queues_during_calls: bool = True
    affective_dialog: bool = True
    barge_in: Literal["onset", "words"] = "onset"
    voice_activity: bool = False
    interim_transcripts: bool = False
    transcript_end: Literal["alone", "with_text", "never"] = "alone"
    loads_history: bool = False
    all_video: bool = False
    input_token_limit: int = 32_768
    output_token_limit: int = 8_192

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ValueError("modalities must name TEXT, AUDIO or both")
        if "AUDIO" in self.modalities and self.default_voice not in self.voices:
            raise ValueError(f"default_voice {self.default_voice!r} is none of its voices")
        if min(self.input_token_limit, self.output_token_limit) <= 0:
            raise ValueError("token limits must be positive")


_NATIVE = ProfileSettings(
    kind="native-audio",
    voices=NATIVE_VOICES,
    turn_complete_after_call=True,
    queues_during_calls=False,
    affective_dialog=True,
    input_token_limit=131_072,
)


def _third_generation(profile: ProfileSettings) -> ProfileSettings:
    """The generation 3.x: no turn ends with a call, every frame counts, more is told of what the user says, and history
    can be loaded (docs/protocol.md#message-fields, #turns-and-vad, #contents, #function-calling,
    #the-end-of-a-transcript). None of them has affective dialog (docs/protocol.md#native-audio)."""
    return replace(
        profile,
        turn_complete_after_call=False,
        affective_dialog=False,
        voice_activity=True,
        interim_transcripts=True,
        all_video=True,
        loads_history=True,
    )


def default_profile(kind: Kind) -> ProfileSettings:
    """What a kind implies where nothing is said."""
    match kind:
        case "half-cascade":
            return ProfileSettings()
        case "native-audio":
            return _NATIVE
        case "thinking":
            return replace(_NATIVE, kind="thinking")
        case "translation":
            return replace(_NATIVE, kind="translation", affective_dialog=False)


PROFILES: dict[str, ProfileSettings] = {
    "gemini-live-2.5-flash-preview": replace(
        default_profile("half-cascade"),
        display_name="Gemini Live 2.5 Flash Preview",
        description="Speech or text in and out",
        aliases=("gemini-live-2.5-flash",),
    ),
    "gemini-2.0-flash-live-001": replace(
        default_profile("half-cascade"),
        display_name="Gemini 2.0 Flash Live",
        description="Speech or text in and out, the older generation",
        aliases=("gemini-2.0-flash-live-preview-04-09", "gemini-2.0-flash-exp"),
    ),
    "gemini-2.5-flash-preview-native-audio-dialog": replace(
        default_profile("native-audio"),
        display_name="Gemini 2.5 Flash Native Audio",
        description="The native audio generation: all voices, a larger context",
        aliases=(
            "gemini-2.5-flash-native-audio-latest",
            "gemini-2.5-flash-native-audio-preview-09-2025",
            "gemini-2.5-flash-native-audio-preview-12-2025",
            "gemini-live-2.5-flash-native-audio",
            "gemini-live-2.5-flash-preview-native-audio",
            "gemini-live-2.5-flash-preview-native-audio-09-2025",
        ),
    ),
    "gemini-2.5-flash-exp-native-audio-thinking-dialog": replace(
        default_profile("thinking"),
        display_name="Gemini 2.5 Flash Native Audio Thinking",
        description="The native audio generation that thinks before it speaks",
    ),
    "gemini-3.8-live": replace(
        _third_generation(default_profile("native-audio")),
        display_name="Gemini 3.8 Live",
        description="The current generation",
        aliases=("gemini-3.1-flash-live-preview",),
    ),
    "gemini-3.8-live-extended-thinking": replace(
        _third_generation(default_profile("thinking")),
        display_name="Gemini 3.8 Live Extended Thinking",
        description="The current generation that thinks before it speaks",
    ),
    "gemini-3.5-live-translate-preview": replace(
        _third_generation(default_profile("translation")),
        display_name="Gemini 3.5 Live Translate",
        description="Says again in another language what it hears",
    ),
}
