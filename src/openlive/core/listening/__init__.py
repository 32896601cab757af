"""The user: what is said and shown, and when it ends."""
