"""The REST calls that SDKs make beside a live session (docs/protocol.md#rest): models, and ephemeral tokens
(docs/protocol.md#ephemeral-tokens).

Errors have Google's JSON shape, because SDKs read them. Slashes may be doubled, as everywhere.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from openlive.config.model import LimitSettings
from openlive.core.setup.profile import ModelProfile
from openlive.server.admission import Admission
from openlive.server.auth import Principal, credentials
from openlive.server.inbound import is_dear
from openlive.server.store import StoreError
from openlive.types import Sampling
from openlive.wire.auth import AuthToken
from openlive.wire.errors import (
    INTERNAL,
    UNAVAILABLE,
    ProtocolError,
    Refusal,
    Status,
    body_too_large,
    model_not_found,
    nothing_there,
    rest_error,
)
from openlive.wire.json import parse

PAGE, MAX_PAGE = 50, 1000
"""Models on a page, by default and at most."""
NO_ADMIN = Refusal(1008, "This is for the keys that server.admin_keys names.", Status.PERMISSION_DENIED)
_VERSIONS = ("v1", "v1beta", "v1alpha")
_LOG = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


class Rest:
    """`sampling`: what the language model does where a client asks for nothing."""

    def __init__(self, admission: Admission, limits: LimitSettings, sampling: Sampling) -> None:
        self._admission = admission
        self._body_bytes = limits.setup_bytes
        self._values = limits.message_values
        self._sampling = sampling
        self.routes = [
            Route(f"/{version}{path}", self._answer(handler), methods=[method])
            for version in _VERSIONS
            for path, method, handler in (
                ("/models", "GET", self._models),
                ("/models/{name}", "GET", self._model),
                ("/models/{name}:{method}", "POST", self._method),
                ("/auth_tokens", "POST", self._create_token),
            )
        ]

    # Models.

    async def _models(self, request: Request, _: Principal) -> dict[str, Any]:
        profiles = list(self._admission.profiles.values())
        size = _page_size(request)
        begin = _page_start(request, self._admission.profiles)
        shown = profiles[begin : begin + size]
        page: dict[str, Any] = {"models": [self._described(profile) for profile in shown]}
        if begin + size < len(profiles):
            page["nextPageToken"] = base64.urlsafe_b64encode(shown[-1].name.encode()).decode()
        return page

    async def _model(self, request: Request, _: Principal) -> dict[str, Any]:
        name = request.path_params["name"]
        profile = self._admission.profiles.get(name)
        if profile is None:
            raise _RefusedError(model_not_found(f"models/{name}", _version(request), "generateContent"))
        return self._described(profile)

    async def _method(self, request: Request, _: Principal) -> dict[str, Any]:
        """Nothing that is done with models over HTTP is done here."""
        name, method = request.path_params["name"], request.path_params["method"]
        raise _RefusedError(model_not_found(f"models/{name}", _version(request), method))

    def _described(self, profile: ModelProfile) -> dict[str, Any]:
        engine = profile.engine_token_limit or profile.input_token_limit
        sampling = self._sampling
        known = {"temperature": sampling.temperature, "topP": sampling.top_p, "topK": sampling.top_k}
        return {
            "name": f"models/{profile.name}",
            "version": version("openlive"),
            "displayName": profile.display_name or profile.name,
            "description": profile.description,
            "inputTokenLimit": min(profile.input_token_limit, engine),
            "outputTokenLimit": min(profile.output_token_limit, engine),
            "supportedGenerationMethods": ["bidiGenerateContent"],
            **{name: value for name, value in known.items() if value is not None},
            "thinking": profile.thinking,
            "maxTemperature": 2.0,
        }

    # Tokens.

    async def _create_token(self, request: Request, principal: Principal) -> dict[str, Any]:
        body = await self._body(request)
        read = partial(parse, AuthToken, body if body.strip() else b"{}", values=self._values)
        wanted = await anyio.to_thread.run_sync(read, limiter=self._admission.reading) if is_dear(body) else read()
        refusal = self._admission.token_wanted(principal)
        if refusal is not None:
            raise _RefusedError(refusal)
        created: dict[str, Any] = msgspec.to_builtins(await self._admission.tokens.create(principal, wanted))
        return created

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._body_bytes:
                raise body_too_large(self._body_bytes)
        return bytes(body)

    # What all have in common.

    def _answer(self, handler: Callable[[Request, Principal], Awaitable[dict[str, Any]]]) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                caller = self._admission.caller(credentials(request.scope["headers"], request.scope["query_string"]))
                if isinstance(caller, Refusal):
                    return failed(caller)
                return JSONResponse(await handler(request, caller))
            except _RefusedError as refused:
                return failed(refused.refusal)
            except ProtocolError as error:
                return failed(error)
            except ClientDisconnect:  # nobody is there to read it
                return Response(status_code=400)
            except StoreError:
                _LOG.exception("The store failed")
                return failed(UNAVAILABLE)

        return answer


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def failed(error: Refusal | ProtocolError) -> Response:
    body = rest_error(error)
    return JSONResponse(body, body["error"]["code"])


async def no_route(request: Request, _: Exception) -> Response:
    """The answer to a path, or a method on it, that leads nowhere."""
    return failed(nothing_there(f"{request.method} {request.url.path}"))


async def broken(_: Request, __: Exception) -> Response:
    """The answer where this server is at fault; Starlette raises the error again, for the log."""
    return failed(INTERNAL)


def _version(request: Request) -> str:
    return request.url.path.split("/")[1]


def _page_size(request: Request) -> int:
    text = _query(request, "pageSize", "page_size")
    if not text:
        return PAGE
    try:
        size = int(text)
    except ValueError:
        size = -1
    if size < 0:
        raise ProtocolError(f"Invalid value at 'page_size' (TYPE_INT32), \"{text[:100]}\"", field="page_size")
    return min(size, MAX_PAGE) or PAGE


def _page_start(request: Request, profiles: Mapping[str, ModelProfile]) -> int:
    """Behind the model that the token names."""
    token = _query(request, "pageToken", "page_token")
    if not token:
        return 0
    try:
        last = base64.urlsafe_b64decode(token).decode()
        return list(profiles).index(last) + 1
    except (binascii.Error, ValueError):
        raise ProtocolError("Invalid value at 'page_token': it is none of this list's.", field="page_token") from None


def _query(request: Request, *names: str) -> str:
    return next((request.query_params[name] for name in names if name in request.query_params), "")
