"""The system under test `pipecat`: a pipeline per connection behind Pipecat's FastAPI WebSocket transport.

Runs in an environment of its own (pipecat.txt). What is spoken to every peer: binary messages of s16le mono, 16 kHz to
it, 24 kHz from it; the text message "ready" once the session hears.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner


class Bare(FrameSerializer):
    """Samples and nothing else."""

    async def serialize(self, frame: Frame) -> bytes | None:
        return frame.audio if isinstance(frame, OutputAudioRawFrame) else None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        return InputAudioRawFrame(audio=data, sample_rate=16000, num_channels=1) if isinstance(data, bytes) else None


class ScriptedSTT(SegmentedSTTService):
    def __init__(self, delay: float, text: str) -> None:
        super().__init__(settings=STTSettings(model=None, language=None), ttfs_p99_latency=1.0)
        self._delay, self._said = delay, text

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame, None]:
        del audio
        await asyncio.sleep(self._delay)
        yield TranscriptionFrame(self._said, "user", time_now_iso8601())


class ScriptedLLM(FrameProcessor):
    """Writes the reply word by word, `delay` seconds after it was asked."""

    def __init__(self, delay: float, reply: str) -> None:
        super().__init__()
        self._delay, self._reply = delay, reply

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await asyncio.sleep(self._delay)
        await self.push_frame(LLMFullResponseStartFrame())
        for i, word in enumerate(self._reply.split()):
            await self.push_frame(LLMTextFrame(f" {word}" if i else word))
        await self.push_frame(LLMFullResponseEndFrame())


class ScriptedTTS(TTSService):
    def __init__(self, delay: float, character: float) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(sample_rate=24000, push_start_frame=True, push_stop_frames=True, settings=settings)
        self._delay, self._character = delay, character

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        await asyncio.sleep(self._delay)
        samples = round(len(text) * self._character * 24000)
        yield TTSAudioRawFrame(b"\x00\x10" * samples, 24000, 1, context_id=context_id)


def services(given: argparse.Namespace) -> tuple[Any, Any, Any]:
    if not given.endpoints:
        return (
            ScriptedSTT(given.stt, "Where is it?"),
            ScriptedLLM(given.llm, given.reply),
            ScriptedTTS(given.tts, given.character),
        )
    place = {"api_key": "none", "base_url": given.endpoints}
    return (
        OpenAISTTService(**place, settings=OpenAISTTService.Settings(model="ears")),
        OpenAILLMService(
            **place, settings=OpenAILLMService.Settings(model="model", system_instruction=given.instructions)
        ),
        OpenAITTSService(**place, settings=OpenAITTSService.Settings(model="voice", voice="alloy")),
    )


async def talk(websocket: WebSocket, given: argparse.Namespace) -> None:
    await websocket.accept()
    params = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=Bare())
    transport = FastAPIWebsocketTransport(websocket, params)
    stt, llm, tts = services(given)
    turn = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=given.silence - given.stop)
    pair = LLMContextAggregatorPair(
        LLMContext(),
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(params=VADParams(stop_secs=given.stop)),
            user_turn_strategies=UserTurnStrategies(stop=[turn]),
        ),
    )
    pipeline = Pipeline([transport.input(), stt, pair.user(), llm, tts, transport.output(), pair.assistant()])
    worker = PipelineWorker(pipeline, params=PipelineParams(audio_in_sample_rate=16000, audio_out_sample_rate=24000))
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)

    @worker.event_handler("on_pipeline_started")
    async def started(*_: Any) -> None:
        await websocket.send_text("ready")

    @worker.event_handler("on_pipeline_error")
    async def failed(_: Any, error: ErrorFrame) -> None:
        print(f"pipecat: {error.error}", file=sys.stderr)

    @transport.event_handler("on_client_disconnected")
    async def left(*_: Any) -> None:
        await worker.cancel()

    await runner.run()


async def serve(given: argparse.Namespace) -> None:
    app = FastAPI()

    @app.websocket("/")
    async def session(websocket: WebSocket) -> None:
        await talk(websocket, given)

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    print(f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.should_exit = server.force_exit = True
    await serving


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoints", default="", help="base URL; without one, scripted services")
    parser.add_argument("--instructions", default="Be brief.")
    parser.add_argument("--silence", type=float, default=0.5, help="seconds that end a turn")
    parser.add_argument("--stop", type=float, default=0.5, help="of these, what the detector waits before it says so")
    parser.add_argument("--reply", default="")
    for name in ("stt", "llm", "tts", "character"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
