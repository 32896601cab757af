"""Graphemes to phonemes."""
