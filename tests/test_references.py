"""Whatever code and documents refer to is there: files, headings, decisions."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KINDS = (".py", ".md", ".toml", ".mjs", ".in")


def tracked() -> list[Path]:
    """Texts of the repository; without git (an unpacked archive) those that lie here."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = listed.splitlines() or [
        str(p.relative_to(ROOT)) for d in ("src", "tests", "docs") for p in (ROOT / d).rglob("*")
    ]
    return [ROOT / name for name in names if name.endswith(KINDS) and (ROOT / name).is_file()]


@cache
def headings(document: Path) -> frozenset[str]:
    """The anchors of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)


def links(document: Path) -> Iterator[tuple[str, str]]:
    """(file, anchor) of the links of a page, both as they stand there."""
    text = re.sub(r"`[^`]*`", "", document.read_text("utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            yield path, anchor


def mentions(text: str) -> Iterator[tuple[str, str]]:
    """(page, anchor) of what is mentioned as `docs/page.md#anchor`, and of the anchors of the same page after it."""
    for page, anchor, others in re.findall(r"\b(docs/[\w.-]+\.md)(?:#([\w-]+))?((?:,\s+#[\w-]+)*)", text):
        yield page, anchor
        yield from ((page, other) for other in re.findall(r"#([\w-]+)", others))


TEXTS = [path for path in tracked() if path != Path(__file__)]


@pytest.mark.parametrize("path", [p for p in TEXTS if p.suffix == ".md"], ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for file, anchor in links(path):
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{file} is not there"
        if anchor and target.suffix == ".md":
            assert anchor in headings(target), f"{file}#{anchor}"


def test_what_is_mentioned_is_there() -> None:
    found = 0
    for path in TEXTS:
        for page, anchor in mentions(path.read_text("utf-8")):
            found += 1
            assert (ROOT / page).exists(), f"{path}: {page}"
            assert not anchor or anchor in headings(ROOT / page), f"{path}: {page}#{anchor}"
    assert found > 60, "the pattern still finds them"


def test_pages_are_mentioned_by_heading_and_not_by_number() -> None:
    numbered = re.compile(r"\b(?:protocol|models|design|style)\.md\s+\d")
    assert [str(path) for path in TEXTS if numbered.search(path.read_text("utf-8"))] == []


def test_decisions_that_are_referred_to_exist() -> None:
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    known = {int(number) for number in re.findall(r"^(\d+)\. \*\*", text, re.MULTILINE)}
    for path in TEXTS:
        referred = re.findall(r"\bdecision (\d+)|\bhard case (\d+)", path.read_text("utf-8"))
        assert {int(a or b) for a, b in referred} <= known, path


def test_the_repository_refers_to_nothing_outside() -> None:
    """But for the guide whose programs are run where it lies beside."""
    outside = [path for path in TEXTS if "../shared" in path.read_text("utf-8")]
    assert [path for path in outside if ".ci" not in path.parts] == []
