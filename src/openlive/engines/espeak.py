"""The espeak-ng child: JSON lines on pipes, `[voice, text]` in, `[[ipa, source], …]` out.

espeak-ng is GPL-3, so it lives in a process of its own that shares nothing with ours but these lines. This file is run
by its path (`phonemes.Espeak` starts it) and imports nothing of openlive. Diphthongs and affricates come tied by `^`.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
from typing import Any

RETRIEVAL = 1  # AUDIO_OUTPUT_RETRIEVAL: no sound device is opened
UTF8 = 1  # espeakCHARS_UTF8
IPA_TIED = 0x02 | 0x80 | (ord("^") << 8)  # IPA, the character in bits 8.. as a tie


def load() -> Any:
    """The shared library of espeakng-loader, initialised."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    if library.espeak_Initialize(RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), 0) < 0:
        raise RuntimeError("espeak-ng could not read its data")
    return library


def transcribe(library: Any, text: str) -> list[tuple[str, str]]:
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


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process by closing the pipe
    library = load()
    current = ""
    for line in sys.stdin.buffer:
        try:
            voice, text = json.loads(line)
            if voice != current and library.espeak_SetVoiceByName(voice.encode()) != 0:
                current = ""
                raise ValueError(f"espeak-ng has no voice {voice!r}")
            current = voice
            answer: Any = transcribe(library, text)
        except Exception as error:
            answer = {"error": str(error)}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
