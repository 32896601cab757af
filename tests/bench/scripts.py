"""What is heard of words in another script inside a sentence: `python -m tests.bench.scripts`.

Each sentence of `scripts.json` arrives whole and letter by letter and goes the way to Kokoro's voice, up to its
phonemes. It is right where they are those of the sentence's own language and, for each `[code words]` of the set, those
of the words in that language (`[ru|uk words]`: of either). Every second sentence was set aside: collected before the
first rule was written, and neither looked at nor measured before the last one was. No weights are needed.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from openlive.engines.text.scripts import language_of, split_runs
from openlive.engines.tts.chunking import ClauseChunker
from openlive.engines.tts.g2p.phonemes import EspeakPhonemizer, find_dialect
from openlive.engines.tts.text.normalise import normalise_text
from tests.bench.heard import PARTS, PAUSES, Row

PIECES = (10_000, 1)
"""Characters that arrive at once."""
LONG = (24,)
"""Words in a clause: espeak-ng sounds a little word otherwise at the end of one, which is not the question here."""
RUN = re.compile(r"\[([a-z|]+) ([^\]]+)\]")


def load(part: str = "all") -> list[Row]:
    """The rows of the set. Its part `aside` is every second one, beginning with the second; `seen` are the others."""
    rows = json.loads((Path(__file__).parent / "sets" / "scripts.json").read_text("utf-8"))
    return [Row(**row) for row in rows[PARTS[part]]]


class Ear:
    """Compares phonemes. Close it."""

    def __init__(self) -> None:
        self._espeak = EspeakPhonemizer()

    def close(self) -> None:
        self._espeak.close()

    def wrong(self, row: Row) -> list[str]:
        """The phonemes that the voice is given for a sentence, once for each size of pieces that is wrong."""
        expected = self.expected(row)
        given = dict.fromkeys(self.given(row, size) for size in PIECES)
        return [phonemes for phonemes in given if bare(phonemes) not in expected]

    def expected(self, row: Row) -> set[str]:
        parts = RUN.split(row.heard)
        known = [
            [bare(self.phonemes(part, code)) for code in codes.split("|")]
            for part, codes in zip(
                parts[::3] + parts[2::3], [row.language] * len(parts[::3]) + parts[1::3], strict=True
            )
        ]
        plain, runs = known[: len(parts[::3])], known[len(parts[::3]) :]
        ordered = [*itertools.chain(*zip(plain, [*runs, [""]], strict=True))]
        return {"".join(one) for one in itertools.product(*ordered)}

    def given(self, row: Row, size: int) -> str:
        cutter, language = ClauseChunker(LONG), row.language
        clauses = [c for i in range(0, len(row.text), size) for c in cutter.feed(row.text[i : i + size])]
        spoken: list[str] = []
        for clause in (*clauses, cutter.flush()):
            language = language_of(clause, "", language)
            if text := normalise_text(clause, language):
                spoken += [self.phonemes(words, code) for code, words in split_runs(text, language)]
        return " ".join(spoken)

    def phonemes(self, text: str, language: str) -> str:
        return self._espeak.to_phonemes(PAUSES.sub(" ", text), find_dialect("en-us" if language == "en" else language))


def bare(phonemes: str) -> str:
    """Without stress, pauses and spaces."""
    return re.sub(r"[^\w\u0300-\u036f]|[ˈˌː_]", "", phonemes)


@click.command()
@click.option("--part", type=click.Choice(list(PARTS)), default="all", help="What was set aside, or the rest.")
@click.option("--verbose", is_flag=True, help="Show what is wrong.")
def main(part: str, verbose: bool) -> None:
    """Score the committed sentences, by script."""
    console, ear, rows = Console(), Ear(), load(part)
    right: Counter[str] = Counter()
    for row in rows:
        wrong = ear.wrong(row)
        right.update(dict.fromkeys((row.kind, "all"), not wrong))
        if verbose and wrong:
            console.print(row.text, *wrong, *ear.expected(row), sep="\n    ", markup=False)
    ear.close()
    table = Table("sentences", "right", "of")
    for key, total in Counter(key for row in rows for key in (row.kind, "all")).most_common():
        table.add_row(key, str(right[key]), str(total))
    console.print(table)


if __name__ == "__main__":
    main()
