"""A responder made of a language model and a voice: the model writes, the voice speaks clause by clause."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import islice

import anyio
from anyio.abc import ObjectSendStream
from anyio.streams.memory import MemoryObjectReceiveStream
from msgspec.structs import replace

from openlive.engines.api import LLM, TTS, Emit
from openlive.engines.output_checks import closing_iterator
from openlive.engines.text.control_tokens import ControlTokenFilter
from openlive.engines.text.languages import NAMES, bare_language
from openlive.engines.text.scripts import language_of
from openlive.engines.tts.chunking import ClauseChunker
from openlive.types import Heard, Message, Progress, Request, Text, Thought, Voice, Written

ClauseReceiver = MemoryObjectReceiveStream[str]

SPOKEN = (
    "Your answer is spoken aloud. Use short, plain, spoken sentences: no markdown, no lists, no emoji, no code and no"
    " links. Be brief unless you are asked for more."
)
"""Follows the instructions of every spoken reply. Constant, so that a prefix that was prefilled stays valid."""
IN_LANGUAGE = "Always answer in {}, whatever language you are spoken to in."
"""Where the client has chosen a language: without it, a question in another one is answered in that."""
LATEST = 16
"""Parts of what the user said that are asked for its language: the latest ones."""
AHEAD = 4
"""Clauses that may wait for the voice before the model pauses."""


class Cascade:
    """A `Responder`. The model is pulled; while the first clause is rendered it pauses, so that the voice has the
    machine to itself: on two cores the first audio is 175 to 660 ms later otherwise.
    """

    def __init__(self, llm: LLM, tts: TTS, about: str = "") -> None:
        """`about`: what the model is told of itself (`Request.about`)."""
        self._llm = llm
        self._tts = tts
        self._about = about
        language_of("Hello.")  # loads what tells languages apart, which takes a quarter of a second

    async def reply(self, request: Request, emit: Emit) -> None:
        if request.voice is None:
            async with closing_iterator(self._generate_pieces(prepare_request(request, self._about))) as pieces:
                async for piece in pieces:
                    await emit(piece)
            return
        language = request.voice.language or request.language
        voice = replace(
            request.voice, language=language, expected="" if language else conversation_language(request.messages)
        )
        try:
            await self._reply_in_speech(prepare_request(request, self._about), voice, emit)
        except BaseExceptionGroup as group:
            raise unwrap_single_error(group) from None

    async def prefill(self, request: Request) -> None:
        await self._llm.prefill(prepare_request(request, self._about))

    def forget(self, conversation: str) -> None:
        self._llm.forget(conversation)

    async def _reply_in_speech(self, request: Request, voice: Voice, emit: Emit) -> None:
        begun = anyio.Event()
        clauses, waiting = anyio.create_memory_object_stream[str](AHEAD)
        async with clauses, waiting, anyio.create_task_group() as group:
            group.start_soon(self._speak_clauses, waiting, voice, emit, begun)
            await self._write_clauses(request, emit, clauses, begun)

    async def _write_clauses(
        self, request: Request, emit: Emit, clauses: ObjectSendStream[str], begun: anyio.Event
    ) -> None:
        """Emits what the model writes and hands the voice its clauses; waits once, for the first to be spoken."""
        cutter = ClauseChunker()
        async with clauses, closing_iterator(self._generate_pieces(request)) as pieces:
            async for piece in pieces:
                await emit(piece)
                for clause in cutter.feed(piece.text) if isinstance(piece, Text) else ():
                    await clauses.send(clause)
                    await begun.wait()
            if rest := cutter.flush():
                await clauses.send(rest)

    async def _generate_pieces(self, request: Request) -> AsyncIterator[Written]:
        """What the model writes, without control tokens."""
        kind: type[Text | Thought] = Text
        marks = ControlTokenFilter()
        async with closing_iterator(self._llm.generate(request)) as pieces:
            async for piece in pieces:
                if not isinstance(piece, Progress | kind) and (rest := marks.flush()):
                    yield kind(rest)
                if not isinstance(piece, Text | Thought):
                    yield piece
                    continue
                kind = type(piece)
                if text := marks.feed(piece.text):
                    yield piece if text == piece.text else kind(text)
        if rest := marks.flush():
            yield kind(rest)

    async def _speak_clauses(self, waiting: ClauseReceiver, voice: Voice, emit: Emit, begun: anyio.Event) -> None:
        async with closing_iterator(self._tts.speak(_ClauseStream(waiting, begun), voice)) as pieces:
            async for piece in pieces:
                await emit(piece)
                if piece.pcm:
                    begun.set()
        waiting.close()  # a voice that ends before its text breaks the reply instead of stalling it
        begun.set()


class _ClauseStream:
    """The clauses as the voice pulls them. Asking for a second one shows that it is done with the first, or reads
    ahead: either way the model need not wait any longer.
    """

    def __init__(self, waiting: ClauseReceiver, begun: anyio.Event) -> None:
        self._waiting = waiting
        self._first_spoken = begun
        self._pull_count = 0

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        self._pull_count += 1
        if self._pull_count > 1:
            self._first_spoken.set()
        try:
            return await self._waiting.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


def prepare_request(request: Request, about: str = "") -> Request:
    """`request` as the model gets it: one for speech asks for an answer that can be spoken, one with a language for an
    answer in it. `about`: what the model is told of itself."""
    name = NAMES.get(bare_language(request.language))
    wishes = (SPOKEN if request.voice is not None else "", IN_LANGUAGE.format(name) if name else "")
    return replace(request, instructions="\n\n".join(filter(None, (request.instructions, *wishes))), about=about)


def conversation_language(messages: Sequence[Message]) -> str:
    """The language that the user spoke or wrote last, a bare code: what the answer will be in, unless something else
    was asked for. '' where nothing tells."""
    said = (part for m in reversed(messages) if m.role == "user" for part in reversed(m.parts))
    for part in islice(said, LATEST):
        if isinstance(part, Heard) and part.language and not part.overheard:
            return bare_language(part.language)
        if isinstance(part, Text) and (told := language_of(part.text)):
            return told
    return ""


def unwrap_single_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception in `group`, or the group itself where there are several."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
