"""What a client asks for, and what it gets."""
