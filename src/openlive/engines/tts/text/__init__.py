"""Text normalisation: what of a text is spoken, and in which words."""
