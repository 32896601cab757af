"""Replies with function calls: by a model that is played, and by the real default."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from openlive.engines import llamacpp
from openlive.engines.calling import Caller
from openlive.engines.llamacalls import CallingReply
from openlive.engines.llamacpp import Llama
from openlive.engines.llamaserver import Chunk, Likely
from openlive.engines.prompt import MalformedCallError
from openlive.types import (
    FunctionCall,
    FunctionDeclaration,
    FunctionResponse,
    Message,
    Part,
    Request,
    Sampling,
    Text,
    Usage,
)

from .test_llamacpp import RESOURCES, until

WEATHER = FunctionDeclaration(
    "get_weather",
    "The weather in a city, now or in the next days.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "day": {"type": "string", "enum": ["today", "tomorrow"]}},
        "required": ["city"],
    },
)
ALARM = FunctionDeclaration(
    "set_alarm", "Set an alarm.", {"type": "object", "properties": {"hour": {"type": "integer", "maximum": 23}}}
)
ULM = '{"name": "get_weather", "arguments": {"city": "Ulm"}}'
ROME = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
END = Chunk(finished=True)


def letters(text: str, special: bool) -> tuple[int, ...]:
    return tuple(ord(c) for c in text)


def first(text: str, call: float) -> Chunk:
    """The first token, and how likely the model found it that a call begins."""
    return Chunk(text, letters(text, False), likely=(Likely(1, '{"', call), Likely(2, "Well", 1 - call)))


def after(another: float) -> Chunk:
    """The token after a call, and how likely the reply goes on."""
    return Chunk("x", (9,), likely=(Likely(3, "", 1 - another), Likely(4, " <", another)))


def play(
    runs: Sequence[Sequence[Chunk | str]], made: frozenset[str] = frozenset(), limit: int = 500
) -> tuple[list[str | FunctionCall], CallingReply, list[dict[str, Any]]]:
    """The reply's output where each run of the model gives these chunks, and the options of the runs."""

    async def main() -> tuple[list[str | FunctionCall], CallingReply, list[dict[str, Any]]]:
        reply = CallingReply([1], Sampling(max_tokens=limit), 8192, Caller((WEATHER, ALARM), letters, made))
        taken: list[str | FunctionCall] = []
        options = []
        for chunks in runs:
            assert reply.is_hungry()
            run = reply.next_run()
            options.append(run.options)
            for chunk in chunks:
                whole = Chunk(chunk, letters(chunk, False)) if isinstance(chunk, str) else chunk
                if run.receive(whole):
                    break
                while piece := reply.take():
                    taken.append(piece)
            run.end(None)
            while piece := reply.take():
                taken.append(piece)
        assert reply.finished
        return taken, reply, options

    return asyncio.run(main())


def call(city: str) -> FunctionCall:
    return FunctionCall("", "get_weather", {"city": city})


def test_an_answer_in_words() -> None:
    assert play([[first("Hello", 0.01), " there", " {1}", END]])[0] == ["Hello", " there", " {1}"]


def test_a_call_begins_where_it_is_likely_whatever_was_drawn() -> None:
    output, reply, options = play([[first("Well", 0.4)], [ULM, END], [after(0.001)]])
    assert output == [call("Ulm")]
    assert "json_schema" in options[1]
    assert reply.generated == len(f"<tool_call>\n{ULM}\n</tool_call>")


def test_one_that_is_unlikely_is_not_drawn() -> None:
    output, _, options = play([[first('{"', 0.01)], ["Hello", END]])
    assert output == ["Hello"]
    assert options[1]["logit_bias"] == [[1, False]]


def test_text_before_a_call_is_told_and_the_call_is_not() -> None:
    pieces = ["Let me", " check. ", "```json\n{", '"name": "get_wea', 'ther"']
    output, reply, _ = play([[first("OK. ", 0), *pieces], [ULM], [after(0)]])
    assert output == ["OK. ", "Let me", " check. ", call("Ulm")]
    assert reply.generated == len(f"OK. Let me check. \n<tool_call>\n{ULM}\n</tool_call>")
    assert ["".join(text for text, _ in stretch) for stretch in reply.spoken] == ["OK. Let me check. ", ULM]


def test_several_calls() -> None:
    output, reply, _ = play([[first("Well", 0.9)], [ULM], [after(0.1)], [ROME], [after(0.001)]])
    assert output == [call("Ulm"), call("Rome")]
    assert reply.generated == len(f"<tool_call>\n{ULM}\n</tool_call>\n<tool_call>\n{ROME}\n</tool_call>")


def test_the_same_call_is_not_made_twice() -> None:
    assert play([[first("Well", 0.9)], [ULM], [after(0.1)], [ULM]])[0] == [call("Ulm")]


def test_a_call_that_was_made_before_becomes_an_answer() -> None:
    output, reply, options = play([[first("Well", 0.9)], [ULM], ["It rains.", END]], made=frozenset({ULM}))
    assert output == ["It rains."]
    assert options[2]["logit_bias"] == [[1, False]]
    assert reply.generated == len("It rains.")


def test_a_function_that_there_is_not_becomes_an_answer() -> None:
    unknown = '"name": "book_flight", "arguments": {"to": "Rome"}}'
    assert play([[first("{", 0.01)], ["{", unknown], ["I cannot.", END]])[0] == ["I cannot."]


def test_a_call_that_is_not_valid_is_written_once_more_with_another_grammar() -> None:
    broken = '{"name": "get_weather", "arguments": {"city": 3}}'
    output, _, options = play([[first("Well", 0.9)], [broken, END], [ULM], [after(0)]])
    assert output == [call("Ulm")]
    assert options[1] != options[2]
    with pytest.raises(MalformedCallError, match=r"\$\.city: 3 is not of type 'string'"):
        play([[first("Well", 0.9)], [broken, END], [broken, END]])


def test_a_call_without_an_end_is_malformed() -> None:
    with pytest.raises(MalformedCallError, match="cannot be read"):
        play([[first("Well", 0.9)], ['{"name": ', "a" * 100]], limit=80)


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(p) if isinstance(p, str) else p for p in parts))


@pytest.fixture(scope="module")
def llm() -> Iterator[Llama]:
    engine = llamacpp.create_qwen_1_5b("", RESOURCES)
    yield engine
    engine.close()


async def answer(llm: Llama, *messages: Message) -> tuple[str, list[FunctionCall], Usage]:
    request = Request(
        "calls", messages, "You are a helpful assistant.", (WEATHER, ALARM), Sampling(temperature=0, max_tokens=100)
    )
    text, calls = "", []
    async for piece in llm.generate(request):
        match piece:
            case Text():
                text += piece.text
            case FunctionCall():
                calls.append(piece)
            case Usage():
                return text, calls, piece
    raise AssertionError("no usage")


@pytest.mark.weights
class TestTheDefault:
    def test_calls_a_function_and_tells_what_it_came_to(self, llm: Llama) -> None:
        async def run() -> None:
            question = user("What's the weather like in Hamburg?")
            text, calls, usage = await answer(llm, question)
            assert text == ""
            assert [(c.name, c.args["city"]) for c in calls] == [("get_weather", "Hamburg")]
            asked = Message("model", (FunctionCall("1", calls[0].name, calls[0].args),))
            result = user(FunctionResponse("1", "get_weather", {"temperature": "17 degrees", "sky": "cloudy"}))
            text, calls, after = await answer(llm, question, asked, result)
            assert calls == []
            assert "17" in text
            assert after.cached >= usage.prompt + usage.completion - 2  # the call is in the history as it was written

        asyncio.run(run())

    def test_makes_two_calls_for_two_things(self, llm: Llama) -> None:
        text, calls, _ = asyncio.run(answer(llm, user("what's the weather in paris and in rome")))
        assert text == ""
        assert sorted(c.args["city"].title() for c in calls) == ["Paris", "Rome"]

    def test_calls_nothing_where_nothing_fits(self, llm: Llama) -> None:
        for question in ("Hello!", "What is the capital of France?", "Danke schön!"):
            text, calls, _ = asyncio.run(answer(llm, user(question)))
            assert text
            assert calls == []

    def test_understands_german(self, llm: Llama) -> None:
        _, calls, _ = asyncio.run(answer(llm, user("Wie wird das Wetter morgen in Köln?")))
        assert [(c.name, c.args) for c in calls] == [("get_weather", {"city": "Köln", "day": "tomorrow"})]

    def test_a_schema_that_cannot_be_used_costs_no_more_than_the_grammar(self, llm: Llama) -> None:
        odd = FunctionDeclaration("get_weather", "The weather in a city.", {"type": "nonsense", "properties": 3})

        async def run() -> list[Any]:
            request = Request("odd", (user("What's the weather in Ulm?"),), functions=(odd,))
            return [piece async for piece in llm.generate(request)]

        assert isinstance(asyncio.run(run())[-1], Usage)

    def test_stops_in_the_middle_of_a_call(self, llm: Llama) -> None:
        async def run() -> float:
            request = Request("stop", (user("What's the weather like in Hamburg?"),), functions=(WEATHER,))

            async def read() -> None:
                async with aclosing(llm.generate(request)) as reply:  # type: ignore[type-var]
                    async for _ in reply:
                        pass

            task = asyncio.create_task(read())
            await until(lambda: any("json_schema" in r.options and r.generated > 1 for r in llm._runs))
            begun = time.perf_counter()
            task.cancel()
            await until(lambda: not llm._runs)
            return time.perf_counter() - begun

        assert asyncio.run(run()) < 1
