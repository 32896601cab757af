"""The errors of this package: one for callers, two between its modules."""

from __future__ import annotations


class ModelError(Exception):
    """Weights cannot be had or are damaged; the message says what, where, and what to do."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class SourceError(Exception):
    """One source did not deliver; the message is what it said. The next source is asked."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


class DamagedError(SourceError):
    """The bytes that arrived are not the file of the catalogue."""
