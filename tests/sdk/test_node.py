"""The official JavaScript SDK, unmodified, over TLS and over plain text on the same port."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from openlive.audio import write_wav
from openlive.config.keys import Key
from openlive.config.model import ServerSettings
from openlive.profiles import PROFILES
from openlive.testing.scripted import ScriptedAddressee, ScriptedLLM, ScriptedSTT
from openlive.types import Heard, Voice
from tests.engines.vision.signs import encoded, picture
from tests.serving import MODEL, Scripted, Server, certificates, serving, tone

pytestmark = pytest.mark.node

HERE = Path(__file__).parent
WORDS = "What is the capital?"


class Seen(dict[str, Any]):
    """What scenarios saw, by their names. One that failed fails the tests that ask for it."""

    def __getitem__(self, name: str) -> Any:
        what = super().__getitem__(name)
        assert not (isinstance(what, dict) and "failed" in what), what["failed"]
        return what


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder with the locked packages, which are installed first where they are absent; or the one that
    `tests.sdk.matrix` names."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if named := os.environ.get("OPENLIVE_TEST_PACKAGES"):
        return Path(named)
    with (HERE / "package.json").open() as lock:  # tests may run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (HERE / "node_modules" / ".package-lock.json").is_file():
            npm = shutil.which("npm")
            assert npm, "npm is needed once, to install the packages of tests/sdk"
            made = subprocess.run([npm, "ci"], cwd=HERE, capture_output=True, text=True, timeout=240, check=False)
            assert made.returncode == 0, made.stderr
    return HERE


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("speech")
    pcm = tone(1.0)
    (folder / "speech.pcm").write_bytes(pcm)
    write_wav(folder / "speech.wav", tone(1.0, rate=44100), 44100)
    return folder / "speech.wav", folder / "speech.pcm"


@pytest.fixture(scope="module")
def scripted() -> Scripted:
    return Scripted(stt=ScriptedSTT(transcripts=(WORDS,)), llm=ScriptedLLM())


def run(packages: Path, script: str, url: str, *arguments: object) -> Seen:
    """What the scenarios saw."""
    node = subprocess.run(
        ["node", script, url, *map(str, arguments)],
        cwd=packages,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificates().ca), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert node.returncode == 0, node.stderr
    return Seen(json.loads(node.stdout))


@pytest.fixture(scope="module", params=["https", "http"])
def seen(
    request: pytest.FixtureRequest, packages: Path, speech: tuple[Path, Path], scripted: Scripted
) -> Iterator[Seen]:
    with serving(scripted.engines) as server:
        names = (
            *("connecting", "texts", "incremental", "speaking", "wholeWav", "chunks", "manual", "interruption"),
            *("badModel", "badAudio", "versions", "models", "tokens", "vertex"),
        )
        yield run(packages, "scenarios.mjs", address(server, request.param), *speech, ",".join(names))


def address(server: Server, scheme: str) -> str:
    return f"{scheme}://localhost:{server.port}"


def test_connects_and_leaves(seen: Seen) -> None:
    assert seen["connecting"]["log"] == ["open", "close"]
    assert seen["connecting"]["sessionId"]


def test_text(seen: Seen) -> None:
    assert [turn["text"] for turn in seen["texts"]] == [
        "You said: Hello how are you?",
        "You said: And you?",
        "You said: Bye.",
    ]
    for turn in seen["texts"]:
        assert turn["kinds"] == ["text", "generationComplete", "turnComplete"]
        assert turn["usage"]["responseTokensDetails"][0]["modality"] == "TEXT"


def test_incremental_content(seen: Seen, scripted: Scripted) -> None:
    assert seen["incremental"]["text"] == "You said: Of Germany?"
    asked = [[m.text for m in request.messages] for request in scripted.llm.requests]
    assert ["Capital of France?", "Paris", "Of Germany?"] in asked


def test_text_to_audio(seen: Seen) -> None:
    turn = seen["speaking"]
    assert turn["said"] == "You said: Hello"
    assert turn["samples"] == 240 * len("You said: Hello")
    assert turn["loud"]
    assert "audio/pcm;rate=24000" in turn["mimes"]
    assert turn["kinds"][-3:] == ["said finished", "generationComplete", "turnComplete"]


def test_a_whole_wav_with_its_header(seen: Seen) -> None:
    turn = seen["wholeWav"]
    assert turn["riff"] == "RIFF"
    assert turn["heard"] == WORDS
    assert turn["text"] == f"You said: {WORDS}"
    assert turn["kinds"] == ["heard", "heard finished", "text", "generationComplete", "turnComplete"]


def test_audio_in_chunks(seen: Seen) -> None:
    for turn in seen["chunks"]:
        assert turn["heard"] == WORDS
        assert turn["said"] == f"You said: {WORDS}"
        assert turn["samples"]


def test_manual_activity(seen: Seen) -> None:
    assert seen["manual"]["heard"] == WORDS
    assert seen["manual"]["text"] == f"You said: {WORDS}"


def test_interruption(seen: Seen) -> None:
    cut, answer = seen["interruption"]
    assert cut["kinds"] == ["interrupted", "turnComplete"]
    assert cut["samples"] == 0
    assert answer["heard"] == WORDS
    assert answer["said"] == f"You said: {WORDS}"


def test_a_bad_model_is_told_by_onclose(seen: Seen) -> None:
    assert seen["badModel"]["code"] == 1008
    assert seen["badModel"]["reason"].startswith("models/none is not found for API version v1")
    assert seen["badModel"]["log"] == ["open", "close"]


def test_a_mistake_later_on_is_told_by_onclose(seen: Seen) -> None:
    assert seen["badAudio"]["code"] == 1007
    assert "no RIFF header although the type says WAV" in seen["badAudio"]["reason"]


def test_every_version(seen: Seen) -> None:
    assert seen["versions"] == ["You said: v1", "You said: v1beta", "You said: v1alpha"]


def test_models(seen: Seen) -> None:
    models = seen["models"]
    assert len(models["names"]) == len(PROFILES) + sum(len(p.aliases) for p in PROFILES.values())
    assert models["model"]["name"] == models["names"][0] == f"models/{MODEL}"
    assert models["model"]["inputTokenLimit"] == 32_768
    assert models["model"]["supportedActions"] == ["bidiGenerateContent"]
    assert models["missing"]["status"] == 404
    assert json.loads(models["missing"]["message"])["error"]["status"] == "NOT_FOUND"


def test_tokens(seen: Seen, scripted: Scripted) -> None:
    """Each way to lock; twenty kilobytes of instructions are locked in each."""
    for token in seen["tokens"]:
        assert token["name"].startswith("auth_tokens/")
        assert len(token["name"]) <= 200
        assert token["text"] == "You said: token"
        assert token["again"] == {"code": 1011, "reason": "Token has been used too many times"}
    requests = [r for r in scripted.llm.requests if r.messages[-1].text == "token"][-3:]
    assert all(len(request.instructions) > 20_000 for request in requests)
    assert [[f.name for f in request.functions] for request in requests] == [["ours"]] * 3
    assert [request.sampling.top_p for request in requests] == [None, 0.5, None]


def test_vertex_mode(seen: Seen) -> None:
    turn = seen["vertex"]
    assert turn["first"]["setupComplete"]["sessionId"]
    assert turn["said"] == "You said: vertex"
    assert turn["mimes"] == ["audio/pcm"] or set(turn["mimes"]) == {"audio/pcm", None}
    assert turn["usage"]["responseTokensDetails"][0]["modality"] == "AUDIO"


def test_the_model_speaks_up_about_a_frame(packages: Path, speech: tuple[Path, Path], tmp_path: Path) -> None:
    scripted = Scripted(llm=ScriptedLLM(replies=("There is the exit.",), notable=("EXIT",)))
    engines = replace(scripted.engines, addressee=ScriptedAddressee(), watcher=scripted.llm)
    frame = tmp_path / "frame.png"
    frame.write_bytes(encoded(picture("EXIT"), "PNG") + b"EXIT")
    with serving(engines) as server:
        turn = run(packages, "scenarios.mjs", address(server, "https"), *speech, "watching", frame)["watching"]
    assert turn["text"] == "There is the exit."
    assert turn["kinds"] == ["text", "generationComplete", "turnComplete"]


def test_the_users_mood_reaches_the_model_and_the_voice(packages: Path, speech: tuple[Path, Path]) -> None:
    """A tone is somebody who says one syllable, on one note."""
    scripted = Scripted(stt=ScriptedSTT(transcripts=(WORDS,)))
    with serving(scripted.engines) as server:
        turns = run(packages, "scenarios.mjs", address(server, "https"), *speech, "moods")["moods"]
    assert [turn["heard"] for turn in turns] == [WORDS, WORDS]
    told = [part for request in scripted.llm.requests for part in request.messages[-1].parts]
    assert [part.mood for part in told if isinstance(part, Heard)] == ["flat", ""]
    voices = [voice for _, voice in scripted.tts.spoken]  # of each clause
    assert voices[0].speed < 1
    assert voices[-1] == Voice("Puck", expected="en")


def test_pings_are_answered_by_the_sdk(packages: Path, speech: tuple[Path, Path]) -> None:
    with serving(server=ServerSettings(ping_seconds=0.2, silence_seconds=3.0)) as server:
        turn = run(packages, "scenarios.mjs", address(server, "https"), *speech, "silent")["silent"]
    assert turn["text"] == "You said: still there?"


def test_a_bad_key_is_told_by_onclose(packages: Path, speech: tuple[Path, Path]) -> None:
    with serving(server=ServerSettings(keys=(Key("me", "the-right-key-0123456789"),))) as locked:
        told = run(packages, "scenarios.mjs", address(locked, "https"), *speech, "badKey")["badKey"]
    assert (told["code"], told["reason"]) == (1007, "API key not valid. Please pass a valid API key.")
