"""Text out of bytes: the charset, and the words of an HTML page without what surrounds them.

    python -I -S extract.py html|text CHARSET CHARACTERS < page      {"title": …, "text": …}

HTML is taken apart in a child process (`pages.py` starts it), because the parser holds the interpreter while it works,
needs quadratic time for some pages that were made for it, and cannot be stopped in a thread. So this file is run by its
path and imports nothing but the standard library.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
from html.parser import HTMLParser

SECONDS = 5
"""CPU time for one page; 2 MiB of an ordinary page take 2."""
_MEMORY = 512 << 20


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LINE_TAGS = _words(
    "address article blockquote body br caption dd details div dl dt figcaption figure h1 h2 h3 h4 h5 h6 header hr html"
    " li main ol p pre section summary table tbody thead tr ul"
)
_CELLS = _words("td th")
_HEADINGS = _words("h1 h2 h3")
_SKIPPED_TAGS = _words(
    "aside audio button canvas datalist dialog footer iframe map math menu nav noscript object script select style svg"
    " template textarea video"
)
_VOID_TAGS = _words("area base br col embed hr img input link meta source track wbr")
_SKIPPED_ROLES = _words("alert banner complementary contentinfo dialog menu navigation search")
_MAIN_TAGS = _words("main article")
_ENOUGH = 200
"""Characters from which on a part of a page is taken for its content."""
_ALIASES = {  # what the labels mean on the web (encoding.spec.whatwg.org)
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
_CHARSETS = _words(
    "utf-8 utf-16 utf-16-le utf-16-be iso2022_jp gb18030 big5 euc_jp cp932 cp949 koi8-r koi8-u cp866 mac-roman tis-620"
    " cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6"
    " iso8859-7 iso8859-8 iso8859-10 iso8859-13 iso8859-14 iso8859-15 iso8859-16"
)
"""Python has codecs under more names, some of which do other things than decode text, or take quadratic time."""
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_NAMED_INSIDE = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\u200b\u2028-\u202e\u2066-\u2069]")


def decode(body: bytes, charset: str) -> str:
    """By its byte order mark, `charset` (what the server said), or what the text says of itself; UTF-8 else.

    What does not fit becomes U+FFFD; text without a charset that is no UTF-8 is read as Windows-1252.
    """
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    inside = _NAMED_INSIDE.search(body[:1024])
    for label in (charset, inside[1].decode() if inside else ""):
        if name := _codec(label):
            return body.decode(name, "replace")
    try:
        return codecs.utf_8_decode(body, "strict", False)[0]  # a body that was cut may end within a character
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _codec(label: str) -> str:
    try:
        name = codecs.lookup(label).name if label else ""
    except (LookupError, ValueError):
        return ""
    name = _ALIASES.get(name, name)
    return name if name in _CHARSETS else ""


def cut(text: str, characters: int) -> str:
    """At most so many characters, cut between two words and marked where it was."""
    text = _CONTROLS.sub("", text).strip()
    if len(text) <= characters:
        return text
    head = text[: max(0, characters - 2)]
    return (head[: head.rfind(" ")] if " " in head[-40:] else head).rstrip() + " …"


class _Block:
    """A run of text between two breaks. `links` counts those of its characters that are links."""

    def __init__(self, *, main: bool, heading: bool) -> None:
        self.pieces: list[str] = []
        self.links = 0
        self.main = main
        self.heading = heading

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    @property
    def is_content(self) -> bool:
        """Not one of the lists of links that pages are full of; headings may be links."""
        return self.heading or self.links <= 0.5 * sum(map(len, self.pieces))


class _Page(HTMLParser):
    """Cuts a page into blocks, without those parts that are not its content by their tag or role."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.blocks: list[_Block] = []
        self._skipped = ""
        self._depth = 0
        """How many elements of the tag `_skipped` are open in the one that is skipped."""
        self._main = 0
        self._link = False
        self._in_title = False
        self._heading = False
        self._break()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipped:
            self._depth += tag == self._skipped
            return
        if tag not in _VOID_TAGS and self._is_skipped(tag, dict(attrs)):
            self._skipped, self._depth = tag, 1
            return
        self._in_title = tag == "title" and not self.title
        self._main += tag in _MAIN_TAGS
        self._link = self._link or tag == "a"
        self._heading = tag in _HEADINGS or (self._heading and tag not in _LINE_TAGS)
        if tag in _LINE_TAGS:
            self._break()
        elif tag in _CELLS and self.blocks[-1].text:
            self.blocks[-1].pieces.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            self._depth -= tag == self._skipped
            if not self._depth:
                self._skipped = ""
            return
        self._in_title = self._in_title and tag != "title"
        self._main = max(0, self._main - (tag in _MAIN_TAGS))
        self._link = self._link and tag != "a"
        self._heading = self._heading and tag not in _HEADINGS
        if tag in _LINE_TAGS:
            self._break()

    def handle_data(self, data: str) -> None:
        if self._skipped:
            return
        if self._in_title:
            self.title += data
            return
        self.blocks[-1].pieces.append(data)
        self.blocks[-1].links += len(data) if self._link else 0

    def _break(self) -> None:
        self.blocks.append(_Block(main=bool(self._main), heading=self._heading))

    def _is_skipped(self, tag: str, attrs: dict[str, str | None]) -> bool:
        role = (attrs.get("role") or "").lower()
        is_banner = tag == "header" and not self._main
        hidden = "hidden" in attrs or (attrs.get("aria-hidden") or "").lower() == "true"
        return tag in _SKIPPED_TAGS or role in _SKIPPED_ROLES or is_banner or (hidden and tag not in ("html", "body"))


def extract(page: str) -> tuple[str, str]:
    """Title and content of an HTML page, a line per block. What remains of too little is not left out."""
    parser = _Page()
    parser.feed(page)
    parser.close()
    blocks = [block for block in parser.blocks if block.text]
    for chosen in (
        [block for block in blocks if block.main and block.is_content],
        [block for block in blocks if block.is_content],
    ):
        text = "\n".join(block.text for block in chosen)
        if len(text) >= _ENOUGH:
            break
    else:
        text = "\n".join(block.text for block in blocks)
    return " ".join(parser.title.split()), text


def _confine() -> None:
    """The parent ends this process in time; these limits are for the case that it cannot."""
    if sys.platform != "win32":
        import resource

        os.nice(10)
        for limit, most in (
            (resource.RLIMIT_CPU, SECONDS),
            (resource.RLIMIT_AS, _MEMORY),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(limit, (most, most))


def main() -> None:
    kind, charset, characters = sys.argv[1:]
    _confine()
    page = decode(sys.stdin.buffer.read(), charset)
    title, text = extract(page) if kind == "html" else ("", page)
    json.dump({"title": cut(title, 200), "text": cut(text, int(characters))}, sys.stdout)


if __name__ == "__main__":
    main()
