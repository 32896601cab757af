"""Which releases of the official SDKs work: `python -m tests.sdk.matrix`, some ten minutes with all of them.

Each release is installed into a folder of its own under the user's cache, beside the dependencies that are locked, and
the tests of this folder run with it: servers on scripted engines, the SDK unmodified. A release fails tests of what it
does not have yet (fields of the setup, methods), so the table names what failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import click
from platformdirs import user_cache_path
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
PYTHON = ("1.75.0", "2.8.0", "2.34.0", "3.4.0", "3.6.1")
"""Of google-genai: the last of each generation, those that frameworks and Google's notebooks ask for, the newest."""
JAVASCRIPT = ("1.52.0", "2.7.0", "2.32.0", "3.3.0")
"""Of @google/genai. 1.52 is the last whose `connect()` is done when the socket is open."""
TESTS = {
    "google-genai": ("test_python.py", "test_python_tools.py", "test_python_doors.py", "test_resumption.py"),
    "@google/genai": ("test_node.py", "test_node_tools.py"),
}
SECONDS = 900.0
"""A release that takes longer has failed."""


def install(package: str, release: str, folder: Path) -> None:
    """Puts a release into `folder`, if it is not there. Raises `CalledProcessError`."""
    done = folder / ".done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if package == "google-genai":
            pip = [sys.executable, "-m", "pip", "-qq", "install", "--no-deps", "--target", str(folder)]
            subprocess.run([*pip, f"{package}=={release}"], check=True)
        else:
            shutil.copy(HERE / "package.json", folder)
            npm = ["npm", "install", "--no-fund", "--no-audit", "--loglevel=error", "--save-exact"]
            subprocess.run([*npm, f"{package}@{release}"], check=True, cwd=folder)
        done.touch()
    if package != "google-genai":  # modules are found from where a script lies
        for script in HERE.glob("*.mjs"):
            shutil.copy(script, folder)


def run(package: str, folder: Path) -> tuple[int, list[str]]:
    """How many tests passed with what is in `folder`, and the names of the others."""
    environment = dict(os.environ)
    if package == "google-genai":
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    else:
        environment["OPENLIVE_TEST_PACKAGES"] = str(folder)
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        pytest = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "not weights", f"--junitxml={report}"]
        names = [str(HERE / name) for name in TESTS[package]]
        try:
            subprocess.run([*pytest, *names], env=environment, stdout=subprocess.DEVNULL, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return 0, [f"not done in {SECONDS:.0f} s"]
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    failed = [
        case.get("name", "?") for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    passed = sum(not len(case.findall("*")) for case in cases)
    return passed, failed or ([] if cases else ["no test ran"])


@click.command(help=__doc__)
@click.option("--only", type=click.Choice(list(TESTS)), help="One SDK.")
@click.option("--release", "releases", multiple=True, help="These releases of it.")
def main(only: str | None, releases: tuple[str, ...]) -> None:
    table = Table("SDK", "release", "passed", "failed")
    cache = user_cache_path("openlive") / "sdk"
    for package, known in (("google-genai", PYTHON), ("@google/genai", JAVASCRIPT)):
        for release in releases or known if only in (None, package) else ():
            folder = cache / ("python" if package == "google-genai" else "javascript") / release
            try:
                install(package, release, folder)
                passed, failed = run(package, folder)
            except (subprocess.CalledProcessError, OSError) as error:
                passed, failed = 0, [f"cannot be installed: {error}"]
            table.add_row(package, release, str(passed), "\n".join(failed) or "-")
            print(f"{package} {release}: {passed} passed, {len(failed)} failed", file=sys.stderr, flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
