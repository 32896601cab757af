"""Language models, and what they are asked beside answering."""
