"""What an engine hands over, checked: whatever it is, a fault of it costs one turn, and nothing behind this has to ask.

Each function gives back the value, made plain (`bytes`, `float`, JSON), or raises `HandoverError`, which says what is
wrong with it and never holds what was said.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec

from openlive.engines.text.control_tokens import strip_control_tokens
from openlive.types import (
    INPUT_RATE,
    FunctionCall,
    Output,
    Page,
    Progress,
    Prosody,
    Source,
    Speech,
    Text,
    Thought,
    ToolResult,
    Transcript,
    Usage,
    Word,
)

NAME = 1024
"""Characters of an id, a name or a language."""
LEVELS = 64
"""Of JSON in arguments and results."""
PIECE = 64 * 1024
"""Characters of one piece of text: twice what an answer may come to (`output_token_limit`), and written in escapes, of
12 bytes at most, it still fits in a frame."""
OBJECT = 256 * 1024
"""Bytes of a call's arguments and of a tool's result as JSON: three times that in escapes."""
TRANSCRIPT = 2000
PER_SECOND = 100
"""Characters of a transcript, and more of them for each second of its audio: people speak some 15 to 25."""
COUNT = 2**31 - 1
"""What a count of tokens fits in on the wire."""
RESULTS = 1000
"""Queries, sources and pages of a tool's result."""


class HandoverError(ValueError):
    """An engine handed over what no engine may."""

    plain = property(str)
    """For logs: the message quotes nothing that was said."""


# --- what a responder writes ------------------------------------------------------------------------------------------


def check_output(value: Any) -> Output:
    """A piece of a reply."""
    match value:
        case Text() | Thought():
            said = strip_control_tokens(check_text(value.text, "a piece of text"))
            if said != value.text:
                return type(value)(said)
        case Speech():
            return _check_speech(value)
        case FunctionCall():
            return _check_call(value)
        case Usage():
            for name in ("prompt", "completion", "cached"):
                _check_count(getattr(value, name), f"the usage's {name}")
        case Progress():
            pass
        case _:
            raise HandoverError(f"a piece of a reply is {_describe_type(value)}")
    return value  # type: ignore[no-any-return]


def _check_speech(value: Speech) -> Speech:
    pcm: Any = value.pcm
    if not isinstance(pcm, bytes):
        if not isinstance(pcm, bytearray | memoryview):
            raise HandoverError(f"audio is {_describe_type(pcm)}, not bytes of s16le mono 24 kHz")
        value = msgspec.structs.replace(value, pcm=bytes(pcm))
    if len(value.pcm) % 2:
        raise HandoverError(f"audio of {len(value.pcm)} bytes splits a sample, which has two")
    check_text(value.text, "the text of a piece of audio")
    if value.words:
        _check_words(value.words)
    return value


def _check_call(value: FunctionCall) -> FunctionCall:
    check_text(value.id, "the id of a call", NAME)
    check_text(value.name, "the name of a call", NAME)
    return msgspec.structs.replace(value, args=_check_object(value.args, "the arguments of a call"))


# --- what is heard ----------------------------------------------------------------------------------------------------


def check_transcript(value: Any) -> Transcript:
    if not isinstance(value, Transcript):
        raise HandoverError(f"a transcript is {_describe_type(value)}")
    _check_count(value.end, "the end of a transcript", 2**53)
    check_text(value.text, "a transcript", TRANSCRIPT + PER_SECOND * value.end // INPUT_RATE)
    check_text(value.language, "the language of a transcript", NAME)
    if not isinstance(value.final, bool):
        raise HandoverError(f"whether a transcript is final is {_describe_type(value.final)}")
    if value.words:
        _check_words(value.words)
    if value.prosody is not None:
        _check_prosody(value.prosody)
    return value


def check_frames(found: Any, most: int) -> tuple[tuple[float, int], ...]:
    """Of a detector that was given `most` samples which it has not judged yet."""
    if not isinstance(found, list | tuple):
        raise HandoverError(f"judged frames are {_describe_type(found)}")
    judged = []
    for frame in found:
        try:
            probability, samples = frame
        except (TypeError, ValueError):
            raise HandoverError(f"a judged frame is {_describe_type(frame)}, not a probability and samples") from None
        if type(samples) is not int or samples <= 0:
            raise HandoverError("a judged frame has no positive number of samples")
        if type(probability) is not float or not 0.0 <= probability <= 1.0:
            probability = check_probability(probability, "the probability of speech")
        most -= samples
        judged.append((probability, samples))
    if most < 0:
        raise HandoverError(f"{-most} samples more were judged than there are")
    return tuple(judged)


def check_probability(value: Any, what: str) -> float:
    """0 to 1; a rounding beside that is taken as one."""
    if type(value) is not float:
        if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
            raise HandoverError(f"{what} is {_describe_type(value)}")
        value = float(value)
    if 0.0 <= value <= 1.0:
        return float(value)
    if not -0.001 <= value <= 1.001:  # NaN as well
        raise HandoverError(f"{what} is not between 0 and 1")
    return min(1.0, max(0.0, float(value)))


# --- what a tool came to ----------------------------------------------------------------------------------------------


def check_tool_result(value: Any) -> ToolResult:
    if not isinstance(value, ToolResult):
        raise HandoverError(f"a tool's result is {_describe_type(value)}")
    check_text(value.output, "what a tool shows")
    if value.outcome not in _OUTCOMES:
        raise HandoverError("a tool's outcome is none that there is")
    kinds = (("queries", value.queries, str), ("sources", value.sources, Source), ("pages", value.pages, Page))
    for name, found, kind in kinds:
        if not isinstance(found, list | tuple) or not all(isinstance(item, kind) for item in found):
            raise HandoverError(f"the {name} of a tool's result are {_describe_type(found)}")
        if len(found) > RESULTS:
            raise HandoverError(f"a tool's result has more than {RESULTS} {name}")
    told = (value.queries, *((s.uri, s.title) for s in value.sources), *((p.uri,) for p in value.pages))
    check_text("".join(_check_string(item) for group in told for item in group), "what a tool found")
    return msgspec.structs.replace(
        value,
        response=_check_object(value.response, "a tool's result"),
        queries=tuple(value.queries),
        sources=tuple(value.sources),
        pages=tuple(value.pages),
    )


_OUTCOMES = ("ok", "failed", "deadline")


# --- what goes wrong --------------------------------------------------------------------------------------------------


def is_cancelled() -> bool:
    """Whether the present task is being cancelled by who started it: an engine may raise that by itself, too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def contain_errors() -> Iterator[None]:
    """What is raised inside comes out as an `Exception`, but for a stop that was asked for: from a task of its own a
    `SystemExit` would end the event loop, and a cancellation that nobody asked for would leave it without a word."""
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            raise
        raise HandoverError(f"an engine raised {type(error).__name__}") from error


def error_text(error: BaseException) -> str:
    """What an exception says; it may be unable to."""
    try:
        return str(error)[:PIECE]
    except Exception:
        return type(error).__name__


# --- values -----------------------------------------------------------------------------------------------------------


def check_text(value: Any, what: str, most: int = PIECE) -> str:
    """A string that has a UTF-8 form."""
    if not isinstance(value, str):
        raise HandoverError(f"{what} is {_describe_type(value)}, not a string")
    if len(value) > most:
        raise HandoverError(f"{what} has {len(value)} characters; {most} are the most that is taken")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise HandoverError(f"{what} has half a surrogate pair, which is no character") from None
    return value


def _check_string(value: Any) -> str:
    if not isinstance(value, str):
        raise HandoverError(f"a part of what a tool found is {_describe_type(value)}")
    return value


def _check_count(value: Any, what: str, most: int = COUNT) -> None:
    if type(value) is not int or not 0 <= value <= most:
        raise HandoverError(
            f"{what} is {_describe_type(value) if type(value) is not int else 'out of range'}, not a count"
        )


def _check_words(words: Any) -> None:
    if not isinstance(words, list | tuple) or not all(isinstance(word, Word) for word in words):
        raise HandoverError(f"the words of audio are {_describe_type(words)}")
    if len(words) > PIECE:
        raise HandoverError(f"there are {len(words)} words in one piece")
    for word in words:
        check_text(word.text, "a word")
        _check_count(word.start, "the start of a word", 2**53)
        _check_count(word.end, "the end of a word", 2**53)


def _check_prosody(value: Any) -> None:
    if not isinstance(value, Prosody):
        raise HandoverError(f"the prosody of a transcript is {_describe_type(value)}")
    for measure in msgspec.structs.astuple(value):
        if not isinstance(measure, int | float) or not math.isfinite(measure):
            raise HandoverError("a measure of prosody is no finite number")


def _check_object(value: Any, what: str) -> dict[str, Any]:
    """A JSON object as it will be read again, of bounded size and depth."""
    if not isinstance(value, dict):
        raise HandoverError(f"{what} is {_describe_type(value)}, not an object")
    _check_depth(value, what)
    try:
        encoded = msgspec.json.encode(value)
        if len(encoded) > OBJECT:
            raise HandoverError(f"{what} comes to {len(encoded)} bytes of JSON; {OBJECT} are the most that is taken")
        plain: dict[str, Any] = msgspec.json.decode(encoded)
    except HandoverError:
        raise
    except Exception as error:
        raise HandoverError(f"{what} is no JSON: {type(error).__name__}") from None
    return plain


def _check_depth(value: Any, what: str) -> None:
    level: Iterable[Any] = [value]
    for _ in range(LEVELS):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper.extend(item.values())
            elif isinstance(item, list | tuple | set | frozenset):
                deeper.extend(item)
            if len(deeper) > OBJECT:
                raise HandoverError(f"{what} has more than {OBJECT} values")
        if not deeper:
            return
        level = deeper
    raise HandoverError(f"{what} has more than {LEVELS} levels")


def _describe_type(value: Any) -> str:
    return "nothing" if value is None else f"of type {type(value).__name__}"


@asynccontextmanager
async def closing_iterator(iterator: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
    """Closes an iterator that can be closed, so that the work behind it stops here and now. What it raises beside
    `Exception` ends this reply, and nobody else's (`handover.tamed`)."""
    with contain_errors():
        try:
            yield iterator
        finally:
            if close := getattr(iterator, "aclose", None):
                await close()
