"""What answers a request with speech."""
