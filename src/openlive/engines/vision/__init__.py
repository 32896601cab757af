"""What is in images."""
