"""The engines of one server, as its configuration names them."""

from __future__ import annotations

from msgspec import Struct

from openlive.engines.protocols import STT, VAD, Responder


class Engines(Struct, frozen=True):
    vad: VAD
    stt: STT
    responder: Responder
