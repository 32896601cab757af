"""What the embedded model does before it answers: by a model that is played, and by the real default."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing

import pytest

from openlive.engines.llm.image_captions import SHOWN
from openlive.engines.llm.llamacpp import engine as llamacpp
from openlive.engines.llm.llamacpp import scene_prompt
from openlive.engines.llm.llamacpp.engine import LlamaCppLLM
from openlive.engines.llm.llamacpp.generation import Generation
from openlive.engines.llm.llamacpp.server import CompletionChunk, TokenProbability
from openlive.engines.llm.llamacpp.tasks import REASON, THINKING, CallGeneration, SceneJudgement, ThoughtGeneration
from openlive.engines.llm.prompt.conversation import MalformedCallError
from openlive.types import (
    FunctionCall,
    FunctionDeclaration,
    FunctionResponse,
    Heard,
    Image,
    Message,
    Part,
    Request,
    Sampling,
    Text,
    Thought,
    Usage,
)
from tests.engines.llm.llamacpp.test_engine import RESOURCES, until

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
    "set_alarm", "Sets an alarm.", {"type": "object", "properties": {"hour": {"type": "integer", "maximum": 23}}}
)
END = CompletionChunk(finished=True)


def tokens(text: str) -> tuple[int, ...]:
    return tuple(ord(c) for c in text)


def first(text: str, chat: float) -> CompletionChunk:
    return CompletionChunk(
        text, tokens(text), likely=(TokenProbability(1, "chat", chat), TokenProbability(2, "get", 1 - chat))
    )


def play(make: Callable[[], Generation], chunks: Sequence[CompletionChunk | str]) -> tuple[list[object], Generation]:
    """What a reply gives where the model writes these chunks."""

    async def main() -> tuple[list[object], Generation]:
        reply = make()
        run = reply.run = reply.build_next_run()
        taken: list[object] = []
        for chunk in chunks:
            if run.receive_chunk(CompletionChunk(chunk, tokens(chunk)) if isinstance(chunk, str) else chunk):
                break
            while piece := reply.take_piece():
                taken.append(piece)
        run.mark_ended(None)
        while piece := reply.take_piece():
            taken.append(piece)
        return taken, reply

    return asyncio.run(main())


def routed(*chunks: CompletionChunk | str) -> tuple[list[object], Generation]:
    return play(lambda: CallGeneration([1], (WEATHER, ALARM), "", "Ulm? And wake me at 7.", 8192), chunks)


class TestRouting:
    def test_calls_come_at_the_end_of_the_list(self) -> None:
        made, router = routed(first("get", 0.0), "_weather(", 'city="Ulm"', "), set_alarm(hour=7", ")]\n")
        assert made == [FunctionCall("", "get_weather", {"city": "Ulm"}), FunctionCall("", "set_alarm", {"hour": 7})]
        assert router.finished

    def test_a_bracket_in_a_text_is_not_the_end(self) -> None:
        made, _ = routed(first("get", 0.0), '_weather(city="[Ulm]', '")]', END)
        assert made == [FunctionCall("", "get_weather", {"city": "[Ulm]"})]

    def test_where_chat_is_likely_nothing_is_called(self) -> None:
        made, router = routed(first("get", 0.2), "_weather(")
        assert made == []
        assert router.finished

    def test_calls_without_an_end_are_malformed(self) -> None:
        with pytest.raises(MalformedCallError):
            routed(first("get", 0.0), "_weather(", END)


def verdict(yes: float, no: float) -> CompletionChunk:
    return CompletionChunk(
        " yes",
        tokens(" yes"),
        likely=(TokenProbability(1, " yes", yes), TokenProbability(2, " no", no), TokenProbability(3, " it", 0.5)),
    )


def judged(*chunks: CompletionChunk | str) -> float:
    taken, reply = play(lambda: SceneJudgement([1], 8192), chunks)
    assert isinstance(reply, SceneJudgement)
    assert reply.finished
    assert not taken, "nobody reads it"
    return reply.probability


class TestNoticing:
    def test_the_verdict_counts_and_not_the_reason(self) -> None:
        aside = CompletionChunk(" no", tokens(" no"), likely=(TokenProbability(1, " no", 0.9),))
        assert judged(" it is", aside, "\nspeak", ":", verdict(0.3, 0.1), "\n") == pytest.approx(0.75)
        assert judged(" it is 7\nspeak:", verdict(0.0, 0.0)) == 0.0

    def test_without_a_verdict_there_is_nothing_to_speak_up_about(self) -> None:
        assert judged(" it is", END) == 0.0
        assert judged(*[" and"] * REASON) == 0.0

    def test_the_program_has_the_task_and_the_words_of_the_image(self) -> None:
        shown = Image("image/jpeg", b"", words=SHOWN.format('Its text reads: "Gate\n7"'))
        messages = (
            user("Look out for gate 7."),
            Message("model", (Text("I will."),)),
            Message("user", (Heard("Is dinner ready?", 0, 1, overheard=True),)),
            Message("user", (shown,)),
        )
        written = "".join(piece.text for piece in scene_prompt.build_prompt(Request("c", messages, "Be kind.")))
        assert written.removeprefix(scene_prompt.EXAMPLES) == (
            'task: "Be kind. Look out for gate 7."\ncamera: Its text reads: "Gate 7"\nwhy:'
        )


def test_a_thought_is_one_line() -> None:
    thoughts, thinking = play(lambda: ThoughtGeneration([1], Sampling(), 8192), [" It is", " seven.\nAnd", " more"])
    assert thoughts == [Thought(" It is"), Thought(" seven.")]
    assert thinking.finished


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(p) if isinstance(p, str) else p for p in parts))


@pytest.fixture(scope="module")
def llm() -> Iterator[LlamaCppLLM]:
    engine = llamacpp.create_qwen_1_5b("", RESOURCES)
    yield engine
    engine.unload_model()


async def answered(llm: LlamaCppLLM, messages: Sequence[Message], thinking: int) -> tuple[str, list[FunctionCall], str]:
    """Text, calls, thoughts."""
    functions = () if thinking else (WEATHER, ALARM)
    sampling = Sampling(temperature=0, max_tokens=100)
    request = Request("c", tuple(messages), "You are a helpful assistant.", functions, sampling, thinking=thinking)
    text, calls, thoughts = "", [], ""
    async for piece in llm.generate(request):
        match piece:
            case Text():
                text += piece.text
            case Thought():
                thoughts += piece.text
            case FunctionCall():
                calls.append(piece)
    return text, calls, thoughts


def answer(llm: LlamaCppLLM, *messages: Message, thinking: int = 0) -> tuple[str, list[FunctionCall], str]:
    return asyncio.run(answered(llm, messages, thinking))


@pytest.mark.weights
class TestTheDefault:
    def test_calls_a_function_and_tells_what_it_came_to(self, llm: LlamaCppLLM) -> None:
        question = user("What's the weather like in Hamburg?")
        text, [call], _ = answer(llm, question)
        assert text == ""
        assert (call.name, call.args["city"].title()) == ("get_weather", "Hamburg")
        asked = Message("model", (FunctionCall("1", call.name, call.args),))
        result = user(FunctionResponse("1", "get_weather", {"temperature": "17 degrees", "sky": "cloudy"}))
        text, calls, _ = answer(llm, question, asked, result)
        assert calls == []
        assert "17" in text

    def test_makes_two_calls_for_two_things(self, llm: LlamaCppLLM) -> None:
        text, calls, _ = answer(llm, user("what's the weather in paris and in rome"))
        assert text == ""
        assert sorted(c.args["city"].title() for c in calls) == ["Paris", "Rome"]

    def test_calls_nothing_where_nothing_fits(self, llm: LlamaCppLLM) -> None:
        for question in ("Hello!", "What is the capital of France?", "Danke schön!"):
            text, calls, _ = answer(llm, user(question))
            assert text
            assert calls == []

    def test_understands_german(self, llm: LlamaCppLLM) -> None:
        _, [call], _ = answer(llm, user("Wie wird das Wetter morgen in Köln?"))
        assert (call.name, call.args["day"]) == ("get_weather", "tomorrow")
        assert call.args["city"].casefold() in ("köln", "cologne")

    def test_a_line_is_computed_while_it_is_spoken(self, llm: LlamaCppLLM) -> None:
        said = "Could you please tell me what the weather will be like tomorrow in Nuremberg?"

        async def run() -> Usage:
            for partial in ("", said[:24], said[:60]):
                await llm.prefill(Request("ahead", (user(partial),), functions=(WEATHER, ALARM)))
            request = Request("ahead", (user(said),), functions=(WEATHER, ALARM))
            [usage] = [piece async for piece in llm.generate(request) if isinstance(piece, Usage)]
            return usage

        usage = asyncio.run(run())
        assert usage.prompt - usage.cached < 14, "the last words, and what follows the line"

    def test_a_schema_that_cannot_be_used_breaks_nothing(self, llm: LlamaCppLLM) -> None:
        odd = FunctionDeclaration("get_weather", "The weather in a city.", {"type": "nonsense", "properties": 3})

        async def run() -> list[object]:
            request = Request("odd", (user("What's the weather in Ulm?"),), functions=(odd,))
            return [piece async for piece in llm.generate(request)]

        assert isinstance(asyncio.run(run())[-1], Usage)

    def test_thinks_first_and_answers_after_that(self, llm: LlamaCppLLM) -> None:
        question = user("I have three apples, eat one and buy five more. How many do I have?")
        text, _, thoughts = answer(llm, question, thinking=512)
        assert thoughts
        assert "7" in text or "seven" in text
        assert THINKING not in text

    @pytest.mark.timeout(600)  # the program that it begins with is computed first
    def test_speaks_up_about_what_it_was_asked_to_look_out_for(self, llm: LlamaCppLLM) -> None:
        def judge(instructions: str, shows: str) -> float:
            image = Image("image/jpeg", b"", words=SHOWN.format(f'Its text reads: "{shows}"'))
            return asyncio.run(llm.notices(Request("watch", (Message("user", (image,)),), instructions)))

        assert judge("Tell me as soon as you see a sign that says EXIT.", "EXIT") > 0.5
        assert judge("Tell me as soon as you see a sign that says EXIT.", "LIFT") < 0.5
        assert judge("Talk about books with me.", "EXIT") < 0.5

    @pytest.mark.timeout(600)  # the program that tells the calls is computed first
    def test_stops_in_the_middle_of_a_call(self, llm: LlamaCppLLM) -> None:
        async def run() -> float:
            request = Request("stop", (user("What's the weather like in Hamburg?"),), functions=(WEATHER,))

            async def read() -> None:
                async with aclosing(llm.generate(request)) as reply:  # type: ignore[type-var]
                    async for _ in reply:
                        pass

            task = asyncio.create_task(read())
            await until(lambda: any("grammar" in r.options and r.tokens_generated > 1 for r in llm._runs))
            begun = time.perf_counter()
            task.cancel()
            await until(lambda: not llm._runs)
            return time.perf_counter() - begun

        assert asyncio.run(run()) < 1.0
