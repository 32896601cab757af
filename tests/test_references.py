"""Whatever code and documents refer to is there: files, headings, decisions, recorded turns."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
KINDS = (".py", ".md", ".toml", ".mjs", ".in", ".txt", "Makefile", "NOTICE", ".ci/run")
FENCE = re.compile(r"^[ \t]*(```|~~~).*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)


def tracked() -> list[Path]:
    """Texts of the repository; without git (an unpacked archive) those that lie here."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = listed.splitlines() or [
        *(
            str(p.relative_to(ROOT))
            for d in ("src", "tests", "docs")
            for p in (ROOT / d).rglob("*")
            if "node_modules" not in p.parts
        ),
        *(p.name for p in ROOT.iterdir()),
    ]
    return [ROOT / name for name in names if name.endswith(KINDS) and (ROOT / name).is_file()]


TEXTS = [path for path in tracked() if path != Path(__file__)]
PAGES = [path for path in TEXTS if path.suffix == ".md"]


def anchors(text: str) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them: the second of a name ends with -1."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    for title in re.findall(r"^#{1,6} +(.+?)[ #]*$", FENCE.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


@cache
def headings(page: Path) -> frozenset[str]:
    return anchors(page.read_text("utf-8"))


def links(text: str) -> Iterator[tuple[str, str]]:
    """(file, anchor) of the links of a page to this repository, both as they stand there."""
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            yield path, anchor


def mentions(text: str) -> Iterator[tuple[str, str]]:
    """(page, anchor) of what is mentioned as `page.md#anchor`, and of the anchors of the same page after it."""
    pattern = r"(?<![\w/.:-])((?:\.{0,2}/)*(?:docs/)?[\w-]+\.md)\b(?:#([\w-]+))?((?:,\s+#[\w-]+)*)"
    for page, anchor, others in re.findall(pattern, text):
        yield page, anchor
        yield from ((page, other) for other in re.findall(r"#([\w-]+)", others))


def found(page: str, mentioned_in: Path) -> Path | None:
    """The file: a page of the documents may be named without its folder."""
    for folder in (ROOT, DOCS, mentioned_in.parent):
        if (folder / page).is_file():
            return (folder / page).resolve()
    return None


def numbered(text: str) -> list[str]:
    """Sections that are named by their numbers, as no page has them."""
    return [
        m[0] for m in re.finditer(r"\b[\w-]+\.md(?:#[\w-]+)?(?:[,:;]?\s+(?:#[\w-]+|T\d+|to|and|§))*[,:;]?\s+\d", text)
    ]


def decisions(text: str) -> set[int]:
    """Numbers behind `decision 7`, `decisions 2 and 3`, `hard case 6`."""
    listed = re.findall(r"\b(?:decision|hard case)s? (\d+(?: (?:and|to) \d+)?)", text, re.IGNORECASE)
    return {int(number) for numbers in listed for number in re.findall(r"\d+", numbers)}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    for file, anchor in links(path.read_text("utf-8")):
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{file} is not there"
        if anchor and target.suffix == ".md":
            assert anchor in headings(target), f"{file}#{anchor}"


def test_pages_that_are_mentioned_are_there() -> None:
    count = 0
    for path in TEXTS:
        for page, anchor in mentions(path.read_text("utf-8")):
            count += 1
            target = found(page, path)
            assert target is not None, f"{name(path)}: {page}"
            assert not anchor or anchor in headings(target), f"{name(path)}: {page}#{anchor}"
    assert count > 200, "the pattern still finds them"


def test_files_of_the_documents_that_are_mentioned_are_there() -> None:
    for path in TEXTS:
        for file in re.findall(r"(?<![\w/.-])docs/[\w./-]*\w", path.read_text("utf-8")):
            assert (ROOT / file).exists(), f"{name(path)}: {file}"


def test_pages_are_mentioned_by_heading_and_not_by_number() -> None:
    assert {name(path): at for path in TEXTS if (at := numbered(path.read_text("utf-8")))} == {}


def test_decisions_that_are_referred_to_exist() -> None:
    text = (DOCS / "design.md").read_text("utf-8")
    known = {int(number) for number in re.findall(r"^(\d+)\. \*\*", text, re.MULTILINE)}
    referred = {name(path): decisions(path.read_text("utf-8")) for path in TEXTS}
    assert sum(map(len, referred.values())) > 10, "the pattern still finds them"
    assert {path: numbers - known for path, numbers in referred.items() if numbers - known} == {}


def test_recorded_turns_that_are_referred_to_exist() -> None:
    known = set(re.findall(r"^- \*\*(T\d+)\*\*", (DOCS / "protocol.md").read_text("utf-8"), re.MULTILINE))
    for path in TEXTS:
        text = path.read_text("utf-8")
        if path.suffix == ".py" and "docs/protocol.md" in text:
            assert set(re.findall(r"\bT\d+\b", text)) <= known, name(path)


def test_the_repository_refers_to_nothing_outside() -> None:
    """But for the guide whose programs are run where it lies beside."""
    assert {name(path) for path in TEXTS if "../shared" in path.read_text("utf-8")} <= {".ci/run"}


class TestTheseTestsFindWhatIsBroken:
    def test_anchors(self) -> None:
        page = "# A `b` c: d\n## [Sight](x.md)\n```\n# no heading\n```\n### E_f\n## Sight\n"
        assert anchors(page) == {"a-b-c-d", "sight", "e_f", "sight-1"}

    def test_links(self) -> None:
        page = "[a](b.md#c) `[d](e.md)` [f](#g) [h](https://i/j.md)\n```\n[k](l.md) `\n```\n[m](n.svg)\n"
        assert list(links(page)) == [("b.md", "c"), ("", "g"), ("n.svg", "")]

    def test_mentions(self) -> None:
        text = '"""(docs/a.md#b,\n    #c), `d.md`. https://x/e.md, src/f.md, docs/g.md."""'
        assert list(mentions(text)) == [("docs/a.md", "b"), ("docs/a.md", "c"), ("d.md", ""), ("docs/g.md", "")]
        assert found("nowhere.md", ROOT / "docs" / "design.md") is None

    @pytest.mark.parametrize(
        "text", ["protocol.md 4", "(protocol.md, 11.15)", "docs/a.md#b T4 to T9, 4.9", "a.md#b,\n4.9"]
    )
    def test_numbers_of_sections(self, text: str) -> None:
        assert numbered(text)
        assert not numbered("docs/a.md#b: chunks of 641 bytes")
        assert not numbered("docs/a.md#b, T10")

    def test_decisions(self) -> None:
        assert decisions("(design, decision 7), decisions 2 and 3, Hard case 61, 8 decisions") == {2, 3, 7, 61}
