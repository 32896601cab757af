from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlive.engines.tts import chunking
from openlive.engines.tts.chunking import CODE, KEPT, LIMITS, LONGEST, MASK, MOST, PATIENCE, ClauseChunker


def cut(*pieces: str) -> list[str]:
    cutter = ClauseChunker()
    clauses = [clause for piece in pieces for clause in cutter.feed(piece)]
    return [*clauses, rest] if (rest := cutter.flush()) else clauses


def tokens(text: str) -> list[str]:
    return [text[i : i + 3] for i in range(0, len(text), 3)]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Hello! How can I help you today?", ["Hello!", " How can I help you today?"]),
        ("The capital of France is Paris.", ["The capital of France", " is Paris."]),
        ("Of course, I can do that.", ["Of course,", " I can do that."]),
        ("Yes, it is.", ["Yes, it is."]),
        (
            "It takes the train about 3.5 hours, or 1,200 seconds.",
            ["It takes the train", " about 3.5 hours,", " or 1,200 seconds."],
        ),
        ("Dr. Smith came. He paid.", ["Dr. Smith came.", " He paid."]),
        ("See e.g. the U.S. at 10:30 a.m. there", ["See e.g. the U.S.", " at 10:30 a.m. there"]),
        ("1. Apples\n2. Pears", ["1. Apples", "\n2. Pears"]),
        ('He said "Stop!" and left.', ['He said "Stop!"', " and left."]),
        ("Look at example.com now. Bye.", ["Look at example.com now.", " Bye."]),
        ("Wait... what?", ["Wait...", " what?"]),
        ("你好，我是语音助手。今天天气很好。", ["你好，我是语音助手。", "今天天气很好。"]),
        ("नमस्ते। आप कैसे हैं?", ["नमस्ते।", " आप कैसे हैं?"]),
    ],
)
def test_cuts_where_a_speaker_would_pause(text: str, clauses: list[str]) -> None:
    assert cut(*tokens(text)) == clauses


def test_a_clause_is_ready_before_the_space_after_its_mark() -> None:
    assert ClauseChunker().feed("Of course,") == ["Of course,"]
    assert ClauseChunker().feed("Hello!") == ["Hello!"]


def test_a_full_stop_is_not_trusted_before_its_space() -> None:
    cutter = ClauseChunker()
    assert cutter.feed("It is 3.") == []
    assert cutter.feed("5 degrees.") == []
    assert cutter.feed(" So") == ["It is 3.5 degrees."]


def test_the_first_clause_is_short_and_the_next_ones_grow() -> None:
    clauses = cut(*tokens("and so the old man went on and on about the sea " * 8))
    sizes = [len(clause.split()) for clause in clauses[:-1]]
    assert sizes[0] <= LIMITS[0] < sizes[1] <= LIMITS[1] < max(sizes[2:]) <= LIMITS[2]


def test_text_without_marks_or_spaces_is_bounded() -> None:
    assert max(map(len, cut("a" * 1000))) <= LONGEST
    assert max(map(len, cut("東" * 200))) <= 2 * LIMITS[-1]


def test_what_cannot_be_spoken_stays_with_what_can() -> None:
    assert cut("… ", "😀 ", "Hi", " there.") == ["… 😀 Hi there."]


def test_a_break_does_not_part_words_that_lean_on_the_next() -> None:
    assert cut("Well I walked to the old station")[0] == "Well I walked"


@pytest.mark.parametrize(
    "text",
    [
        "Read [the docs for this thing, and more of it](https://a.b/c_(d)?e=f, g) now.",
        "Go to https://a.b/one,two.three/four now, please.",
        "It is $E = m c^2 + a + b + c + d + e$ or so, you see.",
        "So \\(a + b, c + d, e + f, g\\) holds here.",
        'Write <a href="https://a.b/c d, e f"> here and there, then.',
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_what_is_one_thing_stays_whole(text: str, size: int) -> None:
    (kept,) = (found[0] for found in KEPT.finditer(text))
    clauses = cut(*(text[i : i + size] for i in range(0, len(text), size)))
    assert "".join(clauses) == text
    assert sum(kept in clause for clause in clauses) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_a_block_of_code_is_a_clause(size: int, fence: str) -> None:
    code = (
        f"{fence}python\ndef add(a, b):\n\n    return a + b. So it is, and more words than a clause may have.\n{fence}"
    )
    text = f"Here it is: {code}\nDone."
    clauses = cut(*(text[i : i + size] for i in range(0, len(text), size)))
    assert "".join(clauses) == text
    assert code in [clause.strip() for clause in clauses]


def test_a_block_of_code_that_never_ends_is_the_rest() -> None:
    assert cut("So: ", "```js\na = 1\n\nb", " = 2. Then c\n") == ["So: ", "```js\na = 1\n\nb = 2. Then c\n"]


def test_a_bracket_that_opens_no_link_holds_nothing_up_for_long() -> None:
    assert len(cut(*tokens("[" + "and so on, " * 60))) > 3


def test_a_number_waits_for_what_may_belong_to_it() -> None:
    assert cut("It has about 12 ", "500 of them.") == ["It has about", " 12 500 of them."]


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    "number", ["GB29 NWBK 6016 1331 9268 19", "020 7946 0958", "+49 (0)171 1234567", "H2X 1Y4", "2 x 1"]
)
def test_a_number_in_groups_is_not_parted(number: str, size: int) -> None:
    text = f"So the number is {number} for all of you who want it today."
    clauses = cut(*(text[i : i + size] for i in range(0, len(text), size)))
    assert "".join(clauses) == text
    assert any(number in clause for clause in clauses)


def test_a_quotation_is_parted_before_it_rather_than_in_it() -> None:
    assert cut(*tokens('She said "I will be there soon" and left.')) == [
        "She said",
        ' "I will be there soon" and left.',
    ]
    assert cut(*tokens("La phrase allemande « wo ist das » est utile."))[0] == "La phrase allemande"


def test_the_days_of_a_german_date_stay_with_its_month() -> None:
    assert cut("Am 3.-5. Mai ist offen", ".")[0].startswith("Am 3.-5. Mai")


def test_room_behind_a_number_holds_nothing_up() -> None:
    assert len(cut("It has about 12" + " " * 40 + "and so on and on", " and on")) > 1


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    "text", ["コンピュータープログラミングは楽しいです", "ありがとうございます", "Danke ist ありがとうございます, ja"]
)
def test_kana_are_not_parted(text: str, size: int) -> None:
    clauses = cut(*(text[i : i + size] for i in range(0, len(text), size)))
    assert "".join(clauses) == text
    kana = [(one[-1:], other[:1]) for one, other in itertools.pairwise(clauses)]
    assert not any("\u3040" <= a <= "\u30ff" and "\u3040" <= b <= "\u30ff" for a, b in kana)


def test_syllables_of_thai_stay_whole() -> None:
    assert all(clause[0] not in "ะาำั้่็ี" for clause in cut("สวัสดีครับวันนี้อากาศดีมากเลยครับขอบคุณมากนะครับ"))


def test_no_is_a_word_unless_a_number_follows() -> None:
    assert cut(*tokens("Is it? No. It is not.")) == ["Is it?", " No.", " It is not."]
    assert cut(*tokens("See No. 5 there.")) == ["See No. 5 there."]


written = st.text(st.sampled_from("abcé 1239.,;:!?…—'\"()\n*。，！你東日ー😀ह।"), max_size=120) | st.text(max_size=60)


@given(st.lists(written, max_size=12))
def test_nothing_is_lost_and_no_clause_is_empty(pieces: list[str]) -> None:
    cutter = ClauseChunker()
    clauses = [clause for piece in pieces for clause in cutter.feed(piece)]
    assert all(any(c.isalnum() for c in clause) for clause in clauses)
    assert "".join(clauses) + cutter.flush() == "".join(pieces)


class Rereading(ClauseChunker):
    """Reads all that waits for every piece, a block of code too."""

    def feed(self, piece: str) -> list[str]:
        self._text += self._close_block()
        return super().feed(piece)


marked = st.sampled_from(
    [
        *"ab `~[](<$\\\n.,é東",
        "```",
        "~~~",
        "````",
        "\n```\n",
        "```py\n",
        "\n  ~~~~",
        "\\(",
        "\\)",
        "$$",
        "](",
        "https://a.",
        MASK,
    ]
)


@given(st.lists(st.lists(marked, max_size=6).map("".join), max_size=40))
def test_what_was_read_of_a_block_of_code_need_not_be_read_again(pieces: list[str]) -> None:
    one, other = ClauseChunker(), Rereading()
    assert [one.feed(piece) for piece in pieces] == [other.feed(piece) for piece in pieces]
    assert one.flush() == other.flush()


HOSTILE = (
    *(
        "a = b\n",
        "x",
        "((",
        " ",
        "\t",
        "`",
        "```\n",
        "```a\n```",
        "``` x",
        "~",
        "~~~\n",
        "[",
        "[a]",
        "[a](",
        "](",
        "https://x",
    ),
    *(
        "www.",
        "www..",
        ".",
        "... ",
        "$",
        "$$",
        "$a",
        "<",
        "<a",
        "</a",
        "&a",
        "\\(",
        "\\[",
        "\n",
        "a\n",
        "12 ",
        "no.",
        "1.",
    ),
    *("a.", "。", "東", "\u0301", "😀", '"', "*", " a", MASK, CODE),
)


@pytest.mark.parametrize("before", ["", "```py\n", "[", "a"])
@pytest.mark.parametrize("unit", HOSTILE)
def test_a_token_costs_no_more_the_more_there_were(unit: str, before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """4,000 tokens of code took 3 s."""
    read = 0
    masked = chunking.mask_unbreakable

    def counted(text: str) -> tuple[str, int | None]:
        nonlocal read
        read += len(text)
        return masked(text)

    monkeypatch.setattr(chunking, "mask_unbreakable", counted)
    text = before + unit * (16_000 // len(unit))
    cut(*(text[i : i + 4] for i in range(0, len(text), 4)))
    assert read <= len(text) // 4 * (MOST + PATIENCE + 4)


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_piece_of_any_length_takes_linear_time(unit: str) -> None:
    def seconds(characters: int) -> float:
        begun = time.thread_time()
        assert "".join(cut(text := unit * (characters // len(unit)))) == text
        return time.thread_time() - begun

    assert seconds(32_000) < 8 * max(seconds(8_000), 0.005)


def test_a_block_of_code_is_read_twice_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    masked = chunking.mask_unbreakable

    def counted(text: str) -> tuple[str, int | None]:
        read.append(len(text))
        return masked(text)

    monkeypatch.setattr(chunking, "mask_unbreakable", counted)
    text = "So:\n```py\n" + "for i in a: b.c(d, 'e. f')\n" * 600 + "```\nDone."
    assert [len(clause) for clause in cut(*tokens(text))] == [3, len(text) - 9, 6]
    assert sum(read) < 3 * len(text)


@pytest.mark.parametrize("unit", ["(", " ", "😀", "\u0301", MASK, CODE])
def test_what_is_no_words_waits_no_longer_than_it_may(unit: str) -> None:
    clauses = cut(*(unit * 2000))
    assert "".join(clauses) == unit * 2000
    assert max(map(len, clauses)) <= MOST


def test_a_line_too_long_to_begin_a_block_of_code_begins_none() -> None:
    assert len(cut(*tokens("``` " + "word " * 400))) > 10


@given(st.lists(st.sampled_from(["word", "3.5", "1,200", "10:30", "no", "and", "2026"]), max_size=80))
def test_numbers_stay_whole(words: list[str]) -> None:
    for clause in cut(*tokens(" ".join(words))):
        assert all(part in words for part in clause.split())
