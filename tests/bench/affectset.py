"""Sentences said in several moods: Kokoro speaks them, and what a voice does in a mood is done to its speech.

What that is comes from reviews of acted speech (Murray & Arnott 1993, "Toward the simulation of emotion in synthetic
speech", table 1; Juslin & Laukka 2003, table 11): joy and anger are faster, louder, much higher and wider in pitch;
sadness is slower, softer, lower and narrower; boredom is narrow. The amounts are the moderate ones told there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import soxr
from msgspec import Struct

from openlive.engines.stt.prosody import HOP, Array, track_pitch
from openlive.types import INPUT_RATE, OUTPUT_RATE, Speech, Voice


class Manner(Struct, frozen=True, forbid_unknown_fields=True):
    """Factors of pace and of the range of pitch, semitones, dB."""

    speed: float = 1.0
    pitch: float = 0.0
    range: float = 1.0
    gain: float = 0.0


class AffectSet(Struct, frozen=True, forbid_unknown_fields=True):
    """`before` are said in nobody's mood by each voice first; `moods` are those that each rendering may be told as."""

    voices: tuple[str, ...]
    before: tuple[str, ...]
    sentences: tuple[str, ...]
    manners: Mapping[str, Manner]
    moods: Mapping[str, tuple[str, ...]]


class Renders(Protocol):
    def render_clause(self, clause: str, voice: Voice, language: str) -> Speech: ...


class Clip(Struct, frozen=True):
    """`audio` is s16le mono 16 kHz."""

    voice: str
    text: str
    manner: str
    audio: bytes


def affect_set() -> AffectSet:
    return msgspec.json.decode((Path(__file__).parent / "sets" / "affect.json").read_bytes(), type=AffectSet)


def clips(speaker: Renders, table: AffectSet) -> Iterator[Clip]:
    """Voice by voice, `before` first."""
    for voice in table.voices:
        for text in table.before:
            yield Clip(voice, text, "", said(speaker, text, voice, Manner()))
        for text in table.sentences:
            for name, manner in table.manners.items():
                yield Clip(voice, text, name, said(speaker, text, voice, manner))


def said(speaker: Renders, text: str, voice: str, manner: Manner) -> bytes:
    """`text` in that manner, s16le mono 16 kHz; peaks lie 12 dB below full scale where it is not louder or softer."""
    speech = speaker.render_clause(text, Voice(voice, "en-US", manner.speed, manner.pitch), "en")
    samples = soxr.resample(np.frombuffer(speech.pcm, "<i2").astype(np.float32) / 32768, OUTPUT_RATE, INPUT_RATE)
    samples = ranged(samples, manner.range)
    samples *= 10 ** ((manner.gain - 12) / 20) / np.abs(samples).max()
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def ranged(samples: Array, factor: float) -> Array:
    """The same with a range of pitch that is `factor` as wide: played faster where it is to be higher."""
    pitch = track_pitch(samples)
    voiced = np.flatnonzero(~np.isnan(pitch))
    if factor == 1 or not len(voiced):
        return samples.copy()
    at = np.arange(len(samples))
    contour = np.interp(at, voiced * HOP, pitch[voiced])
    rate = 2 ** ((factor - 1) * (contour - np.median(pitch[voiced])) / 12)
    until = np.cumsum(1 / rate)
    where = np.interp(np.arange(until[-1]), until, at)
    moved: Array = np.interp(where, at, samples).astype(np.float32)
    return moved
