"""Whether the server is as quick as it will be: what the language model computes in the background, and who asks."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from openlive.models.progress import by_quarters

Prepare = Callable[[Callable[[int, int], None]], Awaitable[None]]
"""A model's work ahead: it tells (tokens that are computed, of how many), in any thread."""
WHAT = "What the prompts for functions and frames begin with"
_LOG = logging.getLogger(__name__)


class Readiness:
    """Sessions are served all the while: one that has functions may wait for it."""

    def __init__(self, prepare: Prepare | None) -> None:
        self._prepare = prepare
        self.missing = (
            "The language model has not begun to compute what its prompts for functions and frames begin with."
            if prepare
            else ""
        )
        """Why the server is not ready, '' once it is."""
        self._computed = 0
        self._log = by_quarters(
            lambda *_: _LOG.info("%s Until then a first turn with functions may wait.", self.missing)
        )

    async def prepare(self) -> None:
        """Once the port is open. What goes wrong costs sessions with functions their first turn's time, no more."""
        if self._prepare is None:
            return
        begun = time.monotonic()
        try:
            await self._prepare(self._note)
        except Exception as error:
            _LOG.warning("%s could not be computed: %s", WHAT, type(error).__name__)
        else:
            if self._computed:
                _LOG.info("%s is there after %.0f s", WHAT, time.monotonic() - begun)
        finally:
            self.missing = ""

    def _note(self, done: int, total: int) -> None:
        self._computed = done
        self.missing = f"{WHAT} is being computed: {done} of {total} tokens are there."
        self._log(done, total)

    async def answer(self, _: Request) -> Response:
        """`GET /readyz`."""
        missing = self.missing
        return PlainTextResponse(f"{missing}\n" if missing else "ok\n", 503 if missing else 200)
