"""The API's voice names (docs/protocol.md#voices) in Kokoro's voices, language by language.

In English every name has a timbre of its own: a voice of Kokoro's (its published grade and the name's character
decided), or the mean of two where the male ones run out. In the other languages there are one to four voices; names
share them, by gender, and are told apart by pitch and pace.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from openlive.types import Voice

Style = npt.NDArray[np.float32]
"""float32[510, 1, 256]: row n is for n phonemes."""

VOICES: dict[str, str] = {
    # the eight of half-cascade models
    "Puck": "am_puck",
    "Charon": "bm_george",
    "Kore": "af_kore",
    "Fenrir": "am_fenrir",
    "Aoede": "af_aoede",
    "Leda": "af_bella",
    "Orus": "am_michael",
    "Zephyr": "af_heart",
    # the other twenty-two of native audio
    "Callirrhoe": "af_river",
    "Autonoe": "af_nova",
    "Enceladus": "am_michael+am_onyx",
    "Iapetus": "bm_daniel",
    "Umbriel": "am_echo",
    "Algieba": "am_onyx",
    "Despina": "af_alloy",
    "Erinome": "bf_emma",
    "Algenib": "am_santa",
    "Rasalgethi": "bm_fable",
    "Laomedeia": "af_jessica",
    "Achernar": "af_nicole",
    "Alnilam": "am_eric",
    "Schedar": "am_michael+bm_george",
    "Gacrux": "bf_isabella",
    "Pulcherrima": "af_sarah",
    "Achird": "am_liam",
    "Zubenelgenubi": "am_adam+am_echo",
    "Vindemiatrix": "bf_lily",
    "Sadachbia": "am_eric+am_puck",
    "Sadaltager": "bm_lewis",
    "Sulafat": "af_sky",
}

NATIVE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "es": (("ef_dora",), ("em_alex", "em_santa")),
    "fr": (("ff_siwis",), ("ff_siwis+em_alex",)),
    "hi": (("hf_alpha", "hf_beta"), ("hm_omega", "hm_psi")),
    "it": (("if_sara",), ("im_nicola",)),
    "ja": (("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro"), ("jm_kumo",)),
    "pt": (("pf_dora",), ("pm_alex", "pm_santa")),
    "zh": (
        ("zf_xiaobei", "zf_xiaoni", "zf_xiaoxiao", "zf_xiaoyi"),
        ("zm_yunjian", "zm_yunxi", "zm_yunxia", "zm_yunyang"),
    ),
}
"""Language -> (female, male) voices that grew up with it. French has no man; halfway from its woman to a Spaniard he
is understood as well as she is, the Spaniard is not, nor English voices (`tests/bench/languages.py`)."""
ELSEWHERE = (("if_sara",), ("em_alex",))
"""For languages that Kokoro never learned, unless another one's voices come nearer. In German read back by Whisper base
both have a WER of 5 %, the French woman 37 %, the Spanish one 32 %, English voices 31 % and more."""
NATIVE |= dict.fromkeys(("bn", "gu", "kn", "ml", "mr", "ta", "te"), NATIVE["hi"]) | {"ko": NATIVE["ja"]}

MANNERS: dict[str, tuple[float, float]] = {
    "Puck": (1.0, 1.06),
    "Charon": (-0.5, 1.0),
    "Kore": (0.0, 1.0),
    "Fenrir": (1.5, 1.08),
    "Aoede": (0.5, 1.08),
    "Leda": (2.0, 1.03),
    "Orus": (0.0, 0.97),
    "Zephyr": (1.0, 1.03),
    "Callirrhoe": (-0.5, 0.95),
    "Autonoe": (1.5, 1.0),
    "Enceladus": (0.5, 0.92),
    "Iapetus": (0.5, 0.98),
    "Umbriel": (-0.5, 0.95),
    "Algieba": (-1.0, 0.96),
    "Despina": (-1.0, 0.98),
    "Erinome": (0.5, 0.97),
    "Algenib": (-2.0, 0.94),
    "Rasalgethi": (0.0, 1.02),
    "Laomedeia": (1.0, 1.08),
    "Achernar": (0.5, 0.92),
    "Alnilam": (-1.5, 1.0),
    "Schedar": (-1.0, 1.01),
    "Gacrux": (-2.0, 0.96),
    "Pulcherrima": (-0.5, 1.05),
    "Achird": (1.0, 1.0),
    "Zubenelgenubi": (-0.5, 1.06),
    "Vindemiatrix": (0.0, 0.93),
    "Sadachbia": (2.0, 1.06),
    "Sadaltager": (-1.5, 0.95),
    "Sulafat": (-1.5, 0.94),
}
"""Semitones and pace by which a name speaks a voice that it shares, in keeping with its character: bright, youthful and
lively ones are higher, gravelly and mature ones lower, excitable and upbeat ones faster, soft and gentle ones slower.
Two that share a voice differ by half a semitone or a twentieth of the pace at least, which listeners tell apart; none
is understood worse for it (docs/engines.md)."""

SPEAKS = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt", "z": "zh"}
"""First letter of a voice -> its language."""

SPELLED = {name.lower(): name for name in VOICES}


def canonical_name(name: str) -> str:
    """The name as the API writes it, whatever its case; Kokoro's own (`af_heart`, `a+b`) pass. '' if it is neither."""
    if found := SPELLED.get(name.lower()):
        return found
    return name if name and all(len(part) > 3 and part[2] == "_" for part in name.split("+")) else ""


def find_kokoro_voice(name: str, language: str, chosen: Mapping[str, str] | None = None) -> str:
    """Kokoro's voice (or two, joined by +) for a name in a language (a bare code). Kokoro's own names stay. `chosen`
    gives names other voices, each in the language that the voice speaks."""
    if name not in VOICES:
        return name
    english = VOICES[name]
    if chosen and SPEAKS.get((own := chosen.get(name, english))[0]) == language:
        return own
    if language == "en":
        return english
    female, male = NATIVE.get(language, ELSEWHERE)
    choice = female if english[1] == "f" else male
    return choice[list(VOICES).index(name) % len(choice)]


def apply_manner(voice: Voice, language: str, chosen: Mapping[str, str] | None = None) -> Voice:
    """How a name speaks in a language (a bare code): as it is where the voice is its own, else in its manner."""
    if voice.name not in VOICES:
        return voice
    if find_kokoro_voice(voice.name, language, chosen) in {VOICES[voice.name], (chosen or {}).get(voice.name)}:
        return voice
    pitch, pace = MANNERS[voice.name]
    return replace(voice, pitch=voice.pitch + pitch, speed=voice.speed * pace)


class StyleTables:
    """The style tables of a folder of `.bin` files, read when they are first needed (half a megabyte each)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables: dict[str, Style] = {}

    def __getitem__(self, name: str) -> Style:
        if name not in self._tables:
            tables = [np.fromfile(self._folder / f"{part}.bin", np.float32) for part in name.split("+")]
            self._tables[name] = np.mean(tables, axis=0, dtype=np.float32).reshape(-1, 1, 256)
        return self._tables[name]

    def __contains__(self, name: str) -> bool:
        return all((self._folder / f"{part}.bin").is_file() for part in name.split("+"))
