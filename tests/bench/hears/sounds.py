"""Sounds that are no words (`sounds.json`), made by arithmetic: laughter, breath, hums, keyboards, music, a television
behind a door. Each is the same whenever it is made: its number seeds what is random in it.

Voices are a source and its filter: the pulses of the vocal cords, or noise for a breath, through three resonances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from openlive.audio import read_wav
from openlive.types import INPUT_RATE as RATE

Wave = npt.NDArray[np.float64]
Random = np.random.Generator

VOWELS = {
    "a": (750.0, 1200.0, 2500.0),
    "e": (480.0, 1900.0, 2600.0),
    "o": (450.0, 800.0, 2500.0),
    "u": (330.0, 800.0, 2300.0),
    "schwa": (500.0, 1500.0, 2500.0),
    "m": (250.0, 1100.0, 2200.0),
}
"""Resonances in Hz: Peterson & Barney 1952, rounded."""


class Sound(Struct, frozen=True):
    """`audio` is s16le mono 16 kHz. `aside`: of the half that no rule was chosen by."""

    name: str
    kind: str
    aside: bool
    audio: bytes


def sounds() -> Iterator[Sound]:
    """Every second one of a kind is set aside."""
    kinds = msgspec.json.decode(Path(__file__).with_name("sounds.json").read_bytes(), type=dict[str, int])
    for place, (kind, count) in enumerate(kinds.items()):
        for number in range(count):
            random = np.random.default_rng((13, place, number))
            wave = MAKERS[kind](random)
            level = 10 ** (random.uniform(-32, -14) / 20)
            rms = float(np.sqrt(np.mean(wave**2)))
            wave = wave * min(level / max(rms, 1e-9), 0.95 / max(float(np.abs(wave).max()), 1e-9))
            yield Sound(f"{kind} {number}", kind, number % 2 == 1, pcm(wave))


def pcm(wave: Wave) -> bytes:
    return (np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes()


# --- parts ------------------------------------------------------------------------------------------------------------


def silence(seconds: float) -> Wave:
    return np.zeros(round(seconds * RATE))


def noise(random: Random, seconds: float) -> Wave:
    return random.normal(0, 1, round(seconds * RATE))


def fade(wave: Wave, attack: float, decay: float) -> Wave:
    """Rises within `attack` seconds, dies away with the time constant `decay`."""
    at = np.arange(len(wave)) / RATE
    return wave * np.minimum(1, at / attack) * np.exp(-at / decay)


def arch(wave: Wave, edge: float = 0.04) -> Wave:
    at = np.arange(len(wave)) / RATE
    return wave * np.minimum(1, np.minimum(at, at[::-1]) / edge)


def band(wave: Wave, low: float, high: float) -> Wave:
    """Only what lies between two frequencies, with soft edges."""
    spectrum, hertz = np.fft.rfft(wave), np.fft.rfftfreq(len(wave), 1 / RATE)
    gain = 1 / (1 + (hertz / high) ** 8) * (1 - 1 / (1 + (hertz / max(low, 1e-6)) ** 8))
    return np.asarray(np.fft.irfft(spectrum * gain, len(wave)))


def formants(wave: Wave, vowel: str, size: float = 1.0) -> Wave:
    """Through the resonances of a vowel; a smaller head has higher ones."""
    spectrum, hertz = np.fft.rfft(wave), np.fft.rfftfreq(len(wave), 1 / RATE)
    gain = np.zeros_like(hertz)
    for place, centre in enumerate(VOWELS[vowel]):
        width = 50 + 0.06 * centre * size
        gain += 0.5**place / np.sqrt(1 + ((hertz - centre * size) / width) ** 2)
    return np.asarray(np.fft.irfft(spectrum * gain, len(wave)))


def cords(random: Random, pitch: Wave, rough: float = 0.02) -> Wave:
    """Pulses of the vocal cords; `pitch` in Hz for each sample, which wavers."""
    slow = np.interp(
        np.arange(len(pitch)), np.arange(0, len(pitch) + 400, 400), random.normal(0, 1, len(pitch) // 400 + 2)
    )
    phase = np.cumsum(pitch * (1 + rough * slow)) / RATE
    pulse = (1 - np.mod(phase, 1)) ** 3
    return np.asarray(pulse - pulse.mean())


def glide(*hertz: float, seconds: float) -> Wave:
    count = round(seconds * RATE)
    return np.interp(np.arange(count), np.linspace(0, count, len(hertz)), hertz)


def tone(hertz: float, seconds: float, partials: Sequence[float] = (1.0,)) -> Wave:
    at = np.arange(round(seconds * RATE)) / RATE
    parts = [share * np.sin(2 * np.pi * hertz * (n + 1) * at) for n, share in enumerate(partials)]
    return np.asarray(np.sum(parts, axis=0))


def mix(*parts: tuple[float, Wave]) -> Wave:
    """Each from its second on."""
    out = np.zeros(max(round(at * RATE) + len(wave) for at, wave in parts))
    for at, wave in parts:
        begin = round(at * RATE)
        out[begin : begin + len(wave)] += wave
    return out


def far(random: Random, wave: Wave, seconds: float = 0.4) -> Wave:
    """As it sounds across a room."""
    echo = fade(noise(random, seconds), 0.001, seconds / 4)
    echo[0] = 4
    size = len(wave) + len(echo)
    return np.asarray(np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(echo, size), size)[: len(wave)])


# --- people without words ---------------------------------------------------------------------------------------------


def laughter(random: Random) -> Wave:
    """ "Ha ha ha": bursts of voice and breath, five in a second, each bout falling."""
    vowel, size = str(random.choice(["a", "e", "schwa", "o"])), random.uniform(1.0, 1.25)
    base, parts, at = random.uniform(160, 380), [], random.uniform(0, 0.3)
    for _ in range(random.integers(2, 5)):
        for beat in range(random.integers(3, 9)):
            length = random.uniform(0.06, 0.12)
            pitch = base * (1.25 - 0.05 * beat)
            voice = cords(random, glide(pitch, pitch * 0.85, seconds=length), 0.05)
            breath = 0.3 * noise(random, length + 0.06)
            burst = mix((0.0, arch(breath, 0.03)), (0.03, arch(voice, 0.015)))
            parts.append((at, formants(burst, vowel, size) * 0.92**beat))
            at += random.uniform(0.16, 0.23)
        at += random.uniform(0.2, 0.7)
    return mix(*parts)


def breath(random: Random) -> Wave:
    parts, at = [], 0.0
    for turn in range(random.integers(3, 7)):
        length = random.uniform(0.5, 1.3)
        shape = arch(noise(random, length), length / 2.2)
        parts.append((at, band(formants(shape, ("schwa", "a")[turn % 2]), 200, 6000) * (1, 0.6)[turn % 2]))
        at += length + random.uniform(0.1, 0.5)
    return mix(*parts)


def cough(random: Random) -> Wave:
    parts, at = [], 0.0
    for _ in range(random.integers(1, 5)):
        length = random.uniform(0.15, 0.35)
        pitch = random.uniform(90, 220)
        voice = 0.5 * cords(random, glide(pitch, pitch * 0.7, seconds=length), 0.15)
        burst = fade(mix((0.0, noise(random, length)), (0.03, voice)), 0.005, length / 3)
        parts.append((at, formants(burst, str(random.choice(["a", "schwa", "o"])))))
        at += length + random.uniform(0.1, 0.4)
    return mix(*parts)


def humming(random: Random) -> Wave:
    """A tune with the mouth closed."""
    base, parts, at = random.uniform(110, 240), [], 0.0
    for step in random.choice([0, 2, 4, 5, 7, 9], random.integers(5, 11)):
        length = random.uniform(0.25, 0.6)
        pitch = base * 2 ** (step / 12)
        parts.append((at, arch(formants(cords(random, glide(pitch, pitch, seconds=length), 0.01), "m"))))
        at += length + random.uniform(0.0, 0.06)
    return mix(*parts)


def crying(random: Random) -> Wave:
    """A baby."""
    parts, at = [], 0.0
    for _ in range(random.integers(3, 6)):
        length, pitch = random.uniform(0.5, 1.0), random.uniform(380, 520)
        voice = cords(random, glide(pitch * 0.8, pitch * 1.2, pitch, pitch * 0.7, seconds=length), 0.03)
        parts.append((at, arch(formants(voice, str(random.choice(["a", "e"])), 1.4), 0.08)))
        at += length + random.uniform(0.2, 0.5)
    return mix(*parts)


def groan(random: Random) -> Wave:
    """Sighs, yawns, "aaah"."""
    parts, at = [], 0.0
    for _ in range(random.integers(1, 4)):
        length, pitch = random.uniform(0.6, 1.8), random.uniform(90, 230)
        source = cords(random, glide(pitch, pitch * 1.25, pitch * 0.6, seconds=length), 0.04)
        source = source * random.uniform(0.3, 1) + 0.2 * noise(random, length)
        parts.append((at, arch(formants(source, str(random.choice(["a", "o", "schwa", "u"]))), 0.15)))
        at += length + random.uniform(0.3, 0.8)
    return mix(*parts)


def babble(random: Random) -> Wave:
    """Voices that say nothing: vowels at random over one another, as a crowd at a distance sounds."""
    parts = []
    for _ in range(random.integers(4, 9)):
        at, base, size = random.uniform(0, 0.5), random.uniform(90, 250), random.uniform(0.95, 1.2)
        while at < 4.5:
            length = random.uniform(0.1, 0.25)
            pitch = base * random.uniform(0.85, 1.2)
            voice = cords(random, glide(pitch, pitch * random.uniform(0.9, 1.1), seconds=length), 0.03)
            vowel = str(random.choice(list(VOWELS)))
            parts.append((at, arch(formants(voice + 0.05 * noise(random, length)[: len(voice)], vowel, size), 0.03)))
            at += length + random.choice([0.02, 0.05, 0.4], p=[0.5, 0.3, 0.2])
    return far(random, mix(*parts))


def television(random: Random) -> Wave:
    """One or two voices and their music behind a door: little above 500 Hz comes through."""
    voices = [babble_of_one(random) for _ in range(random.integers(1, 3))]
    music_share = random.uniform(0, 0.3)
    sound = mix(*((random.uniform(0, 0.4), voice) for voice in voices), (0.0, music_share * music(random)))
    return far(random, band(sound, 80, random.uniform(350, 700)))


def babble_of_one(random: Random) -> Wave:
    at, base, parts = 0.0, random.uniform(95, 220), []
    while at < 4.5:
        length = random.uniform(0.08, 0.22)
        pitch = base * (1.15 - 0.05 * (at % 2)) * random.uniform(0.9, 1.1)
        voice = cords(random, glide(pitch, pitch * 0.95, seconds=length), 0.03)
        parts.append((at, arch(formants(voice, str(random.choice(list(VOWELS)))), 0.02)))
        if random.random() < 0.4:
            parts.append((at + length, 0.15 * band(arch(noise(random, 0.07), 0.02), 2500, 7000)))
            at += 0.06
        at += length + random.choice([0.01, 0.04, 0.35], p=[0.5, 0.35, 0.15])
    return mix(*parts)


def door(random: Random) -> Wave:
    """Somebody who reads in the next room: of the recordings of people, what a wall lets through. Nobody understands
    it."""
    chosen = sorted((Path(__file__).parents[2] / "speech" / "human").glob("*.wav"))
    audio = np.frombuffer(read_wav(chosen[random.integers(len(chosen))]), "<i2").astype(np.float64)
    return far(random, band(audio, 60, random.uniform(220, 380)))


# --- things -----------------------------------------------------------------------------------------------------------


def keyboard(random: Random) -> Wave:
    parts, at = [], 0.1
    while at < 4:
        click = fade(band(noise(random, 0.05), random.uniform(800, 2500), 7500), 0.0008, 0.006)
        thud = 0.4 * fade(band(noise(random, 0.08), 80, 500), 0.002, 0.015)
        parts += [
            (at, random.uniform(0.5, 1) * click),
            (at + 0.002, thud),
            (at + random.uniform(0.06, 0.1), 0.3 * click),
        ]
        at += random.exponential(0.12) + 0.05
    return mix(*parts)


def music(random: Random) -> Wave:
    """Chords, a melody and a drum."""
    beat, root = random.uniform(0.3, 0.6), random.uniform(110, 220)
    partials = [random.uniform(0.2, 1) / (n + 1) for n in range(random.integers(2, 9))]
    parts = []
    for place in range(round(4.5 / beat)):
        chord = root * 2 ** (random.choice([0, 5, 7, -3]) / 12)
        if place % 2 == 0:
            for step in (0, random.choice([3, 4]), 7):
                wave = tone(chord * 2 ** (step / 12), 2 * beat, partials)
                parts.append((place * beat, 0.3 * fade(wave, 0.01, beat)))
        melody = tone(chord * 2 ** (random.choice([12, 14, 16, 19]) / 12), beat, partials)
        parts.append((place * beat, 0.5 * fade(melody, 0.02, beat)))
        parts.append((place * beat, random.uniform(0, 0.8) * fade(band(noise(random, 0.1), 60, 5000), 0.002, 0.03)))
    return mix(*parts)


def singing(random: Random) -> Wave:
    """A choir on a vowel, or one voice without words."""
    vowel, parts, at = str(random.choice(["a", "o", "u", "e"])), [], 0.0
    base, voices = random.uniform(130, 330), random.integers(1, 4)
    for step in random.choice([0, 2, 4, 5, 7], random.integers(3, 7)):
        length = random.uniform(0.5, 1.1)
        wobble = 1 + 0.02 * np.sin(2 * np.pi * 5.5 * np.arange(round(length * RATE)) / RATE)
        for _ in range(voices):
            pitch = base * 2 ** (step / 12) * random.uniform(0.995, 1.005) * wobble
            parts.append((at, arch(formants(cords(random, pitch, 0.005), vowel), 0.06)))
        at += length
    return mix(*parts)


def machine(random: Random) -> Wave:
    """A fan, a vacuum cleaner, an engine."""
    hum = tone(random.uniform(45, 240), 4.5, [1 / (n + 1) for n in range(12)])
    air = band(noise(random, 4.5), 100, random.uniform(800, 6000))
    return arch(random.uniform(0.1, 1) * hum + air * random.uniform(0.3, 2), 0.4)


def weather(random: Random) -> Wave:
    """Rain or wind."""
    air = band(noise(random, 4.5), 60, random.uniform(400, 7000))
    slow = np.interp(np.arange(len(air)), np.linspace(0, len(air), 12), random.uniform(0.2, 1, 12))
    drops = mix(
        (4.4, silence(0.1)), *((at, fade(noise(random, 0.03), 0.001, 0.004)) for at in random.uniform(0, 4.3, 40))
    )
    return air * slow + float(random.choice([0.0, 1.0])) * drops[: len(air)]


def blows(random: Random) -> Wave:
    """Doors, knocks, plates, steps."""
    parts, at = [], 0.1
    for _ in range(random.integers(2, 9)):
        low = random.uniform(60, 900)
        wave = fade(band(noise(random, 0.6), low, low * random.uniform(3, 8)), 0.002, random.uniform(0.02, 0.15))
        parts.append((at, random.uniform(0.3, 1) * wave))
        at += random.uniform(0.12, 0.8)
    return mix(*parts)


def signals(random: Random) -> Wave:
    """Ringing, beeps, tones of keys, a siren."""
    parts, at = [], 0.0
    first, second = random.uniform(400, 900), random.uniform(1000, 1700)
    for _ in range(random.integers(4, 10)):
        length = random.uniform(0.1, 0.5)
        wave = tone(first, length) + tone(second, length)
        if random.random() < 0.3:
            wave = np.sin(2 * np.pi * np.cumsum(glide(first, second, first, seconds=length)) / RATE)
        parts.append((at, arch(wave, 0.01)))
        at += length + random.uniform(0.05, 0.5)
    return mix(*parts)


def barking(random: Random) -> Wave:
    parts, at = [], 0.1
    for _ in range(random.integers(2, 7)):
        length, pitch = random.uniform(0.12, 0.25), random.uniform(250, 600)
        voice = cords(random, glide(pitch * 0.7, pitch, pitch * 0.5, seconds=length), 0.15)
        parts.append((at, arch(formants(voice + 0.2 * noise(random, length)[: len(voice)], "a", 1.2), 0.02)))
        at += length + random.uniform(0.15, 0.6)
    return mix(*parts)


def whistling(random: Random) -> Wave:
    parts, at, base = [], 0.0, random.uniform(700, 1300)
    for step in random.choice([0, 2, 4, 5, 7, 9, 12], random.integers(4, 10)):
        length = random.uniform(0.2, 0.5)
        hertz = glide(base * 2 ** (step / 12) * 0.97, base * 2 ** (step / 12), seconds=length)
        parts.append(
            (at, arch(np.sin(2 * np.pi * np.cumsum(hertz) / RATE) + 0.03 * noise(random, length)[: len(hertz)]))
        )
        at += length + 0.03
    return mix(*parts)


def applause(random: Random) -> Wave:
    claps = (
        (at, random.uniform(0.3, 1) * fade(band(noise(random, 0.05), 600, 5000), 0.001, 0.008))
        for at in random.uniform(0, 4, 300)
    )
    return mix((4.4, silence(0.1)), *claps)


MAKERS: dict[str, Callable[[Random], Wave]] = {
    maker.__name__: maker
    for maker in (
        *(laughter, breath, cough, humming, crying, groan, babble, television, door, singing),
        *(keyboard, music, machine, weather, blows, signals, barking, whistling, applause),
    )
}
