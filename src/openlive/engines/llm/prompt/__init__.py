"""From a conversation to the prompt of a text model."""
