"""Tools that run on the server, through the official Python SDK: a scripted model, real tools on real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from google.genai import types
from google.genai.errors import APIError
from msgspec.structs import replace

from openlive.config.model import Config, ToolSettings
from openlive.engines.api import Resources, Tool
from openlive.engines.registry import load_engine
from openlive.models import ensure
from openlive.server.engines import Engines
from openlive.testing.scripted import ScriptedLLM
from tests.sdk.live import AUDIO, BOTH, TEXT, session, user
from tests.serving import Scripted, serving
from tests.tools.site import PUBLIC, reply, site

pytestmark = pytest.mark.anyio


def engines(tools: dict[str, Tool], **answers: str) -> Engines:
    return replace(Scripted(llm=ScriptedLLM(answers=answers)).engines, tools=tools)


def tool(kind: Any, spec: str, **settings: Any) -> Tool:
    loaded: Tool = load_engine(kind, spec, Resources(weights=ensure, threads=2, memory=0, settings=settings))
    return loaded


async def turn(
    engines: Engines, config: dict[str, Any], text: str, tools: ToolSettings | None = None
) -> list[types.LiveServerContent]:
    with serving(engines, config=Config(tools=tools or ToolSettings())) as server:
        async with session(server, config, seconds=60) as opened:
            await opened.send_client_content(turns=user(text))
            async with asyncio.timeout(50):
                messages = [message async for message in opened.receive()]
    assert not any(message.tool_call for message in messages), "the client has nothing to do"
    contents = [message.server_content for message in messages if message.server_content]
    assert [bool(c.turn_complete) for c in contents].count(True) == 1
    return contents


def parts(contents: list[types.LiveServerContent]) -> list[types.Part]:
    return [part for c in contents if c.model_turn for part in c.model_turn.parts or ()]


@pytest.mark.weights
@pytest.mark.parametrize("config", [TEXT, AUDIO | BOTH])
async def test_code_execution(config: dict[str, Any]) -> None:
    code = "print(sum(range(101)))"
    python = tool("code_execution", "wasmtime")
    made = engines({"code_execution": python}, **{"Compute.": f"call:run_python {json.dumps({'code': code})}"})
    contents = await turn(made, config | {"tools": [{"code_execution": {}}]}, "Compute.")
    shown = parts(contents)
    [executed] = [part.executable_code for part in shown if part.executable_code]
    [result] = [part.code_execution_result for part in shown if part.code_execution_result]
    assert (executed.language, executed.code) == (types.Language.PYTHON, code)
    assert (result.outcome, result.output) == (types.Outcome.OUTCOME_OK, "5050\n")
    if config is TEXT:
        assert "5050" in "".join(part.text or "" for part in shown)
    else:
        said = "".join(c.output_transcription.text or "" for c in contents if c.output_transcription)
        assert "5050" in said
        assert any(part.inline_data for part in shown)


async def test_search_and_pages() -> None:
    found = {"results": [{"url": "https://hours.test/", "title": "Hours", "content": "Open from nine."}]}

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        page = b"<title>Hours</title><p>Open from nine to six."
        is_search = path.startswith("/search?")
        writer.write(reply(json.dumps(found).encode(), "application/json") if is_search else reply(page))

    async with site(answer) as web:

        def tools() -> dict[str, Tool]:
            return {
                "google_search": tool("google_search", f"searxng:{web.url()}"),
                "url_context": tool("url_context", "fetch", allow=[PUBLIC], ports=[web.port]),
            }

        script = {
            "Search.": 'call:google_search {"query": "opening hours"}',
            "Read.": f"call:read_page {json.dumps({'url': web.url()})}",
        }
        config = TEXT | {"tools": [{"google_search": {}}, {"url_context": {}}]}
        searched = await turn(engines(tools(), **script), config, "Search.")
        read = await turn(engines(tools(), **script), config, "Read.")
    [grounding] = [c.grounding_metadata for c in searched if c.grounding_metadata]
    assert grounding.web_search_queries == ["opening hours"]
    assert [chunk.web.uri for chunk in grounding.grounding_chunks or () if chunk.web] == ["https://hours.test/"]
    assert "Open from nine." in "".join(part.text or "" for part in parts(searched))
    [pages] = [c.url_context_metadata for c in read if c.url_context_metadata]
    assert [(p.retrieved_url, p.url_retrieval_status) for p in pages.url_metadata or ()] == [
        (web.url(), types.UrlRetrievalStatus.URL_RETRIEVAL_STATUS_SUCCESS)
    ]
    assert "Open from nine to six." in "".join(part.text or "" for part in parts(read))


async def test_a_private_address_is_told_to_be_unsafe() -> None:
    script = {"Read.": 'call:read_page {"url": "http://127.0.0.1:1/"}'}
    tools = {"url_context": tool("url_context", "fetch", ports=[1])}
    read = await turn(engines(tools, **script), TEXT | {"tools": [{"url_context": {}}]}, "Read.")
    [pages] = [c.url_context_metadata for c in read if c.url_context_metadata]
    assert [p.url_retrieval_status for p in pages.url_metadata or ()] == [
        types.UrlRetrievalStatus.URL_RETRIEVAL_STATUS_UNSAFE
    ]


@pytest.mark.parametrize("name", ["google_search", "url_context", "code_execution"])
async def test_what_the_operator_has_not_configured_is_refused_by_name_where_that_is_wanted(name: str) -> None:
    asks = TEXT | {"tools": [{name: {}}]}
    assert parts(await turn(engines({}), asks, "Hello."))
    with pytest.raises(APIError) as refused:
        await turn(engines({}), asks, "Hello.", ToolSettings(missing="refuse"))
    assert refused.value.code == 1007
    assert f"tools[0].{name}" in str(refused.value)
    assert f"tools.{name}" in str(refused.value)
