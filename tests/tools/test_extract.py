"""The words of a page, and its charset."""

from __future__ import annotations

import pytest

from openlive.tools.extract import cut, decode, extract

LONG = "The library opens at nine in the morning and closes at six in the evening, on Saturdays at one. " * 3

PAGE = f"""<!doctype html><html><head><title>Opening
  hours &amp; more</title><style>p {{ color: red }}</style><script>if (a < b) alert("<p>no</p>")</script></head>
<body class="x"><header><a href="/">Home</a> Banner</header><nav><ul><li><nav>inner</nav><li>Menu</ul></nav>
<div role="navigation">Crumbs</div><div aria-hidden="true">ghost</div><p hidden>hidden</p>
<main><article><header><h1><a href="#">Opening hours</a></h1></header><p>{LONG}</p>
<ul><li><a href="1">One link</a></li><li>Bring your <a href="2">card</a> along, please</li></ul>
<table><tr><th>Day<th>Hours</tr><tr><td>Monday<td>9 to 6</tr></table><p>caf&eacute; &#x1F600; line<br>break</article>
<aside>Related</aside></main><footer>Imprint</footer></body></html>"""


def test_content_without_what_surrounds_it() -> None:
    title, text = extract(PAGE)
    assert title == "Opening hours & more"
    assert text.split("\n") == [
        "Opening hours",
        LONG.strip(),
        "Bring your card along, please",
        "Day | Hours",
        "Monday | 9 to 6",
        "café 😀 line",
        "break",
    ]


def test_page_without_a_main_part() -> None:
    _, text = extract(f"<title>T</title><div><a href=1>Menu</a> <a href=2>Menu</a></div><p>{LONG}<p>End")
    assert text == f"{LONG.strip()}\nEnd"


def test_what_is_short_is_kept_whole() -> None:
    assert extract("<main></main><div><a href=1>One</a></div><div><a href=2>Two</a></div>")[1] == "One\nTwo"
    assert extract("just words") == ("", "just words")
    assert extract("") == ("", "")


@pytest.mark.parametrize(
    "page",
    ["<", "<a", "<!--", "<![CDATA[", "</", "<p><![x", "&#xFFFFFFFF;", "<title>x", "<nav>", "</nav></main></a></h1>"],
)
def test_broken_pages_are_no_error(page: str) -> None:
    extract(page)


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        ("Grüße".encode(), "utf-8", "Grüße"),
        ("Grüße".encode(), "", "Grüße"),
        ("Grüße".encode("cp1252"), "", "Grüße"),
        ("“Grüße”".encode("cp1252"), "iso-8859-1", "“Grüße”"),
        ("Привет".encode("koi8-r"), "koi8-r", "Привет"),
        ("日本".encode("shift_jis"), "Shift_JIS", "日本"),
        (b'<meta charset="windows-1251">' + "Привет".encode("cp1251"), "", '<meta charset="windows-1251">Привет'),
        (
            b'<?xml version="1.0" encoding="euc-jp"?>' + "日本".encode("euc_jp"),
            "",
            '<?xml version="1.0" encoding="euc-jp"?>日本',
        ),
        (b"\xef\xbb\xbf" + "Grüße".encode(), "iso-8859-1", "Grüße"),
        (b"\xff\xfe" + "Grüße".encode("utf-16-le"), "utf-8", "Grüße"),
        ("Grüße".encode(), "no-such-charset", "Grüße"),
        ("Grüße".encode(), "gr\u00fc\u00dfe", "Grüße"),
        ("Grüße".encode()[:-3], "", "Gr\u00fc"),
        (b"Gr\xfc\xc3\x9fe", "utf-8", "Gr\ufffdße"),
        (b"ab", "zip_codec", "ab"),
        (b"a-b", "punycode", "a-b"),
        (rb"a\x41", "unicode_escape", r"a\x41"),
        (b"+AGE-", "utf-7", "+AGE-"),
    ],
)
def test_charsets(body: bytes, charset: str, text: str) -> None:
    assert decode(body, charset) == text


def test_cut() -> None:
    assert cut("one two three", 13) == "one two three"
    assert cut("one two three", 12) == "one two …"
    assert cut("x" * 100, 10) == "xxxxxxxx …"
    assert cut("a\x00b\u202ec\nd\te", 20) == "abc\nd\te"
