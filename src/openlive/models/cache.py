"""What is on disk.

    <cache>/models/NAME/FILE                 the files of an entry, each put there whole and verified
    <cache>/models/.state/NAME.json          what was verified: hash, size and modification time of each file
    <cache>/models/.state/NAME.lock          held while NAME is fetched
    <cache>/models/.state/NAME/              what has arrived so far: growing files and archives
    <cache>/computed/                        what engines have computed and find again

A file counts as there while it has the size and the time it had when it was hashed, so starting up reads no gigabyte.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from openlive.models.entry import Entry, File

BLOCK = 1 << 20


def root() -> Path:
    """The folder of all weights: `models` below `OPENLIVE_CACHE`, or below the user's cache folder for openlive."""
    chosen = os.environ.get("OPENLIVE_CACHE")
    base = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("openlive", appauthor=False)
    return base.absolute() / "models"


def computed() -> Path | None:
    """The folder beside it for what engines compute once; None where it cannot be made."""
    path = root().parent / "computed"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return None
    return path if os.access(path, os.W_OK) else None


def folder(entry: Entry) -> Path:
    return root() / entry.name


def staging(entry: Entry) -> Path:
    return root() / ".state" / entry.name


def lock(entry: Entry) -> Path:
    return root() / ".state" / f"{entry.name}.lock"


def _manifest(entry: Entry) -> Path:
    return root() / ".state" / f"{entry.name}.json"


def _records(entry: Entry) -> dict[str, Any]:
    try:
        records = json.loads(_manifest(entry).read_bytes())
    except (OSError, ValueError):
        return {}
    return records if isinstance(records, dict) else {}


def _write(entry: Entry, records: dict[str, Any]) -> None:
    path = _manifest(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".json.new")
    fresh.write_text(json.dumps(records, indent=1), encoding="utf-8")
    fresh.replace(path)


def _record_of(path: Path, sha256: str) -> dict[str, Any] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    # Whole seconds: archives and container layers keep no finer time.
    return {"sha256": sha256, "size": stat.st_size, "mtime": int(stat.st_mtime)}


def verified(entry: Entry, file: File) -> bool:
    """The file is there as it was when it was last hashed."""
    record = _record_of(folder(entry) / file.name, file.sha256)
    return record is not None and record["size"] == file.size and record == _records(entry).get(file.name)


def complete(entry: Entry) -> bool:
    """All files of one of the variants are there, verified."""
    return any(all(verified(entry, file) for file in files) for files in entry.variants)


def remember(entry: Entry, file: File) -> None:
    """The file has just been hashed and is right."""
    records = _records(entry)
    records[file.name] = _record_of(folder(entry) / file.name, file.sha256)
    _write(entry, records)


def forget(entry: Entry, file: File) -> None:
    records = _records(entry)
    if records.pop(file.name, None) is not None:
        _write(entry, records)


def digest(path: Path, tick: Callable[[int], None]) -> str:
    """The SHA-256 in hex; `tick` hears how many bytes have been read."""
    sha256, done = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            sha256.update(block)
            done += len(block)
            tick(done)
    return sha256.hexdigest()
