"""What stands in a text and what is said, language by language."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openlive.engines.tts.text.normalise import normalise_text
from openlive.engines.tts.text.verbalise import WrittenNumber, parse_number, spell_out_text
from openlive.engines.tts.text.words import LANGUAGES

TABLES = {
    "en": """
        It costs $5. | It costs five dollars.
        $3.50, please | three dollars and fifty cents, please
        $1 or $0.50 | one dollar or fifty cents
        £1,234.56 | one thousand two hundred thirty-four pounds and fifty-six pence
        5 € | five euros
        $5 million, $2.5M | five million dollars, two point five million dollars
        It is 3:05 pm now. | It is three oh five P.M. now.
        at 10:00 and 10:30 | at ten o'clock and ten thirty
        7 a.m. | seven A.M.
        May 3, 2024 | May third, twenty twenty-four
        on 3 May 1984 | on the third of May, nineteen eighty-four
        3/4/2024 | March fourth, twenty twenty-four
        2024-05-03 | May third, twenty twenty-four
        in 1984, since 2005. | in nineteen eighty-four, since two thousand five.
        the 1990s and the '80s | the nineteen nineties and the eighties
        1939–1945 | nineteen thirty-nine to nineteen forty-five
        5 km, 1 km, 3.5 kg | five kilometers, one kilometer, three point five kilograms
        72°F is 22 °C | seventy-two degrees Fahrenheit is twenty-two degrees Celsius
        60 mph, 500 MB, 10 m² | sixty miles per hour, five hundred megabytes, ten square meters
        5-10 people | 5 to 10 people
        Call 555-1234. | Call five five five, one two three four.
        Write to a.b@c-d.com. | Write to a dot b at c-d dot com.
        Dr. Smith vs. Mr. Lee, etc. | Dr. Smith versus Mr. Lee, et cetera.
        No. 5 is #1 | number 5 is number 1
        2 + 2 = 4, 3 * 4, 5 < 7 | 2 plus 2 equals 4, 3 times 4, 5 less than 7
        1/2 cup | ½ cup
        Version 2.0.1 | Version two point zero point one
        50% of 1,000,000 is 3.14 | 50% of 1,000,000 is 3.14
        the 21st | the 21st
        Mm-hm. | um-hum.
        Hm, 5 mm of it, in mm | hmm, five millimeters of it, in mm
        "Mmm," he said, mhm! HM the King. | "hmm," he said, um-hum! HM the King.
        No. It is closed. | No. It is closed.
        Is Pluto a planet? No. | Is Pluto a planet? No.
        Nos. 3 and 4; max. 10, the max. is 5 | numbers 3 and 4; maximum 10, the max. is 5
        See fig. 3 of modern art. | See figure 3 of modern art.
        He sat. Look at the sun. | He sat. Look at the sun.
        Mon-Fri 9am-5pm, on Sat. | Monday to Friday nine A.M. to five P.M., on Saturday.
        example.com/path or /usr/local/bin | example dot com or slash usr slash local slash bin
        €5/kg, 10 €/month, 10 MB/s | five euros per kilogram, ten euros per month, ten megabytes per second
        24/7, 7/8, 5/8 inch, 8/10 | 24 7, seven eighths, five eighths inch, 8 out of 10
        on 12/25, from 12/25 to 3/4 | on December twenty-fifth, from December twenty-fifth to three quarters
        $5-10, $5–$10, -$5, $-5 | 5 to ten dollars, 5 to ten dollars, minus five dollars, minus five dollars
        2 1/2 cups, 2½ cups, 1 3/4 | two and a half cups, two and a half cups, one and three quarters
        5-10 km, 10%-20% | 5 to ten kilometers, 10% to 20%
        9:05am, 10:30PM, 5-6pm | nine oh five A.M., ten thirty P.M., 5 to six P.M.
        World War II, Louis XIV, Elizabeth II | World War two, Louis the fourteenth, Elizabeth the second
        and/or, pros/cons, main.py | and or, pros or cons, main dot P Y
        x² ≥ 4, √2 ≠ 3 | x squared greater than or equal to 4, square root of 2 not equal to 3
    """,
    "de": """
        5 €, 1 € und 3,50 € | fünf Euro, ein Euro und drei Euro fünfzig
        0,50 € | fünfzig Cent
        $5 | fünf Dollar
        1.234,56 € | eintausendzweihundertvierunddreißig Euro sechsundfünfzig
        5 Mio. € | fünf Millionen Euro
        am 3. Mai 2024 | am dritten Mai zweitausendvierundzwanzig
        der 3. Mai, der 21. Tag | der dritte Mai, der einundzwanzigste Tag
        am 03.05.2024 | am dritten Mai zweitausendvierundzwanzig
        um 10:30 Uhr, um 10.05 Uhr | um zehn Uhr dreißig, um zehn Uhr fünf
        8 Uhr, 1 Uhr | acht Uhr, ein Uhr
        im Jahr 1984 | im Jahr neunzehnhundertvierundachtzig
        die 1990er Jahre | die neunzehnhundertneunziger Jahre
        5 km bei 20 °C in 1 h | fünf Kilometer bei zwanzig Grad Celsius in eine Stunde
        z. B. das, z.B. dies, d. h. Äpfel usw. | zum Beispiel das, zum Beispiel dies, das heißt Äpfel und so weiter.
        Dr. Meier, ca. 5, Nr. 7 | Doktor Meier, circa 5, Nummer 7
        a@b.de | a ät b Punkt D E
        5-10 ist 2 + 2 = 4 | 5 bis 10 ist 2 plus 2 gleich 4
        1 Stunde, 1 Hund | eine Stunde, ein Hund
        Das war Punkt 3. Dann kam mehr. | Das war Punkt 3. Dann kam mehr.
        5,5 % | 5,5 %
        Hmm, ja. Mhm. | hm, ja. emhem.
        Fr. Müller, Mo.-Fr. 9-17 Uhr | Frau Müller, Montag bis Freitag 9 bis siebzehn Uhr
        Fr. bis So. | Freitag bis Sonntag.
        das Min. und Max., in 5 Min. da | das Min. und Max., in 5 Minuten da
        Z. B. Äpfel, Ca. 5 | Zum Beispiel Äpfel, Circa 5
        10–12 Uhr, 9:00–17:00 Uhr, 17:05 h | 10 bis zwölf Uhr, neun Uhr bis siebzehn Uhr, siebzehn Uhr fünf
        am 25.12., am 3.10. um 5 | am fünfundzwanzigsten Dezember, am dritten Oktober um 5
        Version 3.10. da | Version drei Punkt zehn. da
        am 25.12.26 | am fünfundzwanzigsten Dezember zweitausendsechsundzwanzig
        Heinrich VIII. war König, Teil II | Heinrich der achte war König, Teil zwei
        24/7, 7/8, 2 1/2 Tassen | 24 7, sieben Achtel, zweieinhalb Tassen
        5 €/kg, 10 €/Monat | fünf Euro pro Kilogramm, zehn Euro pro Monat
        1 Name, 1 Nacht, und/oder | ein Name, eine Nacht, und oder
    """,
    "es": """
        5 €, 1 € y 3,50 € | cinco euros, un euro y tres euros con cincuenta
        $5 | cinco dólares
        5 millones de € | cinco millones de euros
        £200 | doscientas libras
        1 de mayo de 2024 | uno de mayo de 2024
        03/05/2024 | tres de mayo de dos mil veinticuatro
        el 1º, la 2.ª, el 3.er | el primero, la segunda, el tercer
        a las 10:30, a la 1:00, a las 21:15 | a las diez y media, a la una, a las veintiuna quince
        5 km, 20 °C, 200 lb | cinco kilómetros, veinte grados Celsius, doscientas libras
        p. ej. esto, Sr. López | por ejemplo esto, señor López
        en EE. UU. hoy | en Estados Unidos hoy
        a@b.es | a arroba b punto E S
        1 libro, 1 casa | un libro, una casa
        2 + 2 = 4 y -5 | 2 más 2 igual a 4 y  menos 5
        20 % | 20 %
        1 día, 1 problema, 1 mapa, 1 mano, 1 agua, 1 noche | un día, un problema, un mapa, una mano, un agua, una noche
        a las 3:30 p. m. y 9:05 a.m. hoy | a las tres y media de la tarde y nueve y cinco de la mañana hoy
        24/7, 7/8, 2 1/2 tazas, 5 €/kg | 24 7, siete octavos, dos y media tazas, cinco euros por kilogramo
        Felipe VI, Alfonso XIII, siglo XXI | Felipe sexto, Alfonso trece, siglo veintiuno
        El A. C. Milan, 200 a. C. ya | El A. C. Milan, 200 antes de Cristo ya
    """,
    "fr": """
        5 €, 1 € et 3,50 € | cinq euros, un euro et trois euros cinquante
        5 $ | cinq dollars
        1 000 000 € | un million d'euros
        le 1 mai, le 1er mai, le 2e | le premier mai, le premier mai, le deuxième
        03/05/2024 | trois mai deux mille vingt-quatre
        à 10 h 30, à 10h30, à 10:00 | à dix heures trente, à dix heures trente, à dix heures
        1 h, 21h | une heure, vingt-et-une heures
        5 km, 20 °C, 80 kg | cinq kilomètres, vingt degrés Celsius, quatre-vingts kilogrammes
        p. ex. ceci, M. Dupont, n° 5 | par exemple ceci, Monsieur Dupont, numéro 5
        au XXe siècle | au vingtième siècle
        a@b.fr | a arobase b point F R
        2 + 2 = 4 | 2 plus 2 égale 4
        20 % | 20 %
        Mm. Hmm, oui. | hmm. hmm, oui.
        Il y en a 3 M. Le reste | Il y en a 3 M. Le reste
        14h-16h, lun.-ven. 9h-18h | quatorze heures à seize heures, lundi à vendredi neuf heures à dix-huit heures
        Louis XIV, 5 €/mois, 24/7 | Louis quatorze, cinq euros par mois, 24 7
        les 12 500 habitants | les 12500 habitants
    """,
    "it": """
        5 €, 1 € e 3,50 € | cinque euro, un euro e tre euro e cinquanta
        5 milioni di € | cinque milioni di euro
        1 maggio 2024 | primo maggio 2024
        03/05/2024 | tre maggio duemilaventiquattro
        alle 10:30, all'1:00 | alle dieci e trenta, all'una
        5 km a 100 km/h, 20 °C | cinque chilometri a cento chilometri orari, venti gradi Celsius
        ad es. questo, Sig. Rossi, ecc. | ad esempio questo, signor Rossi, eccetera.
        1º e 2ª, 3° piano, 3° all'ombra | primo e seconda, terzo piano, tre gradi all'ombra
        a@b.it | a chiocciola b punto I T
        1 casa, 1 libro | una casa, un libro
        2 + 2 = 4 | 2 più 2 uguale 4
        20% | 20%
        il suo n. è 3, n. 5 | il suo n. è 3, numero 5
        1 mano, 1 zio, 1 studente, 1 zaino | una mano, uno zio, uno studente, uno zaino
        1 ora, 1 amico, 1 yogurt, 1 problema | un'ora, un amico, uno yogurt, un problema
        Luigi XIV, XX secolo, 5 €/kg | Luigi quattordicesimo, ventesimo secolo, cinque euro per chilogrammo
    """,
    "pt": """
        R$ 5, R$ 1 e R$ 3,50 | cinco reais, um real e três reais e cinquenta centavos
        US$ 5 e 5 € | cinco dólares e cinco euros
        R$ 5 milhões | cinco milhões de reais
        1 de maio | primeiro de maio
        03/05/2024 | três de maio de dois mil e vinte e quatro
        às 10:30, às 10h30, às 10h | às dez e trinta, às dez e trinta, às dez horas
        5 km, 20 °C, 200 lb | cinco quilômetros, vinte graus Celsius, duzentas libras
        p. ex. isto, Sr. Silva | por exemplo isto, senhor Silva
        a@b.br | a arroba b ponto B R
        1 casa, a 2ª | uma casa, a segunda
        2 + 2 = 4 | 2 mais 2 igual a 4
        20% | 20%
        1 dia, 1 problema, 1 mapa, 1 mão | um dia, um problema, um mapa, uma mão
        2 horas, 2 casas, 2 dias, 2 livros | duas horas, duas casas, 2 dias, 2 livros
        Pedro II, século XXI, 24/7, 5 €/mês | Pedro segundo, século vinte e um, 24 7, cinco euros por mês
    """,
    "ru": """
        5 km | 5 километров
        $5 | 5 долларов США
        2024-05-03 | 3 мая 2024\u202fг.
    """,
    "ja": "5 km | 5 キロメートル",
    "xx": "5 km, $5 | 5 kilometers, 5 USD",
}
ROWS = [
    (language, *(side.strip() for side in row.split(" | ")))
    for language, table in TABLES.items()
    for row in table.strip().splitlines()
]


@pytest.mark.parametrize(("language", "text", "said"), ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_signs_are_said_in_words(language: str, text: str, said: str) -> None:
    assert " ".join(spell_out_text(text, language).split()) == " ".join(said.split())


@pytest.mark.parametrize(
    ("language", "text", "number"),
    [
        ("en", "1,234.5", WrittenNumber(1234, "5")),
        ("en", "1,5", WrittenNumber(1, "5")),
        ("en", "1,234,567", WrittenNumber(1234567, "")),
        ("en", "3.142", WrittenNumber(3, "142")),
        ("de", "1.234", WrittenNumber(1234, "")),
        ("de", "1.234,5", WrittenNumber(1234, "5")),
        ("de", "3.5", WrittenNumber(3, "5")),
        ("fr", "1 234 567,8", WrittenNumber(1234567, "8")),
        ("hi", "1,234", WrittenNumber(1234, "")),
        ("xx", "2.5", WrittenNumber(2, "5")),
    ],
)
def test_numbers_as_languages_write_them(language: str, text: str, number: WrittenNumber) -> None:
    assert parse_number(text, language) == number


def test_the_region_tells_the_day_from_the_month() -> None:
    assert spell_out_text("3/4/2024", "en", "en-US") == "March fourth, twenty twenty-four"
    assert spell_out_text("3/4/2024", "en", "en-GB") == "April third, twenty twenty-four"
    assert spell_out_text("31/4/2024", "en", "en-US") == "April thirty-first, twenty twenty-four"
    assert spell_out_text("40/40/2024", "en") == "40/40/2024"


@given(
    st.text("0123456789.,:/-+ $€%°ºª#'hkmpelrxXVI@\u00a0", max_size=30),
    st.sampled_from([*LANGUAGES, "ru", "th", "ar", "xx"]),
)
@settings(max_examples=300, deadline=None)
def test_no_text_is_too_odd(text: str, language: str) -> None:
    spell_out_text(text, language)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**$5** for *one* `x == y` 🎉", "five dollars for one x equals y"),
        ("The formula $x$ is 3*4", "The formula x is 3 times 4"),
        ("`my_name` or [this](https://a.b/c), https://docs.python.org/3/", "my name or this, docs dot python dot org"),
        ("$E = mc^2$ is \\frac{1}{4}", "E equals mc squared is one quarter"),
        (
            "$$\\sqrt{x_1} \\leq 2^n$$",
            "square root of x 1 less than or equal to 2 to the power of n",
        ),
        ("<p><b>bold</b> &amp; C#<br/>or F#</p>", "bold & C sharp, or F sharp"),
        ("a >= b, x != y, ==mark==, x == y", "a greater than or equal to b, x not equal to y, mark, x equals y"),
        ("C:\\Users\\Ann or ~/.bashrc", "C: Users Ann or dot bashrc"),
        ("| A | B |\n|---|:-:|\n| c | 5 |", "A, B, c, 5"),
        ("[docs [x]](https://a.b/c_(d)) <https://www.a.org/x>", "docs x a dot org"),
        ("# Plan\n- 10:30 start\n- 5 km run", "Plan, ten thirty start, five kilometers run"),
    ],
)  # fmt: skip
def test_markup_and_signs_together(text: str, said: str) -> None:
    assert normalise_text(text, "en") == said
