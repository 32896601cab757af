"""espeak-ng's own voice: it speaks, names differ, and the child is shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
import soxr

from openlive.engines.api import EngineError, Resources
from openlive.engines.stt.prosody import measure_prosody
from openlive.engines.tts.espeak import EspeakTTS, create, find_variant_and_pitch
from openlive.engines.tts.g2p.phonemes import EspeakPhonemizer, PhonemeError
from openlive.engines.tts.kokoro.voices import VOICES
from openlive.types import INPUT_RATE, OUTPUT_RATE, Prosody, Voice


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakTTS]:
    engine = EspeakTTS(EspeakPhonemizer())
    yield engine
    asyncio.run(engine.close())


async def items(*clauses: str) -> AsyncIterator[str]:
    for clause in clauses:
        yield clause


@pytest.mark.anyio
async def test_it_speaks_and_keeps_the_text(engine: EspeakTTS) -> None:
    speech = [s async for s in engine.speak(items("Guten Tag,", " es kostet 5 €.", " 😀"), Voice("kore", "de-DE"))]
    assert [s.text for s in speech] == ["Guten Tag,", " es kostet 5 €.", " 😀"]
    assert speech[0].pcm
    assert speech[1].words[-1].end == len(speech[1].pcm) // 2
    assert not speech[2].pcm


@pytest.mark.parametrize("language", ["ar", "bn", "gu", "id", "kn", "ko", "ml", "mr", "ta", "te", "th", "vi"])
def test_every_language_makes_some_sound(engine: EspeakTTS, language: str) -> None:
    speech = engine.render_clause("1 2 3", Voice("Puck", language), language)
    samples = np.frombuffer(speech.pcm, "<i2").astype(np.float64)
    assert len(samples) > OUTPUT_RATE // 2
    assert np.sqrt((samples**2).mean()) > 300


def test_words_in_another_script_are_said_in_a_language_of_theirs(engine: EspeakTTS) -> None:
    """ "Hebrew letter shin" and so on would take thrice as long."""
    mixed, plain = (
        engine.render_clause(text, Voice("Puck"), "en").pcm for text in ("Say שלום now.", "Say shalom now.")
    )
    assert len(mixed) < 1.7 * len(plain)


def test_no_two_names_are_alike() -> None:
    assert len({(*find_variant_and_pitch(name), VOICES[name][1]) for name in VOICES}) == 30


def test_a_pace_is_kept(engine: EspeakTTS) -> None:
    slow, quick = (engine.render_clause("Hello there, you.", Voice("Puck", speed=s), "en").pcm for s in (0.7, 1.3))
    assert len(slow) > 1.3 * len(quick)


@pytest.mark.anyio
async def test_unknown_voices_and_languages_are_refused(engine: EspeakTTS) -> None:
    with pytest.raises(ValueError, match="no voice named 'alloy'"):
        [s async for s in engine.speak(items("Hi."), Voice("alloy"))]
    with pytest.raises(PhonemeError, match="no voice"):
        engine.render_clause("Hi.", Voice("Puck"), "xx")
    with pytest.raises(EngineError, match="no argument"):
        create("loud", Resources(lambda name: None, 1, 0))  # type: ignore[arg-type, return-value]


def test_pitch_and_gain_are_its_own(engine: EspeakTTS) -> None:
    """espeak-ng breathes noise into its voices, whose pitch measures half a semitone more or less for it: so a mean."""

    def heard(voice: Voice) -> Prosody:
        pcm = np.frombuffer(engine.render_clause("My brother is coming to visit us.", voice, "en").pcm, "<i2")
        found = measure_prosody(soxr.resample(pcm, OUTPUT_RATE, INPUT_RATE).astype("<i2").tobytes())
        assert found is not None
        return found

    def pitch(semitones: float) -> float:
        return float(np.mean([heard(Voice("Puck", pitch=semitones)).pitch for _ in range(4)]))

    plain = pitch(0.0)
    assert pitch(2.0) - plain == pytest.approx(2, abs=1)
    assert pitch(-2.0) - plain == pytest.approx(-2, abs=1)
    levels = [heard(Voice("Puck", gain=gain)).level for gain in (0.0, -6.0)]
    assert levels[1] - levels[0] == pytest.approx(-6, abs=1)
