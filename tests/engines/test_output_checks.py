"""What engines may not hand over, and what becomes of what they may."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest

from openlive.engines import output_checks
from openlive.engines.output_checks import HandoverError
from openlive.types import (
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

HALF = "secret \ud83d"
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]
RING: dict[str, Any] = {}
RING["ring"] = RING
BAD_OUTPUTS: list[Any] = [
    None,
    "text",
    b"\0\0",
    Text(None),  # type: ignore[arg-type]
    Text(b"bytes"),  # type: ignore[arg-type]
    Text(HALF),
    Thought(3),  # type: ignore[arg-type]
    Text("x" * (output_checks.PIECE + 1)),
    Speech(b"\0"),
    Speech("pcm"),  # type: ignore[arg-type]
    Speech(None),  # type: ignore[arg-type]
    Speech(np.zeros(10, np.float32)),  # type: ignore[arg-type]
    Speech(b"\0\0", None),  # type: ignore[arg-type]
    Speech(b"\0\0", HALF),
    Speech(b"\0\0", "a", ("a",)),  # type: ignore[arg-type]
    Speech(b"\0\0", "a", (Word("a", -1, 2),)),
    Speech(b"\0\0", "a", (Word("a", math.nan, 2),)),  # type: ignore[arg-type]
    Usage("3", 4),  # type: ignore[arg-type]
    Usage(math.nan, 4),  # type: ignore[arg-type]
    Usage(math.inf, 4),  # type: ignore[arg-type]
    Usage(1.5, 4),  # type: ignore[arg-type]
    Usage(-1, 4),
    Usage(1, None),  # type: ignore[arg-type]
    Usage(True, 4),
    Usage(1, 2**40),
    FunctionCall("", "f", None),  # type: ignore[arg-type]
    FunctionCall("", "f", {"a": object()}),
    FunctionCall("", "f", {"a": HALF}),
    FunctionCall("", "f", {"a": DEEP}),
    FunctionCall("", "f", RING),
    FunctionCall("", "f", {"a": ["x"] * 300_000}),
    FunctionCall("", None, {}),  # type: ignore[arg-type]
    FunctionCall("i" * 2000, "f", {}),
]


@pytest.mark.parametrize("value", BAD_OUTPUTS)
def test_no_reply_has_this(value: Any) -> None:
    with pytest.raises(HandoverError) as raised:
        output_checks.check_output(value)
    assert "secret" not in str(raised.value), "what was said is in no log"


@pytest.mark.parametrize(
    "value",
    [
        Text(""),
        Text("naïve 😀"),
        Thought("Hm"),
        Speech(b"", "…"),
        Speech(b"\0\0", "a", (Word("a", 0, 1),)),
        Usage(3, 0, 2),
        Progress(),
        FunctionCall("", "f", {"a": [1, 2.5, None, {"b": "é"}]}),
    ],
)
def test_every_reply_may_have_this(value: Output) -> None:
    assert output_checks.check_output(value) == value


def test_bytes_are_made_of_what_is_like_them_and_arguments_plain() -> None:
    assert output_checks.check_output(Speech(bytearray(b"ab"))) == Speech(b"ab")  # type: ignore[arg-type]
    call = output_checks.check_output(FunctionCall("", "f", {"when": (1, math.nan)}))
    assert call == FunctionCall("", "f", {"when": [1, None]})


BAD_TRANSCRIPTS: list[Any] = [
    None,
    "hello",
    Transcript(None, 5),  # type: ignore[arg-type]
    Transcript(HALF, 5),
    Transcript("hello", -5),
    Transcript("hello", 1.5),  # type: ignore[arg-type]
    Transcript("hello", 5, final=None),  # type: ignore[arg-type]
    Transcript("hello", 5, language=None),  # type: ignore[arg-type]
    Transcript("hello", 5, words=("hello",)),  # type: ignore[arg-type]
    Transcript("hello", 5, words=(Word("hello", 0, -3),)),
    Transcript("hello", 5, prosody=Prosody(math.nan, 0, 0, 0, 1)),
    Transcript("hello", 5, prosody=1.0),  # type: ignore[arg-type]
    Transcript("hello " * 1000, 16_000),
]


@pytest.mark.parametrize("value", BAD_TRANSCRIPTS)
def test_nobody_is_heard_like_this(value: Any) -> None:
    with pytest.raises(HandoverError):
        output_checks.check_transcript(value)


def test_a_long_transcript_of_long_speech_is_taken() -> None:
    long = Transcript("hello " * 1000, 60 * 16_000, True, "en", (Word("hello", 0, 5),), Prosody(1, 2, 3, 4, 5))
    assert output_checks.check_transcript(long) == long


@pytest.mark.parametrize(
    "found",
    [
        None,
        3,
        [0.5],
        [(0.5,)],
        [(math.nan, 512)],
        [(math.inf, 512)],
        [(1.5, 512)],
        [(-0.5, 512)],
        [("0.5", 512)],
        [(None, 512)],
        [(0.5, 0)],
        [(0.5, -512)],
        [(0.5, 512.0)],
        [(0.5, 512)] * 3,
    ],
    ids=repr,
)
def test_no_detector_finds_this(found: Any) -> None:
    with pytest.raises(HandoverError):
        output_checks.check_frames(found, 1024)


def test_what_a_detector_finds() -> None:
    assert output_checks.check_frames([(0.5, 512), [np.float32(0.25), 512]], 1024) == ((0.5, 512), (0.25, 512))
    assert output_checks.check_frames((), 0) == ()
    assert output_checks.check_probability(1.0000001, "it") == 1.0
    assert output_checks.check_probability(np.float32(0.5), "it") == 0.5
    assert output_checks.check_probability(1, "it") == 1.0


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"output": 1},
        ToolResult(None),  # type: ignore[arg-type]
        ToolResult({"a": object()}),
        ToolResult({"a": HALF}),
        ToolResult({"a": DEEP}),
        ToolResult({}, output=None),  # type: ignore[arg-type]
        ToolResult({}, output=HALF),
        ToolResult({}, outcome="fine"),  # type: ignore[arg-type]
        ToolResult({}, queries=None),  # type: ignore[arg-type]
        ToolResult({}, queries=(1,)),  # type: ignore[arg-type]
        ToolResult({}, sources=(Source(HALF),)),
        ToolResult({}, sources=(Source(None),)),  # type: ignore[arg-type]
        ToolResult({}, pages=("page",)),  # type: ignore[arg-type]
        ToolResult({}, queries=("q",) * 2000),
        ToolResult({"a": "x" * 300_000}),
    ],
)
def test_no_tool_comes_to_this(value: Any) -> None:
    with pytest.raises(HandoverError):
        output_checks.check_tool_result(value)


def test_what_a_tool_comes_to() -> None:
    good = ToolResult({"a": [1]}, "1", "ok", ("q",), (Source("https://a", "A"),), (Page("https://a"),))
    assert output_checks.check_tool_result(good) == good


def test_what_an_exception_cannot_say() -> None:
    class SpeechlessError(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert output_checks.error_text(SpeechlessError()) == "SpeechlessError"
    assert output_checks.error_text(ValueError("no")) == "no"


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_what_would_end_more_than_a_reply_is_tamed(raised: type[BaseException]) -> None:
    async def test() -> None:
        with pytest.raises(HandoverError, match=raised.__name__), output_checks.contain_errors():
            raise raised

    asyncio.run(test())


def test_a_stop_that_was_asked_for_stays_one() -> None:
    async def test() -> None:
        async def work() -> None:
            with output_checks.contain_errors():
                await asyncio.sleep(60)

        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(test())
