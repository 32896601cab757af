"""Whether the user has finished, or only paused."""
