"""What is heard of replies as small models write them: `python -m tests.bench.heard [digits]`.

Each reply of `heard.json` (or of `digits.json`: telephone numbers, scores, codes and the like) arrives whole, in pieces
of four characters and letter by letter, is cut into clauses and made speakable as on its way to the voice. It is right
where espeak-ng sounds the result like the words that the set expects, all three times: what it makes of digits is what
is heard. In the set `{this|that}` are alternatives, one of which may be empty. Every second reply of `digits.json` was
set aside: collected before the first rule for the kind was written, and neither looked at nor measured before the last
one was. No weights are needed.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from openlive.engines.tts.chunking import ClauseChunker
from openlive.engines.tts.g2p.phonemes import EspeakPhonemizer, find_dialect
from openlive.engines.tts.text.digits import LETTERS
from openlive.engines.tts.text.normalise import normalise_text

PIECES = (10_000, 4, 1)
"""Characters that arrive at once."""
PARTS = {"all": slice(None), "seen": slice(0, None, 2), "aside": slice(1, None, 2)}
PAUSES = re.compile(r"[,;:!?…—–\"“”„«»()¡¿]+(?=\s|$)|(?<!\S)[,;:!?…—–\"“”„«»()¡¿]+|(?<![\d.])\.+(?=\s|$)")


LONE = re.compile(r"(?<=\w[ ,])[A-Z](?!\w)|(?<=\w, )[A-Z](?!\w)")
"""A capital alone inside a sentence is a letter's name, not a word."""


class Row(Struct, frozen=True):
    """A reply, and the words that should be heard of it."""

    language: str
    kind: str
    text: str
    heard: str


def load(name: str = "heard", part: str = "all") -> list[Row]:
    """The rows of a set. Its part `aside` is every second one, beginning with the second; `seen` are the others."""
    rows = json.loads((Path(__file__).parent / "sets" / f"{name}.json").read_text("utf-8"))
    return [Row(**row) for row in rows[PARTS[part]]]


class Ear:
    """Compares words by their sounds. Close it."""

    def __init__(self) -> None:
        self._espeak = EspeakPhonemizer()

    def close(self) -> None:
        self._espeak.close()

    def wrong(self, row: Row) -> Sequence[str]:
        """What the voice is given for a reply, once for each size of pieces that is wrong."""
        expected = {self.sounds(words, row.language) for words in alternatives(row.heard)}
        given = dict.fromkeys(said(row.text, row.language, size) for size in PIECES)
        return [words for words in given if self.sounds(words, row.language) not in expected]

    def sounds(self, words: str, language: str) -> str:
        """The phonemes without stress or pauses."""
        code = "en-us" if language == "en" else language
        names = LETTERS.get(language, {})
        words = LONE.sub(lambda m: names.get(m[0], m[0]), words)
        clauses = self._espeak.text_to_ipa(find_dialect(code).espeak, PAUSES.sub(" ", words))
        return re.sub(r"[^\w\u0300-\u036f]|[ˈˌː_]", "", "".join(ipa for ipa, _ in clauses))


def alternatives(heard: str) -> Iterator[str]:
    parts = [part.split("|") for part in re.split(r"[{}]", heard)]
    yield from map("".join, itertools.product(*parts))


def said(text: str, language: str, size: int) -> str:
    """What the voice is given of a reply that arrives in pieces of `size` characters."""
    cutter = ClauseChunker()
    pieces = (text[i : i + size] for i in range(0, len(text), size))
    clauses = [clause for piece in pieces for clause in cutter.feed(piece)]
    clauses.append(cutter.flush())
    pairs = itertools.pairwise(["", *clauses])
    return " ".join(filter(None, (normalise_text(clause, language, "", before) for before, clause in pairs)))


@click.command()
@click.argument("name", metavar="SET", type=click.Choice(["heard", "digits"]), default="heard")
@click.option("--part", type=click.Choice(list(PARTS)), default="all", help="What was set aside, or the rest.")
@click.option("--verbose", is_flag=True, help="Show what is wrong.")
def main(name: str, part: str, verbose: bool) -> None:
    """Score the committed replies, by kind and by language."""
    console, ear, rows = Console(), Ear(), load(name, part)
    right: Counter[str] = Counter()
    for row in rows:
        wrong = ear.wrong(row)
        right.update(dict.fromkeys((row.kind, row.language, "all"), not wrong))
        if verbose and wrong:
            console.print(
                f"{row.language} {row.kind}: {row.text!r}", *wrong, f"[{row.heard}]", sep="\n    ", markup=False
            )
    ear.close()
    table = Table("replies", "right", "of")
    for key, total in Counter(key for row in rows for key in (row.kind, row.language, "all")).most_common():
        table.add_row(key, str(right[key]), str(total))
    console.print(table)


if __name__ == "__main__":
    main()
