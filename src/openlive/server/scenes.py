"""What the camera of a session shows, and whether the model should speak up about it."""

from __future__ import annotations

import logging
from functools import partial

import anyio

from openlive.engines.api import Watcher
from openlive.engines.images import Pixels, are_alike, decode_image, to_grey_thumbnail
from openlive.types import Image, Request

_LOG = logging.getLogger(__name__)
_DECODING = anyio.CapacityLimiter(1)
"""One frame at a time, of all sessions: it may take as much memory as a picture has pixels."""


class Scenes:
    """Of one session."""

    def __init__(self, watcher: Watcher, session: str) -> None:
        self._watcher = watcher
        self._session = session
        self._judged: tuple[str, Pixels] | None = None
        """The instructions, and the frame, of the last judgement."""

    async def notices(self, request: Request) -> float:
        """As `Watcher.notices`. Where nothing has changed since the frame that was judged last, nobody is asked."""
        image = request.messages[-1].parts[-1]
        assert isinstance(image, Image)
        try:
            seen = await anyio.to_thread.run_sync(partial(_outline, image.data), limiter=_DECODING)
        except ValueError as error:
            _LOG.info("session %s: a frame is not judged: %s", self._session, error)
            return 0.0
        if self._judged is not None and self._judged[0] == request.instructions and are_alike(self._judged[1], seen):
            return 0.0
        begun = anyio.current_time()
        likely = await self._watcher.notices(request)
        self._judged = request.instructions, seen
        took = anyio.current_time() - begun
        _LOG.info("session %s: worth a word: %.2f (%.0f ms)", self._session, likely, 1000 * took)
        return likely


def _outline(data: bytes) -> Pixels:
    return to_grey_thumbnail(decode_image(data))
