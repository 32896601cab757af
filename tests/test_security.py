"""`docs/security.md` says what the code says: every bound, where it is set, and its default."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from openlive.config.keys import Key
from openlive.config.model import Config

TEXT = (Path(__file__).parent.parent / "docs" / "security.md").read_text()
TABLES = TEXT.partition("\n## What is bounded\n")[2].partition("\n## ")[0]
NO_BOUNDS = {"store.location"}
"""Options of the sections below that bound nothing."""


def rows() -> list[tuple[str, str]]:
    """The second and the third cell of every row: what bounds, and the text of its default."""
    return re.findall(r"^\| [^|]+ \| `([^`|]+)` \| ([^|]+) \|", TABLES, re.MULTILINE)


def bounds() -> dict[str, Any]:
    """Every option of the configuration that bounds something, with its default."""
    config = Config()
    found = {
        f"{section}.{name}": getattr(settings, name)
        for section, settings in (("limits", config.limits), ("store", config.store))
        for name in settings.__struct_fields__
    }
    key = Key("name", "key")
    found |= {
        f"server.keys.{name}": getattr(key, name) for name in key.__struct_fields__ if name not in ("name", "key")
    }
    return {name: value for name, value in found.items() if name not in NO_BOUNDS}


def valued(place: str) -> Any:
    """The value of an option (`limits.sessions`, of any section) or of a constant
    (`core.setup.declarations:MAX_LEVELS`, `server.net.pending:Limits.request`)."""
    module, colon, path = place.partition(":")
    if not colon:
        if place in bounds():
            return bounds()[place]
        section, _, name = place.partition(".")
        return getattr(getattr(Config(), section), name)
    value: Any = importlib.import_module(f"openlive.{module}")
    for name in path.split("."):
        value = getattr(value() if isinstance(value, type) else value, name)  # defaults are those of an instance
    return value


def literal(cell: str) -> Any:
    """What a cell begins with, before a unit: `16_384 bytes`."""
    number = re.match(r'"[^"]*"|[-\d_.]+', cell)
    assert number is not None, cell
    return ast.literal_eval(number[0])


def test_the_tables_are_read() -> None:
    lines = [line for line in TABLES.splitlines() if line.startswith("| ") and not line.startswith("| what |")]
    assert len(rows()) == len(lines) > 25


@pytest.mark.parametrize(("place", "cell"), rows())
def test_every_row_is_true(place: str, cell: str) -> None:
    assert literal(cell) == valued(place)


def test_nothing_stands_there_twice() -> None:
    places = [place for place, _ in rows()]
    assert sorted(set(places)) == sorted(places)


def test_every_limit_of_the_configuration_stands_there() -> None:
    assert bounds().keys() <= {place for place, _ in rows()}
