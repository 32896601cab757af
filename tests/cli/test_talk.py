from __future__ import annotations

import queue
import struct
import sys
import types
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from openlive.audio import read_wav
from openlive.cli import main
from openlive.types import OUTPUT_RATE
from tests.cli.conftest import TOLD, Serving, serving


@pytest.fixture(scope="module")
def server(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One for all of them, found by the file that it leaves."""
    from tests.cli.conftest import SCRIPTED

    config = tmp_path_factory.mktemp("config") / "scripted.toml"
    config.write_text(SCRIPTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(data))
        with serving("--config", str(config)) as running:
            yield running


@pytest.fixture(autouse=True)
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)


def talk(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["talk", *arguments])


@pytest.mark.usefixtures("server")
def test_turns_in_speech_and_writing_share_a_conversation(tone: Path, home: Path) -> None:
    result = talk(str(tone), "--text", "and in writing", "--save", "reply.wav")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"You:   {TOLD}",
        f"Model: You said: {TOLD}",
        "You:   and in writing",
        "Model: You said: and in writing",
    ]
    seconds = 0.02 * len(f"You said: {TOLD}You said: and in writing")
    assert len(read_wav(home / "reply.wav", OUTPUT_RATE)) / 2 / OUTPUT_RATE == pytest.approx(seconds, rel=0.1)


@pytest.mark.usefixtures("server")
def test_what_is_said_is_translated() -> None:
    result = talk("--translate", "es", "--text", "The house is old.", "--text", "Es una casa muy vieja.")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "English: The house is old." in " ".join(lines), "it is put to the model to be translated"
    assert not lines[-1].startswith("Model: "), "what is Spanish already is not repeated"
    refused = talk("--translate", "xx", "--text", "Hello.")
    assert "unsupported language code 'xx'" in refused.stderr


@pytest.mark.usefixtures("server")
def test_any_wav_file_will_do(tone: Path, tmp_path: Path) -> None:
    samples = struct.unpack("<8000h", read_wav(tone))
    other = tmp_path / "other.wav"
    with wave.open(str(other), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(3)
        file.setframerate(48_000)
        file.writeframes(b"".join((s << 8).to_bytes(3, "little", signed=True) * 6 for s in samples))
    assert TOLD in talk(str(other)).stdout


def test_a_server_elsewhere_is_given_by_its_url(server: Serving, home: Path) -> None:
    assert "You said: hi" in talk("--url", server.url + "/", "--text", "hi").stdout
    result = talk("--url", "https://localhost:1", "--text", "hi")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: No server can be reached at https://localhost:1: ")


@pytest.mark.usefixtures("server")
def test_what_the_server_refuses_is_told(tone: Path) -> None:
    result = talk("--voice", "Nobody", "--text", "hi")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The server ended the session: ")
    assert "Nobody" in result.stderr
    result = talk("--model", "parrot", "--text", "hi")
    assert "parrot" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_files_that_are_none_are_refused(home: Path) -> None:
    (home / "text.wav").write_text("Hello")
    assert "text.wav: not a WAV file" in talk("text.wav").stderr
    assert "'nope.wav' does not exist" in talk("nope.wav").stderr


def test_without_a_microphone_it_says_what_else_there_is() -> None:
    result = talk()
    assert result.exit_code == 1
    assert "There is no microphone here" in result.stderr
    assert "openlive talk question.wav" in result.stderr


@pytest.mark.usefixtures("server")
def test_without_the_sdk_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "google.genai" or name.startswith("google.genai.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "google.genai", None)
    monkeypatch.delattr("google.genai", raising=False)
    result = talk("--text", "hi")
    assert result.exit_code == 1
    assert "pip install 'openlive[client]'" in result.stderr


class Sounds(types.ModuleType):
    """A stand-in for the library: a microphone into which `said` is said, a loudspeaker that keeps what it plays."""

    class PortAudioError(Exception):
        pass

    def __init__(self, said: bytes) -> None:
        super().__init__("sounddevice")
        self.said = said
        self.played = bytearray()
        self.streams: queue.Queue[str] = queue.Queue()

    def query_devices(self, kind: str) -> None:
        self.streams.put(kind)

    def RawInputStream(self, *, callback: Callable[..., None], blocksize: int, **_: object) -> Stream:
        def start() -> None:
            for at in range(0, len(self.said), 2 * blocksize):
                callback(self.said[at : at + 2 * blocksize], blocksize)

        return Stream(start)

    def RawOutputStream(self, *, callback: Callable[..., None], **_: object) -> Stream:
        def stop() -> None:
            out = bytearray(2 * OUTPUT_RATE)
            callback(out, OUTPUT_RATE)
            self.played += out

        return Stream(lambda: None, stop)


class Stream:
    def __init__(self, start: Callable[[], None], stop: Callable[[], None] = lambda: None) -> None:
        self.start = start
        self.stop = stop

    def close(self) -> None:
        pass

    def __enter__(self) -> Stream:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@pytest.mark.usefixtures("server")
def test_the_microphone_is_passed_on_and_the_answer_played(tone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = Sounds(read_wav(tone) + bytes(32_000))
    monkeypatch.setitem(sys.modules, "sounddevice", sounds)
    monkeypatch.setattr("openlive.cli.sound.Player.drain", Nothing())
    monkeypatch.setattr("openlive.cli.talk.Screen.finished", interrupt)
    result = talk()
    assert result.exit_code == 0, result.output
    assert f"You said: {TOLD}" in result.stdout
    assert any(sounds.played)


class Nothing:
    async def __call__(self, *_: Any) -> None:
        pass


def interrupt(_: object) -> None:
    raise KeyboardInterrupt  # as Ctrl-C does
