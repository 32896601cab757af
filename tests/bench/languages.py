"""How well each language of the guide is spoken: `python -m tests.bench.languages --only de-DE`.

Speaks five sentences per code (`languages.json`) with Kokoro and with espeak-ng, each by five voices, has Whisper base
write down what it hears with the language as a hint, and prints how much of it differs: words (WER), or characters
(CER) in scripts without spaces. Whisper's own mistakes are in it: what nobody speaks badly, it may still hear badly.

`--voice Leda` tells what the manner of a name costs: Kokoro says all the sentences as Leda does, and as she would with
neither her pitch nor her pace.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import unicodedata
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import click
import jiwer
import numpy as np
import soxr
from rich.console import Console
from rich.table import Table

from openlive.engines.api import TTS, Resources
from openlive.engines.text.languages import bare_language
from openlive.engines.tts.espeak import EspeakTTS
from openlive.engines.tts.g2p.phonemes import EspeakPhonemizer
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.engines.tts.kokoro.engine import KokoroTTS
from openlive.engines.tts.kokoro.voices import VOICES, find_kokoro_voice
from openlive.models import ensure
from openlive.types import INPUT_RATE, OUTPUT_RATE, Voice

SENTENCES: Mapping[str, Sequence[str]] = json.loads(
    (Path(__file__).parent / "sets" / "languages.json").read_text("utf-8")
)
CAST = ("Kore", "Puck", "Aoede", "Fenrir", "Leda")
SCRIPTS = {
    "hi": "नमस्ते, आप कैसे हैं?",
    "mr": "नमस्कार, तुम्ही कसे आहात?",
    "bn": "নমস্কার, আপনি কেমন আছেন?",
    "gu": "નમસ્તે, તમે કેમ છો?",
    "kn": "ನಮಸ್ಕಾರ, ನೀವು ಹೇಗಿದ್ದೀರಿ?",
    "ml": "നമസ്കാരം, സുഖമാണോ?",
    "ta": "வணக்கம், எப்படி இருக்கிறீர்கள்?",
    "te": "నమస్కారం, మీరు ఎలా ఉన్నారు?",
    "th": "สวัสดีครับ สบายดีไหม",
    "ar": "مرحبا، كيف حالك؟",
    "ko": "안녕하세요. 어떻게 지내세요?",
    "ja": "こんにちは。お元気ですか。",
    "zh": "你好，你怎么样？",
    "ru": "Привет, как дела?",
}
"""Said to Whisper beforehand: it would write Hindi in Arabic letters and Bengali in Latin ones."""
UNSPACED = frozenset({"ja", "zh", "th"})


@click.command()
@click.option("--only", multiple=True, help="A code, such as de-DE.")
@click.option("--engine", type=click.Choice(["kokoro", "espeak"]), multiple=True, help="One of the two alone.")
@click.option("--voice", multiple=True, type=click.Choice(list(VOICES)), help="A name, with its manner and without.")
@click.option("--verbose", is_flag=True, help="Show what was heard.")
def main(only: Sequence[str], engine: Sequence[str], voice: Sequence[str], verbose: bool) -> None:
    """Measure the round trip of every language."""
    threads = os.cpu_count() or 1
    engines: dict[str, KokoroTTS | EspeakTTS] = {}
    if voice or "espeak" not in engine:
        engines["kokoro"] = kokoro.create("", Resources(ensure, threads, 0))
    if not voice and "kokoro" not in engine:
        engines["espeak"] = EspeakTTS(EspeakPhonemizer())
    whisper = recogniser(threads)
    console = Console(soft_wrap=True, highlight=False)
    table = Table(
        "code", "measure", *(column for name in voice for column in (name, "plain")), *(() if voice else engines)
    )
    table.box = None
    for code in only or SENTENCES:
        said = [plain(text, code) for text in SENTENCES[code]]
        lines = [
            [plain(listen(whisper, speech(one, text, Voice(name, code)), code), code) for text, name in cast]
            for one in engines.values()
            for cast in casts(code, voice)
        ]
        if verbose:
            for row in zip(said, *lines, strict=True):
                console.print("  " + " | ".join(row))
        scores = [f"{score(said, heard, code):.0%}" for heard in lines]
        console.print(code, *scores)
        table.add_row(code, "CER" if bare_language(code) in UNSPACED else "WER", *scores)
    console.print(table)
    for one in engines.values():
        asyncio.run(one.close())


def casts(code: str, names: Sequence[str]) -> Iterator[list[tuple[str, str]]]:
    """Each sentence of a language with the voice that speaks it: five in turn, or for each of `names` itself, and the
    voice of Kokoro's that it shares."""
    if not names:
        yield list(zip(SENTENCES[code], itertools.cycle(CAST)))
    for name in names:
        for one in (name, find_kokoro_voice(name, bare_language(code))):
            yield [(text, one) for text in SENTENCES[code]]


def recogniser(threads: int) -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(str(ensure("whisper-base")), device="cpu", compute_type="int8", cpu_threads=threads)


def speech(engine: TTS, text: str, voice: Voice) -> bytes:
    """As a session speaks it: the voice itself finds the language, by the code in `voice`."""

    async def clauses() -> AsyncIterator[str]:
        yield text

    async def spoken() -> bytes:
        return b"".join([piece.pcm async for piece in engine.speak(clauses(), voice)])

    return anyio.run(spoken)


def listen(whisper: Any, pcm: bytes, code: str) -> str:
    """What Whisper understands, told which language it is."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    audio = np.pad(soxr.resample(samples, OUTPUT_RATE, INPUT_RATE), INPUT_RATE // 4)
    segments, _ = whisper.transcribe(
        audio,
        language=bare_language(code),
        initial_prompt=SCRIPTS.get(bare_language(code)),
        beam_size=1,
        temperature=0.0,
        max_new_tokens=64,
    )
    return " ".join(segment.text for segment in segments)


def plain(text: str, code: str) -> str:
    """Without case and marks; vowel signs stay, and so do no spaces where the script has none."""
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFC", text.lower()))
    return ("" if bare_language(code) in UNSPACED else " ").join("".join(kept).split())


def score(said: Sequence[str], heard: Sequence[str], code: str) -> float:
    """The share of words (or characters) that came back wrong; above 1 where more came back than was said."""
    return float((jiwer.cer if bare_language(code) in UNSPACED else jiwer.wer)(list(said), list(heard)))


if __name__ == "__main__":
    main()
