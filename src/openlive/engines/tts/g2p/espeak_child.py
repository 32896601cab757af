"""The espeak-ng child: JSON lines on pipes.

`[voice, text]` in, `[[ipa, source], …]` out: diphthongs and affricates come tied by `^`.
`[voice, text, pace, pitch, volume]` in, `[rate, pcm]` out: s16le mono in base64; a pace of 1 is 175 words a minute,
pitch is 0 to 100, volume 0 to 200.

espeak-ng is GPL-3, so it lives in a process of its own that shares nothing with ours but these lines. This file is run
by its path (`phonemes.EspeakPhonemizer` starts it) and imports nothing of openlive.
"""

from __future__ import annotations

import base64
import ctypes
import json
import signal
import sys
from typing import Any

SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: no sound device is opened, audio is handed over before espeak_Synth returns
UTF8 = 1  # espeakCHARS_UTF8
RATE, VOLUME, PITCH = 1, 2, 3  # espeakRATE, espeakVOLUME, espeakPITCH
WORDS_PER_MINUTE = 175  # espeak-ng's own
IPA_TIED = 0x02 | 0x80 | (ord("^") << 8)  # IPA, the character in bits 8.. as a tie


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def load_library() -> tuple[Any, int]:
    """The shared library of espeakng-loader, initialised, and the rate of its audio in Hz."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    library.espeak_Synth.argtypes = [
        *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
        *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
    ]
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate < 0:
        raise RuntimeError("espeak-ng could not read its data")
    return library, rate


def text_to_ipa(library: Any, text: str) -> list[tuple[str, str]]:
    """IPA per clause as espeak-ng sees clauses, each with the text that it comes from.

    espeak-ng drops punctuation and reads one character ahead of each clause; the sources are put right for that.
    """
    encoded = text.encode()
    buffer = ctypes.create_string_buffer(encoded)
    begin = ctypes.addressof(buffer)
    position = ctypes.c_void_p(begin)
    ipa: list[str] = []
    ends: list[int] = []
    while position.value:
        ipa.append(library.espeak_TextToPhonemes(ctypes.byref(position), UTF8, IPA_TIED).decode())
        ahead = encoded[: position.value - begin].decode(errors="ignore") if position.value else text
        ends.append(len(ahead) - 1 if position.value else len(text))
    starts = [0, *ends[:-1]]
    return [(p, text[start:end]) for p, start, end in zip(ipa, starts, ends, strict=True)]


def synthesise_text(library: Any, text: str, pace: float, pitch: float, volume: float) -> bytes:
    """The text as audio."""
    pieces: list[bytes] = []

    def on_audio(samples: int | None, count: int, _: int | None) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = CALLBACK(on_audio)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetParameter(RATE, round(WORDS_PER_MINUTE * pace), 0)
    library.espeak_SetParameter(PITCH, round(pitch), 0)
    library.espeak_SetParameter(VOLUME, round(volume), 0)
    encoded = text.encode()
    if library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, UTF8, None, None) != 0:
        raise RuntimeError("espeak-ng could not speak the text")
    return b"".join(pieces)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process by closing the pipe
    library, rate = load_library()
    current = ""
    for line in sys.stdin.buffer:
        try:
            voice, text, *manner = json.loads(line)
            if voice != current and library.espeak_SetVoiceByName(voice.encode()) != 0:
                current = ""
                raise ValueError(f"espeak-ng has no voice {voice!r}")
            current = voice
            answer: Any = (
                [rate, base64.b64encode(synthesise_text(library, text, *manner)).decode()]
                if manner
                else text_to_ipa(library, text)
            )
        except Exception as error:
            answer = {"error": str(error)}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
