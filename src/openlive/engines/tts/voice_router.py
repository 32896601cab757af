"""Names that speak with an engine of their own: a voice that hands each text to the one whose name was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from openlive.engines.api import TTS, EngineError
from openlive.types import Speech, Voice


class VoiceRouter:
    """A `TTS`. All names but those in `cast` speak with `everyone`."""

    def __init__(self, everyone: TTS, cast: Mapping[str, TTS]) -> None:
        self._everyone = everyone
        self._by_voice = cast

    @property
    def voices(self) -> Sequence[str]:
        return tuple(dict.fromkeys((*self._everyone.voices, *self._by_voice)))

    def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncIterator[Speech]:
        return self._by_voice.get(voice.name, self._everyone).speak(text, voice)


def load_voice_engines(make: Callable[[str], TTS], spec: str, voices: Mapping[str, str]) -> TTS:
    """The engine `spec`, and that of each name in `voices`, where there are any; each is made once. Raises
    `EngineError` with the name's place in the configuration."""
    engines = {spec: make(spec)}
    for name, own in voices.items():
        try:
            engine = engines[own] = engines.get(own) or make(own)
        except EngineError as error:
            raise EngineError(f"engines.voices.{name}: {error}") from error
        if name not in engine.voices:
            raise EngineError(f"engines.voices.{name}: {own} has no voice of this name.")
    return VoiceRouter(engines[spec], {name: engines[own] for name, own in voices.items()}) if voices else engines[spec]
