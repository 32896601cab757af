"""Sockets, TLS, HTTP and WebSocket frames, before anybody has vouched for who is there."""
