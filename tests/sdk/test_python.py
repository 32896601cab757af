"""The official Python SDK, unmodified, over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import types
from google.genai.errors import APIError
from google.genai.live import AsyncSession

from openlive.audio import to_wav
from openlive.config.keys import Key
from openlive.config.model import ServerSettings
from openlive.testing.scripted import ScriptedLLM, ScriptedSTT, ScriptedTTS
from tests.sdk.live import AUDIO, BOTH, MANUAL, TEXT, pcm, receive, session, user
from tests.serving import MODEL, SECONDS, Scripted, Server, certificates, serving, silence, tone

pytestmark = pytest.mark.anyio

QUESTION, STOP, NAME = tone(1.0, 300), tone(0.5, 600), tone(1.0, 900)
HEARD = {300: "What is the capital?", 600: "stop", 900: "My name is Anna."}
LONG = " ".join(["one two three four five."] * 8)
"""An answer of 200 characters: twelve seconds of the slow voice."""


def engines(reply: str = "You said: {}", character: float = 0.01) -> Scripted:
    return Scripted(
        stt=ScriptedSTT(tones=HEARD, pace=0.15),
        llm=ScriptedLLM(replies=(reply,)),
        tts=ScriptedTTS(character=character),
    )


@pytest.fixture(scope="module")
def scripted() -> Scripted:
    return engines()


@pytest.fixture(scope="module")
def server(scripted: Scripted) -> Iterator[Server]:
    with serving(scripted.engines) as running:
        yield running


# --- connecting -------------------------------------------------------------------------------------------------------


async def test_connects_and_leaves(server: Server) -> None:
    async with session(server, TEXT) as opened:
        assert opened.session_id
        assert opened.setup_complete is not None


@pytest.mark.parametrize("version", [None, "v1", "v1beta", "v1alpha"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_every_version_with_one_slash_or_two(server: Server, version: str | None, slash: str) -> None:
    async with session(server, TEXT, base_url=server.url + slash, api_version=version) as opened:
        await opened.send_client_content(turns=user("hello"))
        assert (await receive(opened)).text == "You said: hello"


async def test_trusts_by_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates().bundle))
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
    monkeypatch.setenv("GEMINI_API_KEY", "any")
    async with asyncio.timeout(SECONDS), genai.Client().aio.live.connect(model=MODEL, config=TEXT) as opened:  # type: ignore[arg-type]
        await opened.send_client_content(turns=user("hello"))
        assert (await receive(opened)).text == "You said: hello"


@pytest.mark.parametrize(
    "model",
    [
        "models/gemini-live-2.5-flash-preview",
        "gemini-2.0-flash-live-001",
        "gemini-2.5-flash-preview-native-audio-dialog",
        "gemini-2.5-flash-exp-native-audio-thinking-dialog",
    ],
)
async def test_every_model_of_the_guide(server: Server, model: str) -> None:
    async with session(server, AUDIO | BOTH, model) as opened:
        await opened.send_client_content(turns=user("hello"))
        assert (await receive(opened)).said == "You said: hello"


async def test_several_at_once(server: Server) -> None:
    async def ask(number: int) -> str:
        async with session(server, AUDIO | BOTH) as opened:
            await opened.send_client_content(turns=user(f"number {number}"))
            return (await receive(opened)).said

    assert await asyncio.gather(*map(ask, range(6))) == [f"You said: number {n}" for n in range(6)]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "config", "code", "reason"),
    [
        ("models/none", TEXT, 1008, "models/none is not found for API version v1"),
        (MODEL, {"response_modalities": ["TEXT", "AUDIO"]}, 1007, "At most one response modality can be specified"),
        (MODEL, {"response_modalities": ["IMAGE"]}, 1007, "The requested combination of response modalities (IMAGE)"),
        (
            MODEL,
            AUDIO | {"speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Bob"}}}},
            1007,
            f"Requested voice api_name 'Bob' is not available for model models/{MODEL}",
        ),
        (
            MODEL,
            TEXT | {"speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}}},
            1007,
            "Cannot extract voices from a non-audio request.",
        ),
    ],
)
async def test_refuses_with_code_and_reason(
    server: Server, model: str, config: dict[str, Any], code: int, reason: str
) -> None:
    with pytest.raises(APIError) as refused:
        async with session(server, config, model):
            raise AssertionError("it was let in")
    assert refused.value.code == code
    assert str(refused.value.details).startswith(reason)


async def test_refuses_a_bad_key() -> None:
    with serving(server=ServerSettings(keys=(Key("me", "the-right-key-0123456789"),))) as locked:
        with pytest.raises(APIError, match="API key not valid") as refused:
            async with session(locked, TEXT, key="wrong"):
                raise AssertionError("it was let in")
        assert refused.value.code == 1007
        async with session(locked, TEXT, key="the-right-key-0123456789") as opened:
            await opened.send_client_content(turns=user("hello"))
            assert (await receive(opened)).text == "You said: hello"


async def test_a_mistake_later_on(server: Server) -> None:
    async with session(server, TEXT) as opened:
        await opened.send_realtime_input(audio=types.Blob(data=b"abc", mime_type="audio/wav"))
        with pytest.raises(APIError, match="no RIFF header although the type says WAV") as refused:
            await receive(opened)
        assert refused.value.code == 1007


async def test_pings_are_answered_by_the_sdk() -> None:
    with serving(server=ServerSettings(ping_seconds=0.2, silence_seconds=3.0)) as pinging:
        async with session(pinging, TEXT) as opened:
            await asyncio.sleep(5)
            await opened.send_client_content(turns=user("still there?"))
            assert (await receive(opened)).text == "You said: still there?"


async def test_a_server_that_stops() -> None:
    with serving() as leaving:
        async with session(leaving, TEXT) as opened:
            await asyncio.to_thread(leaving.stop)
            with pytest.raises(APIError, match="The service is currently unavailable") as refused:
                await receive(opened)
            assert refused.value.code == 1011


# --- text -------------------------------------------------------------------------------------------------------------


async def test_text_to_text(server: Server) -> None:
    async with session(server, TEXT) as opened:
        for word in ("one", "two"):
            await opened.send_client_content(turns={"role": "user", "parts": [{"text": word}]}, turn_complete=True)
            turn = await receive(opened)
            assert turn.text == f"You said: {word}"
            assert turn.kinds == ["text", "generation_complete", "turn_complete"]


async def test_incremental_content(server: Server, scripted: Scripted) -> None:
    async with session(server, TEXT | {"system_instruction": "Be brief."}) as opened:
        model = types.Content(role="model", parts=[types.Part(text="Paris.")])
        known: list[types.Content | types.ContentDict] = [user("Capital of France?"), model]
        await opened.send_client_content(turns=known, turn_complete=False)
        await opened.send_client_content(turns=user("And Germany?"))
        assert (await receive(opened)).text == "You said: And Germany?"
        request = scripted.llm.requests[-1]
        assert [(m.role, m.text) for m in request.messages] == [
            ("user", "Capital of France?"),
            ("model", "Paris."),
            ("user", "And Germany?"),
        ]
        assert request.instructions == "Be brief."


async def test_a_turn_completed_later(server: Server) -> None:
    async with session(server, TEXT) as opened:
        await opened.send_client_content(turns=user("hello"), turn_complete=False)
        await opened.send_client_content(turn_complete=True)
        assert (await receive(opened)).text == "You said: hello"


async def test_realtime_text(server: Server) -> None:
    async with session(server, TEXT) as opened:
        await opened.send_realtime_input(text="hello")
        assert (await receive(opened)).text == "You said: hello"


async def test_the_deprecated_send(server: Server) -> None:
    async with session(server, TEXT | BOTH) as opened:
        with pytest.warns(DeprecationWarning, match="send_"):
            await opened.send(input="hello", end_of_turn=True)
        assert (await receive(opened)).text == "You said: hello"
        said: Any = {"data": QUESTION + silence(0.8), "mime_type": "audio/pcm"}
        with pytest.warns(DeprecationWarning, match="send_"):
            await opened.send(input=said)
        assert (await receive(opened)).heard == "What is the capital?"


async def test_usage(server: Server) -> None:
    async with session(server, AUDIO) as opened:
        await opened.send_client_content(turns=user("hello there"))
        turn = await receive(opened)
        usage = turn.usage
        seconds = sum(len(b.data or b"") for b in turn.blobs) / 48000
        assert usage.response_token_count == pytest.approx(25 * seconds, abs=1)
        assert usage.total_token_count == (usage.prompt_token_count or 0) + (usage.response_token_count or 0)
        prompt, response = usage.prompt_tokens_details, usage.response_tokens_details
        assert [(d.modality, d.token_count) for d in prompt or ()] == [("TEXT", usage.prompt_token_count)]
        assert [(d.modality, d.token_count) for d in response or ()] == [("AUDIO", usage.response_token_count)]


# --- speech -----------------------------------------------------------------------------------------------------------


async def test_text_to_audio(server: Server) -> None:
    async with session(server, AUDIO | BOTH) as opened:
        await opened.send_client_content(turns=user("hello there"))
        turn = await receive(opened)
        assert {b.mime_type for b in turn.blobs} == {"audio/pcm;rate=24000"}
        sizes = [len(b.data or b"") for b in turn.blobs]
        assert all(size and size % 2 == 0 for size in sizes)
        assert sum(sizes) == 2 * 240 * len("You said: hello there")
        assert turn.said == "You said: hello there"
        assert turn.kinds[-3:] == ["said finished", "generation_complete", "turn_complete"]
        assert turn.messages[2].data or turn.messages[1].data  # as the guide reads it


async def test_turn_complete_waits_for_the_playback(server: Server) -> None:
    async with session(server, AUDIO) as opened:
        await opened.send_client_content(turns=user("x" * 90))  # 1 s of speech, made at once
        clock = asyncio.get_running_loop().time
        begun = generated = 0.0
        async for message in opened.receive():
            begun = begun or clock()
            content = message.server_content
            if content is not None and content.generation_complete:
                generated = clock()
        assert generated - begun < 0.5
        assert 0.95 < clock() - begun < 1.6


@pytest.mark.parametrize("modality", ["TEXT", "AUDIO"])
async def test_a_whole_file_in_one_message(server: Server, modality: str) -> None:
    """It ends with the last word, and nothing tells its end."""
    async with session(server, {"response_modalities": [modality], **BOTH}) as opened:
        await opened.send_realtime_input(audio=pcm(QUESTION))
        turn = await receive(opened)
        assert turn.heard == "What is the capital?"
        assert (turn.said or turn.text) == "You said: What is the capital?"
        first = ["heard", "heard finished"]
        rest = ["text"] if modality == "TEXT" else ["said", "audio", "said", "audio", "said finished"]
        assert turn.kinds == [*first, *rest, "generation_complete", "turn_complete"]
        details = {d.modality: d.token_count for d in turn.usage.prompt_tokens_details or ()}
        assert details["AUDIO"] == pytest.approx(25, abs=4)  # type: ignore[index]


async def test_pauses_in_a_file(server: Server) -> None:
    async with session(server, TEXT | BOTH) as opened:
        await opened.send_realtime_input(audio=pcm(QUESTION + silence(1.5) + QUESTION))
        turn = await receive(opened)
        assert turn.kinds.count("turn_complete") == 1
        assert turn.text == "You said: What is the capital?"


async def test_a_microphone(server: Server) -> None:
    """Transcripts come while the user speaks; the end is noticed without a word from the client."""
    async with session(server, AUDIO | BOTH) as opened:
        sound = QUESTION + silence(0.9)
        for begin in range(0, len(sound), 3200):
            await opened.send_realtime_input(audio=pcm(sound[begin : begin + 3200]))
            await asyncio.sleep(0.02)  # five times as fast as one who speaks
        turn = await receive(opened)
        assert turn.heard == "What is the capital?"
        assert len([c for c in turn.contents if c.input_transcription and c.input_transcription.text]) > 1
        assert turn.said == "You said: What is the capital?"


@pytest.mark.parametrize("asked", [True, False])
async def test_the_offsets_of_words(server: Server, monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    wishes = []
    transcribe = ScriptedSTT.transcribe

    def noting(stt: ScriptedSTT, audio: Any, **hints: Any) -> Any:
        wishes.append(hints["words"])
        return transcribe(stt, audio, **hints)

    monkeypatch.setattr(ScriptedSTT, "transcribe", noting)
    config = TEXT | {"input_audio_transcription": {"word_timestamp": asked}}
    async with session(server, config) as opened:
        await opened.send_realtime_input(audio=pcm(silence(0.64) + QUESTION + silence(0.9)))
        turn = await receive(opened)
        assert turn.heard == "What is the capital?"
        assert wishes == [asked]
        assert [w.word for w in turn.words] == (turn.heard.split() if asked else [])
        if asked:
            offsets = [float((o or "").removesuffix("s")) for w in turn.words for o in (w.start_offset, w.end_offset)]
            assert offsets == sorted(offsets)
            assert offsets[0] == pytest.approx(0.5, abs=0.2)  # the script counts from the first chunk with sound in it
            assert offsets[-1] == pytest.approx(offsets[0] + 4 * 0.15)


async def test_the_end_of_the_stream(server: Server) -> None:
    async with session(server, TEXT | BOTH) as opened:
        for speech, words in ((QUESTION, HEARD[300]), (NAME, HEARD[900])):
            begun = asyncio.get_running_loop().time()
            await opened.send_realtime_input(audio=pcm(speech))
            await opened.send_realtime_input(audio_stream_end=True)
            turn = await receive(opened)
            assert turn.text == f"You said: {words}"
            assert asyncio.get_running_loop().time() - begun < 0.6  # sooner than silence would end it


@pytest.mark.parametrize("rate", [8000, 24000, 48000])
async def test_any_rate(server: Server, rate: int) -> None:
    async with session(server, TEXT | BOTH) as opened:
        sound = tone(1.0, 300, rate) + silence(0.9, rate)
        for begin in range(0, len(sound), rate // 5 * 2):
            await opened.send_realtime_input(audio=pcm(sound[begin : begin + rate // 5 * 2], rate))
        assert (await receive(opened)).heard == "What is the capital?"


async def test_a_wav_file_and_the_deprecated_chunks(server: Server) -> None:
    async with session(server, TEXT | BOTH) as opened:
        await opened.send_realtime_input(audio=pcm(to_wav(tone(1.0, 300, 24000), 24000)))
        assert (await receive(opened)).heard == "What is the capital?"
        await opened.send_realtime_input(media=pcm(NAME))
        assert (await receive(opened)).heard == "My name is Anna."


async def test_manual_activity(server: Server) -> None:
    async with session(server, AUDIO | BOTH | MANUAL) as opened:
        for speech, words in ((QUESTION, HEARD[300]), (NAME, HEARD[900])):
            await opened.send_realtime_input(activity_start=types.ActivityStart())
            for begin in range(0, len(speech), 3200):
                await opened.send_realtime_input(audio=pcm(speech[begin : begin + 3200]))
            await opened.send_realtime_input(activity_end=types.ActivityEnd())
            turn = await receive(opened)
            assert turn.heard == words
            assert turn.said == f"You said: {words}"


async def test_the_settings_of_the_detector(server: Server) -> None:
    detection = {
        "disabled": False,
        "start_of_speech_sensitivity": "START_SENSITIVITY_LOW",
        "end_of_speech_sensitivity": "END_SENSITIVITY_LOW",
        "prefix_padding_ms": 20,
        "silence_duration_ms": 100,
    }
    settings = {"realtime_input_config": {"automatic_activity_detection": detection}}
    async with session(server, TEXT | BOTH | settings) as opened:
        begun = asyncio.get_running_loop().time()
        await opened.send_realtime_input(audio=pcm(QUESTION + silence(0.2)))
        assert (await receive(opened)).heard == "What is the capital?"
        assert asyncio.get_running_loop().time() - begun < 0.6


# --- interruptions ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow() -> Scripted:
    return engines(reply=LONG, character=0.06)


@pytest.fixture(scope="module")
def slow_server(slow: Scripted) -> Iterator[Server]:
    with serving(slow.engines) as running:
        yield running


async def until_played(opened: AsyncSession, seconds: float) -> bytes:
    """Listens to an answer up to the end of its generation, and `seconds` more; gives the audio."""
    audio = b""
    while True:
        message = await opened._receive()
        audio += message.data or b""
        if message.server_content and message.server_content.generation_complete:
            await asyncio.sleep(seconds)  # the user listens
            return audio


@pytest.mark.parametrize("way", ["voice", "realtime text", "content", "activity"])
async def test_while_it_is_played(slow_server: Server, slow: Scripted, way: str) -> None:
    async with session(slow_server, AUDIO | BOTH | (MANUAL if way == "activity" else {})) as opened:
        await opened.send_client_content(turns=user("Tell me a story."))
        assert len(await until_played(opened, 0.5)) > 10 * 48000
        match way:
            case "voice":
                await opened.send_realtime_input(audio=pcm(STOP + silence(0.8)))
            case "activity":
                await opened.send_realtime_input(activity_start=types.ActivityStart())
                await opened.send_realtime_input(audio=pcm(STOP))
                await opened.send_realtime_input(activity_end=types.ActivityEnd())
            case "realtime text":
                await opened.send_realtime_input(text="stop")
            case "content":
                await opened.send_client_content(turns=user("stop"))
        cut = await receive(opened)
        assert cut.kinds == ["interrupted", "turn_complete"]
        assert cut.contents[0].model_dump(exclude_none=True) == {"interrupted": True}
        assert cut.usage.response_token_count
        await until_played(opened, 0.0)
        heard, said = slow.llm.requests[-1].messages[-2:]
        assert said.text == "stop"
        assert heard.role == "model"
        assert heard.text
        assert LONG.startswith(heard.text)
        assert len(heard.text) < 30  # half a second of it was played


async def test_while_it_is_generated() -> None:
    """Nothing of the old answer comes after `interrupted`, and it has no `generation_complete`."""
    scripted = engines(reply="word " * 1000)
    scripted.llm.token = 0.005
    with serving(scripted.engines) as server:
        async with session(server, TEXT) as opened:
            await opened.send_client_content(turns=user("Talk."))
            await opened._receive()
            await opened.send_client_content(turns=user("stop"))
            cut = await receive(opened)
            assert [k for k in cut.kinds if k != "text"] == ["interrupted", "turn_complete"]
            assert cut.kinds[-2] == "interrupted"


async def test_no_interruption(slow: Scripted) -> None:
    scripted = engines(character=0.03)
    settings = {"realtime_input_config": {"activity_handling": "NO_INTERRUPTION"}}
    with serving(scripted.engines) as server:
        async with session(server, AUDIO | BOTH | settings) as opened:
            await opened.send_client_content(turns=user("hello there"))
            await until_played(opened, 0.1)
            await opened.send_realtime_input(audio=pcm(STOP + silence(0.8)))
            first = await receive(opened)
            assert "interrupted" not in first.kinds
            assert (await receive(opened)).said == "You said: stop"
