"""How well functions are called: `make calls`, or `python -m tests.bench.calls --only de --only spoken`.

Puts every request of `calls.json` to a server of its own, with Google's SDK: typed, or spoken by Kokoro at the speed of
speech. Calls are answered with the results of the set. Prints the failures and the share that was right.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console

from openlive.audio import read_wav, to_wav
from openlive.cli.conversation import MODEL, Address, spoken
from openlive.cli.environment import ANY_KEY, pass_by_proxies
from openlive.cli.private import private_server
from openlive.engines.api import Resources
from openlive.engines.tts.kokoro import engine as kokoro
from openlive.models import ensure
from openlive.types import INPUT_RATE, OUTPUT_RATE, Voice
from tests.bench.callscore import Got, Row, as_json, made_calls, report
from tests.bench.callset import LANGUAGES, CallSet, Conversation, Request, load, pairs

if TYPE_CHECKING:
    from google.genai.live import AsyncSession

VOICES = ("Kore", "Puck", "Aoede", "Fenrir")
"""Who speaks, in turn: two women, two men."""
PATIENCE = 180.0
"""Seconds that a reply may take, here and on the server: a busy machine is no reason to be wrong."""
MOST_CALLS = 6
"""In one turn; a model that goes on calling would never end."""


@click.command()
@click.option("--only", multiple=True, help="A language, typed, spoken, one, two, none, result, a function or an id.")
@click.option("--limit", type=click.IntRange(1), help="Sessions at most.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write what happened here.")
@click.option("--config", "config_file", type=click.Path(path_type=Path))
def main(only: Sequence[str], limit: int | None, json_file: Path | None, config_file: Path | None) -> None:
    """Score the function calls of the configured engines."""
    calls = load()
    chosen = choose(calls.conversations, only)[:limit]
    voices = synthesise(calls.conversations, chosen)
    os.environ["OPENLIVE_LIMITS_REPLY_SECONDS"] = str(PATIENCE)
    with private_server(config_file) as server:
        rows = asyncio.run(measure(Address(server.url, ANY_KEY, server.ca), calls, chosen, voices))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode([as_json(row) for row in rows])))
    Console().print(report(rows), soft_wrap=True, highlight=False)


def choose(conversations: Sequence[Conversation], only: Sequence[str]) -> list[Conversation]:
    """Those with a request that has all the tags."""
    chosen = [c for c in conversations if any(set(only) <= request.tags for request in c)]
    if not chosen:
        raise click.ClickException(f"No request is all of this: {', '.join(only)}.")
    return chosen


def synthesise(everybody: Sequence[Conversation], chosen: Sequence[Conversation]) -> dict[str, bytes]:
    """The spoken requests (id -> s16le mono, 16 kHz, up to the last sound)."""
    engine = kokoro.create("", Resources(ensure, os.cpu_count() or 1, 0))
    audio: dict[str, bytes] = {}
    for number, conversation in enumerate(everybody):
        for request in conversation:
            if conversation in chosen and request.how == "spoken":
                voice = Voice(VOICES[number % len(VOICES)], LANGUAGES[request.language])
                speech = engine.render_clause(request.say, voice, request.language)
                audio[request.id] = read_wav(to_wav(speech.pcm[: 2 * speech.words[-1].end], OUTPUT_RATE))
    asyncio.run(engine.close())
    return audio


async def measure(
    address: Address, calls: CallSet, chosen: Sequence[Conversation], voices: Mapping[str, bytes]
) -> list[Row]:
    rows: list[Row] = []
    for number, conversation in enumerate(chosen, 1):
        for row in await converse(address, calls, conversation, voices):
            rows.append(row)
            click.echo(f"{number:>3}/{len(chosen)} {row.request.id:<16} {row.wrong or 'right':<10}{told(row.got)}")
    return rows


def told(got: Got) -> str:
    """What the user saw of it, in a line."""
    after = f" after {got.after_ms:,.0f} ms" if got.after_ms else ""
    return f"{made_calls(got.calls)}{after}: {' '.join((got.error or got.answer).split())[:80]}"


async def converse(
    address: Address, calls: CallSet, conversation: Conversation, voices: Mapping[str, bytes]
) -> list[Row]:
    """One session. What goes wrong with it is the error of the turn under way, and of those that were to follow."""
    rows = [Row(request, Got()) for request in conversation]
    try:
        async with opened(address, calls, conversation[0]) as session:
            for row in rows:
                turn = Turn(session, calls, row.request, row.got)
                async with asyncio.timeout(PATIENCE):
                    await turn.run(voices.get(row.request.id))
    except Exception as error:
        for row in rows:
            if not row.got.answer:
                row.got.error = repr(error)
    return rows


@asynccontextmanager
async def opened(address: Address, calls: CallSet, first: Request) -> AsyncIterator[AsyncSession]:
    from google import genai

    pass_by_proxies(os.environ)
    config: dict[str, Any] = {
        "response_modalities": [first.modality],
        "system_instruction": calls.instructions,
        "tools": [{"function_declarations": list(calls.functions)}],
        "input_audio_transcription": {"language_codes": [LANGUAGES[first.language]]},
        "output_audio_transcription": {},
    }
    if first.modality == "AUDIO":
        config["speech_config"] = {"language_code": LANGUAGES[first.language]}
    options: Any = {"base_url": address.url, "async_client_args": {"ssl": address.context()}}
    client = genai.Client(vertexai=False, api_key=address.key, http_options=options)
    live: Any = client.aio.live
    async with live.connect(model=MODEL, config=config) as session:
        yield session


class Turn:
    """One request, from what is said to the end of the answer."""

    def __init__(self, session: AsyncSession, calls: CallSet, request: Request, got: Got) -> None:
        self._session = session
        self._set = calls
        self._request = request
        self._got = got
        self._said_at = 0.0

    async def run(self, audio: bytes | None) -> None:
        """Says it, typed where there is no audio, answers the calls, and hears the answer to its end."""
        sending = asyncio.ensure_future(self._speak(audio) if audio else self._type())
        try:
            await self._listen()
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, Exception):  # the one that listens tells what went wrong
                await sending

    async def _type(self) -> None:
        from google.genai import types

        content = types.Content(role="user", parts=[types.Part(text=self._request.say)])
        self._said_at = time.monotonic()
        await self._session.send_client_content(turns=content, turn_complete=True)

    async def _speak(self, audio: bytes) -> None:
        from google.genai import types

        self._said_at = time.monotonic() + len(audio) / 2 / INPUT_RATE
        async for chunk in spoken(audio):
            blob = types.Blob(data=chunk, mime_type=f"audio/pcm;rate={INPUT_RATE}")
            await self._session.send_realtime_input(audio=blob)

    async def _listen(self) -> None:
        got = self._got
        async for message in self._session.receive():
            if message.tool_call is not None:
                got.after_ms = got.after_ms or 1000 * (time.monotonic() - self._said_at)
                await self._answer(message.tool_call.function_calls or [])
            content = message.server_content
            if content is None:
                continue
            if content.turn_complete_reason is not None:
                got.error = f"the turn ended with {content.turn_complete_reason.name}"
            if content.input_transcription is not None:
                got.heard += content.input_transcription.text or ""
            if content.output_transcription is not None:
                got.answer += content.output_transcription.text or ""
            got.answer += "".join(p.text or "" for p in (content.model_turn and content.model_turn.parts) or ())

    async def _answer(self, calls: Sequence[Any]) -> None:
        from google.genai import types

        made = self._got.calls
        made += [(call.name, dict(call.args or {})) for call in calls]
        if len(made) > MOST_CALLS:
            raise RuntimeError(f"{len(made)} calls in one turn")
        results = [
            self._set.result(name, expected)
            for (name, _), expected in zip(made, pairs(self._request.calls, made), strict=True)
        ]
        responses = [
            types.FunctionResponse(id=call.id, name=call.name, response=result)
            for call, result in zip(calls, results[-len(calls) :], strict=True)
        ]
        await self._session.send_tool_response(function_responses=responses)


if __name__ == "__main__":
    main()
