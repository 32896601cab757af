"""Words in another script: where they are, and what language speaks them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.engines.text.scripts import LATIN, OWN, SCRIPTS, language_of, map_runs, script_of, split_runs
from openlive.engines.tts.g2p.phonemes import EspeakPhonemizer, find_dialect

SPACE = ("en", " ")


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Hello is 你好, you see", [("en", "Hello is "), ("zh", "你好,"), ("en", " you see")]),
        ("en", "東京タワー, 中国", [("ja", "東京タワー,"), SPACE, ("zh", "中国")]),
        ("en", "日本 (にほん).", [("ja", "日本 (にほん).")]),
        ("de", "Danke: בוקר טוב!", [("de", "Danke: "), ("he", "בוקר טוב!")]),
        ("en", "Київ, Москва", [("uk", "Київ,"), SPACE, ("ru", "Москва")]),
        ("en", "نان, شیر", [("ar", "نان,"), SPACE, ("fa", "شیر")]),
        ("en", "α, Ω and φιλία", [("en", "α, Ω and "), ("el", "φιλία")]),
        ("ru", "Слово window, 15", [("ru", "Слово "), ("en", "window,"), ("ru", " 15")]),
        ("ja", "東京は Tokyo です。", [("ja", "東京は "), ("en", "Tokyo"), ("ja", " です。")]),
        ("zh", "日语的ありがとう", [("zh", "日语的"), ("ja", "ありがとう")]),
        ("ko", "漢字 입니다", [("zh", "漢字"), ("ko", " 입니다")]),
        ("en", "plain, as ever.", [("en", "plain, as ever.")]),
        ("en", 'say "où sont les toilettes" to', [("en", 'say "'), ("fr", "où sont les toilettes"), ("en", '" to')]),
        ("de", "«I will be there soon», so", [("de", "«"), ("en", "I will be there soon"), ("de", "», so")]),
        ("en", 'the song "Let It Be" is', [("en", 'the song "Let It Be" is')]),
        ("en", 'the word "bonjour" is', [("en", 'the word "bonjour" is')]),
        ("xx", "नमस्ते there", [("hi", "नमस्ते"), ("xx", " there")]),
        ("en", "", []),
    ],
)  # fmt: skip
def test_words_in_another_script_are_found(language: str, text: str, expected: list[tuple[str, str]]) -> None:
    assert list(split_runs(text, language)) == expected


@pytest.mark.parametrize(
    ("text", "conversation", "code"),
    [("мир", ["en", "uk"], "uk"), ("мир", ["en"], "ru"), ("شكرا", ["ur"], "ur"), ("शब्द", ["mr-IN", "mr"], "mr")],
)
def test_a_language_of_the_conversation_goes_first(text: str, conversation: list[str], code: str) -> None:
    assert [found for found, _ in split_runs(text, "en", conversation)] == [code]


def test_latin_words_are_in_the_conversations_language_or_english() -> None:
    assert dict(split_runs("Слово Fenster", "ru", ["ru", "de"])) == {"ru": "Слово ", "de": "Fenster"}
    assert dict(split_runs("Слово USB-C", "ru")) == {"ru": "Слово ", "en": "USB-C"}


@given(
    st.text(st.sampled_from("ab 你あ漢αשж한ก1,.!()（）'・-"), max_size=60),
    st.sampled_from(["en", "ru", "ja", "zh", "el"]),
)
def test_the_runs_joined_are_the_text(text: str, language: str) -> None:
    assert "".join(words for _, words in split_runs(text, language)) == text


@pytest.mark.parametrize(
    ("text", "hint", "otherwise", "language"),
    [
        ("שלום וברכה", "", "en", "he"),
        ("Καλημέρα σας", "", "en", "el"),
        ("α + β = γ", "", "en", "en"),
        ("Дякую, Київ", "", "en", "uk"),
        ("Київ", "ru-RU", "", "ru"),
        ("გამარჯობა", "", "", "ka"),
        ("The word is 你好", "", "en", "en"),
        ('"Je voudrais un café" to order', "", "en", "en"),
        ('"Je voudrais un café"', "", "en", "fr"),
    ],
)
def test_a_clause_is_spoken_in_the_language_of_its_script(text: str, hint: str, otherwise: str, language: str) -> None:
    assert language_of(text, hint, otherwise) == language


def test_an_ascii_text_has_no_other_script() -> None:
    assert script_of("abc 123") is None


def test_espeak_knows_every_language_of_a_script_and_says_no_letters_name() -> None:
    espeak = EspeakPhonemizer()
    try:
        for code in {
            *LATIN,
            *(code for code, _ in OWN),
            *(one for script in SCRIPTS.values() for one in script.writers),
        }:
            espeak.to_phonemes("a", find_dialect(code))
        said = map_runs(
            lambda code, words: espeak.to_phonemes(words, find_dialect(code)), "Hello is 你好, and שלום.", "en"
        )
    finally:
        espeak.close()
    assert said == ["həlˈQ ɪz", "niχˈɑu,", "and", "ʃalˈom."]


def test_the_runs_of_one_language_are_said_together() -> None:
    asked: list[str] = []

    def say(code: str, words: str) -> str:
        asked.append(code)
        return words

    assert "".join(map_runs(say, "a 你 b 好 c", "en")) == "a 你 b 好 c"
    assert asked == ["en", "en", "en", "zh", "zh"]
