"""Answers that web pages may read: whoever passes the door (`auth.door`) is told so in the browser's terms.

Nothing here decides anything. A page that may open a socket may make the REST calls too, and the SDK's are never
"simple" ones: a browser first asks, without the key, whether their method and headers may be sent.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Scope, Send

REMEMBERED = 600
"""Seconds for which a browser need not ask again."""


def preflight(scope: Scope) -> Response | None:
    """The answer to a browser that asks before it calls, or None where the request is none of those. It allows what is
    asked for on any path: what is not there is told by the call itself, in an error that the page can read."""
    asked = Headers(scope=scope)
    method = asked.get("access-control-request-method")
    if scope["method"] != "OPTIONS" or "origin" not in asked or method is None:
        return None
    allowed = {"Access-Control-Allow-Methods": method, "Access-Control-Max-Age": str(REMEMBERED)}
    names = asked.get("access-control-request-headers")
    if names is not None:  # named, since `*` would leave out Authorization
        allowed["Access-Control-Allow-Headers"] = names
    return Response(status_code=204, headers=allowed)


def readable(scope: Scope, send: Send, *, allowed: bool) -> Send:
    """Sends answers with the origin that may read them, if it is `allowed` to. It is never `*`, and credentials of the
    browser's own are never asked for: keys are in headers."""
    origin = Headers(scope=scope).get("origin")

    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.add_vary_header("Origin")
            if allowed and origin is not None:
                headers["Access-Control-Allow-Origin"] = origin
        await send(message)

    return send_marked
