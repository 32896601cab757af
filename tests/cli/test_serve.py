from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openlive.cli import main, serve, state, stopping
from openlive.config.load import load_config
from openlive.models import ModelError
from tests.cli.conftest import TOLD, serving
from tests.serving import Scripted


@pytest.fixture
def no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what runs inside the test's own process."""
    monkeypatch.setattr(stopping.Stop, "install", lambda self, interrupts=True: None)


def refused(*arguments: str) -> str:
    """What the command says; it must be a sentence and no traceback."""
    result: Result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.output
    return result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal(number: signal.Signals, data: Path) -> None:
    with serving() as server:
        assert state.answers(server.url)
        found = state.find()
        assert found is not None
        assert found.url == server.url
        assert server.told.count("GOOGLE_GEMINI_BASE_URL=https://localhost:") == 2
        assert f"export SSL_CERT_FILE='{data}/openlive/tls/bundle.pem'" in server.told
        assert f"export NODE_EXTRA_CA_CERTS='{data}/openlive/tls/ca.pem'" in server.told
        code, errors = server.stop(number)
        assert (code, errors.splitlines()[-1]) == (0, "Stopped.")
    assert not list((data / "openlive" / "servers").iterdir())


def test_the_log_holds_nothing_that_was_said(tone: Path) -> None:
    with serving("--verbose") as server:
        result = CliRunner().invoke(main, ["talk", str(tone), "--text", "a secret zebra"])
        assert f"You said: {TOLD}" in result.stdout
        assert "You said: a secret zebra" in result.stdout
        _, log = server.stop()
    assert "opened" in log
    assert not any(word in log for word in ("purple", "elephant", "secret", "zebra"))


def test_what_was_loaded_is_not_collected_while_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[int] = []

    async def run(*_: object, **__: object) -> None:
        frozen.append(gc.get_freeze_count())

    monkeypatch.setattr("openlive.server.run.run", run)
    try:
        asyncio.run(serve._serve(load_config(), None, Scripted().engines, stopping.Stop(), lambda _: None))
    finally:
        gc.unfreeze()
    assert frozen[0] > 10_000


@pytest.mark.skipif(os.name != "posix", reason="files have no modes here")
def test_files_with_keys_that_others_can_read_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys, own, inline = tmp_path / "keys", tmp_path / "o.toml", tmp_path / "i.toml"
    keys.write_text("anna:0123456789abcdef")
    own.write_text(f'[server]\nkey_file = "{keys}"\nadmin_keys = ["anna", "ben"]')
    inline.write_text('[server]\nkeys = [{ name = "anna", key = "0123456789abcdef" }]')

    def warned(file: Path) -> list[str]:
        caplog.clear()
        serve.warn_of_readers(load_config(file), file)
        return caplog.messages

    for file in (keys, own, inline):
        file.chmod(0o644)
    assert warned(own) == [
        f"{keys} holds keys and can be read by other users of this machine; chmod 600 ends that",
        "server.admin_keys names ben; there is no such key now",
    ]
    assert warned(inline) == [
        f"{inline} holds keys and can be read by other users of this machine; chmod 600 ends that"
    ]
    inline.chmod(0o600)
    assert warned(inline) == []


@pytest.mark.usefixtures("no_signals")
def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Port {port} of 127.0.0.1 is in use" in refused("--port", str(port))


@pytest.mark.usefixtures("no_signals")
def test_a_second_server_on_the_port_of_the_first_is_told_of_it() -> None:
    with serving() as server:
        message = refused("--port", server.url.rpartition(":")[2])
    assert message == f"Error: openlive is already running at {server.url} (process {server.process.pid}).\n"


@pytest.mark.usefixtures("no_signals")
def test_configurations_that_cannot_be_are_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    assert "nope.toml: cannot be read" in refused("--config", "nope.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("[server]\nprot = 1\n")
    assert "bad.toml: server.prot: there is no such option; did you mean 'port'?" in refused("-c", str(bad))
    assert "without any key" in refused("--host", "0.0.0.0")
    bad.write_text('[engines]\ntts = "parrot"\n')
    assert "There is no tts engine named 'parrot'" in refused("-c", str(bad), "--port", "0")
    bad.write_text('[server]\ncertificate = "nope.pem"\n')
    assert "nope.pem: no such file" in refused("-c", str(bad), "--port", "0")


@pytest.mark.usefixtures("no_signals")
def test_weights_that_cannot_be_had_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure(name: str, progress: object) -> None:
        raise ModelError(f"The weights {name!r} cannot be had.")

    monkeypatch.setattr("openlive.models.ensure", ensure)
    monkeypatch.setenv("OPENLIVE_ENGINES_VAD", "silero")
    result = CliRunner().invoke(main, ["serve"])
    assert result.exit_code == 1
    assert "The weights 'silero-vad' cannot be had." in result.stderr.splitlines()[-1]


@pytest.mark.usefixtures("no_signals")
def test_verbose_shows_where_an_error_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(serve, "refuse_early", broken)
    plain, verbose = (CliRunner().invoke(main, ["serve", *more]) for more in ([], ["--verbose"]))
    assert plain.stderr.startswith("Error: Unexpected: RuntimeError: a bug")
    assert "Traceback" in verbose.stderr
    assert plain.exit_code == verbose.exit_code == 1


def test_loading_stops_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = stopping.Stop()
    told: list[str] = []

    def load_engines(config: object, weights: object, tell: object, computed: object) -> None:
        told.append("begun")
        stop.set()
        assert callable(tell)
        tell("tts kokoro")

    monkeypatch.setattr("openlive.server.engines.load_engines", load_engines)
    with pytest.raises(serve.StoppedError):
        serve._load(load_config(), stop)
    assert told == ["begun"]


def test_the_second_signal_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(stopping, "leave", left.append)
    stop = stopping.Stop()
    stop._signalled(signal.SIGTERM, None)
    assert stop.is_set()
    assert left == []
    stop._signalled(signal.SIGTERM, None)
    assert left == [143]


def test_stopping_wakes_whoever_waits_from_any_thread() -> None:
    stop = stopping.Stop()

    async def wait() -> None:
        waiting = asyncio.create_task(stop.wait())
        await asyncio.sleep(0)
        thread = threading.Thread(target=stop.set)
        thread.start()
        await asyncio.wait_for(waiting, 10)
        thread.join()
        await stop.wait()  # and at once from then on

    asyncio.run(wait())
