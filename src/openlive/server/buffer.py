"""The user's audio of one session, addressed by its samples since the session began."""

from __future__ import annotations

SAMPLE = 2
"""Bytes of s16le mono."""


class Audio:
    def __init__(self) -> None:
        self._pcm = bytearray()
        self._start = 0

    def append(self, pcm: bytes) -> int:
        """Returns the samples appended."""
        self._pcm += pcm
        return len(pcm) // SAMPLE

    def slice(self, start: int, end: int) -> bytes:
        """Samples `start` to `end`; what was forgotten already is left out."""
        first = max(0, start - self._start) * SAMPLE
        return bytes(self._pcm[first : max(0, end - self._start) * SAMPLE])

    def forget(self, before: int) -> None:
        count = min(max(0, before - self._start), len(self._pcm) // SAMPLE)
        del self._pcm[: count * SAMPLE]
        self._start += count
