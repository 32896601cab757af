"""What a session remembers, and how it goes on from there."""
