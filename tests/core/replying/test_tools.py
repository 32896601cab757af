"""Tools that run on the server: asked for, run, shown, told
(docs/protocol.md#function-calling, #recorded-turns: T10)."""

from __future__ import annotations

from typing import Any

import pytest

from openlive.core.commands import CallMark, RunTool, StopTool
from openlive.core.events import ToolFinished
from openlive.core.setup.limits import SessionLimits
from openlive.core.setup.profile import ModelProfile
from openlive.types import FunctionCall, FunctionDeclaration, FunctionResponse, Page, Source, Text, ToolResult
from tests.core.memory.test_resumption import reconnected
from tests.core.world import MODEL, TALK, Script, World, kind, speech, words

PYTHON = FunctionDeclaration("run_python", tool="code_execution")
SEARCH = FunctionDeclaration("search_web", tool="google_search")
PAGES = FunctionDeclaration("read_page", tool="url_context")
OFFERED = (PYTHON, SEARCH, PAGES)
PROFILE = ModelProfile(MODEL, tools=OFFERED)
NO_SEARCH = "You cannot search the web: answer from what you know."
SETUP = {**TALK, "tools": [{"codeExecution": {}}, {"googleSearch": {}}, {"urlContext": {}}]}
BOTH = {**SETUP, "tools": [{"functionDeclarations": [{"name": "weather"}]}, {"codeExecution": {}}]}
COMPUTE: Script = [(0.2, FunctionCall("", "run_python", {"code": "print(6*7)"}))]
RESULT: Script = [(0.2, Text("It is 42.")), (0.1, speech(1.0, "It is 42."))]
RAN = ToolResult({"output": "42"}, output="42\n")
FOUND = ToolResult(
    {"results": ["A page about it"]}, queries=("live <api>",), sources=(Source("https://a.example/", "A page"),)
)


def world(*replies: Script, setup: dict[str, Any] = SETUP, profile: ModelProfile = PROFILE, **more: Any) -> World:
    tools = {"code_execution": (0.5, RAN), "google_search": (0.5, FOUND)}
    return World(setup, replies=replies, profile=profile, **{"tools": tools, **more})


def parts(w: World) -> list[Any]:
    contents = [m.server_content for m in w.messages if m.server_content and m.server_content.model_turn]
    return [part for content in contents for part in (content.model_turn.parts if content.model_turn else ())]


class TestRunning:
    @pytest.mark.parametrize("native", [False, True])
    def test_code_is_run_shown_and_answered_in_one_turn(self, native: bool) -> None:
        w = world(COMPUTE, RESULT, profile=ModelProfile(MODEL, tools=OFFERED, turn_complete_after_call=native))
        w.text("What is six times seven?")
        w.run(5)
        code, result, *_ = parts(w)
        assert code.executable_code is not None
        assert (str(code.executable_code.language), code.executable_code.code) == ("PYTHON", "print(6*7)")
        assert (str(result.code_execution_result.outcome), result.code_execution_result.output) == (
            "OUTCOME_OK",
            "42\n",
        )
        assert code.executable_code.id == result.code_execution_result.id
        kinds = [k for k in w.kinds() if k in ("toolCall", "audio", "generationComplete", "turnComplete")]
        assert kinds == ["audio", "generationComplete", "turnComplete"], "the client is asked nothing"
        last = w.requests[1].messages[-1].parts[0]
        assert isinstance(last, FunctionResponse)
        assert last.response == {"output": "42"}

    def test_a_search_is_told_with_its_sources_before_the_generation_is_complete(self) -> None:
        search: Script = [(0.2, FunctionCall("", "search_web", {"queries": ["live <api>"]}))]
        w = world(search, RESULT)
        w.text("Search for it.")
        w.run(5)
        assert parts(w)[0].executable_code.code == 'print(google_search.search(queries=["live <api>"]))'
        [told] = [c.grounding_metadata for m in w.messages if (c := m.server_content) and c.grounding_metadata]
        assert told.web_search_queries == ("live <api>",)
        assert [(c.web.uri, c.web.title) for c in told.grounding_chunks if c.web] == [("https://a.example/", "A page")]
        assert told.search_entry_point is not None
        assert "live &lt;api&gt;" in (told.search_entry_point.rendered_content or "")
        at = [i for i, m in enumerate(w.messages) if m.server_content and m.server_content.grounding_metadata]
        assert at[0] < [kind(m) for m in w.messages].index("generationComplete")
        w.text("Thanks.")
        w.run(5)
        assert sum(bool(m.server_content and m.server_content.grounding_metadata) for m in w.messages) == 1

    def test_pages_are_told_with_their_status(self) -> None:
        read: Script = [(0.2, FunctionCall("", "read_page", {"url": "https://a.example"}))]
        result = ToolResult({}, pages=(Page("https://a.example"), Page("http://10.0.0.1", "unsafe")))
        w = world(read, RESULT, tools={"url_context": (0.5, result)})
        w.text("What does it say?")
        w.run(5)
        [told] = [c.url_context_metadata for m in w.messages if (c := m.server_content) and c.url_context_metadata]
        assert [(p.retrieved_url, str(p.url_retrieval_status)) for p in told.url_metadata] == [
            ("https://a.example", "URL_RETRIEVAL_STATUS_SUCCESS"),
            ("http://10.0.0.1", "URL_RETRIEVAL_STATUS_UNSAFE"),
        ]
        assert not any(part.executable_code for part in parts(w)), "reading a page is no code"

    def test_a_tool_and_a_function_together_are_answered_together(self) -> None:
        both: Script = [*COMPUTE, (0.1, FunctionCall("", "weather", {}))]
        w = world(both, RESULT, setup=BOTH)
        w.text("Compute, and the weather?")
        w.run(2)
        assert len(w.requests) == 1, "the client has not answered yet"
        [asked] = [c for m in w.messages if m.tool_call for c in m.tool_call.function_calls]
        assert asked.name == "weather"
        w.client({"toolResponse": {"functionResponses": [{"id": asked.id, "response": {"sky": "blue"}}]}})
        w.run(5)
        assert [type(p) for p in w.requests[1].messages[-1].parts] == [FunctionResponse] * 2
        assert w.kinds().count("turnComplete") == 1

    def test_a_prepared_answer_runs_nothing_before_the_turn_is_decided(self) -> None:
        w = world(COMPUTE, RESULT, plan=words("what is six times seven", 0.5))
        w.stream(2.5)
        assert w.requests, "the answer was begun at the first silence"
        assert not w.of(RunTool)
        w.stream(3)
        assert len(w.of(RunTool)) == 1

    def test_the_client_cannot_answer_for_a_tool(self) -> None:
        w = world(COMPUTE, RESULT, tools={})
        w.text("What is six times seven?")
        w.run(1)
        [run] = w.of(RunTool)
        w.client({"toolResponse": {"functionResponses": [{"id": run.call.id, "response": {"output": "43"}}]}})
        w.client({"toolResponse": {"functionResponses": [{"name": "run_python", "response": {"output": "43"}}]}})
        w.run(1)
        assert len(w.requests) == 1


class TestEnding:
    def test_an_interruption_stops_it(self) -> None:
        w = world(COMPUTE, RESULT, tools={})
        w.text("What is six times seven?")
        w.run(1)
        [run] = w.of(RunTool)
        w.text("Never mind.")
        assert [c.call for c in w.of(StopTool)] == [run.call.id]
        kinds = w.kinds()
        assert kinds[-2:] == ["interrupted", "turnComplete"], "the client has no call to cancel"
        w.event(ToolFinished(run.call.id, RAN))
        w.run(5)
        results = [p for m in w.requests[-1].messages for p in m.parts if isinstance(p, FunctionResponse)]
        assert [r.response for r in results] == [{"error": "The call was cancelled: the user interrupted."}]

    def test_one_that_takes_too_long_is_stopped_and_the_model_told(self) -> None:
        w = world(COMPUTE, RESULT, tools={}, limits=SessionLimits(tool=7))
        w.text("What is six times seven?")
        w.run(7)
        assert not w.of(StopTool)
        w.run(5)
        assert len(w.of(StopTool)) == 1
        assert [m.step for m in w.of(CallMark)] == ["asked", "unanswered"]
        assert w.kinds()[-1] == "turnComplete"

    def test_runs_again_where_the_connection_was_lost(self) -> None:
        setup = {**SETUP, "sessionResumption": {}}
        w = world(COMPUTE, RESULT, setup=setup, tools={})
        w.text("What is six times seven?")
        w.run(1)
        reconnected(w, setup)
        first, second = w.of(RunTool)
        assert first == second
        w.event(ToolFinished(second.call.id, RAN))
        w.run(5)
        assert w.kinds()[-1] in ("turnComplete", "sessionResumptionUpdate")


class TestAsking:
    @pytest.mark.parametrize(
        ("tool", "reason"),
        [
            ("googleSearch", "'setup.tools[0].google_search': the operator of this server has not configured"),
            ("googleSearchRetrieval", "'setup.tools[0].google_search_retrieval': the operator"),
            ("urlContext", "'setup.tools[0].url_context': the operator"),
            ("codeExecution", "'setup.tools[0].code_execution': the operator"),
            ("computerUse", "'setup.tools[0].computer_use': this server has no such tool; leave it out."),
        ],
    )
    def test_what_is_not_offered_is_refused_by_name(self, tool: str, reason: str) -> None:
        w = World({**TALK, "tools": [{tool: {}}]})
        assert w.closed is not None
        assert w.closed.code == 1007
        assert reason in w.closed.reason

    @pytest.mark.parametrize(
        ("asked", "told"),
        [
            ([{"googleSearch": {}}], NO_SEARCH),
            (
                [{"googleSearchRetrieval": {}}, {"googleSearch": {}}],
                NO_SEARCH,
            ),
            ([{"codeExecution": {}}, {"computerUse": {}}], "You cannot run programs."),
            ([{"computerUse": {}}], ""),
            ([{"functionDeclarations": [{"name": "f"}]}], ""),
        ],
    )
    @pytest.mark.parametrize("way", ["setup", "update"])
    def test_the_model_is_told_that_it_has_to_do_without(
        self, way: str, asked: list[dict[str, Any]], told: str
    ) -> None:
        lenient = ModelProfile(MODEL, refuses_tools=False)
        setup = {**TALK, "systemInstruction": "Be brief."}
        w = World({**setup, "tools": asked} if way == "setup" else setup, profile=lenient)
        if way == "update":
            w.client({"contextUpdate": {"tools": {"tools": asked}}})
        w.text("Hello.")
        assert w.closed is None
        assert w.requests[0].instructions == "\n\n".join(filter(None, ("Be brief.", told)))
        assert [f.name for f in w.requests[0].functions] == [
            f["name"] for t in asked for f in t.get("functionDeclarations", [])
        ]
        w.run(3)
        w.client({"contextUpdate": {"tools": {"tools": []}}})
        w.text("And now?")
        assert w.requests[-1].instructions == "Be brief."

    def test_the_model_is_told_only_of_what_the_client_asked_for(self) -> None:
        w = world(RESULT, setup={**TALK, "tools": [{"codeExecution": {}}]})
        w.text("Hello.")
        assert w.requests[0].functions == (PYTHON,)

    def test_a_function_may_not_have_the_name_of_a_tool(self) -> None:
        declared = {"functionDeclarations": [{"name": "run_python"}]}
        w = world(setup={**TALK, "tools": [{"codeExecution": {}}, declared]})
        assert w.closed is not None
        assert "Duplicate function declaration found: run_python" in w.closed.reason

    def test_an_update_may_ask_for_one_too(self) -> None:
        w = world(RESULT, setup=TALK)
        w.client({"contextUpdate": {"tools": {"tools": [{"googleSearch": {}}]}}})
        w.text("Hello.")
        assert w.requests[0].functions == (SEARCH,)


def test_a_call_of_what_nobody_declared_ends_the_turn_with_its_reason() -> None:
    w = world([(0.1, FunctionCall("", "unheard_of", {}))])
    w.text("Hello.")
    w.run(2)
    assert not w.of(RunTool)
    content = w.messages[-1].server_content
    assert content is not None
    assert (content.turn_complete, str(content.turn_complete_reason)) == (True, "MALFORMED_FUNCTION_CALL")
    w.text("Go on.")
    w.run(3)
    assert w.kinds()[-1] == "turnComplete"
