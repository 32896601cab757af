from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

from openlive.engines.runtime.child_process import ChildProcess
from openlive.engines.tts.g2p.phonemes import (
    VOCABULARY,
    EspeakPhonemizer,
    PhonemeError,
    ends_in_vowel,
    find_dialect,
    find_end_mark,
    ipa_to_symbols,
)

US = find_dialect("en-us")


@pytest.fixture(scope="module")
def espeak() -> Iterator[EspeakPhonemizer]:
    espeak = EspeakPhonemizer()
    yield espeak
    espeak.close()


def test_the_vocabulary_is_the_published_one() -> None:
    assert len(VOCABULARY) == 114
    assert [VOCABULARY[c] for c in ";?—” A ʤꭧˈᵻ"] == [1, 6, 9, 15, 16, 24, 16, 82, 23, 156, 177]


@pytest.mark.parametrize(
    ("ipa", "language", "kokoro"),
    [
        ("həlˈo^ʊ ðˈɛ^ɹ", "en-us", "həlˈO ðˈɛɹ"),
        ("d^ʒˈɔ^ɪ", "en-us", "ʤˈY"),
        ("bˈɛɾɚ", "en-us", "bˈɛTəɹ"),
        ("wˈɜːd", "en-gb", "wˈɜːd"),
        ("lə- (^e^n)wˈiːkˈɛnd(^f^r)", "fr", "lə wˈiːkˈɛnd"),
        ("a^ɪ kæn", "en-us", "ˈI kæn"),
        ("sˈɯ^ᵝ kˈä", "ja", "sˈɯᵝ kˈa"),
        ("ʒoˈɐ̃^ʊ̃", "pt", "ʒoˈɐ̃ʊ̃"),
    ],
)
def test_ipa_becomes_kokoros_symbols(ipa: str, language: str, kokoro: str) -> None:
    assert ipa_to_symbols(ipa, find_dialect(language).rules) == kokoro


@pytest.mark.parametrize(
    ("source", "mark"),
    [("Hello, ", ","), ("What?!", "?"), ("Oh... ", "…"), ('end."', "."), ("好。", "."), ("bare", ""), ("you) — ", "—")],
)
def test_marks_that_end_a_clause(source: str, mark: str) -> None:
    assert find_end_mark(source) == mark


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Hello there, you!", "həlˈO ðˈɛɹ, ju!"),
        ("Dr. Smith paid 3.5 dollars.", "dˈɑktəɹ smˈɪθ pˈAd θɹˈi pYnt fˈIv dˈɑləɹz."),
        ("", ""),
        ("...", ""),
        ("one\ntwo", "wˈʌn tˈu"),
    ],
)
def test_text_becomes_phonemes(espeak: EspeakPhonemizer, text: str, phonemes: str) -> None:
    assert espeak.to_phonemes(text, US) == phonemes


@pytest.mark.parametrize(
    ("phonemes", "vowel"),
    [("olˈa.", True), ("sˈiː!", True), ("blˈW.", True), ("jˈɛs.", False), ("sˈiŋ.", False), ("…", False), ("", False)],
)
def test_whether_the_last_sound_is_a_vowel(phonemes: str, vowel: bool) -> None:
    assert ends_in_vowel(phonemes) is vowel


def test_languages_do_not_mix(espeak: EspeakPhonemizer) -> None:
    assert espeak.to_phonemes("chat", find_dialect("fr")) == "ʃˈa"
    assert espeak.to_phonemes("chat", US) == "ʧˈæt"
    assert espeak.to_phonemes("chat", find_dialect("en-gb")) == "ʧˈat"


def test_kanji_are_left_out(espeak: EspeakPhonemizer) -> None:
    assert espeak.to_phonemes("東京です。", find_dialect("ja")) == espeak.to_phonemes("です。", find_dialect("ja"))
    assert espeak.to_phonemes("東京", find_dialect("ja")) == ""


def test_a_language_that_espeak_does_not_know(espeak: EspeakPhonemizer) -> None:
    with pytest.raises(PhonemeError, match="xx"):
        espeak.to_phonemes("a", find_dialect("xx"))
    assert espeak.to_phonemes("chat", US) == "ʧˈæt"


def test_a_dead_child_is_replaced(espeak: EspeakPhonemizer) -> None:
    espeak.to_phonemes("a", US)
    assert espeak._child is not None
    espeak._child._process.kill()
    espeak._child._process.wait()
    assert espeak.to_phonemes("chat", US) == "ʧˈæt"


def test_a_child_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    espeak = EspeakPhonemizer()
    with pytest.raises(PhonemeError, match="twice"):
        espeak.to_phonemes("a", US)
    espeak.close()


HANGS = "import time; time.sleep(600)"
READS_ONE = "import sys, time; sys.stdin.readline(); print('[]', flush=True); time.sleep(600)"


@pytest.mark.parametrize("text", ["a", "a" * 1_000_000])  # more than a pipe takes, so that writing hangs, too
@pytest.mark.parametrize("program", [HANGS, READS_ONE])
def test_a_hung_child_is_killed_and_costs_one_clause(program: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[ChildProcess] = []

    def start(command: Sequence[str]) -> ChildProcess:
        started.append(ChildProcess(command))
        return started[-1]

    monkeypatch.setattr("openlive.engines.tts.g2p.phonemes.ChildProcess", start)
    monkeypatch.setattr("openlive.engines.tts.g2p.phonemes.PROGRAM", ("-c", program))
    if program == HANGS:
        monkeypatch.setattr("openlive.engines.tts.g2p.phonemes.STARTING", 0.2)
    monkeypatch.setattr("openlive.engines.tts.g2p.phonemes.PATIENCE", 0.2)
    espeak = EspeakPhonemizer()
    if program == READS_ONE:
        espeak.text_to_ipa("en", "a")
    with pytest.raises(PhonemeError, match="did not answer within"):
        espeak.text_to_ipa("en", text)
    (child,) = started
    assert child._process.returncode == -signal.SIGKILL
    monkeypatch.undo()
    assert espeak.to_phonemes("chat", US) == "ʧˈæt"
    espeak.close()


def test_a_child_that_hangs_while_nobody_asks_is_ended_by_close() -> None:
    child = ChildProcess([sys.executable, "-c", HANGS])
    child.close()
    assert child._process.returncode == -signal.SIGKILL


def test_clauses_need_no_thread_of_their_own(espeak: EspeakPhonemizer, monkeypatch: pytest.MonkeyPatch) -> None:
    espeak.to_phonemes("a", US)
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread was started"))
    for _ in range(20):
        espeak.to_phonemes("chat", US)


def test_the_thread_ends_with_the_child() -> None:
    before = {thread.ident for thread in threading.enumerate()}
    espeak = EspeakPhonemizer()
    espeak.to_phonemes("a", US)
    mine = [thread for thread in threading.enumerate() if thread.ident not in before]
    espeak.close()
    for thread in mine:
        thread.join(10)
        assert not thread.is_alive()
    assert len(mine) == 1


def test_many_threads_share_one_child(espeak: EspeakPhonemizer) -> None:
    expected = {
        language: espeak.to_phonemes("table chat", find_dialect(language)) for language in ("en-us", "fr", "de")
    }
    wrong: list[str] = []

    def ask(language: str) -> None:
        wrong.extend(
            language
            for _ in range(20)
            if espeak.to_phonemes("table chat", find_dialect(language)) != expected[language]
        )

    threads = [threading.Thread(target=ask, args=(language,)) for language in expected for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
