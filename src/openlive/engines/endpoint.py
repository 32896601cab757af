"""An OpenAI-compatible server as all engines that ask one see it: its connections, its first model, its refusals."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from typing import Any

import httpx

from openlive.engines.proxies import takes_proxy
from openlive.engines.registry import EngineError, Resources

_TIMEOUT = httpx.Timeout(60, connect=5)
"""A silence of a minute is taken for a dead connection; how long an answer may take is up to the caller."""
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60)
"""A connection per request under way, as many as there are sessions; they are kept for the next turn."""
_FRESH = 4.0
"""Seconds for which a connection is taken to be open still: most servers (uvicorn's default) close it after 5."""
EXCERPT = 300
"""Characters of somebody else's error message that are passed on."""


_KIND = re.compile(r"[a-zA-Z][\w.-]{0,63}")


class EndpointError(RuntimeError):
    """The endpoint did not do what it was asked. The message ends with its own words, which may repeat what it was
    asked; `plain` is for logs."""

    def __init__(self, plain: str, words: str = "") -> None:
        super().__init__(f"{plain}: {words}" if words else plain)
        self.plain = plain


class Endpoint:
    """`url` is the base URL, with its `/v1`. The connections belong to the event loop of the first request."""

    def __init__(self, url: str, api_key: str = "") -> None:
        self.url = url
        self.client = httpx.AsyncClient(**_options(url, api_key), limits=_LIMITS)
        self._used = -_FRESH

    async def warm(self) -> None:
        """Sees to an open connection, so that a request that will soon be made need not wait for one."""
        if time.monotonic() - self._used < _FRESH:
            return
        self.used()
        with suppress(httpx.HTTPError):  # the request itself will tell
            await self.client.get(f"{self.url}/models")

    def used(self) -> None:
        """A connection is in use, or has just been."""
        self._used = time.monotonic()

    async def close(self) -> None:
        await self.client.aclose()


def base_url(argument: str) -> str:
    url = argument.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise EngineError(f"{argument!r} is no URL. Write openai:http://127.0.0.1:8000/v1, for example.")
    return url


def key_and_model(url: str, resources: Resources) -> tuple[str, str]:
    """As the settings `api_key` and `model` have them, or the environment and the endpoint (blocking)."""
    api_key = str(resources.settings.get("api_key") or os.environ.get("OPENLIVE_OPENAI_API_KEY", ""))
    return api_key, str(resources.settings.get("model") or _first_model(url, api_key))


def refusal(response: httpx.Response, content: bytes) -> tuple[str, str]:
    """What an answer that is an error comes to, and what it says, for an error that is raised."""
    text, data = content.decode(errors="replace").strip(), None
    with suppress(ValueError):
        data = json.loads(text)
        text = message(data)
    plain = f"{response.request.url} answered {response.status_code}{kind(data)}"
    return plain, text[:EXCERPT] or response.reason_phrase


def message(data: Any) -> str:
    """What an error body says, in the dialects that there are."""
    error = data.get("error", data) if isinstance(data, dict) else data
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def kind(data: Any) -> str:
    """The kind of error that a body names, ` (invalid_api_key)`; '' where it names none."""
    error = data.get("error", data) if isinstance(data, dict) else None
    named = [error.get(name) for name in ("code", "type", "status")] if isinstance(error, dict) else []
    return next((f" ({name})" for name in named if isinstance(name, str) and _KIND.fullmatch(name)), "")


def _first_model(url: str, api_key: str) -> str:
    try:
        with httpx.Client(**_options(url, api_key)) as client:
            response = client.get(f"{url}/models")
        if response.is_error:
            raise EngineError(": ".join(refusal(response, response.content)))
        return str(response.json()["data"][0]["id"])
    except httpx.HTTPError as error:
        raise EngineError(f"{url} does not answer ({error}). Is the server running?") from error
    except (ValueError, LookupError, TypeError) as error:
        raise EngineError(f"{url}/models lists no model; set `model` in the engine's settings.") from error


def _options(url: str, api_key: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return {"headers": headers, "timeout": _TIMEOUT, "trust_env": takes_proxy(url)}
