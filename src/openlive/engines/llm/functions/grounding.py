"""Whether the arguments of a call were said, or made up."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from openlive.engines.llm.functions.stubs import read_signature
from openlive.types import FunctionCall, FunctionDeclaration


def drop_ungrounded(
    calls: Sequence[FunctionCall], functions: Sequence[FunctionDeclaration], said: str
) -> list[FunctionCall]:
    """The calls without what the model made up: optional arguments of which nobody has said anything are left out, and
    so is a call with a required number where `said`, the latest lines of the user, holds none (it has to be asked for),
    and one of whose arguments none was said.
    """
    kept = []
    for call in calls:
        properties, required = read_signature(next(f.parameters for f in functions if f.name == call.name))
        made_up = {name for name, value in call.args.items() if _is_made_up(value, properties.get(name, {}), said)}
        if any(name in required and not isinstance(call.args[name], str) for name in made_up):
            continue
        if made_up and made_up == call.args.keys():
            continue  # nothing in it was said
        kept.append(
            FunctionCall("", call.name, {k: v for k, v in call.args.items() if k in required or k not in made_up})
        )
    return kept


_NUMBERS = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|hundred|"
    r"half|halb\w*|quarter|viertel|dozen|couple|both|hour|ein\w*|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|"
    r"\w+zehn|\w+zig|dreißig|hundert|stunde|un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|quince|veinte|"
    r"treinta|cien\w*|medi[oa]|cuarto|hora|um[a]?|dois|duas|três|quatro|sete|oito|nove|dez|onze|doze|quinze|vinte|trinta|"
    r"cem|mei[oa]|quarto|deux|trois|cinq|sept|huit|neuf|dix|vingt|demi\w*|due|tre|quattro|otto|dieci|venti|mezz[oa])\b",
    re.IGNORECASE,
)
"""Something that may be a number: digits, or its words in the languages of Kokoro's voices and German."""


def _is_made_up(value: Any, schema: dict[str, Any], said: str) -> bool:
    """Numbers need a number; texts a word that begins like one of theirs, in whatever form. What is chosen from a list
    may be said in other words."""
    if isinstance(value, bool) or schema.get("enum"):
        return False
    if isinstance(value, int | float):
        return not _NUMBERS.search(said)
    if not isinstance(value, str) or schema.get("format"):
        return False
    heard = {word[:3] for word in _content_words(said)}
    words = {word[:3] for word in _content_words(value)}
    return bool(words) and not words & heard


def _content_words(text: str) -> list[str]:
    """Its words, without accents and case."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return re.findall(r"[^\W_]{3,}", "".join(c for c in letters if not unicodedata.combining(c)))
