"""What a model writes, and what the voice is given of it: words, on the whole path from pieces of text to phonemes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from openlive.engines.cascade import Cascade
from openlive.engines.clauses import Cutter
from openlive.engines.kokoro import Kokoro, create
from openlive.engines.registry import Resources
from openlive.engines.scripted import ScriptedLLM
from openlive.engines.speakable import speakable
from openlive.types import INPUT_RATE, OUTPUT_RATE, Message, Output, Request, Speech, Text, Voice

LANGUAGES = ("en", "de", "es", "fr", "it", "pt")
WRITTEN = {
    "en": ("Good news!", "See", "the new, updated page", "Wait", "a", "minute"),
    "de": ("Gute Nachrichten!", "Siehe", "die neue, bessere Seite", "Warte", "eine", "Minute"),
    "es": ("¡Buenas noticias!", "Mira", "la nueva, mejor página", "Espera", "un", "minuto"),
    "fr": ("Bonne nouvelle !", "Voir", "la nouvelle, belle page", "Attendez", "une", "minute"),
    "it": ("Buone notizie!", "Vedi", "la nuova, bella pagina", "Aspetta", "un", "minuto"),
    "pt": ("Boas notícias!", "Veja", "a nova, bonita página", "Espere", "um", "minuto"),
}
MARKED_UP = "**{}** 😀 {} [{}](https://www.example.com/a/b?c=1#d).\n\n## Plan\n- *{}* {} `{}`"
SAID = {
    "en": ("good news", "page", "wait a minute"),
    "de": ("nachricht", "seite", "eine minute"),
    "es": ("noticias", "página", "minuto"),
    "fr": ("nouvelle", "page", "minute"),
    "it": ("notizie", "pagina", "minuto"),
    "pt": ("notícias", "página", "minuto"),
}
SYMBOLS = re.compile(r"[*_`#~|\\^<>{}\[\]→✅\U0001f000-\U0001faff\u200d\ufe0f]|https?|www")
READ_OUT = re.compile(
    "aster|stern|hash|tag |raute|almohadilla|dièse|diese|cancelletto|cerquilha|slash|schrägstrich|barra|https|www|"
    "backtick|bracket|klammer|corchete|crochet|parentesi quadra|colchete|underscore|unterstrich|emoji|smil|lächel|grin"
)
PIECES = (
    *(
        "**",
        "*",
        "_",
        "`",
        "```",
        "```python\n",
        "#",
        "## ",
        "\n",
        "\n- ",
        "\n1. ",
        "> ",
        "~~",
        "| ",
        "|---|",
        "[",
        "](",
        ")",
    ),
    *(
        "https://www.example.com/a_b?c=1#d",
        "www.example.org/x",
        "😀",
        "👩‍👩‍👧",
        "→ ",
        "✅",
        "<br>",
        "\\(",
        "x = y ",
        "a_b ",
    ),
    *("word ", "more words, ", "End. ", "Ja! ", "(so) ", "{", "}", "^2 ", "@me ", "& ", "C:\\dir "),
)


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.sampled_from(LANGUAGES))
def test_no_symbol_is_left_however_it_is_cut(pieces: list[str], language: str) -> None:
    cutter = Cutter()
    clauses = [clause for piece in pieces for clause in cutter.feed(piece)]
    for clause in (*clauses, cutter.rest()):
        assert not SYMBOLS.search(speakable(clause, language)), clause


@pytest.fixture(scope="module")
def kokoro() -> Iterator[Kokoro]:
    from openlive.models import ensure

    engine = create("", Resources(ensure, threads=1, memory=0))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def whisper() -> Any:
    from faster_whisper import WhisperModel

    from openlive.models import ensure

    return WhisperModel(str(ensure("whisper-base")), device="cpu", compute_type="int8", cpu_threads=1)


@pytest.mark.weights
@pytest.mark.anyio
@pytest.mark.parametrize("language", LANGUAGES)
async def test_nobody_hears_a_symbol(kokoro: Kokoro, whisper: Any, language: str) -> None:
    out: list[Output] = []
    written = MARKED_UP.format(*WRITTEN[language])
    cascade = Cascade(ScriptedLLM(replies=(written,)), kokoro)
    await cascade.reply(Request("c", (Message("user", (Text("?"),)),), voice=Voice("Kore", language)), out.append)
    speech = [piece for piece in out if isinstance(piece, Speech)]
    assert "".join(piece.text for piece in speech) == written, "transcripts keep what was written"
    pcm = np.frombuffer(b"".join(piece.pcm for piece in speech), "<i2").astype(np.float32) / 32768
    segments, _ = whisper.transcribe(soxr.resample(pcm, OUTPUT_RATE, INPUT_RATE), language=language, beam_size=1)
    heard = "".join(segment.text for segment in segments).lower()
    assert all(words in heard for words in SAID[language]), heard
    assert not READ_OUT.search(heard), heard
