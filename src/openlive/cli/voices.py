"""`openlive voices`: who can answer, to read and to listen to."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openlive.cli.errors import verbose_option
from openlive.cli.options import config_option
from openlive.private import without_secrets
from openlive.types import OUTPUT_RATE, Voice

if TYPE_CHECKING:
    from openlive.config.model import Config
    from openlive.engines.api import TTS

CHARACTERS = {
    "Zephyr": "bright", "Puck": "upbeat", "Charon": "informative", "Kore": "firm", "Fenrir": "excitable",
    "Leda": "youthful", "Orus": "firm", "Aoede": "breezy", "Callirrhoe": "easy-going", "Autonoe": "bright",
    "Enceladus": "breathy", "Iapetus": "clear", "Umbriel": "easy-going", "Algieba": "smooth", "Despina": "smooth",
    "Erinome": "clear", "Algenib": "gravelly", "Rasalgethi": "informative", "Laomedeia": "upbeat", "Achernar": "soft",
    "Alnilam": "firm", "Schedar": "even", "Gacrux": "mature", "Pulcherrima": "forward", "Achird": "friendly",
    "Zubenelgenubi": "casual", "Vindemiatrix": "gentle", "Sadachbia": "lively", "Sadaltager": "knowledgeable",
    "Sulafat": "warm",
}  # fmt: skip
"""What the API's documentation says of them (docs/protocol.md#voices)."""


@click.command(epilog='Example: openlive voices --say "Good morning." --out samples')
@click.option("--say", metavar="TEXT", help="Let every voice say this, into a WAV file of its own.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("voices"), help="Where to; else ./voices."
)
@click.option("--language", default="", help="The language of --say, such as de-DE; else the text's own.")
@config_option
@verbose_option
def voices(say: str | None, out: Path, language: str, config_file: Path | None) -> None:
    """Show the voices that a client may ask for, or hear them."""
    from openlive.config.load import load_config

    config = load_config(config_file)
    if say is None:
        _table(config)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be made: {error.strerror or error}.") from error
    _samples(config, say, out, language)


def _table(config: Config) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "character", "voice in English", "in German", box=None, pad_edge=False)
    for name, character in CHARACTERS.items():
        table.add_row(name, character, *_voices(config, name))
    Console(soft_wrap=True, highlight=False).print(table)


def _voices(config: Config, name: str) -> tuple[str, str]:
    """What the configured engine calls it."""
    from openlive.engines.api import parse_voices
    from openlive.engines.tts.kokoro.voices import find_kokoro_voice

    engine = config.engines.voices.get(name, config.engines.tts)
    if engine != "kokoro":
        return without_secrets(engine), without_secrets(engine)
    chosen = parse_voices(config.engines.settings_of("tts", engine), engine, "am_liam")
    return find_kokoro_voice(name, "en", chosen), find_kokoro_voice(name, "de", chosen)


def _samples(config: Config, say: str, out: Path, language: str) -> None:
    import anyio

    from openlive.audio import write_wav
    from openlive.cli.models import progress_bars
    from openlive.engines.api import Resources
    from openlive.engines.registry import load_engine
    from openlive.engines.tts.voice_router import load_voice_engines
    from openlive.models import ensure

    chosen = config.engines
    with progress_bars() as progress:

        def make(spec: str) -> TTS:
            threads, settings = chosen.threads or os.cpu_count() or 1, chosen.settings_of("tts", spec)
            engine: TTS = load_engine("tts", spec, Resources(lambda name: ensure(name, progress), threads, 0, settings))
            return engine

        engine = load_voice_engines(make, chosen.tts, chosen.voices)
    for number, name in enumerate(CHARACTERS, start=1):
        path = out / f"{name}.wav"
        write_wav(path, anyio.run(_speak, engine, say, Voice(name, language)), OUTPUT_RATE)
        click.echo(f"{number:>2}/{len(CHARACTERS)} {path}", err=True)


async def _speak(engine: TTS, text: str, voice: Voice) -> bytes:
    async def clauses() -> AsyncIterator[str]:
        yield text

    return b"".join([speech.pcm async for speech in engine.speak(clauses(), voice)])
