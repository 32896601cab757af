"""The voice: its logic on a network of one's own, and its speech read back by Whisper."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import jiwer
import numpy as np
import numpy.typing as npt
import pytest
import soxr

from openlive.core.setup.languages import LANGUAGES
from openlive.engines.api import EngineError, Resources
from openlive.engines.responder.cascade import Cascade
from openlive.engines.runtime.workers import Abort
from openlive.engines.text.languages import bare_language
from openlive.engines.text.scripts import language_of
from openlive.engines.tts.g2p.phonemes import Dialect, find_dialect
from openlive.engines.tts.kokoro.engine import MOST, KokoroTTS, create
from openlive.engines.tts.kokoro.voices import (
    NATIVE,
    VOICES,
    StyleTables,
    apply_manner,
    canonical_name,
    find_kokoro_voice,
)
from openlive.engines.tts.silence import FRAME, LEAD, LEVEL
from openlive.engines.tts.text.normalise import normalise_text
from openlive.testing.scripted import ScriptedLLM
from openlive.types import OUTPUT_RATE, Heard, Message, Request, Speech, Text, Voice
from tests.serving import Told

PUCK = Voice("Puck")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def items(*clauses: str) -> AsyncIterator[str]:
    for clause in clauses:
        yield clause


async def spoken(engine: KokoroTTS, *clauses: str, voice: Voice = PUCK) -> list[Speech]:
    return [speech async for speech in engine.speak(items(*clauses), voice)]


class Letters:
    """A `Phonemizer` for which letters are phonemes."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def to_phonemes(self, text: str, dialect: Dialect) -> str:
        self.asked.append((text, dialect.espeak))
        return re.sub(r"[^a-fh-z ,.!?]", "", text.lower())

    def close(self) -> None:
        pass


class Hum:
    """A network: a tenth of a second of sound per token between half seconds of silence."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.paces: list[float] = []

    def __call__(
        self, tokens: npt.NDArray[np.int64], style: Any, speed: float, abort: Abort
    ) -> npt.NDArray[np.float32]:
        abort.raise_if_aborted()
        assert style.shape == (1, 256)
        self.paces.append(speed)
        self.sizes.append(tokens.shape[1])
        sound = np.full(round((tokens.shape[1] - 2) * 2400 / speed), 0.5, np.float32)
        return np.pad(sound, 12000)


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    for name in {part for voice in VOICES.values() for part in voice.split("+")} | {
        "em_alex",
        "em_santa",
        "if_sara",
        "ff_siwis",
    }:
        np.zeros((510, 1, 256), np.float32).tofile(tmp_path / f"{name}.bin")
    return tmp_path


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def hum() -> Hum:
    return Hum()


@pytest.fixture
def humming(hum: Hum, letters: Letters, voices: Path) -> KokoroTTS:
    return KokoroTTS(hum, voices, letters)


@pytest.mark.anyio
async def test_silence_is_cut_to_what_the_mark_deserves(humming: KokoroTTS) -> None:
    comma, bare, stop = await spoken(humming, "ab,", "abc", " ab.")
    assert [len(s.pcm) // 2 for s in (comma, bare, stop)] == [
        LEAD + 3 * 2400 + 3840,
        LEAD + 3 * 2400 + 1440,
        LEAD + 3 * 2400 + 7680,
    ]


@pytest.mark.anyio
async def test_every_word_has_its_share_of_the_voice(humming: KokoroTTS) -> None:
    [speech] = await spoken(humming, " abc def 😀 abcdef.")
    assert [w.text for w in speech.words] == ["abc", "def", "😀", "abcdef."]
    assert speech.words[0].start == LEAD
    assert all(a.end == b.start for a, b in zip(speech.words, speech.words[1:], strict=False))
    assert speech.words[2].start == speech.words[2].end
    assert speech.words[-1].end == len(speech.pcm) // 2 - 7680


@pytest.mark.anyio
async def test_what_cannot_be_spoken_has_no_audio(humming: KokoroTTS, hum: Hum) -> None:
    speech = await spoken(humming, "…", " 😀", "\n")
    assert speech == [Speech(b"", "…"), Speech(b"", " 😀"), Speech(b"", "\n")]
    assert not hum.sizes


@pytest.mark.anyio
async def test_the_text_stays_as_it_was_written(humming: KokoroTTS, letters: Letters) -> None:
    [speech] = await spoken(humming, " It costs $5.")
    assert speech.text == " It costs $5."
    assert [w.text for w in speech.words] == ["It", "costs", "$5."]
    assert letters.asked == [("It costs five dollars.", "en-us")]


@pytest.mark.anyio
async def test_long_clauses_are_rendered_in_parts(humming: KokoroTTS, hum: Hum) -> None:
    text = "and so it goes on " * 100
    speech = await spoken(humming, text)
    assert len(speech) > 10
    assert "".join(s.text for s in speech) == text
    await spoken(humming, "a" * 239)
    humming.render_clause("b" * 2000, PUCK, "en")
    assert max(hum.sizes) == MOST + 2


@pytest.mark.anyio
async def test_the_language_decides_the_voice_and_the_dialect(humming: KokoroTTS, letters: Letters) -> None:
    await spoken(humming, "Hello you.", " Hola, ¿qué tal?", " Sí.", voice=Voice("Charon"))
    await spoken(humming, "Hi.", voice=Voice("Charon", "en-US"))
    await spoken(humming, "Paris.", voice=Voice("Kore", "de-DE"))
    assert [dialect for _, dialect in letters.asked] == ["en", "es", "es", "en-us", "de"]


@pytest.mark.anyio
async def test_a_voice_that_is_not_there(humming: KokoroTTS) -> None:
    for name in ("alloy", "", "af_nobody"):
        with pytest.raises(ValueError, match="no voice"):
            await spoken(humming, "Hi.", voice=Voice(name))
    assert (await spoken(humming, "Hi.", voice=Voice("kore")))[0].pcm
    assert (await spoken(humming, "Hi.", voice=Voice("af_heart+am_puck")))[0].pcm


@pytest.mark.anyio
async def test_first_clauses_go_first_and_speakers_take_turns(humming: KokoroTTS, letters: Letters) -> None:
    async def speak(name: str) -> None:
        await spoken(humming, *(f"{name} {c}" for c in "uvw"))

    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(speak, name)
    order = [text for text, _ in letters.asked]
    assert order == ["a u", "b u", "c u", "a v", "b v", "c v", "a w", "b w", "c w"]


@pytest.mark.anyio
async def test_cancelling_does_not_wait_for_the_network(voices: Path, letters: Letters) -> None:
    began, go = anyio.Event(), threading.Event()
    hum = Hum()

    def slow(tokens: npt.NDArray[np.int64], style: Any, speed: float, abort: Abort) -> npt.NDArray[np.float32]:
        anyio.from_thread.run_sync(began.set, token=token)
        go.wait(10)
        return hum(tokens, style, speed, abort)

    token = anyio.lowlevel.current_token()
    engine = KokoroTTS(slow, voices, letters)
    async with anyio.create_task_group() as group:
        group.start_soon(spoken, engine, "Hello,", " you.")
        await began.wait()
        group.start_soon(spoken, engine, "Other.")
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert not hum.sizes
    go.set()
    [speech] = await spoken(engine, "Next.")
    assert speech.pcm
    assert [text for text, _ in letters.asked] == ["Hello,", "Next."]
    assert len(hum.sizes) == 1, "the clause that was under way was told to end"


def test_every_name_has_a_timbre_of_its_own() -> None:
    assert len(VOICES) == 30
    assert len(set(VOICES.values())) == 30
    assert [canonical_name(name) for name in ("puck", "KORE", "af_heart", "alloy")] == ["Puck", "Kore", "af_heart", ""]


def test_names_keep_their_gender_in_every_language() -> None:
    for name, english in VOICES.items():
        for language, (female, male) in NATIVE.items():
            voice = find_kokoro_voice(name, language)
            assert voice in (female if english[1] == "f" else male)
    assert find_kokoro_voice("Puck", "it") == "im_nicola"
    assert (find_kokoro_voice("Kore", "fr"), find_kokoro_voice("Kore", "de"), find_kokoro_voice("Puck", "de")) == (
        "ff_siwis",
        "if_sara",
        "em_alex",
    )
    assert find_kokoro_voice("Kore", "mr") == find_kokoro_voice("Kore", "hi")
    assert find_kokoro_voice("af_heart", "fr") == "af_heart"


@pytest.mark.parametrize("language", [*NATIVE, "de", "ru"])
def test_names_that_share_a_voice_are_told_apart_by_pitch_or_pace(language: str) -> None:
    """By half a semitone or a twentieth: both are above what listeners just notice."""
    manners = {name: apply_manner(Voice(name, language), language) for name in VOICES}
    for one, other in itertools.combinations(VOICES, 2):
        if find_kokoro_voice(one, language) == find_kokoro_voice(other, language):
            mine, theirs = manners[one], manners[other]
            paces = sorted((mine.speed, theirs.speed))
            assert abs(mine.pitch - theirs.pitch) >= 0.5 or paces[1] / paces[0] >= 1.045, (one, other)
    assert max(abs(voice.pitch) for voice in manners.values()) <= 2
    assert max(abs(voice.speed - 1) for voice in manners.values()) < 0.081


def test_a_voice_of_ones_own_is_spoken_as_it_is(hum: Hum, letters: Letters, voices: Path) -> None:
    assert apply_manner(Voice("Leda"), "en") == Voice("Leda")
    assert apply_manner(Voice("em_alex"), "es") == Voice("em_alex")
    assert apply_manner(Voice("Puck"), "es", {"Puck": "em_santa"}) == Voice("Puck")
    assert apply_manner(Voice("Leda", pitch=1.0, speed=1.1), "de") != Voice("Leda", pitch=1.0, speed=1.1)
    engine = KokoroTTS(hum, voices, letters)
    lengths = {
        name: len(engine.render_clause("Guten Tag.", Voice(name), "de").pcm) for name in ("Leda", "Kore", "Gacrux")
    }
    assert hum.paces[1] == 1.0, "Kore speaks as the voice does"
    assert hum.paces[0] == pytest.approx(1.03 / 2 ** (2 / 12)), "so that, played higher, it is a little faster"
    assert lengths["Leda"] < lengths["Kore"] < lengths["Gacrux"]


@pytest.mark.anyio
async def test_words_in_another_script_are_said_by_the_same_voice(hum: Hum, letters: Letters, voices: Path) -> None:
    engine = KokoroTTS(hum, voices, letters)
    (speech,) = await spoken(engine, "Hello is 你好, you see.")
    assert sorted(letters.asked) == [(" you see.", "en-us"), ("Hello is ", "en-us"), ("你好,", "cmn")]
    assert len(hum.paces) == 1, "one utterance"
    assert [word.text for word in speech.words] == ["Hello", "is", "你好,", "you", "see."]


@pytest.mark.anyio
async def test_the_clause_before_is_known(hum: Hum, letters: Letters, voices: Path) -> None:
    await spoken(KokoroTTS(hum, voices, letters), "Your code is:", " 4821.", " 4821.")
    assert [text for text, _ in letters.asked] == ["Your code is:", "four eight two one.", "4821."]


def test_operators_give_names_other_voices(hum: Hum, letters: Letters, voices: Path) -> None:
    assert find_kokoro_voice("Puck", "en", {"Puck": "am_liam"}) == "am_liam"
    assert find_kokoro_voice("Puck", "es", {"Puck": "am_liam"}) == find_kokoro_voice("Puck", "es")
    assert find_kokoro_voice("Puck", "es", {"Puck": "em_santa"}) == "em_santa"
    assert find_kokoro_voice("Puck", "en", {"Puck": "em_santa"}) == "am_puck"
    KokoroTTS(hum, voices, letters, {"Puck": "am_liam", "Kore": "af_heart+af_sky"})
    with pytest.raises(EngineError, match="no voice named 'Alloy'"):
        KokoroTTS(hum, voices, letters, {"Alloy": "am_liam"})
    with pytest.raises(EngineError, match="Puck cannot be 'am_nobody'"):
        KokoroTTS(hum, voices, letters, {"Puck": "am_nobody"})


@pytest.mark.parametrize("voices", ["am_liam", ["x"], {"Puck": 3}])
def test_what_is_no_table_of_voices_is_refused(voices: Any, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=re.escape(f"kokoro: voices = {voices!r} is no table of names.")):
        create("", Resources(lambda _: tmp_path, 1, 0, {"voices": voices}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**Hello** there! 😀", "Hello there!"),
        ("See [the docs](http://x.y/z), or https://www.example.com/a?b=1.", "See the docs, or example.com."),
        ("# Title\n- one\n- two\n\nEnd.", "Title, one, two, End."),
        ("```python\nx = 1\n```", ""),
        ("It is 20°C, 5 € and snake_case", "It is 20°C, 5 € and snake_case"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b, 1, 2"),
        ("👩‍👩‍👧 → ✓ …", ""),
    ],
)
def test_symbols_are_not_read_out(text: str, said: str) -> None:
    assert normalise_text(text) == said


@pytest.mark.parametrize(
    ("text", "hint", "language"),
    [
        ("What is the capital?", "", "en"),
        ("Hola, ¿cómo estás?", "", "es"),
        ("Je ne sais pas.", "", "fr"),
        ("Non lo so.", "", "it"),
        ("Eu não sei.", "", "pt"),
        ("Das weiß ich nicht.", "", "de"),
        ("Paris.", "", ""),
        ("मी ठीक आहे, मला माहीत नाही.", "", "mr"),
        ("Paris.", "fr-FR", "fr"),
        ("你好", "en-US", "zh"),
        ("東京", "ja-JP", "ja"),
        ("こんにちは", "", "ja"),
        ("मी ठीक आहे", "mr-IN", "mr"),
        ("Привет", "", "ru"),
        ("Paris ist 東京", "de-DE", "de"),
        ("The word is Привет.", "en-US", "en"),
        ("The word is Привет.", "", "en"),
        ("Слово «the» по-русски.", "en-US", "ru"),
        ("The word is नमस्ते।", "en-US", "en"),
        ("我用Python编程。", "", "zh"),
        ("東京都庁の前", "", "ja"),
    ],
)
def test_the_language_of_a_text(text: str, hint: str, language: str) -> None:
    assert language_of(text, hint) == language


SENTENCES: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[3] / "bench/sets/languages.json").read_text("utf-8")
)
NATIVES = {"en": "a", "zh": "z", "es": "e", "fr": "f", "hi": "h", "ja": "j", "ko": "j", "pt": "p"}
NATIVES |= dict.fromkeys(("bn", "gu", "kn", "ml", "mr", "ta", "te"), "h")
"""Where a voice of Kokoro's comes from, by its first letter; Italian stands in elsewhere."""


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_code_of_the_guide_has_one_name_everywhere(code: str) -> None:
    """From the session's hint to the voice: Mandarin must not be `cmn` here and `zh` there."""
    for sentence in SENTENCES[code]:
        language = language_of(sentence, code)
        assert language == bare_language(code)
        assert find_kokoro_voice("Kore", language)[0] == NATIVES.get(language, "i")


def test_a_chosen_chinese_voice_speaks_mandarin() -> None:
    assert (
        find_kokoro_voice("Kore", language_of("法国的首都是巴黎。", "cmn-CN"), {"Kore": "zf_xiaobei"}) == "zf_xiaobei"
    )


def test_the_language_stays_where_a_text_does_not_tell() -> None:
    assert language_of("Madrid.", otherwise="es") == "es"
    assert language_of("Genau.", otherwise="de") == "de"
    assert language_of("Dokładnie.", otherwise="pl") == "pl"
    assert language_of("Está chovendo.", otherwise="pt") == "pt"
    assert language_of("Está lloviendo.", otherwise="es") == "es"


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_clear_sentence_moves_the_language(code: str) -> None:
    """Hindi for one of the Marathi sentences."""
    for expected in ("", "en", "de"):
        told = [language_of(sentence, otherwise=expected) for sentence in SENTENCES[code]]
        assert told.count(bare_language(code)) >= 4


SAID = (("nl", "Natuurlijk."), ("pl", "Dokładnie."), ("de", "Genau."), ("tr", "Tamam."), ("id", "Sama-sama."))


def answered(language: str) -> Request:
    """To something that the recogniser heard in that language."""
    return Request("c", (Message("user", (Heard("…", 0, 16_000, language),)),), voice=Voice("Kore"))


@pytest.mark.anyio
@pytest.mark.parametrize(("language", "reply"), SAID)
async def test_a_short_answer_is_spoken_in_the_language_that_the_user_spoke(
    hum: Hum, letters: Letters, voices: Path, language: str, reply: str
) -> None:
    cascade = Cascade(ScriptedLLM(replies=(reply,)), KokoroTTS(hum, voices, letters))
    await cascade.reply(answered(language), Told())
    assert letters.asked[-1] == (reply, find_dialect(language).espeak)


@pytest.mark.anyio
async def test_what_is_clearly_another_language_is_spoken_in_that(hum: Hum, letters: Letters, voices: Path) -> None:
    """Who asks in German for a translation, and what follows it."""
    reply = "Auf Französisch heißt das so. Pouvez-vous m'aider, s'il vous plaît ? Das war es schon."
    cascade = Cascade(ScriptedLLM(replies=(reply,)), KokoroTTS(hum, voices, letters))
    await cascade.reply(answered("de"), Told())
    assert [accent for text, accent in letters.asked if text.endswith((".", "?"))] == ["de", "fr", "de"]


# With the weights.


def weights(name: str) -> Path:
    from openlive.models import ensure

    return ensure(name)


@pytest.fixture(scope="module")
def kokoro() -> Iterator[KokoroTTS]:
    engine = create("", Resources(weights, threads=2, memory=0))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module")
def whisper() -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(str(weights("whisper-base")), device="cpu", compute_type="int8", cpu_threads=1)


def heard(whisper: Any, speech: list[Speech], language: str) -> str:
    pcm = np.frombuffer(b"".join(s.pcm for s in speech), "<i2").astype(np.float32) / 32768
    segments, _ = whisper.transcribe(soxr.resample(pcm, OUTPUT_RATE, 16_000), language=language, beam_size=1)
    return " ".join(segment.text for segment in segments)


def plain(text: str) -> str:
    numerals = {"10": "ten", "5": "five"}
    return " ".join(
        numerals.get(word, word) for word in re.sub(r"[^\w\s']", " ", text.lower().replace("-", " ")).split()
    )


ENGLISH = [
    ("The quick brown fox jumps", " over the lazy dog."),
    ("Of course,", " I can help you with that."),
    ("She bought a little bottle", " of water from the city shop."),
    ("The boy enjoyed the noisy toys", " in the square."),
    ("Photosynthesis converts carbon dioxide", " and water into sugar and oxygen."),
    ("Shakespeare wrote many famous plays,", " such as Hamlet and Macbeth."),
]


@pytest.mark.weights
@pytest.mark.anyio
async def test_english_is_understood(kokoro: KokoroTTS, whisper: Any) -> None:
    said, understood = [], []
    for i, clauses in enumerate(ENGLISH):
        speech = await spoken(kokoro, *clauses, voice=Voice(list(VOICES)[i % 8]))
        assert "".join(s.text for s in speech) == "".join(clauses)
        said.append(plain("".join(clauses)))
        understood.append(plain(heard(whisper, speech, "en")))
    assert jiwer.wer(said, understood) <= 0.05, list(zip(said, understood, strict=True))


@pytest.mark.weights
def test_no_two_timbres_are_alike() -> None:
    """The style tables, at the length of a clause: no two point the same way, and none is a voice twice."""
    styles = StyleTables(weights("kokoro-voices"))
    rows = np.stack([styles[voice][40, 0] for voice in VOICES.values()])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    distance = 1 - rows @ rows.T + 2 * np.eye(len(rows))
    nearest = np.unravel_index(distance.argmin(), distance.shape)
    assert distance.min() > 0.08, [list(VOICES)[i] for i in nearest]


@pytest.mark.weights
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("language", "name", "text"),
    [
        ("es", "Kore", "La capital de España es Madrid, una ciudad muy grande."),
        ("es", "Puck", "La capital de España es Madrid, una ciudad muy grande."),
        ("fr", "Kore", "Bonjour, je voudrais savoir quel temps il fera demain."),
        ("it", "Puck", "La capitale della Francia è Parigi, una città molto bella."),
        ("pt", "Kore", "A capital do Brasil é uma cidade moderna e muito bonita."),
    ],
)
async def test_other_languages_are_understood(
    kokoro: KokoroTTS, whisper: Any, language: str, name: str, text: str
) -> None:
    speech = await spoken(kokoro, text, voice=Voice(name))
    assert jiwer.wer(plain(text), plain(heard(whisper, speech, language))) <= 0.1


@pytest.mark.weights
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("language", "text", "alternatives"),
    [
        ("en", "The ticket costs $25.", ("$25", "twenty five dollars")),
        ("en", "We meet on May 3, at 10:30.", ("may 3", "may third")),
        ("de", "Die Karte kostet 20 €.", ("20 euro", "20€", "zwanzig euro")),
        ("es", "El billete cuesta 25 €.", ("25 euros", "25€", "veinticinco euros")),
        ("fr", "Le billet coûte 25 €.", ("25 euros", "25€", "vingt cinq euros")),
        ("it", "Il biglietto costa 25 €.", ("25 euro", "25€", "venticinque euro")),
        ("pt", "O bilhete custa 25 €.", ("25 euros", "25€", "vinte e cinco euros")),
    ],
)
async def test_sums_and_dates_are_understood(
    kokoro: KokoroTTS, whisper: Any, language: str, text: str, alternatives: tuple[str, ...]
) -> None:
    speech = await spoken(kokoro, text, voice=Voice("Puck", language))
    assert "".join(s.text for s in speech) == text
    understood = heard(whisper, speech, language).lower().replace("-", " ").replace(" €", "€")
    assert any(words in understood for words in alternatives), understood


READ_OUT = re.compile(
    "aster|stern|hash|tag|raute|pound|slash|schrägstrich|http|www|backtick|bracket|klammer|emoji|smil|lächel|grin"
)


@pytest.mark.weights
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("language", "words", "understood"),
    [
        ("en", ("Good news!", "the updated page", "Wait", "minute"), ("good news", "updated page", "wait a minute")),
        ("es", ("¡Buenas noticias!", "la nueva página", "Espera", "minuto"), ("noticias", "página", "minuto")),
    ],
)
async def test_nobody_hears_a_symbol(
    kokoro: KokoroTTS, whisper: Any, language: str, words: tuple[str, ...], understood: tuple[str, ...]
) -> None:
    written = "**{}** 😀 [{}](https://www.example.com/a/b?c=1#d).\n\n## Plan\n- *{}* a `{}`".format(*words)
    out = Told()
    request = Request("c", (Message("user", (Text("?"),)),), voice=Voice("Kore", language))
    await Cascade(ScriptedLLM(replies=(written,)), kokoro).reply(request, out)
    speech = [piece for piece in out if isinstance(piece, Speech)]
    assert "".join(piece.text for piece in speech) == written, "transcripts keep what was written"
    told = plain(heard(whisper, speech, language))
    assert all(words in told for words in understood), told
    assert not READ_OUT.search(told), told


@pytest.mark.weights
@pytest.mark.anyio
async def test_speech_is_loud_long_and_quick_enough(kokoro: KokoroTTS) -> None:
    start = time.perf_counter()
    [speech] = await spoken(kokoro, "Hello there,")
    assert time.perf_counter() - start < 20
    samples = np.frombuffer(speech.pcm, "<i2").astype(np.float64)
    assert 0.4 < len(samples) / OUTPUT_RATE < 1.2
    assert np.sqrt((samples**2).mean()) > 1000
    frames = samples[: LEAD // 2 // FRAME * FRAME].reshape(-1, FRAME)
    assert np.sqrt((frames**2).mean(axis=1)).max() < LEVEL * 32768, "it begins with silence"
    [slow] = await spoken(kokoro, "Hello there,", voice=Voice("Puck", speed=0.7))
    assert len(slow.pcm) > 1.2 * len(speech.pcm)


@pytest.mark.weights
@pytest.mark.anyio
async def test_every_language_makes_some_sound(kokoro: KokoroTTS) -> None:
    for text in ("नमस्ते, आप कैसे हैं?", "你好，你怎么样？", "こんにちは、お元気ですか。", "Guten Tag.", "Привет, мир."):
        speech = await spoken(kokoro, text)
        assert all(s.pcm for s in speech)
        assert "".join(s.text for s in speech) == text


def test_it_takes_no_argument() -> None:
    with pytest.raises(EngineError, match="no argument"):
        create("loud", Resources(weights, threads=1, memory=0))


@pytest.mark.weights
@pytest.mark.anyio
async def test_a_word_is_understood_in_the_language_of_the_conversation(kokoro: KokoroTTS, whisper: Any) -> None:
    """Said in English, this is "Ja, Jörn."."""
    out = Told()
    await Cascade(ScriptedLLM(replies=("Ja, gerne.",)), kokoro).reply(answered("de"), out)
    assert plain(heard(whisper, [o for o in out if isinstance(o, Speech)], "de")) == "ja gerne"
