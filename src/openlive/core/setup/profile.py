"""A model as a client names it: what it can do and how it behaves."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from openlive.core.setup.languages import LANGUAGES
from openlive.types import FunctionDeclaration
from openlive.wire.setup import Modality

HALF_CASCADE_VOICES = ("Puck", "Charon", "Kore", "Fenrir", "Aoede", "Leda", "Orus", "Zephyr")
"""docs/protocol.md#voices."""
NATIVE_VOICES = (
    *("Zephyr", "Puck", "Charon", "Kore", "Fenrir", "Leda", "Orus", "Aoede", "Callirrhoe", "Autonoe", "Enceladus"),
    *("Iapetus", "Umbriel", "Algieba", "Despina", "Erinome", "Algenib", "Rasalgethi", "Laomedeia", "Achernar"),
    *("Alnilam", "Schedar", "Gacrux", "Pulcherrima", "Achird", "Zubenelgenubi", "Vindemiatrix", "Sadachbia"),
    *("Sadaltager", "Sulafat"),
)


class ModelProfile(Struct, frozen=True):
    """`name` has no `models/` before it. `history` says what of an interrupted answer is remembered."""

    name: str
    display_name: str = ""
    description: str = ""
    modalities: tuple[Modality, ...] = (Modality.TEXT, Modality.AUDIO)
    default_modality: Modality = Modality.AUDIO
    voices: tuple[str, ...] = HALF_CASCADE_VOICES
    default_voice: str = "Puck"
    languages: tuple[str, ...] = LANGUAGES
    """That a client may ask for."""
    history: Literal["heard", "sent"] = "heard"
    input_token_limit: int = 32_768
    output_token_limit: int = 8_192
    engine_token_limit: int = 0
    """What the language model behind it can hold, by its own count; 0: not known."""
    thinking: bool = False
    """Whether it thinks before it answers where the client does not say."""
    translates: bool = False
    """It says again in another language what it hears, and nothing else."""
    tools: tuple[FunctionDeclaration, ...] = ()
    """Those of the server's that a client may ask for."""
    refuses_tools: bool = True
    """Whether a client that asks for others is refused; else it has to do without."""
    turn_complete_after_call: bool = False
    """Whether the turn ends with a function call (docs/protocol.md#function-calling)."""
    queues_during_calls: bool = False
    """Whether contents wait while a function's result is awaited, instead of interrupting
    (docs/protocol.md#function-calling)."""
    affective_dialog: bool = False
    """Whether a client may ask for it (docs/protocol.md#native-audio)."""
    proactive: bool = False
    """Whether a client may ask for proactive audio (docs/protocol.md#native-audio)."""
    addressee: bool = False
    """Whether the server can tell who is spoken to."""
    watcher: bool = False
    """Whether the server can tell that a frame shows what the model is to speak up about."""
    heic: bool = False
    """Whether the server can decode pictures in HEIC."""
    turn_detector: bool = False
    """Whether the server can judge that a user has finished; else the silence alone tells."""
    barge_in: Literal["onset", "words"] = "onset"
    """What interrupts an answer: any speech, or the first word of it that is no back-channel."""
    voice_activity: bool = False
    """Whether `voiceActivity` is told unasked, as the 3.x generation does."""
    all_video: bool = False
    """Whether every frame between two turns counts where the client does not say (docs/protocol.md#turns-and-vad)."""
    loads_history: bool = True
    """Whether it knows `historyConfig`; where not, the first contents are answered like any
    (docs/protocol.md#contents)."""
    transcript_end: Literal["alone", "with_text", "never"] = "alone"
    """How the end of a transcript is told (docs/protocol.md#the-end-of-a-transcript): `finished` in a message of its
    own, the user's in that with the last of its text, or not at all."""
    interim_transcripts: bool = False
    """Whether what may still change is told, too, as `interimInputTranscription`."""
