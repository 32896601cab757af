"""What engines of several kinds ask of a text: its script, its language, its control tokens."""
