"""The paths by which clients reach a live session: three families of them, one server behind.

Slashes are doubled by SDKs whose base URL ends in one (docs/protocol.md#addresses-and-credentials). An SDK that is told
to talk to Vertex, or Firebase's, differs in its path, in how it names models and in a few fields
(docs/protocol.md#vertex, #addresses-and-credentials).
"""

from __future__ import annotations

import re

from msgspec import Struct

_SLASHES = re.compile(r"/{2,}")
_GEMINI = re.compile(r"/ws/google\.ai\.generativelanguage\.(v1|v1beta|v1alpha)\.GenerativeService\.(\w+)/?")
_VERTEX = re.compile(r"/ws/google\.cloud\.aiplatform\.(v1beta1|v1)\.LlmBidiService/(\w+)/?")
_FIREBASE = re.compile(r"/ws/google\.firebase\.vertexai\.(v1beta)\.GenerativeService/(\w+)/?")

PLAIN, CONSTRAINED = "BidiGenerateContent", "BidiGenerateContentConstrained"


class Door(Struct, frozen=True):
    """How a client came. `method` as its path names it; not every one is implemented."""

    version: str
    method: str = PLAIN
    vertex: bool = False

    @property
    def constrained(self) -> bool:
        """Ephemeral tokens come in here and nothing else does."""
        return self.method == CONSTRAINED

    @property
    def implemented(self) -> bool:
        return self.method in (PLAIN, CONSTRAINED)


def single_slashes(path: str) -> str:
    return _SLASHES.sub("/", path)


def door(path: str) -> Door | None:
    """What is behind the path of a WebSocket; None: nothing."""
    path = single_slashes(path)
    if found := _GEMINI.fullmatch(path):
        return Door(found[1], found[2])
    if found := _VERTEX.fullmatch(path):
        return Door(found[1], found[2], vertex=True)
    if found := _FIREBASE.fullmatch(path):
        return Door(found[1], found[2])
    return None
