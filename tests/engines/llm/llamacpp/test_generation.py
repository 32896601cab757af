import asyncio

import pytest

from openlive.engines.llm.llamacpp.generation import AHEAD, Reply, Run, Signal, sampling_of, sampling_options
from openlive.engines.llm.llamacpp.server import Chunk
from openlive.engines.llm.prompt.conversation import PromptTooLongError
from openlive.types import FunctionResponse, Message, Request, Sampling, Text


def test_a_stop_that_arrives_while_a_chunk_is_looked_at_is_not_lost() -> None:
    async def main() -> None:
        def on(_: Chunk) -> bool:
            run.stop()
            return False

        run = Run((), {}, Signal(), on)
        assert run.receive(Chunk("a"))
        assert run.receive(Chunk("b"))

    asyncio.run(main())


def test_a_reply_pauses_when_nobody_takes_it_and_goes_on_where_it_was() -> None:
    async def run() -> None:
        reply = Reply([1, 2], Sampling(max_tokens=100, seed=5), 8192)
        first = reply.run = reply.next_run()
        stops = [first.receive(Chunk(f"{i} ", (i,))) for i in range(AHEAD)]
        assert stops == [False] * (AHEAD - 1) + [True]
        assert first.receive(Chunk("dropped", (99,)))
        first.end(None)
        assert not reply.is_hungry()
        taken = [reply.take() for _ in range(AHEAD // 2)]
        assert reply.is_hungry()
        second = reply.run = reply.next_run()
        assert second.prompt == [1, 2, *range(AHEAD)]
        assert second.options["n_predict"] == 100 - AHEAD
        assert second.options["seed"] == 5 + AHEAD
        second.receive(Chunk(finished=True))
        second.end(None)
        while text := reply.take():
            taken.append(text)
        said = "".join(piece.text for piece in taken if isinstance(piece, Text))
        assert said == "".join(f"{i} " for i in range(AHEAD))
        assert reply.finished
        assert not reply.is_hungry()

    asyncio.run(run())


def test_a_run_that_failed_is_not_repeated() -> None:
    async def run() -> None:
        reply = Reply([1], Sampling(), 8192)
        failed = reply.run = reply.next_run()
        failed.end(ValueError("no"))
        assert not reply.is_hungry()
        with pytest.raises(ValueError, match="no"):
            await failed.wait()

    asyncio.run(run())


def test_the_reply_ends_where_the_context_does() -> None:
    async def run() -> None:
        assert Reply([0] * 90, Sampling(), 100).limit == 10
        with pytest.raises(PromptTooLongError):
            Reply([0] * 100, Sampling(), 100)

    asyncio.run(run())


def test_what_a_request_asks_for_is_what_is_drawn_with() -> None:
    options = sampling_options(Sampling(0.0, 0.5, 3, 10, 0.1, 0.2, -1), 2)
    assert {k: options[k] for k in ("temperature", "top_p", "top_k", "seed")} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 1,
    }
    assert (options["presence_penalty"], options["frequency_penalty"]) == (0.1, 0.2)
    assert "seed" not in sampling_options(Sampling(), 0)


def test_results_are_told_in_the_likeliest_words() -> None:
    def temperature(asked: float | None, *said: Text | FunctionResponse) -> float | None:
        return sampling_of(Request("", (Message("user", said),), sampling=Sampling(asked))).temperature

    result = FunctionResponse("1", "f", {})
    assert temperature(None, result) == 0
    assert temperature(0.7, result) == 0.7, "as the client wants it"
    assert temperature(None, Text("Hi.")) is None
    assert sampling_of(Request("", ())) == Sampling()
