"""The log: a line for each thing, whatever names clients choose, and nothing of what was said."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from openlive.cli.log import LINES, LONGEST, PERIOD, Formatter, Thinned, described, printable, set_up_log
from openlive.engines.llm.openai import OpenAILLM
from openlive.engines.llm.prompt.conversation import LLMError, MalformedCallError
from openlive.private import without_secrets
from openlive.server.store import StoreError
from openlive.wire.errors import ProtocolError, describe_for_logs, model_not_found
from tests.raw import TEXT, client
from tests.serving import Scripted, serving

FORGED = "x\n12:00:00 INFO all is well\r\x1b[2J\x9b31m\u2028\u2029\u202egnorw\u2066\u200b\ufeff\x00\x7f"
SAID = "zebra"


@contextmanager
def logged(*names: str) -> Iterator[list[str]]:
    """The lines of the log, as `openlive serve --verbose` writes them."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, loggers = Kept(), [logging.getLogger(name) for name in ("openlive", *names)]
    handler.setFormatter(Formatter("%(levelname)s %(message)s"))
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


def line(message: str, *arguments: object, error: BaseException | None = None) -> str:
    with logged() as lines:
        logging.getLogger("openlive").warning(message, *arguments, exc_info=error)
    return lines[0]


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


# --- lines ------------------------------------------------------------------------------------------------------------


def test_a_message_is_one_line_and_moves_no_cursor() -> None:
    told = line("the name is %s", FORGED)
    assert told.isprintable()
    assert told.startswith(r"WARNING the name is x\n12:00:00 INFO all is well\r\x1b[2J\x9b31m\u2028\u2029\u202e")
    assert printable("Grüße, 日本語 🦄") == "Grüße, 日本語 🦄"
    assert printable("\ud800") == r"\ud800"
    assert len(line("%s", "x" * 5000)) < LONGEST + 20


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://anna:pass@word@host:8000/v1?key=123 is gone", "http://host:8000/v1?… is gone"),
        ("openai:https://host/v1", "openai:https://host/v1"),
        ("wss://key@host", "wss://host"),
        ("a://b@c/d and e://f:g@h?i#j", "a://c/d and e://h?…"),
        ("mail anna@host?", "mail anna@host?"),
    ],
)
def test_addresses_are_shown_without_what_opens_them(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert shown in line("%s", text)


def test_errors_are_told_by_kind_and_place_and_by_words_that_are_meant_for_it() -> None:
    store = StoreError("The store /a cannot be opened: disk full")
    assert described(store) == "StoreError: The store /a cannot be opened: disk full"
    told = LLMError("http://anna:pass@h answered 500", SAID)
    assert (str(told), told.plain) == (f"http://h answered 500: {SAID}", "http://h answered 500")
    assert described(LLMError("http://h answered 500", SAID)) == "LLMError: http://h answered 500"
    assert described(MalformedCallError("broken arguments", SAID)) == "MalformedCallError: broken arguments"
    assert described(ProtocolError(f"Invalid value at 'a' (TYPE), \"{SAID}\"")) == "ProtocolError"
    assert described(ValueError(SAID)) == "ValueError"
    assert described(httpx.ConnectError(SAID)) == "httpx.ConnectError"
    assert described(FileNotFoundError(2, "No such file or directory", SAID)) == (
        "FileNotFoundError: No such file or directory"
    )
    for form in ("%s", "%r"):
        assert line(f"failed: {form}", KeyError(SAID)) == "WARNING failed: KeyError"


def test_a_traceback_shows_where_and_not_what() -> None:
    def work() -> None:
        try:
            raise ValueError(SAID + FORGED)
        except ValueError as error:
            raise RuntimeError(SAID) from error

    with pytest.raises(RuntimeError) as inner:
        work()
    group = raised(ExceptionGroup(SAID, [inner.value, StoreError("full\nINFO x")]))
    told = line("it failed", error=group)
    assert SAID not in told
    lines = told.splitlines()
    assert lines[0] == "WARNING it failed"
    assert all(each.startswith("  ") for each in lines[1:])
    assert [each.strip() for each in lines[1:] if " at " not in each] == [
        "ExceptionGroup",
        "of these RuntimeError",
        r"of these StoreError: full\nINFO x",
        "because of ValueError",
    ]
    assert re.search(r"at cli/test_log\.py:\d+ work\n", told)


def test_a_flood_of_lines_is_thinned_by_place() -> None:
    thinned = Thinned()

    def passed(at: float, lineno: int = 1) -> str | None:
        record = logging.LogRecord(
            "openlive", logging.INFO, "door.py", lineno, "refused: %s", (ValueError(SAID),), None
        )
        record.created = at
        return Formatter().format(record) if thinned.filter(record) else None

    flood = [passed(100.0 + i / LINES) for i in range(3 * LINES)]
    assert flood == ["refused: ValueError"] * LINES + [None] * (2 * LINES)
    assert passed(103.0, lineno=2) == "refused: ValueError"
    assert passed(100.0 + PERIOD) == f"refused: ValueError ({2 * LINES} more like it were left out)"
    assert passed(100.1 + PERIOD) == "refused: ValueError"
    assert passed(50.0) == "refused: ValueError"  # a clock that was set back


def test_threads_and_what_is_cleared_away_fail_into_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    level, own = root.level, logging.getLogger("openlive").level
    monkeypatch.setattr(root, "handlers", [])
    for place, name in ((threading, "excepthook"), (sys, "unraisablehook"), (logging, "raiseExceptions")):
        monkeypatch.setattr(place, name, getattr(place, name))
    set_up_log(logging.INFO)
    try:
        with logged() as lines:
            thread = threading.Thread(target=Scripted, kwargs={SAID: 1}, name="reader")
            thread.start()
            thread.join()
            sys.unraisablehook(type("Failed", (), {"exc_value": ValueError(SAID)})())
    finally:
        root.setLevel(level)
        logging.getLogger("openlive").setLevel(own)
    assert lines[0].startswith("ERROR The thread reader failed\n  TypeError\n    at ")
    assert lines[1] == "ERROR An object could not be cleared away\n  ValueError"


# --- why sessions were closed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (f"Invalid value at 'setup.tools[0].x' (TYPE_STRING), \"{SAID}\"", "invalid value: setup.tools[0].x"),
        (f"Invalid value at 'setup.tools[0].p[{SAID}].q': no", "invalid value: setup.tools[0].p[…].q"),
        (f"Invalid value (oneof), oneof field '{SAID}' is already set.", "invalid value"),
        (
            f"Invalid JSON payload received. Unknown name \"{SAID}\" at 'setup': Cannot find field.",
            "unknown name: setup",
        ),
        (f'Invalid JSON payload received. Unknown name "{SAID}": Cannot find field.', "no JSON of the API's"),
        (f"Invalid JSON payload received. Unexpected token: {SAID}.", "no JSON of the API's"),
        (
            f"* BidiGenerateContentRequest.tools[0].function_declarations[1].parameters.properties[{SAID}].items: m.",
            "declaration: tools[0].function_declarations[1].parameters.properties[…].items",
        ),
        (f"realtime_input.media_chunks[3]: {SAID} is not supported", "audio: realtime_input.media_chunks[3]"),
        (SAID, ""),
    ],
)
def test_what_a_reason_is_about(reason: str, told: str) -> None:
    assert describe_for_logs(reason) == told
    assert model_not_found(SAID, "v1").to_error().about == "no such model"


@pytest.mark.anyio
async def test_the_log_of_sessions_with_hostile_names_holds_none_of_them() -> None:
    name = SAID + FORGED
    nested = {"type": "OBJECT", "properties": {name: {name: 1}}}
    setups = [
        {name: 1},
        {**TEXT, name: 1},
        {**TEXT, "model": name},
        {**TEXT, "systemInstruction": {"parts": [{name: SAID}]}},
        {**TEXT, "generationConfig": {"responseModalities": [name]}},
        {**TEXT, "generationConfig": {"speechConfig": {"languageCode": name}}},
        {**TEXT, "tools": [{"functionDeclarations": [{"name": name}]}]},
        {**TEXT, "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": name}}]}]},
        {**TEXT, "tools": [{"functionDeclarations": [{"name": "f", "parameters": nested}]}]},
    ]
    with logged() as lines, serving() as server:
        for setup in setups:
            async with client(server) as raw:
                await raw.say({"setup": setup})
                assert (await raw.closed())[0] in (1007, 1008)
        async with client(server, TEXT) as raw:
            await raw.say({"realtimeInput": {"audio": {"data": "AAAA", "mimeType": f"audio/{name}"}}})
            await raw.closed()
        async with client(server, TEXT) as raw:
            await raw.say({"toolResponse": {"functionResponses": [{"id": name, "response": {}}]}})
            await raw.ask(SAID)
            await raw.turn()
    log = "\n".join(lines)
    assert SAID not in log
    assert log.replace("\n", "").isprintable()
    assert "closed: 1007 unknown name: setup" in log
    assert "closed: 1008 no such model" in log
    assert len(lines) < 5 * len(setups) + 20


def fail(said: str) -> None:
    raise ValueError(said)


@pytest.mark.anyio
async def test_what_fails_in_the_event_loop_is_told_without_its_arguments() -> None:
    with logged() as lines, serving(fails=["In the event loop"]) as server:
        server.call(lambda: asyncio.get_running_loop().call_soon(fail, SAID))
        assert await server.comes_to(lambda: bool(lines))
    assert lines[0].startswith("ERROR In the event loop: Exception in callback fail\n  ValueError\n    at ")
    assert SAID not in "".join(lines)


# --- endpoints --------------------------------------------------------------------------------------------------------


class Echo(BaseHTTPRequestHandler):
    """Refuses every request with its own words, as some servers do."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        error = {"message": f"cannot do {body.decode(errors='replace')}", "code": "invalid_prompt"}
        answer = json.dumps({"error": error}).encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.anyio
async def test_an_endpoint_that_repeats_the_prompt_and_has_a_password() -> None:
    endpoint = HTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    llm = OpenAILLM(f"http://anna:password@127.0.0.1:{endpoint.server_port}/v1", "model")
    try:
        with logged() as lines, serving(Scripted(llm=llm).engines, fails=["failed"]) as server:
            async with client(server, TEXT) as raw:
                await raw.ask(f"What is a {SAID}?")
                await raw.turn()
    finally:
        endpoint.shutdown()
        endpoint.server_close()
    log = "\n".join(lines)
    assert f"LLMError: http://127.0.0.1:{endpoint.server_port}/v1/chat/completions answered 400 (invalid_prompt)" in log
    assert SAID not in log
    assert "password" not in log
    assert "anna" not in log
