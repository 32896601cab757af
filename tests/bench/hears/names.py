"""Whether a name that is called is heard, and its bearer answers (`names.json`): proactive audio, each line by three
voices. Lines that are not meant for the model begin with what sounds like its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tests.bench.hears.words import Speaker
from tests.core.world import TALK

VOICES = ("Puck", "Kore", "Charon", "Zephyr", "piper Puck", "Fenrir", "Leda", "Erinome")
ROUNDS = 3


class Line(Struct, frozen=True, rename={"source": "from"}):
    """`source`: where the model has its name from, its own (`model`), its instructions or a vocabulary."""

    name: str
    source: str
    said: str
    meant: bool
    aside: bool

    @property
    def setup(self) -> dict[str, Any]:
        asked: dict[str, Any] = {**TALK, "proactivity": {"proactiveAudio": True}}
        if self.source == "instructions":
            words = f"You are {self.name}, a friendly assistant in a family's kitchen. Be brief."
            asked["systemInstruction"] = {"parts": [{"text": words}]}
        if self.source == "vocabulary":
            asked["inputAudioTranscription"] = {"customVocabulary": [self.name]}
        return asked


def lines() -> list[Line]:
    return msgspec.json.decode(Path(__file__).with_name("names.json").read_bytes(), type=list[Line])


def spoken(speaker: Speaker) -> Iterator[tuple[Line, str, bytes]]:
    """Each line, by whom, and its audio."""
    for number, line in enumerate(lines()):
        for turn in range(ROUNDS):
            voice = VOICES[(number * ROUNDS + turn) % len(VOICES)]
            yield line, voice, speaker.say(line.said, voice, "en")
