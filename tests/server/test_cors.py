"""What browsers are told: pages that may open a socket may make the REST calls, and read their errors."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from openlive.config.keys import Key
from openlive.config.model import ServerSettings
from tests.raw import TEXT, client
from tests.server.test_drain import stopping
from tests.serving import MODEL, Server, serving, trust

pytestmark = pytest.mark.anyio

KEY = "k-anna-0123456789"
PAGE = "http://localhost:5173"
LISTED = "https://app.example"
HEADERS = "content-type,user-agent,x-goog-api-client,x-goog-api-key,x-server-timeout"
"""What the JavaScript SDK makes Firefox ask for; Chromium leaves the agent out."""
CALLS = [
    ("GET", "/v1beta/models", 200),
    ("GET", f"//v1beta//models/{MODEL}", 200),
    ("GET", "/v1beta/models?pageSize=x", 400),
    ("GET", "/v1beta/models/none", 404),
    ("POST", "/v1alpha/auth_tokens", 200),
    ("POST", f"/v1beta/models/{MODEL}:generateContent", 404),
    ("POST", "/upload/v1beta/files", 404),
    ("GET", "/openlive/turns", 200),
    ("GET", "/healthz", 200),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(server=ServerSettings(allowed_origins=(LISTED,))) as running:
        yield running


@pytest.fixture(scope="module")
def locked() -> Iterator[Server]:
    with serving(server=ServerSettings(keys=(Key("anna", KEY),))) as running:
        yield running


async def call(server: Server, method: str, path: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(verify=trust(), trust_env=False) as web:
        return await web.request(method, server.url + path, headers=named)


async def asks(server: Server, path: str, origin: str, method: str = "GET", headers: str = HEADERS) -> httpx.Response:
    wanted = {"access_control_request_method": method, "access_control_request_headers": headers}
    return await call(server, "OPTIONS", path, origin=origin, **wanted)


def shared(answer: httpx.Response) -> dict[str, str]:
    assert "Origin" in answer.headers["vary"]
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [PAGE, "https://127.0.0.1", "http://[::1]:8000", LISTED])
@pytest.mark.parametrize(("method", "path", "status"), CALLS)
async def test_a_page_asks_and_calls(server: Server, origin: str, method: str, path: str, status: int) -> None:
    asked = await asks(server, path, origin, method)
    assert (asked.status_code, asked.content) == (204, b"")
    assert shared(asked) == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": method,
        "access-control-allow-headers": HEADERS,
        "access-control-max-age": "600",
    }
    answer = await call(server, method, path, origin=origin)
    assert answer.status_code == status
    assert shared(answer) == {"access-control-allow-origin": origin}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost.evil.example"},
        {"origin": PAGE, "host": "evil.example"},  # a name of the page's own, resolved to 127.0.0.1
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
async def test_a_page_that_is_kept_out(server: Server, headers: dict[str, str], method: str) -> None:
    wanted = {"access_control_request_method": "GET"} if method == "OPTIONS" else {}
    refused = await call(server, method, "/v1beta/models", **headers, **wanted)
    assert refused.status_code == 403
    assert shared(refused) == {}


async def test_with_keys_any_page_that_has_one(locked: Server) -> None:
    """As with sockets; browsers ask without the key."""
    origin = "https://anywhere.example"
    asked = await asks(locked, "/v1beta/models", origin, headers="authorization")
    assert (asked.status_code, asked.headers["access-control-allow-headers"]) == (204, "authorization")
    for key, status in ((KEY, 200), ("wrong", 400), ("", 403)):
        answer = await call(locked, "GET", "/v1beta/models", origin=origin, x_goog_api_key=key)
        assert answer.status_code == status
        assert shared(answer) == {"access-control-allow-origin": origin}
    async with client(locked, TEXT, headers={"x-goog-api-key": KEY, "origin": origin}):
        pass


async def test_whoever_is_no_page_is_told_nothing(server: Server) -> None:
    for method, status in (("GET", 200), ("OPTIONS", 404)):
        answer = await call(server, method, "/v1beta/models")
        assert answer.status_code == status
        assert shared(answer) == {}
    no_question = await call(server, "OPTIONS", "/v1beta/models", origin=PAGE)
    assert (no_question.status_code, shared(no_question)) == (404, {"access-control-allow-origin": PAGE})


async def test_no_more_is_allowed_than_was_asked_for(server: Server) -> None:
    plain = await call(server, "OPTIONS", "/v1beta/models", origin=PAGE, access_control_request_method="DELETE")
    assert plain.headers["access-control-allow-methods"] == "DELETE"
    assert "access-control-allow-headers" not in plain.headers


async def test_a_server_that_ends_is_told_as_such() -> None:
    with serving() as server:
        async with client(server, TEXT), httpx.AsyncClient(verify=trust(), trust_env=False) as web:
            assert (await web.get(server.url + "/healthz")).status_code == 200
            async with stopping(server):
                assert await server.comes_to(lambda: all(s._lifetime.is_draining for s in server.sessions))
                wanted = {"origin": PAGE, "access-control-request-method": "GET"}
                assert (await web.options(server.url + "/v1beta/models", headers=wanted)).status_code == 204
                refused = await web.get(server.url + "/v1beta/models", headers={"origin": PAGE})
    assert refused.status_code == 503
    assert shared(refused) == {"access-control-allow-origin": PAGE}
