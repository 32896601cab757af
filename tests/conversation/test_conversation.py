"""Spoken conversations through the official SDK, on the embedded default. With `-s` they tell their figures."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import jiwer
import numpy as np
import pytest
import soxr
from google.genai import types
from google.genai.live import AsyncSession

from tests.engines.speech import TRANSCRIPTS, words
from tests.engines.speech import pcm as recording
from tests.sdk.live import AUDIO, BOTH, TEXT, Turn, pcm, receive, session, user
from tests.serving import Server, silence

pytestmark = [pytest.mark.anyio, pytest.mark.weights]

CHUNK = 3200
"""Bytes of 100 ms."""
MINUTE = 60.0
"""No turn takes longer, on two cores that others use too."""


async def play(opened: AsyncSession, audio: bytes, *, after: float = 0.0) -> None:
    """Speaks as a microphone does: 100 ms every 100 ms, then `after` seconds of silence."""
    audio += silence(after)
    clock = asyncio.get_running_loop().time
    begun = clock()
    for at in range(0, len(audio), CHUNK):
        await opened.send_realtime_input(audio=pcm(audio[at : at + CHUNK]))
        await asyncio.sleep(begun + (at + CHUNK) / 32000 - clock())


async def spoken_turn(opened: AsyncSession, name: str) -> Turn:
    """Says a recording in real time, and goes on being silent until the answer is over."""
    talking = asyncio.create_task(play(opened, recording(f"synthetic/{name}"), after=1.5))
    turn = await receive(opened)
    await talking
    return turn


def speech(turn: Turn) -> bytes:
    return b"".join(b.data or b"" for b in turn.blobs)


def understood(whisper: Any, turn: Turn, language: str = "en") -> str:
    """What somebody else hears in the answer, who has heard the question."""
    samples = np.frombuffer(speech(turn), "<i2").astype(np.float32) / 32768
    samples = soxr.resample(samples, 24000, 16000)
    segments, _ = whisper.transcribe(samples, language=language, beam_size=5, initial_prompt=turn.heard)
    return "".join(segment.text for segment in segments)


def plain(text: str) -> str:
    """The words alone. English recognisers have learned from old books to write `to-morrow`."""
    return words(text.replace("-", "")).replace("to morrow", "tomorrow")


class Playback:
    """The speaker of a client that plays what comes, as it comes: which words have been heard at a time."""

    def __init__(self) -> None:
        self.end = 0.0
        self.pieces: list[tuple[float, float, str]] = []
        """Beginning, end and text of each piece."""

    def take(self, message: types.LiveServerMessage, now: float) -> None:
        content = message.server_content
        if content is not None and content.output_transcription and content.output_transcription.text:
            start = max(self.end, now)
            self.pieces.append((start, start, content.output_transcription.text))
        if message.data:
            start, _, text = self.pieces.pop()
            self.end = max(self.end, now) + len(message.data) / 48000
            self.pieces.append((start, self.end, text))

    def heard(self, now: float) -> tuple[str, str]:
        """What has been heard in full by then, and what may have been heard at most."""
        full = "".join(text for _, end, text in self.pieces if end <= now)
        most = "".join(text for start, _, text in self.pieces if start <= now)
        return full.strip(), most.strip()


def last_words(audio: bytes, tail: float = 0.0) -> bytes:
    """A recording that ends `tail` seconds after its last sound."""
    loud = np.flatnonzero(np.abs(np.frombuffer(audio, "<i2").astype(np.int32)) > 300)
    return audio[: 2 * (int(loud[-1]) + 400)] + silence(tail)


async def test_three_turns_of_one_conversation(server: Server, whisper: Any) -> None:
    turns = []
    async with session(server, AUDIO | BOTH, seconds=3 * MINUTE) as opened:
        clock = asyncio.get_running_loop().time
        for name in ("q_name.wav", "q_capital.wav", "q_myname.wav"):
            begun = clock()
            turn = await spoken_turn(opened, name)
            assert turn.kinds[:2] == ["heard", "heard finished"]
            assert turn.kinds[-3:] == ["said finished", "generation_complete", "turn_complete"]
            length, took = len(speech(turn)) / 48000, clock() - begun
            print(f"\n{turn.heard!r} -> {turn.said!r} ({length:.1f} s, over after {took:.1f} s)")
            turns.append(turn)
    assert "anna" in turns[0].heard.lower()
    assert "paris" in turns[1].said.lower()
    assert "anna" in turns[2].said.lower()
    said, heard = [plain(t.said) for t in turns], [plain(understood(whisper, t)) for t in turns]
    wer = jiwer.wer(said, heard)
    print(f"WER of what was spoken against outputTranscription: {wer:.3f}")
    assert wer <= 0.10, list(zip(said, heard, strict=True))


async def test_stop_two_seconds_into_a_long_answer(server: Server) -> None:
    ask = "Tell me a long story about a lighthouse keeper and his dog, at least ten sentences."
    async with session(server, AUDIO | BOTH, seconds=3 * MINUTE) as opened:
        held = server.sessions[-1]
        await opened.send_client_content(turns=user(ask))
        clock = asyncio.get_running_loop().time
        playback, cut = Playback(), Turn()
        began = interrupted = 0.0
        stopping: asyncio.Task[None] | None = None
        async for message in opened.receive():
            cut.messages.append(message)
            playback.take(message, clock())
            if message.data and stopping is None:
                began = clock()
                stopping = asyncio.create_task(_stop(opened, 2.0))
            if message.server_content and message.server_content.interrupted:
                interrupted = clock()
        messages = server.call(lambda: held.messages)
        assert stopping is not None
        assert cut.kinds[-2:] == ["interrupted", "turn_complete"]  # and nothing between or after them
        assert cut.kinds.count("interrupted") == 1
        print(f"\ninterrupted {interrupted - began - 2.0:.2f} s after the user began to speak")
        assert 2.0 < interrupted - began < 5.0
        full, most = playback.heard(interrupted - 0.15)[0], playback.heard(interrupted + 0.15)[1]
        kept = messages[-1]
        print(f"{cut.said!r} was sent, {kept.text!r} was heard")
        assert kept.role == "model"
        assert cut.said.startswith(kept.text)
        assert kept.text.startswith(full)
        assert most.startswith(kept.text.strip())
        # What was said instead is a turn, and so is what follows.
        answer = await receive(opened)
        await stopping
        print(f"{answer.heard!r} -> {answer.said!r}")
        assert "stop" in answer.heard.lower()
        turn = await spoken_turn(opened, "q_capital.wav")
        print(f"{turn.heard!r} -> {turn.said!r}")
        assert "interrupted" not in turn.kinds
        assert "paris" in turn.said.lower()
        assert server.call(lambda: held.messages)[1] == kept


async def _stop(opened: AsyncSession, after: float) -> None:
    await asyncio.sleep(after)  # the user listens for so long
    await play(opened, recording("synthetic/stop.wav"), after=1.5)


@pytest.mark.parametrize(("first", "second"), [("q_pause_a", "q_pause_b"), ("q_capital", "q_weather")])
async def test_two_sentences_in_one_message_get_one_answer(server: Server, first: str, second: str) -> None:
    both = recording(f"synthetic/{first}.wav") + silence(1.5) + recording(f"synthetic/{second}.wav")
    async with session(server, TEXT | BOTH, seconds=2 * MINUTE) as opened:
        await opened.send_realtime_input(audio=pcm(both))
        turn = await receive(opened)
        print(f"\n{turn.heard!r} -> {turn.text!r}")
        texts = {clip["file"]: clip["text"] for clip in TRANSCRIPTS["synthetic"]}
        expected = " ".join(texts[f"synthetic/{name}.wav"] for name in (first, second))
        assert jiwer.wer(plain(expected), plain(turn.heard)) <= 0.15
        assert turn.text
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):  # no second one
                await receive(opened)


async def test_ten_human_recordings(server: Server) -> None:
    """Whole files, each in a session of its own; the answers are cut short, they are not looked at."""
    heard = []
    for clip in TRANSCRIPTS["human"]:
        async with session(server, TEXT | BOTH | {"max_output_tokens": 1}, seconds=MINUTE) as opened:
            await opened.send_realtime_input(audio=pcm(recording(clip["file"])))
            turn = await receive(opened)
            heard.append(words(turn.heard))
    wer = jiwer.wer([words(clip["text"]) for clip in TRANSCRIPTS["human"]], heard)
    print(f"\nWER of inputTranscription: {wer:.3f}")
    assert wer <= 0.04, heard


@pytest.mark.parametrize("tail", [0.0, 1.5])
async def test_a_file_that_ends_with_the_last_word(server: Server, tail: float) -> None:
    async with session(server, TEXT | BOTH, seconds=MINUTE) as opened:
        begun = asyncio.get_running_loop().time()
        await opened.send_realtime_input(audio=pcm(last_words(recording("synthetic/q_capital.wav"), tail)))
        turn = await receive(opened)
        print(f"\ntail {tail}: answered in {asyncio.get_running_loop().time() - begun:.1f} s: {turn.text!r}")
        assert words(turn.heard) == "what is the capital of france"
        assert re.search("Paris", turn.text)


async def test_another_language(server: Server) -> None:
    async with session(server, AUDIO | BOTH, seconds=2 * MINUTE) as opened:
        turn = await spoken_turn(opened, "es_capital.wav")
        print(f"\n{turn.heard!r} -> {turn.said!r}")
        assert jiwer.wer(words("¿Cuál es la capital de Francia?"), words(turn.heard)) <= 0.2
        assert re.search("par[ií]s", turn.said.lower())
