"""What is told digit by digit, and what is not."""

from __future__ import annotations

from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openlive.engines.text.scripts import split_runs
from openlive.engines.tts.chunking import ClauseChunker
from openlive.engines.tts.text.digits import spell_digits
from openlive.engines.tts.text.normalise import normalise_text
from openlive.engines.tts.text.words import LANGUAGES

TABLES = {
    "en": """
        +1 (212) 555-0143 | plus one, two one two, five five five, zero one four three
        call 1-800-555-0199 | call one, eight zero zero, five five five, zero one nine nine
        Dial 020 7946 0958. | Dial zero two zero, seven nine four six, zero nine five eight.
        In an emergency, call 911 or 112. | In an emergency, call nine one one or one one two.
        Call 100 people. | Call 100 people.
        GB29 NWBK 6016 1331 92 | G B two nine, N W B K, six zero one six, one three three one, nine two
        4111 1111 1111 1112 | four one one one, one one one one, one one one one, one one one two
        The PIN is 4821, your card ends in 0042. | The PIN is four eight two one, your card ends in zero zero four two.
        the card ****4242 | the card four two four two
        The code is 123-456 | The code is one two three, four five six
        2000 copies, 8336817 people | 2000 copies, 8336817 people
        Version 3.10 and v1.5 | Version three point ten and version one point five
        Python 3.11.4, section 1.2.3 | Python three point eleven point four, section one point two point three
        10.0.0.1 | ten dot zero dot zero dot one
        10.0.0.5:8080, 10.0.0.0/8 | ten dot zero dot zero dot five port 8080, ten dot zero dot zero dot zero slash 8
        00:1A:2B:3C:4D:5E | zero zero, one ay, two B, three C, four D, five E
        2001:db8::1 | two zero zero one, D B eight, one
        They won 3-1, lost 2-3 and drew 1-1. | They won three one, lost two three and drew one one.
        The Lakers beat Boston 112-98. | The Lakers beat Boston one hundred twelve to ninety-eight.
        Open 9-5, pages 10-12, 10000-15000 people | Open 9 to 5, pages 10 to 12, 10000 to 15000 people
        10-5 = 5, a ratio of 3:1, 58:30 long | 10 minus 5 equals 5, a ratio of three to one, 58:30 long
        SW1A 2AA, CA 90210 | S W one ay, two ay ay, C ay, nine zero two one zero
        H2X 1Y4 | H two X, one Y four
        Flight BA 2490, B52, COVID-19, FY2024 | Flight B ay two four nine zero, B52, COVID-19, FY2024
        978-3-16-148410-0 | nine seven eight, three, one six, one four eight four one zero, zero
        Serial SN-4471-B | Serial S N, four four seven one, B
        due 21-05-1990 | due May twenty-first, nineteen ninety
        at 7.30 pm, 3.50 of it; PR#12 and #5 | at seven thirty P.M., 3.50 of it; PR number 12 and number 5
        10,000-15,000 people, 1.5-2.5 hours, 0.05 0.07 0.09 | 10,000 to 15,000 people, 1.5 to 2.5 hours, 0.05 0.07 0.09
        10-12 14-16 18-20; 24-25 | 10 to 12 14 to 16 18 to 20; 24 to 25
        a 50-50 chance, a Boeing 737-800 | a fifty fifty chance, a Boeing seven hundred thirty-seven eight hundred
        John 3:16-18, 9:00 AM-5:00 PM | John three sixteen to 18, nine A.M. to five P.M.
        12345678 people, line 123456789. | 12345678 people, line one two three four five six seven eight nine.
        Of 2019 (12 345 people), May 2020 150-200 came | Of 2019 (12 345 people), May 2020 150 to 200 came
    """,
    "de": """
        030/1234567-89 | null drei null, eins zwei drei vier fünf sechs sieben, acht neun
        +49 (0)171 1234567 | plus vier neun, eins sieben eins, eins zwei drei vier fünf sechs sieben
        Hauptstraße 12, 10827 Berlin | Hauptstraße 12, eins null acht zwei sieben Berlin
        D-80331 München | D, acht null drei drei eins München
        in 12500 Haushalten, 12345 Menschen | in 12500 Haushalten, 12345 Menschen
        Es stand 2:2, dann 3-1; von 22-6 Uhr | Es stand zwei zu zwei, dann drei zu eins; von 22 bis sechs Uhr
        Version 4.2.10 | Version vier Punkt zwei Punkt zehn
        1.500–2.500 Stück, 10.000-15.000 Euro | 1.500 bis 2.500 Stück, 10.000 bis 15.000 Euro
        Am 3.-5. Mai, vom 3. bis zum 5. Mai | Am dritten bis fünften Mai, vom dritten bis zum fünften Mai
        am 3. und 4. Juni, der 1.–3. Mai | am dritten und vierten Juni, der erste bis dritte Mai
        am 4.2.10 | am vierten Februar zweitausendzehn
        Nr. 2024-0815 | Nummer zwei null zwei vier, null acht eins fünf
        302-771984-1182 | drei null zwei, sieben sieben eins neun acht vier, eins eins acht zwei
    """,
    "es": """
        +34 612 345 678 | más tres cuatro, seis uno dos, tres cuatro cinco, seis siete ocho
        El Madrid ganó 3-1, a las 8.30 | El Madrid ganó tres a uno, a las ocho y media
        47 450 000 personas, 123 456 789 pesos, 1936-1939 | 47 450 000 personas, 123 456 789 pesos, 1936 a 1939
    """,
    "fr": """
        06 12 34 56 78 | zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit
        0612345678 | zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit
        09.70.12.34.56 | zéro neuf, soixante-dix, douze, trente-quatre, cinquante-six
        12 500 000 habitants, 75004 Paris | 12500000 habitants, sept cinq zéro zéro quatre Paris
    """,
    "it": """
        06 6982 1234 | zero sei, sei nove otto due, uno due tre quattro
        partita IVA 12345678 | partita IVA uno due tre quattro cinque sei sette otto
        dalle 8.30, la Roma ha vinto 2 - 0 | dalle otto e trenta, la Roma ha vinto due a zero
    """,
    "pt": """
        (11) 98765-4321 | um um, nove oito sete seis cinco, quatro três dois um
        CPF 123.456.789-09 | CPF um dois três, quatro cinco seis, sete oito nove, zero nove
        CEP 01310-100 | CEP zero um três um zero, um zero zero
        O jogo acabou 2 x 1. 3 x 4 = 12 | O jogo acabou dois a um. 3 vezes 4 igual a 12
    """,
    "ru": "+7 495 123-45-67, 12 500 и 3-5 | +7, 4 9 5, 1 2 3, 4 5, 6 7, 12 500 и 3-5",
    "ja": "電話は03-1234-5678です | 電話は0 3, 1 2 3 4, 5 6 7 8です",
}
ROWS = [
    (language, *(side.strip() for side in row.split(" | ")))
    for language, table in TABLES.items()
    for row in table.strip().splitlines()
]


@pytest.mark.parametrize(("language", "text", "said"), ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_digits_are_told_as_people_tell_them(language: str, text: str, said: str) -> None:
    assert normalise_text(text, language) == said


@pytest.mark.parametrize(
    ("before", "text", "said"),
    [
        ("Your code is:", " 482913.", "four eight two nine one three."),
        ("The number of people is:", " 482913.", "482913."),
        ("You need Python", " 3.11 or newer", "three point eleven or newer"),
        ("", " 3.11 or newer", "3.11 or newer"),
        ("Nadal won 6-3,", " 3-6,", "three six,"),
        ("Chapters", " 3-6,", "3 to 6,"),
    ],
)
def test_the_clause_before_tells_what_a_number_is(before: str, text: str, said: str) -> None:
    assert normalise_text(text, "en", before=before) == said


@given(
    st.text("0123456789.,:/-–+ ()x#AXvé\u00a0", max_size=40),
    st.text("code call won 5-,", max_size=20),
    st.sampled_from([*LANGUAGES, "ru", "ja"]),
)
@settings(max_examples=300, deadline=None)
def test_no_text_is_too_odd(text: str, before: str, language: str) -> None:
    normalise_text(text, language, before=before)


UNITS = ["1", "12 ", "1-", "1--", "1 - ", "(1) ", "((1", "+1", "A1-", "AB12 ", "AAAA ", "1.1.", "1 / ", "::1:", "ab:"]
UNITS += ["1 x 1 ", "1 1a ", "GB29 AAAA ", "won 3-1 ", "code is is ", "你a", "あ漢 ", "日（", "αβ ", "я я", "ж' "]


@pytest.mark.parametrize("unit", UNITS)
def test_what_repeats_costs_in_proportion(unit: str) -> None:
    """Long runs of digits, dashes and mixed scripts: four times the text takes less than ten times the time."""

    def cost(size: int) -> float:
        text = (unit * size)[:size]
        began = thread_time()
        spell_digits(text, "en", lambda number, _="": str(number))
        list(split_runs(text, "en"))
        list(split_runs(text, "ru"))
        cutter = ClauseChunker()
        cutter.feed(text)
        cutter.flush()
        return thread_time() - began

    small = min(cost(2000) for _ in range(3))
    assert min(cost(8000) for _ in range(3)) < 10 * max(small, 0.002)
