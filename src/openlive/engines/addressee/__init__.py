"""Whether the model is spoken to."""
