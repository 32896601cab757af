"""How the user sounds, judged from measured prosody, and how the answer is spoken then.

Prosody tells how aroused a speaker is, and little about whether that is joy or anger: high arousal is fast, loud, high
and varied in pitch (joy, anger), low arousal slow, soft, low and even (sadness, tenderness); boredom is even in pitch
(Juslin & Laukka 2003, "Communication of emotions in vocal expression", table 11; Scherer 2003, "Vocal communication of
emotion"). So there are three moods, and none of them claims more.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import astuple, replace

from openlive.types import Heard, Message, Mood, Prosody, Text, Voice

ENOUGH = 0.5
"""Voiced seconds below which an utterance tells nothing: "yes" has no pace and no spread."""
REMEMBERED = 8
"""Utterances after which the oldest ones fade from what is usual."""
TYPICAL_PROSODY = Prosody(pitch=0.0, spread=6.5, level=0.0, pace=4.4, voiced=0.0)
"""Of anybody, as sentences spoken by Piper come out; pitch and level differ too much between speakers and microphones
to expect any."""
PROSODY_DEVIATION = Prosody(pitch=1.5, spread=2.0, level=3.0, pace=0.9, voiced=0.0)
"""How much each varies (one standard deviation) between a speaker's utterances in one mood: somewhat more than Piper's,
as people do."""
AROUSED, EVEN = 1.5, 1.25
"""Standard deviations from where on it is a mood; twice that is a strong one."""
LOW = 0.5
"""And from where on a single measure is low: sadness is slow and soft, or three of slow, soft, low and even. Without
that a quiet voice would be sad, and somebody who reads slowly."""


class SpeakerBaseline(Struct, frozen=True):
    """The mean of a speaker's utterances, and how many there were."""

    prosody: Prosody
    utterances: int

    def measure_deviation(self, heard: Prosody) -> Prosody:
        """In standard deviations. The fewer utterances there were, the more counts what is usual for anybody."""
        n, mine = self.utterances, self.prosody
        trust = n / (n + 1)
        return Prosody(
            pitch=trust * (heard.pitch - mine.pitch) / PROSODY_DEVIATION.pitch,
            spread=(heard.spread - (TYPICAL_PROSODY.spread + trust * (mine.spread - TYPICAL_PROSODY.spread)))
            / PROSODY_DEVIATION.spread,
            level=trust * (heard.level - mine.level) / PROSODY_DEVIATION.level,
            pace=(heard.pace - (TYPICAL_PROSODY.pace + trust * (mine.pace - TYPICAL_PROSODY.pace)))
            / PROSODY_DEVIATION.pace,
            voiced=heard.voiced,
        )


UNKNOWN_SPEAKER = SpeakerBaseline(TYPICAL_PROSODY, 0)


def update_baseline(usual: SpeakerBaseline, heard: Prosody | None) -> SpeakerBaseline:
    """With one more utterance. One in a mood counts a third: who was excited once is not subdued ever after."""
    if heard is None or heard.voiced < ENOUGH:
        return usual
    if not usual.utterances:
        return SpeakerBaseline(heard, 1)
    n = min(usual.utterances + 1, REMEMBERED)
    share = 1 / (3 * n) if judge_mood(heard, usual)[0] else 1 / n
    mean = (old + share * (new - old) for old, new in zip(astuple(usual.prosody), astuple(heard), strict=True))
    return SpeakerBaseline(Prosody(*mean), n)


def judge_mood(heard: Prosody | None, usual: SpeakerBaseline) -> tuple[Mood, bool]:
    """How an utterance sounds, and whether strongly so."""
    if heard is None or heard.voiced < ENOUGH:
        return "", False
    far = usual.measure_deviation(heard)
    arousal = (far.pitch + far.spread + far.level + far.pace) / 2
    if arousal >= AROUSED:
        return "excited", arousal >= 2 * AROUSED
    low = [measure <= -LOW for measure in (far.pace, far.level, far.pitch, far.spread)]
    if arousal <= -AROUSED and (all(low[:2]) or sum(low) >= 3):
        return "subdued", arousal <= -2 * AROUSED
    if far.spread <= -EVEN:
        return "flat", far.spread <= -2 * EVEN
    return "", False


class SpeakingStyle(Struct, frozen=True):
    """`speed` is a factor, `pitch` semitones, `gain` dB."""

    speed: float
    pitch: float
    gain: float


STYLES: dict[Mood, tuple[SpeakingStyle, SpeakingStyle]] = {
    "excited": (SpeakingStyle(1.08, 1.0, 2.0), SpeakingStyle(1.15, 2.0, 3.0)),
    "subdued": (SpeakingStyle(0.92, -0.75, -2.0), SpeakingStyle(0.86, -1.5, -4.0)),
    "flat": (SpeakingStyle(0.97, -0.25, -1.0), SpeakingStyle(0.95, -0.5, -1.5)),
}
"""How the answer is spoken to each mood, a weak and a strong one: speakers who get on become alike in pace, pitch and
level (Levitan & Hirschberg 2011, "Measuring acoustic-prosodic entrainment"). About a third of the way, so that the
voice stays itself."""


def style_voice(voice: Voice | None, messages: Sequence[Message]) -> Voice | None:
    """The voice for the answer to the latest words of the user; what is typed has no mood."""
    if voice is None:
        return None
    for message in reversed(messages):
        said = [p for p in message.parts if isinstance(p, Text | Heard)]
        if message.role == "user" and said:
            heard = next((p for p in reversed(said) if isinstance(p, Heard) and p.mood), None)
            if heard is None:
                return voice
            style = STYLES[heard.mood][heard.strong]
            return replace(voice, speed=voice.speed * style.speed, pitch=style.pitch, gain=style.gain)
    return voice
