"""The system under test `livekit`: an AgentSession per connection, without a room: its audio comes from a WebSocket and
goes there, through LiveKit's own seams for that (AudioInput, AudioOutput).

Runs in an environment of its own (livekit.txt), and is spoken to as every peer (pipecat_agent.py).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, TurnHandlingOptions
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins import openai, silero
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


class Microphone(AudioInput):
    def __init__(self, socket: ServerConnection) -> None:
        super().__init__(label="websocket")
        self._socket = socket

    async def __anext__(self) -> rtc.AudioFrame:
        try:
            data = await self._socket.recv()
        except ConnectionClosed:
            raise StopAsyncIteration from None
        assert isinstance(data, bytes)
        return rtc.AudioFrame(data, 16000, 1, len(data) // 2)


class Loudspeaker(AudioOutput):
    """Passes audio on as it comes; a segment counts as played once it would have been."""

    def __init__(self, socket: ServerConnection) -> None:
        super().__init__(label="websocket", capabilities=AudioOutputCapabilities(pause=False), sample_rate=24000)
        self._socket = socket
        self._seconds = 0.0
        self._begun = 0.0
        self._ending: asyncio.Task[None] | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._seconds:
            self._begun = asyncio.get_running_loop().time()
            self.on_playback_started(created_at=self._begun)
        self._seconds += frame.duration
        try:
            await self._socket.send(bytes(frame.data))
        except ConnectionClosed:
            return

    def flush(self) -> None:
        super().flush()
        if self._seconds:
            self._ending = asyncio.create_task(self._played(self._seconds))

    async def _played(self, seconds: float) -> None:
        await asyncio.sleep(self._begun + seconds - asyncio.get_running_loop().time())
        self._end(seconds, interrupted=False)

    def clear_buffer(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        if self._seconds:
            self._end(asyncio.get_running_loop().time() - self._begun, interrupted=True)

    def _end(self, seconds: float, *, interrupted: bool) -> None:
        self._seconds, self._ending = 0.0, None
        self.on_playback_finished(playback_position=seconds, interrupted=interrupted)


async def talk(socket: ServerConnection, given: argparse.Namespace, vad: silero.VAD) -> None:
    place: Any = {"api_key": "none", "base_url": given.endpoints}
    turns = TurnHandlingOptions(
        turn_detection="vad",
        endpointing={"mode": "fixed", "min_delay": given.silence, "max_delay": given.silence},
        preemptive_generation={"enabled": True, "preemptive_tts": given.preemptive_tts},
    )
    session: AgentSession[None] = AgentSession(
        stt=openai.STT(model="ears", **place),
        llm=openai.LLM(model="model", **place),
        tts=openai.TTS(model="voice", voice="alloy", response_format="pcm", **place),
        vad=vad,
        turn_handling=turns,
    )
    session.input.audio = Microphone(socket)
    session.output.audio = Loudspeaker(socket)
    try:
        await session.start(Agent(instructions=given.instructions), record=False)
        await socket.send("ready")
        await socket.wait_closed()
    finally:
        await session.aclose()


async def run(given: argparse.Namespace) -> None:
    vad = silero.VAD.load(min_silence_duration=given.stop)

    async def handler(socket: ServerConnection) -> None:
        await talk(socket, given, vad)

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(f"ws://127.0.0.1:{port}/", flush=True)
        await asyncio.to_thread(sys.stdin.buffer.read)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--instructions", default="Be brief.")
    parser.add_argument("--silence", type=float, default=0.5, help="seconds that end a turn")
    parser.add_argument("--stop", type=float, default=0.5, help="of these, what the detector waits before it says so")
    parser.add_argument("--preemptive-tts", action="store_true", help="speak before the turn is decided, too")
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
