"""The ASGI application: which paths there are, who may come in, and what a connection is made of."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from importlib.metadata import version

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from openlive.config.model import Config
from openlive.core.session import Session
from openlive.core.setup.declarations import SERVER_TOOLS
from openlive.core.setup.languages import LANGUAGES, NATIVE_LANGUAGES
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.engines.images import can_read_heic
from openlive.engines.runtime.speculation import Hold, enter_hold
from openlive.server import cors, entry, paths, rest
from openlive.server.admission import Admission, Places, Visit
from openlive.server.auth import Keyring, Principal, credentials, door
from openlive.server.connection import Connection
from openlive.server.engines import Engines, sound_once
from openlive.server.load_shedding import ASSUMED, ELSEWHERE, Waits
from openlive.server.metrics import CONTENT_TYPE, Metrics
from openlive.server.net.pending import Pending
from openlive.server.readiness import Readiness
from openlive.server.rest import Rest
from openlive.server.session_registry import Live
from openlive.server.store import Store, configured_bounds
from openlive.server.store.memory import MemoryStore
from openlive.server.tokens import Tokens
from openlive.server.waterfall import Turns
from openlive.server.work import Bounds
from openlive.wire.errors import UNAVAILABLE, Refusal
from openlive.wire.setup import Modality

_LOG = logging.getLogger(__name__)


class App:
    """Serves clients with one set of engines. `keys` may follow their files, and `store` outlive the process."""

    def __init__(
        self, config: Config, engines: Engines, keys: Keyring | None = None, store: Store | None = None
    ) -> None:
        self.metrics = Metrics()
        self.turns = Turns(observe=self.metrics.step)
        store = MemoryStore(configured_bounds(config.store)) if store is None else store
        self.live = Live(store, engines.responder.forget, config.store.resumption_seconds)
        self._engines = engines
        self.waits = Waits(config.limits.reply_seconds, assumed=ELSEWHERE if engines.prepare is None else ASSUMED)
        self._recognitions = Waits(config.limits.recogniser_seconds)
        self.readiness = Readiness(engines.prepare)
        self._admins = frozenset(config.server.admin_keys)
        self._profiles = profiles(config, engines)
        self._admission = Admission(
            Keyring(config.server.keys) if keys is None else keys,
            Tokens(store),
            self._profiles,
            Places(config.limits.sessions, self.waits, config.limits.wait_seconds),
        )
        self._limits = SessionLimits(
            setup=config.limits.setup_seconds,
            detector=config.limits.detector_seconds,
            recogniser=config.limits.recogniser_seconds,
            reply=config.limits.reply_seconds,
            backlog=config.limits.backlog_seconds,
            utterance=config.limits.utterance_seconds,
            ahead=config.limits.ahead_seconds,
            images=config.limits.image_bytes,
            waste=config.limits.speculation_waste,
            call=config.limits.call_seconds,
            tool=config.limits.tool_seconds,
            connection=config.limits.duration("connection_seconds"),
            session=config.limits.duration("session_seconds"),
            video=config.limits.duration("video_seconds"),
        )
        self._values = config.limits.message_values
        self._bounds = Bounds(config.limits.unsent_bytes, config.limits.ahead_seconds)
        routes = [
            Route("/healthz", lambda _: PlainTextResponse("ok\n")),
            Route("/openlive", self._status),
            Route("/readyz", self.readiness.answer),
            Route("/openlive/turns", self._table),
            Route("/metrics", self._scraped),
            *Rest(self._admission, config.limits, engines.sampling).routes,
            WebSocketRoute("/{path:path}", self._live),
        ]
        failures = {404: rest.no_route, 405: rest.no_route, 500: rest.broken}
        starlette = Starlette(routes=routes, exception_handlers=failures)
        self.asgi: ASGIApp = _Guard(starlette, config.server.allowed_origins, self._admission.keys, self.live)

    async def prepare(self) -> None:
        """Once the port is open: what the language model computes ahead, and then how long an answer takes."""
        await self.readiness.prepare()
        if self._engines.prepare is not None and not len(self.live):
            await self.warm_up()

    async def warm_up(self) -> None:
        """An answer that nobody hears shows the door how long one takes here. It gives way to everybody's work; where
        somebody is there already, their answers show it."""
        begun = time.monotonic()
        enter_hold(Hold())
        try:
            await sound_once(self._engines.responder)
        except Exception as error:  # sessions will tell better what is wrong
            _LOG.warning("An answer to nobody failed: %s", type(error).__name__)
            return
        took = time.monotonic() - begun
        self.waits.note_single(took)
        _LOG.info("An answer takes %.1f s to its first sound here", took)

    async def _status(self, request: Request) -> Response:
        """What is going on here, and what the operator should know of."""
        caller = self._admission.caller(credentials(request.scope["headers"], request.scope["query_string"]))
        if isinstance(caller, Refusal) or not self._sees_all(caller):
            return rest.failed(caller if isinstance(caller, Refusal) else rest.NO_ADMIN)
        asked = self._admission.missing_tools
        return JSONResponse(
            {
                "version": version("openlive"),
                "sessions": len(self.live),
                "warnings": [
                    f"{count} sessions asked for {tool}, which is not here: see tools.{tool} (docs/tools.md)"
                    if tool in SERVER_TOOLS
                    else f"{count} sessions asked for {tool}, which there is not"
                    for tool, count in asked.items()
                ],
            }
        )

    async def _table(self, request: Request) -> Response:
        """The waterfalls of the latest turns of the caller's sessions, of all where it may see them; `?session=` picks
        those of one."""
        caller = self._admission.caller(credentials(request.scope["headers"], request.scope["query_string"]))
        if isinstance(caller, Refusal):
            return rest.failed(caller)
        principal = None if self._sees_all(caller) else caller.name
        return JSONResponse({"turns": self.turns.table(principal, request.query_params.get("session"))})

    async def _scraped(self, request: Request) -> Response:
        """For Prometheus: figures of the whole server, so for those who may see all."""
        caller = self._admission.caller(credentials(request.scope["headers"], request.scope["query_string"]))
        if isinstance(caller, Refusal) or not self._sees_all(caller):
            return rest.failed(caller if isinstance(caller, Refusal) else rest.NO_ADMIN)
        self.metrics.sessions.set(len(self.live))
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)

    def _sees_all(self, caller: Principal) -> bool:
        """Whoever reaches a server without keys is its operator."""
        return caller.anonymous or caller.name in self._admins

    async def _live(self, socket: WebSocket) -> None:
        scope = socket.scope
        entrance = paths.door(scope["path"])
        if entrance is None:
            await _reject(socket, 404, f"There is nothing at {scope['path']}.\n")
            return
        visit = Visit(self._admission, entrance, credentials(scope["headers"], scope["query_string"]))
        await socket.accept()
        pending = scope.get("state", {}).get("pending")
        refusal = await visit.judge()
        if refusal is not None:
            await self._send_away(socket, visit, refusal, pending)
            return
        session = Session(self._profiles, self._limits)
        admit: Callable[[], None] = pending.admit if pending is not None else lambda: None
        connection = Connection(
            socket,
            session,
            self._engines,
            self.turns,
            self.metrics,
            waits=self.waits,
            recognitions=self._recognitions,
            visit=visit,
            live=self.live,
            admitted=admit,
            values=self._values,
            bounds=self._bounds,
        )
        name = visit.opened.session
        _LOG.info("session %s opened", name)
        try:
            await connection.serve()
        except* Exception as group:
            _LOG.exception("session %s failed", name, exc_info=group)
            with anyio.move_on_after(1):
                await socket.close(1011, f"Internal error encountered. (session {name})")
        finally:
            visit.leave()

    async def _send_away(self, socket: WebSocket, visit: Visit, refusal: Refusal, pending: Pending | None) -> None:
        said = await entry.send_away(socket, refusal, pending, self._limits.setup)
        if said is not None:
            _LOG.info("session %s refused: %d %s", visit.opened.session, said.code, said.about or said.reason)
            self.metrics.ended(said.code)


def profiles(config: Config, engines: Engines) -> dict[str, ModelProfile]:
    """By every name that a client may use, an alias right after the name that it stands for. What the engines can do
    holds for all of them."""
    found: dict[str, ModelProfile] = {}
    for name, settings in config.models.items():
        profile = ModelProfile(
            name=name,
            display_name=settings.display_name,
            description=settings.description,
            modalities=tuple(Modality[m] for m in settings.modalities),
            default_modality=Modality[settings.modalities[0]],
            voices=settings.voices,
            languages=LANGUAGES if settings.kind in ("half-cascade", "translation") else NATIVE_LANGUAGES,
            default_voice=settings.default_voice,
            history=settings.history,
            input_token_limit=settings.input_token_limit,
            output_token_limit=settings.output_token_limit,
            engine_token_limit=engines.context,
            thinking=settings.kind == "thinking",
            translates=settings.kind == "translation",
            tools=engines.offered,
            refuses_tools=config.tools.missing == "refuse",
            proactive=settings.kind != "translation",
            addressee=engines.addressee is not None,
            watcher=engines.watcher is not None,
            heic=can_read_heic(),
            turn_detector=engines.turn is not None,
            turn_complete_after_call=settings.turn_complete_after_call,
            queues_during_calls=settings.queues_during_calls,
            affective_dialog=settings.affective_dialog,
            barge_in=settings.barge_in,
            voice_activity=settings.voice_activity,
            loads_history=settings.loads_history,
            transcript_end=settings.transcript_end,
            interim_transcripts=settings.interim_transcripts,
            all_video=settings.all_video,
        )
        found[name] = profile
        for alias in settings.aliases:
            found[alias] = msgspec.structs.replace(profile, name=alias)
    return found


class _Guard:
    """Keeps web pages out of a server without keys (design, `server/auth.py`), and everybody out of one that ends.
    Reads doubled slashes as one."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...], keys: Keyring, live: Live) -> None:
        self._app = app
        self._origins = origins
        self._keys = keys
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        self._keys.refresh()
        why = None if self._keys else door(scope["headers"], self._origins)
        if scope["type"] == "http":
            send = cors.readable(scope, send, allowed=why is None)
            answer = self._answer(scope, why)
            if answer is not None:
                await answer(scope, receive, send)
                return
        elif why is not None:
            await _reject(WebSocket(scope, receive, send), 403, why + "\n")
            return
        await self._app({**scope, "path": paths.single_slashes(scope["path"])}, receive, send)

    def _answer(self, scope: Scope, why: str | None) -> Response | None:
        """What an HTTP request is told here, or None where the app has the answer. A browser that asks first is
        answered even while draining, since the page could not read the error otherwise."""
        if why is not None:
            return PlainTextResponse(why + "\n", 403)
        asked = cors.preflight(scope)
        if asked is None and self._live.draining:
            return rest.failed(UNAVAILABLE)
        return asked


async def _reject(socket: WebSocket, status: int, why: str) -> None:
    """Answers the handshake with an HTTP error."""
    await socket.send_denial_response(PlainTextResponse(why, status))
