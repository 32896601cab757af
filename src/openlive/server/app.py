"""The ASGI application: which paths there are, who may come in, and what a connection is made of."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from openlive.config import Config
from openlive.core.events import Opened
from openlive.core.hearing import Limits
from openlive.core.profile import Profile
from openlive.core.session import Session
from openlive.server.auth import Keyring, credentials, door
from openlive.server.connection import Connection
from openlive.server.engines import Engines
from openlive.server.turns import Turns
from openlive.wire.errors import NOT_IMPLEMENTED, Refusal, rest_error
from openlive.wire.setup import Modality

LIVE = re.compile(r"/+ws/+google\.ai\.generativelanguage\.(v1|v1beta|v1alpha)\.GenerativeService\.(\w+)/*")
"""Slashes are doubled by SDKs whose base URL ends in one (protocol.md 1.1)."""
_LOG = logging.getLogger(__name__)


class App:
    """Serves clients with one set of engines."""

    def __init__(self, config: Config, engines: Engines) -> None:
        self.turns = Turns()
        self._config = config
        self._engines = engines
        self._keys = Keyring(config.server.keys)
        self._profiles = profiles(config)
        self._limits = Limits(
            setup=config.limits.setup_seconds,
            detector=config.limits.detector_seconds,
            recogniser=config.limits.recogniser_seconds,
            reply=config.limits.reply_seconds,
            backlog=config.limits.backlog_seconds,
            utterance=config.limits.utterance_seconds,
        )
        routes = [
            Route("/healthz", lambda _: PlainTextResponse("ok\n")),
            Route("/openlive/turns", self._table),
            WebSocketRoute("/{path:path}", self._live),
        ]
        self.asgi: ASGIApp = _Door(Starlette(routes=routes), config, self._keys)

    async def _table(self, request: Request) -> Response:
        """The waterfalls of the latest turns; `?session=` picks those of one."""
        admitted = self._keys.admit(credentials(request.scope["headers"], request.scope["query_string"]))
        if isinstance(admitted, Refusal):
            return JSONResponse(rest_error(admitted), admitted.status.value)
        return JSONResponse({"turns": self.turns.table(request.query_params.get("session"))})

    async def _live(self, socket: WebSocket) -> None:
        scope = socket.scope
        path = LIVE.fullmatch(scope["path"])
        if path is None:
            await _reject(socket, 404, f"There is nothing at {scope['path']}.\n")
            return
        version, method = path.groups()
        refusal: Refusal | None = None
        if method != "BidiGenerateContent":
            refusal = NOT_IMPLEMENTED
        else:
            admitted = self._keys.admit(credentials(scope["headers"], scope["query_string"]))
            refusal = admitted if isinstance(admitted, Refusal) else None
        await socket.accept()
        opened = Opened(secrets.token_hex(16), version, refusal)
        pending = scope.get("state", {}).get("pending")
        session = Session(self._profiles, self._limits)
        admit: Callable[[], None] = pending.admit if pending is not None else lambda: None
        connection = Connection(socket, session, self._engines, self.turns, admit)
        _LOG.info("session %s opened", opened.session)
        try:
            await connection.serve(opened)
        except* Exception as group:
            _LOG.exception("session %s failed", opened.session, exc_info=group)
            with anyio.move_on_after(1):
                await socket.close(1011, f"Internal error encountered. (session {opened.session})")


def profiles(config: Config) -> dict[str, Profile]:
    """By every name that a client may use."""
    found: dict[str, Profile] = {}
    for name, settings in config.models.items():
        profile = Profile(
            name=name,
            display_name=settings.display_name,
            description=settings.description,
            modalities=tuple(Modality[m] for m in settings.modalities),
            default_modality=Modality[settings.modalities[0]],
            voices=settings.voices,
            default_voice=settings.default_voice,
            history=settings.history,
            input_token_limit=settings.input_token_limit,
            output_token_limit=settings.output_token_limit,
        )
        found[name] = profile
        for alias in settings.aliases:
            found[alias] = msgspec.structs.replace(profile, name=alias)
    return found


class _Door:
    """Keeps web pages out of a server without keys (design, `server/auth.py`)."""

    def __init__(self, app: ASGIApp, config: Config, keys: Keyring) -> None:
        self._app = app
        self._open = bool(keys)
        self._origins = config.server.allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = None
        if scope["type"] in ("http", "websocket") and not self._open:
            why = door(scope["headers"], self._origins)
        if why is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await _reject(WebSocket(scope, receive, send), 403, why + "\n")
        else:
            await PlainTextResponse(why + "\n", 403)(scope, receive, send)


async def _reject(socket: WebSocket, status: int, why: str) -> None:
    """Answers the handshake with an HTTP error."""
    await socket.send_denial_response(PlainTextResponse(why, status))
