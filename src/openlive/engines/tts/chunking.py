"""Cuts text that is still being generated into clauses that a voice can speak one by one.

A voice renders a clause as a whole, so the first one is short (speech starts early) and the next ones grow, which
sounds better, as fast as the audio before them gives time. Nothing is lost or added: the clauses joined are the text.
No clause ends in a link, a formula or the like; a block of code is a clause of its own.
"""

from __future__ import annotations

import re
import unicodedata

from openlive.engines.text.scripts import is_unspaced
from openlive.engines.tts.text.markup import FENCE_LINE

LIMITS = (4, 10, 24)
"""The most words in the first, the second and every further clause. Four words are about 1.3 s of speech: time enough
for a model of 25 tokens/s to write the next ten and for Kokoro to render them on two cores
(docs/models.md#language-model, #text-to-speech)."""
LONGEST = 240
"""The most characters of a clause, whatever they are: Kokoro takes 510 phonemes, and some languages write densely."""

ENDS = frozenset(".!?…。！？｡।॥؟")
PAUSES = frozenset(",;:—–、，；：،؛")
WIDE = frozenset("…。！？｡、，；：।॥؟،؛—")
"""Marks that part a text whatever follows them; the others need a space after them (3.5, 10:30, example.com)."""
AT_ONCE = frozenset(",;!?")
"""Marks that are trusted before their space has arrived, if they follow a plain word."""
CLOSERS = frozenset("\"'”’»)]}*_`」』）】》〉")
OPENERS = frozenset('"“„«')
FOLLOWING = ENDS | PAUSES | CLOSERS


def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


ABBREVIATIONS = _word_set("""
    dr mr mrs ms prof st sr jr gen col sgt capt lt rev hon mt vs etc inc ltd co dept est approx tel
    bzw usw ca nr str evtl ggf inkl zzgl sra srta dra ud uds avda mme mlle sig sigg dott avv ecc fr hr
    ej ee uu aprox núm pág env sog vgl zzgl ing cfr prof chr mio mrd ad es
""")
"""What keeps its full stop inside a sentence. Single letters do too: e.g., U.S., a.m., z.B."""

# Where to part a long run of words without a mark: not after words that lean on the next one, gladly before words that
# open a phrase. English first, then Spanish, French, German, Italian and Portuguese.
LEANING = _word_set("""
    a an the of to in on at for with from by and or but that as than is are was were be my your his her its our their
    this these those i you he she we they it i'm it's not no very
    el la los las un una unos unas de del en y o que le les des du et au aux ce cette je tu il elle nous vous ne
    der die das den dem ein eine einen und oder im am zu von mit ich du er sie wir es ist sind gli lo uno di da e che
    os as um uma do dos em no na ao é
""")
OPENING = _word_set("""
    and or but that which who because when while if so with for from in on at by is are was were can could will would
    to y pero que con para por en es porque et mais avec pour dans est und aber dass weil mit für ist e ma con per è
    mas com para é
""")

NAMES = _word_set(
    "Mon Tue Tues Wed Thu Thur Thurs Fri Sat Mo Di Mi Do Fr Sa V X II III IV VI VII VIII IX XI XII XIII XIV XV XVI"
)
"""Written so, days and Roman numerals do: Mo. bis Fr., Heinrich VIII. von England."""
DAY = re.compile(r"(?:\d{1,2}\.[-–])?\d{1,2}")
"""A day of a German date, or the number of a point in a list: 3. Mai, 3.-5. Mai, 1. First."""
NUMBERED = _word_set("no nos apt art ch fig vol pag p pp")
"""Abbreviations in front of a number only; elsewhere their stop ends a sentence."""

KEPT = re.compile(
    rf"{FENCE_LINE}\n(?:.*?\n)?[ \t]*+(?P=fence)"  # a block of code
    r"|\[(?:[^\[\]\n]|\[[^\[\]\n]*\])*\]\((?:[^()\n]|\([^()\n]*\))*\)"  # a link
    r"|(?:https?://|www\.)(?:[.,;:!?)\]]*+[^\s.,;:!?)\]])*+(?=[.,;:!?)\]]*+\s)"
    r"|\$\$(?:(?!\$\$).)++\$\$|\\\[(?:(?!\\\]).)++\\\]|\\\((?:(?!\\\)).)++\\\)|\$[A-Za-z\\][^$\n]*\$"  # a formula
    r"|</?[A-Za-z][^<>\n]*>|&#?\w+;"
    # What may become one of these when more of the text is there:
    rf"|(?P<open>{FENCE_LINE.replace('fence', 'opened')}(?:\n.*)?\Z"
    r"|\[(?:[^\[\]\n]|\[[^\[\]\n]*\])*(?:\[[^\[\]\n]*)?(?:\]?|\]\((?:[^()\n]|\([^()\n]*\))*(?:\([^()\n]*)?)\Z"
    r"|(?:https?://|www\.)\S*\Z"
    r"|\$\$(?:(?!\$\$).)*+\Z|\\\[(?:(?!\\\]).)*+\Z|\\\((?:(?!\\\)).)*+\Z|\$[A-Za-z\\][^$\n]*\Z"
    r"|</?[A-Za-z][^<>\n]*\Z)",
    re.DOTALL,
)
"""What no clause ends in."""
PATIENCE = 300
"""The most characters that wait for the end of such a thing, but for a block of code."""
GROUP = re.compile(r"[(+]?(?=[A-Z]{0,4}\d)[A-Z\d./()–-]+(?!\w)|[A-Z]{4}(?!\w)|[x×*+=–-](?!\S)")
"""A group of a telephone number, an IBAN, a postal code, or a sign between numbers."""
LONG_GROUP = 24
"""More characters than one has."""
LEADING, TRAILING = frozenset("เแโใไເແໂໃໄ"), frozenset("ะาำๅๆฯະາຳໆ々ー")
"""Signs of a syllable that stand before and after its consonant, and those that repeat or lengthen what is before."""
MOST = 600
"""The most characters that wait for anything else, such as a word among nothing but signs and spaces."""
MASK, CODE = "ˣ", "ʸ"
"""Letters that nobody writes, in place of every character of it; the second of a block of code."""
_CODE, _NEXT, _BLANK = re.compile(f"{CODE}+"), re.compile(r"[ *_]*+([^ *_])?"), re.compile(r"\s*+\Z")


class ClauseChunker:
    """Feed it the pieces of one reply; it gives back the clauses that are complete. `flush` gives what is left.

    A piece costs no more than `MOST` characters and its own, however long the text that waits: what is within a block
    of code is looked at again only when the block ends.
    """

    def __init__(self, limits: tuple[int, ...] = LIMITS) -> None:
        self._limits = limits
        self._clause_count = 0
        self._text = ""
        self._block: _CodeBlock | None = None
        """The block of code that is open at the end of `_text`, whose pieces it has."""

    def feed(self, piece: str) -> list[str]:
        if self._block:
            if not self._block.ends_with(piece):
                return []
            piece = self._close_block()
        self._text += piece
        clauses: list[str] = []
        start = 0
        text, opened = mask_unbreakable(self._text)
        while (end := find_clause_end(text, start, *self._word_limits())) is not None:
            clauses.append(self._text[start:end])
            start = end
            self._clause_count += 1
        if opened is not None:
            self._block = _CodeBlock(self._text[opened:])
        self._text = self._text[start:]
        return clauses

    def flush(self) -> str:
        """What no mark has ended yet; '' if nothing. Only this one, and what has `MOST` characters, may be blank."""
        rest, self._text = self._text + self._close_block(), ""
        return rest

    def _close_block(self) -> str:
        """What has come of the block of code."""
        block, self._block = self._block, None
        return "".join(block.pieces) if block else ""

    def _word_limits(self) -> tuple[int, int]:
        """(most words, words from which a comma will do)."""
        most = self._limits[min(self._clause_count, len(self._limits) - 1)]
        return most, max(2, most // 3)


class _CodeBlock:
    """A block of code that is not at its end: the pieces that come, and as much of the line under way as tells whether
    it ends the block."""

    def __init__(self, begun: str) -> None:
        """`begun`: all of it so far, with a line break."""
        fence = begun[: len(begun) - len(begun.lstrip(begun[0]))]
        self.pieces: list[str] = []
        self._end = re.compile(rf"(?:\A|\n)[ \t]*+{fence}")
        self._blank = re.compile(rf"[ \t]*+({fence[0]}*)\Z")
        self._line = self._line_state(begun)

    def ends_with(self, piece: str) -> bool:
        self.pieces.append(piece)
        text = self._line + piece
        self._line = self._line_state(text)
        return self._end.search(text) is not None

    def _line_state(self, text: str) -> str:
        """What the last line comes to: the beginning of a fence, or anything else."""
        begun = self._blank.match(text, text.rfind("\n") + 1)
        return begun[1] if begun else "x"


def mask_unbreakable(text: str) -> tuple[str, int | None]:
    """`text` with what has to stay whole as one word, a block of code as a line; up to what is not known yet. And where
    the block of code begins that is open at its end."""
    text = text.replace(MASK, "x").replace(CODE, "x")
    done, parts = 0, []
    for found in KEPT.finditer(text):
        parts.append(text[done : found.start()])
        done = found.start()
        if found["open"] is not None:
            if found["opened"] and "\n" in found[0]:
                return "".join(parts) + "\n", done
            if len(found[0]) < PATIENCE:
                return "".join(parts), None
            break
        parts.append("\n" + CODE * (len(found[0]) - 1) if found["fence"] else MASK * len(found[0]))
        done = found.end()
    return "".join(parts) + text[done:], None


def find_clause_end(text: str, start: int, most: int, least: int) -> int | None:
    """Where the clause that begins at `start` ends, or None while that is not known yet."""
    words = 0.0  # complete ones and the one under way
    spoken = in_word = False
    i, code = start - 1, 0
    while (i := i + 1) < len(text):
        c = text[i]
        if c == CODE and (block := _CODE.match(text, i)):
            words += 0 if in_word else 1
            spoken = in_word = True
            code += block.end() - i
            i = block.end() - 1
            continue
        if i - start - code >= MOST:
            return i
        if c.isspace():
            in_word = False
            if spoken and c == "\n":
                return i
            if words >= most and spoken:
                joined = is_inside_number(text, i)
                if joined is None:
                    return None
                if not joined:
                    return find_best_break(text, start, i, most)
            continue
        unspaced = is_unspaced(c)
        if (
            spoken
            and ((unspaced and words >= most) or i - start >= LONGEST)
            and c != MASK
            and (i - start >= LONGEST or can_split_between(text[i - 1], c))
            and not unicodedata.combining(c)
        ):
            return find_best_break(text, start, i, most) if i - start >= LONGEST else i
        words += 0.5 if unspaced else 0 if in_word else 1
        in_word = True
        spoken = spoken or c.isalnum()
        if spoken and (c in ENDS or (c in PAUSES and words >= least)):
            end = find_boundary(text, i)
            if end:
                return end
    return None


def is_inside_number(text: str, i: int) -> bool | None:
    """Whether the space at `i` stands inside a number or a code: 12 500, 020 7946 0958, GB29 NWBK 6016. None while that
    is not known yet."""
    before = text[max(0, i - LONG_GROUP) : i].rsplit(maxsplit=1)
    if not before or not GROUP.fullmatch(before[-1]):
        return False
    after = text[i : i + LONG_GROUP].split(maxsplit=1)
    if not after:
        return None if i + LONG_GROUP >= len(text) else False
    if GROUP.match(after[0]):
        return True
    unfinished = text.endswith(after[0]) and after[0].isupper() and len(after[0]) <= 4
    return None if unfinished else len(after[0]) == 4 and after[0].isalpha() and after[0].isupper()


def find_boundary(text: str, i: int) -> int | None:
    """The end of a clause whose mark stands at `i`, closing quotes included; None if the mark parts nothing (yet)."""
    end = i + 1
    while end < min(len(text), i + LONGEST) and text[end] in FOLLOWING:
        end += 1
    if text[i] in WIDE:
        return end
    word = text[max(0, i - 64) : i].rsplit(maxsplit=1)[-1] if i and not text[i - 1].isspace() else ""
    if text[i] == "." and end == i + 1 and keeps_stop(word):
        return None
    if text[i] == "." and word.lstrip('("*_').lower() in NUMBERED:
        after = _NEXT.match(text, end)
        return end if after and after[1] and not after[1].isdigit() else None
    if end == len(text):
        return end if text[i] in AT_ONCE and word.replace("'", "").replace("’", "").isalpha() else None
    return end if text[end].isspace() or is_unspaced(text[end]) else None


def keeps_stop(word: str) -> bool:
    """Whether a full stop after `word` does not end a sentence: abbreviations, initials, `1.` of a list."""
    written = word.lstrip("(\"'“‘«¿¡*_")
    bare = written.lower()
    last = bare.rsplit(".", 1)[-1]
    return (
        last in ABBREVIATIONS
        or written in NAMES
        or (len(last) == 1 and last.isalpha())
        or DAY.fullmatch(bare) is not None
    )


def find_best_break(text: str, start: int, end: int, most: int) -> int:
    """The space between `start` and `end` that hurts least as a pause; `end` itself counts as one."""
    spaces = [i for i in range(start + 1, end) if text[i].isspace() and not text[i - 1].isspace()] + [end]
    spaces = [i for i in spaces if any(c.isalnum() for c in text[start:i])][-max(1, most // 2 + 1) :]

    def rate_break(i: int) -> tuple[int, int]:
        before = text[start:i].rsplit(maxsplit=1)[-1].lower()
        after = (text[i : i + 40].split(maxsplit=1) or [""])[0].lower()
        score = 3 if before[-1] in PAUSES else 0
        score += 2 if after in OPENING or after[:1] in OPENERS else 0
        opened = before[0] in OPENERS and (len(before) == 1 or before[-1] not in CLOSERS)
        score -= 3 if before in LEANING or opened else 0
        if is_inside_number(text, i):
            score -= 9
        elif before[-1].isdigit() or before in "$€£":
            score -= 2
        return score, i

    return max(spaces, key=rate_break)


def can_split_between(before: str, c: str) -> bool:
    """Whether words may be parted between two characters of scripts without spaces: not between kana, nor in a syllable
    of Thai or its kin."""
    kana = all("\u3040" <= one <= "\u30ff" for one in (before, c))
    return not (kana or unicodedata.category(c)[0] == "M" or c in TRAILING or before in LEADING)
