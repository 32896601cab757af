"""A home of their own for commands: scripted engines, and nothing of whoever runs the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from openlive.audio import write_wav
from openlive.types import INPUT_RATE

SCRIPTED = """
[server]
port = 0
[engines]
vad = "scripted"
turn = "scripted"
stt = "scripted"
llm = "scripted"
tts = "scripted"
[engines.settings.scripted]
transcripts = ["a purple elephant"]
character = 0.02
"""
TOLD = "a purple elephant"
"""What scripted engines understand."""
OPENLIVE = (sys.executable, "-P", "-m", "openlive")
GOOGLE = ("GEMINI_", "GOOGLE_", "OPENLIVE_", "SSL_CERT_", "NODE_EXTRA")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of all of them, since making certificates takes a moment."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the configuration of scripted engines beside it."""
    for name in list(os.environ):
        if name.startswith(GOOGLE) or name.lower() == "no_proxy":
            monkeypatch.delenv(name)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "example.org")  # set, so that what a command adds is taken back
    config = tmp_path / "scripted.toml"
    config.write_text(SCRIPTED)
    monkeypatch.setenv("OPENLIVE_CONFIG", str(config))
    monkeypatch.setenv("OPENLIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Half a second of something as loud as speech, s16le mono at 16 kHz."""
    path = tmp_path / "tone.wav"
    pcm = (8000 * np.sin(np.arange(INPUT_RATE // 2) * 0.2)).astype("<i2").tobytes()
    write_wav(path, pcm, INPUT_RATE)
    return path


class Serving:
    """`openlive serve` as a process."""

    def __init__(self, process: subprocess.Popen[str], told: str) -> None:
        self.process = process
        self.told = told
        self.url = next(line.split("=")[1] for line in told.splitlines() if "BASE_URL" in line).strip()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code and what it said on standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@contextmanager
def serving(*arguments: str) -> Iterator[Serving]:
    command = [*OPENLIVE, "serve", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = ""
        while "Ctrl-C" not in told:
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            told += line
        yield Serving(process, told)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
