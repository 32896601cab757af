from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from openlive.cli import state
from tests.cli.conftest import OPENLIVE, serving

ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
SESSION = """
import asyncio, sys
from google import genai

async def main():
    config = {"response_modalities": ["TEXT"]}
    async with genai.Client().aio.live.connect(model="gemini-live-2.5-flash-preview", config=config) as session:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": sys.argv[1]}]}, turn_complete=True)
        print("".join([m.text or "" async for m in session.receive()]))
    sys.exit(7)

asyncio.run(main())
"""
WAITS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("ready", flush=True)
signal.pause()
"""


def run(*command: str, stdin: str = "", options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    whole = [*OPENLIVE, "run", *options, "--", *command]
    return subprocess.run(whole, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def test_a_program_speaks_with_a_server_of_its_own_through_the_sdk() -> None:
    result = run(sys.executable, "-c", SESSION, "hello")
    assert (result.returncode, result.stdout) == (7, "You said: hello\n"), result.stderr


def test_the_server_started_for_a_program_ends_with_it(data: Path, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    result = run(sys.executable, "-c", ENVIRONMENT, options=("--log", str(log)))
    env = json.loads(result.stdout)
    assert result.stderr == ""
    assert "Ready after" in log.read_text()
    assert not state.answers(env["GOOGLE_GEMINI_BASE_URL"])
    assert Path(env["SSL_CERT_FILE"]).parent == data / "openlive" / "tls"
    assert env["PATH"] == os.environ["PATH"]


def test_a_server_that_runs_is_taken(tmp_path: Path) -> None:
    with serving() as server:
        result = run(sys.executable, "-c", ENVIRONMENT)
        assert json.loads(result.stdout)["GOOGLE_GEMINI_BASE_URL"] == server.url
        assert result.stderr == ""
        assert state.answers(server.url)


def test_the_key_is_one_that_the_server_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLIVE_KEYS", "anna:a-long-random-text")
    result = run(sys.executable, "-c", SESSION, "hello")
    assert (result.returncode, result.stdout) == (7, "You said: hello\n"), result.stderr


def test_input_output_and_options_are_the_programs_own() -> None:
    program = "import sys; print(sys.argv[1:], sys.stdin.read())"
    with serving():
        result = run(sys.executable, "-c", program, "--help", "-v", stdin="from outside")
    assert result.stdout == "['--help', '-v'] from outside\n"


def test_signals_are_passed_on_and_the_exit_code_back() -> None:
    with serving():
        command = [*OPENLIVE, "run", "--", sys.executable, "-c", WAITS]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 5
        killed = run(sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        assert killed.returncode == 128 + signal.SIGKILL


def test_a_program_that_cannot_be_run_is_named() -> None:
    with serving():
        missing, folder = run("no-such-program"), run("/")
    assert (missing.returncode, missing.stderr) == (127, "Error: There is no program 'no-such-program'.\n")
    assert (folder.returncode, folder.stderr) == (126, "Error: '/' cannot be run: Permission denied.\n")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[engines]\nllm = "nope"\n')
    result = run("true", options=("--config", str(bad)))
    assert result.returncode == 1
    assert "There is no llm engine named 'nope'" in result.stderr
    assert "Error: The server did not start: see above." in result.stderr
    assert "Traceback" not in result.stderr
