"""Both official SDKs with the embedded default: resumption, tokens, manual activity and images."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from google.genai import types
from google.genai.live import AsyncSession

from openlive.audio import read_wav
from tests.sdk.live import MANUAL, TEXT, client, pcm, receive, session, user
from tests.sdk.test_node import packages  # noqa: F401 - a fixture
from tests.serving import MODEL, Server, certificates, silence

pytestmark = [
    pytest.mark.weights,
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:The SDK's .*token.*:google.genai._common.ExperimentalWarning"),
]
SECONDS = 120.0
QUESTION = Path(__file__).parent.parent / "speech" / "synthetic" / "q_capital.wav"


def png() -> bytes:
    """A grey square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * 32) * 32)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


async def answer(talking: AsyncSession) -> str:
    return "".join([message.text or "" async for message in talking.receive()])


async def test_the_model_remembers_after_a_cut_in_mid_answer(server: Server) -> None:
    config: dict[str, Any] = {**TEXT, "session_resumption": {}}
    async with session(server, config, seconds=SECONDS) as talking:
        await talking.send_client_content(turns=user("My name is Anna and I live in Lisbon."))
        await answer(talking)
        while not (update := (await talking._receive()).session_resumption_update):
            pass
        await talking.send_client_content(turns=user("Tell me a long story about a lighthouse."))
        while not (await talking._receive()).text:
            pass
        talking._ws.transport.abort()
    resumed: dict[str, Any] = {**TEXT, "session_resumption": {"handle": update.new_handle}}
    async with session(server, resumed, seconds=SECONDS) as talking:
        await talking.send_client_content(turns=user("What is my name?"))
        assert "anna" in (await answer(talking)).lower()


async def test_a_token_opens_a_session(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates().bundle))  # REST calls look here only
    async with client(server, api_version="v1alpha").aio as web:
        token = await web.auth_tokens.create(config={"uses": 1})
    assert token.name is not None
    options = client(server, token.name, api_version="v1alpha").aio.live
    async with asyncio.timeout(SECONDS), options.connect(model=MODEL, config=TEXT) as talking:  # type: ignore[arg-type]
        await talking.send_client_content(turns=user("What is the capital of France?"))
        assert "Paris" in await answer(talking)


async def test_manual_activity(server: Server) -> None:
    async with session(server, {**TEXT, **MANUAL}, seconds=SECONDS) as talking:
        await talking.send_realtime_input(activity_start=types.ActivityStart())
        await talking.send_realtime_input(audio=pcm(read_wav(QUESTION)))
        await talking.send_realtime_input(activity_end=types.ActivityEnd())
        assert "Paris" in await answer(talking)


async def test_the_offsets_of_words(server: Server) -> None:
    """Over two turns: they count from the beginning of the session."""
    config: dict[str, Any] = {**TEXT, "input_audio_transcription": {"word_timestamp": True}}
    question = read_wav(QUESTION)
    async with session(server, config, seconds=SECONDS) as talking:
        for begin in (1.0, 6.0):
            # 0.42 s of silence, speech, and from 1.74 s on silence again.
            await talking.send_realtime_input(audio=pcm(silence(1) + question + silence(4 - len(question) / 32000)))
            turn = await receive(talking)
            words = [(w.word, _seconds(w.start_offset), _seconds(w.end_offset)) for w in turn.words]
            print(words)
            assert " ".join(word or "" for word, _, _ in words) == turn.heard == "What is the capital of France?"
            offsets = [offset for _, start, end in words for offset in (start, end)]
            assert offsets == sorted(offsets)
            assert offsets[0] == pytest.approx(begin + 0.42, abs=0.2)
            assert {word: start for word, start, _ in words}["capital"] == pytest.approx(begin + 0.8, abs=0.2)
            assert offsets[-1] == pytest.approx(begin + 1.72, abs=0.2)


def _seconds(offset: str | None) -> float:
    assert offset is not None
    assert offset.endswith("s")
    return float(offset[:-1])


async def test_an_image_is_counted_and_the_model_told_that_it_cannot_see_it(server: Server) -> None:
    async with session(server, TEXT, seconds=SECONDS) as talking:
        parts = [types.Part(text="Can you see this image?"), types.Part.from_bytes(data=png(), mime_type="image/png")]
        await talking.send_client_content(turns=types.Content(role="user", parts=parts))
        messages = [message async for message in talking.receive()]
        usage = messages[-1].usage_metadata
        assert usage is not None
        counted = {d.modality: d.token_count for d in usage.prompt_tokens_details or ()}
        assert counted[types.MediaModality.IMAGE] == 258
        text = "".join(message.text or "" for message in messages)
        print(text)
        assert text


@pytest.mark.node
def test_javascript(server: Server, packages: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "speech.pcm").write_bytes(read_wav(QUESTION))
    (tmp_path / "image.png").write_bytes(png())
    node = shutil.which("node")
    assert node
    told = subprocess.run(
        [node, "embedded.mjs", server.url, str(tmp_path / "speech.pcm"), str(tmp_path / "image.png")],
        cwd=packages,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificates().ca), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    seen = json.loads(told.stdout)
    print(seen)
    assert "anna" in seen["resumption"].lower()
    assert "Paris" in seen["tokens"]
    assert "Paris" in seen["manual"]
    assert seen["image"]["text"]
    assert {"modality": "IMAGE", "tokenCount": 258} in seen["image"]["usage"]["promptTokensDetails"]
