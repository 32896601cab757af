"""Silero VAD: one network for all sessions."""
