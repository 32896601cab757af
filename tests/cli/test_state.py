from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from openlive.cli import state


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Of something that answers as a server does."""
    server = HTTPServer(("localhost", 0), Healthy)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(state, "folder", lambda: tmp_path / "servers")
    return tmp_path / "servers"


def test_a_server_is_found_while_it_runs(port: int, folder: Path) -> None:
    assert state.find() is None
    with state.announced(f"https://localhost:{port}", port, Path("/ca"), None) as server:
        assert state.find() == server
        assert server.ca == Path("/ca")
        assert b"key" not in next(folder.iterdir()).read_bytes()
    assert state.find() is None
    assert not list(folder.iterdir())


def test_what_a_killed_server_left_is_removed(port: int, folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with state.announced(f"https://localhost:{port}", port, None, None):
        text = next(folder.iterdir()).read_text()
    (folder / "1.json").write_text(text.replace(f'"pid":{os.getpid()}', f'"pid":{process.pid}'))
    assert state.find() is None
    assert not list(folder.iterdir())


def test_a_process_number_that_was_given_again_is_told_apart(port: int, folder: Path) -> None:
    with state.announced(f"https://localhost:{port}", port, None, None):
        path = next(folder.iterdir())
        path.write_text(path.read_text().replace('"started":', '"started":1'))
        assert state.find() is None


def test_a_server_that_does_not_answer_is_passed_over(folder: Path) -> None:
    with state.announced("https://localhost:1", 1, None, None):
        assert state.find() is None
        assert list(folder.iterdir())  # it may be starting


def test_a_file_that_is_none_of_ours_is_passed_over(folder: Path) -> None:
    folder.mkdir()
    (folder / "x.json").write_text("{")
    assert state.find() is None
