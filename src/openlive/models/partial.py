"""A file that is still arriving: it survives the process, and a later one goes on where it ended."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from openlive.models.cache import BLOCK
from openlive.models.entry import File
from openlive.models.errors import DamagedError


class Partial:
    """Bytes of `file` in order, hashed as they come.

    Sources may take turns, since all of them deliver the same bytes. One that delivers in parts marks the end of each,
    because it can only go on from there.
    """

    def __init__(self, folder: Path, file: File) -> None:
        # The hash is part of the name: variants of an entry use the same file names for different bytes.
        self._path = folder / f"{file.name}.{file.sha256[:8]}.partial"
        self._marks = self._path.with_suffix(".parts")
        self._file = file
        folder.mkdir(parents=True, exist_ok=True)
        self._stream = self._path.open("a+b")
        self._hash = hashlib.sha256()
        self.size = 0
        self._rehash()
        self.resumed = self.size > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stream.close()

    @property
    def whole(self) -> bool:
        return self.size == self._file.size

    def write(self, block: bytes) -> None:
        if self.size + len(block) > self._file.size:
            raise DamagedError(f"sent more than the {self._file.size} bytes of {self._file.name}")
        self._stream.write(block)
        self._hash.update(block)
        self.size += len(block)

    def restart(self) -> None:
        """Drops everything that has arrived."""
        self._marks.unlink(missing_ok=True)
        self._cut(0)
        self.resumed = False

    def mark(self, parts: int) -> None:
        """The first `parts` parts are here, whole."""
        self._stream.flush()
        self._marks.write_text(f"{parts} {self.size}", encoding="ascii")

    def back_to_mark(self) -> int:
        """Drops what came after the last whole part; the number of parts that are here."""
        try:
            parts, size = (int(word) for word in self._marks.read_text(encoding="ascii").split())
        except (OSError, ValueError):
            parts = size = 0
        if parts < 0 or not 0 <= size <= self.size:
            parts = size = 0
        if size < self.size:
            self._cut(size)
        return parts

    def finish(self, target: Path) -> None:
        """Puts the file in its place if it is the right one. Raises `DamagedError` and drops it otherwise."""
        if not self.whole or self._hash.hexdigest() != self._file.sha256:
            found = f"{self.size} bytes with SHA-256 {self._hash.hexdigest()}"
            raise DamagedError(f"sent another file: {found} instead of {self._file.size} with {self._file.sha256}")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(target)
        self._marks.unlink(missing_ok=True)

    def _cut(self, size: int) -> None:
        self._stream.flush()
        self._stream.truncate(size)
        self._rehash()

    def _rehash(self) -> None:
        self._hash, self.size = hashlib.sha256(), 0
        self._stream.seek(0)
        while block := self._stream.read(BLOCK):
            self._hash.update(block)
            self.size += len(block)
