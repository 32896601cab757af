"""One sentence, said excited, flat and slow, is answered in the same words and in different ways."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import soxr

from openlive.engines.stt.prosody import measure_prosody
from openlive.engines.tts.espeak import EspeakTTS
from openlive.engines.tts.g2p.phonemes import EspeakPhonemizer
from openlive.testing.scripted import ScriptedLLM
from openlive.types import INPUT_RATE, OUTPUT_RATE, Heard, Prosody
from tests.bench.affectset import Manner, said
from tests.sdk.live import AUDIO, pcm, receive, session
from tests.sdk.test_affect import NATIVE
from tests.serving import Scripted, Server, serving, silence

pytestmark = pytest.mark.anyio

SENTENCE = "They want to see me again tomorrow, and I will be there."
ANSWER = "Then I will set the alarm for seven."
MANNERS = {
    "plain": Manner(range=2.0),
    "excited": Manner(speed=1.2, pitch=4, range=3.0, gain=6),
    "flat": Manner(range=0.5),
    "slow": Manner(speed=0.7, pitch=-2, range=1.4, gain=-6),
}
"""espeak-ng is half as lively as people are."""


@pytest.fixture(scope="module")
def voice() -> EspeakTTS:
    """The server closes it."""
    return EspeakTTS(EspeakPhonemizer())


@pytest.fixture(scope="module")
def clips(voice: EspeakTTS) -> dict[str, bytes]:
    return {name: said(voice, SENTENCE, "Kore", manner) for name, manner in MANNERS.items()}


@pytest.fixture(scope="module")
def server(voice: EspeakTTS) -> Iterator[Server]:
    with serving(Scripted(llm=ScriptedLLM(replies=(ANSWER,)), tts=voice).engines) as running:
        yield running


async def answers(server: Server, clips: dict[str, bytes], *, affective: bool) -> dict[str, bytes]:
    """One conversation in which each is said and answered; s16le mono 24 kHz."""
    config = AUDIO | ({"enable_affective_dialog": True} if affective else {})
    found = {}
    async with session(server, config, NATIVE, seconds=60, api_version="v1alpha") as opened:
        for name, clip in clips.items():
            await opened.send_realtime_input(audio=pcm(clip + silence(1.2)))
            turn = await receive(opened)
            found[name] = b"".join(blob.data or b"" for blob in turn.blobs)
    return found


def heard(answer: bytes) -> Prosody:
    samples = soxr.resample(np.frombuffer(answer, "<i2").astype(np.float32), OUTPUT_RATE, INPUT_RATE)
    found = measure_prosody(samples.astype("<i2").tobytes())
    assert found is not None
    return found


async def test_each_is_answered_in_kind(server: Server, clips: dict[str, bytes]) -> None:
    given = await answers(server, clips, affective=True)
    parts = [part for message in server.sessions[-1].messages for part in message.parts if isinstance(part, Heard)]
    assert [part.mood for part in parts] == ["", "excited", "flat", "subdued"]
    plain, excited, flat, slow = map(heard, given.values())
    lengths = [len(answer) / len(given["plain"]) for answer in given.values()]
    assert lengths[1] < 0.96
    assert lengths[2] > 1.01
    assert lengths[3] > 1.05
    assert excited.pitch > plain.pitch + 0.5
    assert slow.pitch < plain.pitch - 0.4
    assert excited.level > plain.level + 1.0
    assert slow.level < flat.level < plain.level - 0.5


async def test_without_it_all_are_answered_alike(server: Server, clips: dict[str, bytes]) -> None:
    given = await answers(server, {name: clips[name] for name in ("excited", "slow")}, affective=False)
    excited, slow = heard(given["excited"]), heard(given["slow"])
    # espeak-ng's noise differs from time to time, and so does the length of what it says, by 0.7 %.
    assert len(given["excited"]) == pytest.approx(len(given["slow"]), rel=0.02)
    assert excited.pitch == pytest.approx(slow.pitch, abs=0.1)
    assert excited.level == pytest.approx(slow.level, abs=0.1)
