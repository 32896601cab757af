from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from openlive.models import DEFAULT, DEFAULT_LLM, Entry, File, catalogue

FILES = [(entry, file) for entry in catalogue().values() for variant in entry.variants for file in variant]


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.name)
def test_entry_is_named_licensed_and_whole(entry: Entry) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", entry.name)
    assert catalogue()[entry.name] is entry
    assert entry.licence in {"Apache-2.0", "MIT", "BSD-2-Clause", "PSF-2.0", "CC0-1.0"}
    assert entry.description
    for variant in entry.variants:
        assert variant
        assert len({file.name for file in variant}) == len(variant)


@pytest.mark.parametrize(("entry", "file"), FILES, ids=[f"{entry.name}/{file.name}" for entry, file in FILES])
def test_file_is_pinned_and_has_a_source(entry: Entry, file: File) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert file.size > 0
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", file.name), "a plain name: it becomes a path"
    assert file.urls or file.parts
    for url in file.urls:
        assert url.startswith("https://")
        if "huggingface.co" in url:
            assert re.search(r"/resolve/([0-9a-f]{40}|v[0-9.]+)/", url), "a branch may change"
    for part in file.parts:
        assert re.fullmatch(r"[0-9][0-9.]*", part.package.version), "a range may change"
        assert not PurePosixPath(part.member).is_absolute()
        assert ".." not in PurePosixPath(part.member).parts


def test_every_entry_can_be_had_from_a_hub_and_from_a_mirror() -> None:
    for entry in catalogue().values():
        assert any(all(file.urls for file in variant) for variant in entry.variants), entry.name
        assert any(all(file.parts for file in variant) for variant in entry.variants), entry.name


def test_default_set_is_in_the_catalogue() -> None:
    assert {*DEFAULT, DEFAULT_LLM} <= set(catalogue())


def test_voices_are_54_files_of_510_style_vectors() -> None:
    (voices,) = catalogue()["kokoro-voices"].variants
    assert len(voices) == 54
    assert {file.size for file in voices} == {510 * 256 * 4}
