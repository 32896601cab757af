"""The state of a call into llama.cpp, and of a reply that several such calls generate."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Any

from msgspec.structs import replace

from openlive.engines.llm.llamacpp.server import CompletionChunk
from openlive.engines.llm.llamacpp.token_cache import Tokens
from openlive.engines.llm.prompt.conversation import PromptTooLongError
from openlive.engines.runtime.workers import PATIENCE
from openlive.types import FunctionCall, FunctionResponse, Progress, Request, Sampling, Text, Thought

MAX_TOKENS = 512
"""The longest reply where the request sets no limit: some three minutes of speech."""
AHEAD = 4
"""Tokens that are generated before anyone has asked for them; when half of them are taken, generation goes on. Each one
more keeps a core from the voice for 40 ms (1.5B); going on costs about as much, once per pause."""


DEFAULTS = Sampling(temperature=0.5, top_p=0.9, top_k=40)
"""Where the request leaves it open: lively enough to talk to, sober enough for facts."""


class LoopSignal:
    """Wakes the one task of this event loop that waits for it; `set` may be called from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()
        self._event.clear()


class Priority(IntEnum):
    """What a run is for. Whoever waits in silence goes first: beside another's prefill a token takes ten times as
    long, because a step of llama.cpp is as long as all that is in it."""

    FIRST = 0
    """The first words of an answer."""
    NEXT = 1
    """What follows them: a voice is speaking meanwhile. After `PATIENCE` it goes first, too."""
    HELD = 2
    """An answer that is prepared: nobody waits for it unless the turn is over."""
    TALKING = 3
    """A prefill while the user speaks."""
    IDLE = 4
    """A prefill while nobody does, such as that of instructions."""


class CompletionRun:
    """One call into llama.cpp, made in a thread.

    `on` is asked there, after each chunk, whether to stop. The thread calls `mark_ended` once the call has returned.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        options: dict[str, Any],
        signal: LoopSignal,
        on: Callable[[CompletionChunk], bool] = lambda _: False,
        *,
        rank: Priority = Priority.FIRST,
    ) -> None:
        self.prompt = prompt
        self.options = options
        self.priority = rank
        self.was_preempted = False
        """It was ended for one of a lower rank, and may go on later from what it has computed."""
        self.stopped = False
        self.ended = False
        self.tokens_generated = 0
        self.error: Exception | None = None
        self._on = on
        self._signal = signal

    def stop(self) -> None:
        """Takes effect at the next token, or step of a prefill. What still arrives is dropped."""
        self.stopped = True

    def receive_chunk(self, chunk: CompletionChunk) -> bool:
        self.tokens_generated += len(chunk.tokens)
        if not self.stopped and self._on(chunk):
            self.stopped = True  # never back to False: the event loop may have set it meanwhile
        return self.stopped or self.was_preempted

    def preempt(self) -> None:
        """As `stop`, but not for good."""
        self.was_preempted = True

    def reset_for_restart(self) -> None:
        """It has made way, ended, and will be started once more."""
        self.was_preempted = self.ended = False

    def mark_ended(self, error: Exception | None) -> None:
        self.error = error
        self.ended = True
        self._signal.set()

    async def wait_for_signal(self) -> None:
        """Until the signal: at the latest when the run has ended. Raises what went wrong in it."""
        if not self.ended:
            await self._signal.wait()
        if self.error:
            raise self.error


class Generation:
    """A reply, generated in as many runs as the pace of its reader asks for."""

    def __init__(self, prompt: Sequence[int], sampling: Sampling, context: int) -> None:
        if len(prompt) >= context:
            raise PromptTooLongError(len(prompt), context)
        self.prompt = prompt
        self.limit = min(sampling.max_tokens or MAX_TOKENS, context - len(prompt))
        self.cached = 0
        self.generated_pieces: list[tuple[str, Tokens]] = []
        """What was generated so far, whether taken or not."""
        self.finished = False
        """Nothing more will be generated; `take_piece` may still give some."""
        self.run: CompletionRun | None = None
        """The run that is under way, or was the last one."""
        self.is_speculative = False
        """Nobody waits for it yet."""
        self._waiting_since: float | None = None
        """For the next run to begin."""
        self._sampling = sampling
        self._token_ids: list[int] = []
        self._buffer: deque[Text | Thought | FunctionCall] = deque()
        self._signal = LoopSignal()
        self._has_progressed = False

    @property
    def tokens_generated(self) -> int:
        return len(self._token_ids)

    def needs_next_run(self) -> bool:
        """Whether the next run should begin."""
        idle = self.run is None or (self.run.ended and not self.run.error)
        return idle and not self.finished and len(self._buffer) <= AHEAD // 2

    def build_next_run(self) -> CompletionRun:
        """Goes on after the last token. Tokens go in as ids, so the text is the same as without a pause. It becomes
        `run` once it has begun."""
        options = {"n_predict": self.limit - self.tokens_generated, **self._run_options()}
        return CompletionRun(
            [*self.prompt, *self._token_ids], options, self._signal, self._receive_chunk, rank=self.next_priority
        )

    @property
    def next_priority(self) -> Priority:
        """Of the next run."""
        if self.is_speculative:
            return Priority.HELD
        return Priority.NEXT if self._token_ids and self._patience_left > 0 else Priority.FIRST

    @property
    def _patience_left(self) -> float:
        """Seconds for which it may still be made to wait."""
        since = self._waiting_since
        return PATIENCE if since is None else max(0.0, since + PATIENCE - time.monotonic())

    def mark_begun(self, run: CompletionRun) -> None:
        self.run, self._waiting_since = run, None

    def note_refusal(self, run: CompletionRun) -> float | None:
        """It is not the turn of `run` yet. In how many seconds that is to be tried again; None: when another ends."""
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return self._patience_left if run.priority is Priority.NEXT else None

    def take_piece(self) -> Text | Thought | FunctionCall | Progress | None:
        """The next piece; None where there is none yet."""
        if self._buffer:
            return self._buffer.popleft()
        progressed, self._has_progressed = self._has_progressed, False
        return Progress() if progressed else None

    def stop(self) -> None:
        self.finished = True
        if self.run:
            self.run.stop()

    def _run_options(self) -> dict[str, Any]:
        return to_llama_options(self._sampling, self.tokens_generated)

    def _receive_chunk(self, chunk: CompletionChunk) -> bool:
        if chunk.cached is not None:
            self._has_progressed = True
            if not self._token_ids:
                self.cached = chunk.cached
        stop = self._read_chunk(chunk)
        self._signal.set()
        return stop

    def _read_chunk(self, chunk: CompletionChunk) -> bool:
        """Takes a chunk in; whether the run should stop."""
        self._keep_tokens(chunk)
        if chunk.text:
            self._buffer.append(Text(chunk.text))
        self.finished = self.finished or self._is_last_chunk(chunk)
        return self._is_buffer_full()

    def _keep_tokens(self, chunk: CompletionChunk) -> None:
        if chunk.text:
            self.generated_pieces.append((chunk.text, chunk.tokens))
            self._token_ids += chunk.tokens

    def _is_last_chunk(self, chunk: CompletionChunk) -> bool:
        return chunk.finished or self.tokens_generated >= self.limit

    def _is_buffer_full(self) -> bool:
        return len(self._buffer) >= AHEAD and not self.finished


def choose_sampling(request: Request) -> Sampling:
    """As the client asks. Where it leaves the temperature open, results of calls are told in the likeliest words."""
    results = bool(request.messages) and any(isinstance(p, FunctionResponse) for p in request.messages[-1].parts)
    if results and request.sampling.temperature is None:
        return replace(request.sampling, temperature=0.0)
    return request.sampling


def to_llama_options(sampling: Sampling, generated: int) -> dict[str, Any]:
    """The names of llama.cpp.

    The light penalty on repetition keeps small models out of loops. `generated` moves the seed on, so that the draws
    after a pause are not those of the beginning again.
    """

    def value_or_default(value: float | None, default: float | None) -> float | None:
        return default if value is None else value

    options: dict[str, Any] = {
        "temperature": value_or_default(sampling.temperature, DEFAULTS.temperature),
        "top_p": value_or_default(sampling.top_p, DEFAULTS.top_p),
        "top_k": value_or_default(sampling.top_k, DEFAULTS.top_k),
        "min_p": 0.05,
        "repeat_penalty": 1.05,
        "repeat_last_n": 128,
        "presence_penalty": value_or_default(sampling.presence_penalty, 0.0),
        "frequency_penalty": value_or_default(sampling.frequency_penalty, 0.0),
    }
    if sampling.seed is not None:
        options["seed"] = (sampling.seed + generated) & 0xFFFFFFFF
    return options
