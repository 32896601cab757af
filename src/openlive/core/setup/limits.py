"""Bounds that the core keeps."""

from __future__ import annotations

from msgspec import Struct


class SessionLimits(Struct, frozen=True):
    """Bounds in seconds that the core keeps; each is a user-visible promise, so each can be configured."""

    setup: float = 10.0
    detector: float = 10.0
    """Without a judgement on audio that waits for one."""
    recogniser: float = 30.0
    """Without an answer to a flush."""
    addressee: float = 1.0
    """Without a judgement on who was spoken to; then it was the model."""
    reply: float = 60.0
    """Without anything new from the responder."""
    call: float = 0.0
    """Without the result of a function call; 0: for ever."""
    tool: float = 60.0
    """The same for one that runs on the server."""
    connection: float = 0.0
    """Of a connection's life; 0: unlimited. Announced a minute before."""
    session: float = 0.0
    """Of a session's life over all its connections, where its window does not slide; 0: unlimited."""
    video: float = 0.0
    """The same from its first image on."""
    backlog: float = 600.0
    """Of audio that waits to be judged; more ends the session."""
    utterance: float = 600.0
    """Of speech without an end; there it is ended, and the rest is another turn."""
    ahead: float = 120.0
    """By which an answer's audio may be ahead of its playback: until then its responder is made to wait."""
    images: int = 64 * 1024 * 1024
    """Bytes of the images that a session remembers."""
    waste: float = 0.8
    """No time: the share of wrong guesses from which on no reply is prepared (`SpeculationPolicy`)."""
