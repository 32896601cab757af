"""The errors of this package: one for callers, two between its modules."""

from __future__ import annotations


class ModelError(Exception):
    """Weights cannot be had or are damaged; the message says what, where, and what to do."""


class SourceError(Exception):
    """One source did not deliver; the message is what it said. The next source is asked."""


class DamagedError(SourceError):
    """The bytes that arrived are not the file of the catalogue."""
