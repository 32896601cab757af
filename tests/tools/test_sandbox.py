"""Programs in the sandbox: what they print, where their limits are, and what of the host they cannot reach."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from openlive.engines.api import Resources
from openlive.engines.registry import load_engine
from openlive.models import ensure
from openlive.tools.wasi import PythonTool
from openlive.types import ToolResult

pytestmark = pytest.mark.weights

MEMORY = 96 << 20
SECONDS = 3.0
SECRET = "a-secret-of-the-host"


@pytest.fixture(scope="module")
def tool() -> Iterator[PythonTool]:
    settings = {"memory_bytes": MEMORY, "seconds": SECONDS, "output_bytes": 2000}
    patch = pytest.MonkeyPatch()
    patch.setenv("SECRET", SECRET)
    loaded = load_engine(
        "code_execution", "wasmtime", Resources(weights=ensure, threads=2, memory=0, settings=settings)
    )
    patch.undo()
    yield loaded
    asyncio.run(loaded.close())


def run(tool: PythonTool, code: str) -> ToolResult:
    return asyncio.run(tool.run({"code": code}))


def error(tool: PythonTool, code: str) -> str:
    """What a program says that must fail."""
    result = run(tool, code)
    assert result.outcome == "failed", result
    return result.output


def children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # gone meanwhile
            if any("sandbox.py" in word for word in child.cmdline()):
                found.append(child)
    return found


# What it is for


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("print(sum(range(101)))", "5050\n"),
        ("import statistics\nstatistics.median([3, 1, 2])", "2\n"),
        ("print('a')\n'not shown'", "a\n"),
        ("x = 1", ""),
        ("None", ""),
        ("def f():\n    print('in f')\nf()", "in f\n"),
        ("if __name__ == '__main__':\n    print('main')", "main\n"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nP(3)", "P(x=3)\n"),
        ("import sys\nprint('out'); print('err', file=sys.stderr); print('ä€\\udc80')", "out\nerr\nä€\\udc80\n"),
        ("len(str(2**100_000))", "30103\n"),
        ("import sys\nsys.exit()", ""),
    ],
)
def test_a_program_runs_and_shows_what_it_prints_or_its_last_value(tool: PythonTool, code: str, output: str) -> None:
    result = run(tool, code)
    assert (result.outcome, result.output) == ("ok", output)


def test_a_traceback_shows_the_lines_of_the_program_and_nothing_of_ours(tool: PythonTool) -> None:
    result = run(tool, "print('before')\ndef half(x):\n    return x / 0\nhalf(1)")
    assert result.outcome == "failed"
    assert result.response == {"error": result.output}
    lines = result.output.splitlines()
    assert lines[:3] == ["before", "Traceback (most recent call last):", '  File "<program>", line 4, in <module>']
    assert "    return x / 0" in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "guest" not in result.output


def test_a_syntax_error_is_told_like_python_tells_it(tool: PythonTool) -> None:
    assert error(tool, "print(1))").splitlines()[0] == '  File "<program>", line 1'
    assert error(tool, "print(1))").splitlines()[-1] == "SyntaxError: unmatched ')'"


def test_input_is_at_its_end(tool: PythonTool) -> None:
    assert "EOFError" in error(tool, "input()")


def test_two_programs_share_nothing(tool: PythonTool) -> None:
    run(tool, "import builtins, math\nbuiltins.left = 1\nmath.left = 1\nglobals()['left'] = 1")
    assert run(tool, "import math\nhasattr(math, 'left'), 'left' in dir(__builtins__), 'left' in globals()").output == (
        "(False, False, False)\n"
    )
    randoms = {run(tool, "import random\nprint(random.random())").output for _ in range(3)}
    assert len(randoms) == 3


def test_eight_at_once_are_all_answered(tool: PythonTool) -> None:
    async def all_at_once() -> list[ToolResult]:
        return await asyncio.gather(*(tool.run({"code": f"print({number})"}) for number in range(8)))

    assert [result.output for result in asyncio.run(all_at_once())] == [f"{number}\n" for number in range(8)]
    assert len(children()) == 1, "one stands ready"


# Limits


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time\ntime.sleep(1000)",
        "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
        "try:\n    while True: pass\nexcept BaseException:\n    pass",
    ],
)
def test_a_program_without_an_end_is_stopped_in_time(tool: PythonTool, code: str) -> None:
    began = time.monotonic()
    result = run(tool, f"print('begun')\n{code}")
    assert result.outcome == "deadline"
    assert result.output == "begun\nStopped: the program was not done after 3 s."
    assert SECONDS <= time.monotonic() - began < SECONDS + 10, "the rest is a start on a loaded machine"


def test_no_program_is_left_behind_when_its_caller_is_cancelled(tool: PythonTool) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(tool.run({"code": "while True: pass"}))
        await asyncio.sleep(0.5)
        busy = {child.pid for child in children()}
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for _ in range(40):
            await asyncio.sleep(0.05)
            if not busy & {child.pid for child in children()}:
                return
        pytest.fail("the program still runs 2 s later")

    assert SECONDS > 2.5, "else the time limit would have ended it"
    asyncio.run(cancelled())
    assert run(tool, "print(1)").output == "1\n"


@pytest.mark.parametrize(
    "code",
    [
        "x = 'x' * 10**9",
        "x = [0] * 10**8",
        "x = []\nwhile True: x.append(bytearray(10**6))",
        "x = {}\nwhile True: x[len(x)] = str(len(x)) * 1000",
        "def grow(x='a' * 1000):\n    while True: x += x\ngrow()",
        "import array\nx = array.array('q', [0]) * 10**9",
    ],
)
def test_a_memory_bomb_fails_cleanly_and_costs_the_server_nothing(tool: PythonTool, code: str) -> None:
    me = psutil.Process()
    before = me.memory_info().rss
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.02):
            for child in me.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if child.cmdline() != me.cmdline():  # else it was just forked, and its memory is still ours
                        most = max(most, child.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert error(tool, code) == "MemoryError: the program needs more memory than it may have\n"
    finally:
        done.set()
        watcher.join()
    assert me.memory_info().rss - before < 8 << 20
    assert most < MEMORY + (64 << 20)


def test_more_than_a_string_may_hold_fails_cleanly(tool: PythonTool) -> None:
    assert "OverflowError" in error(tool, "'x' * 10**10")


NESTED = """
import sys
sys.setrecursionlimit(10**9)
class A:
    def __getattr__(self, name):
        return getattr(self, name + "a")
A().b
"""


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def f(): f()\nf()", "RecursionError"),
        ("import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()", "MemoryError"),
        (NESTED, "The interpreter broke down: "),
        ("eval('-' * 100_000 + '1')", "MemoryError"),
        ("import os\nos.abort()", "The interpreter broke down: "),
        ("import signal\nsignal.raise_signal(9)", "The interpreter broke down: "),
    ],
)
def test_bottomless_recursion_and_crashes_end_the_program_only(tool: PythonTool, code: str, says: str) -> None:
    result = run(tool, code)
    assert says in result.output or result.outcome == "deadline"
    assert run(tool, "print(1)").output == "1\n"


def test_a_flood_of_output_is_stopped_and_cut(tool: PythonTool) -> None:
    began = time.monotonic()
    result = run(tool, "print('first')\nwhile True: print('x' * 1000)")
    assert result.outcome == "failed"
    assert result.output.startswith("first\n")
    assert result.output.endswith("Stopped: the program printed more than 1 MiB.")
    assert len(result.output) < 2200
    assert time.monotonic() - began < SECONDS + 10


def test_of_a_long_output_beginning_and_end_are_shown(tool: PythonTool) -> None:
    result = run(tool, "for i in range(5000): print(i)\nraise ValueError('last')")
    assert result.output.startswith("0\n1\n")
    assert "bytes left out]" in result.output
    assert result.output.endswith("ValueError: last\n")


# The host


@pytest.fixture
def listening() -> Iterator[tuple[int, list[object]]]:
    """(port, connections that came)."""
    came: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    came.append(server.accept())

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], came
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', {port}))",
        "import socket\nsocket.socket().connect(('127.0.0.1', {port}))",
        "import _socket\n_socket.socket().connect(('127.0.0.1', {port}))",
        "import socket\nsocket.socket(fileno=0).connect(('127.0.0.1', {port}))",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/')",
        "import http.client\nhttp.client.HTTPConnection('127.0.0.1', {port}).request('GET', '/')",
        "import socket\nsocket.getaddrinfo('localhost', {port})",
        "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', {port}))",
    ],
)
def test_there_is_no_network(tool: PythonTool, code: str, listening: tuple[int, list[object]]) -> None:
    port, came = listening
    assert "Error" in error(tool, code.format(port=port))
    assert came == []


READS = [
    "open('{file}').read()",
    "open('../../../../../../../../{file}').read()",
    "open('/usr/local/lib/python3.12/../../../..{file}').read()",
    "open('/proc/self/environ').read()",
    "open('/proc/self/cmdline').read()",
    "open('/dev/zero', 'rb').read(1)",
    "import os\nos.listdir('/')",
    "import os\nos.listdir('{folder}')",
    "import os\nos.stat('{file}')",
    "import os\nos.open('{file}', os.O_RDONLY)",
    "import os\nos.open('{name}', os.O_RDONLY, dir_fd=3)",
    "import pathlib\npathlib.Path('{file}').read_text()",
    "import io\nio.FileIO('{file}').read()",
    "import sqlite3\nsqlite3.connect('file:{file}?mode=ro', uri=True).execute('select 1 from sqlite_master')",
    "import runpy\nrunpy.run_path('{file}')",
    "import os\nos.chdir('{folder}')",
    "import os\nfor fd in range(4, 64):\n    try: print(fd, os.fstat(fd))\n    except OSError: pass\nopen('{file}')",
]


@pytest.mark.parametrize("code", READS)
def test_there_are_no_files_to_read(tool: PythonTool, code: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    said = error(tool, code.format(file=file, folder=tmp_path, name=file.name))
    assert SECRET not in said
    assert said.startswith("Traceback")
    assert "Error" in said.splitlines()[-1]


WRITES = [
    "open('{file}', 'w').write('x')",
    "open('x', 'w').write('x')",
    "open('/usr/local/lib/python3.12/x.py', 'w').write('x')",
    "import os\nos.mkdir('{folder}/new')",
    "import os\nos.unlink('{secret}')",
    "import os\nos.rename('{secret}', '{file}')",
    "import os\nos.symlink('{secret}', '/usr/local/lib/link')",
    "import os\nos.link('{secret}', '/usr/local/lib/link')",
    "import os\nos.truncate('{secret}', 0)",
    "import shutil\nshutil.rmtree('{folder}')",
    "import tempfile\ntempfile.mkdtemp()",
    "import sqlite3\nsqlite3.connect('{file}').execute('create table t (x)')",
]


@pytest.mark.parametrize("code", WRITES)
def test_there_are_no_files_to_write(tool: PythonTool, code: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    assert "Error" in error(tool, code.format(file=tmp_path / "new", folder=tmp_path, secret=secret))
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert secret.read_text() == SECRET
    assert not Path("x").exists()


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.system('touch {file}')",
        "import os\nos.popen('touch {file}').read()",
        "import subprocess\nsubprocess.run(['touch', '{file}'])",
        "import os\nos.fork()",
        "import os\nwhile True: os.fork()",
        "import os\nos.execv('/usr/bin/touch', ['touch', '{file}'])",
        "import os\nos.posix_spawn('/usr/bin/touch', ['touch', '{file}'], {{}})",
        "import os\nos.kill(1, 0)",
        "import multiprocessing\nmultiprocessing.Process(target=print).start()",
        "import threading\nthreading.Thread(target=print).start()",
        "import ctypes\nctypes.CDLL(None).system(b'touch {file}')",
        "import _ctypes",
        "import mmap\nmmap.mmap(-1, 1)",
        "__import__('os').system('touch {file}')",
        "import subprocess\n[c for c in object.__subclasses__() if c.__name__ == 'Popen'][0](['touch', '{file}'])",
        "import js",
        "import pyodide_js",
        "from pyodide.code import run_js\nrun_js('process')",
        "import _posixsubprocess",
        "import pty\npty.spawn('sh')",
        "import resource",
    ],
)
def test_no_way_leads_to_another_process_or_out_of_the_interpreter(tool: PythonTool, code: str, tmp_path: Path) -> None:
    file = tmp_path / "was-here"
    before = {process.pid for process in psutil.Process().children(recursive=True)} | {os.getpid()}
    assert "Error" in error(tool, code.format(file=file))
    assert not file.exists()
    after = {process.pid for process in psutil.Process().children(recursive=True)}
    assert len(after - before) <= 1, "the next one that stands ready"


def test_nothing_of_the_host_shows(tool: PythonTool) -> None:
    said = run(
        tool,
        "import os, sys, platform\n"
        "print(dict(os.environ), sys.argv, os.getcwd(), sys.path, sys.platform)\n"
        "print(platform.uname(), os.getpid() if hasattr(os, 'getpid') else '')\n"
        "print(sys.executable, sys.flags, sys.version)",
    ).output
    assert said.startswith("{} ['-c'] / ")
    for word in (SECRET, socket.gethostname(), str(Path.home()), sys.prefix, "openlive"):
        assert word not in said, word


def test_the_process_around_the_interpreter_is_bare_and_limited(tool: PythonTool) -> None:
    run(tool, "1")
    (spare,) = children()
    assert spare.environ() == {}
    assert spare.cwd() == "/"
    if sys.platform == "linux":
        deadline = time.monotonic() + 10
        while spare.rlimit(psutil.RLIMIT_FSIZE) != (0, 0) and time.monotonic() < deadline:
            time.sleep(0.05)  # it sets them itself, once wasmtime is loaded
        assert spare.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert spare.rlimit(psutil.RLIMIT_DATA)[1] < MEMORY + (512 << 20)
        assert spare.rlimit(psutil.RLIMIT_CPU)[1] < 120
        files = [str(Path(f"/proc/{spare.pid}/fd/{number}").readlink()) for number in (0, 1, 2)]
        assert all(file.startswith("pipe:") for file in files)
        assert all(not socket.laddr for socket in spare.net_connections())


def test_a_program_does_not_outlive_a_server_that_was_killed() -> None:
    server = (
        "import asyncio\nfrom openlive.engines.api import Resources\n"
        "from openlive.engines.registry import load_engine\nfrom openlive.models import ensure\n"
        "tool = load_engine('code_execution', 'wasmtime', Resources(ensure, 1, 0, {'seconds': 60}))\n"
        "print('loaded', flush=True)\n"
        "asyncio.run(tool.run({'code': 'while True: pass'}))"
    )
    with subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"loaded\n"
        time.sleep(1)
        running = psutil.Process(process.pid).children()
        assert running
        process.kill()
    assert psutil.wait_procs(running, timeout=5)[1] == []


def test_it_starts_where_its_folder_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    monkeypatch.setattr("openlive.tools.wasi.os.access", lambda *_: False)
    monkeypatch.setattr("openlive.tools.wasi.tempfile.mkdtemp", lambda prefix: str(tmp_path))
    monkeypatch.setattr("openlive.tools.wasi.atexit.register", lambda _, folder, **__: calls.append(folder))
    folder = ensure("python-wasi")
    ready = next(folder.glob("*.cwasm"))
    (tmp_path / ready.name).write_bytes(ready.read_bytes())  # compiled already: this is not about the 10 s
    loaded = load_engine("code_execution", "wasmtime", Resources(weights=lambda _: folder, threads=1, memory=0))
    assert run(loaded, "1").output == "1\n"
    asyncio.run(loaded.close())
    assert calls == [tmp_path]
