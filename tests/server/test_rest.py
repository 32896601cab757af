"""Models over REST, and errors in Google's shape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from openlive.config.keys import Key
from openlive.config.model import Config, ServerSettings
from openlive.profiles import PROFILES, ProfileSettings
from openlive.types import Sampling
from tests.raw import TEXT, client
from tests.serving import MODEL, Scripted, Server, serving, trust

pytestmark = pytest.mark.anyio

KEY = "k-anna-0123456789"
NAMES = [name for own, profile in PROFILES.items() for name in (own, *profile.aliases)]
LIVE = ["bidiGenerateContent"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    engines = replace(Scripted().engines, context=8192, sampling=Sampling(temperature=0.5, top_k=40))
    small = ProfileSettings(input_token_limit=4096, output_token_limit=1024)
    config = Config(models={**PROFILES, "mine": small})
    with serving(engines, server=ServerSettings(keys=(Key("anna", KEY),)), config=config) as running:
        yield running


@pytest.fixture
async def web(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"x-goog-api-key": KEY}
    async with httpx.AsyncClient(base_url=server.url, verify=trust(), headers=headers) as client:
        yield client


async def get(web: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    answer = await web.get(path, params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_every_name_is_listed(web: httpx.AsyncClient, version: str) -> None:
    listed = await get(web, f"/{version}/models")
    assert [model["name"] for model in listed["models"]] == [f"models/{name}" for name in [*NAMES, "mine"]]
    assert "nextPageToken" not in listed
    assert all(model["supportedGenerationMethods"] == LIVE for model in listed["models"])


async def test_a_model(web: httpx.AsyncClient) -> None:
    model = await get(web, f"/v1beta/models/{MODEL}")
    assert model.pop("version")
    assert model == {
        "name": f"models/{MODEL}",
        "displayName": "Gemini Live 2.5 Flash Preview",
        "description": "Speech or text in and out",
        "inputTokenLimit": 8192,
        "outputTokenLimit": 8192,
        "supportedGenerationMethods": LIVE,
        "temperature": 0.5,
        "topK": 40,
        "thinking": False,
        "maxTemperature": 2.0,
    }


async def test_an_alias_is_a_model_too(web: httpx.AsyncClient) -> None:
    model = await get(web, "/v1beta/models/gemini-2.5-flash-native-audio-latest")
    assert model["name"] == "models/gemini-2.5-flash-native-audio-latest"
    assert model["displayName"] == "Gemini 2.5 Flash Native Audio"


async def test_thinking_and_limits(web: httpx.AsyncClient) -> None:
    thinks = await get(web, "/v1beta/models/gemini-2.5-flash-exp-native-audio-thinking-dialog")
    assert thinks["thinking"] is True
    mine = await get(web, "/v1beta/models/mine")
    assert (mine["inputTokenLimit"], mine["outputTokenLimit"], mine["displayName"]) == (4096, 1024, "mine")


async def test_an_engine_that_does_not_tell() -> None:
    with serving() as server:
        async with httpx.AsyncClient(base_url=server.url, verify=trust()) as web:
            model = await get(web, f"/v1beta/models/{MODEL}")
    assert (model["inputTokenLimit"], "temperature" in model) == (32_768, False)


@pytest.mark.parametrize("size", [1, 3, 5, 100])
@pytest.mark.parametrize("names", [("pageSize", "pageToken"), ("page_size", "page_token")])
async def test_page_by_page(web: httpx.AsyncClient, size: int, names: tuple[str, str]) -> None:
    seen, query = [], {names[0]: size}
    while True:
        page = await get(web, "/v1beta/models", **query)
        assert len(page["models"]) <= size
        seen += [model["name"].removeprefix("models/") for model in page["models"]]
        if "nextPageToken" not in page:
            break
        query[names[1]] = page["nextPageToken"]
    assert seen == [*NAMES, "mine"]


@pytest.mark.parametrize("query", ["pageSize=-1", "pageSize=x", "pageToken=x", "pageToken=bm9uZQ==", "pageToken=%ff"])
async def test_pages_that_are_not_there(web: httpx.AsyncClient, query: str) -> None:
    refused = await web.get(f"/v1beta/models?{query}")
    error = refused.json()["error"]
    assert (refused.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"


async def test_the_names_that_are_listed_connect(server: Server) -> None:
    for name in (*NAMES, "mine"):
        setup: dict[str, Any] = {**TEXT, "model": f"models/{name}"}
        if "translate" in name:
            translation = {"translationConfig": {"targetLanguageCode": "es"}}
            setup["generationConfig"] = {**setup["generationConfig"], **translation}
        async with client(server, setup, headers={"x-goog-api-key": KEY}):
            pass


async def test_slashes_may_be_doubled(server: Server, web: httpx.AsyncClient) -> None:
    for path in ("/v1beta/models", f"/v1beta/models/{MODEL}"):
        for doubled in ("/" + path, path.replace("/", "//")):
            assert await get(web, server.url + doubled) == await get(web, path)


@pytest.mark.parametrize(
    ("shown", "status", "words"),
    [
        ({"headers": {"x-goog-api-key": KEY}}, 200, ""),
        ({"params": {"key": KEY}}, 200, ""),
        ({"headers": {"Authorization": f"Bearer {KEY}"}}, 200, ""),
        ({"headers": {"x-goog-api-key": "wrong"}}, 400, "API key not valid. Please pass a valid API key."),
        ({}, 403, "Method doesn't allow unregistered callers (callers without established identity)."),
    ],
)
@pytest.mark.parametrize("path", ["/v1beta/models", f"/v1beta/models/{MODEL}", "/v1beta/models/none"])
async def test_keys_as_everywhere(server: Server, shown: dict[str, Any], status: int, words: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=server.url, verify=trust()) as web:
        answer = await web.get(path, **shown)
    if status == 200:
        assert answer.status_code == (404 if path.endswith("none") else 200)
        return
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, status)
    assert error["message"].startswith(words)
    assert KEY not in answer.text
    if status == 400:
        assert error["details"][0]["reason"] == "API_KEY_INVALID"


async def test_what_is_not_there(web: httpx.AsyncClient) -> None:
    text = (
        "models/{} is not found for API version v1beta, or is not supported for {}. Call ListModels to see the list "
        "of available models and their supported methods."
    )
    for method, path, message in [
        ("GET", "/v1beta/models/none", text.format("none", "generateContent")),
        ("POST", f"/v1beta/models/{MODEL}:generateContent", text.format(MODEL, "generateContent")),
        ("POST", f"/v1beta/models/{MODEL}:countTokens", text.format(MODEL, "countTokens")),
        ("GET", "/v2/models", "There is nothing at GET /v2/models."),
        ("POST", "/v1beta/models", "There is nothing at POST /v1beta/models."),
        ("DELETE", f"/v1beta/models/{MODEL}", f"There is nothing at DELETE /v1beta/models/{MODEL}."),
        ("GET", "/v1beta/files", "There is nothing at GET /v1beta/files."),
    ]:
        answer = await web.request(method, path)
        assert answer.json() == {"error": {"code": 404, "message": message, "status": "NOT_FOUND"}}
        assert answer.status_code == 404


async def test_the_waterfall_has_the_same_door(server: Server, web: httpx.AsyncClient) -> None:
    assert "turns" in await get(web, "/openlive/turns")
    refused = await web.get("/openlive/turns", headers={"x-goog-api-key": "wrong"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, 400)
