import asyncio

import pytest

from openlive.engines.llm.llamacpp.generation import (
    AHEAD,
    CompletionRun,
    Generation,
    LoopSignal,
    choose_sampling,
    to_llama_options,
)
from openlive.engines.llm.llamacpp.server import CompletionChunk
from openlive.engines.llm.prompt.conversation import PromptTooLongError
from openlive.types import FunctionResponse, Message, Request, Sampling, Text


def test_a_stop_that_arrives_while_a_chunk_is_looked_at_is_not_lost() -> None:
    async def main() -> None:
        def on(_: CompletionChunk) -> bool:
            run.stop()
            return False

        run = CompletionRun((), {}, LoopSignal(), on)
        assert run.receive_chunk(CompletionChunk("a"))
        assert run.receive_chunk(CompletionChunk("b"))

    asyncio.run(main())


def test_a_reply_pauses_when_nobody_takes_it_and_goes_on_where_it_was() -> None:
    async def run() -> None:
        reply = Generation([1, 2], Sampling(max_tokens=100, seed=5), 8192)
        first = reply.run = reply.build_next_run()
        stops = [first.receive_chunk(CompletionChunk(f"{i} ", (i,))) for i in range(AHEAD)]
        assert stops == [False] * (AHEAD - 1) + [True]
        assert first.receive_chunk(CompletionChunk("dropped", (99,)))
        first.mark_ended(None)
        assert not reply.needs_next_run()
        taken = [reply.take_piece() for _ in range(AHEAD // 2)]
        assert reply.needs_next_run()
        second = reply.run = reply.build_next_run()
        assert second.prompt == [1, 2, *range(AHEAD)]
        assert second.options["n_predict"] == 100 - AHEAD
        assert second.options["seed"] == 5 + AHEAD
        second.receive_chunk(CompletionChunk(finished=True))
        second.mark_ended(None)
        while text := reply.take_piece():
            taken.append(text)
        said = "".join(piece.text for piece in taken if isinstance(piece, Text))
        assert said == "".join(f"{i} " for i in range(AHEAD))
        assert reply.finished
        assert not reply.needs_next_run()

    asyncio.run(run())


def test_a_run_that_failed_is_not_repeated() -> None:
    async def run() -> None:
        reply = Generation([1], Sampling(), 8192)
        failed = reply.run = reply.build_next_run()
        failed.mark_ended(ValueError("no"))
        assert not reply.needs_next_run()
        with pytest.raises(ValueError, match="no"):
            await failed.wait_for_signal()

    asyncio.run(run())


def test_the_reply_ends_where_the_context_does() -> None:
    async def run() -> None:
        assert Generation([0] * 90, Sampling(), 100).limit == 10
        with pytest.raises(PromptTooLongError):
            Generation([0] * 100, Sampling(), 100)

    asyncio.run(run())


def test_what_a_request_asks_for_is_what_is_drawn_with() -> None:
    options = to_llama_options(Sampling(0.0, 0.5, 3, 10, 0.1, 0.2, -1), 2)
    assert {k: options[k] for k in ("temperature", "top_p", "top_k", "seed")} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 1,
    }
    assert (options["presence_penalty"], options["frequency_penalty"]) == (0.1, 0.2)
    assert "seed" not in to_llama_options(Sampling(), 0)


def test_results_are_told_in_the_likeliest_words() -> None:
    def temperature(asked: float | None, *said: Text | FunctionResponse) -> float | None:
        return choose_sampling(Request("", (Message("user", said),), sampling=Sampling(asked))).temperature

    result = FunctionResponse("1", "f", {})
    assert temperature(None, result) == 0
    assert temperature(0.7, result) == 0.7, "as the client wants it"
    assert temperature(None, Text("Hi.")) is None
    assert choose_sampling(Request("", ())) == Sampling()
