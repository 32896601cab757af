"""Takes the markup out of a text that is to be spoken: Markdown, HTML, LaTeX. What it stands for is left as words, as
digits, or as a sign of Unicode that `verbalise.py` has words for."""

from __future__ import annotations

import html
import re

FENCE_LINE = r"(?<![`~])(?P<fence>`{3,}+|~{3,}+)[^`\n]{0,300}+"
"""Begins a block of code, and may name its language: what is longer is no such line."""
FENCE = re.compile(rf"{FENCE_LINE}\n(?:(?:.*?\n)?[ \t]*+(?P=fence)[`~]*|.*\Z)", re.DOTALL)
"""A block of code; one that is open at the end of the text ends there."""
BACKTICKS = re.compile(r"```\w*|~~~\w*")
LINK = re.compile(r"!?\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]\((?:[^()\n]|\([^()\n]*\))*(?:\)|\Z)")
URL = re.compile(r"(?:https?://|www\.)(?:www\.)?([^\s/?#]+)\S*?(?=[.,;:!?)\]]*(?:\s|$))", re.IGNORECASE)
LINE = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]*|[-*+•][ \t]+|[-=|: \t]{3,}$)", re.MULTILINE)
CELLS = re.compile(r"^[ \t]*\|(.*?)\|?[ \t]*$", re.MULTILINE)
EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})(?=\S)([^*\n]+?)(?<=\S)\1(?![\w*])")
HIGHLIGHT = re.compile(r"(?<![\w=])==(?=[^\s=])([^=\n]*)(?<=[^\s=])==(?![\w=])")
MARKS = re.compile(r"[*`~|\\^<>{}\[\]#]+|(?<!\w)_+|_+(?!\w)")
BREAK = re.compile(r"(?<![\s.,;:!?…。！？，])[ \t]*\n+\s*(?=\S)")

TAG = re.compile(
    r"<!--.*?-->|</?(a|abbr|b|blockquote|br|center|code|del|details|div|em|font|h[1-6]|hr|i|img|ins|kbd|li|mark|ol|p|pre"
    r"|q|s|small|span|strong|sub|summary|sup|table|tbody|td|th|thead|tr|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE | re.DOTALL,
)
BLOCKS = re.compile(r"blockquote|br|div|h[1-6]|hr|li|ol|p|pre|table|td|th|tr|ul", re.IGNORECASE)
ENTITY = re.compile(r"&(?:[A-Za-z]+\d*|#\d+|#[xX][0-9A-Fa-f]+);")

MATHS = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<![\w$\\])\$(?=[^\s$])([^$\n]*?[^\s$])\$(?![\w$])", re.DOTALL
)
IS_MATHS = re.compile(r"[\\^_=+]|^[A-Za-z]$")
"""Between two dollar signs, which may also be two sums of money."""
FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
GROUP = re.compile(r"\\(?:text|mathrm|mathbf|mathit|operatorname|boxed|overline|vec|hat|bar)\s*\{([^{}]*)\}")
COMMANDS = {
    "cdot": "×", "times": "×", "div": "÷", "pm": "±", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "neq": "≠",
    "ne": "≠", "approx": "≈", "sqrt": "√", "infty": "∞", "circ": "°", "left": "", "right": "", "quad": "", "qquad": "",
    "displaystyle": "", "limits": "", "dots": "…", "ldots": "…", "cdots": "…",
}  # fmt: skip
COMMAND = re.compile(rf"\\({'|'.join(sorted(COMMANDS, key=len, reverse=True))})(?![A-Za-z])")
POWERS = {"2": "²", "3": "³"}
SIGNS: tuple[tuple[str, str], ...] = (
    (r"(?<=[\w)}\]])\^\{?([23])\}?(?![\w}])", "\0"),
    (r"\^\{([^{}]*)\}", r"^\1"),
    (r"(?<![<>=!-])>=(?!=)", "≥"),
    (r"(?<![<>=!-])<=(?![=>])", "≤"),
    (r"(?<![<>=!])!==?(?!=)", "≠"),
    (r"(?<!\w)([A-G])#(?!\w)", r"\1 sharp"),
)


def replace_code_blocks(text: str, code: str = "") -> str:
    """`text` with `code` in place of each block of code. Takes linear time, however long they are."""
    return BACKTICKS.sub(" ", FENCE.sub(f"\n{code}\n", text))


def strip_markup(text: str) -> str:
    """`text`, which has no block of code, without markup but for what `strip_marks` takes out once its signs are
    read."""
    text = URL.sub(r"\1", LINK.sub(r"\1", text))
    text = LINE.sub(
        "", CELLS.sub(lambda m: ", ".join(filter(None, map(str.strip, m[1].split("|")))), _drop_table_rules(text))
    )
    text = TAG.sub(lambda m: "\n" if BLOCKS.fullmatch(m[1] or "") else "", text)
    text = ENTITY.sub(lambda m: html.unescape(m[0]), text)
    text = _rewrite_formulas(HIGHLIGHT.sub(r"\1", EMPHASIS.sub(r"\2", text)))
    for pattern, sign in SIGNS:
        text = re.sub(pattern, _power_sign if sign == "\0" else sign, text)
    return text


def strip_marks(text: str) -> str:
    """What is left of marks out, and lines that end without one parted by a comma."""
    return BREAK.sub(", ", MARKS.sub(" ", text).strip())


def _power_sign(found: re.Match[str]) -> str:
    return POWERS[found[1]]


def _drop_table_rules(text: str) -> str:
    """Without the lines that part the head of a table."""
    return re.sub(r"^(?=.*\|)(?=.*-)[-:| \t]+$", "", text, flags=re.MULTILINE)


def _rewrite_formulas(text: str) -> str:
    def rewrite_formula(found: re.Match[str]) -> str:
        inside = next(filter(None, found.groups()))
        if found[4] and not IS_MATHS.search(inside):
            return found[0]
        inside = re.sub(r"\\[,;:! ]|\\\\", " ", inside)
        inside = re.sub(r"_\{?([A-Za-z0-9]+)\}?", r" \1", _replace_commands(inside))
        return " " + re.sub(r"(?<=\d)[a-z]{1,3}\b", lambda m: " " + " ".join(m[0]), inside) + " "

    return _replace_commands(
        re.sub(r" +(?=[.,;:!?])", "", MATHS.sub(rewrite_formula, text)) if MATHS.search(text) else text
    )


def _replace_commands(text: str) -> str:
    if "\\" not in text:
        return text
    text = COMMAND.sub(lambda m: f"{COMMANDS[m[1]]} ", GROUP.sub(r"\1", text))
    text = re.sub(r"\^\{([^{}]*)\}", r"^\1", text)
    for _ in range(4):  # one in another
        text = FRACTION.sub(_rewrite_fraction, re.sub(r"√\s*\{([^{}]*)\}", r"√\1", text))
    return text


def _rewrite_fraction(found: re.Match[str]) -> str:
    above, below = found[1].strip(), found[2].strip()
    return f"{above}/{below}" if above.isdigit() and below.isdigit() else f"{above} ÷ {below}"
