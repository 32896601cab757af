"""The words of `verbalise.py`, for the languages it knows: what stands for signs, currencies and abbreviations."""

from __future__ import annotations

from msgspec import Struct


class CurrencyWords(Struct, frozen=True):
    """`one` and `many` of a currency, its gender (`m`, `f`, `n`), and of its hundredth part."""

    one: str
    many: str
    gender: str = "m"
    cent: str = "cent"
    cents: str = "cents"


class LanguageWords(Struct, frozen=True):
    """One language. `cents` joins a sum: units, its currency, hundredths, theirs. `of` stands after a million."""

    point: str
    to: str
    dot: str
    at: str
    plus: str
    minus: str
    times: str
    divided: str
    equals: str
    less: str
    more: str
    either: str
    number: str
    cents: str
    of: str
    date: str
    money: dict[str, CurrencyWords]
    abbreviations: dict[str, str]
    """By the abbreviation. What is a word, too, or ends sentences in other meanings, says what has to stand beside it:
    `No. 1` a number behind it, `1 Min.` one in front of it (Roman ones count), `Fr. A` a word with a capital behind it
    and no number in front."""
    murmurs: tuple[str, str]
    """What sounds like "hmm" and like "mm-hm", whose letters espeak-ng would tell."""
    feminine: frozenset[str]
    """Units of CLDR that are feminine."""
    signs: dict[str, str] = {}
    """Of the rest, what espeak-ng leaves out."""


def _parse_table(text: str) -> dict[str, str]:
    """`short = long` on each line."""
    pairs = (line.split("=") for line in text.strip().splitlines())
    return {short.strip(): long.strip() for short, long in pairs}


def _unit_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


LANGUAGES: dict[str, LanguageWords] = {
    "en": LanguageWords(
        *("point", "to", "dot", "at", "plus", "minus", "times", "divided by", "equals", "less than", "greater than"),
        *("or", "number", "{} {} and {} {}", "", "{month} {ordinal}, {year}"),
        money={
            "USD": CurrencyWords("dollar", "dollars"),
            "EUR": CurrencyWords("euro", "euros"),
            "GBP": CurrencyWords("pound", "pounds", cent="penny", cents="pence"),
            "JPY": CurrencyWords("yen", "yen"),
            "BRL": CurrencyWords("real", "reais", cent="centavo", cents="centavos"),
            "INR": CurrencyWords("rupee", "rupees", cent="paisa", cents="paise"),
            "CHF": CurrencyWords("franc", "francs", cent="centime", cents="centimes"),
        },
        abbreviations=_parse_table("""
            vs. = versus
            approx. = approximately
            No. 1 = number
            Nos. 1 = numbers
            no. 1 = number
            vol. 1 = volume
            ch. 1 = chapter
            apt. 1 = apartment
            Ave. = Avenue
            Blvd. = Boulevard
            Mon. = Monday
            Tue. = Tuesday
            Tues. = Tuesday
            Wed. = Wednesday
            Thu. = Thursday
            Thurs. = Thursday
            Fri. = Friday
            fig. 1 = figure
            p. 1 = page
            pp. 1 = pages
            max. 1 = maximum
            min. 1 = minimum
            e.g. = for example
            i.e. = that is
            w/o = without
            w/ = with
            incl. = including
            etc. = et cetera
            dept. = department
            Inc. = incorporated
            Ltd. = limited
            Prof. = Professor
        """),
        murmurs=("hmm", "um-hum"),
        feminine=frozenset(),
    ),
    "de": LanguageWords(
        *("Komma", "bis", "Punkt", "ät", "plus", "minus", "mal", "geteilt durch", "gleich", "kleiner als"),
        *("größer als", "oder", "Nummer", "{} {} {}", "", "{ordinal} {month} {year}"),
        money={
            "USD": CurrencyWords("Dollar", "Dollar", cent="Cent", cents="Cent"),
            "EUR": CurrencyWords("Euro", "Euro", cent="Cent", cents="Cent"),
            "GBP": CurrencyWords("Pfund", "Pfund", "n", "Penny", "Pence"),
            "JPY": CurrencyWords("Yen", "Yen"),
            "BRL": CurrencyWords("Real", "Real", cent="Centavo", cents="Centavos"),
            "INR": CurrencyWords("Rupie", "Rupien", "f", "Paisa", "Paise"),
            "CHF": CurrencyWords("Franken", "Franken", cent="Rappen", cents="Rappen"),
        },
        abbreviations=_parse_table("""
            z. B. = zum Beispiel
            d. h. = das heißt
            u. a. = unter anderem
            v. a. = vor allem
            z. T. = zum Teil
            i. d. R. = in der Regel
            n. Chr. = nach Christus
            v. Chr. = vor Christus
            usw. = und so weiter
            etc. = et cetera
            bzw. = beziehungsweise
            ca. = circa
            evtl. = eventuell
            ggf. = gegebenenfalls
            inkl. = inklusive
            zzgl. = zuzüglich
            vgl. = vergleiche
            sog. = sogenannte
            geb. = geboren
            lt. = laut
            Bsp. = Beispiel
            Kap. 1 = Kapitel
            Dr. = Doktor
            Prof. = Professor
            Hr. A = Herr
            Fr. A = Frau
            St. A = Sankt
            Str. = Straße
            Nr. 1 = Nummer
            S. 1 = Seite
            Abb. 1 = Abbildung
            Art. 1 = Artikel
            mind. 1 = mindestens
            max. 1 = maximal
            Tel. = Telefon
            1 Mio. = Millionen
            1 Mrd. = Milliarden
            1 Std. = Stunden
            1 Min. = Minuten
        """),
        murmurs=("hm", "emhem"),
        feminine=_unit_set(
            "duration-hour duration-minute duration-second length-mile mass-tonne mass-ounce energy-kilocalorie "
            "energy-kilowatt-hour"
        ),
    ),
    "es": LanguageWords(
        *("coma", "a", "punto", "arroba", "más", "menos", "por", "dividido por", "igual a", "menor que", "mayor que"),
        *("o", "número", "{} {} con {}", "de", "{day} de {month} de {year}"),
        money={
            "USD": CurrencyWords("dólar", "dólares", cent="centavo", cents="centavos"),
            "EUR": CurrencyWords("euro", "euros", cent="céntimo", cents="céntimos"),
            "GBP": CurrencyWords("libra", "libras", "f", "penique", "peniques"),
            "JPY": CurrencyWords("yen", "yenes"),
            "BRL": CurrencyWords("real", "reales", cent="centavo", cents="centavos"),
            "INR": CurrencyWords("rupia", "rupias", "f"),
            "CHF": CurrencyWords("franco", "francos", cent="céntimo", cents="céntimos"),
        },
        abbreviations=_parse_table("""
            p. ej. = por ejemplo
            EE. UU. = Estados Unidos
            1 a. C. = antes de Cristo
            1 d. C. = después de Cristo
            Sr. = señor
            Sra. = señora
            Srta. = señorita
            Dr. = doctor
            Dra. = doctora
            Prof. = profesor
            Ud. = usted
            Uds. = ustedes
            etc. = etcétera
            aprox. = aproximadamente
            pág. 1 = página
            núm. 1 = número
            art. 1 = artículo
            máx. 1 = máximo
            mín. 1 = mínimo
            n.º = número
            nº = número
            tel. = teléfono
            Avda. = avenida
            Av. = avenida
        """),
        murmurs=("um", "umjum"),
        feminine=_unit_set(
            "duration-hour length-mile length-inch length-yard mass-pound mass-ounce mass-tonne energy-kilocalorie "
            "area-hectare"
        ),
        signs={"&": "y", "½": "medio", "¼": "un cuarto", "¾": "tres cuartos", "⅓": "un tercio", "⅔": "dos tercios"},
    ),
    "fr": LanguageWords(
        *("virgule", "à", "point", "arobase", "plus", "moins", "fois", "divisé par", "égale", "inférieur à"),
        *("supérieur à", "ou", "numéro", "{} {} {}", "de", "{day} {month} {year}"),
        money={
            "USD": CurrencyWords("dollar", "dollars"),
            "EUR": CurrencyWords("euro", "euros", cent="centime", cents="centimes"),
            "GBP": CurrencyWords("livre", "livres", "f", "penny", "pence"),
            "JPY": CurrencyWords("yen", "yens"),
            "BRL": CurrencyWords("réal", "réaux", cent="centavo", cents="centavos"),
            "INR": CurrencyWords("roupie", "roupies", "f"),
            "CHF": CurrencyWords("franc", "francs", cent="centime", cents="centimes"),
        },
        abbreviations=_parse_table("""
            p. ex. = par exemple
            c.-à-d. = c'est-à-dire
            av. J.-C. = avant Jésus-Christ
            apr. J.-C. = après Jésus-Christ
            M. A = Monsieur
            MM. A = Messieurs
            Mme = Madame
            Mlle = Mademoiselle
            Dr A = Docteur
            Pr A = Professeur
            etc. = et cetera
            env. = environ
            n° = numéro
            tél. = téléphone
        """),
        murmurs=("hmm", "um-hum"),
        feminine=_unit_set("duration-hour duration-minute duration-second mass-pound mass-ounce mass-tonne"),
        signs={"&": "et"},
    ),
    "it": LanguageWords(
        *("virgola", "a", "punto", "chiocciola", "più", "meno", "per", "diviso", "uguale", "minore di"),
        *("maggiore di", "o", "numero", "{} {} e {}", "di", "{day} {month} {year}"),
        money={
            "USD": CurrencyWords("dollaro", "dollari", cent="centesimo", cents="centesimi"),
            "EUR": CurrencyWords("euro", "euro", cent="centesimo", cents="centesimi"),
            "GBP": CurrencyWords("sterlina", "sterline", "f", "penny", "penny"),
            "JPY": CurrencyWords("yen", "yen"),
            "BRL": CurrencyWords("real", "real", cent="centavo", cents="centavos"),
            "INR": CurrencyWords("rupia", "rupie", "f"),
            "CHF": CurrencyWords("franco", "franchi", cent="centesimo", cents="centesimi"),
        },
        abbreviations=_parse_table("""
            ad es. = ad esempio
            p. es. = per esempio
            1 a. C. = avanti Cristo
            1 d. C. = dopo Cristo
            ecc. = eccetera
            etc. = eccetera
            Sig.ra = signora
            Sig. = signor
            Dott.ssa = dottoressa
            Dott. = dottor
            Dr. = dottor
            Prof. = professor
            Avv. = avvocato
            Ing. = ingegner
            pag. 1 = pagina
            n. 1 = numero
            art. 1 = articolo
            tel. = telefono
            cfr. = confronta
        """),
        murmurs=("um", "umum"),
        feminine=_unit_set("duration-hour length-yard mass-pound mass-ounce mass-tonne energy-kilocalorie"),
        signs={"&": "e"},
    ),
    "pt": LanguageWords(
        *("vírgula", "a", "ponto", "arroba", "mais", "menos", "vezes", "dividido por", "igual a", "menor que"),
        *("maior que", "ou", "número", "{} {} e {} {}", "de", "{day} de {month} de {year}"),
        money={
            "USD": CurrencyWords("dólar", "dólares", cent="centavo", cents="centavos"),
            "EUR": CurrencyWords("euro", "euros", cent="centavo", cents="centavos"),
            "GBP": CurrencyWords("libra", "libras", "f", "pêni", "pence"),
            "JPY": CurrencyWords("iene", "ienes"),
            "BRL": CurrencyWords("real", "reais", cent="centavo", cents="centavos"),
            "INR": CurrencyWords("rupia", "rupias", "f"),
            "CHF": CurrencyWords("franco", "francos", cent="centavo", cents="centavos"),
        },
        abbreviations=_parse_table("""
            p. ex. = por exemplo
            1 a. C. = antes de Cristo
            1 d. C. = depois de Cristo
            Sr. = senhor
            Sra. = senhora
            Srta. = senhorita
            Dr. = doutor
            Dra. = doutora
            Prof. = professor
            Profa. = professora
            etc. = etcétera
            aprox. = aproximadamente
            pág. 1 = página
            art. 1 = artigo
            n.º = número
            nº = número
            tel. = telefone
            Av. = avenida
        """),
        murmurs=("hum", "uhum"),
        feminine=_unit_set(
            "duration-hour length-mile length-inch length-yard mass-pound mass-ounce mass-tonne energy-kilocalorie"
        ),
        signs={"&": "e"},
    ),
}

CURRENCIES = {
    "US$": "USD", "R$": "BRL", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "USD": "USD", "EUR": "EUR",
    "GBP": "GBP", "JPY": "JPY", "BRL": "BRL", "INR": "INR", "CHF": "CHF",
}  # fmt: skip
UNITS = {
    "km/h": "speed-kilometer-per-hour", "mph": "speed-mile-per-hour", "m/s": "speed-meter-per-second",
    "km²": "area-square-kilometer", "m²": "area-square-meter", "m³": "volume-cubic-meter", "ha": "area-hectare",
    "km": "length-kilometer", "cm": "length-centimeter", "mm": "length-millimeter", "m": "length-meter",
    "mi": "length-mile", "ft": "length-foot", "yd": "length-yard",
    "kg": "mass-kilogram", "mg": "mass-milligram", "g": "mass-gram", "t": "mass-tonne", "lbs": "mass-pound",
    "lb": "mass-pound", "oz": "mass-ounce", "ml": "volume-milliliter", "mL": "volume-milliliter",
    "cl": "volume-centiliter", "l": "volume-liter", "L": "volume-liter",
    "°C": "temperature-celsius", "°F": "temperature-fahrenheit", "°": "angle-degree",
    "kB": "digital-kilobyte", "KB": "digital-kilobyte", "MB": "digital-megabyte", "GB": "digital-gigabyte",
    "TB": "digital-terabyte", "Hz": "frequency-hertz", "kHz": "frequency-kilohertz", "MHz": "frequency-megahertz",
    "GHz": "frequency-gigahertz", "kWh": "energy-kilowatt-hour", "kW": "power-kilowatt", "W": "power-watt",
    "V": "electric-volt", "kcal": "energy-kilocalorie", "h": "duration-hour", "min": "duration-minute",
    "sec": "duration-second", "s": "duration-second", "ms": "duration-millisecond",
}  # fmt: skip
"""Signs and CLDR's names of units."""
